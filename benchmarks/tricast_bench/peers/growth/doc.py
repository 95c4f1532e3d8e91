"""The part of docs/performance.md that a run writes: tables of the figures, and a sentence on how each sweep grows."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from tricast_bench import document
from tricast_bench.peers.growth.figures import (
    GROWING,
    TOPICS_GOAL,
    Growing,
    growth,
    in_one_connection,
    medians,
    notes,
    topics,
    values,
)
from tricast_bench.peers.growth.measure import Sample
from tricast_bench.peers.growth.picture import picture
from tricast_bench.peers.growth.points import FEW, MANY, ONE, SPREAD, TRANSPORTS, Metric

SECTION = "growth"
DOCUMENT, PICTURE = "performance.md", "images/growth.svg"
Row = tuple[str, str, Metric]
"""What it is called, its series, what is shown."""
STREAMS: tuple[Row, ...] = (
    ("WebSocket, µs per delivery", "ws", "us_per_delivery"),
    ("SSE, µs per delivery", "sse", "us_per_delivery"),
)
POLLS: tuple[Row, ...] = (("long poll, µs per delivery", "poll", "us_per_delivery"),)
KEPT: tuple[Row, ...] = (
    ("µs of CPU per delivery", "ws", "us_per_delivery"),
    ("µs per message to catch up", "ws", "us_catch_up"),
)
SIZE: tuple[Row, ...] = (("µs per delivery", "ws", "us_per_delivery"),)
NAMES = {"ws": "WebSocket", "sse": "SSE", "poll": "long poll"}
MEMORY: tuple[Row, ...] = tuple((f"{NAMES[name]}, KiB each", name, "kib_per_connection") for name in TRANSPORTS)


def write(directory: Path, raw: Mapping[str, Any], samples: Sequence[Sample]) -> list[Path]:
    """The picture, and the section between its marks; the rest of the document stays. Raises Unusable."""
    where, image = directory / DOCUMENT, directory / PICTURE
    document.write(where, SECTION, section(raw, samples))
    image.parent.mkdir(parents=True, exist_ok=True)
    image.write_text(picture(samples), encoding="utf-8")
    return [where, image]


def section(raw: Mapping[str, Any], samples: Sequence[Sample]) -> str:
    parts = [_made(raw), f"![How the cost grows, in small charts]({PICTURE})"]
    for write_part in (_subscribers, _topics, _retained, _size, _connects, _memory):
        parts += write_part(samples)
    parts += [f"- {note}" for note in notes(samples)]
    return "\n\n".join(part for part in parts if part)


def _made(raw: Mapping[str, Any]) -> str:
    where, rounds = raw["environment"], raw["rounds"]
    return (
        f"`python -m tricast_bench.peers.growth`, {raw['started'][:10]}: {where['cpu']}, {where['kernel']}, "
        f"{where['python']}; server on one core, load on another; medians of {rounds['rounds']} round"
        f"{'s' if rounds['rounds'] > 1 else ''} of {rounds['seconds']:g} s, after which the least and the most stand "
        "where they differ by over a tenth; memory is of one round. CPU is that of the server, by the kernel's "
        "accounting."
    )


def _subscribers(samples: Sequence[Sample]) -> list[str]:
    parts = [_table("subscribers", rows, "subscribers", samples) for rows in (STREAMS, POLLS)]
    said = [_growth(one, samples) for one in GROWING if one.sweep == "subscribers"]
    return _part("Subscribers", [*parts, _list(said)])


def _topics(samples: Sequence[Sample]) -> list[str]:
    said = []
    cells: list[list[str]] = []
    spread, few = (values(samples, "topics", name, "us_per_delivery") for name in (SPREAD, FEW))
    for one in topics(samples):
        met = one.to_one is not None and one.to_one <= TOPICS_GOAL
        cells.append(
            [
                f"{one.count:,} × {one.readers:,}",
                _cell(spread.get(one.count)),
                _times(one.to_one),
                _cell(few.get(one.count)),
                _times(one.to_few),
            ]
        )
        if one.to_one is not None:
            said.append(
                f"{one.count:,} topics with {one.readers:,} readers each cost {_times(one.to_one)} what one topic with "
                f"all of them costs (goal: at most {TOPICS_GOAL:g}, {'met' if met else 'missed'})"
                + (
                    f", and {_times(one.to_few)} what one topic with {one.readers:,} readers alone costs"
                    if one.to_few is not None
                    else ""
                )
                + "."
            )
    if cells:
        cells.insert(0, ["1 × all", _cell(spread.get(1)), "", "", ""])
    heads = ["topics × readers, WebSocket", "µs per delivery", "to 1 × all", "one such topic alone", "to that"]
    count, connections, ratio = in_one_connection(samples)
    if ratio is not None:
        alone, many = (medians(samples, "topics", name, "us_per_delivery") for name in (ONE, MANY))
        met = ratio <= TOPICS_GOAL
        said.append(
            f"{count:,} topics in each of {connections:,} connections: {many[count]:.1f} µs per delivery, "
            f"{_times(ratio)} the {alone[1]:.1f} µs of one topic (goal: at most {TOPICS_GOAL:g}, "
            f"{'met' if met else 'missed'})."
        )
    return _part("Topics", [_rows(heads, cells), _list(said)])


def _retained(samples: Sequence[Sample]) -> list[str]:
    said = [_growth(one, samples) for one in GROWING if one.sweep == "retained"]
    return _part("Messages kept", [_table("retained", KEPT, "kept", samples), _list(said)])


def _size(samples: Sequence[Sample]) -> list[str]:
    found = medians(samples, "size", "ws", "us_per_delivery")
    per_kib = ["µs per KiB", *(f"{value / x * 1024:.2f}" for x, value in found.items())]
    table = _table("size", SIZE, "bytes", samples)
    said = [_growth(one, samples) for one in GROWING if one.sweep == "size"]
    return _part("Size of a message", [f"{table}\n| {' | '.join(per_kib)} |" if table else "", _list(said)])


def _connects(samples: Sequence[Sample]) -> list[str]:
    cells = []
    for name in TRANSPORTS:
        for found in values(samples, "connects", name, "us_per_connection").values():
            rate = 1e6 / sorted(found)[len(found) // 2]
            cells.append([NAMES[name], _cell(found), f"{rate:,.0f}"])
    heads = ["connecting, until the hello has come", "µs of CPU each", "a second on one core"]
    return _part("Connects", [_rows(heads, cells)])


def _memory(samples: Sequence[Sample]) -> list[str]:
    said = [_growth(one, samples) for one in GROWING if one.sweep == "memory"]
    return _part("Idle connections", [_table("memory", MEMORY, "connections", samples), _list(said)])


def _part(heading: str, parts: Sequence[str]) -> list[str]:
    there = [part for part in parts if part]
    return [f"### {heading}", *there] if there else []


def _growth(of: Growing, samples: Sequence[Sample]) -> str:
    """How it grows, and whether that is allowed."""
    found, shown = growth(samples, of), medians(samples, of.sweep, of.series, of.metric)
    if found is None:
        return ""
    ends = min(shown), max(shown)
    total = {x: value * x if of.times else value for x, value in shown.items()}
    ratio = total[ends[1]] / total[ends[0]]
    exponent = "" if found.exponent is None else f"; over the last decade like n^{found.exponent:.2f}"
    verdict = "**faster than linearly**" if found.shape.faster else "not faster than linearly"
    name = found.shape.name
    shape = "does not grow" if name == "a constant" else f"grows {'' if name.startswith('faster') else 'like '}{name}"
    more = f"{ratio:,.0f}" if ratio >= 10 else f"{ratio:.2f}"
    return (
        f"With n {of.over}, {of.subject} {shape}: {more} times as much at {ends[1]:,.0f} as at {ends[0]:,.0f}"
        f"{exponent}: {verdict}."
    )


def _table(sweep: str, rows: Sequence[Row], head: str, samples: Sequence[Sample]) -> str:
    found = {name: values(samples, sweep, series, metric) for name, series, metric in rows}
    xs = sorted({x for row in found.values() for x in row})
    cells = [[name, *(_cell(row.get(x)) for x in xs)] for name, row in found.items() if row]
    return _rows([head, *(f"{x:,.0f}" for x in xs)], cells)


def _rows(heads: Sequence[str], cells: Sequence[Sequence[str]]) -> str:
    if not cells:
        return ""
    ruled = ["---", *["---:"] * (len(heads) - 1)]
    return "\n".join(f"| {' | '.join(row)} |" for row in (heads, ruled, *cells))


def _cell(found: Sequence[float] | None, show: Callable[[float], str] = "{:.1f}".format) -> str:
    """The median; beside it the range where it is over a tenth."""
    if not found:
        return "–"
    ordered = sorted(found)
    middle = (ordered[(len(ordered) - 1) // 2] + ordered[len(ordered) // 2]) / 2
    wide = ordered[-1] - ordered[0] > 0.1 * middle
    return f"{show(middle)} ({show(ordered[0])}–{show(ordered[-1])})" if wide else show(middle)


def _times(ratio: float | None) -> str:
    return "–" if ratio is None else f"{ratio:.2f}×"


def _list(said: Sequence[str]) -> str:
    return "\n".join(f"- {sentence}" for sentence in said if sentence)
