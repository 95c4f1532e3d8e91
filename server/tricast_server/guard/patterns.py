"""Topic patterns, as a token's claims have them.

A pattern is a topic's name in which a segment may be `*`, for any one segment, and the last one `**`, for one or more:
`chat.*` is `chat.a` but not `chat` or `chat.a.b`; `chat.**` is `chat.a` and `chat.a.b`; `**` is every topic.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

PATTERN_MAX = 128
_ONE, _REST = "*", "**"
_PATTERN = re.compile(r"(?:(?:[A-Za-z0-9_:-]+|\*)\.)*(?:[A-Za-z0-9_:-]+|\*\*?)")


class Patterns:
    """Allows what any of them does; none of them allows nothing. Raises ValueError for what is no pattern."""

    __slots__ = ("_exact", "_wild")

    def __init__(self, patterns: Iterable[str] = ()) -> None:
        known = list(patterns)
        for pattern in known:
            if len(pattern) > PATTERN_MAX or _PATTERN.fullmatch(pattern) is None:
                raise ValueError(f"no topic pattern: {pattern[:64]!a}; one looks like chat.a, chat.* or chat.**")
        self._exact = frozenset(pattern for pattern in known if _ONE not in pattern)
        self._wild = tuple(tuple(pattern.split(".")) for pattern in known if _ONE in pattern)

    def allows(self, topic: str) -> bool:
        if topic in self._exact:
            return True
        segments = tuple(topic.split("."))
        return any(_matches(pattern, segments) for pattern in self._wild)


def _matches(pattern: tuple[str, ...], segments: tuple[str, ...]) -> bool:
    if pattern[-1] == _REST:
        pattern = pattern[:-1]
        if len(segments) <= len(pattern):
            return False
    elif len(segments) != len(pattern):
        return False
    return all(wanted in (_ONE, given) for wanted, given in zip(pattern, segments, strict=False))
