"""What clients write down, as `checker` reads it: one JSON object for each thing that happened to them, in the order in
which it did. `did` says what:

    begin   client, topics, cursor, t        subscribes: to be told all of these topics that comes after the cursor
    got     client, topic, cursor, id, data  a message
    gap     client, topics, cursor, reason, t
    end     client, cursor, stays, t         does not read on. `stays`: to the end of the run
    try     client, topic, id, data, t       is about to publish; again before every repetition
    ack     client, id, at, t                was told that it is in the log, at that place

A cursor is `<epoch>-<offset>`. `t` is seconds on a clock that all clients of the run share.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple, TypeAlias

Line: TypeAlias = Mapping[str, Any]


class Place(NamedTuple):
    """In the log. Epochs have no order of their own: see `_epochs_in_order`."""

    epoch: str
    offset: int

    @classmethod
    def of(cls, cursor: str) -> Place:
        epoch, _, offset = cursor.rpartition("-")
        return cls(epoch, int(offset))

    def __str__(self) -> str:
        return f"{self.epoch}-{self.offset}"


class Message(NamedTuple):
    topic: str
    id: str
    data: Any


class Gap(NamedTuple):
    topics: frozenset[str]
    reason: str


@dataclass
class Story:
    """What happened to one client. `items`: where, and what came there."""

    name: str
    topics: frozenset[str]
    begin: Place
    items: list[tuple[Place, Message | Gap]] = field(default_factory=list)
    end: Place | None = None
    stays: bool = False

    @property
    def last(self) -> Place:
        return self.items[-1][0] if self.items else self.begin


@dataclass
class Attempt:
    message: Message
    since: float


class Ack(NamedTuple):
    id: str
    at: Place
    t: float


def lines_of(paths: Iterable[Path]) -> Iterator[Line]:
    for path in paths:
        with path.open() as file:
            for line in file:
                yield json.loads(line)
