"""HTTP/1.1 as far as the middlebox has to read it, without I/O: heads, bodies, and answers of its own (RFC 9112)."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from http.client import responses
from typing import Protocol
from urllib.parse import urlsplit

MAX_HEAD = 65_536
MAX_LINE = 4096

_EVENT_END = re.compile(rb"(?:\r\n|\n|\r(?!\n)){2}")


class BadMessage(Exception):
    """This is no HTTP/1.1, or its length can be read in two ways."""


@dataclass(frozen=True, slots=True)
class Head:
    """A first line and the header lines, as they came."""

    start: str
    lines: tuple[bytes, ...]

    def values(self, name: str) -> list[str]:
        """Of all header lines with this name, in lower case."""
        pairs = (line.partition(b":") for line in self.lines)
        return [_text(value).strip(" \t") for key, _, value in pairs if _text(key) == name]

    def tokens(self, name: str) -> list[str]:
        """Of a header that is a list, in lower case."""
        return [token.strip(" \t") for value in self.values(name) for token in value.split(",")]

    def encode(self) -> bytes:
        return b"\r\n".join((self.start.encode("latin-1"), *self.lines, b"", b""))


@dataclass(frozen=True, slots=True)
class Request(Head):
    """One request without its body."""

    method: str
    target: str

    @property
    def name(self) -> str:
        """The last part of the path: what tells /ws and /canary/ws from /sse."""
        return urlsplit(self.target).path.rpartition("/")[2]

    @property
    def upgrades(self) -> bool:
        return "upgrade" in self.tokens("connection") and bool(self.values("upgrade"))

    @property
    def opens_websocket(self) -> bool:
        return self.upgrades and "websocket" in self.tokens("upgrade")

    def without_upgrade(self) -> Request:
        """What is left by a proxy that knows no upgrade: hop-by-hop headers are not passed on."""
        kept = [line for line in self.lines if _text(line.partition(b":")[0]) not in ("connection", "upgrade")]
        others = [token for token in self.tokens("connection") if token != "upgrade"]
        if others:
            kept.append(f"Connection: {', '.join(others)}".encode("latin-1"))
        return replace(self, lines=tuple(kept))


@dataclass(frozen=True, slots=True)
class Response(Head):
    """One response without its body."""

    status: int

    @property
    def is_event_stream(self) -> bool:
        return any(value.split(";")[0].strip() == "text/event-stream" for value in self.values("content-type"))


def take_request(buffer: bytearray) -> Request | None:
    """Takes a request's head off the buffer; None when it is not all there. Raises BadMessage."""
    while buffer.startswith(b"\r\n"):
        del buffer[:2]
    taken = _take_head(buffer)
    if taken is None:
        return None
    start, lines = taken
    method, _, rest = start.partition(" ")
    target, _, version = rest.rpartition(" ")
    if version not in ("HTTP/1.1", "HTTP/1.0") or not method.isalpha() or not target or " " in target:
        raise BadMessage(f"no request line: {start[:80]!a}")
    return Request(start, lines, method, target)


def take_response(buffer: bytearray) -> Response | None:
    """Takes a response's head off the buffer; None when it is not all there. Raises BadMessage."""
    taken = _take_head(buffer)
    if taken is None:
        return None
    start, lines = taken
    version, _, rest = start.partition(" ")
    code = rest[:3]
    if version not in ("HTTP/1.1", "HTTP/1.0") or not (code.isascii() and code.isdigit() and len(code) == 3):
        raise BadMessage(f"no status line: {start[:80]!a}")
    return Response(start, lines, int(code))


def _take_head(buffer: bytearray) -> tuple[str, tuple[bytes, ...]] | None:
    end = buffer.find(b"\r\n\r\n", 0, MAX_HEAD)
    if end < 0:
        if len(buffer) >= MAX_HEAD:
            raise BadMessage(f"a head of more than {MAX_HEAD} bytes")
        return None
    start, *lines = bytes(buffer[:end]).split(b"\r\n")
    del buffer[: end + 4]
    if any(b":" not in line or line[:1] in b" \t:" for line in lines):
        raise BadMessage("a header line without a name")
    return start.decode("latin-1"), tuple(lines)


class Body(Protocol):
    """How one body is taken from a stream, piece by piece, and put on another."""

    done: bool

    def take(self, buffer: bytearray) -> bytes:
        """Takes what can be had of it off the buffer; nothing when it is done or needs more. Raises BadMessage."""

    def wrap(self, piece: bytes) -> bytes:
        """A piece as it is sent on."""

    def end(self) -> bytes:
        """What is sent on behind the last piece."""


