"""The table of what sharing a log costs."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from statistics import median
from typing import Any

from tricast_bench.document import markdown
from tricast_bench.peers.cluster.cases import CASES, LOADS
from tricast_bench.peers.cluster.measure import Sample

Column = tuple[str, str, str, Callable[[float], str]]
"""Heading, load, figure, and how it is shown."""

THOUSANDS = "{:,.0f}".format
COLUMNS: tuple[Column, ...] = (
    ("p50, ms", "latency", "p50", "{:.2f}".format),
    ("p99, ms", "latency", "p99", "{:.1f}".format),
    ("CPU a message to 500: nodes, µs", "fan-out", "node_us", THOUSANDS),
    ("engine, µs", "fan-out", "engine_us", THOUSANDS),
    ("thousands of deliveries/s, flat-out", "flat-out", "delivered_per_second", lambda it: f"{it / 1e3:,.0f}"),
    ("publishes/s, 1 in flight", "ingest-1", "published_per_second", THOUSANDS),
    ("publishes/s, 64 in flight", "ingest-64", "published_per_second", THOUSANDS),
    ("CPU of one: nodes, µs", "ingest-64", "node_us", THOUSANDS),
    ("engine, µs", "ingest-64", "engine_us", THOUSANDS),
)


def section(raw: Mapping[str, Any], samples: Sequence[Sample]) -> str:
    where = raw["environment"]
    void = sum(1 for sample in samples if sample.void)
    lost = sorted({f"{s.case} under {s.load}" for s in samples if not s.complete and not s.failed})
    failed = sorted({f"{s.case} under {s.load}: {' '.join(s.failed.split())[:120]}" for s in samples if s.failed})
    notes = [
        f"{len(samples)} samples, {void} of them left out, as other processes, or the host, took over 10% of a core",
        *(f"not everything had arrived when the time was up: {one}" for one in lost),
        *(f"failed: {one}" for one in failed),
    ]
    rows = [[case.title, *(_cell(samples, case.name, column) for column in COLUMNS)] for case in CASES]
    made = (
        f"`make bench-cluster`, {raw['started'][:10]}: {where['cpu']}, {where['kernel']}, {where['python']}; medians "
        f"of {raw['rounds']} rounds of {raw['seconds']:g} s. Payloads of 128 bytes over WebSocket, one publisher. "
        f"Latency is from when a publish was due to its arrival, {LOADS[0].title} readers. One process, and what it "
        "needs, has a core to itself; two workers and their engine share two cores with the load."
    )
    table = markdown(["", *(column[0] for column in COLUMNS)], rows, right=True)
    return "\n\n".join([made, table, "\n".join(f"- {note}" for note in notes)])


def _cell(samples: Sequence[Sample], case: str, column: Column) -> str:
    _, load, figure, show = column
    found = [
        value
        for sample in samples
        if sample.case == case
        and sample.load == load
        and not sample.void
        and (value := getattr(sample, figure)) is not None
    ]
    return show(median(found)) if found else "–"
