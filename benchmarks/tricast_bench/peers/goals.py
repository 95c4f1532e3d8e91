"""What tricast wants to reach beside the others, as data, and whether a run reached it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Literal

from rich import box
from rich.table import Table

from tricast_bench.peers.measure import Measured, Metric
from tricast_bench.peers.report import by_round, ratio_in_rounds

UNITS: dict[Metric, str] = {
    "us_per_delivery": "µs",
    "deliveries_per_second": "per second",
    "p50": "p50 ms",
    "p99": "p99 ms",
    "kib_per_connection": "KiB",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Goal:
    """`metric` of `peer`, divided by that of `against` if there is one, is `at` most or least `limit`.

    With `metric` None: each subscriber got every message once, in all rounds.
    """

    workload: str
    metric: Metric | None
    limit: float = 1.0
    against: str | None = None
    at: Literal["most", "least"] = "most"
    peer: str = "tricast"

    def __str__(self) -> str:
        if self.metric is None:
            return "everything delivered"
        other = f" × {self.against}" if self.against else ""
        return f"{UNITS[self.metric]} {'≤' if self.at == 'most' else '≥'} {self.limit:g}{other}"


@dataclass(frozen=True, slots=True)
class Verdict:
    """`value` is the median of the rounds, None where nothing was measured; then it is not `met`, nor missed."""

    goal: Goal
    value: float | None
    met: bool | None


def _cpu(workloads: Iterable[str], *limits: tuple[float, str], peer: str = "tricast") -> Iterator[Goal]:
    for workload in workloads:
        for limit, against in limits:
            yield Goal(workload=workload, metric="us_per_delivery", limit=limit, against=against, peer=peer)


def _flat_out(window: int, *limits: tuple[float, str]) -> Iterator[Goal]:
    for limit, against in limits:
        yield Goal(
            workload=f"ws-flat-{window}", metric="deliveries_per_second", limit=limit, against=against, at="least"
        )


def _memory(*limits: tuple[float, str, tuple[str, ...]]) -> Iterator[Goal]:
    for limit, against, transports in limits:
        for transport in transports:
            yield Goal(workload=f"idle-{transport}", metric="kib_per_connection", limit=limit, against=against)


GOALS: tuple[Goal, ...] = (
    *_cpu(("ws-20", "ws-100"), (1.35, "floor"), (0.95, "nchan"), (0.85, "node-ws"), (0.75, "socketio")),
    *_cpu(("sse-20", "sse-100"), (1.35, "floor"), (0.85, "nchan"), (0.3, "starlette")),
    *_cpu(("ws-100", "sse-100"), (0.6, "nchan"), peer="tricast-10ms"),
    *(Goal(workload=name, metric=None) for name in ("ws-400", "sse-400")),
    *(Goal(workload=name, metric="p99", limit=25.0) for name in ("ws-400", "sse-400")),
    *_cpu(("ws-400", "sse-400"), (0.65, "nchan")),
    *_flat_out(32, (10.0, "nchan"), (10.0, "socketio"), (1.2, "nats")),
    *_flat_out(1, (1.0, "nchan")),
    *_cpu(("echo",), (1.15, "node-ws"), (1.35, "nchan"), (0.5, "socketio")),
    *_cpu(("poll-10",), (3.0, "nchan"), (0.4, "socketio")),
    Goal(workload="poll-10", metric="p99", limit=1.0, against="socketio"),
    Goal(workload="poll-500", metric=None),
    Goal(workload="poll-500", metric="p99", limit=1.0, against="socketio"),
    Goal(workload="poll-500", metric="p99", limit=3.0, against="nchan"),
    *_memory((1.6, "nchan", ("ws", "sse", "poll")), (0.6, "socketio", ("ws", "poll"))),
)


def check(samples: Sequence[Measured], goals: Iterable[Goal] = GOALS) -> list[Verdict]:
    return [_verdict(goal, samples) for goal in goals]


def _verdict(goal: Goal, samples: Sequence[Measured]) -> Verdict:
    if goal.metric is None:
        own = [s for s in samples if (s.workload, s.peer) == (goal.workload, goal.peer) and not s.void]
        return Verdict(goal, None, all(s.complete and not s.failed for s in own) if own else None)
    if goal.against is None:
        values = list(by_round(samples, goal.workload, goal.metric, goal.peer).values())
    else:
        values = ratio_in_rounds(samples, goal.workload, goal.metric, goal.peer, goal.against)
    if not values:
        return Verdict(goal, None, None)
    value = median(values)
    return Verdict(goal, value, value <= goal.limit if goal.at == "most" else value >= goal.limit)


def as_table(verdicts: Sequence[Verdict]) -> Table:
    table = Table(title="Goals", title_justify="left", title_style="bold", box=box.SIMPLE_HEAD, pad_edge=False)
    for heading in ("load", "server", "goal"):
        table.add_column(heading, no_wrap=True)
    table.add_column("measured", justify="right", no_wrap=True)
    table.add_column("", no_wrap=True)
    for verdict in verdicts:
        outcome = {True: "[green]met[/]", False: "[red]missed[/]", None: "[dim]no data[/]"}[verdict.met]
        value = "" if verdict.value is None else f"{verdict.value:.2f}"
        goal = verdict.goal
        table.add_row(goal.workload, goal.peer, str(goal), value, outcome)
    return table
