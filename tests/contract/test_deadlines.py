"""Whoever asks slowly, or does not take the answer, holds a connection for a bounded time, on every route."""

from __future__ import annotations

import asyncio
import gzip
import json
import time
from collections.abc import AsyncIterator
from contextlib import suppress

import pytest
from tests.helpers import HOST, Node, eventually, running
from tests.helpers_clients import Http, publish
from tests.helpers_raw import SMALL, client_frame, connect, request_head, upgrade_head

HEAD, BODY, SEND = 0.4, 0.5, 1.0
PATIENCE = 15.0
GETS = [
    "/ws",
    "/sse",
    "/poll",
    "/healthz",
    "/readyz",
    "/stats",
    "/",
    "/canary/ws",
    "/canary/sse",
    "/canary/poll",
    "/no",
]
POSTS = ["/send", "/topics/a"]


@pytest.fixture
async def server() -> AsyncIterator[Node]:
    async with running(heartbeat=0.5, header_timeout=HEAD, body_timeout=BODY, send_timeout=SEND) as node:
        yield node


class Slow:
    """A client on a bare socket, which writes what it has to say a byte at a time."""

    def __init__(self, server: Node) -> None:
        self._server = server

    async def __aenter__(self) -> Slow:
        self.reading, self.writing = await asyncio.open_connection(HOST, self._server.port)
        return self

    async def __aexit__(self, *details: object) -> None:
        self.writing.transport.abort()

    async def drip(self, data: bytes, pause: float = 0.02) -> float:
        """Seconds until the server had enough."""
        start = time.monotonic()
        self.answer = b""
        end = asyncio.ensure_future(self._hear())
        for byte in data:
            if end.done():
                break
            self.writing.write(bytes([byte]))
            await asyncio.wait((end,), timeout=pause)
        async with asyncio.timeout(PATIENCE):
            await end
        return time.monotonic() - start

    async def _hear(self) -> None:
        """Piece by piece: a reset, which comes where the server closes while this still sends, takes nothing back."""
        with suppress(ConnectionError):
            while data := await self.reading.read(2**16):
                self.answer += data


async def test_a_head_that_drips_is_cut(server: Node) -> None:
    async def dripped(path: str) -> None:
        async with Slow(server) as client:
            head = f"{'POST' if path in POSTS else 'GET'} {path} HTTP/1.1\r\nHost: {server.authority}\r\nX: "
            assert HEAD * 0.7 < await client.drip(head.encode() + b"x" * 10_000) < PATIENCE / 3, path
            assert client.answer == b"", path

    await asyncio.gather(*map(dripped, [*GETS, *POSTS]))
    assert server.service.refusals == {"slow_head": len([*GETS, *POSTS])}


async def test_so_is_one_that_says_nothing(server: Node) -> None:
    async with Slow(server) as client:
        assert HEAD * 0.7 < await client.drip(b"") < PATIENCE / 3
    assert not server.service.refusals  # as browsers do, who connect beforehand


async def test_so_is_the_second_head_of_a_connection(server: Node) -> None:
    request = request_head(server, "/healthz")
    async with Slow(server) as client:
        client.writing.write(request)
        await client.reading.readuntil(b"}")
        await asyncio.sleep(HEAD * 2)  # to be idle is no offence
        client.writing.write(request)
        await client.reading.readuntil(b"}")
        assert HEAD * 0.7 < await client.drip(request[:-1] + b"X: " + b"x" * 10_000) < PATIENCE / 3
    assert server.service.refusals == {"slow_head": 1}


@pytest.mark.parametrize("rest", [b"x" * 10, b"\r\n"], ids=["of a body", "a line end"])
async def test_what_comes_after_an_answer_and_begins_no_head_is_no_offence(server: Node, rest: bytes) -> None:
    body = len(rest) if rest.strip() else 0
    request = f"POST /no HTTP/1.1\r\nHost: {server.authority}\r\nContent-Length: {body}\r\n\r\n"
    async with Slow(server) as client:
        client.writing.write(request.encode())
        await client.reading.readuntil(b"404: Not Found")
        client.writing.write(rest)
        await asyncio.sleep(HEAD * 2.5)
        client.writing.write(request_head(server, "/healthz"))
        await client.reading.readuntil(b"ok")
    assert server.service.refusals.keys() <= {"not_found"}


async def test_requests_in_time_may_take_their_time(server: Node) -> None:
    """A poll that waits and streams outlive every deadline."""
    async with Slow(server) as poll, Slow(server) as stream:
        async with Http(server) as http:
            cursor = await http.now("a")
        poll.writing.write(request_head(server, f"/poll?topics=a&wait=3&cursor={cursor}"))
        stream.writing.write(upgrade_head(server, "/ws?topics=a"))
        await asyncio.sleep(2.5 * max(HEAD, BODY, SEND))
        for _ in range(3):
            stream.writing.write(client_frame(json.dumps({"action": "echo", "data": "there"}).encode()))
            await stream.reading.readuntil(b"there")
        await server.service.publish("a", "here")
        await poll.reading.readuntil(b"here")
        await stream.reading.readuntil(b"here")
    assert not server.service.refusals


