"""The HTTP side: headers, status pages, HTTP/1.0, subprotocols, and being part of another application."""

from __future__ import annotations

import asyncio
import json
import time

import pytest
from tests.helpers import HOST, Node, eventually, running
from tests.helpers_clients import (
    EventParser,
    Http,
    epoch,
    event_stream,
    offset,
    publish,
    raw_exchange,
    readers,
)
from websockets.asyncio.client import connect
from websockets.typing import Subprotocol

from tricast_server import Access
from tricast_server.drain import drain


async def test_an_event_stream_tells_proxies_to_let_it_through(server: Node) -> None:
    async with event_stream(server, "a") as stream:
        headers = stream.response.headers
    assert headers["Content-Type"].startswith("text/event-stream")
    assert {"no-cache", "no-transform"} <= {part.strip() for part in headers["Cache-Control"].split(",")}
    assert headers["X-Accel-Buffering"] == "no"
    assert headers["Content-Encoding"] == "identity"
    assert headers["Transfer-Encoding"] == "chunked"
    assert headers.getall("Cache-Control") == [headers["Cache-Control"]]


@pytest.mark.parametrize("accepted", ["gzip, deflate, br", "*"])
async def test_nothing_is_compressed(server: Node, http: Http, accepted: str) -> None:
    async with event_stream(server, "a", headers={"Accept-Encoding": accepted}) as stream:
        assert stream.hello["type"] == "hello"
    await http.publish("a", "x" * 10_000)
    answer = await http.get("/poll?topics=a&cursor=earliest", headers={"Accept-Encoding": accepted})
    assert answer.json["messages"]
    assert "Content-Encoding" not in answer.headers


async def test_polls_are_not_stored(http: Http) -> None:
    for path in ("/poll", "/poll?cursor=earliest&wait=0", "/poll?format=text", "/poll?v=2"):
        assert "no-store" in (await http.get(path)).headers["Cache-Control"]


async def test_health(http: Http) -> None:
    for path in ("/healthz", "/readyz"):
        answer = await http.get(path)
        assert answer.status == 200
        assert "no-store" in answer.headers["Cache-Control"]


async def test_stats_count_what_happened_and_name_no_topic(server: Node, http: Http) -> None:
    before = (await http.get("/stats")).json
    async with readers(server, "secret-topic"):
        places = await http.publish("secret-topic", "x" * 100, 2, 3)
        parked = asyncio.create_task(http.poll("secret-topic", cursor=places[-1], wait=5))
        await asyncio.sleep(0.1)
        answer = await http.get("/stats")
        await http.publish("secret-topic", 4)
        await parked
    stats = answer.json
    assert "secret-topic" not in answer.text
    assert stats["connections"] == {"ws": 1, "sse": 1, "poll": 1}
    assert stats["node"] == "n1"
    assert stats["topics"] == before["topics"] + 1
    assert stats["messages"]["published"] == before["messages"]["published"] + 3
    assert stats["messages"]["kept"] == 3
    assert stats["messages"]["delivered"] >= before["messages"]["delivered"] + 6
    assert stats["bytes"]["kept"] > 100
    assert stats["bytes"]["delivered"] > before["bytes"]["delivered"]
    assert stats["cursor"] == places[-1]
    assert stats["uptime"] > before["uptime"]
    assert stats["process"]["cpu"] > before["process"]["cpu"]
    assert stats["process"]["memory"] > 1_000_000
    assert stats["process"]["files"] > 3


async def test_the_page(http: Http) -> None:
    answer = await http.get("/")
    assert answer.status == 200
    assert answer.headers["Content-Type"].startswith("text/html")
    assert "<" in answer.text


