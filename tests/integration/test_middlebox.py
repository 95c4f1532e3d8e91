"""Each fault of the middlebox as its clients see it, before a small server whose every byte is known."""

from __future__ import annotations

import asyncio
import gc
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from tests.helpers import eventually

from tricast_bench.middlebox import PRESETS, Faults, Middlebox

SILENCE = 0.2
"""Seconds in which nothing has to happen."""


class Origin:
    """A server of all kinds: what a test says goes down its streams, and it keeps what it was sent."""

    def __init__(self) -> None:
        self.posts: list[bytes] = []
        self.heard: list[str] = []
        self.requests: list[web.Request] = []
        self.port = 0
        self._streams: set[asyncio.Queue[bytes]] = set()
        self.sockets: set[web.WebSocketResponse] = set()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def streams(self) -> int:
        return len(self._streams)

    def say(self, *events: str) -> None:
        """All at once, down every SSE; an empty one ends it."""
        data = b"".join(f"data: {event}\n\n".encode() for event in events)
        for stream in self._streams:
            stream.put_nowait(data)

    async def ws(self, request: web.Request) -> web.StreamResponse:
        self.requests.append(request)
        socket = web.WebSocketResponse(compress=False)
        await socket.prepare(request)
        self.sockets.add(socket)
        try:
            await socket.send_str("hello")
            async for message in socket:
                self.heard.append(message.data)
                await socket.send_str(message.data)
        finally:
            self.sockets.discard(socket)
        return socket

    async def sse(self, request: web.Request) -> web.StreamResponse:
        headers = {"Content-Type": "text/event-stream"}
        if "xab" in request.query:
            headers["X-Accel-Buffering"] = "no"
        response = web.StreamResponse(headers=headers)
        await response.prepare(request)
        stream: asyncio.Queue[bytes] = asyncio.Queue()
        self._streams.add(stream)
        try:
            await response.write(b"data: hello\n\n")
            while data := await stream.get():
                await response.write(data)
        finally:
            self._streams.discard(stream)
        return response

    async def poll(self, request: web.Request) -> web.Response:
        await asyncio.sleep(float(request.query.get("wait", "0")))
        return web.Response(text="polled")

    async def send(self, request: web.Request) -> web.Response:
        self.posts.append(await request.read())
        return web.Response(text=f"got {len(self.posts[-1])}")

    async def big(self, request: web.Request) -> web.Response:
        return web.Response(body=b"x" * int(request.query["size"]))


@asynccontextmanager
async def serving() -> AsyncIterator[Origin]:
    origin, app = Origin(), web.Application(client_max_size=2**24)
    for path, handler in (("ws", origin.ws), ("sse", origin.sse), ("poll", origin.poll), ("big", origin.big)):
        app.router.add_get(f"/{path}", handler)
        app.router.add_get(f"/canary/{path}", handler)
    app.router.add_get("/events", origin.sse)
    app.router.add_post("/send", origin.send)
    runner = web.AppRunner(app, access_log=None, handler_cancellation=True, shutdown_timeout=0.1)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        origin.port = runner.addresses[0][1]
        yield origin
    finally:
        await runner.cleanup()


