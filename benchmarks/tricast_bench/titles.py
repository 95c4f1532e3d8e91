"""What people call the metrics of `results.Metrics`, in tables as in the report, and in which unit they read them."""

from __future__ import annotations

from collections.abc import Mapping

TITLES: Mapping[str, str] = {
    "p50_ms": "p50, ms",
    "p90_ms": "p90, ms",
    "p99_ms": "p99, ms",
    "p999_ms": "p99.9, ms",
    "max_ms": "max, ms",
    "offered_per_second": "sent/s",
    "delivered": "delivered",
    "delivered_per_second": "delivered/s",
    "lost": "lost",
    "duplicated": "doubled",
    "reordered": "out of order",
    "gaps": "in gaps",
    "server_cpu_us_per_delivery": "CPU, µs each",
    "server_memory_per_connection": "memory each, KiB",
    "server_memory": "memory, MiB",
    "server_files": "descriptors",
    "bytes_up_per_message": "bytes up",
    "bytes_down_per_message": "bytes down",
    "requests_per_message": "requests",
    "time_to_first_ms": "first, ms",
    "spread_ms": "spread, ms",
    "connects_per_second": "connects/s",
    "generator_cpu": "load’s core, %",
    "schedule_lag_p99_ms": "lag p99, ms",
}
SCALES: Mapping[str, float] = {
    "server_memory_per_connection": 1 / 1024,
    "server_memory": 1 / 2**20,
    "generator_cpu": 100.0,
}
"""From the unit of a results file to that of `TITLES`; 1 where there is none."""
