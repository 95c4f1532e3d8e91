"""Plain clients of the wire contract: `websockets` for WebSocket, aiohttp for HTTP, and of the project only its schema.

A `Reader` is one subscriber, with one face for all three transports and every format. Frames are the JSON objects of
the contract; in the text format a line stands as `{"type": "text", "data": line}`.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import re
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Self, TypeAlias, cast
from urllib.parse import urlencode

import aiohttp
import websockets
from tests import helpers_protobuf as protobuf
from tests.helpers import HOST, Server
from websockets.asyncio.client import ClientConnection
from websockets.asyncio.client import connect as connect_websocket

Frame: TypeAlias = dict[str, Any]

TRANSPORTS = ("ws", "sse", "poll")
FORMATS = ("json", "protobuf")
"""Those that the promise holds for."""
WIRES = (*TRANSPORTS, *(f"{transport}-protobuf" for transport in TRANSPORTS))
"""Every transport in each of these formats."""
TIMEOUT = 5.0
POLL_WAIT = 2.0
LOG_TYPES = ("message", "gap")


class Ended(Exception):
    """The server ended the stream."""


def params_of(topics: Sequence[str], params: Mapping[str, object]) -> dict[str, object]:
    """Query parameters; those that are None are left out."""
    given = {"topics": ",".join(topics) or None, **params}
    return {name: value for name, value in given.items() if value is not None}


def publish(topic: str, data: object, **more: object) -> Frame:
    """The command that publishes `data`."""
    return {"action": "publish", "topic": topic, "data": data, **more}


def offset(cursor: str) -> int:
    return int(cursor.rpartition("-")[2])


def epoch(cursor: str) -> str:
    return cursor.rpartition("-")[0]


# HTTP


@dataclass(frozen=True, kw_only=True)
class Answer:
    """An HTTP response, read to its end."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def text(self) -> str:
        return self.body.decode()

    @property
    def is_protobuf(self) -> bool:
        return self.headers.get("Content-Type") == protobuf.CONTENT_TYPE

    @property
    def batch(self) -> Frame:
        """What /poll answers where all is well."""
        return protobuf.batch_of(self.body) if self.is_protobuf else cast(Frame, self.json)

    @property
    def replies(self) -> list[Frame]:
        """What /send answers, as a list also where it is one; an error status brings JSON in every format."""
        if self.is_protobuf:
            return protobuf.answers_of(self.body)
        return cast(list[Frame], self.json if isinstance(self.json, list) else [self.json])


class Http:
    """One HTTP client, with a connection pool of its own."""

    def __init__(self, server: Server, *, connections: int = 0) -> None:
        connector = aiohttp.TCPConnector(limit=connections)
        self.session = aiohttp.ClientSession(server.url, connector=connector, auto_decompress=False)
        self._counter = itertools.count(1)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *details: object) -> None:
        await self.close()

    async def close(self) -> None:
        """Gives up the connections that are kept: a server that drains waits for those that polled."""
        await self.session.close()

    async def request(
        self, method: str, path: str, *, body: str | bytes | None = None, headers: Mapping[str, str] | None = None
    ) -> Answer:
        async with asyncio.timeout(60):
            async with self.session.request(method, path, data=body, headers=headers) as response:
                return Answer(status=response.status, headers=response.headers, body=await response.read())

    async def get(self, path: str, *, headers: Mapping[str, str] | None = None) -> Answer:
        return await self.request("GET", path, headers=headers)

    async def poll(self, *topics: str, wait: float = 0, **params: Any) -> Frame:
        """The answer to one poll, which must succeed."""
        query = params_of(topics, {"wait": wait, "n": next(self._counter), **params})
        answer = await self.get(f"/poll?{urlencode(query)}")
        assert answer.status == 200, answer
        assert answer.is_protobuf == (params.get("format") == "protobuf"), answer
        return answer.batch

    async def now(self, *topics: str) -> str:
        """The cursor at this moment."""
        return str((await self.poll(*topics))["cursor"])

    async def send(self, *commands: Frame, framing: str = "json", **params: Any) -> Any:
        """What /send replies: to one command an object, to several a list. It must succeed."""
        answer = await self.post_commands(*commands, framing=framing, **params)
        assert answer.status == 200, answer
        assert answer.is_protobuf == (framing == "protobuf"), answer
        return answer.replies[0] if len(commands) == 1 else answer.replies

    async def post_commands(self, *commands: Frame, framing: str = "json", **params: Any) -> Answer:
        if framing == "json":
            return await self.post_send(json.dumps(commands[0] if len(commands) == 1 else commands), **params)
        headers = {"Content-Type": protobuf.CONTENT_TYPE}
        return await self.post_send(protobuf.commands_bytes(commands), headers=headers, **params)

    async def post_send(self, body: str | bytes, *, headers: Mapping[str, str] | None = None, **params: Any) -> Answer:
        return await self.request("POST", f"/send?{urlencode(params)}", body=body, headers=headers)

    async def publish(self, topic: str, *data: object) -> list[str]:
        """Publishes each, and returns where they stand in the log."""
        places: list[str] = []
        for texts in batched([json.dumps(publish(topic, item)) for item in data]):
            answer = await self.post_send(f"[{','.join(texts)}]")
            assert answer.status == 200, answer
            places += [reply["at"] for reply in answer.json]
        return places


