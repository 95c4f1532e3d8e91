"""Clients that no one here wrote get the same messages in the same order, and come back by themselves."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack

import pytest
from tests.helpers import Node, running
from tests.helpers_clients import Http, publish
from tests.helpers_foreign import CLIENTS, EVENT_SOURCES, ForeignClient

AWKWARD: list[object] = [
    "a\nb\r\nc\rd\u2028e\u2029f\u0085g\vh\f\x1c\x1d\x1e",
    "\0\x01\x1f\x7f\ufeff",
    "\U0001f600 \U0010ffff \u00e9",
    "data: x\nid: 7\n\n: comment",
    {"type": "gap", "\u2028": ["\u2029"]},
    [0, -0.5, 1e300, None, True, "", [], {}],
    "x" * 200_000,
    "\n",
    "",
    None,
]
CHATTER = 200


@pytest.fixture
async def server() -> AsyncIterator[Node]:
    async with running(heartbeat=5.0) as node:
        yield node


async def publish_everything(http: Http) -> int:
    """Awkward data, batches and publishers at once. Returns how many messages that makes."""
    await http.publish("a", *AWKWARD)
    await http.send({"action": "publish", "topic": "b", "data_b64": "AP8="}, publish("b", 1, id="i", event="e\u2028"))
    await asyncio.gather(
        *(http.publish("ab"[who % 2], *[f"{who}.{n}" for n in range(CHATTER // 4)]) for who in range(4))
    )
    return len(AWKWARD) + 2 + CHATTER


async def test_every_client_gets_the_same_messages_in_the_same_order(server: Node) -> None:
    async with AsyncExitStack() as stack:
        clients: dict[str, ForeignClient] = {}
        for name, opener in CLIENTS.items():
            clients[name] = await stack.enter_async_context(opener(server, "topics=a,b"))
        for client in clients.values():
            await client.next()  # hello: it listens
        http = await stack.enter_async_context(Http(server))
        total = await publish_everything(http)
        heard = {name: await client.messages(total) for name, client in clients.items()}
    expected = heard["websockets"]
    assert [message.get("data") for message in expected[: len(AWKWARD)]] == AWKWARD
    for name, messages in heard.items():
        assert messages == expected, name


@pytest.mark.parametrize("name", CLIENTS)
async def test_every_client_resumes_at_a_cursor(server: Node, name: str) -> None:
    async with Http(server) as http:
        places = await http.publish("a", *range(10))
        async with CLIENTS[name](server, f"topics=a&cursor={places[3]}") as client:
            messages = await client.messages(6)
    assert [message["data"] for message in messages] == list(range(4, 10))


@pytest.mark.parametrize("name", EVENT_SOURCES)
async def test_an_event_source_that_is_cut_comes_back_at_its_cursor(server: Node, name: str) -> None:
    async with Http(server) as http, CLIENTS[name](server, "topics=a") as client:
        await client.next()
        await http.publish("a", 1, 2)
        data = [message["data"] for message in await client.messages(2)]
        for subscription in list(server.service.bus.subscriptions):
            subscription.sink.abort()
        await http.publish("a", 3, 4)
        again = await client.next()
        data += [message["data"] for message in await client.messages(2)]
    assert again["type"] == "hello"
    assert data == [1, 2, 3, 4]
