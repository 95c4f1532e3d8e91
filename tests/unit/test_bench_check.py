"""A figure is worse only where two measurements say so, and what could not be measured is not said to be well."""

from __future__ import annotations

import io
import json
from collections.abc import Mapping
from pathlib import Path

import pytest
import typer
from rich.console import Console
from typer.testing import CliRunner

from tricast_bench.peers import check as command
from tricast_bench.peers import registry, workloads
from tricast_bench.peers.check_figures import (
    CHECKED,
    FLOOR,
    TRICAST,
    UNIT,
    Change,
    Figure,
    Verdict,
    as_table,
    exit_code,
    figures,
    load,
    save,
    suspects,
    verdicts,
)
from tricast_bench.peers.measure import Measured
from tricast_bench.servers import Unusable


def figure(value: float) -> Figure:
    return Figure(value=value, low=value, high=value, rounds=5)


def maybe(value: float | None) -> Figure | None:
    return None if value is None else figure(value)


def rounds(workload: str, peer: str, *values: float, void: str | None = None, complete: bool = True) -> list[Measured]:
    return [
        Measured(round=number, workload=workload, peer=peer, us_per_delivery=value, void=void, complete=complete)
        for number, value in enumerate(values, 1)
    ]


def test_a_figure_is_the_median_of_the_ratios_within_rounds() -> None:
    samples = rounds("ws-100", TRICAST, 9.0, 40.0, 6.0) + rounds("ws-100", FLOOR, 6.0, 20.0, 5.0)
    assert figures(samples) == {"ws-100": Figure(value=1.5, low=1.2, high=2.0, rounds=3)}


def test_what_the_floor_does_not_speak_is_measured_in_its_websockets() -> None:
    samples = rounds("poll-10", TRICAST, 90.0, 90.0, 90.0) + rounds("ws-100", FLOOR, 6.0, 9.0, 10.0)
    assert figures(samples)["poll-10"].value == 10.0


@pytest.mark.parametrize("spoilt", [{"void": "others were there"}, {"complete": False}])
def test_too_few_rounds_are_no_measurement(spoilt: Mapping[str, object]) -> None:
    whole = rounds("echo", TRICAST, 9.0, 9.0) + rounds("echo", FLOOR, 6.0, 6.0, 6.0)
    assert figures(whole) == {}
    [bad] = rounds("echo", TRICAST, 9.0, **spoilt)  # type: ignore[arg-type]  # kwargs
    assert figures([*whole, bad]) == {}


def test_only_what_is_worse_by_more_than_the_limit_is_measured_again() -> None:
    found = {"ws-100": figure(1.16), "sse-100": figure(1.14), "echo": figure(9.0)}
    assert suspects({"ws-100": 1.0, "sse-100": 1.0}, found) == ["ws-100"]


@pytest.mark.parametrize(
    ("baseline", "now", "again", "change"),
    [
        (1.0, 1.1, None, "same"),
        (1.0, 0.9, None, "same"),
        (1.0, 0.8, None, "better"),
        (1.0, 1.2, 1.3, "worse"),
        (1.0, 1.2, 1.1, "same"),
        (1.0, 1.2, None, "not measured"),
        (1.0, None, None, "not measured"),
        (None, 1.2, None, "new"),
    ],
)
def test_what_is_made_of_a_figure(
    baseline: float | None, now: float | None, again: float | None, change: Change
) -> None:
    verdict = Verdict(name="x", baseline=baseline, now=maybe(now), again=maybe(again))
    assert verdict.change == change


def test_the_exit_code_says_the_worst_that_is_known() -> None:
    all_well = {name: figure(1.0) for name in CHECKED}
    known = dict.fromkeys(CHECKED, 1.0)
    assert exit_code(verdicts(known, all_well, {})) == 0
    assert exit_code(verdicts(known, all_well | {"echo": figure(0.5)}, {})) == 0
    some = {name: all_well[name] for name in CHECKED[1:]}
    assert exit_code(verdicts(known, some, {})) == 2
    slow = some | {"echo": figure(2.0)}
    assert exit_code(verdicts(known, slow, {"echo": figure(2.0)})) == 1


def test_the_table_names_what_is_worse() -> None:
    console = Console(file=io.StringIO(), width=120)
    known = dict.fromkeys(CHECKED, 1.0)
    console.print(as_table(verdicts(known, {"echo": figure(1.5)}, {"echo": figure(1.4)})))
    assert isinstance(console.file, io.StringIO)
    [line] = [line for line in console.file.getvalue().splitlines() if "echo" in line]
    assert all(word in line for word in ("1.00", "1.50", "1.40", "+40%", "worse"))


def test_a_baseline_is_read_as_it_was_saved(tmp_path: Path) -> None:
    file = tmp_path / "baseline.json"
    save(file, {"echo": figure(1.25)}, {"saved": "today"})
    values, about = load(file)
    assert values == {"echo": 1.25}
    assert about["saved"] == "today"


@pytest.mark.parametrize(
    "text",
    [
        "[]",
        "{",
        '{"benchmark": "check"}',
        '{"benchmark": "check", "figures": {"echo": {"value": 0}}}',
        '{"figures": 1}',
    ],
)
def test_another_file_is_no_baseline(tmp_path: Path, text: str) -> None:
    file = tmp_path / "baseline.json"
    file.write_text(text)
    with pytest.raises(ValueError):
        load(file)


def test_all_that_is_checked_can_be_measured() -> None:
    for name in CHECKED:
        assert workloads.BY_NAME[name].speech(registry.BY_NAME[TRICAST]) is not None
        assert workloads.BY_NAME[UNIT.get(name, name)].speech(registry.BY_NAME[FLOOR]) is not None


class Run:
    """The command, with figures that are given instead of measured: the second time others."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, *given: dict[str, Figure] | Unusable) -> None:
        self.given = list(given)
        self.asked: list[list[str]] = []
        monkeypatch.setattr(command, "_measured", self._measured)

    def _measured(self, _console: object, names: list[str], _rounds: int, _seconds: float) -> dict[str, Figure]:
        self.asked.append(list(names))
        found = self.given.pop(0)
        if isinstance(found, Unusable):
            raise found
        return found

    def __call__(self, *words: str) -> tuple[int, str]:
        app = typer.Typer()
        app.command()(command.check)
        result = CliRunner().invoke(app, list(words))
        return result.exit_code, result.output


def test_the_command_measures_what_seems_worse_once_more(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    file = str(tmp_path / "baseline.json")
    well = {name: figure(1.0) for name in CHECKED}
    slow = well | {"echo": figure(2.0)}
    assert Run(monkeypatch)("--baseline", file)[0] == 2
    assert Run(monkeypatch, well)("--baseline", file, "--save")[0] == 0
    assert json.loads(Path(file).read_text())["environment"]
    assert Run(monkeypatch, well)("--baseline", file)[0] == 0
    run = Run(monkeypatch, slow, {"echo": figure(1.9)})
    code, said = run("--baseline", file)
    assert (code, run.asked) == (1, [list(CHECKED), ["echo"]])
    assert "worse" in said
    assert Run(monkeypatch, slow, {"echo": figure(1.0)})("--baseline", file)[0] == 0
    assert Run(monkeypatch, slow, {})("--baseline", file)[0] == 2
    assert Run(monkeypatch, Unusable("one core"))("--baseline", file)[0] == 2


def test_half_a_measurement_does_not_become_the_baseline(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    file = tmp_path / "baseline.json"
    code, said = Run(monkeypatch, {"echo": figure(1.0)})("--baseline", str(file), "--save")
    assert code == 2
    assert "ws-100" in said
    assert not file.exists()
