"""The answers to polls: how messages become a body, and a body a response."""

from __future__ import annotations

import asyncio
import threading
import zlib
from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from tricast.wire import json, protobuf
from tricast.wire.cursor import Cursor
from tricast.wire.messages import Bye, Frame, Hello
from tricast_server.bus.bus import Bus
from tricast_server.bus.log import Entry
from tricast_server.bus.view import Framing, Slice
from tricast_server.framing.formats import JSON, PROTOBUF, TEXT, Format
from tricast_server.transports.whole import whole

ZIPPED_MIN = 2**10
"""Bytes of a body from which on it is compressed: what is shorter travels in one packet as it is."""
THREAD_FROM = 2**16
"""Bytes from which on another thread does it: it takes about 1 ms for so many, and the loop does not wait for more."""
LEVEL = 4
"""Of zlib's. 178 kB of chat became 26 kB in 3 ms; with 1 it is 32 kB in as long, with 6 24 kB in thrice as long."""
GZIP_WINDOW = 31
"""15 bits, and 16 for the gzip format (RFC 1952)."""
THREADS = threading.Semaphore(2)
"""Bodies that are compressed in threads at a time. More are sent plain: the loop's threads have other things to do."""


@dataclass(frozen=True, slots=True)
class Body:
    """What is sent, and whether that is gzip."""

    data: bytes
    zipped: bool


class Batch(Framing):
    """How messages become an answer, gzip or not. All polls that one flush has woken are given the same bytes."""

    format: Format
    content_type: str

    def __init__(self) -> None:
        self._name = f"poll.{self.format.name}"
        self._last: tuple[Slice | None, Mapping[str, str], bytes, int] = (None, {}, b"", 0)
        self._last_zipped: tuple[Slice | None, Body | asyncio.Future[Body]] = (None, Body(b"", zipped=False))

    @property
    def name(self) -> str:
        return self._name

    @abstractmethod
    def body(self, bus: Bus, part: Slice, hello: Hello | None = None, bye: Bye | None = None) -> bytes: ...

    def headers(self, part: Slice) -> dict[str, str]:
        return {"Cache-Control": "no-store", "Tricast-Cursor": str(part.next), "Content-Type": self.content_type}

    def whole(self, bus: Bus, part: Slice, cors: Mapping[str, str]) -> tuple[bytes, int]:
        """Head and body, and the bytes of the body."""
        known, same, data, size = self._last
        if known is not part or same is not cors:
            body = self.body(bus, part)
            data, size = whole(body, {**self.headers(part), **cors}), len(body)
            self._last = part, cors, data, size
        return data, size

    async def zipped(self, bus: Bus, part: Slice, hello: Hello | None = None, bye: Bye | None = None) -> Body:
        """The body where it may be compressed. Whoever is cancelled takes it from nobody else who waits for it."""
        if hello is not None or bye is not None:
            made = _zipped(self.body(bus, part, hello, bye))
        else:
            known, made = self._last_zipped
            if known is not part:
                made = _zipped(self.body(bus, part))
                self._last_zipped = part, made
        return made if isinstance(made, Body) else await asyncio.shield(made)


class JsonBatch(Batch):
    """Objects of one array."""

    format = JSON
    content_type = "application/json; charset=utf-8"

    def entry(self, entry: Entry, epoch: str) -> bytes:
        return JSON.entry(entry, str(Cursor(epoch, entry.offset))).encode()

    def frame(self, frame: Frame, cursor: str) -> bytes:
        return json.encode(frame).encode()

    def join(self, frames: Sequence[bytes]) -> bytes:
        return b",".join(frames)

    def body(self, bus: Bus, part: Slice, hello: Hello | None = None, bye: Bye | None = None) -> bytes:
        more = b""
        if hello is not None:
            more += b',"hello":' + json.encode(hello).encode()
        if bye is not None:
            more += b',"bye":' + json.encode(bye).encode()
        messages = self.join(bus.encode(part.shown, self))
        return b'{"cursor":"%b","messages":[%b]%b}' % (str(part.next).encode(), messages, more)


class TextBatch(Batch):
    """One line per message; nothing else is shown."""

    format = TEXT
    content_type = "text/plain; charset=utf-8"

    def entry(self, entry: Entry, epoch: str) -> bytes:
        return TEXT.line(entry, str(Cursor(epoch, entry.offset))).encode() + b"\n"

    def frame(self, frame: Frame, cursor: str) -> bytes:
        return b""

    def join(self, frames: Sequence[bytes]) -> bytes:
        return b"".join(frames)

    def body(self, bus: Bus, part: Slice, hello: Hello | None = None, bye: Bye | None = None) -> bytes:
        return self.join(bus.encode(part.shown, self))


class ProtobufBatch(Batch):
    """The fields of a `Batch`, whose order is free, so that they can be encoded one by one."""

    format = PROTOBUF
    content_type = protobuf.CONTENT_TYPE

    def entry(self, entry: Entry, epoch: str) -> bytes:
        return protobuf.batched(PROTOBUF.entry(entry, str(Cursor(epoch, entry.offset))))

    def frame(self, frame: Frame, cursor: str) -> bytes:
        return protobuf.batched(PROTOBUF.frame(frame))

    def join(self, frames: Sequence[bytes]) -> bytes:
        return b"".join(frames)

    def body(self, bus: Bus, part: Slice, hello: Hello | None = None, bye: Bye | None = None) -> bytes:
        return protobuf.encode_batch(str(part.next), hello, bye) + self.join(bus.encode(part.shown, self))


def _zipped(body: bytes) -> Body | asyncio.Future[Body]:
    if len(body) < ZIPPED_MIN:
        return Body(body, zipped=False)
    if len(body) < THREAD_FROM:
        return _compressed(body)
    if not THREADS.acquire(blocking=False):
        return Body(body, zipped=False)
    return asyncio.get_running_loop().run_in_executor(None, _compressed_in_a_thread, body)


def _compressed_in_a_thread(body: bytes) -> Body:
    try:
        return _compressed(body)
    finally:
        THREADS.release()


def _compressed(body: bytes) -> Body:
    smaller = zlib.compress(body, LEVEL, GZIP_WINDOW)
    return Body(smaller, zipped=True) if len(smaller) < len(body) else Body(body, zipped=False)


_BATCHES: tuple[Batch, ...] = (JsonBatch(), TextBatch(), ProtobufBatch())
BATCHES: Mapping[str, Batch] = {batch.format.name: batch for batch in _BATCHES}
"""By the format's name."""
