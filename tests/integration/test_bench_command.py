"""`tricast bench` from end to end, and the locustfile by itself."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from tests.helpers import COMMAND, ROOT, clean_environment, fetch, serving, until, unused_port
from tests.unit.test_bench_results import RESULTS, RUN

from tricast_bench.results import Metrics, dump, load

LOCUST = Path(sys.executable).with_name("locust")
LOCUSTFILE = ROOT / "benchmarks" / "locustfile.py"
two_cores = pytest.mark.skipif(len(os.sched_getaffinity(0)) < 2, reason="a server and a load need a core each")


def tricast(*options: str) -> subprocess.CompletedProcess[str]:
    command = [str(COMMAND), "bench", *options]
    return subprocess.run(command, capture_output=True, text=True, timeout=50, env=clean_environment())


@two_cores
def test_a_run_prints_its_tables_and_writes_its_results(tmp_path: Path) -> None:
    out = tmp_path / "new" / "folder"
    options = ("--quick", "--repeat", "1", "--scenario", "echo", "--transports", "ws,poll", "--out", str(out))
    done = tricast(*options)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "There and back" in done.stdout
    results = load(out / "results.json")
    assert {run.transport for run in results.runs} == {"ws", "poll"}
    assert results.settings.server_core != results.settings.generator_core
    assert results.settings.repeat == 1
    assert json.loads((out / "results.json").read_text())["environment"]["kernel"]
    for run in results.runs:
        assert run.histogram
        assert run.series
        assert (run.metrics.lost, run.metrics.duplicated, run.metrics.delivered) == (0, 0, 150)
        assert (run.metrics.server_cpu_us_per_delivery or 0) > 0


def test_a_target_is_measured_by_its_own_stats(tmp_path: Path) -> None:
    with serving() as server:
        options = ("--quick", "--repeat", "1", "--scenario", "broadcast,delay", "--transports", "sse")
        done = tricast(*options, "--target", server.url, "--out", str(tmp_path))
    assert done.returncode == 0, done.stdout + done.stderr
    results = load(tmp_path / "results.json")
    metrics = next(run.metrics for run in results.runs if run.scenario == "broadcast")
    assert (metrics.server_cpu_us_per_delivery or 0) > 0
    assert (metrics.server_files or 0) > 100
    assert results.settings.target == server.url
    assert results.settings.skipped == {"delay": "--target is measured as it is, with nothing put before it"}
    assert "delay: not measured" in done.stdout


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        (("--scenario", "nope"), "no such scenario: nope"),
        (("--transports", "tcp"), "transports are some of"),
        (("--target", "nowhere"), "a target is http://HOST:PORT"),
    ],
)
def test_what_cannot_be_meant_is_refused(options: tuple[str, ...], reason: str) -> None:
    done = tricast(*options)
    assert done.returncode == 2
    assert reason in " ".join(done.stderr.replace("│", " ").split())


def test_a_comparison_fails_where_something_became_worse(tmp_path: Path) -> None:
    files = []
    for p50 in (10.0, 15.0):
        runs = tuple(replace(RUN, repeat=n, metrics=Metrics(p50_ms=p50 + n / 100)) for n in range(4))
        files.append(tmp_path / f"{p50:g}.json")
        dump(replace(RESULTS, runs=runs), files[-1])
    old, new = map(str, files)
    worse, better = tricast("compare", old, new), tricast("compare", new, old)
    lenient = tricast("compare", old, new, "--threshold", "0.6")
    assert (worse.returncode, better.returncode, lenient.returncode) == (1, 0, 0), worse.stdout + worse.stderr
    assert "1 of 1 are worse by more than 10%" in worse.stdout
    assert "1 better" in better.stdout
    Path(old).write_text("{}")
    broken = tricast("compare", old, new)
    assert broken.returncode == 2
    assert "it has no runs" in broken.stderr


def locust(url: str, *options: str) -> list[str]:
    fixed = ["-f", str(LOCUSTFILE), "--host", url, "-u", "9", "-r", "9", "--rate", "30", *options]
    return [str(LOCUST), *fixed]


@pytest.mark.parametrize("options", [(), ("--processes", "2", "--pattern", "echo", "--shape", "poisson")])
def test_the_locustfile_works_by_itself(options: tuple[str, ...]) -> None:
    with serving() as server:
        command = locust(server.url, "--headless", "-t", "3s", "--only-summary", *options)
        done = subprocess.run(command, capture_output=True, text=True, timeout=40, env=clean_environment())
    said = done.stdout + done.stderr
    assert done.returncode == 0, said
    assert "Traceback" not in said, said
    ours = {words[0]: words for line in said.splitlines() if len(words := line.split()) == 11}
    for name in ("ws", "sse", "poll"):
        assert ours[name][7:] == ["0", "0", "0", "0"], said
        assert int(ours[name][1]) > 10, said
    assert "schedule lag" in said


def test_locust_has_its_web_page_with_our_arguments() -> None:
    port = unused_port()
    with serving() as server:
        command = locust(server.url, "--web-host", "127.0.0.1", "--web-port", str(port))
        with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
            try:
                until(lambda: answers(f"http://127.0.0.1:{port}/"), timeout=15)
                page = fetch(f"http://127.0.0.1:{port}/")[1].decode()
            finally:
                process.terminate()
    assert all(name in page for name in ("payload", "pattern", "LongPollUser"))


def answers(url: str) -> bool:
    try:
        return fetch(url)[0] == 200
    except OSError:
        return False
