"""Results of a benchmark that nobody ran, whole enough for a report. What a transport costs is made up, and seeded."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import replace
from functools import cache
from typing import Any

from tricast_bench.recorder import Recorder, encoded, histogram, percentiles
from tricast_bench.results import TRANSPORTS, Metrics, Results, Run, Settings, Transport

COST = {"ws": 12.0, "sse": 12.3, "poll": 52.0}
SLOWNESS = {"ws": 1.0, "sse": 1.08, "poll": 1.7}
MEMORY = {"ws": 14_000, "sse": 13_800, "poll": 9_200}
CARRIED = {"ws": 380.0, "sse": 256.0, "poll": 50.0}
REQUESTS = {"ws": 0.0, "sse": 0.0, "poll": 0.98}
ENVIRONMENT = {
    "kernel": "Linux 6.1.0-28-amd64",
    "machine": "x86_64",
    "cpu": "An imagined processor @ 3.00GHz",
    "cores": 2,
    "python": "CPython 3.11.7",
    "packages": {"aiohttp": "3.14.5", "aiohttp-sse": "3.0", "tricast": "0.1.0", "uvloop": None},
    "commit": "0123456789abcdef0123456789abcdef01234567",
}


@cache
def sample(repeat: int = 5, **settings: Any) -> Results:
    """Of all scenarios, with two void runs."""
    runs = [replace(run, order=order) for order, run in enumerate(_runs(repeat))]
    known = {
        "quick": False,
        "repeat": repeat,
        "seed": 1,
        "transports": TRANSPORTS,
        "server_core": 1,
        "generator_core": 0,
    }
    return Results(
        started="2026-11-22T03:00:00Z",
        seconds=1312.4,
        command=("tricast", "bench", "--out", "bench results"),
        environment=ENVIRONMENT,
        settings=Settings(**{**known, "skipped": {"nginx": "nginx is not installed"}, **settings}),
        runs=tuple(runs),
    )


def run(scenario: str, transport: Transport = "ws", repeat: int = 1, **more: Any) -> Run:
    """One that took four seconds."""
    members: dict[str, Any] = {
        "parameters": {},
        "order": repeat,
        "started_at": "2026-11-22T03:00:00Z",
        "seconds": 4.0,
        "warm_up": 1.0,
        **more,
    }
    return Run(scenario=scenario, transport=transport, repeat=repeat, **members)


def _runs(repeat: int) -> Iterator[Run]:
    flows: tuple[tuple[str, int, float, int, dict[str, Any]], ...] = (
        ("echo", 10, 100.0, 64, {"own_topics": True}),
        ("broadcast", 10, 20.0, 128, {}),
        ("broadcast", 100, 20.0, 128, {}),
        ("broadcast", 500, 8.0, 128, {}),
        ("payload", 50, 20.0, 64, {}),
        ("payload", 50, 20.0, 16384, {}),
        ("slow", 50, 40.0, 16384, {"slow": 5}),
        ("delay", 10, 50.0, 64, {"own_topics": True, "delay_ms": 25.0}),
    )
    for number in range(1, repeat + 1):
        for transport in TRANSPORTS:
            for scenario, subscribers, rate, size, more in flows:
                made = _flow(scenario, transport, number, subscribers, rate, size, more)
                if transport == "poll" and scenario == "broadcast" and subscribers == 500 and number <= 2:
                    yield replace(made, void="the load took 84% of its core, more than 80%")
                yield made
            yield _idle(transport, number)
            yield _connect(transport, number)
            yield from _knee(transport, number)
        for network, took, by in (("clean", 27.0, "ws"), ("websocket-blackhole", 531.0, "sse")):
            metrics = Metrics(time_to_first_ms=took + number, delivered=1, lost=0)
            yield run("fallback", by, number, parameters={"network": network}, metrics=metrics)  # type: ignore[arg-type]  # one of them


def _flow(
    scenario: str, transport: Transport, repeat: int, subscribers: int, rate: float, size: int, more: dict[str, Any]
) -> Run:
    chance = random.Random(f"{scenario} {transport} {repeat} {subscribers} {size}")
    drift = chance.gauss(1.0, 0.04)
    own = bool(more.get("own_topics"))
    each = 1 if own else subscribers
    seconds = 12.0 if scenario == "slow" else 4.0
    far = 2e6 * more.get("delay_ms", 0.0) * (1 if transport != "poll" else 1.5)
    middle = 0.9e6 * SLOWNESS[transport] * (1 + subscribers / 120) * drift
    recorder = Recorder()
    recorder.restart(0)
    for number in range(int(rate * seconds)):
        intended = int(number * 1e9 / rate)
        stall = 1.4e9 - (intended - 5e9) if scenario == "slow" and transport == "poll" and repeat == 2 else 0
        wait = max(0.0, stall) if 5e9 <= intended < 6.4e9 else 0.0
        for _ in range(min(each, 12)):
            late = middle * chance.lognormvariate(0.0, 0.5) + (middle * 8 if chance.random() < 0.004 else 0)
            recorder.add("h/s", number, intended, int(intended + late + far + wait))
    shares = percentiles(recorder.latencies, (0.5, 0.9, 0.99, 0.999, 1.0)) or [0.0] * 5
    delivered = int(rate * seconds) * each
    requests = REQUESTS[transport] + (1.0 if own and transport != "ws" else 0.0)
    metrics = Metrics(
        p50_ms=shares[0],
        p90_ms=shares[1],
        p99_ms=shares[2],
        p999_ms=shares[3],
        max_ms=shares[4],
        offered_per_second=rate,
        delivered=delivered,
        delivered_per_second=delivered / seconds,
        lost=0,
        duplicated=0,
        reordered=0,
        gaps=12 if scenario == "slow" else 0,
        server_cpu_us_per_delivery=COST[transport] * (4 if own else 1) * (0.6 + 40 / (subscribers + 60)) * drift,
        server_memory=57_000_000 + 14_000 * subscribers,
        server_files=10 + subscribers,
        bytes_up_per_message=110.0 * requests + (168 if own and transport == "ws" else 0),
        bytes_down_per_message=size + {"ws": 147, "sse": 178, "poll": 420}[transport] + 180.0 * own,
        requests_per_message=requests,
        time_to_first_ms=12.0 * drift,
        spread_ms=None if own else 1.2 * drift,
        generator_cpu=0.31 * drift,
        schedule_lag_p99_ms=0.4 * drift,
    )
    return run(
        scenario,
        transport,
        repeat,
        parameters={"subscribers": subscribers, "rate": rate, "size": size, **more},
        seconds=seconds,
        metrics=metrics,
        histogram=encoded(histogram(recorder.latencies)),
        series=tuple(recorder.series()),
    )


def _idle(transport: Transport, repeat: int) -> Run:
    drift = random.Random(f"idle {transport} {repeat}").gauss(1.0, 0.03)
    metrics = Metrics(
        delivered=1600,
        delivered_per_second=400.0,
        server_cpu_us_per_delivery={"ws": 21.0, "sse": 23.0, "poll": 180.0}[transport] * drift,
        server_memory_per_connection=MEMORY[transport] * drift,
        server_memory=62_000_000,
        bytes_up_per_message=112.0 if transport == "poll" else 0.0,
        bytes_down_per_message=48.0,
        requests_per_message=1.0 if transport == "poll" else 0.0,
        generator_cpu=0.05,
    )
    return run("idle", transport, repeat, parameters={"subscribers": 100, "more": 400}, metrics=metrics)


def _connect(transport: Transport, repeat: int) -> Run:
    drift = random.Random(f"connect {transport} {repeat}").gauss(1.0, 0.05)
    metrics = Metrics(
        p99_ms=40 * drift,
        delivered=300,
        lost=0,
        time_to_first_ms=9.0 * drift,
        connects_per_second=900 / SLOWNESS[transport] * drift,
        server_cpu_us_per_delivery=620 * drift,
        bytes_up_per_message=220.0,
        bytes_down_per_message=510.0,
        requests_per_message=1.0,
    )
    return run("connect", transport, repeat, parameters={"subscribers": 300}, metrics=metrics)


def _knee(transport: Transport, repeat: int) -> Iterator[Run]:
    """Ends with the first step that is not carried."""
    chance = random.Random(f"knee {transport} {repeat}")
    limit = CARRIED[transport] * chance.gauss(1.0, 0.08)
    for rate in (10.0, 15.0, 22.0, 34.0, 51.0, 76.0, 114.0, 171.0, 256.0, 384.0, 577.0):
        fill = rate / limit
        p50 = 1.6 * SLOWNESS[transport] * (1 + 4 * fill**4) * (1 if fill < 1 else 60)
        metrics = Metrics(
            p50_ms=p50,
            p99_ms=p50 * chance.uniform(3.0, 3.6),
            offered_per_second=rate,
            delivered=int(rate * 400),
            delivered_per_second=100 * min(rate, limit),
            lost=0,
            server_cpu_us_per_delivery=COST[transport] * (0.5 + 0.5 * min(1.0, 20 / rate)),
            requests_per_message=REQUESTS[transport] * min(1.0, 40 / rate),
            generator_cpu=min(0.95, 0.1 + rate / 900),
            schedule_lag_p99_ms=0.5,
        )
        parameters = {"subscribers": 100, "size": 128, "objective": 0.1, "rate": rate}
        yield run("knee", transport, repeat, parameters=parameters, metrics=metrics)
        if fill >= 1:
            return