class Stage:
    """The server, the middlebox before it, and a client."""

    def __init__(self, origin: Origin, box: Middlebox, client: aiohttp.ClientSession) -> None:
        self.origin = origin
        self.box = box
        self.client = client

    def ws(self, path: str = "/ws") -> Any:
        return self.client.ws_connect(self.box.url + path, max_msg_size=0)

    def get(self, path: str) -> Any:
        return self.client.get(self.box.url + path)

    def post(self, data: bytes = b"abc") -> Any:
        return self.client.post(f"{self.box.url}/send", data=data)

    async def text(self, path: str = "/poll") -> str:
        async with self.get(path) as response:
            assert response.status == 200
            text: str = await response.text()
            return text

    async def raw(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        return await asyncio.open_connection(*self.box.address)


@pytest.fixture
async def stage() -> AsyncIterator[Stage]:
    timeout = aiohttp.ClientTimeout(total=10)
    async with serving() as origin, Middlebox(upstream=origin.url) as box:
        async with aiohttp.ClientSession(timeout=timeout) as client:
            yield Stage(origin, box, client)


async def event(response: aiohttp.ClientResponse) -> str:
    """The next event's data, empty at the end."""
    line = await response.content.readline()
    if line:
        await response.content.readline()
    return line.decode().removeprefix("data: ").rstrip("\n")


async def nothing_comes(read: Any) -> None:
    """Reading brings nothing for a while, not even an end."""
    await nothing_comes_within(SILENCE, read)


async def nothing_comes_within(seconds: float, read: Any) -> None:
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(seconds):
            await read


async def gone(reader: asyncio.StreamReader) -> None:
    """The peer ends the connection, with FIN or with RST."""
    async with asyncio.timeout(2):
        with suppress(ConnectionError):
            assert await reader.read() is not None


def now() -> float:
    return asyncio.get_running_loop().time()


def files() -> int:
    """Open file descriptors of this process."""
    return len(list(Path("/proc/self/fd").iterdir()))


# Without faults


async def test_without_faults_everything_passes(stage: Stage) -> None:
    async with stage.ws() as ws:
        assert await ws.receive_str() == "hello"
        await ws.send_str("x" * 200_000)
        assert len(await ws.receive_str()) == 200_000
    async with stage.get("/sse") as sse:
        assert await event(sse) == "hello"
        stage.origin.say("1", "2")
        assert [await event(sse), await event(sse)] == ["1", "2"]
    assert await stage.text() == "polled"
    async with stage.post(b"y" * 1_000_000) as response:
        assert await response.text() == "got 1000000"
    assert len(await stage.text("/big?size=3000000")) == 3_000_000
    kinds = stage.box.counters.kinds
    assert {kind: traffic.requests for kind, traffic in kinds.items()} == dict.fromkeys(kinds, 1)
    assert kinds["ws"].up > 200_000 < kinds["ws"].down
    assert kinds["send"].up > 1_000_000 > kinds["send"].down > 0
    assert kinds["other"].down > 3_000_000 > kinds["other"].up > 0


async def test_a_connection_serves_several_requests(stage: Stage) -> None:
    for _ in range(5):
        assert await stage.text() == "polled"
        async with stage.post() as response:
            assert await response.text() == "got 3"
    assert stage.box.counters.connections == 1


async def test_nothing_waits_for_acknowledgements(stage: Stage) -> None:
    """With Nagle's algorithm, what is written in two pieces takes 40 ms."""
    async with stage.ws():
        (connection,) = stage.box._connections.values()
        assert connection is not None
        for writer in connection._writers:
            assert writer.get_extra_info("socket").getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)


async def test_pipelined_requests_are_answered_in_order(stage: Stage) -> None:
    reader, writer = await stage.raw()
    for size in (1, 2, 3):
        writer.write(b"GET /big?size=%d HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n" % size)
    for size in (1, 2, 3):
        head = await reader.readuntil(b"\r\n\r\n")
        assert b"Content-Length: %d\r\n" % size in head
        assert await reader.readexactly(size) == b"x" * size
    writer.close()
    await writer.wait_closed()


async def test_chunked_and_expected_bodies_go_up(stage: Stage) -> None:
    async def parts() -> AsyncIterator[bytes]:
        yield b"ab"
        yield b"c"

    url = f"{stage.box.url}/send"
    async with stage.client.post(url, data=parts(), expect100=True) as response:
        assert await response.text() == "got 3"
    assert stage.origin.posts == [b"abc"]