async def test_a_body_that_drips_is_cut(server: Node) -> None:
    async def dripped(path: str, chunked: bool) -> None:
        length = "Transfer-Encoding: chunked" if chunked else "Content-Length: 100000"
        head = f"POST {path} HTTP/1.1\r\nHost: {server.authority}\r\n{length}\r\n\r\n"
        async with Slow(server) as client:
            client.writing.write(head.encode())
            body = b"2710\r\n" + b"x" * 10_000 if chunked else b"x" * 10_000
            assert BODY * 0.7 < await client.drip(body) < PATIENCE / 3, path
            # Whoever sends on while the other side closes may lose its last words to a reset (RFC 9112, 9.6).
            assert client.answer.startswith(b"HTTP/1.1 400 ") or not client.answer, path

    await asyncio.gather(*(dripped(path, chunked) for path in POSTS for chunked in (False, True)))
    assert server.service.refusals == {"slow_body": 4}


async def test_a_body_that_nobody_wants_holds_nothing(server: Node) -> None:
    """Answered before it has come; aiohttp then waits for the rest of it for a while. A stream goes on, of course."""

    async def dripped(method: str, path: str) -> None:
        target = f"{path}?wait=0&interval=0"
        head = f"{method} {target} HTTP/1.1\r\nHost: {server.authority}\r\nContent-Length: 1000\r\n\r\n"
        async with Slow(server) as client:
            client.writing.write(head.encode())
            assert await client.drip(b"x" * 900) < PATIENCE, path
            assert client.answer.startswith(b"HTTP/1.1 "), path

    asked = [("GET", path) for path in GETS if not path.endswith("/sse")]
    await asyncio.gather(*(dripped(*each) for each in [*asked, ("DELETE", "/send"), ("PUT", "/poll")]))


@pytest.mark.parametrize("method", ["POST", "GET"])
@pytest.mark.parametrize("path", ["/send", "/topics/a", "/poll?wait=0", "/stats", "/no"])
async def test_a_body_that_is_no_gzip_leaves_no_trace(server: Node, path: str, method: str) -> None:
    """A traceback in the log would be anybody's to write; `running` looks for one."""
    head = (
        f"{method} {path} HTTP/1.1\r\nHost: {server.authority}\r\nContent-Encoding: gzip\r\n"
        "Content-Length: 40\r\nConnection: close\r\n\r\n"
    )
    async with Slow(server) as client:
        client.writing.write(head.encode() + b"this is not what gzip makes, is it? ....")
        assert await client.drip(b"") < PATIENCE
        status = client.answer.split()[1]
    assert status == b"400" or path not in POSTS or method == "GET"


async def test_a_body_that_is_gzip_is_read(server: Node) -> None:
    async with Http(server) as http:
        body = gzip.compress(json.dumps(publish("a", "packed")).encode())
        answer = await http.post_send(body, headers={"Content-Encoding": "gzip"})
        assert answer.status == 200
        bomb = gzip.compress(b"x" * (server.service.settings.max_body + 1))
        assert (await http.post_send(bomb, headers={"Content-Encoding": "gzip"})).status == 413


@pytest.mark.parametrize(
    "head", [b"\x16\x03\x01 hello TLS", b"GET / HTTP/9\r\n\r\n", b"GET /%s HTTP/1.1\r\n" % (b"x" * 90_000)]
)
async def test_what_is_no_http_is_told_so_and_leaves_no_trace(server: Node, head: bytes) -> None:
    async with Slow(server) as client:
        client.writing.write(head + b"\r\n\r\n")
        assert await client.drip(b"") < PATIENCE
    assert client.answer.startswith((b"HTTP/1.0 400 ", b"HTTP/1.1 400 "))
    assert json.loads(client.answer.partition(b"\r\n\r\n")[2])["code"] == "bad_request"
    assert server.service.refusals == {"malformed": 1}


async def test_all_the_topics_that_are_allowed_fit_into_a_query(server: Node) -> None:
    most = server.service.settings.max_topics
    topics = [f"{number:04}" + "x" * 124 for number in range(most)]
    async with Http(server) as http:
        assert len((await http.poll(*topics))["hello"]["topics"]) == most
        answer = await http.get(f"/poll?topics={','.join([*topics, 'more'])}")
        assert (answer.status, answer.json["code"]) == (400, "bad_request")
        assert "topics" in answer.json["message"]


async def test_an_answer_that_nobody_takes_is_forgotten(server: Node) -> None:
    async with Http(server) as http:
        await http.publish("a", *["x" * 100_000] * 12)
    client = connect(server, receive_buffer=SMALL)
    try:
        client.sendall(request_head(server, "/poll?topics=a&cursor=earliest") * 40)
        await eventually(lambda: server.service.refusals["slow_answer"] == 1, timeout=PATIENCE)
    finally:
        client.close()


async def test_one_that_is_taken_slowly_arrives(server: Node) -> None:
    async with Http(server) as http:
        await http.publish("a", *["x" * 100_000] * 6)
    client = connect(server, receive_buffer=SMALL)
    client.setblocking(False)
    reading, writing = await asyncio.open_connection(sock=client, limit=SMALL)
    writing.write(request_head(server, "/poll?topics=a&cursor=earliest", "Connection: close"))
    size = 0
    async with asyncio.timeout(40):
        while piece := await reading.read(SMALL * 8):
            size += len(piece)
            await asyncio.sleep(0.05)  # four times as long as nothing may be taken
    writing.close()
    assert size > 600_000
    assert not server.service.refusals
