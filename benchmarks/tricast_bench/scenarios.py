"""What is measured, as data: each scenario is a question, the cases that answer it, and the figures that matter."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import product
from typing import Literal

from tricast_bench.bench.job import Kind
from tricast_bench.results import Parameter

Through = Literal["middlebox", "nginx"]

LATENCY = ("p50_ms", "p99_ms", "max_ms")
COST = ("server_cpu_us_per_delivery", "bytes_down_per_message", "bytes_up_per_message", "requests_per_message")
WRONG = ("lost", "gaps", "duplicated", "reordered")


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One row. `parameters` are in the results as they stand here; those that a `Job` knows are of the job.

    `through` puts something between load and server; `options` are the server's, besides its defaults.
    """

    parameters: Mapping[str, Parameter]
    options: tuple[str, ...] = ()
    through: Through | None = None
    steps: tuple[float, ...] = ()
    stretch: float = 1.0
    """Of the seconds that a run, or each of its steps, takes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Scenario:
    """`transports`: "each" has runs on every transport, "all" mixes them in one, "none" does not choose."""

    name: str
    about: str
    kind: Kind
    cases: tuple[Case, ...]
    columns: tuple[str, ...]
    transports: Literal["each", "all", "none"] = "each"
    quick: tuple[int, ...] = field(default=())
    """Of its cases, those that `--quick` takes."""
    once: bool = False
    """Whether `--quick` takes them in its first round only."""
    named: bool = False
    """Whether it is measured only where it is asked for by name."""


def _flow(subscribers: int, rate: float, size: int, **more: Parameter) -> Case:
    return Case(parameters={"subscribers": subscribers, "rate": rate, "size": size, **more})


ECHO = Scenario(
    name="echo",
    about="There and back: each client publishes to a topic of its own, and hears it",
    kind="flow",
    cases=(_flow(10, 100.0, 64, own_topics=True), _flow(10, 100.0, 64, own_topics=True, shape="poisson")),
    columns=(*LATENCY, *COST, "delivered_per_second", "lost"),
    quick=(0,),
)
BROADCAST = Scenario(
    name="broadcast",
    about="One publishes, everyone listens",
    kind="flow",
    cases=(_flow(10, 20.0, 128), _flow(100, 20.0, 128), _flow(500, 8.0, 128)),
    columns=(*LATENCY, "spread_ms", *COST, "delivered_per_second", "lost"),
    quick=(1,),
)
PAYLOAD = Scenario(
    name="payload",
    about="The same broadcast with small and large messages",
    kind="flow",
    cases=tuple(_flow(50, 20.0, size) for size in (64, 1024, 16384)),
    columns=(*LATENCY, *COST, "lost"),
    quick=(2,),
)
FORMATS = Scenario(
    name="formats",
    about="A broadcast of records and of random bytes, in JSON and in protobuf, plain and compressed (SSE never is)",
    kind="flow",
    cases=tuple(
        _flow(50, 20.0, size, content=content, format=format, compress=compress)
        for size, content, format, compress in product(
            (128, 1024, 16384), ("text", "binary"), ("json", "protobuf"), (False, True)
        )
    ),
    columns=(*LATENCY, *COST, "lost"),
    quick=(8, 9, 10, 11),
    named=True,
)
IDLE = Scenario(
    name="idle",
    about="Connections on which nothing happens but heartbeats (empty polls), one a second",
    kind="idle",
    cases=(Case(parameters={"subscribers": 100, "more": 400}, options=("--heartbeat", "1")),),
    columns=(
        "server_memory_per_connection",
        "server_cpu_us_per_delivery",
        "bytes_down_per_message",
        "bytes_up_per_message",
        "delivered_per_second",
    ),
    quick=(0,),
    once=True,
)
CONNECT = Scenario(
    name="connect",
    about="Clients that connect, ten at a time, and get the last message",
    kind="connect",
    cases=(Case(parameters={"subscribers": 300}),),
    columns=("connects_per_second", "time_to_first_ms", "p99_ms", *COST),
)
MIXED = Scenario(
    name="mixed",
    about="One broadcast to clients of all transports",
    kind="flow",
    transports="all",
    cases=(_flow(90, 20.0, 128),),
    columns=(*LATENCY, "spread_ms", *COST, "lost"),
)
SLOW = Scenario(
    name="slow",
    about="A broadcast in which some read slowly: latency of the others, and gaps for those who fell behind",
    kind="flow",
    cases=(
        Case(
            parameters={"subscribers": 20, "rate": 60.0, "size": 32768, "slow": 4, "retention_count": 20},
            options=("--retention-count", "20"),
            stretch=2.0,
        ),
    ),
    columns=(*LATENCY, "server_memory", "server_cpu_us_per_delivery", *WRONG),
)
DELAY = Scenario(
    name="delay",
    about="There and back through a line that adds 25 ms each way",
    kind="flow",
    cases=(
        Case(
            parameters={"subscribers": 10, "rate": 50.0, "size": 64, "own_topics": True, "delay_ms": 25.0},
            through="middlebox",
        ),
        Case(parameters={"subscribers": 10, "rate": 50.0, "size": 64, "delay_ms": 25.0}, through="middlebox"),
    ),
    columns=(*LATENCY, "time_to_first_ms", "requests_per_message", "lost"),
)
NGINX = Scenario(
    name="nginx",
    about="A broadcast through nginx, with the lines that docs/proxies.md recommends",
    kind="flow",
    cases=(Case(parameters={"subscribers": 100, "rate": 20.0, "size": 128}, through="nginx"),),
    columns=(*LATENCY, "spread_ms", "server_cpu_us_per_delivery", "lost"),
)
KNEE = Scenario(
    name="knee",
    about="A broadcast at ever higher rates, until p99 misses 100 ms, something is lost or the backlog grows",
    kind="steps",
    cases=(
        Case(
            parameters={"subscribers": 200, "whole": 5, "size": 128, "objective": 0.1},
            steps=tuple(float(round(5 * 1.6**step)) for step in range(13)),
            stretch=0.6,
        ),
    ),
    columns=("p50_ms", "p99_ms", "delivered_per_second", "server_cpu_us_per_delivery", "generator_cpu", "lost"),
)
FALLBACK = Scenario(
    name="fallback",
    about="The client in a bad network: time to its first message, and on what it goes on",
    kind="fallback",
    transports="none",
    cases=tuple(
        Case(parameters={"network": network})
        for network in (
            "clean",
            "corporate-proxy-no-upgrade",
            "websocket-blackhole",
            "one-way-websocket",
            "refused, and SSE held",
        )
    ),
    columns=("time_to_first_ms",),
)
SCENARIOS: Mapping[str, Scenario] = {
    scenario.name: scenario
    for scenario in (ECHO, BROADCAST, PAYLOAD, FORMATS, IDLE, CONNECT, MIXED, SLOW, DELAY, NGINX, KNEE, FALLBACK)
}
