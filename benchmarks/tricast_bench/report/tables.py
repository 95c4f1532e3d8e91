"""The tables of the report as HTML."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from tricast_bench.report.cases import Case
from tricast_bench.report.facts import FACTS, PROXIES_SOURCE
from tricast_bench.report.formats import side_by_side
from tricast_bench.report.markup import Markup, join, tag
from tricast_bench.report.summary import Cell, Group, Row, Summary
from tricast_bench.report.words import (
    HEADINGS,
    NAMES,
    case_in_words,
    count,
    interval,
    listed,
    number,
)
from tricast_bench.results import TRANSPORTS, Results, Run, Transport
from tricast_bench.scenarios import SCENARIOS
from tricast_bench.stats import Estimate
from tricast_bench.titles import SCALES, TITLES

COLUMNS = ("p50_ms", "p99_ms", "server_cpu_us_per_delivery", "delivered_per_second", "lost")
"""Of scenarios that are not known here."""
VERDICTS = {
    "best": "best",
    "least": "too few runs to compare",
    "alone": "",
    "no difference": "no difference",
    "too few runs": "too few runs to compare",
    "open": "the load ended first",
}
VOID_MAX = 40
"""Rows of void runs; the rest is counted."""


def boxed(table: Markup, label: str) -> Markup:
    """In a box of its own that scrolls where it is too wide, by keyboard too."""
    return tag("div", table, class_="wide", tabindex="0", role="region", aria_label=label)


def comparison(summary: Summary) -> Markup:
    """What is known and what was measured, a column for each transport."""
    marks = [tag("th", tag("span", HEADINGS[name], class_=f"key {name}"), scope="col") for name in TRANSPORTS]
    head = tag("thead", tag("tr", tag("td"), *marks))
    facts = [
        tag("tr", tag("th", title, scope="row"), *[tag("td", words[name]) for name in TRANSPORTS])
        for title, words in FACTS
    ]
    bodies = [tag("tbody", *facts, class_="facts")]
    bodies += [_group(group) for group in summary.groups]
    return boxed(tag("table", head, *bodies, class_="comparison"), "Comparison of the three transports")


def _group(group: Group) -> Markup:
    case = f" ({group.scenario}: {_group_words(group)})" if group.case is not None else f" (scenario {group.scenario})"
    title = tag("tr", tag("th", tag("b", group.title), case, colspan="4", scope="rowgroup", class_="group"))
    return tag("tbody", title, *[_row(row) for row in group.rows])


def _group_words(group: Group) -> str:
    assert group.case is not None
    return case_in_words(group.case.parameters, rate=group.scenario != "knee")


def _row(row: Row) -> Markup:
    unit = join([", ", tag("span", row.unit, class_="unit")]) if row.unit else Markup("")
    cells = [_cell(row, name) for name in TRANSPORTS]
    return tag("tr", tag("th", row.title, unit, scope="row"), *cells)


def _cell(row: Row, name: Transport) -> Markup:
    cell = row.cells.get(name)
    if cell is None:
        return tag("td", "only void runs" if row.is_void(name) else "not measured", class_="none")
    least = "≥ " if cell.at_least else ""
    value = tag("span", f"{least}{number(cell.value.value * row.scale)}", class_="value")
    first = join([value, _range(cell.value, row.scale)], " ")
    return tag("td", first, _verdict(row, cell), class_=f"cell {_class(cell)}")


def _range(of: Estimate, scale: float) -> Markup:
    if of.runs == 1:
        return tag("span", "one run", class_="range")
    if of.low == of.high:
        return Markup("")
    words = interval(of, scale)
    return tag("span", f"({words})" if of.runs >= 3 else f"({words}, two runs)", class_="range")


def _verdict(row: Row, cell: Cell) -> Markup:
    said = VERDICTS.get(cell.verdict)
    if said is None:
        if cell.factor is None:
            said = "less" if row.more_is_better else "more"
        else:
            said = f"{'÷' if row.more_is_better else '×'} {number(cell.factor.value)} ({interval(cell.factor)})"
    return tag("span", said, class_="verdict") if said else Markup("")


def _class(cell: Cell) -> str:
    return "best" if cell.verdict in ("best", "no difference") else "other"


def sources() -> Markup:
    """Where the unmeasured rows come from."""
    return tag(
        "p", f"Proxies passed: from {PROXIES_SOURCE}. The rows above it follow from the protocols.", class_="small"
    )


def scenarios(summary: Summary) -> Markup:
    """Every case in numbers, a table for each scenario."""
    names = list(dict.fromkeys(case.scenario for case in summary.cases))
    return join(_scenario(name, summary.of(name)) for name in names)


def _scenario(name: str, some: Sequence[Case]) -> Markup:
    known = SCENARIOS.get(name)
    columns = known.columns if known is not None else COLUMNS
    titles = [tag("th", TITLES.get(column, column), scope="col", class_="number") for column in columns]
    rows = []
    for case in some:
        transports = case.transports() or sorted(case.void)
        for index, transport in enumerate(transports):
            first = [tag("th", case.words, scope="rowgroup", rowspan=len(transports))] if index == 0 else []
            mark = tag("span", NAMES.get(transport, transport), class_=f"key {transport}")
            cells = [_number(case, transport, column) for column in columns]
            rows.append(tag("tr", *first, tag("td", mark), *cells, class_="first" if index == 0 else None))
    head = tag("thead", tag("tr", tag("th", "case", scope="col"), tag("th", "transport", scope="col"), *titles))
    table = tag("table", head, tag("tbody", *rows), class_="numbers")
    about = tag("p", known.about, ".", class_="small") if known is not None else Markup("")
    parts = [tag("h3", name), about, boxed(table, f"Scenario {name}")]
    if (compared := side_by_side(some)) is not None:
        words = "The same side by side: bytes down for each message, server CPU and latency, × those of plain JSON."
        parts += [tag("p", words, class_="small"), boxed(compared, f"Formats in scenario {name}")]
    return join(parts)


def _number(case: Case, transport: Transport, metric: str) -> Markup:
    of = case.estimate(transport, metric)
    if of is None:
        words = "void" if not case.runs.get(transport) else "–"
        return tag("td", words, class_="number none")
    scale = SCALES.get(metric, 1.0)
    more = [] if of.runs == 1 or of.low == of.high else [tag("span", interval(of, scale), class_="range")]
    return tag("td", tag("span", number(of.value * scale), class_="value"), *more, class_="number")


def load(summary: Summary) -> Markup | None:
    """What was asked for and what came of it. None where no run has an offered load."""
    rows = []
    for case in summary.cases:
        for transport in case.transports():
            offered, got = (
                case.estimate(transport, "offered_per_second"),
                case.estimate(transport, "delivered_per_second"),
            )
            if offered is None or got is None or transport == "mixed":
                continue
            each = 1.0 if case.parameters.get("own_topics") else _heard(case)
            wanted = offered.value * each
            lag, core = case.estimate(transport, "schedule_lag_p99_ms"), case.estimate(transport, "generator_cpu")
            share = f"{got.value / wanted:.1%}" if wanted else "–"
            rows.append(
                tag(
                    "tr",
                    tag("td", f"{case.scenario}: {case.words}"),
                    tag("td", tag("span", NAMES[transport], class_=f"key {transport}")),
                    *[
                        tag("td", words, class_="number")
                        for words in (
                            number(wanted),
                            number(got.value),
                            share,
                            "–" if lag is None else number(lag.value),
                            "–" if core is None else f"{core.value:.0%}",
                        )
                    ],
                )
            )
    if not rows:
        return None
    titles = ("deliveries/s offered", "achieved", "share", "schedule lag p99, ms", "load’s core")
    head = tag(
        "tr", tag("th", "case"), tag("th", "transport"), *[tag("th", title, class_="number") for title in titles]
    )
    return boxed(tag("table", tag("thead", head), tag("tbody", *rows), class_="numbers"), "Offered and achieved load")


def _heard(case: Case) -> float:
    """How many subscribers a message has, on one transport."""
    everyone = case.number("subscribers")
    parts = [name for name in case.transports() if name != "mixed"]
    return everyone / len(parts) if case.runs.get("mixed") and parts else everyone


def voids(results: Results) -> Markup | None:
    """Runs that do not count, with the reason. None where all count."""
    void = sorted((run for run in results.runs if run.void is not None), key=lambda run: run.order)
    if not void:
        return None
    rows = [_void(run) for run in void[:VOID_MAX]]
    titles = ("run", "scenario", "case", "transport", "round", "reason")
    head = tag("thead", tag("tr", *[tag("th", title, scope="col") for title in titles]))
    table = boxed(tag("table", head, tag("tbody", *rows), class_="numbers voids"), "Void runs")
    if len(void) <= VOID_MAX:
        return table
    return join(
        [table, tag("p", f"And {count(len(void) - VOID_MAX, 'more')[:-1]}, in the raw results.", class_="small")]
    )


def _void(run: Run) -> Markup:
    reason = (run.void or "").strip().splitlines() or [""]
    words = (
        str(run.order),
        run.scenario,
        case_in_words(run.parameters),
        NAMES.get(run.transport, run.transport),
        str(run.repeat),
        reason[-1] if reason[0].startswith("Traceback") else reason[0],
    )
    return tag("tr", *[tag("td", word) for word in words])


def pairs(items: Iterable[tuple[str, str | Markup]]) -> Markup:
    """Names and values."""
    return tag("dl", *[tag("div", tag("dt", name), tag("dd", value)) for name, value in items])


def transports_in_words(names: Sequence[str]) -> str:
    known = [NAMES[name] for name in TRANSPORTS if name in names]
    return listed(known) if known else "none"