@pytest.mark.parametrize(
    ("raw", "status"),
    [
        (b"GET / HTTP/9\r\n\r\n", b"400"),
        (b"x" * 500_000, b"400"),
        (b"POST /send HTTP/1.1\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n", b"400"),
        (b"CONNECT h:443 HTTP/1.1\r\n\r\n", b"501"),
    ],
)
async def test_what_it_does_not_understand_it_refuses(stage: Stage, raw: bytes, status: bytes) -> None:
    reader, writer = await stage.raw()
    writer.write(raw)
    assert (await reader.read()).startswith(b"HTTP/1.1 " + status)
    writer.close()
    await writer.wait_closed()


@asynccontextmanager
async def scripted(*steps: bytes | float) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    """A connection through a middlebox to a server that, after a request's head, writes, waits, and closes."""

    served = asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        for step in steps:
            if isinstance(step, bytes):
                writer.write(step)
            else:
                await asyncio.sleep(step)
        writer.close()
        with suppress(ConnectionError):
            await writer.wait_closed()
        served.set()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    async with server, Middlebox(upstream=f"http://127.0.0.1:{port}") as box, asyncio.timeout(5):
        reader, writer = await asyncio.open_connection(*box.address)
        yield reader, writer
        writer.close()
        with suppress(ConnectionError):
            await writer.wait_closed()
        await served.wait()
        await eventually(lambda: box.counters.open == 0)


async def test_a_body_that_ends_with_the_connection() -> None:
    response = b"HTTP/1.0 200 OK\r\n\r\nto the end"
    async with scripted(response) as (reader, writer):
        writer.write(b"GET / HTTP/1.0\r\n\r\n")
        assert await reader.read() == response


async def test_interim_responses_pass() -> None:
    responses = b"HTTP/1.1 103 Early Hints\r\n\r\n", b"HTTP/1.1 204 No Content\r\n\r\n"
    async with scripted(*responses) as (reader, writer):
        writer.write(b"GET / HTTP/1.1\r\n\r\n")
        assert await reader.read() == b"".join(responses)


async def test_an_answer_before_the_request_has_been_read() -> None:
    response = b"HTTP/1.1 413 Too Large\r\nContent-Length: 2\r\n\r\nno"
    async with scripted(response, 0.1) as (reader, writer):
        writer.write(b"POST /send HTTP/1.1\r\nContent-Length: 1000000\r\n\r\n")
        assert await reader.readexactly(len(response)) == response


async def test_a_server_that_closes_an_idle_connection_closes_the_clients() -> None:
    response = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
    async with scripted(response, 0.1) as (reader, writer):
        writer.write(b"GET / HTTP/1.1\r\n\r\n")
        assert await reader.readexactly(len(response)) == response
        await nothing_comes_within(0.05, reader.read())
        assert await reader.read() == b""


@pytest.mark.parametrize(
    "response",
    [
        b"",
        b"SSH-2.0-x\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\nok",
    ],
)
async def test_a_server_that_speaks_no_http(response: bytes) -> None:
    async with scripted(response) as (reader, writer):
        writer.write(b"GET / HTTP/1.1\r\n\r\n")
        assert await reader.read() == b""


async def test_a_response_that_stops_in_the_middle() -> None:
    response = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
    async with scripted(response, b"5\r\nhel") as (reader, writer):
        writer.write(b"GET / HTTP/1.1\r\n\r\n")
        # What came of the chunk passes as a whole one, and no last chunk follows.
        assert await reader.read() == response + b"3\r\nhel\r\n"


async def test_a_client_that_leaves_is_gone_for_the_server(stage: Stage) -> None:
    async with stage.get("/sse") as sse:
        assert await event(sse) == "hello"
        assert stage.origin.streams == 1
        sse.close()
        await eventually(lambda: stage.origin.streams == 0)
    await eventually(lambda: stage.box.counters.kinds["sse"].open == 0)


async def test_no_server_is_502() -> None:
    async with serving() as origin:
        url = origin.url
    async with Middlebox(upstream=url) as box, aiohttp.ClientSession() as client:
        async with client.get(f"{box.url}/poll") as response:
            assert response.status == 502


