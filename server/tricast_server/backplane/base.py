"""The backplane: a replicated log that every node of a bus follows.

Guarantees that every implementation gives, and that `tests/contract/test_backplane.py` checks:

- *Order*: offsets grow strictly over all topics, below 2**63. Every tail sees the same entries in the same order.
- *Once*: an entry is delivered to a tail exactly once.
- *Acknowledged means kept*: when `append` returns, the entry is in the log, and `bounds` reaches it.
- *Dedupe*: a publication with an id takes effect at most once per (subject, topic, id) within the window and the
  epoch. The same key with another event or data raises Conflict.
- *Who retries*: the publisher, with the same id. `append` never retries by itself.
- *Epoch*: one life of the log. Where entries are found lost, a new epoch is delivered as an entry of the log.
"""

from __future__ import annotations

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import ClassVar, TypeAlias

from tricast.errors import BadRequest
from tricast.wire import json
from tricast.wire.cursor import Cursor
from tricast_server.bus.log import Entry

KEPT_COUNT = 100_000
"""Messages that an engine keeps over all topics, where more is not asked for: what a new node loads."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Publication:
    """What somebody asks to append. `data` is JSON text, or bytes."""

    topic: str
    data: str | bytes
    event: str | None = None
    id: str | None = None
    sender: str | None = None
    subject: str | None = None

    def __post_init__(self) -> None:
        """Raises BadRequest for text that is not Unicode: nobody could be sent it (RFC 7493, 2.1)."""
        for text in (self.data, self.event, self.sender, self.subject):
            if isinstance(text, str):
                try:
                    text.encode()
                except UnicodeEncodeError:
                    raise BadRequest("a lone surrogate is not Unicode") from None

    @property
    def key(self) -> tuple[str | None, str, str | None]:
        """What dedupe goes by."""
        return (self.subject, self.topic, self.id)

    def digest(self) -> bytes:
        """Equal for publications that say the same: event and data, compared as JSON."""
        data = self.data if isinstance(self.data, bytes) else json.canonical(self.data).encode()
        kind = b"b" if isinstance(self.data, bytes) else b"j"
        event = json.dumps(self.event).encode()
        return hashlib.blake2b(b"\0".join((kind, event, data)), digest_size=16).digest()


@dataclass(frozen=True, slots=True)
class Receipt:
    """Where a publication stands in the log. `duplicate`: it stood there already."""

    at: Cursor
    duplicate: bool


@dataclass(frozen=True, slots=True)
class EpochStarted:
    """A record of the log: it starts anew at `at`, and cursors carry that epoch. Nothing from before can be resumed.

    The epoch is the one before where the engine let go what this tail had not read yet.
    """

    at: Cursor


@dataclass(frozen=True, slots=True)
class Bounds:
    """What a tail that starts now gets: entries after `start`, up to `end`. Both in `epoch`."""

    epoch: str
    start: int
    end: int


Record: TypeAlias = Entry | EpochStarted
Deliver: TypeAlias = Callable[[Sequence[Record]], None]


class Backplane(ABC):
    """See the module."""

    engine: ClassVar[str]
    """Its name in `/stats`."""

    @property
    def up(self) -> bool:
        """Whether the engine answered when it was last asked."""
        return True

    @abstractmethod
    async def append(self, publication: Publication) -> Receipt:
        """Raises Conflict, or Unavailable: then the outcome may be unknown, and the same id makes a retry safe.

        Where it waits for an engine it has a deadline. Appends of one caller that awaits each take effect in that
        order. When cancelled, the outcome is unknown.
        """

    @abstractmethod
    async def tail(self, deliver: Deliver) -> Bounds:
        """Follow the log: `deliver` gets all that is kept, then all that comes, in batches, in order, on the event
        loop. Returns when everything up to the end at the time of the call was delivered. Raises Unavailable.

        The first record is an EpochStarted, which says where this tail starts: the engine may let go of entries
        between any two calls. `deliver` must not raise and must not block.
        """

    @abstractmethod
    async def bounds(self) -> Bounds:
        """What the engine holds now. Raises Unavailable where it cannot be reached: a node is ready only if it can."""

    @abstractmethod
    async def close(self) -> None:
        """Ends all tails. Nothing is delivered afterwards."""
