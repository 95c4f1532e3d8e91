"""From results to the numbers of the comparison: a median, an interval and a verdict for each cell. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from tricast_bench.bench.judge import Knee, knees
from tricast_bench.report.cases import Case, cases, estimated, reference
from tricast_bench.results import TRANSPORTS, Results, Transport
from tricast_bench.stats import Estimate, ratio

Verdict = Literal["best", "least", "no difference", "worse", "too few runs", "open", "alone"]
"""`least`: the best by its median, where there are too few runs to call it that; `open`: it may be better than this."""
PAIRS_MIN = 3
"""Rounds in which both transports were measured: with fewer there is no interval."""


@dataclass(frozen=True, slots=True)
class Cell:
    """One transport's share of a row. `factor` is how many times worse than the best, in paired rounds.

    `at_least`: the measurement ended before the value was reached.
    """

    value: Estimate
    verdict: Verdict
    factor: Estimate | None = None
    at_least: bool = False


@dataclass(frozen=True, slots=True)
class Row:
    """One metric of one case. `scale` brings its values to `unit`; a transport without a cell has only void runs,
    or none."""

    key: str
    title: str
    unit: str
    scale: float
    case: Case | None
    cells: Mapping[Transport, Cell]
    more_is_better: bool = False

    @property
    def best(self) -> Transport | None:
        return next((name for name, cell in self.cells.items() if cell.verdict in ("best", "least", "alone")), None)

    def value(self, transport: Transport) -> float | None:
        """In `unit`."""
        cell = self.cells.get(transport)
        return None if cell is None else cell.value.value * self.scale

    def is_void(self, transport: Transport) -> bool:
        """Whether it was measured, but no run of it counts."""
        return self.case is not None and transport not in self.cells and bool(self.case.void.get(transport))


@dataclass(frozen=True, slots=True)
class Group:
    """Rows of one case."""

    title: str
    scenario: str
    case: Case | None
    rows: Sequence[Row]


@dataclass(frozen=True, slots=True)
class Summary:
    """All that the comparison and the guide say is in here."""

    groups: Sequence[Group]
    cases: Sequence[Case]
    knees: Sequence[Knee]
    transports: Sequence[Transport]

    def row(self, key: str) -> Row:
        return next(row for group in self.groups for row in group.rows if row.key == key)

    def of(self, scenario: str) -> list[Case]:
        return [case for case in self.cases if case.scenario == scenario]


COLUMNS = {
    "p50": ("p50_ms", "Latency, p50", "ms", 1.0),
    "p99": ("p99_ms", "Latency, p99", "ms", 1.0),
    "cpu": ("server_cpu_us_per_delivery", "Server CPU per delivery", "µs", 1.0),
    "down": ("bytes_down_per_message", "Bytes per message, down", "B", 1.0),
    "up": ("bytes_up_per_message", "Bytes per message, up", "B", 1.0),
    "requests": ("requests_per_message", "Requests per message", "", 1.0),
    "memory": ("server_memory_per_connection", "Memory per connection", "KiB", 1 / 1024),
    "beat": ("server_cpu_us_per_delivery", "Server CPU per heartbeat or empty poll", "µs", 1.0),
}
GROUPS = (
    ("There and back", "echo", ("p50", "p99", "cpu", "down", "up", "requests")),
    ("One to many", "broadcast", ("p50", "p99", "cpu", "down", "up", "requests")),
    ("Connections at rest", "idle", ("memory", "beat")),
)
KNEE = "Most deliveries carried"


def summarise(results: Results) -> Summary:
    known = cases(results)
    found = carried(results)
    groups = []
    for title, scenario, keys in GROUPS:
        case = reference(case for case in known if case.scenario == scenario)
        groups.append(Group(title, scenario, case, [_row(f"{scenario}.{key}", key, case) for key in keys]))
    most = next((case for case in known if case.scenario == "knee"), None)
    groups.append(Group("Under load", "knee", most, [_knee_row(found, most)]))
    named = [name for name in TRANSPORTS if any(case.runs.get(name) or case.void.get(name) for case in known)]
    return Summary(groups, known, found, named)


def compared(values: Mapping[Transport, Mapping[int, float]], *, more_is_better: bool = False) -> dict[Transport, Cell]:
    """Cells of one row from values by repeat: who is best, and who cannot be told from it."""
    estimates = {name: of for name, some in values.items() if (of := estimated(tuple(some.values()))) is not None}
    if not estimates:
        return {}
    sign = -1 if more_is_better else 1
    best = min(estimates, key=lambda name: sign * estimates[name].value)
    cells = {}
    for name, value in estimates.items():
        factor = None if name == best else _factor(values[name], values[best], more_is_better=more_is_better)
        verdict: Verdict
        if len(estimates) == 1:
            verdict = "alone"
        elif name == best:
            verdict = "best"
        elif len(values[name].keys() & values[best].keys()) < PAIRS_MIN:
            verdict = "too few runs"
        elif factor is not None:
            verdict = "no difference" if factor.covers(1.0) else "worse"
        else:
            apart = value.low > estimates[best].high or value.high < estimates[best].low
            verdict = "worse" if apart else "no difference"
        cells[name] = Cell(value, verdict, factor)
    if len(cells) > 1 and all(cell.verdict == "too few runs" for name, cell in cells.items() if name != best):
        cells[best] = replace(cells[best], verdict="least")
    return cells


def carried(results: Results) -> list[Knee]:
    """The highest rate that each transport carried in each repeat."""
    try:
        return knees(results.runs)
    except (TypeError, ValueError):
        return []


def _factor(these: Mapping[int, float], best: Mapping[int, float], *, more_is_better: bool) -> Estimate | None:
    """How many times worse, from rounds in which both were measured. None where there is no ratio, as with zeros."""
    pairs = [(these[repeat], best[repeat]) for repeat in sorted(these.keys() & best.keys())]
    if not pairs or any(min(pair) <= 0 for pair in pairs):
        return None
    return ratio([(second, first) for first, second in pairs] if more_is_better else pairs)


def _row(key: str, column: str, case: Case | None) -> Row:
    metric, title, unit, scale = COLUMNS[column]
    values = {} if case is None else {name: case.values(name, metric) for name in TRANSPORTS}
    return Row(key, title, unit, scale, case, compared(values))


def _knee_row(found: Sequence[Knee], case: Case | None) -> Row:
    """Rounds that ended with a void run before any rate was carried say nothing."""
    values: dict[Transport, dict[int, float]] = {name: {} for name in TRANSPORTS}
    for knee in found:
        if knee.transport in values and not (knee.rate is None and knee.limited_by_load):
            values[knee.transport][knee.repeat] = knee.deliveries_per_second or 0.0
    cells = compared(values, more_is_better=True)
    for name in {knee.transport for knee in found if knee.limited_by_load} & cells.keys():
        verdict = "open" if cells[name].verdict in ("worse", "no difference") else cells[name].verdict
        cells[name] = replace(cells[name], at_least=True, verdict=verdict)
    return Row("knee.most", KNEE, "per second", 1.0, case, cells, True)
