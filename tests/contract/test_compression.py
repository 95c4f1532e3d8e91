"""`compress`: permessage-deflate for WebSockets (RFC 7692) and gzip for polls, off as it comes, never for SSE."""

from __future__ import annotations

import asyncio
import json
import os
import struct
import threading
import zlib
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any, cast

import aiohttp
import pytest
from tests.helpers import HOST, Node, Server, eventually, running, serving
from tests.helpers_clients import Answer, Frame, Http, event_stream, publish, reader
from tests.helpers_protobuf import batch_of, frame_of
from tests.helpers_raw import upgrade_head
from websockets.asyncio.client import connect as connect_websocket

from tricast_server.bus.log import Entry
from tricast_server.framing import batches
from tricast_server.framing import websocket as frames_of_websockets

OFFER = "permessage-deflate"
COMPRESSED, TEXT, BINARY, CLOSE, CONTINUATION = 0x40, 1, 2, 8, 0
TAIL = b"\x00\x00\xff\xff"
LONG = "the same words again and again " * 100
GZIP = {"Accept-Encoding": "gzip"}
KIBI, MEBI = 2**10, 2**20


@pytest.fixture
async def server() -> AsyncIterator[Node]:
    async with running(compress=True) as node:
        yield node


def deflated(payload: bytes) -> bytes:
    compressor = zlib.compressobj(wbits=-15)
    return (compressor.compress(payload) + compressor.flush(zlib.Z_SYNC_FLUSH)).removesuffix(TAIL)


class Raw:
    """A WebSocket on a bare socket, whose frames are seen as they are."""

    def __init__(self, reading: asyncio.StreamReader, writing: asyncio.StreamWriter, head: bytes) -> None:
        self.reading, self.writing, self.head = reading, writing, head.decode()

    @property
    def agreed(self) -> str | None:
        """The extension that the server agreed to."""
        lines = (line.partition(": ") for line in self.head.split("\r\n"))
        return next((value for name, _, value in lines if name.lower() == "sec-websocket-extensions"), None)

    def send(self, first: int, payload: bytes) -> None:
        """A frame with this first byte, and a mask of zeros."""
        size = len(payload)
        long = struct.pack("!BQ", 0xFF, size) if size >= 2**16 else struct.pack("!BH", 0xFE, size)
        self.writing.write(bytes([first]) + (bytes([0x80 | size]) if size < 126 else long) + bytes(4) + payload)

    async def next(self) -> tuple[int, bytes]:
        """The first byte of the next frame but pings, and its payload."""
        async with asyncio.timeout(10):
            while True:
                first, size = await self.reading.readexactly(2)
                if size >= 126:
                    size = int.from_bytes(await self.reading.readexactly(2 if size == 126 else 8), "big")
                payload = await self.reading.readexactly(size)
                if first & 15 < 9:
                    return first, payload

    async def message(self) -> tuple[bool, Frame]:
        """Whether the next message was compressed, and what it says. Each is inflated with nothing known before."""
        first, payload = await self.next()
        assert first & 0x80, "one frame each"
        if first & COMPRESSED:
            inflater = zlib.decompressobj(-15)
            payload = inflater.decompress(payload + TAIL)
            assert not inflater.unused_data
        frame = cast(Frame, json.loads(payload) if first & 15 == TEXT else frame_of(payload))
        return bool(first & COMPRESSED), frame

    async def closed(self) -> int:
        """The code of the close frame, which must come."""
        while True:
            first, payload = await self.next()
            if first & 15 == CLOSE:
                return int.from_bytes(payload[:2], "big")


