"""One reader of the bus: a cursor, what it wants to see, and a connection to write it to.

A subscription is *live* while it has been written everything up to the bus's last flush: the flush then writes to it
directly, and its cursor is the bus's. Whenever its connection does not take a write, it leaves the live set, keeps its
own cursor, and one task serves it from the log with awaited writes until it has caught up. Nothing is queued for it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from enum import Enum
from typing import TYPE_CHECKING, Protocol

from tricast.wire.cursor import Cursor
from tricast.wire.messages import Bye, Error, Frame, Gap, Heartbeat
from tricast_server.bus.tasks import end_task
from tricast_server.bus.view import Framing, View

if TYPE_CHECKING:
    from tricast_server.bus.audience import Audience, Wire
    from tricast_server.bus.bus import Bus

CATCH_UP_BYTES = 64 * 2**10


class Sink(Protocol):
    """A connection that takes whole frames."""

    @property
    def framing(self) -> Framing: ...

    @property
    def transport(self) -> Wire | None:
        """Where the flush may write whole frames by itself, while nothing is buffered there. None: only by `write`."""

    @property
    def closed(self) -> bool:
        """The peer is gone, or the connection is being closed: nothing can be written."""

    def write(self, data: bytes) -> bool:
        """Writes `data`, unless the connection is closed or would hold more than its high mark: then False."""

    def force(self, data: bytes) -> None:
        """Writes `data` whatever is buffered; the caller drains before the next. Nothing where closed."""

    async def drain(self) -> None:
        """Returns when there is room again. Raises ConnectionError, also where the peer takes nothing for too long."""

    async def emptied(self, deadline: float) -> None:
        """Returns when everything written has gone to the kernel; at `deadline` (the loop's clock) it is cut."""

    def abort(self) -> None:
        """Ends the connection at once; what is buffered is lost."""


class End(Enum):
    """Why a subscription ended."""

    LOST = "the peer is gone"
    DRAINED = "the node goes away and has said bye"
    EXPIRED = "what let it in holds no longer"
    SLOW = "the log has let go what it has not read"


class Subscription:
    """See the module. `on_end` is called once, on the loop, and must not block."""

    __slots__ = (
        "__weakref__",
        "_audience",
        "_bus",
        "_bye",
        "_cursor",
        "_in_epoch",
        "_on_end",
        "_slow_after",
        "_task",
        "ended",
        "last_write",
        "live",
        "sink",
        "view",
    )

    _audience: Audience[Subscription]

    def __init__(self, bus: Bus, sink: Sink, view: View, cursor: Cursor, on_end: Callable[[End], None]) -> None:
        self._bus = bus
        self._bye: Bye | None = None
        self._cursor = cursor
        self._on_end = on_end
        self._in_epoch = cursor.epoch == bus.log.epoch
        # What was gone when it began, or when it asked for a topic, has expired; what goes later, it was too slow for.
        self._slow_after = bus.log.floor(view.topics)
        self._task: asyncio.Task[None] | None = None
        self.ended: End | None = None
        self.last_write = bus.now()
        self.live = False
        self.sink = sink
        self.view = view

    @property
    def cursor(self) -> Cursor:
        """What has been written to the connection: this subscription's own position."""
        return self._bus.flushed if self.live else self._cursor

    @property
    def heartbeat(self) -> float:
        return self._bus.heartbeat

    def start(self) -> None:
        """Begin after the cursor. What fits is written before this returns."""
        self._write_on()

    def deliver(self, data: bytes, now: float) -> None:
        """The flush's write, while live."""
        if self.sink.write(data):
            self.last_write = now
        else:
            self._bus.meters.slow[self.sink.framing.name] += not self.sink.closed
            self.fall_behind()

    def fall_behind(self) -> None:
        """Leave the live set and go on from the log."""
        self._leave()
        if self.sink.closed:
            self.end(End.LOST)
        elif self._task is None:
            self._task = asyncio.create_task(self._catch_up())

    def fail(self) -> None:
        """End it without a word: the client comes back at its cursor."""
        self.sink.abort()
        self.end(End.LOST)

    def change_topics(self, topics: Iterable[str]) -> Cursor:
        """Takes effect at the cursor returned: what stands after it is shown by the new topics.

        Nothing is written past that cursor here, so that the caller's reply stands exactly there.
        """
        was_live = self.live
        if was_live:
            self._bus.flush()  # what was published before is still of the old topics
        if self.live:
            self._leave()
        self.view = self.view.with_topics(topics)
        self._slow_after = max(self._slow_after, self._bus.log.floor(self.view.topics))
        if was_live and self.ended is None and self._task is None:
            self._join()
        return self.cursor

    def say(self, frame: Frame) -> None:
        """Writes a frame that is no part of the log (a reply, an error) in its place in the stream."""
        if self.ended is None:
            self.sink.force(self._encoded(frame))
            self.last_write = self._bus.now()

    def beat(self, now: float) -> float | None:
        """Called when a heartbeat may be due. Returns when to call again, or None where the subscription has ended."""
        if self.ended is not None:
            return None
        if self.sink.closed:
            self.end(End.LOST)
            return None
        if self.live:
            self.last_write = max(self.last_write, self._audience.last_write)
        elif self._bus.drop_slow and self._has_lost():
            self.end(End.SLOW)
            return None
        if now - self.last_write >= self.heartbeat:
            if self.live:
                self.sink.write(self._encoded(Heartbeat(cursor=str(self.cursor))))
            self.last_write = now
        return self.last_write + self.heartbeat

    def drain(self, bye: Bye) -> None:
        """Say `bye` once everything in the log has been written, then end."""
        self._bye = bye
        if self.live:
            self._leave()
            self._say_bye()

    def expire(self, error: Error) -> None:
        """Say that what let it in holds no longer, then end."""
        self.say(error)
        self.end(End.EXPIRED)

    def end(self, why: End) -> None:
        """Idempotent. Nothing is written afterwards."""
        if self.ended is None:
            self.ended = why
            self._leave()
            self._bus.forget(self)
            self._on_end(why)

    async def aclose(self) -> None:
        """End, and end the task that serves it. For the owner of the connection. Cancelling is safe."""
        self.end(End.LOST)
        if self._task is not None:
            await end_task(self._task)

    def _encoded(self, frame: Frame) -> bytes:
        framing = self.sink.framing
        data = framing.frame(frame, str(self.cursor))
        return framing.join([data]) if data else b""

    def _join(self) -> None:
        self.live = True
        self._audience = self._bus.join(self)

    def _leave(self) -> None:
        if self.live:
            self._cursor = self._bus.flushed
            self.live = False
            self._bus.leave(self, self._audience)

    def _write_on(self) -> None:
        """Write the next stretch of the log. Where that was all, go live or say bye; else the task goes on."""
        bus, sink = self._bus, self.sink
        part = bus.read(
            self.view, self._cursor, slow_after=self._slow_after, at_switch=self._in_epoch, size=CATCH_UP_BYTES
        )
        self._in_epoch = True
        if bus.drop_slow and any(isinstance(item, Gap) and item.reason == "slow" for item in part.shown):
            self.end(End.SLOW)
            return
        if part.shown:
            data = sink.framing.join(bus.encode(part.shown, sink.framing))
            sink.force(data)
            bus.count(sink.framing, len(part.shown), len(data))
            self.last_write = bus.now()
        if part.next.epoch != self._cursor.epoch:
            self._slow_after = part.next.offset
        self._cursor = part.next
        if part.more:
            self._task = self._task or asyncio.create_task(self._catch_up())
        elif self._bye is not None:
            self._say_bye()
        else:
            bus.flush()  # what waits for the flush has just been read from the log
            self._task = None
            self._join()

    async def _catch_up(self) -> None:
        task = self._task
        try:
            while self.ended is None and self._task is task and task is not None:
                await self.sink.drain()
                await asyncio.sleep(0)  # a fast reader's catch-up must not hold the loop
                if self.sink.closed:
                    raise ConnectionResetError
                self._write_on()
        except ConnectionError:
            self.end(End.LOST)
        except BaseException:  # cancelled, or a defect: the peer must not wait for what never comes
            self.sink.abort()
            self.end(End.LOST)
            raise

    def _has_lost(self) -> bool:
        """Whether something was let go that it would have been shown, since it began."""
        floor = self._bus.log.floor(self.view.topics)
        return self._cursor.epoch == self._bus.log.epoch and floor > max(self._cursor.offset, self._slow_after)

    def _say_bye(self) -> None:
        assert self._bye is not None
        self.sink.force(self._encoded(self._bye))
        self.end(End.DRAINED)
