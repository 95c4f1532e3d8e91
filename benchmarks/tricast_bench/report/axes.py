"""Scales and axes: where a value is drawn, and which round values are named."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from tricast_bench.report.words import number


@dataclass(frozen=True, slots=True)
class Scale:
    """From values to places between two ends. On a logarithmic one both ends are above 0."""

    low: float
    high: float
    start: float
    end: float
    log: bool = False

    def at(self, value: float) -> float:
        """Values outside are put at the ends."""
        value = min(max(value, self.low), self.high)
        if self.log:
            share = math.log(value / self.low) / math.log(self.high / self.low)
        else:
            share = (value - self.low) / (self.high - self.low)
        return self.start + share * (self.end - self.start)


@dataclass(frozen=True, slots=True)
class Axis:
    """A scale with its ticks. `title` says the quantity and its unit."""

    title: str
    scale: Scale
    ticks: Sequence[tuple[float, str]]


def linear(title: str, values: Sequence[float], start: float, end: float, *, low: float | None = 0.0) -> Axis:
    """From `low` (or about the least value, if None) to about the greatest, with about five round ticks."""
    least = min(values) if low is None else low
    most = max(values)
    if most <= least:
        most = least + (abs(least) or 1.0)
    step = _round_step((most - least) / 4.5)
    first = math.floor(least / step) * step
    steps = math.ceil((most - first) / step - 1e-9)
    places = [first + index * step for index in range(steps + 1)]
    return Axis(title, Scale(first, places[-1], start, end), [(place, _tick(place, step)) for place in places])


def between(title: str, low: float, high: float, start: float, end: float) -> Axis:
    """Exactly from one to the other, with round ticks where there is room beside the ends."""
    high = high if high > low else low + 1.0
    room = (high - low) / 12
    inner = [tick for tick in linear(title, [high], start, end).ticks if low + room < tick[0] < high - room]
    return Axis(title, Scale(low, high, start, end), [(low, f"{low:,g}"), *inner, (high, f"{high:,g}")])


def logarithmic(title: str, values: Sequence[float], start: float, end: float) -> Axis:
    """Ticks at 1, 2 and 5 of each power of ten, or at the powers alone where there are many. Values above 0."""
    least, most = min(values), max(values)
    low = max(mark for mark in _marks(least / 10, most) if mark <= least)
    high = min(mark for mark in _marks(low, most * 10) if mark >= most and mark > low)
    marks = [mark for mark in _marks(low, high) if low <= mark <= high]
    if len(marks) > 9:
        marks = [mark for mark in marks if math.isclose(math.log10(mark) % 1, 0, abs_tol=1e-9) or mark in (low, high)]
        if len(marks) > 2 and marks[1] / marks[0] < 3:
            marks = marks[1:]
        if len(marks) > 2 and marks[-1] / marks[-2] < 3:
            marks = marks[:-1]
    return Axis(title, Scale(low, high, start, end, log=True), [(mark, _plain(mark)) for mark in marks])


def _round_step(step: float) -> float:
    power = 10.0 ** math.floor(math.log10(step))
    return next(factor * power for factor in (1, 2, 2.5, 5, 10) if factor * power >= step * (1 - 1e-9))


def _marks(low: float, high: float) -> list[float]:
    powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    return [float(f"{factor}e{power}") for power in powers for factor in (1, 2, 5)]


def _tick(value: float, step: float) -> str:
    places = max(0, -math.floor(math.log10(step) + 1e-9))
    if step * 10**places % 1 > 1e-9:  # 0.25
        places += 1
    return f"{value:,.{places}f}"


def _plain(value: float) -> str:
    return f"{value:,.0f}" if value >= 1 else number(value).rstrip("0").rstrip(".")
