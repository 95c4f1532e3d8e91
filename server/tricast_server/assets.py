"""The page at `/`: from the installed package, or from the checkout where that has none."""

from __future__ import annotations

from functools import cache
from pathlib import Path

_HERE = Path(__file__).resolve().parent


@cache
def page() -> bytes:
    """The HTML of the page. Read once."""
    for folder in (_HERE / "web", _HERE.parents[1] / "web"):
        file = folder / "index.html"
        if file.is_file():
            return file.read_bytes()
    return b"<!doctype html><title>tricast</title><p>The page was not installed. The bus is at ws, sse and poll.</p>"