@asynccontextmanager
async def raw(server: Server, query: str = "topics=a", offer: str | None = OFFER) -> AsyncIterator[Raw]:
    """With hello still to come."""
    reading, writing = await asyncio.open_connection(HOST, server.port, limit=2**22)
    try:
        head = upgrade_head(server, f"/ws?{query}")
        if offer is not None:
            head = head[:-2] + f"Sec-WebSocket-Extensions: {offer}\r\n\r\n".encode()
        writing.write(head)
        async with asyncio.timeout(10):
            yield Raw(reading, writing, await reading.readuntil(b"\r\n\r\n"))
    finally:
        writing.transport.abort()


def counted(monkeypatch: pytest.MonkeyPatch, where: object, name: str) -> list[int]:
    """The lengths of what this function is given, from now on."""
    calls: list[int] = []
    original: Callable[..., bytes] = getattr(where, name)

    def call(data: bytes, *more: Any) -> bytes:
        calls.append(len(data))
        return original(data, *more)

    monkeypatch.setattr(where, name, call)
    return calls


# WebSocket, to the client


async def test_it_is_off_as_it_comes() -> None:
    async with running() as server, Http(server) as http:
        async with raw(server) as socket:
            assert socket.agreed is None
            await http.publish("a", LONG)
            assert [(await socket.message())[0] for _ in range(2)] == [False, False]
            socket.send(0x80 | COMPRESSED | TEXT, deflated(b'{"action":"ping"}'))
            assert await socket.closed() == 1002
        answer = await http.get("/poll?topics=a&last=1", headers=GZIP)
        assert "Content-Encoding" not in answer.headers
        assert answer.headers["Vary"] == "Origin"


@pytest.mark.parametrize("format", ["json", "protobuf"])
async def test_messages_are_compressed_each_for_itself_where_that_makes_them_smaller(
    server: Node, http: Http, format: str
) -> None:
    async with raw(server, f"topics=a&format={format}") as socket:
        assert socket.agreed == OFFER
        assert (await socket.message())[0] is False
        noise = os.urandom(60_000).hex()
        data: list[object] = [LONG, LONG, 1, {"n": 2}, "x" * 200_000, noise]
        await http.publish("a", *data)
        await http.send({"action": "publish", "topic": "a", "data_b64": "AAEC"})
        seen = [await socket.message() for _ in range(7)]
    assert [frame["data"] for _, frame in seen[:6]] == data
    # Of hexadecimal digits only half is left; of base64 of noise, or of so little, nothing would be won.
    assert [compressed for compressed, _ in seen] == [True, True, False, False, True, True, False]


async def test_what_would_not_become_smaller_stays_as_it_is(server: Node, http: Http) -> None:
    noise = os.urandom(500)
    async with raw(server, "topics=a&format=protobuf") as socket:
        await socket.message()
        await http.request("POST", "/topics/a", body=noise, headers={"Content-Type": "application/octet-stream"})
        first, payload = await socket.next()
        assert not first & COMPRESSED
        assert noise in payload


@pytest.mark.parametrize(
    ("offer", "agreed", "compresses"),
    [
        ("permessage-deflate; client_max_window_bits", OFFER, True),
        ("permessage-deflate; server_max_window_bits=15", OFFER, True),
        ("permessage-deflate; server_no_context_takeover", f"{OFFER}; server_no_context_takeover", True),
        ("permessage-deflate; server_max_window_bits=10", f"{OFFER}; server_max_window_bits=10", False),
        ("permessage-deflate; server_max_window_bits=8, permessage-deflate", OFFER, True),
        ("permessage-deflate; server_max_window_bits=8", None, False),
        ("permessage-deflate; what_else=1", None, False),
        ("permessage-bzip2", None, False),
        (None, None, False),
    ],
)
async def test_what_is_agreed(
    server: Node, http: Http, offer: str | None, agreed: str | None, compresses: bool
) -> None:
    async with raw(server, offer=offer) as socket:
        assert socket.agreed == agreed
        await socket.message()
        await http.publish("a", LONG)
        compressed, frame = await socket.message()
        assert (compressed, frame["data"]) == (compresses, LONG)


