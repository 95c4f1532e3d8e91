"""Samples to tables: median (min–max) over the rounds, and ratios of samples that were taken in one round."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from statistics import median

from rich import box
from rich.table import Table

from tricast_bench.generator import Load, Sample


@dataclass(frozen=True, slots=True)
class Measured:
    """One sample and where it belongs."""

    round: int
    transport: str
    server: str
    load: Load
    sample: Sample

    def as_json(self) -> dict[str, object]:
        return {
            "round": self.round,
            "transport": self.transport,
            "server": self.server,
            **asdict(self.load),
            **asdict(self.sample),
            "us_per_delivery": round(self.sample.cpu_per_delivery, 3),
            "deliveries_per_second": round(self.sample.deliveries_per_second),
            "void": self.sample.void,
        }


@dataclass(frozen=True, slots=True)
class Quantity:
    """What a table shows. Ratios are made so that more than 1 speaks for the first server."""

    title: str
    of: Callable[[Sample], float]
    show: Callable[[float], str]
    less_is_better: bool


CPU = Quantity("Server CPU per delivery, µs", lambda s: s.cpu_per_delivery, lambda v: f"{v:.1f}", True)
MOST = Quantity(
    "Thousands of deliveries per second", lambda s: s.deliveries_per_second / 1e3, lambda v: f"{v:,.0f}", False
)


def compare(measured: Sequence[Measured], quantity: Quantity, first: str, second: str) -> Table:
    """Two servers side by side, a row for each transport and load."""
    over, under = (second, first) if quantity.less_is_better else (first, second)
    table = Table(
        title=quantity.title,
        title_justify="left",
        title_style="bold",
        box=box.SIMPLE_HEAD,
        padding=(0, 1),
        pad_edge=False,
    )
    table.add_column("", no_wrap=True)
    table.add_column("load", no_wrap=True)
    for heading in (first, second, f"{over} ÷ {under}"):
        table.add_column(heading, justify="right", no_wrap=True)
    for transport, load in dict.fromkeys((m.transport, m.load) for m in measured):
        row = [m for m in measured if (m.transport, m.load) == (transport, load) and not m.sample.void]
        values = {name: {m.round: quantity.of(m.sample) for m in row if m.server == name} for name in (first, second)}
        rounds = values[first].keys() & values[second].keys()
        table.add_row(
            transport,
            str(load),
            *(
                _spread(values[name].values(), quantity.show) + _mark(m for m in row if m.server == name)
                for name in (first, second)
            ),
            _spread(
                (values[over][r] / values[under][r] for r in rounds),
                lambda ratio: f"{ratio:.2f}" if ratio < 10 else f"{ratio:.1f}",
            ),
        )
    return table


def notes(measured: Sequence[Measured]) -> list[str]:
    """What must be known beside the tables."""
    said = []
    late = [m for m in measured if not m.sample.void and not m.sample.kept_up]
    if late:
        window = max(m.load.window for m in late)
        said.append(f"* did not keep up: up to {window} publishes waited, and the CPU is that of what was delivered")
    reasons = [m.sample.void for m in measured if m.sample.void]
    for reason in dict.fromkeys(reasons):
        said.append(f"void: {reasons.count(reason)} of {len(measured)} samples are left out, as {reason}")
    return said


def _spread(values: Iterable[float], show: Callable[[float], str]) -> str:
    """Median, and the range where there is one."""
    known = list(values)
    if not known:
        return "void"
    if len(known) == 1:
        return show(known[0])
    return f"{show(median(known))} ({show(min(known))}–{show(max(known))})"


def _mark(measured: Iterable[Measured]) -> str:
    return " " if all(m.sample.kept_up for m in measured) else "*"
