"""Between the link that reads and the consumer that iterates: bounded, and nothing is ever dropped."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Iterable

from tricast.wire.cursor import Cursor
from tricast.wire.messages import Gap, Message

Item = Message | Gap


class Mailbox:
    """`put` never waits, so that what was taken off a link cannot be lost to a cancellation; the reader waits for
    `room` before it reads on. So it holds `limit` items and what one frame (a poll's answer: 500 messages) brings.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._items: deque[Item] = deque()
        self._handed: Cursor | None = None
        self._end: BaseException | None = None
        self._ready = asyncio.Event()
        self._room = asyncio.Event()
        self._room.set()

    @property
    def held(self) -> bool:
        """It was full, and is not half empty again: the reader waits."""
        return not self._room.is_set()

    def put(self, items: Iterable[Item], before: Cursor | None) -> None:
        """`before` is the cursor before these items."""
        if not self._items:
            self._handed = before
        self._items.extend(items)
        if self._items:
            self._ready.set()
        if len(self._items) >= self._limit:
            self._room.clear()

    async def room(self) -> None:
        """Cancelling is safe."""
        await self._room.wait()

    async def get(self) -> Item:
        """The oldest item; once all are handed out, raises what the mailbox was closed with. Cancelling is safe."""
        while not self._items:
            if self._end is not None:
                raise self._end
            await self._ready.wait()
        item = self._items.popleft()
        self._handed = Cursor.parse(item.cursor)
        if not self._items and self._end is None:
            self._ready.clear()
        if len(self._items) <= self._limit // 2:
            self._room.set()
        return item

    def position(self, received: Cursor | None) -> Cursor | None:
        """How far the consumer is, `received` being how far the session is."""
        return self._handed if self._items else received

    def close(self, end: BaseException) -> None:
        """What is in it can still be got."""
        self._end = end
        self._ready.set()