def batched(texts: Iterable[str], *, count: int = 100, size: int = 500_000) -> Iterator[list[str]]:
    """Runs of `count` texts or `size` characters, or of one where that is longer."""
    batch: list[str] = []
    for text in texts:
        if batch and (len(batch) == count or sum(map(len, batch)) + len(text) > size):
            yield batch
            batch = []
        batch.append(text)
    if batch:
        yield batch


async def raw_exchange(server: Server, request: bytes, *until: bytes) -> bytes:
    """What the server sends on a plain socket: up to each of these bytes in turn, or all of it up to its end."""
    reading, writing = await asyncio.open_connection(HOST, server.port, limit=2**22)
    try:
        async with asyncio.timeout(TIMEOUT):
            writing.write(request)
            if not until:
                return await reading.read()
            return b"".join([await reading.readuntil(end) for end in until])
    finally:
        writing.close()
        await writing.wait_closed()


# Event streams


@dataclass(frozen=True, kw_only=True)
class Event:
    """One block of an event stream. `id` and `retry` are None, `event` is empty where the block does not name them."""

    event: str = ""
    id: str | None = None
    retry: str | None = None
    data: str | None = None


@dataclass
class EventParser:
    """The parsing of `text/event-stream` as the WHATWG describes it, with every line end it allows."""

    _rest: str = ""
    _lines: list[str] = field(default_factory=list)
    _undecoded: bytes = b""

    def feed(self, chunk: bytes) -> list[Event]:
        data = self._undecoded + chunk
        whole = data.rfind(b"\n") + 1  # a line end never splits a character
        self._undecoded = data[whole:]
        events: list[Event] = []
        for line in re.split(r"\r\n|\r|\n", data[:whole].decode())[:-1]:
            if line:
                self._lines.append(line)
            else:
                events.append(self._event())
        return events

    def _event(self) -> Event:
        fields: dict[str, list[str]] = {}
        for line in self._lines:
            name, _, value = line.partition(":")
            fields.setdefault(name, []).append(value.removeprefix(" "))
        self._lines = []
        last = {name: values[-1] for name, values in fields.items() if name in ("id", "retry", "event")}
        return Event(**last, data="\n".join(fields["data"]) if "data" in fields else None)


# Readers


