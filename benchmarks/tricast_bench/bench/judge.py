"""Whether a run says something about the server, or only about the load; and whether a load was carried."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from tricast_bench.bench.meter import Usage
from tricast_bench.results import Metrics, Run, Transport

CPU_MAX = 0.8
"""Share of its core that the load may take."""
WAITED_MAX = 0.1
"""Share of the time that the server or the load may be kept off its core by others."""
LAG_SHARE_MAX = 0.5
LAG_MIN_MS = 2.0
"""The load's lateness is part of the latency: it must not be most of it, unless both are small."""
GROWTH = 2.0
GROWTH_MS = 5.0


def void(before: Usage, after: Usage, lag_p99: float | None, p99: float | None, *, shared: bool = False) -> str | None:
    """Why a run tells nothing about the server; latencies in milliseconds. `shared`: it has no core of its own."""
    elapsed = after.at - before.at
    cpu = before.own_share(after)
    if cpu > CPU_MAX:
        return f"the load took {cpu:.0%} of its core, more than {CPU_MAX:.0%}"
    for who, waited in (
        ("the server", 0 if shared else after.waited - before.waited),
        ("the load", after.own_waited - before.own_waited),
    ):
        if waited > WAITED_MAX * elapsed:
            return f"other processes kept {who} off its core for {waited / elapsed:.0%} of the time"
    if lag_p99 is not None and p99 is not None and lag_p99 > max(LAG_MIN_MS, LAG_SHARE_MAX * p99):
        return f"the load was late: its p99 of {lag_p99:.1f} ms is most of the latency's {p99:.1f} ms"
    return None


def carried(metrics: Metrics, series: Sequence[tuple[float, float, float, int]], objective: float) -> bool:
    """Whether p99 kept the objective (seconds), everything was delivered, and the backlog did not grow."""
    if metrics.p99_ms is None or metrics.lost or metrics.gaps:
        return False
    return metrics.p99_ms <= 1e3 * objective and not grows([p50 for _, p50, _, _ in series])


def grows(p50s: Sequence[float]) -> bool:
    """Whether latency goes up from the first third of a run to the last, as it does where a backlog grows."""
    third = len(p50s) // 3
    if not third:
        return False
    first, last = sum(p50s[:third]) / third, sum(p50s[-third:]) / third
    return last > GROWTH * first + GROWTH_MS


@dataclass(frozen=True, slots=True)
class Knee:
    """The highest rate (messages a second) that a server carried in one repeat of scenario `knee`; None: not one.

    `limited_by_load`: it may carry more, as the search ended in a void step, or with the last rate of the list.
    """

    transport: Transport
    repeat: int
    rate: float | None
    deliveries_per_second: float | None
    limited_by_load: bool


def knees(runs: Iterable[Run]) -> list[Knee]:
    """One for each transport and repeat. Where steps were taken again, as they were void, the last of them count."""
    rounds: dict[tuple[Transport, int], dict[float, Run]] = defaultdict(dict)
    for run in sorted(runs, key=lambda run: run.order):
        if run.scenario == "knee" and isinstance(rate := run.parameters.get("rate"), int | float):
            rounds[run.transport, run.repeat][float(rate)] = run
    found = []
    for (transport, repeat), steps in rounds.items():
        best: Run | None = None
        limited = True
        for _, run in sorted(steps.items()):
            if run.void is not None:
                break
            if not carried(run.metrics, run.series, float(run.parameters.get("objective") or 0)):
                limited = False
                break
            best = run
        rate = None if best is None else best.metrics.offered_per_second
        each = None if best is None else best.metrics.delivered_per_second
        found.append(Knee(transport, repeat, rate, each, limited))
    return found
