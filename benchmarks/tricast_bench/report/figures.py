"""All figures, in their order."""

from __future__ import annotations

from tricast_bench.report.costs import bytes_each, cpu, memory
from tricast_bench.report.latency import by_percentile, over_load, over_time
from tricast_bench.report.panels import Figure
from tricast_bench.report.summary import Summary


def figures(summary: Summary) -> list[Figure]:
    return [make(summary) for make in (by_percentile, over_load, cpu, memory, over_time, bytes_each)]
