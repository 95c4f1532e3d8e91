"""What the session lets through, to where it belongs; and a count of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from tricast.mailbox import Item, Mailbox
from tricast.wire.cursor import Cursor
from tricast.wire.messages import Gap, Message


class Delivery:
    """Into the mailbox; but the inbox is this client's own: neither its messages nor its losses are the user's.

    `lost` counts the gaps that are exact; `duplicated` what came twice or out of order: to prevent that is up to the
    session, here it is only checked.
    """

    def __init__(self, mailbox: Mailbox, inbox: str, on_inbox: Callable[[Message], None]) -> None:
        self.received = self.gaps = self.lost = self.duplicated = 0
        self._mailbox = mailbox
        self._inbox = inbox
        self._on_inbox = on_inbox
        self._last: Cursor | None = None

    def deliver(self, item: Item, before: Cursor | None) -> None:
        """`before` is the session's cursor before the item."""
        if isinstance(item, Gap):
            topics = tuple(topic for topic in item.topics if topic != self._inbox)
            if not topics:
                return
            item = replace(item, topics=topics)
            self.gaps += 1
            self.lost += item.exact
        elif item.topic == self._inbox:
            self._on_inbox(item)
            return
        else:
            self._count(item)
        self._mailbox.put((item,), before)

    def _count(self, message: Message) -> None:
        self.received += 1
        cursor, last = Cursor.parse(message.cursor), self._last
        if cursor is not None and last is not None and cursor.epoch == last.epoch and cursor.offset <= last.offset:
            self.duplicated += 1
        self._last = cursor
