"""Lines and bars as inline SVG. Colours and type come from the page's style sheet, by class."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

from tricast_bench.report.axes import Axis, Scale, linear
from tricast_bench.report.markup import Markup, coordinate, join, tag

LABEL_GAP = 13.0
"""Least distance of two labels, from base line to base line."""
BAR_STEP = 19.0
"""From one bar to the next."""


@dataclass(frozen=True, slots=True)
class Box:
    """Where a chart is drawn, in the units of its view box."""

    left: float
    top: float
    right: float
    bottom: float


@dataclass(frozen=True, slots=True)
class Line:
    """Points, joined in their order. `kind` is its class: a transport.

    Without a name it is drawn faintly, behind those that have one. `marks` puts a dot on each point.
    """

    kind: str
    points: Sequence[tuple[float, float]]
    name: str = ""
    marks: bool = False


@dataclass(frozen=True, slots=True)
class Ring:
    """A point that is marked."""

    kind: str
    point: tuple[float, float]


@dataclass(frozen=True, slots=True)
class Rule:
    """A line across, at a value of the vertical axis, with a word."""

    value: float
    word: str


@dataclass(frozen=True, slots=True)
class Lines:
    """A chart of lines. `identity` is unique in the page."""

    identity: str
    title: str
    about: str
    x: Callable[[Box], Axis]
    y: Callable[[Box], Axis]
    lines: Sequence[Line]
    rings: Sequence[Ring] = ()
    rules: Sequence[Rule] = ()
    width: float = 420.0
    height: float = 300.0
    margin: tuple[float, float, float, float] = field(default=(48.0, 82.0, 44.0, 44.0))
    """Top, right, bottom, left."""

    def draw(self) -> Markup:
        top, right, bottom, left = self.margin
        box = Box(left, top, self.width - right, self.height - bottom)
        x, y = self.x(box), self.y(box)
        background = [self._line(line, x, y) for line in self.lines if not line.name]
        parts = [
            grid(x, y, box),
            *[_rule(rule, y, box) for rule in self.rules],
            *background,
            *[self._line(line, x, y) for line in self.lines if line.name],
            *[_ring(ring, x, y) for ring in self.rings],
            *self._labels(x, y, box),
        ]
        return picture(self.identity, self.title, self.about, self.width, self.height, parts)

    def _line(self, line: Line, x: Axis, y: Axis) -> Markup:
        places = [(x.scale.at(a), y.scale.at(b)) for a, b in line.points]
        path = "M" + "L".join(f"{coordinate(a)} {coordinate(b)}" for a, b in places)
        dots = [tag("circle", cx=a, cy=b, r=2.6, class_="dot") for a, b in places] if line.marks else []
        if len(places) == 1 and not dots:
            dots = [tag("circle", cx=places[0][0], cy=places[0][1], r=2.6, class_="dot")]
        weight = "line" if line.name else "line faint"
        return tag("g", tag("path", d=path, class_=weight), *dots, class_=line.kind)

    def _labels(self, x: Axis, y: Axis, box: Box) -> list[Markup]:
        named = [line for line in self.lines if line.name and line.points]
        ends = [(x.scale.at(line.points[-1][0]), y.scale.at(line.points[-1][1])) for line in named]
        places = spread([end[1] + 4 for end in ends], box.top, box.bottom)
        return [
            tag("text", line.name, x=min(end[0] + 7, box.right + 7), y=place, class_=f"label {line.kind}")
            for line, end, place in zip(named, ends, places, strict=True)
        ]


@dataclass(frozen=True, slots=True)
class Bar:
    """Pieces one after the other, each with its class; `low` and `high` are an interval around their sum."""

    kind: str
    name: str
    pieces: Sequence[tuple[str, float]]
    label: str
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True, slots=True)
class Bars:
    """A chart of bars that lie, in groups with a heading each, with one scale from 0 to the greatest."""

    identity: str
    title: str
    about: str
    axis: str
    groups: Sequence[tuple[str, Sequence[Bar]]]
    width: float = 420.0

    def draw(self) -> Markup:
        places, top = [], 28.0
        for heading, bars in self.groups:
            top += 18 if heading else 0
            places.append(top)
            top += BAR_STEP * len(bars) + 10
        box = Box(82, 28, self.width - 58, top)
        most = max(
            max(bar.high or 0.0, sum(value for _, value in bar.pieces)) for _, bars in self.groups for bar in bars
        )
        axis = linear(self.axis, [most], box.left, box.right)
        parts = [grid(axis, Axis("", Scale(0, 1, box.bottom, box.top), []), box)]
        for (heading, bars), place in zip(self.groups, places, strict=True):
            if heading:
                parts.append(tag("text", heading, x=0.0, y=place - 5, class_="heading"))
            parts += [self._bar(bar, axis, place + BAR_STEP * index + 2) for index, bar in enumerate(bars)]
        return picture(self.identity, self.title, self.about, self.width, top + 40, parts)

    def _bar(self, bar: Bar, axis: Axis, top: float) -> Markup:
        parts, so_far = [], 0.0
        for kind, value in bar.pieces:
            start, end = axis.scale.at(so_far), axis.scale.at(so_far + value)
            parts.append(tag("rect", x=start, y=top, width=max(0.0, end - start), height=15.0, class_=f"piece {kind}"))
            so_far += value
        end = axis.scale.at(so_far)
        if bar.low is not None and bar.high is not None and bar.high > bar.low:
            low, high, middle = axis.scale.at(bar.low), axis.scale.at(bar.high), top + 7.5
            path = "M{0} {2}H{1}M{0} {3}V{4}M{1} {3}V{4}".format(
                *(coordinate(value) for value in (low, high, middle, middle - 3, middle + 3))
            )
            parts.append(tag("path", d=path, class_="whisker"))
            end = max(end, high)
        name = tag("text", bar.name, x=axis.scale.start - 8, y=top + 12, class_="name", text_anchor="end")
        label = tag("text", bar.label, x=end + 6, y=top + 12, class_="value")
        return tag("g", name, *parts, label, class_=bar.kind)


def picture(identity: str, title: str, about: str, width: float, height: float, parts: Sequence[Markup]) -> Markup:
    """With its title in sight, and what it shows in words for those who do not see it."""
    head = tag("text", title, x=0.0, y=12.0, class_="title")
    return tag(
        "svg",
        tag("title", title, id=f"{identity}-title"),
        tag("desc", about, id=f"{identity}-about"),
        head,
        *parts,
        role="img",
        aria_labelledby=f"{identity}-title {identity}-about",
        viewBox=f"0 0 {coordinate(width)} {coordinate(height)}",
    )


def grid(x: Axis, y: Axis, box: Box) -> Markup:
    """Lines at the ticks of the vertical axis, ticks on the other; or the other way round where there is no `y`."""
    parts = []
    for value, word in y.ticks:
        place = y.scale.at(value)
        parts.append(tag("line", x1=box.left, x2=box.right, y1=place, y2=place, class_="grid"))
        parts.append(tag("text", word, x=box.left - 7, y=place + 4, class_="tick", text_anchor="end"))
    for value, word in x.ticks:
        place = x.scale.at(value)
        upper = box.bottom if y.ticks else box.top
        parts.append(tag("line", x1=place, x2=place, y1=upper, y2=box.bottom + (4 if y.ticks else 0), class_="grid"))
        parts.append(tag("text", word, x=place, y=box.bottom + 17, class_="tick", text_anchor="middle"))
    if y.ticks:
        parts.append(tag("line", x1=box.left, x2=box.right, y1=box.bottom, y2=box.bottom, class_="axis"))
    else:
        parts.append(tag("line", x1=box.left, x2=box.left, y1=box.top, y2=box.bottom, class_="axis"))
    parts.append(tag("text", x.title, x=box.right, y=box.bottom + 34, class_="axis-title", text_anchor="end"))
    if y.title:
        parts.append(tag("text", y.title, x=0.0, y=box.top - 14, class_="axis-title"))
    return join(parts)


def spread(places: Sequence[float], top: float, bottom: float) -> list[float]:
    """The same places, moved apart by as little as keeps `LABEL_GAP` between them, and within where there is room."""
    moved = list(places)
    order = sorted(range(len(moved)), key=lambda index: moved[index])
    for _ in range(40):
        for upper, lower in pairwise(order):
            push = (LABEL_GAP - (moved[lower] - moved[upper])) / 2
            if push > 0:
                moved[upper] -= push
                moved[lower] += push
        moved = [min(max(place, top), bottom) for place in moved]
    return moved


def _rule(rule: Rule, y: Axis, box: Box) -> Markup:
    place = y.scale.at(rule.value)
    line = tag("line", x1=box.left, x2=box.right, y1=place, y2=place, class_="rule")
    return join([line, tag("text", rule.word, x=box.left + 5, y=place - 5, class_="note")])


def _ring(ring: Ring, x: Axis, y: Axis) -> Markup:
    across, down = x.scale.at(ring.point[0]), y.scale.at(ring.point[1])
    return tag("g", tag("circle", cx=across, cy=down, r=6.5, class_="ring"), class_=ring.kind)
