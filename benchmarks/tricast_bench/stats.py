"""Medians and how sure they are: bootstrap intervals over runs, of values and of paired ratios. Pure and seeded."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

LEVEL = 0.95
RESAMPLES = 2000


@dataclass(frozen=True, slots=True)
class Estimate:
    """A median and its interval. With fewer than `three` runs there is no interval: it is the range of the values."""

    value: float
    low: float
    high: float
    runs: int

    def covers(self, value: float) -> bool:
        return self.low <= value <= self.high


def estimate(values: Sequence[float], seed: int = 0, level: float = LEVEL) -> Estimate:
    """The median of at least one value, with a percentile bootstrap interval. Raises ValueError where there is none."""
    if not values:
        raise ValueError("no values")
    if len(values) < 3:
        return Estimate(median(values), min(values), max(values), len(values))
    chance = random.Random(seed)
    medians = sorted(median(chance.choices(values, k=len(values))) for _ in range(RESAMPLES))
    tail = (1 - level) / 2
    low, high = medians[int(tail * RESAMPLES)], medians[min(RESAMPLES - 1, int((1 - tail) * RESAMPLES))]
    return Estimate(median(values), low, high, len(values))


def ratio(pairs: Sequence[tuple[float, float]], seed: int = 0, level: float = LEVEL) -> Estimate:
    """Of first to second, from pairs that were taken in one round. Raises ValueError where there is none."""
    return estimate([first / second for first, second in pairs if second], seed, level)


def ratio_unpaired(first: Sequence[float], second: Sequence[float], seed: int = 0, level: float = LEVEL) -> Estimate:
    """Of the medians of two sets of runs that share no rounds, as those of two files. Raises ValueError."""
    if not first or not second or not median(second):
        raise ValueError("no values")
    value = median(first) / median(second)
    if min(len(first), len(second)) < 3:
        ends = [a / b for a in first for b in second if b]
        return Estimate(value, min(ends), max(ends), min(len(first), len(second)))
    chance = random.Random(seed)
    ratios = []
    for _ in range(RESAMPLES):
        below = median(chance.choices(second, k=len(second)))
        if below:
            ratios.append(median(chance.choices(first, k=len(first))) / below)
    ratios.sort()
    tail = (1 - level) / 2
    low, high = ratios[int(tail * len(ratios))], ratios[min(len(ratios) - 1, int((1 - tail) * len(ratios)))]
    return Estimate(value, low, high, min(len(first), len(second)))
