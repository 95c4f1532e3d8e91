"""One link from its opening to its end: reads it, holds what it brings until it carries, and proves it by an echo."""

from __future__ import annotations

import asyncio
import secrets
from contextlib import aclosing
from typing import Protocol

from tricast.echoes import ECHO_EVENT
from tricast.errors import CommandError, ConnectionLost, TransportError, TricastError
from tricast.mailbox import Mailbox
from tricast.session import Session, Stream, parts
from tricast.transports import Link
from tricast.transports.base import Answer
from tricast.wire.cursor import Cursor
from tricast.wire.messages import Batch, Bye, Command, Echo, Frame, Gap, Heartbeat, Hello, Message, TransportName

HELD_MAX = 2000
"""Frames that wait for a link to be chosen."""
STALL = 1.5
"""A link that ends after so many heartbeats of silence has stalled."""
LINGER = 2.0
"""Seconds that a link which is replaced may take to answer the commands that are on their way."""


class Owner(Protocol):
    """Who decides about links. None of these waits or raises, but `take`. One that is retired tells nothing."""

    def greeted(self, runner: Runner) -> None:
        """The first frame has come."""

    def proven(self, runner: Runner, rtt: float | None) -> None:
        """An echo has come back, or else (None) the server's word."""

    def unproven(self, runner: Runner, why: str) -> None: ...

    def overtaken(self, runner: Runner) -> bool:
        """More waits than can be held. Whether to go on, once there is room."""

    def ended(self, runner: Runner, error: TricastError) -> None: ...

    def take(self, runner: Runner, part: Frame) -> None:
        """A frame of the link that carries. Raises TricastError where the link is no good any more."""


