"""The tables of what formats and compression cost, and what they save."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from statistics import median
from typing import Any

from tricast_bench.document import markdown
from tricast_bench.peers.formats.cases import CARRIED, READERS, SIZES, VARIANTS, Readers, Variant
from tricast_bench.peers.formats.measure import Sample

UNIT = VARIANTS[0]
"""What the others are compared with: JSON, plain."""
ONE = "one"
"""Readers of the load without a rate: its latencies are those of a queue."""
Cell = Callable[[Sequence[Sample], Sequence[Sample]], str]
"""From the samples of a variant, and those of the unit in the same rounds."""


def section(raw: Mapping[str, Any], samples: Sequence[Sample]) -> str:
    where, rounds = raw["environment"], raw["rounds"]
    commit = f", commit {where['commit'][:12]}" if where.get("commit") else ""
    some = [readers for readers in READERS if readers.name != ONE]
    return "\n\n".join(
        [
            f"`make bench-formats`, {raw['started'][:10]}: {where['cpu']}, {where['kernel']}, {where['python']}"
            f"{commit}; medians of {rounds} {'round' if rounds == 1 else 'rounds'} of {raw['seconds']:g} s. One core "
            "for the servers, one for the load, the loopback.",
            "**CPU of the server for each delivery, µs**, with publishing in it; in brackets the ratio to plain JSON "
            "of the same round.",
            _table(READERS, samples, _cost),
            "**Bytes that a reader receives for each message**, with WebSocket frames or HTTP headers, without TCP's.",
            _table(some, samples, _bytes),
            "**Latency, p50 / p99 in ms**, from when a publish was due until a reader had its last byte.",
            _table(some, samples, _latency),
            "\n".join(f"- {note}" for note in _notes(samples)),
        ]
    )


def _table(some: Sequence[Readers], samples: Sequence[Sample], show: Cell) -> str:
    rows = []
    for readers in some:
        for content in CARRIED:
            for size in SIZES:
                of_case = [s for s in samples if (s.readers, s.content, s.size) == (readers.name, content, size)]
                if not of_case:
                    continue
                unit = _of(UNIT, of_case)
                cells = [show(_of(variant, of_case), unit) for variant in VARIANTS]
                rows.append([f"{readers.title}: {content}, {size:,} B", *cells])
    return markdown(["", *(variant.name for variant in VARIANTS)], rows, right=True)


def _of(variant: Variant, samples: Sequence[Sample]) -> list[Sample]:
    """Those that count."""
    return [
        sample
        for sample in samples
        if (sample.format, sample.compress) == (variant.format, variant.compress)
        and not sample.void
        and not sample.failed
        and sample.complete
    ]


def _cost(samples: Sequence[Sample], unit: Sequence[Sample]) -> str:
    values = [sample.us for sample in samples if sample.us is not None]
    if not values:
        return "–"
    base = {sample.round: sample.us for sample in unit}
    ratios = [sample.us / of for sample in samples if sample.us is not None and (of := base.get(sample.round))]
    shown = _digits(median(values))
    return shown if not ratios or samples[0] in unit else f"{shown} ({median(ratios):.2f})"


def _bytes(samples: Sequence[Sample], _: Sequence[Sample]) -> str:
    values = [sample.bytes for sample in samples if sample.bytes is not None]
    return f"{median(values):,.0f}" if values else "–"


def _latency(samples: Sequence[Sample], _: Sequence[Sample]) -> str:
    middle = [sample.p50 for sample in samples if sample.p50 is not None]
    late = [sample.p99 for sample in samples if sample.p99 is not None]
    return f"{median(middle):.2f} / {median(late):.2f}" if middle and late else "–"


def _notes(samples: Sequence[Sample]) -> Iterator[str]:
    void = sum(1 for sample in samples if sample.void)
    yield f"{len(samples)} samples, {void} of them left out, as other processes, or the host, took over 10% of a core."
    for one in sorted({_name(sample) for sample in samples if not sample.complete and not sample.failed}):
        yield f"Left out, as a reader did not get each message once: {one}."
    for sample in samples:
        if sample.failed:
            yield f"Failed: {_name(sample)}: {' '.join(sample.failed.split())[:120]}"


def _name(sample: Sample) -> str:
    how = Variant(format=sample.format, compress=sample.compress).name
    return f"{sample.readers}, {sample.content} of {sample.size:,} B, {how}"


def _digits(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.1f}"
