"""Keeps a link up: connects, reads, reconnects, reopens with other topics. One task runs it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from contextlib import aclosing
from dataclasses import dataclass, replace

from tricast.errors import BusClosed, CommandError, ConnectionLost, TransportError, TricastError
from tricast.fallback import Order, Try
from tricast.mailbox import Item, Mailbox
from tricast.session import Session, Stream, parts
from tricast.timeline import Timeline
from tricast.transports import LINKS, Link, Target
from tricast.transports.base import Answer
from tricast.wire.cursor import Cursor
from tricast.wire.messages import (
    Batch,
    Bye,
    Command,
    Frame,
    Hello,
    Message,
    Subscribe,
    TransportName,
    Unsubscribe,
)

DEDUPE_WINDOW = 120.0
"""Seconds, until a hello says otherwise."""


@dataclass(slots=True)
class _Attempt:
    """A link from before it is opened until it is closed. `scope` ends it when rescheduled."""

    link: Link
    stream: Stream
    scope: asyncio.Timeout
    up_since: float | None = None


class Keeper:
    """`run` is for the one owner task; all else may be called from any task of the loop.

    Messages of the topic `inbox` go to `on_inbox`, everything else into the mailbox. `transport` is that of the link
    that is up, or was last.
    """

    def __init__(
        self,
        target: Target,
        session: Session,
        order: Order,
        mailbox: Mailbox,
        timeline: Timeline,
        *,
        inbox: str,
        on_inbox: Callable[[Message], None],
        links: Mapping[TransportName, type[Link]] = LINKS,
    ) -> None:
        self.session = session
        self.timeline = timeline
        self.dedupe_window = DEDUPE_WINDOW
        self.transport: TransportName | None = None
        self.received = self.gaps = self.reconnects = self.switches = 0
        self.time_to_first: float | None = None
        self._target = target
        self._order = order
        self._mailbox = mailbox
        self._inbox = inbox
        self._on_inbox = on_inbox
        self._links = links
        self._loop = asyncio.get_running_loop()
        self._attempt: _Attempt | None = None
        self._carried = -1
        self._good: tuple[str, ...] | None = None
        self._rejection: CommandError | None = None
        self._lost = False
        self._ended: BaseException | None = None
        self._pulse = asyncio.Event()

    # For other tasks

    @property
    def epoch(self) -> str | None:
        return self.session.cursor.epoch if self.session.cursor is not None else None

    async def up(self) -> Link:
        """The link that works, as soon as there is one. Raises what ended the client. Cancelling is safe."""
        await self._until(lambda: self._working is not None)
        assert self._working is not None
        return self._working.link

    async def send(self, link: Link, command: Command, *, apart: bool = False) -> Answer:
        """As `Link.send`. It goes apart from the stream if asked to, and where the stream's reader is held up by a
        full mailbox: the answer would stand behind what nobody reads.
        """
        send = link.post if apart or self._mailbox.held else link.send
        (answer,) = await send([command])
        return answer

    async def change_topics(self, command: Subscribe | Unsubscribe) -> None:
        """Returns once a link carries the change. Raises the CommandError that refused it, and then takes it back.

        When cancelled, the next link carries it. One call at a time.
        """
        before, self._rejection = self.session.version, None
        change = self.session.subscribe if isinstance(command, Subscribe) else self.session.unsubscribe
        change(command.topics)
        version = self.session.version
        if version != before and not await self._changed_in_stream(command, before):
            self._reopen()
        await self._until(lambda: self._carried >= version or self._rejection is not None)
        if self._rejection is not None:
            raise self._rejection

    async def _changed_in_stream(self, command: Subscribe | Unsubscribe, before: int) -> bool:
        working = self._working
        if working is None or working.link.uplink != "stream" or working.stream.version != before:
            return False
        if self._mailbox.held:
            return False
        try:
            (answer,) = await working.link.send([command])
        except TransportError:
            return False
        if isinstance(answer, CommandError):
            if isinstance(command, Unsubscribe):
                return False
            self._take_back(answer)
        working.stream.version = self.session.version
        self._carries(self.session.version, self.session.topics)
        return True

    def _carries(self, version: int, topics: tuple[str, ...]) -> None:
        """The link that is up has these topics, which the session had at that version."""
        self._carried, self._good = version, topics
        self._notify()

    def _take_back(self, error: CommandError) -> bool:
        """Whether topics that no link has carried yet can be what was refused; they are then asked for no more."""
        added = set(self.session.topics).difference(self._good or self.session.topics)
        if added:
            self.session.unsubscribe(added)
            self._rejection = error
            self._notify()
        return bool(added)

    def _reopen(self) -> None:
        """End the link, so that the next one goes on at the cursor with the topics of now."""
        attempt = self._attempt
        if attempt is not None and attempt.stream.version < self.session.version and not attempt.scope.expired():
            self.timeline.note(attempt.link.name, "reopen", "with other topics")
            attempt.scope.reschedule(self._loop.time())

    @property
    def _working(self) -> _Attempt | None:
        return self._attempt if self._attempt is not None and self._attempt.up_since is not None else None

    async def _until(self, test: Callable[[], bool]) -> None:
        while not test():
            if self._ended is not None:
                raise self._ended
            await self._pulse.wait()

    def _notify(self) -> None:
        self._pulse.set()
        self._pulse = asyncio.Event()

    # For the owner task

    async def run(self) -> None:
        """Returns when the server has refused for good, with that in the mailbox; else it is ended by cancelling."""
        trial = self._order.first()
        try:
            while True:
                if trial.delay:
                    self.timeline.note(trial.transport, "wait", f"{trial.delay:.2f} s")
                    await asyncio.sleep(trial.delay)
                trial = await self._try(trial.transport)
        except asyncio.CancelledError:
            self._end(BusClosed("the bus was closed"))
            raise
        except Exception as error:
            # A refusal, or a defect: whoever uses the client has to see it, and sees it where they wait.
            self._end(error)

    def _end(self, error: BaseException) -> None:
        self._ended = error
        self._mailbox.close(error)
        self._notify()

    async def _try(self, transport: TransportName) -> Try:
        """One link, from its opening to its end, and what to do next. Raises where the server refused for good."""
        link, stream = self._links[transport](self._target), self.session.open()
        self.timeline.note(transport, "try", f"from {stream.request.cursor or 'now'}")
        scope = asyncio.timeout(None)
        self._attempt = attempt = _Attempt(link, stream, scope)
        try:
            async with scope:
                return await self._follow(attempt)
        except TimeoutError:
            if not scope.expired():
                raise
            return Try(transport)  # it is to be reopened
        except TricastError as error:
            return self._over(attempt, error)
        finally:
            self._attempt = None
            await link.close()

    async def _follow(self, attempt: _Attempt) -> Try:
        link = attempt.link
        async with aclosing(link.open(attempt.stream.request)) as frames:
            async for frame in frames:
                self._take(attempt, frame)
                if attempt.up_since is None:
                    self._came_up(attempt)
                if self._mailbox.held:
                    link.release()
                    await self._mailbox.room()
        raise ConnectionLost("the link ended without a reason")

    def _take(self, attempt: _Attempt, frame: Frame | Batch) -> None:
        for part in parts(frame) if isinstance(frame, Batch) else (frame,):
            before = self.session.cursor
            for item in attempt.stream.receive(part):
                self._deliver(item, before)
            match part:
                case Hello(dedupe_window=int() | float() as seconds):
                    self.dedupe_window = seconds
                case Bye():
                    self.timeline.note(attempt.link.name, "bye", f"{part.reason}, {part.reconnect_after} s")
        if not attempt.stream.joined:
            raise ConnectionLost("the server is not where this client is")

    def _deliver(self, item: Item, before: Cursor | None) -> None:
        """Into the mailbox. The inbox is this client's own: neither its messages nor its losses are the user's."""
        if isinstance(item, Message):
            if item.topic == self._inbox:
                self._on_inbox(item)
                return
            self.received += 1
        else:
            topics = tuple(topic for topic in item.topics if topic != self._inbox)
            if not topics:
                return
            item = replace(item, topics=topics)
            self.gaps += 1
        self._mailbox.put((item,), before)

    def _came_up(self, attempt: _Attempt) -> None:
        name = attempt.link.name
        attempt.up_since = self._loop.time()
        if self.time_to_first is None:
            self.time_to_first = self.timeline.elapsed
        self.reconnects += self._lost
        self._lost = False
        self.switches += self.transport not in (None, name)
        self.transport = name
        self.timeline.note(name, "up", f"at {self.session.cursor}")
        self._carries(attempt.stream.version, attempt.stream.request.topics)

    def _over(self, attempt: _Attempt, error: TricastError) -> Try:
        link = attempt.link
        wait = link.reconnect_after
        if isinstance(error, CommandError):
            if not error.retryable:
                self.timeline.note(link.name, "refused", error)
                if self._take_back(error):
                    return Try(link.name)
                raise error
            wait = error.retry_after if wait is None else wait
        if attempt.up_since is None:
            self.timeline.note(link.name, "failed", error)
            return self._order.failed(wait)
        self._lost = True
        self.timeline.note(link.name, "lost", error)
        return self._order.ended(link.name, self._loop.time() - attempt.up_since, wait)
