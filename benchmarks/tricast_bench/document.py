"""Tables that a measurement writes into a document, between `<!-- name -->` and `<!-- /name -->`."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from tricast_bench.servers import Unusable


def around(document: Path, name: str) -> tuple[str, str]:
    """What stands before and behind the marks. Raises Unusable where it has none."""
    text = document.read_text(encoding="utf-8") if document.is_file() else ""
    opening, closing = _marks(name)
    before, opened, rest = text.partition(opening)
    _, closed, behind = rest.partition(closing)
    if not opened or not closed or opening in rest or closing in before + behind:
        raise Unusable(f"{document} has not one {opening} with one {closing} behind it")
    return before, behind


def write(document: Path, name: str, text: str) -> None:
    """Puts the text between the marks. Raises Unusable."""
    before, behind = around(document, name)
    opening, closing = _marks(name)
    document.write_text(f"{before}{opening}\n\n{text}\n\n{closing}{behind}", encoding="utf-8")


def markdown(head: Sequence[str], rows: Iterable[Sequence[str]], *, right: bool = False) -> str:
    """A table; with `right`, all but its first column stand to the right."""
    rule = ["---", *(["---:" if right else "---"] * (len(head) - 1))]
    return "\n".join(f"| {' | '.join(line)} |" for line in (head, rule, *rows))


def _marks(name: str) -> tuple[str, str]:
    return f"<!-- {name} -->", f"<!-- /{name} -->"
