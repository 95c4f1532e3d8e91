"""The pages: files that are read once. `make web` builds them into this package."""

from __future__ import annotations

import mimetypes
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

FOLDER = Path(__file__).resolve().parent / "web"
INDEX = "index.html"
FOREVER = "public, max-age=31536000, immutable"
NOT_BUILT = (
    b"<!doctype html><title>tricast</title><p>The pages were not built: <code>make web</code> does so, with Node 20. "
    b"The bus is there all the same, at <code>ws</code>, <code>sse</code> and <code>poll</code>."
)


@dataclass(frozen=True, slots=True)
class File:
    """What is served under its name, and for how long it may be kept."""

    body: bytes
    content_type: str
    caching: str


@cache
def files() -> Mapping[str, File]:
    """By path relative to the page. Reads files: call it off the event loop the first time."""
    if not (FOLDER / INDEX).is_file():
        return {INDEX: File(NOT_BUILT, "text/html", "no-cache")}
    return {path.relative_to(FOLDER).as_posix(): _file(path) for path in FOLDER.rglob("*") if path.is_file()}


def _file(path: Path) -> File:
    kind = mimetypes.guess_type(path.name)[0] or "application/octet-stream"
    # Names below assets/ contain a hash of what is in them.
    hashed = path.parent != FOLDER
    return File(path.read_bytes(), kind, FOREVER if hashed else "no-cache")