class Sized:
    """A body of known length; 0 is no body."""

    def __init__(self, length: int) -> None:
        self._left = length
        self.done = length == 0

    def take(self, buffer: bytearray) -> bytes:
        piece = _taken(buffer, self._left)
        self._left -= len(piece)
        self.done = self._left == 0
        return piece

    def wrap(self, piece: bytes) -> bytes:
        return piece

    def end(self) -> bytes:
        return b""


class UntilClose:
    """A body that ends with its connection."""

    done = False

    def take(self, buffer: bytearray) -> bytes:
        return _taken(buffer, len(buffer))

    def wrap(self, piece: bytes) -> bytes:
        return piece

    def end(self) -> bytes:
        return b""


class Chunked:
    """A chunked body. Chunk extensions are not passed on; trailers are."""

    def __init__(self) -> None:
        self.done = False
        self._left = 0
        self._after_data = False
        self._trailers: list[bytes] | None = None

    def take(self, buffer: bytearray) -> bytes:
        while not self.done and not self._left:
            line = _take_line(buffer)
            if line is None:
                return b""
            self._read(line)
        piece = _taken(buffer, self._left)
        self._left -= len(piece)
        self._after_data = self._after_data or bool(piece)
        return piece

    def wrap(self, piece: bytes) -> bytes:
        return b"%x\r\n%b\r\n" % (len(piece), piece)

    def end(self) -> bytes:
        return b"\r\n".join((b"0", *(self._trailers or ()), b"", b""))

    def _read(self, line: bytes) -> None:
        if self._trailers is not None:
            self._trailers.append(line) if line else self._finish()
        elif self._after_data:
            self._after_data = False
            if line:
                raise BadMessage("a chunk longer than it says")
        else:
            self._left = _chunk_size(line)
            if not self._left:
                self._trailers = []

    def _finish(self) -> None:
        self.done = True


def request_body(head: Request) -> Body:
    """Raises BadMessage."""
    encodings, length = head.tokens("transfer-encoding"), _length(head)
    if not encodings:
        return Sized(length or 0)
    if length is not None or encodings[-1] != "chunked":
        raise BadMessage("a request of unclear length")
    return Chunked()


def response_body(head: Response, method: str) -> Body:
    """Raises BadMessage."""
    if method == "HEAD" or head.status < 200 or head.status in (204, 304):
        return Sized(0)
    encodings = head.tokens("transfer-encoding")
    if encodings:
        return Chunked() if encodings[-1] == "chunked" else UntilClose()
    length = _length(head)
    return UntilClose() if length is None else Sized(length)


def split_events(piece: bytes) -> Iterator[bytes]:
    """The events of an event stream; what stands before or behind a whole one is a part of its own."""
    start = 0
    for match in _EVENT_END.finditer(piece):
        yield piece[start : match.end()]
        start = match.end()
    if start < len(piece):
        yield piece[start:]


def answer(status: int) -> bytes:
    """A whole response as a middlebox makes it itself, with a page as its body, which ends the connection."""
    phrase = responses.get(status, "Unknown")
    page = f"<!doctype html><title>{status}</title><h1>{status} {phrase}</h1>\n".encode()
    if status in (204, 304):
        page = b""
    more = {405: "Allow: GET, HEAD\r\n", 407: 'Proxy-Authenticate: Basic realm="middlebox"\r\n'}.get(status, "")
    head = (
        f"HTTP/1.1 {status} {phrase}\r\nContent-Type: text/html\r\nContent-Length: {len(page)}\r\n"
        f"Cache-Control: no-store\r\n{more}Connection: close\r\n\r\n"
    )
    return head.encode() + page


def _length(head: Head) -> int | None:
    lengths = set(head.tokens("content-length"))
    if not lengths:
        return None
    (first, *others) = lengths
    if others or not (first.isascii() and first.isdigit()) or len(first) > 18:
        raise BadMessage("a length that is none")
    return int(first)


def _chunk_size(line: bytes) -> int:
    digits = line.partition(b";")[0].strip(b" \t")
    if not digits or len(digits) > 15 or digits.strip(b"0123456789abcdefABCDEF"):
        raise BadMessage(f"no chunk size: {line[:40]!a}")
    return int(digits, 16)


def _take_line(buffer: bytearray) -> bytes | None:
    end = buffer.find(b"\r\n", 0, MAX_LINE)
    if end < 0:
        if len(buffer) >= MAX_LINE:
            raise BadMessage(f"a line of more than {MAX_LINE} bytes")
        return None
    line = bytes(buffer[:end])
    del buffer[: end + 2]
    return line


def _taken(buffer: bytearray, size: int) -> bytes:
    piece = bytes(buffer[:size])
    del buffer[:size]
    return piece


def _text(raw: bytes) -> str:
    return raw.decode("latin-1").lower()
