"""One link from its opening to its end: what is left of it once it is retired."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Sequence
from dataclasses import replace

from yarl import URL

from tricast.errors import ConnectionLost, TricastError
from tricast.mailbox import Mailbox
from tricast.runner import HELD_MAX, Runner
from tricast.session import Request, Session
from tricast.transports import Link, Target
from tricast.transports.base import Answer
from tricast.wire.cursor import Cursor
from tricast.wire.messages import Batch, Command, Frame, Hello, Message, Publish

FRAME = Message(topic="t", cursor="e-2", data=None)
HELLO = Hello(transport="ws", client="c", cursor="e-1", heartbeat=15, dedupe_window=120, topics=("t",), node="n")
MORE = 20


class FloodingLink(Link):
    """Brings more than can be held, and answers no command."""

    name = "ws"
    uplink = "stream"

    async def open(self, request: Request) -> AsyncGenerator[Frame | Batch, None]:
        yield HELLO
        for number in range(HELD_MAX + MORE):
            yield replace(FRAME, cursor=f"e-{number + 2}")
        raise ConnectionLost("that was all")

    async def send(self, commands: Sequence[Command]) -> list[Answer]:
        return await asyncio.Future()


class CountingSession(Session):
    """Counts how often the cursor is looked at."""

    looks = 0

    @property
    def cursor(self) -> Cursor | None:  # an attribute, where nobody counts
        self.looks += 1
        return self._at

    @cursor.setter
    def cursor(self, value: Cursor | None) -> None:
        self._at = value


class Retiring:
    """An owner that has no use for a link that brings too much."""

    def __init__(self, session: CountingSession) -> None:
        self.session = session
        self.overtakes = 0

    def greeted(self, runner: Runner) -> None: ...
    def proven(self, runner: Runner, rtt: float | None) -> None: ...
    def unproven(self, runner: Runner, why: str) -> None: ...
    def ended(self, runner: Runner, error: TricastError) -> None: ...
    def take(self, runner: Runner, part: Frame) -> None: ...

    def overtaken(self, runner: Runner) -> bool:
        self.overtakes += 1
        runner.retire()
        self.session.looks = 0
        return False


async def test_a_link_that_is_retired_while_a_command_is_on_its_way_looks_at_nothing_that_it_held() -> None:
    session = CountingSession(["t"])
    owner = Retiring(session)
    link = FloodingLink(Target(url=URL("http://127.0.0.1:9"), client="c"))
    runner = Runner(link, session, Mailbox(10), "inbox", owner)
    sending = asyncio.create_task(runner.send(Publish(topic="t", data=1), apart=False))
    await asyncio.sleep(0)
    await runner.run()
    assert (owner.overtakes, session.looks) == (1, 0)
    sending.cancel()
    await asyncio.wait([sending])
