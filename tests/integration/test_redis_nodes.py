"""Two `tricast serve` on one Redis: one bus, whichever node a client asks."""

from __future__ import annotations

import asyncio
import subprocess
from collections.abc import Callable, Iterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest
from tests.contract import engines
from tests.helpers import COMMAND, HOST, Process, clean_environment, serving, unused_port
from tests.helpers_clients import TRANSPORTS, Http, PollReader, epoch, publish, reader

BACK = 15.0

pytestmark = pytest.mark.xdist_group("redis_nodes")


@pytest.fixture(scope="module")
def redis() -> Iterator[engines.Server]:
    with engines.engine("redis") as server:
        yield server


@pytest.fixture(scope="module")
def pair(redis: engines.Server) -> Iterator[tuple[Process, Process]]:
    with (
        serving("--node", "one", "--backplane", redis.url) as one,
        serving("--node", "two", env={"TRICAST_BACKPLANE": redis.url}) as two,
    ):
        yield one, two


async def until(condition: Callable[[], Any]) -> None:
    """`condition` may block and may await."""
    async with asyncio.timeout(BACK):
        while not await condition():
            await asyncio.sleep(0.05)


@pytest.mark.parametrize("transport", TRANSPORTS)
async def test_what_one_is_told_is_heard_at_the_other(pair: tuple[Process, Process], transport: str) -> None:
    one, two = pair
    async with Http(one) as http, reader(transport, two, transport) as subscriber:
        places = await http.publish(transport, *range(20))
        frames = await subscriber.messages(20)
        assert [frame["data"] for frame in frames] == list(range(20))
        assert [frame["cursor"] for frame in frames] == places


async def test_polls_of_one_client_may_go_to_any_node_with_the_one_cursor(pair: tuple[Process, Process]) -> None:
    async with AsyncExitStack() as stack:
        clients = [await stack.enter_async_context(Http(node)) for node in pair]
        cursor = await clients[0].now("turns")
        heard: list[Any] = []
        for turn in range(30):
            await clients[turn % 3 % 2].publish("turns", turn)
            answer = await clients[turn % 2].poll("turns", cursor=cursor, wait=2)
            heard += [frame["data"] for frame in answer["messages"]]
            assert {frame["type"] for frame in answer["messages"]} <= {"message"}
            cursor = answer["cursor"]
        assert heard == list(range(30))


async def test_a_stream_is_resumed_at_the_other_node(pair: tuple[Process, Process]) -> None:
    one, two = pair
    async with Http(one) as http:
        async with reader("sse", one, "moves") as subscriber:
            await http.publish("moves", 1)
            (first,) = await subscriber.messages(1)
        await http.publish("moves", 2, 3)
        async with reader("ws", two, "moves", cursor=first["cursor"]) as subscriber:
            assert await subscriber.data(2) == [2, 3]


async def test_an_id_counts_once_over_all_nodes(pair: tuple[Process, Process]) -> None:
    one, two = pair
    async with Http(one) as first, Http(two) as second:
        told = await first.send(publish("ids", 1, id="same"))
        again = await second.send(publish("ids", 1, id="same"))
        assert again["at"] == told["at"]
        assert (again.get("duplicate"), told.get("duplicate") or False) == (True, False)
        answer = await second.post_send('{"action":"publish","topic":"ids","data":2,"id":"same"}')
        assert answer.status == 409


async def test_without_the_engine_nodes_say_so_and_keep_their_subscribers(
    redis: engines.Server, pair: tuple[Process, Process]
) -> None:
    _, two = pair
    async with AsyncExitStack() as stack:
        http, other = [await stack.enter_async_context(Http(node)) for node in pair]
        subscribers = [await stack.enter_async_context(reader(name, two, "away")) for name in ("ws", "sse")]
        assert (await http.get("/stats")).json["backplane"] == {"engine": "redis", "up": True}
        assert (await http.get("/readyz")).status == 200
        (place,) = await http.publish("away", 1)
        await asyncio.to_thread(redis.kill)

        refused = await http.post_send('{"action":"publish","topic":"away","data":2,"id":"two"}')
        assert refused.status == 503
        assert refused.json["code"] == "unavailable"
        assert refused.json["retry_after"] > 0

        async def unready() -> bool:
            return (await other.get("/readyz")).status == 503

        await until(unready)
        assert (await other.get("/healthz")).status == 200
        assert (await other.get("/stats")).json["backplane"] == {"engine": "redis", "up": False}
        # What a node has is still to be read.
        assert [frame["data"] for frame in (await other.poll("away", cursor="earliest"))["messages"]] == [1]

        await asyncio.to_thread(redis.start)

        async def ready() -> bool:
            return all([(await client.get("/readyz")).status == 200 for client in (http, other)])

        await until(ready)
        told = await http.send(publish("away", 2, id="two"))
        assert epoch(told["at"]) == epoch(place)
        for subscriber in subscribers:
            assert await subscriber.data(2) == [1, 2]
        assert (await other.get("/stats")).json["backplane"]["up"] is True


async def test_emptied_it_brings_every_subscriber_a_gap(redis: engines.Server, pair: tuple[Process, Process]) -> None:
    async with AsyncExitStack() as stack:
        http = await stack.enter_async_context(Http(pair[0]))
        (place,) = await http.publish("lost", 1)
        subscribers = [
            await stack.enter_async_context(reader(name, node, "lost", cursor=place))
            for node in pair
            for name in TRANSPORTS
        ]
        await asyncio.to_thread(redis.wipe)
        await asyncio.to_thread(redis.start)

        async def told() -> bool:
            return (await http.post_send('{"action":"publish","topic":"lost","data":2,"id":"two"}')).status == 200

        await until(told)
        for subscriber in subscribers:
            (gap,) = await subscriber.log(1, timeout=BACK)
            assert (gap["type"], gap["reason"]) == ("gap", "epoch")
            assert epoch(gap["cursor"]) != epoch(place)
            if not isinstance(subscriber, PollReader):  # a poll that comes later is told to go on at the head
                (message,) = await subscriber.messages(1)
                assert (message["data"], epoch(message["cursor"])) == (2, epoch(gap["cursor"]))


def serve(*options: str) -> subprocess.CompletedProcess[str]:
    command: list[str | Path] = [COMMAND, "serve", "--port", str(unused_port()), *options]
    return subprocess.run(command, env=clean_environment(), capture_output=True, text=True, timeout=30, check=False)


def test_a_node_that_cannot_reach_it_does_not_start_and_says_why() -> None:
    done = serve("--backplane", f"redis://:secret@{HOST}:{unused_port()}")
    assert done.returncode == 1
    assert "--backplane" in done.stderr
    assert "Traceback" not in done.stderr
    assert "secret" not in done.stderr


@pytest.mark.parametrize("url", ["memcached://secret@host", "redis", "redis+ring://secret@host", "memory://"])
def test_an_address_of_no_engine_is_refused(url: str) -> None:
    done = serve("--backplane", url)
    assert done.returncode == 2
    assert "backplane" in done.stderr.lower()
    assert "secret" not in done.stderr
