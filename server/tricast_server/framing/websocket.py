"""WebSocket frames (RFC 6455, 5.2), compressed for those who can take it (RFC 7692)."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Sequence

from tricast.wire.cursor import Cursor
from tricast.wire.messages import Frame
from tricast_server.bus.log import Entry
from tricast_server.bus.view import Framing
from tricast_server.framing.formats import Format

FIN, COMPRESSED, TEXT, BINARY = 0x80, 0x40, 1, 2
WINDOW_BITS = 15
"""Of the window that a client must have, to be given compressed frames."""
COMPRESSED_MIN = 128
"""Bytes of payload. Compressing takes 20 to 40 us, and of a shorter one it takes off less than one TCP header has."""
_TRIAL = 1024
"""Bytes from the middle of a long payload that tell what it is: packed data takes thrice as long as text, in vain."""
_LEVEL, _MEMORY = 1, 5
"""The loop waits for it, and every message begins anew: the quickest level, and tables that are quickly cleared."""
_TAIL = b"\x00\x00\xff\xff"


class WebSocketFraming(Framing):
    """One unmasked frame each: nothing in it depends on the connection, so it can be shared."""

    def __init__(self, format: Format) -> None:
        self.format = format
        self._name = f"ws.{format.name}"

    @property
    def name(self) -> str:
        return self._name

    def entry(self, entry: Entry, epoch: str) -> bytes:
        return data_frame(self.format.entry(entry, str(Cursor(epoch, entry.offset))))

    def frame(self, frame: Frame, cursor: str) -> bytes:
        return data_frame(self.format.frame(frame))

    def join(self, frames: Sequence[bytes]) -> bytes:
        return b"".join(frames)


class DeflatedFraming(WebSocketFraming):
    """The same with messages compressed, where that makes them smaller. Each begins with an empty window (RFC 7692,
    7.2.1), which is allowed whatever was agreed, so that these frames can be shared as well.
    """

    def __init__(self, format: Format) -> None:
        super().__init__(format)
        self._name += ".deflate"
        self._alone = WebSocketFraming(format)

    @property
    def alone(self) -> Framing:
        """Whoever comes back may have much to read, and all come back at once: what nobody shares goes as it is."""
        return self._alone

    def entry(self, entry: Entry, epoch: str) -> bytes:
        payload = self.format.entry(entry, str(Cursor(epoch, entry.offset)))
        opcode, data = (TEXT, payload.encode()) if isinstance(payload, str) else (BINARY, payload)
        if len(data) >= COMPRESSED_MIN and not is_packed(data):
            smaller = deflated(data)
            if len(smaller) < len(data):
                return _frame(FIN | COMPRESSED | opcode, smaller)
        return _frame(FIN | opcode, data)


def data_frame(payload: str | bytes | None) -> bytes:
    """The whole payload in one frame, text or binary by its type, unmasked. Nothing for None."""
    if isinstance(payload, str):
        return _frame(FIN | TEXT, payload.encode())
    return b"" if payload is None else _frame(FIN | BINARY, payload)


def is_packed(data: bytes) -> bool:
    """Whether it is long, and seems to be compressed already."""
    if len(data) < 4 * _TRIAL:
        return False
    middle = len(data) // 2
    return len(deflated(data[middle : middle + _TRIAL])) > 0.9 * _TRIAL


def deflated(data: bytes) -> bytes:
    """The payload of a compressed message (RFC 7692, 7.2.1). A window longer than the message would be of no use."""
    window = max(9, min(WINDOW_BITS, len(data).bit_length()))
    compressor = zlib.compressobj(_LEVEL, zlib.DEFLATED, -window, _MEMORY)
    return (compressor.compress(data) + compressor.flush(zlib.Z_SYNC_FLUSH)).removesuffix(_TAIL)


def _frame(first: int, payload: bytes) -> bytes:
    size = len(payload)
    if size < 126:
        return struct.pack("!BB", first, size) + payload
    if size < 2**16:
        return struct.pack("!BBH", first, 126, size) + payload
    return struct.pack("!BBQ", first, 127, size) + payload