class Reader(ABC):
    """A subscriber. `hello` is the first frame; on a poll with a cursor there is none, so it is empty."""

    hello: Frame

    def __init__(self, server: Server, params: Mapping[str, object], headers: Mapping[str, str] | None) -> None:
        self.server = server
        self.params = dict(params)
        self.format = params.get("format", "json")
        self.headers = dict(headers or {})
        self.hello = {}
        self._resources = AsyncExitStack()

    async def __aenter__(self) -> Self:
        try:
            async with asyncio.timeout(TIMEOUT):
                await self._open()
        except BaseException:
            await self._resources.aclose()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self._resources.aclose()

    @abstractmethod
    async def _open(self) -> None:
        """Connects, and reads the greeting where there is one."""

    @abstractmethod
    async def _read(self) -> Frame:
        """The next frame. Raises Ended. Cancelling loses nothing."""

    async def next(self, *types: str, timeout: float = TIMEOUT) -> Frame:
        """The next frame of these types, or of any; others are passed over. Raises Ended, TimeoutError."""
        async with asyncio.timeout(timeout):
            while True:
                frame = await self._read()
                if not types or frame["type"] in types:
                    return frame

    async def log(self, n: int, *, timeout: float = TIMEOUT) -> list[Frame]:
        """The next `n` messages and gaps."""
        async with asyncio.timeout(timeout):
            return [await self.next(*LOG_TYPES, timeout=timeout) for _ in range(n)]

    async def messages(self, n: int, *, timeout: float = TIMEOUT) -> list[Frame]:
        """The next `n` messages, between which no gap may stand."""
        frames = await self.log(n, timeout=timeout)
        assert {frame["type"] for frame in frames} <= {"message"}, frames
        return frames

    async def data(self, n: int, *, timeout: float = TIMEOUT) -> list[Any]:
        """The data of the next `n` messages, in any format."""
        if self.format != "text":
            return [message["data"] for message in await self.messages(n, timeout=timeout)]
        async with asyncio.timeout(timeout):
            return [(await self.next("text", timeout=timeout))["data"] for _ in range(n)]

    async def rest(self, *, timeout: float = TIMEOUT) -> list[Frame]:
        """Every frame up to the end of the stream, or of a poll's with its bye."""
        frames: list[Frame] = []
        try:
            while not frames or frames[-1]["type"] != "bye":
                frames.append(await self.next(timeout=timeout))
            if not isinstance(self, PollReader):
                frames.append(await self.next(timeout=timeout))
        except Ended:
            pass
        return frames


class WebSocketReader(Reader):
    """Over PyPI's `websockets`."""

    connection: ClientConnection

    async def _open(self) -> None:
        self.connection = await self._resources.enter_async_context(
            connect_websocket(
                f"{self.server.url.replace('http', 'ws', 1)}/ws?{urlencode(self.params)}",
                additional_headers=self.headers,
                # The server's frames are read when the test asks for them, and its pings answered at once.
                max_size=None,
                max_queue=None,
                ping_interval=None,
                close_timeout=1.0,
                proxy=None,
            )
        )
        self.hello = await self._read()

    async def _read(self) -> Frame:
        try:
            received = await self.connection.recv()
        except websockets.ConnectionClosed:
            raise Ended from None
        if self.format == "protobuf":
            assert isinstance(received, bytes)
            return protobuf.frame_of(received)
        assert isinstance(received, str)
        return {"type": "text", "data": received} if self.format == "text" else cast(Frame, json.loads(received))

    async def send(self, **command: object) -> None:
        in_protobuf = self.format == "protobuf"
        await self.connection.send(protobuf.command_bytes(command) if in_protobuf else json.dumps(command))

    async def send_text(self, text: str) -> None:
        await self.connection.send(text)

    async def ask(self, **command: object) -> Frame:
        """Sends a command, and returns the reply or error that comes next."""
        await self.send(**command)
        return await self.next("reply", "error")

    async def close_code(self) -> int | None:
        """Waits for the end, without reading frames before it."""
        async with asyncio.timeout(TIMEOUT):
            await self.connection.wait_closed()
        return self.connection.close_code


