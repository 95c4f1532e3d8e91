"""One point of a sweep after the other, each on a server of its own, in rounds."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from statistics import median
from typing import Any

from tricast_bench.peers.compiled import compiled
from tricast_bench.peers.growth.points import Metric, Point
from tricast_bench.peers.load import loading
from tricast_bench.peers.measure import FIRST_CONNECTIONS, SETTLE, Plan, job_of, put_on
from tricast_bench.peers.peer import Peer
from tricast_bench.peers.tree import Tree, serving, used_since
from tricast_bench.peers.tricast import TOPIC
from tricast_bench.servers import HOST, Cores, Unusable, allow_files

HOLD = 0.7
"""Seconds that idle connections are held before the memory is read."""
AT_ONCE = 64
"""Messages on their way while a log is filled."""
FILLING, FILL_PART = 0.1, 20_000
"""So many at a time, as the load does not wait for long once `FILLING` seconds are over."""
CATCH_UPS, CATCH_UP_TIMEOUT = 3, 30.0
SPARE_FILES = 300


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """One figure of one round. What is not known is None; `failed` and `void` say why nothing may be made of it."""

    round: int
    sweep: str
    series: str
    x: float
    metric: Metric
    value: float | None = None
    complete: bool = True
    void: str | None = None
    failed: str | None = None
    raw: dict[str, Any] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Rounds:
    """How often and how long is measured. `warm_up` is dropped before each sample: one message at least."""

    rounds: int
    seconds: float
    warm_up: float


def measure(points: Sequence[Point], timing: Rounds, cores: Cores) -> Iterator[list[Sample]]:
    """What each point gave, as it is taken: in each round all points of a sweep, another one first. Pins this process.

    Raises Unusable where nothing can be measured at all.
    """
    allow_files(max(point.most for point in points) + SPARE_FILES)
    compiled("generator")
    os.sched_setaffinity(0, {cores.generator})
    sweeps = dict.fromkeys(point.sweep for point in points)
    for number in range(1, timing.rounds + 1):
        for sweep in sweeps:
            own = [point for point in points if point.sweep == sweep]
            turn = (number - 1) % len(own)
            with contextlib.closing(Servers(cores.server)) as servers:
                for point in (*own[turn:], *own[:turn]):
                    if number == 1 or not point.once:
                        yield _measured(number, point, timing, cores, servers)


class Servers:
    """Those of one sweep. Points of few connections share one, where nothing of them stays in it."""

    def __init__(self, core: int) -> None:
        self._core = core
        self._shared: dict[str, tuple[contextlib.ExitStack, Tree, int]] = {}

    @contextlib.contextmanager
    def of(self, point: Point) -> Iterator[tuple[Tree, int]]:
        """A server for the point, and its port. One that may have failed is not used again. Raises Unusable."""
        name = point.peer.name
        if name not in self._shared or not point.shares:
            held = contextlib.ExitStack()
            tree, port = held.enter_context(_killed(point.peer, self._core))
            if not point.shares:
                with held:
                    yield tree, port
                return
            self._shared[name] = held, tree, port
        held, tree, port = self._shared[name]
        try:
            yield tree, port
        except BaseException:  # whatever it was, the server is in an unknown state
            del self._shared[name]
            held.close()
            raise

    def close(self) -> None:
        for held, _, _ in self._shared.values():
            held.close()
        self._shared.clear()


@contextlib.contextmanager
def _killed(peer: Peer, core: int) -> Iterator[tuple[Tree, int]]:
    """In the end there is nobody to drain for, and to forget thousands of connections takes it seconds."""
    with serving(peer, core) as (tree, port):
        try:
            yield tree, port
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.kill(tree.pid, signal.SIGKILL)


def _measured(number: int, point: Point, timing: Rounds, cores: Cores, servers: Servers) -> list[Sample]:
    """What was measured before the server failed is kept."""
    found: list[Sample] = []
    try:
        with servers.of(point) as (tree, port):
            if point.kind == "connects":
                found.append(_connects(number, point, tree, port, cores))
            elif point.kind == "memory":
                for sample in _memory(number, point, tree, port, cores):
                    found.append(sample)
            else:
                if point.kind == "retained":
                    _fill(point, port, cores)
                if point.kind == "retained" and point.x > 1:
                    found.append(_caught_up(number, point, tree, port))
                found.append(_delivered(number, point, tree, port, timing, cores))
    except (Unusable, TimeoutError) as error:
        found.append(_sample(number, point, "us_per_delivery", failed=str(error)))
    return found


def _delivered(number: int, point: Point, tree: Tree, port: int, timing: Rounds, cores: Cores) -> Sample:
    warm_up = max(timing.warm_up, 0.5 / point.workload.rate)
    plan = Plan(rounds=1, seconds=timing.seconds, warm_up=warm_up, peers=(), workloads=())
    with loading(job_of(point.workload, point.peer, port), cores.generator) as load:
        loaded = put_on(load, tree, point.workload, plan, cores)
    outcome = loaded.outcome
    if not outcome.delivered:
        said = outcome.said or "nothing"
        return _sample(number, point, "us_per_delivery", failed=f"nothing arrived; the publisher was told: {said}")
    return _sample(
        number,
        point,
        "us_per_delivery",
        loaded.server_cpu / outcome.delivered / 1e3,
        complete=not outcome.missing and not outcome.duplicates,
        void=loaded.void,
        raw={
            "connections": point.workload.connections,
            "opening": load.opening,
            "delivered": outcome.delivered,
            "deliveries_per_second": outcome.delivered / outcome.elapsed * 1e9,
            "server_share": loaded.server_cpu / outcome.elapsed,
            "generator_share": loaded.generator_share,
            "p99_us": outcome.latency["p99"],
            "elapsed": outcome.elapsed,
            "foreign": loaded.foreign,
            "generator_waited": loaded.generator_waited,
            "stolen": loaded.stolen,
        },
    )


def _fill(point: Point, port: int, cores: Cores) -> None:
    """As many messages as are kept. Raises Unusable."""
    alone, count = replace(point.workload, connections=1), int(point.x)
    with loading(job_of(alone, point.peer, port), cores.generator) as load:
        for there in range(0, count, FILL_PART):
            part = min(FILL_PART, count - there)
            outcome = load.sample(rate=part / FILLING, seconds=FILLING, window=AT_ONCE)
            if outcome.delivered != part:
                raise Unusable(f"{there + outcome.delivered} of {count} messages were kept before the load")


def _caught_up(number: int, point: Point, tree: Tree, port: int) -> Sample:
    """The median of a few clients, one after the other: with few messages each is done in milliseconds."""
    count = int(point.x)
    before = tree.cpu()
    took = [catch_up(port, count) / count * 1e6 for _ in range(CATCH_UPS)]
    used = used_since(before, tree.cpu()) / CATCH_UPS / count / 1e3
    return _sample(number, point, "us_catch_up", median(took), raw={"cpu_us": used, "all_us": took})


def catch_up(port: int, count: int, timeout: float = CATCH_UP_TIMEOUT) -> float:
    """Seconds until a WebSocket that begins with the oldest has `count` messages. Raises Unusable."""
    deadline = time.monotonic() + timeout
    request = (
        f"GET /ws?topics={TOPIC}&cursor=earliest HTTP/1.1\r\nHost: {HOST}:{port}\r\nConnection: Upgrade\r\n"
        "Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dHJpY2FzdCBncm93dGghIQ==\r\n\r\n"
    )
    came, rest, begin = 0, b"", time.monotonic()
    try:
        with socket.create_connection((HOST, port), timeout) as connection:
            connection.sendall(request.encode())
            while came < count:
                connection.settimeout(max(0.001, deadline - time.monotonic()))
                data = connection.recv(2**18)
                if not data:
                    raise Unusable(f"the server ended the connection after {came} of {count} messages")
                came += (rest + data).count(b"~T")  # each payload has one mark
                rest = data[-1:] if data.endswith(b"~") else b""
    except OSError as error:
        raise Unusable(f"catching up ended after {came} of {count} messages: {error}") from None
    return time.monotonic() - begin


def _connects(number: int, point: Point, tree: Tree, port: int, cores: Cores) -> Sample:
    """CPU from before the first is opened until all have been greeted, and their polls are parked."""
    count = point.workload.connections
    _first(point, port, cores)
    before = tree.cpu()
    with loading(job_of(point.workload, point.peer, port), cores.generator) as load:
        load.wait(SETTLE)
        used = used_since(before, tree.cpu())
        opening = load.opening
    return _sample(number, point, "us_per_connection", used / count / 1e3, raw={"seconds": opening})


def _memory(number: int, point: Point, tree: Tree, port: int, cores: Cores) -> Iterator[Sample]:
    """A load for each stage, which holds what it opened: no load needs the files for all connections."""
    _first(point, port, cores)
    before, there = tree.memory(), 0
    with contextlib.ExitStack() as held:
        for stage in point.stages:
            job, cpu = job_of(point.workload, point.peer, port, stage - there), tree.cpu()
            load = held.enter_context(loading(job, cores.generator))
            load.wait(HOLD)
            us = used_since(cpu, tree.cpu()) / (stage - there) / 1e3
            there = stage
            kib = (tree.memory() - before) / stage / 1024
            raw = {"us_per_connection": us, "opening": load.opening}
            yield _sample(number, replace(point, x=stage), "kib_per_connection", kib, raw=raw)


def _first(point: Point, port: int, cores: Cores) -> None:
    """What comes with the first connections is not counted."""
    with loading(job_of(point.workload, point.peer, port, FIRST_CONNECTIONS), cores.generator) as load:
        load.wait(SETTLE)
    time.sleep(SETTLE)


def _sample(
    number: int,
    point: Point,
    metric: Metric,
    value: float | None = None,
    *,
    complete: bool = True,
    void: str | None = None,
    failed: str | None = None,
    raw: dict[str, Any] | None = None,
) -> Sample:
    return Sample(
        round=number,
        sweep=point.sweep,
        series=point.series,
        x=point.x,
        metric=metric,
        value=value,
        complete=complete,
        void=void,
        failed=failed,
        raw=raw,
    )
