"""The raw results as a link that needs no network and no script: whole where they fit, else packed or without parts."""

from __future__ import annotations

import base64
import gzip
from collections.abc import Iterator
from dataclasses import dataclass, replace

from tricast_bench.results import Results, dumps

LARGEST = 1_500_000
"""Bytes of the link, so that the report stays below two million."""


@dataclass(frozen=True, slots=True)
class Raw:
    """A file in a link. `left_out` says in words what of the results is not in it."""

    name: str
    href: str
    size: int
    left_out: str | None


def raw(results: Results) -> Raw | None:
    """None where even the shortest form is too large, or the results cannot be written."""
    try:
        for name, kind, data, left_out in _forms(results):
            href = f"data:{kind};base64,{base64.b64encode(data).decode()}"
            if len(href) <= LARGEST:
                return Raw(name, href, len(data), left_out)
    except (TypeError, ValueError):
        pass
    return None


def _forms(results: Results) -> Iterator[tuple[str, str, bytes, str | None]]:
    text = dumps(results).encode()
    yield "results.json", "application/json", text, None
    yield "results.json.gz", "application/gzip", _packed(text), None
    bare = replace(results, runs=tuple(replace(run, histogram=None) for run in results.runs))
    yield "results.json.gz", "application/gzip", _packed(dumps(bare).encode()), "histograms"
    barer = replace(bare, runs=tuple(replace(run, series=()) for run in bare.runs))
    yield "results.json.gz", "application/gzip", _packed(dumps(barer).encode()), "histograms and series over time"


def _packed(data: bytes) -> bytes:
    return gzip.compress(data, mtime=0)
