"""What the two small Node programs did that this server takes the place of: an echo server and a chat, line by line.

Their clients know nothing of topics or cursors: a plain WebSocket client, here PyPI's `websockets`, in the text format.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from tests.helpers import Node, running
from websockets.asyncio.client import ClientConnection, connect


@pytest.fixture
async def server() -> AsyncIterator[Node]:
    async with running(heartbeat=0.5) as node:
        yield node


@asynccontextmanager
async def client(server: Node, query: str = "") -> AsyncIterator[ClientConnection]:
    """A connection in the text format that has read its greeting."""
    async with connect(f"ws://{server.authority}/ws?format=text{query}", proxy=None) as connection:
        greeting = await line(connection)
        assert greeting.startswith("Welcome")
        yield connection


async def line(connection: ClientConnection, timeout: float = 5.0) -> str:
    text = await asyncio.wait_for(connection.recv(), timeout)
    assert isinstance(text, str)
    return text


async def nothing_comes(connection: ClientConnection) -> bool:
    """Whether what it gets next is the answer to an echo."""
    await connection.send('{"action":"ECHO","data":"fence"}')
    return await line(connection) == "Server heard: fence"


class TestEcho:
    async def test_echo_is_answered_to_who_asked(self, server: Node) -> None:
        async with client(server) as one, client(server) as other:
            await one.send('{"action":"ECHO","data":"hello there"}')
            assert await line(one) == "Server heard: hello there"
            assert await nothing_comes(other)

    async def test_ping_is_answered_with_pong_two_seconds_later(self, server: Node) -> None:
        clock = asyncio.get_running_loop()
        async with client(server) as one:
            started = clock.time()
            await one.send('{"action":"PING","delay":2}')
            assert await nothing_comes(one)
            assert await line(one) == "PONG"
            assert 1.95 < clock.time() - started < 6

    async def test_an_unknown_action_is_answered_with_an_error(self, server: Node) -> None:
        async with client(server) as one, client(server) as other:
            await one.send('{"action":"DANCE"}')
            assert (await line(one)).startswith("error: unknown_action: ")
            assert await nothing_comes(one)
            assert await nothing_comes(other)


class TestChat:
    async def test_a_raw_line_goes_to_all(self, server: Node) -> None:
        async with client(server) as one, client(server) as other, client(server) as third:
            await one.send("good morning")
            assert [await line(each) for each in (one, other, third)] == ["good morning"] * 3

    async def test_or_to_all_but_its_sender(self, server: Node) -> None:
        async with client(server, "&echo=0") as one, client(server, "&echo=0") as other:
            await one.send("good morning")
            assert await line(other) == "good morning"
            assert await nothing_comes(one)
            await other.send("and to you")
            assert await line(one) == "and to you"
            assert await nothing_comes(other)

    async def test_the_payload_of_an_event_goes_to_all(self, server: Node) -> None:
        payload = {"userName": "anna", "message": "h\u00e9llo \U0001f600"}
        async with client(server) as one, client(server) as other:
            await one.send(json.dumps({"event": "chat-message", "payload": payload}))
            assert [json.loads(await line(each)) for each in (one, other)] == [payload] * 2

    async def test_a_payload_that_is_a_text_goes_as_it_is(self, server: Node) -> None:
        async with client(server) as one:
            await one.send('{"event":"chat-message","payload":"just words"}')
            assert await line(one) == "just words"

    async def test_rooms_are_apart(self, server: Node) -> None:
        async with client(server, "&topics=red") as red, client(server, "&topics=blue") as blue:
            await red.send("only red")
            assert await line(red) == "only red"
            assert await nothing_comes(blue)

    async def test_who_left_is_missed_by_nobody(self, server: Node) -> None:
        async with client(server) as one:
            async with client(server) as other:
                await other.send("bye")
                assert await line(one) == "bye"
            await one.send("alone")
            assert await line(one) == "alone"