async def test_a_client_that_does_not_read_holds_the_server_back(stage: Stage) -> None:
    reader, writer = await stage.raw()
    writer.write(b"GET /big?size=50000000 HTTP/1.1\r\nHost: h\r\n\r\n")
    seen = [0, 0]
    while not 0 < seen[-1] == seen[-2]:
        await asyncio.sleep(SILENCE)
        seen.append(stage.box.counters.kinds["other"].down)
    assert seen[-1] < 20_000_000
    left = 50_000_000
    await reader.readuntil(b"\r\n\r\n")
    while left:
        left -= len(await reader.read(left))
    writer.close()
    await writer.wait_closed()


# WebSocket


@pytest.mark.parametrize("status", [200, 400, 403, 407, 502])
@pytest.mark.parametrize("path", ["/ws", "/canary/ws"])
async def test_refuse_upgrade(stage: Stage, status: int, path: str) -> None:
    stage.box.set(Faults(refuse_upgrade=status))
    with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
        await stage.ws(path)
    assert refused.value.status == status
    assert await stage.text() == "polled"
    assert not stage.origin.requests


async def test_strip_upgrade(stage: Stage) -> None:
    stage.box.set(Faults(strip_upgrade=True))
    with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
        await stage.ws()
    assert refused.value.status == 400
    (seen,) = stage.origin.requests
    assert "Upgrade" not in seen.headers
    assert "Sec-WebSocket-Key" in seen.headers


async def test_silence_down_then_lifted(stage: Stage) -> None:
    stage.box.set(Faults(ws_silence="down"))
    async with stage.ws() as ws:
        await ws.send_str("up")
        await nothing_comes(ws.receive())
        assert stage.origin.heard == ["up"]
        stage.box.set(Faults())
        assert [await ws.receive_str(), await ws.receive_str()] == ["hello", "up"]


async def test_silence_up_begun_in_mid_stream(stage: Stage) -> None:
    async with stage.ws() as ws:
        assert await ws.receive_str() == "hello"
        stage.box.set(Faults(ws_silence="up"))
        await ws.send_str("lost?")
        (socket,) = stage.origin.sockets
        await socket.send_str("still down")
        assert await ws.receive_str() == "still down"
        await nothing_comes(ws.receive())
        assert stage.origin.heard == []
        stage.box.set(Faults())
        assert await ws.receive_str() == "lost?"


async def test_silence_both_passes_the_end_alone(stage: Stage) -> None:
    stage.box.set(Faults(ws_silence="both"))
    ws = await stage.ws()
    await ws.send_str("lost")
    await nothing_comes(ws.receive())
    ws._response.close()
    await eventually(lambda: not stage.origin.sockets)
    assert stage.origin.heard == []
    await eventually(lambda: stage.box.counters.open == 0)
    await ws.close()


async def test_a_websocket_is_dropped_after_seconds(stage: Stage) -> None:
    stage.box.set(Faults(ws_drop_after=0.3))
    start = now()
    async with stage.ws() as ws:
        assert await ws.receive_str() == "hello"
        assert (await ws.receive()).type == aiohttp.WSMsgType.CLOSED
        assert 0.25 < now() - start < 2
        assert ws.close_code == 1006
    assert stage.box.counters.kinds["ws"].cut == 1


async def test_a_websocket_is_dropped_after_bytes(stage: Stage) -> None:
    # "hello" is 7 bytes as a frame, and 4 of the next frame come through.
    stage.box.set(Faults(ws_drop_after_bytes=11))
    reader, writer = await stage.raw()
    writer.write(
        b"GET /ws HTTP/1.1\r\nHost: h\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
        b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    )
    await reader.readuntil(b"\r\n\r\n")
    assert await reader.readexactly(7) == b"\x81\x05hello"
    (socket,) = stage.origin.sockets
    await socket.send_str("too long")
    assert await reader.read() == b"\x81\x08to"
    writer.close()
    await writer.wait_closed()
    assert stage.box.counters.kinds["ws"].cut == 1


# What comes down


