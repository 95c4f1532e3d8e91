"""HdrHistograms out of a results file: decoded, merged, and as a curve over the percentiles."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

from hdrh.histogram import HdrHistogram

from tricast_bench.recorder import histogram

POINTS = 96
LONGEST = 1 << 16
"""Characters of a histogram that are looked at: what unpacks to more is not one of ours."""


def merged(texts: Iterable[str | None]) -> Any | None:
    """All in one, those that can be read. None where there is nothing."""
    whole = histogram()
    for text in texts:
        if not text or len(text) > LONGEST:
            continue
        try:
            whole.add(HdrHistogram.decode(text))
        except Exception:  # the decoder raises what it comes across
            continue
    return whole if whole.get_total_count() else None


def spectrum(of: Any) -> list[tuple[float, float]]:
    """Points (1 / (1 - share), milliseconds) up to the last message, evenly on a logarithmic axis."""
    last = math.log10(max(10, of.get_total_count()))
    places = [10 ** (last * index / POINTS) for index in range(POINTS + 1)]
    percentiles = {place: 100 - 100 / place for place in places[:-1]} | {places[-1]: 100.0}
    values = of.get_percentile_to_value_dict(list(percentiles.values()))
    return [(place, values[share] / 1000) for place, share in percentiles.items() if share in values]
