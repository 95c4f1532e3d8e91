"""What it costs a client in Python to read one message: once for each client, where a server encodes once for all."""

from __future__ import annotations

import time
import zlib
from collections.abc import Callable, Mapping
from statistics import median
from typing import Any

from tricast.wire.formats import codec_named
from tricast_bench.document import markdown
from tricast_bench.peers.formats import sizes
from tricast_bench.peers.formats.cases import CARRIED, SIZES, VARIANTS, Carried, Variant

REPEATS, LEAST = 7, 5_000_000
"""So often is a cost taken, each time for so many nanoseconds at least."""


def section(about: Mapping[str, Any]) -> str:
    """Measures, for some two seconds."""
    where = about["environment"]
    head = ["µs of CPU to read one message", *(variant.name for variant in VARIANTS)]
    rows = [[f"{content}, {size:,} B", *_costs(content, size)] for content in CARRIED for size in SIZES]
    made = (
        f"`make bench-formats`, {about['started'][:10]}: {where['cpu']}, {where['kernel']}, {where['python']}. The "
        "client in Python, from the bytes of a WebSocket message to its data, with inflating where it came compressed."
    )
    return f"{made}\n\n{markdown(head, rows, right=True)}"


def _costs(content: Carried, size: int) -> list[str]:
    frames = sizes.frames(content, size)
    return [f"{_cost(_reading(variant, frames[variant.format])):.0f}" for variant in VARIANTS]


def _reading(variant: Variant, frame: bytes) -> Callable[[], object]:
    decode = codec_named(variant.format).decode
    packed = sizes.deflated(frame, 1)
    if not variant.compress or len(packed) >= len(frame):
        return lambda: decode(frame)
    return lambda: decode(zlib.decompressobj(-zlib.MAX_WBITS).decompress(packed))


def _cost(work: Callable[[], object]) -> float:
    """Microseconds, the median of some."""
    return median(_once(work) for _ in range(REPEATS))


def _once(work: Callable[[], object]) -> float:
    count, clock = 0, time.process_time_ns
    begin = clock()
    while (took := clock() - begin) < LEAST:
        for _ in range(10):
            work()
        count += 10
    return took / count / 1e3