@pytest.mark.parametrize("path", ["/sse", "/canary/sse", "/events"])
async def test_hold_headers_until_the_end(stage: Stage, path: str) -> None:
    stage.box.set(Faults(sse_hold_headers=True))
    request = asyncio.ensure_future(stage.client.get(stage.box.url + path))
    await eventually(lambda: stage.origin.streams == 1)
    stage.origin.say("1")
    await nothing_comes(asyncio.shield(request))
    stage.origin.say()
    async with await request as sse:
        assert [await event(sse), await event(sse), await event(sse)] == ["hello", "1", ""]


async def test_hold_body_lifted_in_mid_stream(stage: Stage) -> None:
    stage.box.set(Faults(sse_hold_body=True))
    async with stage.get("/sse") as sse:
        stage.origin.say("1")
        await nothing_comes(event(sse))
        stage.box.set(Faults())
        assert [await event(sse), await event(sse)] == ["hello", "1"]
        stage.box.set(Faults(sse_hold_body=True))
        stage.origin.say("2")
        await nothing_comes(event(sse))


async def test_hold_lets_go_of_a_full_buffer(stage: Stage) -> None:
    stage.box.set(Faults(sse_hold_body=True, hold_bytes=1000))
    async with stage.get("/sse") as sse:
        await nothing_comes(event(sse))
        stage.origin.say("x" * 1000)
        assert [await event(sse), len(await event(sse))] == ["hello", 1000]
        stage.origin.say("next")
        await nothing_comes(event(sse))


async def test_holding_is_off_for_those_who_ask_where_that_counts(stage: Stage) -> None:
    stage.box.preset("nginx-default")
    async with stage.get("/sse?xab=1") as sse:
        assert await event(sse) == "hello"
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(SILENCE):
            await stage.get("/sse")


async def test_late_by_one_event(stage: Stage) -> None:
    stage.box.set(Faults(late_by_one=True))
    async with stage.get("/sse") as sse:
        await nothing_comes(event(sse))
        stage.origin.say("1", "2")
        assert [await event(sse), await event(sse)] == ["hello", "1"]
        await nothing_comes(event(sse))
        stage.origin.say()
        assert [await event(sse), await event(sse)] == ["2", ""]


async def test_late_by_one_frame(stage: Stage) -> None:
    stage.box.set(Faults(late_by_one={"ws": True}))
    async with stage.ws() as ws:
        await nothing_comes(ws.receive())
        await ws.send_str("1")
        assert await ws.receive_str() == "hello"
        stage.box.set(Faults())
        assert await ws.receive_str() == "1"


async def test_batches(stage: Stage) -> None:
    stage.box.set(Faults(batch_ms={"sse": 300.0}))
    start = now()
    async with stage.get("/sse") as sse:
        for number in range(5):
            stage.origin.say(str(number))
            await asyncio.sleep(0.01)
        assert await event(sse) == "hello"
        arrived = now()
        assert [await event(sse) for _ in range(5)] == ["0", "1", "2", "3", "4"]
        assert 0.25 < arrived - start < 1
        assert now() - start < 1.2


# Cuts


async def test_streams_are_cut_in_spite_of_traffic(stage: Stage) -> None:
    stage.box.set(Faults(cut_after=0.3))
    start = now()
    async with stage.get("/sse") as sse:
        with pytest.raises(aiohttp.ClientError):
            while await event(sse):
                stage.origin.say("more")
                await asyncio.sleep(0.02)
    assert 0.25 < now() - start < 2
    await eventually(lambda: stage.origin.streams == 0)
    with pytest.raises(aiohttp.ClientError):
        await stage.text("/poll?wait=5")
    assert await stage.text() == "polled"
    counters = stage.box.counters.kinds
    # The client repeats a GET by itself.
    assert counters["sse"].cut == 1 <= counters["poll"].cut


