"""Cursor and topic names: the two words of the contract that everything else is made of."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import NamedTuple

OFFSET_LIMIT = 2**63
DEFAULT_TOPIC = "lobby"
INBOX_PREFIX = "_inbox."
TOPIC_MAX = 128
CURSOR_MAX = 52

CURSOR_PATTERN = r"([A-Za-z0-9]{1,32})-([0-9]{1,19})"
TOPIC_PATTERN = r"[A-Za-z0-9_:-]+(?:\.[A-Za-z0-9_:-]+)*"
INBOX_PATTERN = r"_inbox\.[A-Za-z0-9_-]{22,}"
NAME_PATTERN = r"[A-Za-z0-9_-]{1,64}"
_CURSOR = re.compile(CURSOR_PATTERN)
_TOPIC = re.compile(TOPIC_PATTERN)
_INBOX = re.compile(INBOX_PATTERN)
_NAME = re.compile(NAME_PATTERN)


class Cursor(NamedTuple):
    """`<epoch>-<offset>`: I have everything up to here. Ordered only within one epoch."""

    epoch: str
    offset: int

    def __str__(self) -> str:
        return f"{self.epoch}-{self.offset}"

    @classmethod
    def parse(cls, text: str) -> Cursor | None:
        """The cursor that `text` spells, or None where it spells none."""
        return _parsed(text) if len(text) <= CURSOR_MAX else None


@lru_cache(1024)  # many clients come with the same one
def _parsed(text: str) -> Cursor | None:
    match = _CURSOR.fullmatch(text)
    if match is None:
        return None
    epoch, digits = match.groups()
    offset = int(digits)
    return Cursor(epoch, offset) if offset < OFFSET_LIMIT else None


NO_CURSOR = Cursor("none", 0)
"""Stands in `hello` for a cursor that could not be read: of no epoch, so resuming from it brings a gap, not silence."""


def is_topic(name: str) -> bool:
    """A topic's name: segments joined by single dots, 128 characters at most; an inbox needs 22 after its dot."""
    if len(name) > TOPIC_MAX or _TOPIC.fullmatch(name) is None:
        return False
    return not is_inbox(name) or _INBOX.fullmatch(name) is not None


def is_inbox(topic: str) -> bool:
    return topic.startswith(INBOX_PREFIX)


def is_name(text: str) -> bool:
    """A message id or a client id."""
    return _NAME.fullmatch(text) is not None
