"""What `tricast bench` makes of its command line, and `tricast bench compare` of two files."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from tests.unit.test_bench_results import RESULTS, RUN
from typer.testing import CliRunner, Result

from tricast_bench.bench.command import bench
from tricast_bench.results import Metrics, dump
from tricast_bench.scenarios import SCENARIOS


def run(*options: str) -> Result:
    return CliRunner().invoke(bench, options, env={"COLUMNS": "200", "NO_COLOR": "1", "TERM": "dumb"})


def write(path: Path, p50: float) -> str:
    runs = tuple(replace(RUN, repeat=n, metrics=Metrics(p50_ms=p50 + n / 100)) for n in range(4))
    dump(replace(RESULTS, runs=runs), path)
    return str(path)


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        (("--scenario", "nope"), "no such scenario: nope"),
        (("--transports", "tcp"), "transports are some of"),
        (("--target", "nowhere"), "a target is http://HOST:PORT"),
        (("--repeat", "0"), "'--repeat'"),
        (("--format", "xml"), "formats are json or protobuf"),
    ],
)
def test_what_cannot_be_meant_is_refused(options: tuple[str, ...], reason: str) -> None:
    done = run(*options)
    assert done.exit_code == 2
    assert reason in " ".join(done.output.replace("│", " ").split())


def test_the_scenarios_are_listed() -> None:
    said = run("--list").output
    assert all(name in said for name in SCENARIOS)


def test_a_comparison_fails_where_something_became_worse(tmp_path: Path) -> None:
    old, new = write(tmp_path / "old.json", 10.0), write(tmp_path / "new.json", 15.0)
    worse, better, lenient = (
        run("compare", old, new),
        run("compare", new, old),
        run("compare", old, new, "--threshold", "0.6"),
    )
    assert (worse.exit_code, better.exit_code, lenient.exit_code) == (1, 0, 0), worse.output
    assert "1 of 1 are worse by more than 10%" in worse.output
    assert "1 better" in better.output
    same = run("compare", old, old, "--all")
    assert same.exit_code == 0
    assert "1 no difference" in same.output


def test_files_that_cannot_be_compared_are_named(tmp_path: Path) -> None:
    whole = write(tmp_path / "whole.json", 10.0)
    broken, other = tmp_path / "broken.json", tmp_path / "other.json"
    broken.write_text("{}")
    dump(replace(RESULTS, runs=(replace(RUN, scenario="idle"),)), other)
    done = run("compare", str(broken), whole)
    assert (done.exit_code, "broken.json: no results" in done.output) == (2, True), done.output
    done = run("compare", str(other), whole)
    assert (done.exit_code, "no case in common" in done.output) == (2, True), done.output
