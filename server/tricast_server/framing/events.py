"""Server-Sent Events (WHATWG HTML, 9.2). Never compressed: who compresses a stream holds its events back."""

from __future__ import annotations

import math
from base64 import b64encode
from collections.abc import Sequence

from tricast.wire import sse
from tricast.wire.cursor import Cursor
from tricast.wire.messages import Bye, Error, Frame, Hello, Message
from tricast_server.bus.log import Entry
from tricast_server.bus.view import Framing
from tricast_server.framing.formats import Format

HELLO_RETRY = 1000
"""Milliseconds after which a browser's EventSource comes back when a stream was cut."""
FAILURE = "failure"
"""What errors are called, as `error` is a browser's own event."""


class SSEFraming(Framing):
    """Events in one HTTP chunk (RFC 9112, 7.1), or bare where the response has no chunks."""

    def __init__(self, format: Format, *, chunked: bool) -> None:
        self.format = format
        self.chunked = chunked
        self._name = f"sse.{format.name}.{'chunked' if chunked else 'bare'}"

    @property
    def name(self) -> str:
        return self._name

    def entry(self, entry: Entry, epoch: str) -> bytes:
        cursor = str(Cursor(epoch, entry.offset))
        return sse.build(_text(self.format.entry(entry, cursor)), id=cursor).encode()

    def frame(self, frame: Frame, cursor: str) -> bytes:
        payload = _text(self.format.frame(frame))
        retry = None
        if isinstance(frame, Hello):
            retry = HELLO_RETRY
        elif isinstance(frame, Bye):
            retry = int(frame.reconnect_after * 1000)
        return sse.build(payload, id=cursor, event=_event_name(frame), retry=retry).encode()

    def join(self, frames: Sequence[bytes]) -> bytes:
        data = b"".join(frames)
        return b"%x\r\n%b\r\n" % (len(data), data) if self.chunked else data


def failure_event(format: Format, error: Error, retry: float) -> bytes:
    """Instead of a stream: come back in `retry` seconds. Without an id, as an empty one would make a browser forget its
    cursor.
    """
    return sse.build(_text(format.frame(error)), id=None, event=FAILURE, retry=math.ceil(retry * 1000)).encode()


def _text(payload: str | bytes | None) -> str | None:
    """Events are text: what is binary stands there as base64, on one line."""
    return b64encode(payload).decode() if isinstance(payload, bytes) else payload


def _event_name(frame: Frame) -> str | None:
    """A message has none, so that `onmessage` gets it."""
    if isinstance(frame, Message):
        return None
    return FAILURE if isinstance(frame, Error) else frame.type
