"""Results as tables for a terminal: medians over the repeats, with bootstrap 95% intervals."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import groupby

from rich import box
from rich.console import Console
from rich.table import Table

from tricast_bench.bench.judge import knees
from tricast_bench.results import Results, Run
from tricast_bench.scenarios import SCENARIOS, Scenario
from tricast_bench.stats import Estimate, estimate
from tricast_bench.titles import SCALES, TITLES

WIDE = 1000


def tables(results: Results, console: Console) -> Iterable[Table]:
    """One for each scenario that has runs; where the console is too narrow for that, one for each of its cases."""
    for name, scenario in SCENARIOS.items():
        if runs := [run for run in results.runs if run.scenario == name]:
            whole = _table(scenario, runs)
            needed = console.measure(whole, options=console.options.update(width=WIDE)).maximum
            yield from [whole] if needed <= console.width else _narrow(scenario, runs)


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
    """A row for each case and transport."""
    table = _titled(f"[bold]{scenario.name}[/] · {scenario.about}")
    table.add_column("")
    table.add_column("", no_wrap=True)
    for column in scenario.columns:
        table.add_column(TITLES[column], justify="right")
    before = None
    for of_case in sorted(_by_case(runs), key=_order):
        words = parameters_in_words(of_case[0])
        cells = (shown(of_case, column) for column in scenario.columns)
        table.add_row(words if words != before else "", of_case[0].transport, *cells)
        before = words
    return table


def _narrow(scenario: Scenario, runs: Sequence[Run]) -> Iterable[Table]:
    """The same turned round: a row for each metric, a column for each transport."""
    for words, cases in groupby(sorted(_by_case(runs), key=_order), lambda of_case: parameters_in_words(of_case[0])):
        table = _titled(f"[bold]{scenario.name}[/] · {words}")
        table.add_column("", no_wrap=True)
        side_by_side = list(cases)
        for of_case in side_by_side:
            table.add_column(of_case[0].transport, justify="right", overflow="fold")
        for column in scenario.columns:
            table.add_row(TITLES[column], *(shown(of_case, column) for of_case in side_by_side))
        yield table


def _titled(title: str) -> Table:
    return Table(title=title, title_justify="left", title_style="", box=box.SIMPLE_HEAD)


def shown(runs: Sequence[Run], metric: str) -> str:
    """Median (low–high) of one case; after ~ where only void runs are known."""
    valid = [run for run in runs if run.void is None] or list(runs)
    values = [float(value) for run in valid if (value := getattr(run.metrics, metric)) is not None]
    if not values:
        return "–"
    text = _interval(estimate(values), SCALES.get(metric, 1.0))
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
        ("content", "{}"),
        ("format", "{}"),
        ("slow", "{} of them slow"),
        ("whole", "{} of them whole"),
        ("delay_ms", "+{:g} ms each way"),
        ("through", "{}"),
        ("shape", "{}"),
        ("network", "{}"),
    ):
        if known.get(name):
            words.append(form.format(known[name]))
    if "compress" in known:
        words.append("compressed" if known["compress"] else "plain")
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
    words = [str(parameters.get(name) or "") for name in ("content", "format", "compress", "shape")]
    transport = ("mixed", "ws", "sse", "poll").index(runs[0].transport)
    return (*numbers, *words, bool(parameters.get("own_topics")), transport)


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