@pytest.mark.parametrize("reset", [False, True])
async def test_a_cut_is_fin_or_rst(stage: Stage, reset: bool) -> None:
    stage.box.set(Faults(cut_after=0.1, reset=reset))
    reader, writer = await stage.raw()
    writer.write(b"GET /sse HTTP/1.1\r\nHost: h\r\n\r\n")
    with pytest.raises(ConnectionResetError if reset else asyncio.IncompleteReadError):
        await reader.readuntil(b"never")
    writer.close()
    with suppress(ConnectionResetError):
        await writer.wait_closed()


async def test_a_cut_poll_can_have_an_answer(stage: Stage) -> None:
    stage.box.set(Faults(cut_after={"poll": 0.1}, cut_status=504))
    async with stage.get("/poll?wait=5") as response:
        assert response.status == 504


async def test_a_cut_that_is_switched_on_reaches_open_streams(stage: Stage) -> None:
    async with stage.get("/sse") as sse, stage.ws() as ws:
        assert (await event(sse), await ws.receive_str()) == ("hello", "hello")
        await asyncio.sleep(0.05)
        stage.box.set(Faults(cut_after={"sse": 0.02}))
        with pytest.raises(aiohttp.ClientError):
            await event(sse)
        await ws.send_str("alive")
        assert await ws.receive_str() == "alive"


async def test_only_the_idle_are_cut(stage: Stage) -> None:
    stage.box.set(Faults(idle_after=0.4))
    async with stage.ws() as ws, stage.get("/sse") as sse:
        assert (await event(sse), await ws.receive_str()) == ("hello", "hello")
        for _ in range(8):
            await asyncio.sleep(0.1)
            await ws.send_str("busy")
            assert await ws.receive_str() == "busy"
        with pytest.raises(aiohttp.ClientError):
            await event(sse)
        assert not ws.closed
        assert (await ws.receive()).type == aiohttp.WSMsgType.CLOSED


@pytest.mark.parametrize("reset", [False, True])
async def test_cut_now(stage: Stage, reset: bool) -> None:
    stage.box.set(Faults(reset=reset))
    async with stage.get("/sse") as sse, stage.ws() as ws:
        assert (await event(sse), await ws.receive_str()) == ("hello", "hello")
        assert stage.box.cut("poll") == 0
        assert stage.box.cut("ws") == 1
        assert (await ws.receive()).type in (aiohttp.WSMsgType.CLOSED, aiohttp.WSMsgType.ERROR)
        stage.origin.say("alive")
        assert await event(sse) == "alive"
        assert stage.box.cut() == 1
        with pytest.raises(aiohttp.ClientError):
            await event(sse)
    await eventually(lambda: stage.box.counters.open == 0)


# POST


async def test_eaten_posts(stage: Stage) -> None:
    stage.box.set(Faults(eat_post=True))
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(SILENCE):
            await stage.post(b"z" * 1_000_000)
    assert await stage.text() == "polled"
    assert stage.origin.posts == []
    stage.box.set(Faults())
    async with stage.post() as response:
        assert response.status == 200
    await eventually(lambda: stage.box.counters.kinds["send"].open == 0)


@pytest.mark.parametrize("status", [403, 405])
async def test_refused_posts(stage: Stage, status: int) -> None:
    stage.box.set(Faults(refuse_post=status))
    async with stage.post(b"z" * 1_000_000) as response:
        assert response.status == status
    async with stage.client.post(f"{stage.box.url}/send", data=b"asks first", expect100=True) as response:
        assert response.status == status
    assert await stage.text() == "polled"
    assert stage.origin.posts == []


# The line


async def test_delay_each_way_and_order(stage: Stage) -> None:
    async with stage.ws() as ws:
        assert await ws.receive_str() == "hello"
        stage.box.set(Faults(delay_ms=100.0, jitter_ms=50.0))
        start, sent = now(), [str(number) for number in range(20)]
        for text in sent:
            await ws.send_str(text)
        received = [await ws.receive_str() for _ in sent]
        assert received == sent
        assert 0.2 <= now() - start < 1
        stage.box.set(Faults())
        await ws.send_str("quick")
        assert await ws.receive_str() == "quick"


