"""What one subscriber sees of the log: its topics, and whether its own messages are among them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Protocol, TypeAlias

from tricast.wire.cursor import NO_CURSOR, OFFSET_LIMIT, Cursor, is_inbox
from tricast.wire.messages import Frame, Gap
from tricast_server.bus.log import Entry, Item, Log


@dataclass(frozen=True, slots=True)
class Identity:
    """Whose messages `echo=0` leaves out: both must be the same."""

    client: str
    subject: str | None


@dataclass(frozen=True, slots=True)
class View:
    """`topics` in the order asked for; `hidden` is the subscriber itself where it asked for echo=0."""

    topics: tuple[str, ...]
    hidden: Identity | None = None

    def shows(self, entry: Entry) -> bool:
        hidden = self.hidden
        return (
            hidden is None or entry.sender != hidden.client or entry.subject != hidden.subject or is_inbox(entry.topic)
        )

    def with_topics(self, topics: Iterable[str]) -> View:
        return replace(self, topics=tuple(dict.fromkeys(topics)))


Shown: TypeAlias = Entry | Gap


@dataclass(frozen=True, slots=True)
class Slice:
    """A stretch of the log as a view shows it; `next` is the subscriber's cursor once it has these."""

    shown: Sequence[Shown]
    next: Cursor
    more: bool


def read(
    log: Log, view: View, after: Cursor, *, slow_after: int = OFFSET_LIMIT, limit: int = 500, size: int = 2**20
) -> Slice:
    """What `view` shows after the cursor `after`; a cursor of another epoch brings an `epoch` gap alone.

    A loss past the offset `slow_after` is the reader's own slowness: its reason is "slow", else "expired".
    Empty only where nothing is left to show.
    """
    if after.epoch != log.epoch:
        return Slice((_epoch_gap(log, view, after),), log.cursor, False)
    offset = after.offset
    while True:
        page = log.read(view.topics, offset, limit=limit, size=size)
        shown = [s for item in page.items if (s := _show(log, view, after, slow_after, item)) is not None]
        if shown or not page.more:
            return Slice(shown, Cursor(log.epoch, page.next), page.more)
        offset = page.next


def _show(log: Log, view: View, after: Cursor, slow_after: int, item: Item) -> Shown | None:
    if isinstance(item, Entry):
        return item if view.shows(item) else None
    return Gap(
        topics=item.topics,
        after=str(after),
        cursor=str(Cursor(log.epoch, item.offset)),
        reason="slow" if item.offset > slow_after else "expired",
        exact=item.exact,
    )


def _epoch_gap(log: Log, view: View, after: Cursor) -> Gap:
    """Not exact: what the other epoch held after that cursor is not known here."""
    promised = tuple(topic for topic in view.topics if not is_inbox(topic))
    return Gap(
        topics=promised or view.topics,
        after=None if after == NO_CURSOR else str(after),
        cursor=str(log.cursor),
        reason="epoch",
        exact=False,
    )


class Framing(Protocol):
    """How frames become bytes on one kind of connection in one format. Equal framings give equal bytes."""

    @property
    def name(self) -> str: ...

    def entry(self, entry: Entry, epoch: str) -> bytes:
        """A message: whole frames, or nothing where the format does not show it."""

    def frame(self, frame: Frame, cursor: str) -> bytes:
        """Any other frame, at the subscription's `cursor`."""

    def join(self, frames: Sequence[bytes]) -> bytes:
        """What may be written in one piece to the connection."""
