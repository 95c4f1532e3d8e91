"""A poll that has been woken when the log's epoch changes, before it could be answered."""

from __future__ import annotations

import asyncio
import time

from tests.helpers import eventually, running
from tests.helpers_clients import Http

from tricast.wire.cursor import Cursor
from tricast_server.backplane.base import Bounds, Deliver, EpochStarted
from tricast_server.backplane.memory import MemoryBackplane
from tricast_server.bus.log import Entry


class Engine(MemoryBackplane):
    """One whose tail a test can feed."""

    deliver: Deliver

    async def tail(self, deliver: Deliver) -> Bounds:
        self.deliver = deliver
        return await super().tail(deliver)


def entry(offset: int, data: str) -> Entry:
    return Entry(offset=offset, topic="a", data=f'"{data}"', ts=time.time())


async def test_it_is_told_of_the_gap_and_nobody_gets_the_lost_message_in_place_of_the_new_one() -> None:
    engine = Engine()
    async with running(backplane=engine) as server, Http(server) as http:
        first = await http.poll("a")
        old = Cursor.parse(first["cursor"])
        assert old is not None
        waiting = asyncio.create_task(http.poll("a", wait=5, cursor=first["cursor"]))
        await eventually(lambda: server.service.bus.parked == 1)
        engine.deliver((entry(old.offset + 1, "lost"), EpochStarted(Cursor("another", old.offset))))
        engine.deliver((entry(old.offset + 1, "new"),))
        answer = await waiting
        assert [frame["type"] for frame in answer["messages"]] == ["gap"]
        assert answer["messages"][0]["reason"] == "epoch"
        again = await http.poll("a", cursor=f"another-{old.offset}")
        assert [(frame["data"], frame["cursor"]) for frame in again["messages"]] == [
            ("new", f"another-{old.offset + 1}")
        ]
