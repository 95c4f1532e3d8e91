"""From frames to bytes: a format (what the payload says) in an envelope (how a transport carries it).

Another format or another envelope is one class here and one line in `FORMATS` or in its transport.
"""

from __future__ import annotations

import struct
from abc import ABC, abstractmethod
from collections.abc import Sequence

from tricast.errors import BadRequest
from tricast.wire import json, sse, text
from tricast.wire.cursor import Cursor
from tricast.wire.messages import Bye, Error, Frame, Hello, Message
from tricast_server.bus.log import Entry
from tricast_server.bus.view import Framing

HELLO_RETRY = 1000
"""Milliseconds after which a browser's EventSource comes back when a stream was cut."""


class Format(ABC):
    """One spelling of the frames."""

    name: str

    @abstractmethod
    def entry(self, entry: Entry, cursor: str) -> str:
        """A message as text."""

    @abstractmethod
    def frame(self, frame: Frame) -> str | None:
        """Any frame as text, or None where this format does not show it."""


class JsonFormat(Format):
    name = "json"

    def entry(self, entry: Entry, cursor: str) -> str:
        return json.message_text(
            topic=entry.topic,
            cursor=cursor,
            data=entry.data,
            id=entry.id,
            event=entry.event,
            sender=entry.sender,
            subject=entry.subject,
            ts=entry.ts,
        )

    def frame(self, frame: Frame) -> str | None:
        return json.encode(frame)


class TextFormat(Format):
    name = "text"

    def entry(self, entry: Entry, cursor: str) -> str:
        data = entry.data
        if isinstance(data, str) and not data.startswith('"'):
            return data  # JSON that is no string stands as it is
        return text.data_text(json.loads(data) if isinstance(data, str) else data)

    def frame(self, frame: Frame) -> str | None:
        return text.encode(frame)

    def line(self, entry: Entry, cursor: str) -> str:
        """The message on one line: JSON where its text has line breaks."""
        line = self.entry(entry, cursor)
        return line if isinstance(entry.data, bytes) or line.splitlines() in ([], [line]) else entry.data


JSON = JsonFormat()
TEXT = TextFormat()
FORMATS: dict[str, Format] = {"json": JSON, "text": TEXT}


def format_named(name: str) -> Format:
    """Raises BadRequest."""
    found = FORMATS.get(name)
    if found is None:
        raise BadRequest(f"format is one of {', '.join(FORMATS)}")
    return found


class WebSocketFraming(Framing):
    """One unmasked text frame each (RFC 6455, 5.2): nothing in it depends on the connection, so it can be shared."""

    def __init__(self, format: Format) -> None:
        self.format = format
        self._name = f"ws.{format.name}"

    @property
    def name(self) -> str:
        return self._name

    def entry(self, entry: Entry, epoch: str) -> bytes:
        return text_frame(self.format.entry(entry, str(Cursor(epoch, entry.offset))).encode())

    def frame(self, frame: Frame, cursor: str) -> bytes:
        payload = self.format.frame(frame)
        return b"" if payload is None else text_frame(payload.encode())

    def join(self, frames: Sequence[bytes]) -> bytes:
        return b"".join(frames)


def text_frame(payload: bytes) -> bytes:
    """FIN, opcode text, no mask (RFC 6455, 5.2)."""
    size = len(payload)
    if size < 126:
        return struct.pack("!BB", 0x81, size) + payload
    if size < 2**16:
        return struct.pack("!BBH", 0x81, 126, size) + payload
    return struct.pack("!BBQ", 0x81, 127, size) + payload


class SSEFraming(Framing):
    """Events (WHATWG HTML, 9.2) in one HTTP chunk (RFC 9112, 7.1), or bare where the response has no chunks."""

    def __init__(self, format: Format, *, chunked: bool) -> None:
        self.format = format
        self.chunked = chunked
        self._name = f"sse.{format.name}.{'chunked' if chunked else 'bare'}"

    @property
    def name(self) -> str:
        return self._name

    def entry(self, entry: Entry, epoch: str) -> bytes:
        cursor = str(Cursor(epoch, entry.offset))
        return sse.build(self.format.entry(entry, cursor), id=cursor).encode()

    def frame(self, frame: Frame, cursor: str) -> bytes:
        payload = self.format.frame(frame)
        retry = None
        if isinstance(frame, Hello):
            retry = HELLO_RETRY
        elif isinstance(frame, Bye):
            retry = int(frame.reconnect_after * 1000)
        return sse.build(payload, id=cursor, event=_event_name(frame), retry=retry).encode()

    def join(self, frames: Sequence[bytes]) -> bytes:
        data = b"".join(frames)
        return b"%x\r\n%b\r\n" % (len(data), data) if self.chunked else data


def _event_name(frame: Frame) -> str | None:
    """A message has none, so that `onmessage` gets it; `error` is a browser's own event."""
    if isinstance(frame, Message):
        return None
    return "failure" if isinstance(frame, Error) else frame.type
