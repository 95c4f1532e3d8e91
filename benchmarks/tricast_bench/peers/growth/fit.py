"""How something grows with n, from a few noisy figures: the simplest shape that they allow."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from statistics import median

TOLERANCE = 0.08
"""A simpler shape may fit worse by so much, relative to the values, or by the noise of these where that is more."""
NOISE_MAX = 0.25
"""But never by more than this: in enough noise everything is a constant."""
Values = Mapping[float, Sequence[float]]
"""To each n the figures of the rounds."""


@dataclass(frozen=True, slots=True)
class Shape:
    """`grows` is what the cost grows with; none is `faster` than linear that may be."""

    name: str
    grows: Callable[[float], float]
    faster: bool = False


SHAPES = (
    Shape("a constant", lambda n: 0.0),
    Shape("log n", lambda n: math.log(max(n, 1.0))),
    Shape("n", lambda n: n),
    Shape("n log n", lambda n: n * math.log(max(n, 1.0)), faster=True),
    Shape("faster than n log n", lambda n: n * n, faster=True),
)
"""The simplest first."""


@dataclass(frozen=True, slots=True)
class Fit:
    """The costs are about `fixed + each * shape(n)`; `error` is by how much they are not, relative to them.

    `exponent` is that of n over the last decade alone, where fixed costs hide the least; None where n begins there.
    """

    shape: Shape
    fixed: float
    each: float
    error: float
    exponent: float | None


def fit(values: Values) -> Fit | None:
    """None for fewer than three n, which every line goes through nearly."""
    middle = {n: median(found) for n, found in sorted(values.items()) if found and median(found) > 0}
    if len(middle) < 3:
        return None
    found = [(shape, *_least_squares(middle, shape)) for shape in SHAPES]
    best = min(error for _, _, _, error in found)
    limit = best + max(TOLERANCE, min(NOISE_MAX, noise(values)))
    shape, fixed, each, error = next(one for one in found if one[3] <= limit)
    return Fit(shape, fixed, each, error, _exponent(middle))


def noise(values: Values) -> float:
    """Half of the range of the rounds, relative to their median; the median over all n. 0 for a single round."""
    halves = [(max(found) - min(found)) / 2 / median(found) for found in values.values() if found and median(found) > 0]
    return median(halves) if halves else 0.0


def _least_squares(points: Mapping[float, float], shape: Shape) -> tuple[float, float, float]:
    """Fixed, each and error, of relative errors; neither cost is below 0."""
    rows = [(1 / y, shape.grows(n) / y) for n, y in points.items()]
    ff, fg, gg = (sum(a * b for a, b in pairs) for pairs in _products(rows))
    f, g = sum(row[0] for row in rows), sum(row[1] for row in rows)
    determinant = ff * gg - fg * fg
    candidates = [(f / ff, 0.0)]
    if gg > 0:
        candidates.append((0.0, g / gg))
        if determinant > 1e-12 * ff * gg:
            candidates.append(((f * gg - g * fg) / determinant, (g * ff - f * fg) / determinant))
    allowed = [(fixed, each) for fixed, each in candidates if fixed >= 0 and each >= 0]
    scored = [(_error(rows, fixed, each), fixed, each) for fixed, each in allowed]
    error, fixed, each = min(scored)
    return fixed, each, error


def _products(rows: Sequence[tuple[float, float]]) -> tuple[list[tuple[float, float]], ...]:
    return [(a, a) for a, _ in rows], list(rows), [(b, b) for _, b in rows]


def _error(rows: Sequence[tuple[float, float]], fixed: float, each: float) -> float:
    return math.sqrt(sum((fixed * a + each * b - 1) ** 2 for a, b in rows) / len(rows))


def _exponent(points: Mapping[float, float]) -> float | None:
    last = max(points)
    decade = [n for n in points if last / 10 <= n < last and n > 0]
    if not decade:
        return None
    first = min(decade)
    return math.log(points[last] / points[first]) / math.log(last / first)
