"""The log's epoch changes while clients are there: they are told, and take no log for the other."""

from __future__ import annotations

import asyncio
import time

from tests.helpers import eventually, running
from tests.helpers_clients import Http, reader

from tricast.wire.cursor import Cursor
from tricast_server.backplane.base import Bounds, Deliver, EpochStarted
from tricast_server.backplane.memory import MemoryBackplane
from tricast_server.bus.log import Entry


class Engine(MemoryBackplane):
    """One whose tail a test can feed, and whose log it can replace."""

    deliver: Deliver
    replaced: Bounds | None = None

    async def tail(self, deliver: Deliver) -> Bounds:
        self.deliver = deliver
        return await super().tail(deliver)

    async def bounds(self) -> Bounds:
        return self.replaced or await super().bounds()


def entry(offset: int, data: str) -> Entry:
    return Entry(offset=offset, topic="a", data=f'"{data}"', ts=time.time())


async def test_a_poll_that_was_woken_is_told_of_the_gap_and_nobody_gets_the_lost_message_in_place_of_the_new_one(
    framing: str,
) -> None:
    engine = Engine()
    async with running(backplane=engine) as server, Http(server) as http:
        first = await http.poll("a")
        old = Cursor.parse(first["cursor"])
        assert old is not None
        waiting = asyncio.create_task(http.poll("a", format=framing, wait=5, cursor=first["cursor"]))
        await eventually(lambda: server.service.bus.parked == 1)
        engine.deliver((entry(old.offset + 1, "lost"), EpochStarted(Cursor("another", old.offset))))
        engine.deliver((entry(old.offset + 1, "new"),))
        answer = await waiting
        assert [frame["type"] for frame in answer["messages"]] == ["gap"]
        assert answer["messages"][0]["reason"] == "epoch"
        again = await http.poll("a", format=framing, cursor=f"another-{old.offset}")
        assert [(frame["data"], frame["cursor"]) for frame in again["messages"]] == [
            ("new", f"another-{old.offset + 1}")
        ]


async def test_every_stream_is_told_and_goes_on_in_the_new_log(wire: str) -> None:
    engine = Engine()
    async with running(backplane=engine) as server, Http(server) as http:
        old = Cursor.parse(await http.now("a"))
        assert old is not None
        async with reader(wire, server, "a") as subscriber:
            engine.deliver((entry(old.offset + 1, "old"),))
            assert await subscriber.data(1) == ["old"]
            engine.replaced = Bounds(epoch="another", start=old.offset, end=old.offset)
            engine.deliver((EpochStarted(Cursor("another", old.offset)),))
            (gap,) = await subscriber.log(1)
            engine.deliver((entry(old.offset + 1, "new"),))
            (message,) = await subscriber.log(1)
    assert (gap["type"], gap["reason"], gap["cursor"]) == ("gap", "epoch", f"another-{old.offset}")
    assert (message["data"], message["cursor"]) == ("new", f"another-{old.offset + 1}")
