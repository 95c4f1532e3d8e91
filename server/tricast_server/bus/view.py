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
    log: Log,
    view: View,
    after: Cursor,
    *,
    slow_after: int = OFFSET_LIMIT,
    at_switch: bool = False,
    limit: int = 500,
    size: int = 2**20,
) -> Slice:
    """What `view` shows after the cursor `after`; a cursor of another epoch brings an `epoch` gap alone.

    The gap stands at the head; `at_switch`, for a reader that was there when the epoch changed, where it changed.
    A loss past the offset `slow_after` is the reader's own slowness: its reason is "slow", else "expired".
    What is shown may be empty while there is more, where the reader is hidden from much of the log.
    """
    if after.epoch != log.epoch:
        place = Cursor(log.epoch, log.start) if at_switch else log.cursor
        return Slice((_epoch_gap(view, after, place),), place, place.offset < log.head)
    if after.offset >= log.head:
        return Slice((), after, False)
    shows = None if view.hidden is None else view.shows
    page = log.read(view.topics, after.offset, limit=limit, size=size, shows=shows)
    shown = [_show(log, after, slow_after, item) for item in page.items]
    return Slice(shown, Cursor(log.epoch, page.next), page.more)


def _show(log: Log, after: Cursor, slow_after: int, item: Item) -> Shown:
    if isinstance(item, Entry):
        return item
    return Gap(
        topics=item.topics,
        after=str(after),
        cursor=str(Cursor(log.epoch, item.offset)),
        reason="slow" if item.offset > slow_after else "expired",
        exact=item.exact,
    )


def _epoch_gap(view: View, after: Cursor, place: Cursor) -> Gap:
    """Not exact: what the other epoch held after that cursor is not known here."""
    promised = tuple(topic for topic in view.topics if not is_inbox(topic))
    return Gap(
        topics=promised or view.topics,
        after=None if after == NO_CURSOR else str(after),
        cursor=str(place),
        reason="epoch",
        exact=False,
    )


class Framing(Protocol):
    """How frames become bytes on one kind of connection in one format. Equal framings give equal bytes."""

    @property
    def name(self) -> str: ...

    @property
    def alone(self) -> Framing:
        """How messages are written that one connection reads by itself, where to share them is what pays for this."""
        return self

    def entry(self, entry: Entry, epoch: str) -> bytes:
        """A message: whole frames, or nothing where the format does not show it."""

    def frame(self, frame: Frame, cursor: str) -> bytes:
        """Any other frame, at the subscription's `cursor`."""

    def join(self, frames: Sequence[bytes]) -> bytes:
        """What may be written in one piece to the connection."""