async def test_a_delay_that_is_lifted_lets_go_at_once(stage: Stage) -> None:
    async with stage.ws() as ws:
        assert await ws.receive_str() == "hello"
        stage.box.set(Faults(delay_ms=60_000.0))
        await ws.send_str("1")
        await nothing_comes(ws.receive())
        stage.box.set(Faults())
        assert await ws.receive_str() == "1"


async def test_bandwidth_is_shared(stage: Stage) -> None:
    stage.box.set(Faults(bandwidth_bps=800_000.0))
    start = now()
    first, second = await asyncio.gather(stage.text("/big?size=20000"), stage.text("/big?size=20000"))
    assert len(first) == len(second) == 20_000
    assert 0.39 < now() - start < 2
    request = asyncio.ensure_future(stage.text("/big?size=2000000"))
    await asyncio.sleep(SILENCE)
    assert not request.done()
    stage.box.set(Faults())
    start = now()
    assert len(await request) == 2_000_000
    assert now() - start < 2


async def test_a_black_hole_keeps_everything_and_gives_it_back(stage: Stage) -> None:
    async with stage.ws() as ws, stage.get("/sse") as sse:
        assert (await event(sse), await ws.receive_str()) == ("hello", "hello")
        stage.box.set(Faults(blackhole=True))
        stage.origin.say("kept", "")
        await ws.send_str("kept")
        request = asyncio.ensure_future(stage.text())
        reader, writer = await stage.raw()
        await nothing_comes(asyncio.gather(event(sse), ws.receive(), asyncio.shield(request), reader.read()))
        assert stage.origin.heard == []
        stage.box.set(Faults())
        assert (await event(sse), await ws.receive_str(), await request) == ("kept", "kept", "polled")
        writer.close()
        await writer.wait_closed()


async def test_a_black_hole_has_no_end(stage: Stage) -> None:
    reader, writer = await stage.raw()
    writer.write(b"GET /sse HTTP/1.1\r\nHost: h\r\n\r\n")
    await reader.readuntil(b"hello\n\n\r\n")
    stage.box.set(Faults(blackhole=True, cut_after=0.01))
    writer.write_eof()
    await nothing_comes(reader.read())
    assert stage.origin.streams == 1
    stage.box.set(Faults())
    await gone(reader)
    await eventually(lambda: stage.origin.streams == 0)
    writer.close()
    await writer.wait_closed()


async def test_a_black_hole_for_one_kind(stage: Stage) -> None:
    stage.box.preset("websocket-blackhole")
    attempt = asyncio.ensure_future(stage.ws())
    await nothing_comes(asyncio.shield(attempt))
    assert await stage.text() == "polled"
    assert not stage.origin.requests
    stage.box.preset("clean")
    async with await attempt as ws:
        assert await ws.receive_str() == "hello"
    stage.box.preset("websocket-blackhole")
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(SILENCE):
            await stage.ws()
    await eventually(lambda: stage.box.counters.kinds["ws"].open == 0)


async def test_a_server_that_is_down_and_comes_back(stage: Stage) -> None:
    async with stage.get("/sse") as sse:
        assert await event(sse) == "hello"
        stage.box.set(Faults(refuse_all=True))
        with pytest.raises(aiohttp.ClientError):
            await event(sse)
    for _ in range(3):
        stage.box.set(Faults(refuse_all=True))
        with pytest.raises(ConnectionRefusedError):
            await stage.raw()
        stage.box.set(Faults())
        assert await stage.text() == "polled"


async def test_connections_closed_at_once(stage: Stage) -> None:
    async with stage.get("/sse") as sse:
        assert await event(sse) == "hello"
        stage.box.set(Faults(close_all=True))
        with pytest.raises(aiohttp.ClientError):
            await event(sse)
    reader, writer = await stage.raw()
    assert await reader.read() == b""
    writer.close()
    await writer.wait_closed()
    stage.box.set(Faults())
    assert await stage.text() == "polled"


