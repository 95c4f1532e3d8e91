"""One job carried out: clients as locust's users, a schedule, and what became of it. Runs in a process of the load."""

from __future__ import annotations

import asyncio
import contextlib
import os
import time
from array import array
from collections.abc import Callable
from dataclasses import replace
from typing import cast

import gevent
from locust.env import Environment

from tricast.wire.messages import TransportName
from tricast_bench.bench.figures import Part, Window, cpu_per, milliseconds, per, shares
from tricast_bench.bench.job import Job, Kind, Measured
from tricast_bench.bench.judge import carried, void
from tricast_bench.bench.meter import Meter
from tricast_bench.load import offsets
from tricast_bench.recorder import Tally, encoded, histogram
from tricast_bench.results import Metrics, Transport
from tricast_bench.users.base import Tongue
from tricast_bench.users.bulk import Bulk
from tricast_bench.users.crowd import Crowd
from tricast_bench.users.people import user_class
from tricast_bench.users.tcp import Target

CONNECT_TIMEOUT = 30.0
GRACE = 10.0
"""Seconds after the last message in which what is under way may arrive."""
SETTLE = 0.5
LEAD = 50_000_000
"""Nanoseconds from the decision to the first message."""
NS = 1_000_000_000
CONNECTING_AT_ONCE = 10
STEP_ATTEMPTS = 3
EMPTY_POLL = 1.0
"""Seconds that a poll of `idle` is held: as often as a heartbeat there."""


class Load:
    """A crowd under locust's local runner. Leaving it stops the users and closes what they opened."""

    def __init__(self, job: Job, crowd: Crowd) -> None:
        self.crowd = crowd
        self.transports = [cast(TransportName, name) for name, count in job.clients.items() if count]
        classes = [user_class(name, crowd) for name in self.transports]
        self._runner = Environment(user_classes=list(classes), host=job.url, stop_timeout=0.0).create_local_runner()

    def __enter__(self) -> Load:
        return self

    def __exit__(self, *_: object) -> None:
        self._runner.quit()

    def spawn(self, count: int) -> None:
        """So many clients in all; returns when each has had its hello. Raises Refused, TimeoutError."""
        self._runner.start(count, spawn_rate=count)
        self.crowd.wait_ready(count, CONNECT_TIMEOUT)


def flow(job: Job) -> list[Measured]:
    """Messages at one rate."""
    crowd = Crowd(
        Target.of(job.url),
        own_topics=job.own_topics,
        size=job.size,
        content=job.content,
        tongue=Tongue(format=job.format, compress=job.compress),
        slow=job.slow,
    )
    with Load(job, crowd) as load:
        load.spawn(sum(job.clients.values()))
        return _window(job, load, Meter(job.pid, job.direct))


def steps(job: Job) -> list[Measured]:
    """Messages at one rate after the other, until one is not carried. A step that is void is taken again."""
    target = Target.of(job.url)
    crowd = Crowd(target, size=job.size)
    found: list[Measured] = []
    with Load(job, crowd) as load:
        [transport] = load.transports
        count = job.clients[transport]
        whole = count if transport == "poll" else min(count, job.whole or count)
        load.spawn(whole)
        with contextlib.closing(Bulk(target, transport, count - whole)) as bulk:
            meter = Meter(job.pid, job.direct)
            for rate in job.steps:
                for _ in range(STEP_ATTEMPTS):
                    [one] = _window(replace(job, rate=rate), load, meter, bulk)
                    found.append(replace(one, more={"rate": rate}))
                    if one.void is None:
                        break
                if one.void is not None or not carried(one.metrics, one.series, job.objective):
                    break
    return found


def idle(job: Job) -> list[Measured]:
    """Two populations that hear nothing but heartbeats: memory by the slope, and what a heartbeat costs."""
    crowd = Crowd(Target.of(job.url), poll_wait=EMPTY_POLL)
    few_clients = sum(job.clients.values())
    with Load(job, crowd) as load:
        [transport] = load.transports
        meter = Meter(job.pid, job.direct)
        load.spawn(few_clients)
        gevent.sleep(SETTLE)
        few = meter.read()
        load.spawn(job.more)
        gevent.sleep(SETTLE)
        seconds = max(1, round(job.seconds))  # whole ones, as a heartbeat comes each second
        ticks, wire, before = crowd.ticks, crowd.wire(), meter.read()
        gevent.sleep(seconds)
        ticks, wire, after = crowd.ticks - ticks, crowd.wire() - wire, meter.read()
        slope = None
        if few.memory is not None and before.memory is not None:
            slope = (before.memory - few.memory) / (job.more - few_clients)
        metrics = Metrics(
            delivered=ticks,
            delivered_per_second=ticks / seconds,
            server_cpu_us_per_delivery=cpu_per(before, after, ticks),
            server_memory_per_connection=slope,
            server_memory=after.memory,
            server_files=after.files,
            bytes_up_per_message=per(wire.up, ticks),
            bytes_down_per_message=per(wire.down, ticks),
            requests_per_message=per(wire.requests, ticks),
            time_to_first_ms=milliseconds(crowd.firsts(transport)),
            generator_cpu=before.own_share(after),
        )
        reason = void(before, after, None, None)
        return [Measured(transport=transport, seconds=seconds, void=reason, metrics=metrics)]