async def test_each_message_is_compressed_once_for_all_who_take_it(
    server: Node, http: Http, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = counted(monkeypatch, frames_of_websockets, "deflated")
    offers = [OFFER, f"{OFFER}; client_max_window_bits", f"{OFFER}; server_max_window_bits=9", None, OFFER]
    async with raw(server) as a, raw(server, offer=offers[1]) as b, raw(server, offer=offers[2]) as c:
        async with raw(server, offer=None) as d, raw(server, "topics=a,b") as e:
            sockets = (a, b, c, d, e)
            for socket in sockets:
                await socket.message()
            await http.publish("a", *[f"{LONG}{n}" for n in range(5)], "short")
            seen = [[await socket.message() for _ in range(6)] for socket in sockets]
    assert len(calls) == 5  # the last is so short that it is not even tried
    assert [frame for _, frame in seen[0]] == [frame for _, frame in seen[3]]
    for socket_seen, compressed in zip(seen, (True, True, False, False, True), strict=True):
        assert [flag for flag, _ in socket_seen][:5] == [compressed] * 5


@pytest.mark.parametrize("format", ["json", "protobuf"])
async def test_websockets_and_aiohttp_understand_it_both_ways(server: Node, http: Http, format: str) -> None:
    query = f"topics=a&format={format}"
    data = [LONG, 1, LONG * 30, "é" * 500, LONG]
    async with connect_websocket(f"ws://{server.authority}/ws?{query}", proxy=None) as theirs:
        assert OFFER in theirs.response.headers["Sec-WebSocket-Extensions"]  # type: ignore[union-attr]
        async with aiohttp.ClientSession() as session:
            async with session.ws_connect(f"{server.url}/ws?{query}", compress=15) as others:
                assert others.compress == 15
                await theirs.recv(), await others.receive()
                if format == "json":
                    await theirs.send(json.dumps(publish("a", data[0])))
                    await others.send_str(json.dumps(publish("a", data[1])))
                    for item in data[2:]:  # its compressor keeps its window
                        await theirs.send(json.dumps(publish("a", item)))
                else:
                    await http.publish("a", *data)
                got: list[object] = []
                while len(got) < len(data):
                    message = await others.receive(timeout=10)
                    frame = json.loads(message.data) if format == "json" else frame_of(message.data)
                    got += [frame["data"]] if frame["type"] == "message" else []
    assert sorted(map(str, got)) == sorted(map(str, data))


async def test_fewer_bytes_are_written_and_counted(server: Node, http: Http) -> None:
    async with raw(server) as squeezed, raw(server, offer=None) as plain:
        for socket in (squeezed, plain):
            await socket.message()
        await http.publish("a", LONG)
        sizes = [len((await socket.next())[1]) for socket in (squeezed, plain)]
    assert sizes[0] * 5 < sizes[1]
    counted = server.service.bus.meters.size
    assert counted["ws.json.deflate"] < 200 + sizes[0] < counted["ws.json"]


# WebSocket, from the client


async def test_compressed_commands_are_taken_whole_and_in_fragments(server: Node) -> None:
    ping = deflated(b'{"action":"ping","ref":"1"}')
    async with raw(server) as socket:
        await socket.message()
        socket.send(0x80 | COMPRESSED | TEXT, ping)
        assert (await socket.message())[1]["ref"] == "1"
        socket.send(COMPRESSED | TEXT, ping[:5])
        socket.send(CONTINUATION, ping[5:9])
        socket.send(0x80 | CONTINUATION, ping[9:])
        assert (await socket.message())[1]["ref"] == "1"
        socket.send(0x80 | TEXT, b'{"action":"ping","ref":"2"}')
        assert (await socket.message())[1]["ref"] == "2"


@pytest.mark.parametrize(
    ("first", "payload", "code"),
    [
        (0x80 | COMPRESSED | TEXT, b"\xff" * 20, 1007),
        (0x80 | COMPRESSED | TEXT, deflated(b"\xff\xfe"), 1007),
        (0x80 | COMPRESSED | 0x20 | TEXT, deflated(b"{}"), 1002),
        (0x80 | COMPRESSED | 0x10 | TEXT, deflated(b"{}"), 1002),
    ],
    ids=["not deflated", "no UTF-8", "RSV2", "RSV3"],
)
async def test_what_breaks_the_rules_ends_the_connection(server: Node, first: int, payload: bytes, code: int) -> None:
    async with raw(server) as socket:
        await socket.message()
        socket.send(first, payload)
        assert await socket.closed() == code


async def test_a_fragment_may_not_say_again_that_it_is_compressed(server: Node) -> None:
    async with raw(server) as socket:
        await socket.message()
        socket.send(COMPRESSED | TEXT, b"abc")
        socket.send(0x80 | COMPRESSED | CONTINUATION, b"abc")
        assert await socket.closed() == 1002


async def test_without_an_agreement_nothing_compressed_is_taken(server: Node) -> None:
    async with raw(server, offer=None) as socket:
        await socket.message()
        socket.send(0x80 | COMPRESSED | TEXT, deflated(b'{"action":"ping"}'))
        assert await socket.closed() == 1002


def bomb() -> bytes:
    """A gigabyte of zeros, in a megabyte: one block of a mebibyte, which needs nothing of what was before, over and
    over again.
    """
    compressor = zlib.compressobj(9, wbits=-15)
    block = compressor.compress(bytes(MEBI)) + compressor.flush(zlib.Z_FULL_FLUSH)
    return block * 1000


async def test_bombs_end_with_1009_and_take_neither_memory_nor_time() -> None:
    payload = bomb()
    assert len(payload) < MEBI
    async with asyncio.timeout(40):
        with serving("--compress") as server:
            before = await asyncio.to_thread(lambda: (server.memory, server.stats()["process"]["cpu"]))
            for pieces in (1, 100, 1, 100):
                async with raw(server) as socket:
                    await socket.message()
                    step = -(-len(payload) // pieces)
                    for at in range(0, len(payload), step):
                        fin = 0x80 if at + step >= len(payload) else 0
                        socket.send(fin | (COMPRESSED | TEXT if at == 0 else CONTINUATION), payload[at : at + step])
                    assert await socket.closed() == 1009
            after = await asyncio.to_thread(lambda: (server.memory, server.stats()["process"]["cpu"]))
            async with raw(server) as socket:
                assert (await socket.message())[1]["type"] == "hello"
    assert after[0] - before[0] < 48 * MEBI
    assert after[1] - before[1] < 2.0


# Polls


async def poll(http: Http, query: str, **headers: str) -> Answer:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    answer = await http.get(f"/poll?wait=0&{query}", headers=named)
    assert answer.status == 200, answer
    return answer


def unzipped(answer: Answer) -> bytes:
    assert answer.headers["Content-Encoding"] == "gzip"
    return zlib.decompress(answer.body, 31)


@pytest.mark.parametrize(
    ("accepted", "zipped"),
    [
        ("gzip", True),
        ("GZip;q=0.1, br", True),
        ("deflate, x-gzip ; q = 1", True),
        ("*", True),
        ("gzip;q=0", False),
        ("*, gzip;q=0.0", False),
        ("*;q=0", False),
        ("gzip;q=much", False),
        ("br, deflate", False),
        ("identity", False),
        ("", False),
    ],
)
async def test_polls_are_gzip_for_who_takes_it(server: Node, http: Http, accepted: str, zipped: bool) -> None:
    cursor = await http.now("a")
    await http.publish("a", LONG, 1)
    for query in ("topics=a&cursor=earliest", "topics=a&last=2", f"topics=a&cursor={cursor}"):
        answer = await poll(http, query, Accept_Encoding=accepted)
        assert answer.headers["Vary"] == "Origin, Accept-Encoding"
        assert ("Content-Encoding" in answer.headers) == zipped
        batch = json.loads(unzipped(answer) if zipped else answer.body)
        assert [message["data"] for message in batch["messages"]] == [LONG, 1]
        assert (len(answer.body) < 1000) == zipped


async def test_short_answers_stay_as_they_are_but_vary(server: Node, http: Http) -> None:
    cursor = await http.now("a")
    for query in ("topics=a", f"topics=a&cursor={cursor}"):
        answer = await poll(http, query, Accept_Encoding="gzip")
        assert "Content-Encoding" not in answer.headers
        assert answer.headers["Vary"] == "Origin, Accept-Encoding"
    answer = await http.get("/poll?topics=a..b", headers=GZIP)
    assert (answer.status, answer.json["code"]) == (400, "bad_request")


async def test_protobuf_and_text_are_zipped_too(server: Node, http: Http) -> None:
    await http.publish("a", LONG)
    answer = await poll(http, "topics=a&last=1", Accept_Encoding="gzip", Accept="application/x-protobuf")
    assert batch_of(unzipped(answer))["messages"][0]["data"] == LONG
    assert answer.headers["Vary"] == "Origin, Accept-Encoding, Accept"
    answer = await poll(http, "topics=a&last=1&format=text", Accept_Encoding="gzip")
    assert unzipped(answer).decode() == f"{LONG}\n"


@pytest.mark.parametrize("size", [2 * KIBI, 200 * KIBI], ids=["on the loop", "in a thread"])
async def test_what_one_flush_brings_is_compressed_once_for_all_polls(
    server: Node, http: Http, monkeypatch: pytest.MonkeyPatch, size: int
) -> None:
    calls = counted(monkeypatch, zlib, "compress")
    encoded = counted_entries(monkeypatch)
    cursor = await http.now("a")
    path = f"/poll?topics=a&cursor={cursor}&wait=30"
    before = server.service.bus.meters.size["poll.json"]
    polls = [asyncio.create_task(http.get(path, headers=GZIP)) for _ in range(8)]
    plain = asyncio.create_task(http.get(path, headers={"Accept-Encoding": "identity"}))
    async with asyncio.timeout(10):
        while server.service.bus.parked < 9:
            await asyncio.sleep(0.02)
        await http.publish("a", os.urandom(size // 4).hex() + "x" * (size // 2))
        answers = [await answer for answer in polls]
        whole = await plain
    assert len(calls) == len(encoded) == 1
    assert size < calls[0] < size + 300
    assert {unzipped(answer) for answer in answers} == {whole.body}
    assert len(answers[0].body) < len(whole.body) / 1.5
    sent = server.service.bus.meters.size["poll.json"] - before
    assert sent == 8 * len(answers[0].body) + len(whole.body)


def counted_entries(monkeypatch: pytest.MonkeyPatch) -> list[Entry]:
    """The messages that are encoded for polls in JSON, from now on."""
    encoded: list[Entry] = []
    original = batches.JsonBatch.entry

    def entry(self: batches.JsonBatch, entry: Entry, epoch: str) -> bytes:
        encoded.append(entry)
        return original(self, entry, epoch)

    monkeypatch.setattr(batches.JsonBatch, "entry", entry)
    return encoded


async def test_what_would_wait_for_a_thread_is_sent_plain(
    server: Node, http: Http, monkeypatch: pytest.MonkeyPatch
) -> None:
    await http.publish("a", "x" * 100 * KIBI)
    await http.publish("b", "x" * 10 * KIBI)
    for _ in range(4):  # more than there are threads: each is given back
        assert len(unzipped(await poll(http, "topics=a&last=1", Accept_Encoding="gzip"))) > 100 * KIBI
    monkeypatch.setattr(batches, "THREADS", threading.Semaphore(0))
    answer = await poll(http, "topics=a&last=1", Accept_Encoding="gzip")
    assert "Content-Encoding" not in answer.headers
    assert answer.headers["Vary"] == "Origin, Accept-Encoding"
    assert answer.json["messages"][0]["data"] == "x" * 100 * KIBI
    unzipped(await poll(http, "topics=b&last=1", Accept_Encoding="gzip"))


async def test_a_drain_waits_for_what_is_being_compressed(
    server: Node, http: Http, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun, go_on, original = threading.Event(), threading.Event(), zlib.compress

    def slow(*what: Any) -> bytes:
        begun.set()
        assert go_on.wait(10)
        return original(*what)

    monkeypatch.setattr(zlib, "compress", slow)
    await http.publish("a", "x" * 100 * KIBI)
    answer = asyncio.create_task(http.get("/poll?topics=a&wait=0&last=1", headers=GZIP))
    try:
        await eventually(begun.is_set)
        assert server.service.pollers
    finally:
        go_on.set()
    unzipped(await answer)


async def test_a_poll_that_leaves_takes_the_answer_from_nobody(server: Node, http: Http) -> None:
    cursor = await http.now("a")
    path = f"/poll?topics=a&cursor={cursor}&wait=30"
    polls = [asyncio.create_task(http.get(path, headers=GZIP)) for _ in range(6)]
    async with asyncio.timeout(10):
        while server.service.bus.parked < 6:
            await asyncio.sleep(0.02)
        await http.publish("a", "x" * 200_000)
        for leaving in polls[::2]:
            leaving.cancel()
        for staying in polls[1::2]:
            assert json.loads(unzipped(await staying))["messages"][0]["data"] == "x" * 200_000


async def test_pages_of_allowed_origins_are_told_of_both() -> None:
    async with running(compress=True, allow_origins=("https://page.example",)) as server, Http(server) as http:
        await http.publish("a", LONG)
        answer = await poll(http, "topics=a&last=1", Accept_Encoding="gzip", Origin="https://page.example")
        assert answer.headers["Vary"] == "Origin, Accept-Encoding"
        assert answer.headers["Access-Control-Allow-Origin"] == "https://page.example"
        assert json.loads(unzipped(answer))["messages"][0]["data"] == LONG


async def test_event_streams_are_never_compressed(server: Node, http: Http) -> None:
    async with event_stream(server, "a", headers=GZIP) as stream:
        await http.publish("a", LONG)
        assert (await stream.messages(1))[0]["data"] == LONG
        assert stream.response.headers["Content-Encoding"] == "identity"
        assert LONG.encode() in stream.raw


async def test_a_cursor_goes_on_from_a_compressed_to_a_plain_connection(server: Node, http: Http) -> None:
    async with raw(server) as socket:
        await socket.message()
        await http.publish("a", LONG, f"{LONG}!")
        cursor = (await socket.message())[1]["cursor"]
    async with reader("poll", server, "a", cursor=cursor, headers={"Accept-Encoding": "identity"}) as subscriber:
        assert (await subscriber.messages(1))[0]["data"] == f"{LONG}!"


async def test_who_catches_up_gets_compressed_only_what_is_there_already(server: Node) -> None:
    """All come back at once, and what nobody shares would be compressed for each of them anew."""
    async with Http(server) as http:
        async with raw(server) as before:
            assert (await before.message())[1]["type"] == "hello"
            await http.publish("a", LONG, LONG)
            assert [(await before.message())[0] for _ in range(2)] == [True, True]
        await eventually(lambda: not server.service.bus.subscriptions)
        await http.publish("a", LONG)
    async with raw(server, "topics=a&cursor=earliest") as after:
        hello, *kept = [await after.message() for _ in range(4)]
    assert hello[1]["type"] == "hello"
    assert [compressed for compressed, _ in kept] == [True, True, False]
    assert [frame["data"] for _, frame in kept] == [LONG] * 3
