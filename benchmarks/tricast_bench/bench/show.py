"""Results as tables for a terminal: medians over the repeats, with bootstrap 95% intervals."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from rich import box
from rich.table import Table

from tricast_bench.bench.judge import knees
from tricast_bench.results import Results, Run
from tricast_bench.scenarios import SCENARIOS, Scenario
from tricast_bench.stats import Estimate, estimate

TITLES = {
    "p50_ms": "p50, ms",
    "p90_ms": "p90, ms",
    "p99_ms": "p99, ms",
    "p999_ms": "p99.9, ms",
    "max_ms": "max, ms",
    "offered_per_second": "sent/s",
    "delivered": "delivered",
    "delivered_per_second": "delivered/s",
    "lost": "lost",
    "duplicated": "doubled",
    "reordered": "out of order",
    "gaps": "in gaps",
    "server_cpu_us_per_delivery": "CPU, µs each",
    "server_memory_per_connection": "memory each, KiB",
    "server_memory": "memory, MiB",
    "server_files": "descriptors",
    "bytes_up_per_message": "bytes up",
    "bytes_down_per_message": "bytes down",
    "requests_per_message": "requests",
    "time_to_first_ms": "first, ms",
    "spread_ms": "spread, ms",
    "connects_per_second": "connects/s",
    "generator_cpu": "load's core, %",
    "schedule_lag_p99_ms": "lag p99, ms",
}
"""What people call the metrics."""
_SCALES = {"server_memory_per_connection": 1 / 1024, "server_memory": 1 / 2**20, "generator_cpu": 100.0}


def tables(results: Results) -> Iterable[Table]:
    """One for each scenario that has runs."""
    for name, scenario in SCENARIOS.items():
        if runs := [run for run in results.runs if run.scenario == name]:
            yield _table(scenario, runs)


def notes(results: Results) -> list[str]:
    """What must be known beside the tables."""
    said = [f"{name}: not measured, as {reason}" for name, reason in results.settings.skipped.items()]
    void = [run for run in results.runs if run.void is not None]
    if void:
        said.append(f"{len(void)} of {len(results.runs)} runs are void and left out of the medians:")
        reasons = [_kind_of(run.void or "") for run in void]
        said += [f"  {reasons.count(reason)} x {reason}" for reason in dict.fromkeys(reasons)]
    if any(_only_void(runs) for runs in _by_case(results.runs)):
        said.append("~ only void runs: the figures are of these, and say little about the server")
    for knee in knees(results.runs):
        carried = "no rate" if knee.rate is None else f"{knee.rate:g} messages/s"
        more = "; what comes next was void, or not tried" if knee.limited_by_load else ""
        said.append(f"knee, {knee.transport}, repeat {knee.repeat}: {carried} carried{more}")
    return said


def _table(scenario: Scenario, runs: Sequence[Run]) -> Table:
    table = Table(
        title=f"[bold]{scenario.name}[/] · {scenario.about}", title_justify="left", title_style="", box=box.SIMPLE_HEAD
    )
    table.add_column("")
    table.add_column("", no_wrap=True)
    for column in scenario.columns:
        table.add_column(TITLES[column], justify="right")
    before = None
    for of_case in sorted(_by_case(runs), key=_order):
        first = of_case[0]
        words = parameters_in_words(first)
        table.add_row(
            words if words != before else "", first.transport, *(shown(of_case, column) for column in scenario.columns)
        )
        before = words
    return table


def shown(runs: Sequence[Run], metric: str) -> str:
    """Median (low–high) of one case; after ~ where only void runs are known."""
    valid = [run for run in runs if run.void is None] or list(runs)
    values = [float(value) for run in valid if (value := getattr(run.metrics, metric)) is not None]
    if not values:
        return "–"
    text = _interval(estimate(values), _SCALES.get(metric, 1.0))
    return f"[dim]~{text}[/]" if _only_void(runs) else text


def number(value: float) -> str:
    """Three digits are enough."""
    if value == 0 or abs(value) >= 100 or value == int(value):
        return f"{value:,.0f}"
    return f"{value:.1f}" if abs(value) >= 10 else f"{value:.2f}"


def parameters_in_words(run: Run) -> str:
    """Of a run's case, shortly."""
    known = dict(run.parameters)
    words = []
    for name, form in (
        ("subscribers", "{} clients"),
        ("more", "then {}"),
        ("rate", "{:g}/s"),
        ("size", "{} B"),
        ("slow", "{} of them slow"),
        ("whole", "{} of them whole"),
        ("delay_ms", "+{:g} ms each way"),
        ("through", "{}"),
        ("shape", "{}"),
        ("network", "{}"),
    ):
        if known.get(name):
            words.append(form.format(known[name]))
    if known.get("own_topics"):
        words.append("echo")
    return ", ".join(words)


def _interval(of: Estimate, scale: float) -> str:
    value, low, high = (number(part * scale) for part in (of.value, of.low, of.high))
    return value if of.runs == 1 or low == high else f"{value} ({low}–{high})"


def _by_case(runs: Iterable[Run]) -> list[list[Run]]:
    cases: dict[object, list[Run]] = {}
    for run in runs:
        cases.setdefault(run.case, []).append(run)
    return list(cases.values())


def _order(runs: Sequence[Run]) -> tuple[object, ...]:
    parameters = runs[0].parameters
    numbers = [float(parameters.get(name) or 0) for name in ("subscribers", "size", "rate")]
    transport = ("mixed", "ws", "sse", "poll").index(runs[0].transport)
    return (*numbers, str(parameters.get("shape", "")), bool(parameters.get("own_topics")), transport)


def _only_void(runs: Sequence[Run]) -> bool:
    return all(run.void is not None for run in runs)


def _kind_of(reason: str) -> str:
    """Without its figures and further lines, so that reasons can be counted."""
    first = reason.strip().splitlines()[-1] if reason.startswith("Traceback") else reason.splitlines()[0]
    for mark in (" for ", ": its p99", " of its core, more"):
        head, found, _ = first.partition(mark)
        if found and any(letter.isdigit() for letter in first[len(head) :]):
            return f"{head} (…)" if mark != " for " else f"{head} for too much of the time"
    return first
