"""HTML and SVG out of values: what is no `Markup` yet is escaped, so that nothing of a results file gets through."""

from __future__ import annotations

import math
from collections.abc import Iterable
from html import escape

VOID = frozenset({"br", "col", "link", "meta"})
EMPTY = frozenset({"circle", "line", "path", "rect"})


class Markup(str):
    """Text that is markup already."""

    __slots__ = ()


def tag(name: str, *content: str, **attributes: str | float | None) -> Markup:
    """An element. Attributes that are None are left out; `class_` is `class`, and `stroke_width` `stroke-width`."""
    given = "".join(
        f' {key.rstrip("_").replace("_", "-")}="{escape(_value(value))}"'
        for key, value in attributes.items()
        if value is not None
    )
    if name in VOID:
        return Markup(f"<{name}{given}>")
    if name in EMPTY:
        return Markup(f"<{name}{given}/>")
    return Markup(f"<{name}{given}>{join(content)}</{name}>")


def join(parts: Iterable[str], between: str = "") -> Markup:
    """Escapes what is not markup."""
    return Markup(between.join(part if isinstance(part, Markup) else clean(part) for part in parts))


def clean(text: str) -> Markup:
    """Escaped, and without the control characters that have no place in HTML or would turn text around."""
    kept = "".join(char if char.isprintable() or char.isspace() else "\N{REPLACEMENT CHARACTER}" for char in text)
    return Markup(escape(kept))


def coordinate(value: float) -> str:
    """Two decimals are enough for a drawing. Raises ValueError for what cannot be drawn."""
    if not math.isfinite(value):
        raise ValueError(f"cannot be drawn: {value}")
    text = f"{value:.2f}".rstrip("0").rstrip(".")
    return "0" if text == "-0" else text


def _value(value: str | float) -> str:
    return clean_attribute(value) if isinstance(value, str) else coordinate(value)


def clean_attribute(text: str) -> str:
    return "".join(char for char in text if char.isprintable())
