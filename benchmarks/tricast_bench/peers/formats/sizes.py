"""How long a message is in each format, plain and compressed. Nothing is measured: these are bytes, not times."""

from __future__ import annotations

import base64
import gzip
import zlib

from tricast.wire import json, protobuf
from tricast_bench.contents import binary, text
from tricast_bench.document import markdown
from tricast_bench.peers.formats.cases import CARRIED, SIZES, Carried

LEVELS = (1, 6, 9)
ABOUT = {
    "topic": "orders.eu",
    "cursor": "k3f9a1c27d5e-104857",
    "id": "1f0a6c1e-7f55-4f5b-9a57-3a3e7d1c2b4f",
    "event": None,
    "sender": "client-17",
    "subject": None,
    "ts": 1795295808.123,
}
"""What stands around the data, but for an event: as a client of ours publishes."""


def frames(content: Carried, size: int) -> dict[str, bytes]:
    """One message with data of so many bytes, in each format."""
    data = text(size) if content == "text" else binary(size)
    return {
        "json": json.message_text(data=data, **ABOUT).encode(),  # type: ignore[arg-type]  # of many types
        "protobuf": protobuf.message_bytes(data=data, **ABOUT),  # type: ignore[arg-type]
    }


def deflated(frame: bytes, level: int) -> bytes:
    """The payload of a WebSocket message (RFC 7692, 7.2.1) with a context of its own."""
    made = zlib.compressobj(level, zlib.DEFLATED, -zlib.MAX_WBITS)
    return (made.compress(frame) + made.flush(zlib.Z_SYNC_FLUSH)).removesuffix(b"\x00\x00\xff\xff")


def zipped(frame: bytes, level: int) -> bytes:
    return gzip.compress(frame, level, mtime=0)


def section() -> str:
    head = ["data", "json", "protobuf", "protobuf in SSE", "json, deflate", "protobuf, deflate"]
    rows = [_row(content, size) for content in CARRIED for size in SIZES]
    about = (
        "Bytes of one message frame, without what a transport puts around it. Compressed as in permessage-deflate with "
        f"a fresh context, by zlib {zlib.ZLIB_VERSION} at its levels {' / '.join(map(str, LEVELS))}. gzip, as in an "
        f"answer to a poll, is {_more_by_gzip()} bytes longer than deflate. What does not become shorter is sent plain."
    )
    return f"{about}\n\n{markdown(head, rows, right=True)}"


def _row(content: Carried, size: int) -> list[str]:
    made = frames(content, size)
    plain = [f"{len(frame):,}" for frame in made.values()]
    in_events = f"{len(base64.b64encode(made['protobuf'])):,}"
    return [f"{content}, {size:,} B", *plain, in_events, *map(_levels, made.values())]


def _levels(frame: bytes) -> str:
    return " / ".join(f"{len(deflated(frame, level)):,}" for level in LEVELS)


def _more_by_gzip() -> str:
    every = [frame for content in CARRIED for size in SIZES for frame in frames(content, size).values()]
    more = {len(zipped(frame, level)) - len(deflated(frame, level)) for frame in every for level in LEVELS}
    return f"{min(more)} to {max(more)}"