class Runner:
    """`run` is for one task; closing it is `cancel`, or `retire` while commands are on their way.

    While not `carrying`, frames are held, except for the hello, which tells the session where the stream begins.
    """

    def __init__(self, link: Link, session: Session, mailbox: Mailbox, inbox: str, owner: Owner) -> None:
        self.link = link
        self.stream: Stream = session.open()
        self.carrying = False
        self.gapped = False
        self.parting = False
        """The server has said bye."""
        self.greeted_at: float | None = None
        self.tasks: set[asyncio.Task[None]] = set()
        self._session = session
        self._mailbox = mailbox
        self._inbox = inbox
        self._owner = owner
        self._loop = asyncio.get_running_loop()
        self._held: list[Frame] = []
        self._released = asyncio.Event()
        self._flooded = False
        self._heard_at = self._loop.time()
        self._echoes: dict[str, asyncio.Future[None]] = {}
        self._busy = 0
        self._retired = False

    @property
    def name(self) -> TransportName:
        return self.link.name

    @property
    def stalled(self) -> bool:
        """It has been silent for so long that it was, or would soon be, given up."""
        return self._loop.time() - self._heard_at >= STALL * self.link.heartbeat

    @property
    def age(self) -> float:
        """Seconds since its first frame; 0 before that."""
        return 0.0 if self.greeted_at is None else self._loop.time() - self.greeted_at

    async def run(self) -> None:
        """Tells the owner how it ended, unless it was cancelled."""
        try:
            async with aclosing(self.link.open(self.stream.request)) as frames:
                async for frame in frames:
                    await self._receive(frame)
            raise ConnectionLost("the link ended without a reason")
        except TricastError as error:
            if not self._retired:
                self._owner.ended(self, error)
        finally:
            await self.link.close()

    def cancel(self) -> None:
        """Ends its tasks; the connection is closed as they end."""
        for task in self.tasks:
            task.cancel()

    def retire(self) -> None:
        """`cancel`, once the commands on their way are answered; soon in any case."""
        self._retired, self.carrying = True, False
        # Nobody asks for it any more, and to sift it for each frame to come would be work in vain.
        self._held.clear()
        self._released.set()
        if self._busy:
            self._loop.call_later(LINGER, self.cancel)
        else:
            self.cancel()

    async def send(self, command: Command, *, apart: bool) -> Answer:
        """As `Link.send`, for one command; `apart` from the stream as `Link.post`."""
        self._busy += 1
        try:
            (answer,) = await (self.link.post if apart else self.link.send)([command])
            return answer
        finally:
            self._busy -= 1
            if self._retired and not self._busy:
                self.cancel()

    # Reading

    async def _receive(self, frame: Frame | Batch) -> None:
        self._heard_at = self._loop.time()
        for part in parts(frame) if isinstance(frame, Batch) else (frame,):
            self._part(part)
        if self.greeted_at is None:
            self.greeted_at = self._heard_at
            if not self._retired:
                self._owner.greeted(self)
        if self.carrying:
            if self._mailbox.held:
                self.link.release()
                await self._mailbox.room()
        elif len(self._held) >= HELD_MAX:
            await self._make_room()
        self._heard_at = self._loop.time()

    def _part(self, part: Frame) -> None:
        if self._retired:
            return
        if isinstance(part, Bye):
            self.parting = True
        if isinstance(part, Message) and part.topic == self._inbox:
            self._echoed(part)
        if self.carrying:
            self._owner.take(self, part)
            return
        if isinstance(part, Hello):
            self.stream.receive(part)
        self._held.append(part)
        if isinstance(part, Gap) and any(topic != self._inbox for topic in part.topics):
            self.gapped = True

    async def _make_room(self) -> None:
        """What the session has meanwhile is not needed again."""
        self._held = [part for part in self._held if not self._is_old(part)]
        if len(self._held) >= HELD_MAX:
            self._flooded = True
            if not self._retired and self._owner.overtaken(self):
                await self._released.wait()

    def _is_old(self, part: Frame) -> bool:
        if not isinstance(part, Message | Heartbeat):
            return False
        cursor, now = Cursor.parse(part.cursor), self._session.cursor
        return cursor is not None and now is not None and cursor.epoch == now.epoch and cursor.offset <= now.offset

    def carry(self) -> list[Frame]:
        """From now on frames go to the owner; those that were held, in order."""
        held, self._held = self._held, []
        self.carrying, self._flooded = True, False
        self._released.set()
        return held

    # Proving

    async def prove(self, through_bus: bool, timeout: float) -> None:
        """An echo up and down again, and the owner is told. `through_bus`: it comes behind all that was published
        before it, so the stream has caught up by then. Not so where the reader of the stream has to wait.
        """
        start = self._loop.time()
        try:
            async with asyncio.timeout(timeout):
                by_stream = await self._echo(through_bus or self.link.uplink == "http")
        except (TimeoutError, TransportError) as error:
            if not await self._reaches(timeout):
                if not self._retired:
                    self._owner.unproven(self, str(error) or f"no echo came back within {timeout:g} s")
                return
            by_stream = False
        if not self._retired:
            self._owner.proven(self, self._loop.time() - start if by_stream else None)

    async def _echo(self, through_bus: bool) -> bool:
        """Whether an echo came; if not, the server has answered otherwise. Raises TransportError."""
        if not through_bus:
            (answer,) = await self.link.send([Echo(data=None)])
            return not _refused(answer)
        nonce = secrets.token_hex(8)
        future = self._echoes[nonce] = self._loop.create_future()
        try:
            (answer,) = await self.link.send([Echo(data={"echo": nonce}, reply_to=self._inbox)])
            if _refused(answer):
                return False
            await future
        finally:
            del self._echoes[nonce]
        return True

    async def _reaches(self, timeout: float) -> bool:
        """Whether the server can be reached beside a stream that nobody reads for now."""
        if not (self._flooded or (self.carrying and self._mailbox.held)):
            return False
        try:
            async with asyncio.timeout(timeout):
                await self.link.post([Echo(data=None)])
        except (TimeoutError, TransportError):
            return False
        return True

    def _echoed(self, message: Message) -> None:
        if message.event == ECHO_EVENT and isinstance(message.data, dict):
            future = self._echoes.get(str(message.data.get("echo")))
            if future is not None and not future.done():
                future.set_result(None)


def _refused(answer: object) -> bool:
    """A refusal proves the way up as well as a reply does, also one for now: it is the server's own."""
    return isinstance(answer, CommandError)
