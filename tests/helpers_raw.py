"""Clients on bare sockets, which do what no library would: read nothing, answer no ping, leave at any moment."""

from __future__ import annotations

import asyncio
import base64
import json
import os
import socket
import struct
from collections import deque
from types import TracebackType
from typing import Self, cast

from tests import helpers_protobuf as protobuf
from tests.helpers import HOST, Server
from tests.helpers_clients import EventParser, Frame

SMALL = 4096
TIMEOUT = 10.0
TEXT, BINARY, CLOSE, PING, PONG = 1, 2, 8, 9, 10
LINGER_NOTHING = struct.pack("ii", 1, 0)


def request_head(server: Server, path: str, *lines: str) -> bytes:
    return "\r\n".join([f"GET {path} HTTP/1.1", f"Host: {server.authority}", *lines, "", ""]).encode()


def upgrade_head(server: Server, path: str) -> bytes:
    """The handshake of a WebSocket (RFC 6455, 4.1)."""
    key = base64.b64encode(os.urandom(16)).decode()
    return request_head(
        server,
        path,
        "Connection: Upgrade",
        "Upgrade: websocket",
        "Sec-WebSocket-Version: 13",
        f"Sec-WebSocket-Key: {key}",
    )


def client_frame(payload: bytes, opcode: int = TEXT) -> bytes:
    """A masked frame; the mask is zero, which leaves the payload as it is (RFC 6455, 5.3)."""
    size = len(payload)
    if size < 126:
        head = struct.pack("!BB", 0x80 | opcode, 0x80 | size)
    elif size < 2**16:
        head = struct.pack("!BBH", 0x80 | opcode, 0x80 | 126, size)
    else:
        head = struct.pack("!BBQ", 0x80 | opcode, 0x80 | 127, size)
    return head + bytes(4) + payload


def connect(server: Server, *, receive_buffer: int | None = None) -> socket.socket:
    """A connected socket; a small receive buffer makes it full sooner. Blocks."""
    client = socket.socket()
    if receive_buffer is not None:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
    client.settimeout(TIMEOUT)
    client.connect((HOST, server.port))
    return client


def reset(client: socket.socket) -> None:
    """Closes with RST, as when a process is killed with data unread."""
    client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, LINGER_NOTHING)
    client.close()


class RawStream:
    """A WebSocket or an event stream of which nothing is read but what `next` asks for.

    Opened with `async with`. Its pings are answered while it is read, unless it is `mute`.
    """

    def __init__(self, transport: str, server: Server, query: str = "", *, mute: bool = False) -> None:
        self.transport = transport
        self._server = server
        self._query = query
        self._mute = mute
        self._frames: deque[Frame] = deque()
        self._parser = EventParser()

    async def __aenter__(self) -> Self:
        client = connect(self._server, receive_buffer=SMALL)
        client.setblocking(False)
        self._reading, self.writing = await asyncio.open_connection(sock=client, limit=SMALL)
        path = f"/{self.transport}?{self._query}"
        head = upgrade_head if self.transport == "ws" else request_head
        self.writing.write(head(self._server, path))
        async with asyncio.timeout(TIMEOUT):
            answer = await self._reading.readuntil(b"\r\n\r\n")
        assert answer.split()[1] == (b"101" if self.transport == "ws" else b"200"), answer
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.writing.transport.abort()

    async def next(self) -> Frame:
        """Raises ConnectionError or IncompleteReadError at the end."""
        async with asyncio.timeout(TIMEOUT):
            while not self._frames:
                await (self._read_frame() if self.transport == "ws" else self._read_chunk())
            return self._frames.popleft()

    async def ended(self) -> None:
        """Reads up to the end of the connection, and throws away what comes before it. No deadline."""
        try:
            while await self._reading.read(SMALL):
                pass
        except ConnectionError:
            pass

    async def _read_frame(self) -> None:
        opcode, size = await self._reading.readexactly(2)
        if size >= 126:
            long = await self._reading.readexactly(2 if size == 126 else 8)
            size = int.from_bytes(long, "big")
        payload = await self._reading.readexactly(size)
        if opcode & 15 == TEXT:
            self._frames.append(cast(Frame, json.loads(payload)))
        elif opcode & 15 == BINARY:
            self._frames.append(protobuf.frame_of(payload))
        elif opcode & 15 == PING and not self._mute:
            self.writing.write(client_frame(payload, PONG))
        elif opcode & 15 == CLOSE:
            raise ConnectionResetError(f"close {int.from_bytes(payload[:2], 'big')}")

    async def _read_chunk(self) -> None:
        size = int(await self._reading.readuntil(b"\r\n"), 16)
        chunk = await self._reading.readexactly(size + 2)
        if not size:
            raise ConnectionResetError("the stream ended")
        events = self._parser.feed(chunk[:-2])
        frame_of = protobuf.event_frame if "format=protobuf" in self._query else json.loads
        self._frames.extend(frame_of(event.data) for event in events if event.data is not None)