def connects(job: Job) -> list[Measured]:
    """Clients that come, some at a time, and each gets the last message: how fast, and what one costs."""
    target, count = Target.of(job.url), sum(job.clients.values())
    crowd = Crowd(target, last=1, at_the_door=CONNECTING_AT_ONCE, from_zero=False)
    with Load(job, crowd) as load:
        [transport] = load.transports
        crowd.wait_ready(0, CONNECT_TIMEOUT)
        crowd.publish_one()
        gevent.sleep(SETTLE)
        meter = Meter(job.pid, job.direct)
        wire, before = crowd.wire(), meter.read()
        load.spawn(count)
        deadline = time.monotonic() + GRACE
        while len(crowd.firsts(transport)) < count and time.monotonic() < deadline:
            gevent.sleep(0.002)
        wire, after = crowd.wire() - wire, meter.read()
        seconds = (after.at - before.at) / NS
        firsts = crowd.firsts(transport)
        latencies = array("q", (int(first * NS) for first in firsts))
        p50, p90, p99, p999, most = shares(latencies)
        metrics = Metrics(
            p50_ms=p50,
            p90_ms=p90,
            p99_ms=p99,
            p999_ms=p999,
            max_ms=most,
            delivered=len(firsts),
            delivered_per_second=len(firsts) / seconds,
            lost=count - len(firsts),
            server_cpu_us_per_delivery=cpu_per(before, after, len(firsts)),
            server_memory=after.memory,
            server_files=after.files,
            bytes_up_per_message=per(wire.up, len(firsts)),
            bytes_down_per_message=per(wire.down, len(firsts)),
            requests_per_message=per(wire.requests, len(firsts)),
            time_to_first_ms=milliseconds(firsts),
            connects_per_second=len(firsts) / seconds,
            generator_cpu=before.own_share(after),
        )
        return [
            Measured(
                transport=transport,
                seconds=seconds,
                void=void(before, after, None, None),
                metrics=metrics,
                histogram=encoded(histogram(latencies)),
            )
        ]


def _window(job: Job, load: Load, meter: Meter, bulk: Bulk | None = None) -> list[Measured]:
    """Warm-up, then what counts, then a while for what is under way."""
    crowd = load.crowd
    start = time.monotonic_ns() + LEAD
    begin, until = start + int(job.warm_up * NS), start + int((job.warm_up + job.seconds) * NS)
    crowd.restart(begin)
    base = {name: crowd.tally(name, crowd.sent) for name in load.transports}
    counting = Counting(bulk, crowd)
    playing = gevent.spawn(crowd.play, offsets(job.rate, job.shape, job.seed), start, until)
    _sleep_until(begin)
    wires = {name: crowd.wire(name) for name in load.transports}
    before = meter.read()
    _sleep_until(until)
    playing.join(GRACE)
    crowd.hurry()
    deadline = time.monotonic() + GRACE
    while not (crowd.complete() and counting.complete()) and time.monotonic() < deadline:
        gevent.sleep(0.005)
    after = meter.read()
    crowd.finish()
    parts = [
        Part(
            transport=name,
            recorder=crowd.recorders[name],
            unheard=len(crowd.unheard[name].latencies),
            bulk=counting.delivered,
            tally=crowd.tally(name, crowd.first) - base[name] + Tally(lost=counting.lost),
            wire=crowd.wire(name) - wires[name],
            firsts=crowd.firsts(name),
        )
        for name in load.transports
    ]
    return Window(job, before, after, crowd.lag, crowd.failed or counting.failed).measured(parts)


class Counting:
    """What those that only count should have got, and got, from now on. In the warm-up nothing is taken to be lost."""

    def __init__(self, bulk: Bulk | None, crowd: Crowd) -> None:
        self._bulk = bulk
        self._crowd = crowd
        self._sent = crowd.sent.total()
        self._before = bulk.received if bulk is not None else 0

    def complete(self) -> bool:
        return self._received >= self._expected(self._sent)

    @property
    def lost(self) -> int:
        return max(0, self._expected(self._sent) - self._received)

    @property
    def delivered(self) -> int:
        warm = self._expected(self._sent) - self._expected(sum(self._crowd.first.values()))
        return self._received - warm

    @property
    def failed(self) -> str | None:
        ended = self._bulk.ended if self._bulk is not None else 0
        return f"the server ended {ended} connections" if ended else None

    @property
    def _received(self) -> int:
        return self._bulk.received - self._before if self._bulk is not None else 0

    def _expected(self, since: int) -> int:
        return (self._crowd.sent.total() - since) * (len(self._bulk) if self._bulk is not None else 0)


def _sleep_until(moment: int) -> None:
    while (left := moment - time.monotonic_ns()) > 0:
        gevent.sleep(left / NS)


def fallback(job: Job) -> list[Measured]:
    """A client with its default times, in a bad network: on what it goes on, and when its first message comes."""
    from tricast_bench.fallback.trials import CONNECTS, first

    os.sched_setaffinity(0, range(os.cpu_count() or 1))  # this one starts a server of its own
    found = asyncio.run(first(job.network, CONNECTS[job.network]))
    metrics = Metrics(time_to_first_ms=1e3 * found.took, delivered=1, lost=0)
    transport = cast(Transport, found.transport)
    return [
        Measured(transport=transport, seconds=found.took, void=None, metrics=metrics, more={"uplink": found.uplink})
    ]


KINDS: dict[Kind, Callable[[Job], list[Measured]]] = {
    "flow": flow,
    "steps": steps,
    "idle": idle,
    "connect": connects,
    "fallback": fallback,
}
