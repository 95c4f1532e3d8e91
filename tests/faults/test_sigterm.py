"""SIGTERM under load: who reads gets all that was acknowledged, and who does not is told by the next server."""

from __future__ import annotations

import asyncio
import itertools
import json
from contextlib import AsyncExitStack
from typing import cast

import aiohttp
from tests.helpers import Process, serving
from tests.helpers_clients import TRANSPORTS, Frame, Http, epoch, offset, publish, reader
from tests.helpers_raw import RawStream

PUBLISHERS = 4
READERS_EACH = 3
LOAD = 1.0
SIZE = 2000


async def publish_until_refused(server: Process, name: str) -> list[str]:
    """Batches one after the other; returns where those stand that were acknowledged."""
    places: list[str] = []
    async with Http(server, connections=1) as http:
        for number in itertools.count():
            batch = [publish("a", [name, number, part, "x" * SIZE]) for part in range(5)]
            replies = await replies_to(http, batch)
            if not any(reply["type"] == "reply" for reply in replies):
                break
            places += [reply["at"] for reply in replies if reply["type"] == "reply"]
    return places


async def replies_to(http: Http, batch: list[Frame]) -> list[Frame]:
    """None where the server refuses, or is gone."""
    try:
        answer = await http.post_send(json.dumps(batch))
    except (OSError, aiohttp.ClientError):
        return []
    return cast(list[Frame], answer.json) if answer.status == 200 else []


def assert_complete(frames: list[Frame], acknowledged: set[str]) -> None:
    """Everything acknowledged, once, in order, and a bye at its end."""
    *log, bye = frames
    assert bye["type"] == "bye"
    cursors = [frame["cursor"] for frame in log if frame["type"] != "heartbeat"]
    assert {frame["type"] for frame in log} <= {"message", "heartbeat"}
    assert [offset(cursor) for cursor in cursors] == sorted({offset(cursor) for cursor in cursors})
    assert acknowledged <= set(cursors)


async def test_who_reads_gets_everything_acknowledged_and_who_does_not_a_gap_at_the_next_server() -> None:
    with serving("--drain-timeout", "5") as process:
        port = process.port
        async with AsyncExitStack() as stack:
            readers = [
                await stack.enter_async_context(reader(transport, process, "a"))
                for transport in TRANSPORTS
                for _ in range(READERS_EACH)
            ]
            stuck = [
                await stack.enter_async_context(RawStream(transport, process, "topics=a"))
                for transport in ("ws", "sse")
            ]
            reading = [asyncio.create_task(subscriber.rest(timeout=20)) for subscriber in readers]
            publishing = [asyncio.create_task(publish_until_refused(process, f"p{n}")) for n in range(PUBLISHERS)]
            await asyncio.sleep(LOAD)
            process.terminate()
            acknowledged = {place for places in await asyncio.gather(*publishing) for place in places}
            assert len(acknowledged) > 100
            for frames in await asyncio.gather(*reading):
                assert_complete(frames, acknowledged)
            left_at = [(await stream.next())["cursor"] for stream in stuck]
        assert await asyncio.to_thread(process.wait) == 0
    with serving(port=port) as successor:
        for transport, cursor in zip(TRANSPORTS, [*left_at, left_at[0]], strict=True):
            async with reader(transport, successor, "a", cursor=cursor) as subscriber:
                gap = await subscriber.next("message", "gap")
            assert (gap["type"], gap["reason"], gap["after"], gap["exact"]) == ("gap", "epoch", cursor, False)
            assert epoch(gap["cursor"]) != epoch(cursor)
