"""Hello and heartbeats: what a subscriber is told of itself and of the server, on every transport."""

from __future__ import annotations

import asyncio

import pytest
from tests.contract.conftest import HEARTBEAT
from tests.helpers import Node
from tests.helpers_clients import WIRES, Http, event_stream, reader, readers, websocket

INBOX = "_inbox." + "x" * 22


async def test_hello_is_the_same_on_all_transports_but_for_their_name(server: Node) -> None:
    async with readers(server, "a", "b", client="me", wires=WIRES) as subscribers:
        hellos = {name: subscriber.hello for name, subscriber in subscribers.items()}
    assert all(hello.pop("transport") == name.partition("-")[0] for name, hello in hellos.items())
    hello = hellos["ws"]
    assert all(other == hello for other in hellos.values())
    assert hello == {
        "type": "hello",
        "protocol": 1,
        "client": "me",
        "cursor": hello["cursor"],
        "heartbeat": HEARTBEAT,
        "dedupe_window": 120,
        "topics": ["a", "b"],
        "node": "n1",
    }


async def test_hello_names_the_lobby_where_no_topic_was(server: Node, wire: str) -> None:
    async with reader(wire, server) as subscriber:
        assert subscriber.hello["topics"] == ["lobby"]


async def test_hello_names_each_topic_once_in_the_order_asked_for(server: Node, wire: str) -> None:
    async with reader(wire, server, "b", "a", "b", INBOX) as subscriber:
        assert subscriber.hello["topics"] == ["b", "a", INBOX]


async def test_clients_that_name_none_get_different_ones(server: Node) -> None:
    async with readers(server) as first, readers(server) as second:
        clients = [subscriber.hello["client"] for group in (first, second) for subscriber in group.values()]
    assert all(clients)
    assert len(set(clients)) == 6


@pytest.mark.parametrize("wire", [wire for wire in WIRES if "poll" not in wire])
async def test_hello_names_the_cursor_asked_for(server: Node, http: Http, wire: str) -> None:
    places = await http.publish("a", 1, 2, 3)
    async with reader(wire, server, "a", cursor=places[0]) as subscriber:
        assert subscriber.hello["cursor"] == places[0]
    async with reader(wire, server, "a", last=1) as subscriber:
        assert subscriber.hello["cursor"] == places[1]
    async with reader(wire, server, "a") as subscriber:
        assert subscriber.hello["cursor"] == places[2]


async def test_the_stream_begins_with_an_event_of_type_hello(server: Node) -> None:
    async with event_stream(server, "a") as stream:
        first = stream.raw.decode().split("\n\n")[0].split("\n")
    assert [line.partition(":")[0] for line in first] == ["event", "retry", "id", "data"]
    assert first[0] == "event: hello"
    assert first[1].removeprefix("retry: ").isdigit()
    assert first[2] == f"id: {stream.hello['cursor']}"


@pytest.mark.parametrize("transport", ["ws", "sse"])
async def test_silence_brings_heartbeats_with_the_subscribers_cursor(server: Node, http: Http, transport: str) -> None:
    clock = asyncio.get_running_loop()
    async with reader(transport, server, "a") as subscriber:
        (place,) = await http.publish("a", 1)
        await subscriber.next("message")
        started = clock.time()
        beats = [await subscriber.next() for _ in range(2)]
        passed = clock.time() - started
    assert beats == [{"type": "heartbeat", "cursor": place}] * 2
    assert 1.6 * HEARTBEAT < passed < 8 * HEARTBEAT


@pytest.mark.parametrize("wire", [wire for wire in WIRES if "poll" not in wire])
async def test_a_heartbeats_cursor_stands_for_what_other_topics_brought_too(
    server: Node, http: Http, wire: str
) -> None:
    async with reader(wire, server, "a") as subscriber:
        (place,) = await http.publish("b", "not for this one")
        assert await subscriber.next("heartbeat") == {"type": "heartbeat", "cursor": place}


@pytest.mark.parametrize("transport", ["ws", "sse"])
async def test_who_is_spoken_to_gets_no_heartbeats(server: Node, http: Http, transport: str) -> None:
    async with reader(transport, server, "a") as subscriber:
        for number in range(8):
            await asyncio.sleep(HEARTBEAT / 4)
            await http.publish("a", number)
        frames = [await subscriber.next() for _ in range(8)]
    assert {frame["type"] for frame in frames} == {"message"}


async def test_a_heartbeat_is_an_event_with_its_id(server: Node) -> None:
    async with event_stream(server, "a") as stream:
        event = await stream.next_event()
    assert (event.event, event.id, event.retry) == ("heartbeat", stream.hello["cursor"], None)


async def test_websocket_pings_are_answered_and_change_nothing(server: Node) -> None:
    async with websocket(server, "a") as socket:
        pong = await socket.connection.ping(b"payload")
        async with asyncio.timeout(2):
            await pong
        assert (await socket.ask(action="echo", data=1))["data"] == 1
