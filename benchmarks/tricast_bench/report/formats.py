"""Formats and compression side by side: what each carried over the wire, cost the server, and took."""

from __future__ import annotations

from collections.abc import Sequence

from tricast_bench.report.cases import Case
from tricast_bench.report.markup import Markup, tag
from tricast_bench.report.words import NAMES, number
from tricast_bench.results import TRANSPORTS, Transport

Way = tuple[str, bool]
"""Format, and whether it is compressed."""
UNIT: Way = ("json", False)
WAYS: Sequence[Way] = (UNIT, ("json", True), ("protobuf", False), ("protobuf", True))
FIGURES = (("bytes_down_per_message", "B"), ("server_cpu_us_per_delivery", "µs"), ("p50_ms", "ms"), ("p99_ms", "ms"))
"""Metrics, as a cell has them below each other."""


def side_by_side(some: Sequence[Case]) -> Markup | None:
    """A row for each content, size and transport. None where no case was measured in two ways."""
    groups: dict[tuple[object, ...], dict[Way, Case]] = {}
    for case in some:
        known = dict(case.parameters)
        way = str(known.pop("format", "json")), bool(known.pop("compress", False))
        groups.setdefault(tuple(sorted((name, str(value)) for name, value in known.items())), {})[way] = case
    compared = [ways for ways in groups.values() if len(ways) > 1]
    rows = [row for ways in compared for transport in TRANSPORTS if (row := _row(ways, transport)) is not None]
    if not rows:
        return None
    titles = [f"{name}, {'compressed' if compress else 'plain'}" for name, compress in WAYS]
    heads = [tag("th", title, scope="col", class_="number") for title in titles]
    head = tag("thead", tag("tr", tag("th", "message", scope="col"), *heads))
    return tag("table", head, tag("tbody", *rows), class_="numbers")


def _row(ways: dict[Way, Case], transport: Transport) -> Markup | None:
    there = {way: case for way, case in ways.items() if case.runs.get(transport)}
    if not there:
        return None
    one = next(iter(there.values()))
    words = f"{NAMES[transport]}: {one.parameters.get('content', 'letters')}, {one.number('size'):,.0f} B"
    cells = [_cell(there.get(way), there.get(UNIT), transport) for way in WAYS]
    return tag("tr", tag("th", words, scope="row"), *cells)


def _cell(case: Case | None, unit: Case | None, transport: Transport) -> Markup:
    if case is None:
        return tag("td", "–", class_="number none")
    parts: list[Markup] = []
    for metric, called in FIGURES:
        of, against = case.estimate(transport, metric), unit.estimate(transport, metric) if unit is not None else None
        if of is None:
            continue
        times = f" × {number(of.value / against.value)}" if case is not unit and against and against.value else ""
        name = {"p50_ms": "p50 ", "p99_ms": "p99 "}.get(metric, "")
        parts.append(tag("span", f"{name}{number(of.value)} {called}{times}", class_="range" if parts else "value"))
    return tag("td", *parts, class_="number")