class SSEReader(Reader):
    """Over aiohttp's client, with the parser above. `raw` is every byte of the body, `last_id` what to resume at."""

    response: aiohttp.ClientResponse

    def __init__(self, server: Server, params: Mapping[str, object], headers: Mapping[str, str] | None) -> None:
        super().__init__(server, params, headers)
        self.raw = bytearray()
        self.last_id: str | None = None
        self._parser = EventParser()
        self._events: deque[Event] = deque()

    async def _open(self) -> None:
        session = await self._resources.enter_async_context(
            aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=None), read_bufsize=2**22, auto_decompress=False)
        )
        url = f"{self.server.url}/sse?{urlencode(self.params)}"
        self.response = await self._resources.enter_async_context(session.get(url, headers=self.headers))
        if self.response.status == 200:
            self.hello = await self._read()

    async def next_event(self, *, timeout: float = TIMEOUT) -> Event:
        """The next block, also one that dispatches nothing. Raises Ended."""
        async with asyncio.timeout(timeout):
            return await self._next_event()

    async def _next_event(self) -> Event:
        while not self._events:
            chunk = await self.response.content.readany()
            if not chunk:
                raise Ended
            self.raw += chunk
            self._events.extend(self._parser.feed(chunk))
        event = self._events.popleft()
        self.last_id = event.id if event.id is not None else self.last_id
        return event

    async def _read(self) -> Frame:
        while True:
            event = await self._next_event()
            if event.data is not None:
                return self.frame_of(event.data)

    def frame_of(self, data: str) -> Frame:
        """The frame in an event's data."""
        if self.format == "protobuf":
            return protobuf.event_frame(data)
        return {"type": "text", "data": data} if self.format == "text" else cast(Frame, json.loads(data))


class PollReader(Reader):
    """One poll after the other, each with the cursor of the one before."""

    def __init__(self, server: Server, params: Mapping[str, object], headers: Mapping[str, str] | None) -> None:
        super().__init__(server, params, headers)
        self.cursor: str | None = None
        self._counter = itertools.count(1)
        self._frames: deque[Frame] = deque()

    async def _open(self) -> None:
        self._http = await self._resources.enter_async_context(Http(self.server))
        if "cursor" not in self.params:
            await self._poll()

    async def _poll(self) -> None:
        params = {"wait": POLL_WAIT, **self.params, "n": next(self._counter)}
        if self.cursor:
            params["cursor"] = self.cursor
        answer = await self._http.get(f"/poll?{urlencode(params)}", headers=self.headers)
        assert answer.status == 200, answer
        self.cursor = answer.headers["Tricast-Cursor"]
        if self.format == "text":
            self._frames.extend({"type": "text", "data": line} for line in answer.text.split("\n")[:-1])
            return
        assert answer.is_protobuf == (self.format == "protobuf"), answer
        batch = answer.batch
        assert batch["cursor"] == self.cursor
        self.hello = {"type": "hello", **batch["hello"]} if "hello" in batch else self.hello
        self._frames.extend(batch["messages"])
        if "bye" in batch:
            self._frames.append({"type": "bye", **batch["bye"]})

    async def _read(self) -> Frame:
        while not self._frames:
            await self._poll()
        return self._frames.popleft()


READERS: dict[str, type[WebSocketReader | SSEReader | PollReader]] = {
    "ws": WebSocketReader,
    "sse": SSEReader,
    "poll": PollReader,
}


def reader(wire: str, server: Server, *topics: str, headers: Mapping[str, str] | None = None, **params: Any) -> Reader:
    """A subscriber on this transport, or one of WIRES, to be opened with `async with`."""
    transport, _, format = wire.partition("-")
    given = params_of(topics, {"format": format, **params} if format else params)
    return READERS[transport](server, given, headers)


def websocket(server: Server, *topics: str, **params: Any) -> WebSocketReader:
    return cast(WebSocketReader, reader("ws", server, *topics, **params))


def event_stream(server: Server, *topics: str, headers: Mapping[str, str] | None = None, **params: Any) -> SSEReader:
    return cast(SSEReader, reader("sse", server, *topics, headers=headers, **params))


@asynccontextmanager
async def readers(
    server: Server, *topics: str, wires: Sequence[str] = TRANSPORTS, **params: Any
) -> AsyncIterator[dict[str, Reader]]:
    """One subscriber on each transport, or on each of these of WIRES."""
    async with AsyncExitStack() as stack:
        yield {name: await stack.enter_async_context(reader(name, server, *topics, **params)) for name in wires}
