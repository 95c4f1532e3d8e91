"""Whether something grows with time: a line through it, how sure its slope is, and a picture of it in text. Pure."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from statistics import fmean
from typing import TypeAlias

Points: TypeAlias = Sequence[tuple[float, float]]
"""Seconds and mebibytes, in the order of time."""

BLOCKS = 20
"""Neighbours resemble each other, so a line through all would seem surer than it is: it goes through their means."""
T = 2.101
"""Student's t for 95% and 18 degrees of freedom, which 20 points leave."""
NOISE = 4.0
"""Mebibytes over the whole time: what an allocator keeps or gives back, whatever the program does."""
WIDTH = 60
BARS = "▁▂▃▄▅▆▇█"


@dataclass(frozen=True, slots=True)
class Trend:
    """`slope` with its interval of 95%, in MiB per hour, over `hours`."""

    slope: float
    low: float
    high: float
    hours: float

    @property
    def grows(self) -> bool:
        """Surely, and by more than noise."""
        return self.low > 0 and self.slope * self.hours > NOISE

    def __str__(self) -> str:
        minutes = self.hours * 60
        return f"memory: {self.slope:+.2f} MiB/h ({self.low:+.2f} to {self.high:+.2f}) over {minutes:.1f} minutes"


def trend(points: Points) -> Trend:
    """Of at least `BLOCKS` points; of fewer nothing is sure."""
    if len(points) < BLOCKS:
        return Trend(0.0, -math.inf, math.inf, 0.0)
    means = blocks(points, BLOCKS)
    x, y = fmean(at for at, _ in means), fmean(size for _, size in means)
    spread = sum((at - x) ** 2 for at, _ in means)
    slope = sum((at - x) * (size - y) for at, size in means) / spread
    rest = sum((size - y - slope * (at - x)) ** 2 for at, size in means)
    error = T * math.sqrt(rest / (BLOCKS - 2) / spread)
    hours = (points[-1][0] - points[0][0]) / 3600
    return Trend(slope * 3600, (slope - error) * 3600, (slope + error) * 3600, hours)


def blocks(points: Points, count: int) -> list[tuple[float, float]]:
    """The means of `count` runs of points, or each point where there are fewer."""
    count = min(count, len(points))
    edges = [len(points) * number // count for number in range(count + 1)]
    runs = [points[a:b] for a, b in pairwise(edges)]
    return [(fmean(at for at, _ in run), fmean(size for _, size in run)) for run in runs]


def sketch(points: Points) -> str:
    """One line of bars, from the least to the most."""
    sizes = [size for _, size in blocks(points, WIDTH)]
    low, high = min(sizes), max(sizes)
    step = (high - low) / (len(BARS) - 1) or 1.0
    return f"{low:.1f} to {high:.1f} MiB  {''.join(BARS[round((size - low) / step)] for size in sizes)}"
