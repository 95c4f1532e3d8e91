"""`tricast bench` from end to end, and the locustfile by itself."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from tests.helpers import COMMAND, ROOT, clean_environment, fetch, serving, until, unused_port

from tricast_bench.results import load

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
        assert (run.metrics.lost, run.metrics.duplicated, run.metrics.delivered) == (0, 0, 120)
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


def test_a_target_that_is_not_there_is_told_in_a_sentence(tmp_path: Path) -> None:
    options = ("--quick", "--repeat", "1", "--scenario", "echo", "--transports", "ws")
    done = tricast(*options, "--target", "http://127.0.0.1:1", "--out", str(tmp_path))
    assert done.returncode == 1
    assert "Nothing was measured: ws: [Errno 111] Connection refused" in done.stderr


def locust(url: str, *options: str) -> list[str]:
    fixed = ["-f", str(LOCUSTFILE), "--host", url, "-u", "9", "-r", "9", "--rate", "30", *options]
    return [str(LOCUST), *fixed]


@pytest.mark.parametrize(
    "options",
    [
        ("--format", "protobuf", "--content", "binary", "--compress"),
        ("--processes", "2", "--pattern", "echo", "--shape", "poisson"),
    ],
    ids=["protobuf", "processes"],
)
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