class TestOverHttp10:
    """A proxy that speaks HTTP/1.0: no chunks, and only the end of the connection ends a stream."""

    async def test_an_event_stream_has_no_chunks_and_ends_by_close(self, server: Node, http: Http) -> None:
        head, body = await self.stream(server, http)
        assert head.startswith("http/1.0 200 ")
        assert "transfer-encoding" not in head
        assert "content-length" not in head
        events = EventParser().feed(body)
        assert [event.event for event in events] == ["hello", "", "", "", "bye"]
        assert [json.loads(event.data or "").get("data") for event in events[1:4]] == [1, 2, 3]

    async def test_an_event_stream_does_not_say_that_its_connection_stays(self, server: Node, http: Http) -> None:
        head, _ = await self.stream(server, http)
        assert "connection: keep-alive" not in head

    async def stream(self, server: Node, http: Http) -> tuple[str, bytes]:
        """Head and body of a stream with two messages from the log, a live one, and a bye."""
        await http.publish("a", 1, 2)
        reading, writing = await asyncio.open_connection(HOST, server.port)
        writing.write(
            b"GET /sse?topics=a&cursor=earliest HTTP/1.0\r\nHost: %b\r\nConnection: keep-alive\r\n\r\n"
            % server.authority.encode()
        )
        async with asyncio.timeout(3):
            head = await reading.readuntil(b"\r\n\r\n")
            body = await reading.readuntil(b'"data":2')
            await http.publish("a", 3)
            body += await reading.readuntil(b'"data":3')
            draining = asyncio.create_task(drain(server.service))
            body += await reading.read()
        writing.close()
        await writing.wait_closed()
        await draining
        return head.decode().lower(), body

    async def test_a_poll_ends_with_its_connection(self, server: Node, http: Http) -> None:
        await http.publish("a", 1)
        answer = await raw_exchange(
            server,
            b"GET /poll?topics=a&cursor=earliest HTTP/1.0\r\nHost: %b\r\n\r\n" % server.authority.encode(),
        )
        head, _, body = answer.partition(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.0 200 ")
        assert [message["data"] for message in json.loads(body)["messages"]] == [1]

    async def test_without_a_host_the_address_counts(self, server: Node) -> None:
        assert (await raw_exchange(server, b"GET /poll HTTP/1.0\r\n\r\n")).startswith(b"HTTP/1.0 200 ")


async def test_pipelined_polls_are_answered_in_order(server: Node, http: Http) -> None:
    places = await http.publish("a", 1, 2, 3)
    request = b"".join(
        b"GET /poll?topics=a&cursor=%b HTTP/1.1\r\nHost: %b\r\n%b\r\n"
        % (place.encode(), server.authority.encode(), b"Connection: close\r\n" if place == places[1] else b"")
        for place in (places[0], places[1])
    )
    answer = await raw_exchange(server, request)
    bodies = [part.partition(b"\r\n\r\n")[2] for part in answer.split(b"HTTP/1.1 200 OK")[1:]]
    assert [[m["data"] for m in json.loads(body)["messages"]] for body in bodies] == [[2, 3], [3]]


class TestSubprotocols:
    """On a WebSocket the format may be asked for by subprotocol."""

    async def first_line(self, server: Node, *offered: str, query: str = "") -> tuple[str | None, str]:
        protocols = [Subprotocol(name) for name in offered]
        url = f"ws://{server.authority}/ws{query}"
        async with connect(url, subprotocols=protocols or None, proxy=None) as connection:
            line = await connection.recv()
            assert isinstance(line, str)
            return connection.subprotocol, line

    @pytest.mark.parametrize(("name", "start"), [("json", '{"type":"hello"'), ("text", "Welcome")])
    async def test_names_the_format(self, server: Node, name: str, start: str) -> None:
        chosen, line = await self.first_line(server, f"tricast.v1.{name}")
        assert chosen == f"tricast.v1.{name}"
        assert line.startswith(start)

    async def test_the_clients_order_decides(self, server: Node) -> None:
        assert (await self.first_line(server, "tricast.v1.text", "tricast.v1.json"))[0] == "tricast.v1.text"
        assert (await self.first_line(server, "future", "tricast.v1.json"))[0] == "tricast.v1.json"

    async def test_none_is_json_and_the_query_decides(self, server: Node) -> None:
        chosen, line = await self.first_line(server)
        assert (chosen, json.loads(line)["type"]) == (None, "hello")
        assert (await self.first_line(server, query="?format=text"))[1].startswith("Welcome")

    async def test_the_subprotocol_wins_over_the_query(self, server: Node) -> None:
        assert (await self.first_line(server, "tricast.v1.text", query="?format=json"))[1].startswith("Welcome")

    async def test_an_extension_offered_does_no_harm(self, server: Node, http: Http) -> None:
        url = f"ws://{server.authority}/ws?topics=a"
        async with connect(url, compression="deflate", proxy=None) as connection:
            await connection.recv()
            await connection.send(json.dumps({"action": "echo", "data": "x" * 5000}))
            assert json.loads(await connection.recv())["data"] == "x" * 5000
            await http.publish("a", "y" * 5000)
            assert json.loads(await connection.recv())["data"] == "y" * 5000


class TestCloseCodes:
    """A broken frame ends a WebSocket with the code that says why (RFC 6455, 7.4.1)."""

    @pytest.mark.parametrize(
        ("frame", "code"),
        [
            (b"\x81\x82\0\0\0\0\xc3\x28", 1007),
            (b"\x83\x80\0\0\0\0", 1002),
            (b"\x80\x80\0\0\0\0", 1002),
            (b"\xc1\x80\0\0\0\0", 1002),
        ],
        ids=["no UTF-8", "reserved opcode", "continues nothing", "reserved bit"],
    )
    async def test_of_broken_frames(self, server: Node, frame: bytes, code: int) -> None:
        async with connect(f"ws://{server.authority}/ws", proxy=None) as connection:
            await connection.recv()
            connection.transport.write(frame)
            async with asyncio.timeout(3):
                await connection.wait_closed()
            assert connection.close_code == code

    async def test_a_close_is_answered(self, server: Node) -> None:
        async with connect(f"ws://{server.authority}/ws", proxy=None) as connection:
            await connection.recv()
            async with asyncio.timeout(5):
                await connection.close(code=1000)
            assert connection.close_code == 1000
        await eventually(lambda: server.service.connections["ws"] == 0)


class TestEmbedded:
    """`setup` mounts it under a prefix of another application, which publishes with the Service it gets."""

    async def test_under_a_prefix(self) -> None:
        async with running(prefix="/rt") as server, Http(server) as http:
            answer = await http.get("/rt/poll")
            assert answer.status == 200
            assert (await http.get("/poll")).status == 404
            receipt = await server.service.publish("lobby", {"k": 1}, event="e", id="i", sender="app")
            answer = await http.get(f"/rt/poll?cursor={answer.json['cursor']}")
            (message,) = answer.json["messages"]
        assert (message["data"], message["event"], message["id"], message["from"]) == ({"k": 1}, "e", "i", "app")
        assert (epoch(message["cursor"]), offset(message["cursor"])) == receipt.at

    async def test_bytes_and_repeats(self, server: Node, http: Http) -> None:
        first = await server.service.publish("a", b"\xff", id="same")
        again = await server.service.publish("a", b"\xff", id="same")
        assert (first.duplicate, again.duplicate) == (False, True)
        (message,) = (await http.poll("a", cursor="earliest"))["messages"]
        assert message["data_b64"] == "/w=="


async def test_many_slow_heads_do_not_hold_up_others(server: Node, http: Http) -> None:
    """Clients that send half a request head and wait."""
    writers = []
    for _ in range(50):
        _, writer = await asyncio.open_connection(HOST, server.port)
        writer.write(b"GET /sse HTTP/1.1\r\nHost: ")
        writers.append(writer)
    async with asyncio.timeout(5):
        await http.send(publish("a", 1))
    for writer in writers:
        writer.close()
        await writer.wait_closed()


async def test_a_blocking_call_on_the_event_loop_would_be_seen() -> None:
    """The guard of tests/conftest.py: it looks at what is called below frames of ours."""

    async def sleepy(access: Access) -> None:
        time.sleep(0)  # noqa: ASYNC251 - to block is the point

    with pytest.raises(AssertionError, match=r"Blocking call to time\.sleep"):
        async with running(authorise=sleepy) as server, Http(server) as http:
            await http.get("/poll")
