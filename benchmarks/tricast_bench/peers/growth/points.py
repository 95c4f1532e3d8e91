"""What is varied to see how tricast's cost grows: sweeps, each a row of points, as data."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from tricast_bench.peers import tricast
from tricast_bench.peers.peer import Peer, Transport
from tricast_bench.peers.workloads import PAYLOAD, Workload

Metric = Literal["us_per_delivery", "us_catch_up", "us_per_connection", "kib_per_connection"]
"""CPU of the server for a delivery, time of one message for a client that catches up, CPU for a connect, memory."""
Kind = Literal["delivery", "retained", "connects", "memory"]
STREAMED: tuple[Transport, ...] = ("ws", "sse")
TRANSPORTS: tuple[Transport, ...] = (*STREAMED, "poll")
DELIVERIES, TOPICAL, POLLED, SIZED = 20_000.0, 10_000.0, 2_000.0, 4_000.0
"""A second: on streams, where topics are many and their readers few, on polls, and where messages become large; each
keeps the server's core below 60%."""
SUBSCRIBERS = 500
SIZED_SUBSCRIBERS = 100
SHARED_MAX = 1_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Point:
    """One server under one load. `x` is what varies, `series` what does not.

    With the kind `retained`, `x` messages are kept before the load; with `memory`, connections come until there are as
    many as each of `stages` says.
    """

    sweep: str
    series: str
    x: float
    peer: Peer
    workload: Workload
    kind: Kind = "delivery"
    stages: tuple[int, ...] = ()

    @property
    def shares(self) -> bool:
        """Whether other points may have the same server, after it."""
        return self.kind == "delivery" and self.most <= SHARED_MAX

    @property
    def once(self) -> bool:
        """Whether one round is enough: memory is the same in each."""
        return self.kind == "memory"

    @property
    def most(self) -> int:
        """Connections that the server has at once."""
        return max(self.workload.connections, *self.stages, 0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Sizes:
    """How far each sweep goes."""

    subscribers: tuple[int, ...] = (10, 100, 1_000, 5_000, 10_000)
    polls: tuple[int, ...] = (10, 100, 500, 1_000, 2_000)
    over: int = 10_000
    """Connections that several topics are spread over."""
    topics: tuple[int, ...] = (1, 20, 200, 2_000)
    in_one: int = 200
    """Topics of one connection."""
    kept: tuple[int, ...] = (1, 1_000, 10_000, 100_000, 200_000)
    payloads: tuple[int, ...] = (32, 128, 1_024, 4_096, 16_384, 65_536)
    """The least has room for the mark that the load puts into each payload, and for hardly more."""
    connects: int = 2_000
    idle: tuple[int, ...] = (1_000, 5_000, 10_000, 15_000)


FULL = Sizes()
QUICK = Sizes(
    subscribers=(10, 100, 1_000),
    polls=(10, 50, 200),
    over=1_000,
    topics=(1, 20, 200),
    in_one=50,
    kept=(1, 1_000, 10_000),
    payloads=(32, 1_024, 65_536),
    connects=500,
    idle=(500, 1_000, 2_000),
)
SPREAD, FEW, ONE, MANY = "spread", "few", "one", "many"
"""Series of the topics: connections spread over them, as few connections as each had and no others, 500 connections
that subscribe to one, and to many."""


def points(sizes: Sizes) -> tuple[Point, ...]:
    return (
        *_subscribers(sizes),
        *_topics(sizes),
        *_retained(sizes),
        *_payloads(sizes),
        *(
            _point("connects", name, sizes.connects, _workload(name, sizes.connects, 0), kind="connects")
            for name in TRANSPORTS
        ),
        *(
            _point("memory", name, 0, _workload(name, sizes.idle[0], 0), kind="memory", stages=sizes.idle)
            for name in TRANSPORTS
        ),
    )


def _subscribers(sizes: Sizes) -> Iterator[Point]:
    for name in TRANSPORTS:
        per_second = POLLED if name == "poll" else DELIVERIES
        for count in sizes.polls if name == "poll" else sizes.subscribers:
            yield _point("subscribers", name, count, _workload(name, count, per_second / count))


def _topics(sizes: Sizes) -> Iterator[Point]:
    each = tricast.over_topics()
    for topics in sizes.topics:
        readers = sizes.over // topics
        workload = _workload("ws", sizes.over, TOPICAL / readers, topics=topics)
        yield _point("topics", SPREAD, topics, workload, each)
        if topics > 1:
            yield _point("topics", FEW, topics, _workload("ws", readers, TOPICAL / readers), each)
    alone = _workload("ws", SUBSCRIBERS, DELIVERIES / SUBSCRIBERS)
    yield _point("topics", ONE, 1, alone, each)
    many = _workload("ws", SUBSCRIBERS, DELIVERIES / SUBSCRIBERS, topics=sizes.in_one, per_connection=sizes.in_one)
    yield _point("topics", MANY, sizes.in_one, many, tricast.over_topics(all_of_them=True))


def _retained(sizes: Sizes) -> Iterator[Point]:
    for kept in sizes.kept:
        workload = _workload("ws", SUBSCRIBERS, DELIVERIES / SUBSCRIBERS)
        yield _point("retained", "ws", kept, workload, tricast.keeping(kept), kind="retained")


def _payloads(sizes: Sizes) -> Iterator[Point]:
    for payload in sizes.payloads:
        workload = _workload("ws", SIZED_SUBSCRIBERS, SIZED / SIZED_SUBSCRIBERS, payload=payload)
        yield _point("size", "ws", payload, workload)


def _point(
    sweep: str,
    series: str,
    x: float,
    workload: Workload,
    peer: Peer = tricast.PEERS[0],
    kind: Kind = "delivery",
    stages: tuple[int, ...] = (),
) -> Point:
    return Point(sweep=sweep, series=series, x=x, peer=peer, workload=workload, kind=kind, stages=stages)


def _workload(
    transport: Transport,
    connections: int,
    rate: float,
    *,
    payload: int = PAYLOAD,
    topics: int = 1,
    per_connection: int = 1,
) -> Workload:
    return Workload(
        name=transport,
        title=transport,
        transport=transport,
        connections=connections,
        payload=payload,
        rate=rate,
        idle=not rate,
        topics=topics,
        per_connection=per_connection,
    )


SWEEPS = tuple(dict.fromkeys(point.sweep for point in points(FULL)))
