"""The bytes of an event stream, held to the WHATWG's text by the letter: what no parser may stumble over."""

from __future__ import annotations

import asyncio
import base64
import json
import re
from collections.abc import AsyncIterator

import pytest
from tests.helpers import HOST, Node, running
from tests.helpers_clients import Event, EventParser, Http, event_stream, raw_exchange

from tricast_server.drain import drain
from tricast_server.settings import MESSAGE_LIMIT

LINE_LIMIT = 512 * 1024
LINE = re.compile(rb"(event: [a-z]+|id: [a-z0-9]+-[0-9]+|retry: [0-9]+|data: .*)", re.DOTALL)
LONGEST = {"id": "i" * 64, "event": "\x01" * 256}
LONGEST_TOPIC = "t" * 128
LARGEST = {
    "letters": "x" * (MESSAGE_LIMIT - 2),
    "two-byte characters": "\u00e9" * (MESSAGE_LIMIT // 2 - 1),
    "emoji": "\U0001f600" * ((MESSAGE_LIMIT - 2) // 4),
    "escaped controls": "\x01" * ((MESSAGE_LIMIT - 2) // 6),
    "line breaks": "\n" * ((MESSAGE_LIMIT - 2) // 2),
    "numbers": [7] * (MESSAGE_LIMIT // 2 - 1),
}
AWKWARD = "a\nb\r\nc\rd\u2028e\u2029f\u0085\0\ufeff\U0001f600 data: x\n\nid: 7"


@pytest.fixture
async def server() -> AsyncIterator[Node]:
    async with running(heartbeat=0.3, max_message=MESSAGE_LIMIT, retention_count=5) as node:
        yield node


@pytest.fixture
async def http(server: Node) -> AsyncIterator[Http]:
    async with Http(server) as client:
        yield client


def strictly(raw: bytes) -> list[Event]:
    """The events, of bytes that break no rule."""
    raw.decode()
    assert b"\r" not in raw
    assert not raw.startswith(b"\xef\xbb\xbf")
    assert raw.endswith(b"\n\n")
    blocks = raw.removesuffix(b"\n\n").split(b"\n\n")
    for block in blocks:
        lines = block.split(b"\n")
        assert all(LINE.fullmatch(line) for line in lines), block[:200]
        assert max(len(line) for line in lines) < LINE_LIMIT
        names = [line.partition(b":")[0] for line in lines]
        assert names.count(b"id") == 1, block[:200]
        assert names.count(b"event") <= 1
        assert names.count(b"retry") <= 1
    events = EventParser().feed(raw)
    assert len(events) == len(blocks)
    return events


@pytest.mark.parametrize("name", LARGEST)
async def test_no_line_is_too_long_for_the_largest_data(server: Node, http: Http, name: str) -> None:
    async with event_stream(server, LONGEST_TOPIC, client="c" * 64) as stream:
        command = {"action": "publish", "topic": LONGEST_TOPIC, "data": LARGEST[name], **LONGEST}
        answer = await http.post_send(json.dumps(command, ensure_ascii=False), client="c" * 64)
        assert answer.status == 200, answer
        message = await stream.next("message")
    strictly(bytes(stream.raw))
    assert message["data"] == LARGEST[name]


async def test_no_line_is_too_long_for_the_largest_bytes(server: Node, http: Http) -> None:
    data = b"\xff" * (MESSAGE_LIMIT // 4 * 3)
    async with event_stream(server, "a") as stream:
        headers = {"Content-Type": "application/octet-stream"}
        assert (await http.request("POST", "/topics/a", body=data, headers=headers)).status == 200
        assert (await http.request("POST", "/topics/a", body=data + b"\xff", headers=headers)).status == 413
        message = await stream.next("message")
    strictly(bytes(stream.raw))
    assert base64.b64decode(message["data_b64"]) == data


@pytest.mark.parametrize("format", ["json", "text"])
async def test_every_kind_of_event(server: Node, http: Http, format: str) -> None:
    """Hello, a gap, messages from the log and live, a heartbeat and a bye."""
    start = await http.now("a")
    await http.publish("a", *[AWKWARD] * 8)
    async with event_stream(server, "a", format=format, cursor=start) as stream:
        await http.publish("a", {"k": AWKWARD})
        for _ in range(7):
            await stream.next_event()
        await asyncio.sleep(0.5)
        draining = asyncio.create_task(drain(server.service))
        await stream.rest()
        await http.close()
        await draining
    events = strictly(bytes(stream.raw))
    kinds = [event.event for event in events if event.event != "heartbeat"]
    assert kinds == ["hello", "gap", *[""] * 6, "bye"]
    assert "heartbeat" in [event.event for event in events]
    assert [event.event for event in events if event.retry is not None] == ["hello", "bye"]
    dispatched = {event.event for event in events if event.data is not None}
    assert dispatched == ({"hello", "gap", "", "heartbeat", "bye"} if format == "json" else {"hello", ""})


async def test_awkward_characters_stand_on_one_line_of_json(server: Node, http: Http) -> None:
    async with event_stream(server, "a") as stream:
        await http.publish("a", AWKWARD)
        event = await stream.next_event()
    assert event.data is not None
    assert "\n" not in event.data
    assert json.loads(event.data)["data"] == AWKWARD


async def test_a_stream_over_http_1_0_has_the_same_events(server: Node, http: Http) -> None:
    await http.publish("a", AWKWARD, "x" * 100_000, 3)
    async with event_stream(server, "a", cursor="earliest", client="me") as stream:
        await stream.messages(3)
    request = b"GET /sse?topics=a&cursor=earliest&client=me HTTP/1.0\r\nHost: %b\r\n\r\n" % server.authority.encode()
    answer = await raw_exchange(server, request, b'"data":3', b"\n\n")
    assert strictly(answer.partition(b"\r\n\r\n")[2])[:4] == strictly(bytes(stream.raw))[:4]


async def test_what_cannot_connect_for_now_gets_an_event_without_id(server: Node) -> None:
    """An empty id would make a browser forget its cursor."""
    await server.service.bus.stop_publishing()
    async with event_stream(server, "a") as stream:
        await stream.rest()
    lines = bytes(stream.raw).split(b"\n")
    assert [line.partition(b":")[0] for line in lines] == [b"event", b"retry", b"data", b"", b""]


async def test_each_write_is_whole_chunks(server: Node, http: Http) -> None:
    """However the stream is cut into reads, its chunks join to the same events (RFC 9112, 7.1)."""
    reading, writing = await asyncio.open_connection(HOST, server.port)
    writing.write(f"GET /sse?topics=a HTTP/1.1\r\nHost: {server.authority}\r\n\r\n".encode())
    head = await reading.readuntil(b"\r\n\r\n")
    assert b"transfer-encoding: chunked" in head.lower()
    await http.publish("a", *range(50))
    draining = asyncio.create_task(drain(server.service))
    body = bytearray()
    while size := int((await reading.readuntil(b"\r\n")), 16):
        body += await reading.readexactly(size)
        assert await reading.readexactly(2) == b"\r\n"
        strictly(bytes(body))
    assert await reading.readexactly(2) == b"\r\n"
    writing.close()
    await writing.wait_closed()
    await http.close()
    await draining
    events = strictly(bytes(body))
    assert [json.loads(event.data or "").get("data") for event in events[1:-1]] == list(range(50))
