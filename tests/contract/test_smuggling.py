"""Requests that two readers could take for different ones (RFC 9112, 11.2): a second request never comes out of one.

Each is followed by what must not be taken for a request of its own: a publish, which would be counted.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, replace

import pytest
from tests.helpers import Process, serving
from tests.helpers_raw import connect

PATHS = ("/send", "/topics/a", "/poll?wait=0", "/sse", "/ws")
UPGRADE = b"Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: %b" % (
    b"A" * 22 + b"=="
)
STATUS = re.compile(rb"HTTP/1\.[01] (\d{3}) [^\r\n]*\r\n")
SMUGGLED = b"POST /topics/smuggled HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 1\r\n\r\n1"
LENGTH = b"Content-Length: %d" % len(SMUGGLED)
CHUNKED = b"Transfer-Encoding: chunked"
ENDED = b"0\r\n\r\n"
LONG = b"x" * 9000


@dataclass(frozen=True, kw_only=True)
class Shape:
    """What is wrong with a request: its fields, what stands after its head, its first line, its Host."""

    fields: bytes = b""
    after: bytes = ENDED
    line: bytes = b"%b %b HTTP/1.1\r\n"
    host: bytes = b"Host: 127.0.0.1\r\n"

    def request(self, path: str) -> bytes:
        method = b"POST" if path in ("/send", "/topics/a") else b"GET"
        line = self.line % (method, path.encode()) if b"%b" in self.line else self.line
        fields = self.fields + b"\r\n" if self.fields else b""
        own = UPGRADE + b"\r\n" if path == "/ws" and b"Upgrade" not in self.fields else b""
        return line + self.host + own + fields + b"\r\n" + self.after


def chunk(size: bytes, data: bytes = b"12345") -> Shape:
    return Shape(fields=CHUNKED, after=size + b"\r\n" + data + b"\r\n" + ENDED)


BROKEN: dict[str, Shape] = {
    # How long it is (RFC 9112, 6)
    "both lengths": Shape(fields=b"Content-Length: 5\r\n" + CHUNKED),
    "both, the other way around": Shape(fields=CHUNKED + b"\r\nContent-Length: 5"),
    "two lengths": Shape(fields=b"Content-Length: 5\r\n" + LENGTH),
    "two equal lengths": Shape(fields=b"Content-Length: 5\r\nContent-Length: 5"),
    "a list of lengths": Shape(fields=b"Content-Length: 5, 5"),
    "a length with a plus": Shape(fields=b"Content-Length: +5"),
    "a negative length": Shape(fields=b"Content-Length: -5"),
    "a hexadecimal length": Shape(fields=b"Content-Length: 0x5"),
    "a length with a gap": Shape(fields=b"Content-Length: 5 0"),
    "a length with an underscore": Shape(fields=b"Content-Length: 5_0"),
    "a length of another alphabet": Shape(fields="Content-Length: ٥".encode()),
    "an empty length": Shape(fields=b"Content-Length:"),
    "a length that overflows": Shape(fields=b"Content-Length: 18446744073709551621"),
    "an unknown coding": Shape(fields=b"Transfer-Encoding: xchunked"),
    "identity": Shape(fields=b"Transfer-Encoding: identity"),
    "chunked, then another": Shape(fields=b"Transfer-Encoding: chunked, identity"),
    "chunked twice": Shape(fields=b"Transfer-Encoding: chunked, chunked"),
    "two codings in two lines": Shape(fields=CHUNKED + b"\r\nTransfer-Encoding: identity"),
    "chunked in quotes": Shape(fields=b'Transfer-Encoding: "chunked"'),
    "chunked with a parameter": Shape(fields=b"Transfer-Encoding: chunked;a=b"),
    "chunked with a vertical tab": Shape(fields=b"Transfer-Encoding: \x0bchunked"),
    "no coding": Shape(fields=b"Transfer-Encoding:"),
    "chunks in HTTP/1.0": Shape(line=b"%b %b HTTP/1.0\r\n", fields=CHUNKED),
    # Its fields (RFC 9112, 5)
    "a space before the colon": Shape(fields=b"Transfer-Encoding : chunked"),
    "a tab before the colon": Shape(fields=b"Content-Length\t: 5"),
    "a folded coding": Shape(fields=b"Transfer-Encoding:\r\n chunked"),
    "a folded length": Shape(fields=b"X: a\r\n Content-Length: 5"),
    "a first field that is folded": Shape(host=b" Host: 127.0.0.1\r\n"),
    "no colon": Shape(fields=b"Content-Length 5"),
    "no name": Shape(fields=b": 5"),
    "a name with a space": Shape(fields=b"Content Length: 5"),
    "a name with a NUL": Shape(fields=b"Content-Length\0: 5"),
    "a value with a NUL": Shape(fields=b"X: a\0b"),
    "a bare CR in a value": Shape(fields=b"X: a\rContent-Length: 5"),
    "a bare LF in a value": Shape(fields=b"X: a\nContent-Length: 5"),
    "a bare LF at the end": Shape(fields=b"X: a\n\nGET / HTTP/1.1"),
    "a field that is too long": Shape(fields=b"X: " + LONG),
    "too many fields": Shape(fields=b"\r\n".join(b"X%d: a" % number for number in range(1000))),
    # Its chunks (RFC 9112, 7)
    "a chunk with a sign": chunk(b"+5"),
    "a negative chunk": chunk(b"-5"),
    "a chunk with 0x": chunk(b"0x5"),
    "a chunk with an underscore": chunk(b"0_5"),
    "a chunk without a size": chunk(b""),
    "a chunk of an extension alone": chunk(b";a=b"),
    "a chunk of no number": chunk(b"five"),
    "a chunk after a space": chunk(b" 5"),
    "a chunk that overflows": chunk(b"10000000000000005"),
    "a chunk that is shorter": chunk(b"5", b"123"),
    "a chunk that is longer": chunk(b"5", b"1234567"),
    "an extension with a bare LF": chunk(b"5;a\n"),
    "an extension with a bare CR": chunk(b"5;a\rb"),
    "a size with a bare LF": Shape(fields=CHUNKED, after=b"5\n12345\n0\n\n"),
    "a chunk without its end": Shape(fields=CHUNKED, after=b"5\r\n123450\r\n\r\n"),
    "a trailer with a bare LF": Shape(fields=CHUNKED, after=b"0\r\nX: a\n\r\n"),
    "a trailer with a space": Shape(fields=CHUNKED, after=b"0\r\nContent-Length : 5\r\n\r\n"),
    # Its first line and its Host (RFC 9112, 3)
    "two hosts": Shape(host=b"Host: 127.0.0.1\r\nHost: evil.example\r\n"),
    "two equal hosts": Shape(host=b"Host: 127.0.0.1\r\nHost: 127.0.0.1\r\n"),
    "no host": Shape(host=b""),
    "a target with a space": Shape(line=b"%b %b HTTP/1.1 HTTP/1.1\r\n"),
    "a target with a NUL": Shape(line=b"%b %b\0 HTTP/1.1\r\n"),
    "a target with a CR": Shape(line=b"%b %b\rX: HTTP/1.1\r\n"),
    "a target that is too long": Shape(line=b"%b %b?" + LONG * 20 + b" HTTP/1.1\r\n"),
    "no version": Shape(line=b"%b %b\r\n"),
    "HTTP/0.9": Shape(line=b"%b %b HTTP/0.9\r\n"),
    "HTTP/2": Shape(line=b"PRI * HTTP/2.0\r\n", host=b""),
    "a version in small letters": Shape(line=b"%b %b http/1.1\r\n"),
    "a version with more behind it": Shape(line=b"%b %b HTTP/1.11\r\n"),
    "a method with a space before it": Shape(line=b" %b %b HTTP/1.1\r\n"),
    "a bare LF after the first line": Shape(line=b"%b %b HTTP/1.1\n"),
}
"""Each of these is refused, and ends its connection."""

FOREIGN: dict[str, Shape] = {
    "a list of hosts": Shape(host=b"Host: 127.0.0.1, evil.example\r\n"),
    "a host with a user": Shape(host=b"Host: 127.0.0.1@evil.example\r\n"),
    "a host with a path": Shape(host=b"Host: 127.0.0.1/evil.example\r\n"),
    "an empty host": Shape(host=b"Host:\r\n"),
    "another host in the target": Shape(line=b"%b http://evil.example%b HTTP/1.1\r\n"),
    "another host in both": Shape(line=b"%b http://evil.example%b HTTP/1.1\r\n", host=b"Host: evil.example\r\n"),
}
"""These can be read in one way only, and ask for what is not served here."""
BODIES: dict[str, Shape] = {
    "by its length": Shape(fields=LENGTH, after=SMUGGLED),
    "in chunks": Shape(fields=CHUNKED, after=b"%x\r\n%b\r\n%b" % (len(SMUGGLED), SMUGGLED, ENDED)),
    "in chunks, before a trailer": Shape(
        fields=CHUNKED, after=b"%x;a=b\r\n%b\r\n0\r\nContent-Length: 5\r\n\r\n" % (len(SMUGGLED), SMUGGLED)
    ),
    "after an expectation": Shape(fields=b"Expect: 100-continue\r\n" + LENGTH, after=SMUGGLED),
    "after one that is not met": Shape(fields=b"Expect: the-unexpected\r\n" + LENGTH, after=SMUGGLED),
    "after an upgrade": Shape(fields=b"Connection: Upgrade\r\nUpgrade: websocket\r\n" + LENGTH, after=SMUGGLED),
}
LINES = ("POST /send", "GET /poll?wait=0", "GET /stats", "HEAD /stats", "GET /no", "DELETE /send", "OPTIONS *")
LAST = b"GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n"


@pytest.fixture(scope="module")
def server() -> Iterator[Process]:
    with serving("--heartbeat", "0.5", "--body-timeout", "1", "--header-timeout", "2") as process:
        yield process


@pytest.fixture
def nothing_smuggled(server: Process) -> Iterator[None]:
    """Also says that the server is there, afterwards."""
    before = server.stats()["messages"]["published"]
    yield
    assert server.stats()["messages"]["published"] == before


def exchange(server: Process, data: bytes) -> bytes:
    """All that comes back, up to the end of the connection."""
    received = bytearray()
    with closing(connect(server)) as client:
        try:
            client.sendall(data)
            while piece := client.recv(2**16):
                received += piece
        except (ConnectionError, BrokenPipeError):
            pass
    return bytes(received)


def statuses_of(answer: bytes) -> list[int]:
    """The final ones: 100 is none."""
    return [int(status) for status in STATUS.findall(answer) if status != b"100"]


@pytest.mark.usefixtures("nothing_smuggled")
@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("shape", BROKEN.values(), ids=list(BROKEN))
def test_what_is_ambiguous_is_refused(server: Process, shape: Shape, path: str) -> None:
    answer = exchange(server, shape.request(path) + SMUGGLED)
    assert len(statuses_of(answer)) <= 1, answer
    assert all(400 <= status < 500 for status in statuses_of(answer)), answer


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("shape", FOREIGN.values(), ids=list(FOREIGN))
def test_who_asks_for_another_host_is_refused(server: Process, shape: Shape, path: str) -> None:
    request = replace(shape, fields=b"Content-Length: 0", after=b"").request(path)
    assert statuses_of(exchange(server, request + LAST))[:1] in ([400], [403])


def test_the_host_in_the_target_counts(server: Process) -> None:
    """RFC 9112, 3.2.2: whatever Host says beside it."""
    target = b"GET http://127.0.0.1/healthz HTTP/1.1\r\nHost: evil.example\r\nConnection: close\r\n\r\n"
    assert statuses_of(exchange(server, target)) == [200]


@pytest.mark.usefixtures("nothing_smuggled")
@pytest.mark.parametrize("line", LINES)
@pytest.mark.parametrize("shape", BODIES.values(), ids=list(BODIES))
def test_a_body_is_no_request(server: Process, shape: Shape, line: str) -> None:
    """Whether anybody wants it or not; what stands behind it is one, if the connection lives on."""
    request = replace(shape, line=line.encode() + b" HTTP/1.1\r\n").request("/no")
    statuses = statuses_of(exchange(server, request + LAST))
    assert 1 <= len(statuses) <= 2
    assert statuses[1:] in ([], [200])


@pytest.mark.usefixtures("nothing_smuggled")
@pytest.mark.parametrize("path", ["/ws", "/canary/ws"])
class TestUpgrades:
    @pytest.mark.parametrize("shape", [*BODIES.values()][:4], ids=[*BODIES][:4])
    def test_with_a_body_are_refused(self, server: Process, shape: Shape, path: str) -> None:
        self.check(server, replace(shape, fields=UPGRADE + b"\r\n" + shape.fields).request(path))

    @pytest.mark.parametrize(
        "shape",
        [
            Shape(fields=UPGRADE.replace(b"Version: 13", b"Version: 99")),
            Shape(fields=UPGRADE.replace(b"AAAA", b"A")),
            Shape(fields=UPGRADE.replace(b"websocket", b"h2c")),
            Shape(fields=UPGRADE + b"\r\nOrigin: https://evil.example"),
            Shape(fields=UPGRADE, host=b"Host: evil.example\r\n"),
            Shape(fields=UPGRADE, line=b"%b %b HTTP/1.0\r\n"),
        ],
        ids=["version", "key", "protocol", "origin", "host", "HTTP/1.0"],
    )
    def test_that_are_refused_end_the_connection(self, server: Process, shape: Shape, path: str) -> None:
        """A proxy that overlooks the status would let pass as frames what are requests here."""
        self.check(server, replace(shape, after=b"").request(path))

    def check(self, server: Process, request: bytes) -> None:
        answer = exchange(server, request + SMUGGLED)
        (status,) = statuses_of(answer)
        assert 400 <= status < 500, answer

    def test_that_are_taken_are_followed_by_frames_alone(self, server: Process, path: str) -> None:
        request = b"GET %b HTTP/1.1\r\nHost: 127.0.0.1\r\n%b\r\n\r\n" % (path.encode(), UPGRADE)
        answer = exchange(server, request + SMUGGLED)
        assert statuses_of(answer) == [101]
        assert b"\x88\x02\x03\xea" in answer  # 1002: these are no frames


def test_the_server_is_well_after_all_that(server: Process) -> None:
    answer = exchange(server, SMUGGLED + LAST)  # what was not to be taken for a request is one
    assert statuses_of(answer) == [200, 200]
    assert server.connections == {"ws": 0, "sse": 0, "poll": 0}