# The whole


async def test_faults_switched_while_traffic_flows_lose_nothing(stage: Stage) -> None:
    quick: list[Faults] = [
        Faults(delay_ms=20.0, jitter_ms=20.0),
        Faults(batch_ms=30.0),
        Faults(late_by_one=True),
        Faults(blackhole=True),
        Faults(ws_silence="both"),
        Faults(sse_hold_headers=True),
        Faults(bandwidth_bps=200_000.0),
        Faults(),
    ]
    async with stage.ws() as ws, stage.get("/sse") as sse:
        assert (await event(sse), await ws.receive_str()) == ("hello", "hello")
        sent = []
        for number in range(48):
            stage.box.set(quick[number // 2 % len(quick)])
            sent.append(f"{number} {'x' * (number * 20)}")
            stage.origin.say(sent[-1])
            await ws.send_str(sent[-1])
            await asyncio.sleep(0.01)
        stage.box.set(Faults())
        assert [await event(sse) for _ in sent] == sent
        assert [await ws.receive_str() for _ in sent] == sent


async def test_nothing_is_left_behind() -> None:
    gc.collect()
    before = files()
    tasks = asyncio.all_tasks()
    async with serving() as origin:
        async with Middlebox(upstream=origin.url) as box, aiohttp.ClientSession() as client:
            sse = await client.get(f"{box.url}/sse")
            ws = await client.ws_connect(f"{box.url}/ws")
            assert (await event(sse), await ws.receive_str()) == ("hello", "hello")
            box.set(Faults(eat_post=True))
            post = asyncio.ensure_future(client.post(f"{box.url}/send", data=b"x"))
            poll = asyncio.ensure_future(client.get(f"{box.url}/poll?wait=30"))
            await eventually(lambda: box.counters.kinds["send"].open == box.counters.kinds["poll"].open == 1)
            box.set(Faults(blackhole=True))
            held = asyncio.ensure_future(client.get(f"{box.url}/poll"))
            await eventually(lambda: box.counters.kinds["poll"].open == 2)
            await box.__aexit__(None, None, None)
            assert box.counters.open == 0
            assert {traffic.open for traffic in box.counters.kinds.values()} == {0}
            results = await asyncio.gather(post, poll, held, return_exceptions=True)
            assert all(isinstance(result, aiohttp.ClientError) for result in results)
            sse.close()
            await ws.close()
    await asyncio.sleep(0.05)
    assert asyncio.all_tasks() == tasks
    gc.collect()
    assert files() == before


@pytest.mark.parametrize(
    ("upstream", "listen"),
    [
        ("https://127.0.0.1:1", ("127.0.0.1", 0)),
        ("http://127.0.0.1:1/path", ("127.0.0.1", 0)),
        ("127.0.0.1:1", ("127.0.0.1", 0)),
        ("http://127.0.0.1:1", ("0.0.0.0", 0)),
        ("http://127.0.0.1:1", ("::", 0)),
        ("http://127.0.0.1:1", ("example.com", 0)),
    ],
)
def test_what_it_does_not_serve(upstream: str, listen: tuple[str, int]) -> None:
    with pytest.raises(ValueError):
        Middlebox(upstream=upstream, listen=listen)


async def test_other_machines_only_when_asked_for(stage: Stage) -> None:
    async with Middlebox(upstream=stage.origin.url, listen=("0.0.0.0", 0), public=True) as box:
        async with stage.client.get(f"http://127.0.0.1:{box.address[1]}/poll") as response:
            assert response.status == 200


async def test_a_port_in_use(stage: Stage) -> None:
    with pytest.raises(OSError):
        async with Middlebox(upstream=stage.origin.url, listen=stage.box.address):
            pass


async def test_every_preset_can_be_left(stage: Stage) -> None:
    for name in PRESETS:
        stage.box.preset(name)
        assert stage.box.faults == PRESETS[name].faults
        stage.box.preset("clean")
        assert await stage.text() == "polled"
