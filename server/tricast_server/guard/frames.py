"""What aiohttp's WebSocket reader lets pass and RFC 6455 does not."""

from __future__ import annotations

from typing import Protocol

CLOSE = 8
CONTROL, RESERVED = 0x08, 0x70
NEVER_SENT = 1006
"""A close code that only stands for the lack of one (7.4.1). aiohttp refuses the others of that kind itself."""
BROKEN = -1
_NO_FRAME = b"\x70\x00"
"""Reserved bits, which aiohttp answers with 1002: how it is told that what comes next breaks the protocol."""


class Reader(Protocol):
    """aiohttp's reader, as its connection sees it."""

    def feed_data(self, data: bytes) -> tuple[bool, bytes]: ...

    def feed_eof(self) -> None: ...


class StrictFrames:
    """Stands before aiohttp's reader, and ends the connection with 1002 at a frame that is not masked (5.1), at a close
    frame with a code that is never sent, or at a control frame with reserved bits, which no extension here gives a
    meaning (RFC 7692, 6).
    """

    __slots__ = ("_held", "_left", "_reader")

    def __init__(self, reader: Reader) -> None:
        self._reader = reader
        self._left = 0
        """Bytes of the current frame that are still to come."""
        self._held = b""
        """A head that has not come whole: handed on once it is judged."""

    def feed_data(self, data: bytes) -> tuple[bool, bytes]:
        if self._held:
            data, self._held = self._held + data, b""
        at, end = self._left, len(data)
        while at < end:
            size = frame_size(data, at)
            if size <= 0:
                break
            at += size
        else:
            self._left = at - end
            return self._reader.feed_data(data)
        self._left = 0
        if size == BROKEN:
            return self._reader.feed_data(data[:at] + _NO_FRAME)
        self._held = data[at:]
        return self._reader.feed_data(data[:at])

    def feed_eof(self) -> None:
        self._reader.feed_eof()


def frame_size(data: bytes, at: int) -> int:
    """Bytes of the frame that begins at `at`, head included; 0 where more is needed to tell, BROKEN where it must not
    be sent by a client.
    """
    have = len(data) - at
    if have < 2:
        return 0
    length = data[at + 1]
    if not length & 0x80 or (data[at] & CONTROL and data[at] & RESERVED):
        return BROKEN
    length &= 0x7F
    head = 6
    if length >= 126:
        extended = 2 if length == 126 else 8
        if have < 2 + extended:
            return 0
        length = int.from_bytes(data[at + 2 : at + 2 + extended], "big")
        head += extended
    elif data[at] & 0x0F == CLOSE and length >= 2:
        if have < 8:
            return 0
        code = (data[at + 6] ^ data[at + 2]) << 8 | (data[at + 7] ^ data[at + 3])
        if code == NEVER_SENT:
            return BROKEN
    return head + length
