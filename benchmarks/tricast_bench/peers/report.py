"""Samples to tables: servers down, loads across; the median of the rounds, and beside it the ratio to tricast."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from statistics import median

from rich import box
from rich.table import Table

from tricast_bench.peers.measure import Measured, Metric
from tricast_bench.peers.workloads import WORKLOADS, Workload

INCOMPLETE, LIMITED = "*", "†"
REASON_MAX = 300


@dataclass(frozen=True, slots=True)
class Section:
    """One table."""

    title: str
    metric: Metric
    show: Callable[[float], str]
    holds: Callable[[Workload], bool]


def _paced(*transports: str) -> Callable[[Workload], bool]:
    return lambda w: w.transport in transports and not w.idle and not w.window


def _microseconds(value: float) -> str:
    return f"{value:.1f}"


def _milliseconds(value: float) -> str:
    return f"{value:,.1f}"


def _thousands(value: float) -> str:
    return f"{value / 1e3:,.0f}"


def _flat_out(transport: str) -> Callable[[Workload], bool]:
    return lambda w: w.transport == transport and w.window > 0


CPU, LATENCY, MOST = "server CPU per delivery, µs", "latency, p99, ms", "thousands of deliveries per second, flat-out"
SECTIONS = (
    Section(f"WebSocket: {CPU}", "us_per_delivery", _microseconds, _paced("ws")),
    Section(f"WebSocket: {LATENCY}", "p99", _milliseconds, _paced("ws")),
    Section(f"WebSocket: {MOST}", "deliveries_per_second", _thousands, _flat_out("ws")),
    Section(f"Server-Sent Events: {CPU}", "us_per_delivery", _microseconds, _paced("sse")),
    Section(f"Server-Sent Events: {LATENCY}", "p99", _milliseconds, _paced("sse")),
    Section(f"Server-Sent Events: {MOST}", "deliveries_per_second", _thousands, _flat_out("sse")),
    Section(f"Echo and long poll: {CPU}", "us_per_delivery", _microseconds, _paced("echo", "poll")),
    Section(f"Echo and long poll: {LATENCY}", "p99", _milliseconds, _paced("echo", "poll")),
    Section("Memory per idle connection, KiB", "kib_per_connection", _microseconds, lambda w: w.idle),
)


def ratio_in_rounds(samples: Sequence[Measured], workload: str, metric: Metric, over: str, under: str) -> list[float]:
    """`over` divided by `under`, for each round that has both."""
    values = {name: by_round(samples, workload, metric, name) for name in (over, under)}
    rounds = sorted(values[over].keys() & values[under].keys())
    return [values[over][number] / values[under][number] for number in rounds if values[under][number] > 0]


def by_round(samples: Sequence[Measured], workload: str, metric: Metric, peer: str) -> dict[int, float]:
    return {
        sample.round: value
        for sample in samples
        if (sample.workload, sample.peer) == (workload, peer) and (value := sample.value(metric)) is not None
    }


def tables(samples: Sequence[Measured], base: str) -> list[Table]:
    """A table for each section that something was measured for."""
    return [_table(section, loads, samples, base) for section in SECTIONS if (loads := columns(section, samples))]


def columns(section: Section, samples: Sequence[Measured]) -> list[Workload]:
    """The loads of a section that something was measured for."""
    measured = {sample.workload for sample in samples}
    return [load for load in WORKLOADS if load.name in measured and section.holds(load)]


def _table(section: Section, loads: Sequence[Workload], samples: Sequence[Measured], base: str) -> Table:
    table = Table(
        title=section.title,
        title_justify="left",
        title_style="bold",
        box=box.SIMPLE_HEAD,
        padding=(0, 1),
        pad_edge=False,
    )
    table.add_column("", no_wrap=True)
    for workload in loads:
        table.add_column(workload.title, justify="right", no_wrap=True)
    names = {w.name for w in loads}
    for peer in dict.fromkeys(s.peer for s in samples if s.workload in names):
        table.add_row(peer, *(cell(section, w.name, peer, samples, base, dim=True) for w in loads))
    return table


def cell(
    section: Section, workload: str, peer: str, samples: Sequence[Measured], base: str, *, dim: bool = False
) -> str:
    """A figure and its ratio to `base`; `dim` marks the ratio up for a terminal."""
    own = [sample for sample in samples if (sample.workload, sample.peer) == (workload, peer)]
    values = by_round(own, workload, section.metric, peer)
    if not values:
        return "" if not own else "failed" if any(sample.failed for sample in own) else "void"
    text = section.show(median(values.values()))
    text += INCOMPLETE if any(not sample.complete for sample in own) else ""
    text += LIMITED if any(sample.limited for sample in own) else ""
    ratios = ratio_in_rounds(samples, workload, section.metric, peer, base)
    if peer == base or not ratios:
        return text
    ratio = f"{median(ratios):.2f}×"
    return f"{text} [dim]{ratio}[/]" if dim else f"{text} ({ratio})"


def notes(samples: Sequence[Measured], left_out: Mapping[str, str]) -> list[str]:
    """What must be known beside the tables."""
    said = [f"not measured: {name}, as {reason}" for name, reason in left_out.items()]
    for sample in samples:
        if sample.failed:
            said.append(f"failed: {sample.peer}, {sample.workload}, round {sample.round}: {sample.failed[:REASON_MAX]}")
    if any(not sample.complete for sample in samples):
        said.append(f"{INCOMPLETE} not everything had arrived 10 s after the last publish, or something came twice")
    if any(sample.limited for sample in samples):
        said.append(f"{LIMITED} the load was busy for over 80% of the time: the server could have done more")
    for reason in dict.fromkeys(sample.void for sample in samples if sample.void):
        count = sum(sample.void == reason for sample in samples)
        said.append(f"void: {count} of {len(samples)} samples are left out, as {reason}")
    return said
