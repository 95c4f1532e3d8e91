"""report.html: one file with the answer, the figures, the limits the raw results of a benchmark, offline."""

from __future__ import annotations

from pathlib import Path

from tricast_bench.report.page import page
from tricast_bench.results import Results

__all__ = ["page", "write"]


def write(results: Results, path: Path) -> None:
    """The same results make the same file. Raises OSError."""
    path.write_text(page(results), encoding="utf-8")
