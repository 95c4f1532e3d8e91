"""The middlebox's HTTP: heads as they came, and bodies whose end is found whatever way they are cut."""

from __future__ import annotations

import pytest

from tricast_bench.middlebox.exchange import kind_of
from tricast_bench.middlebox.faults import Kind
from tricast_bench.middlebox.http import (
    MAX_HEAD,
    BadMessage,
    Body,
    Chunked,
    Request,
    Sized,
    UntilClose,
    answer,
    request_body,
    response_body,
    split_events,
    take_request,
    take_response,
)

UPGRADE = b"Host: h\r\nConnection: keep-alive, Upgrade\r\nUPGRADE: WebSocket\r\nSec-WebSocket-Key: k\r\n"


def request(first: str, lines: bytes = b"Host: h\r\n") -> Request:
    head = take_request(bytearray(first.encode() + b"\r\n" + lines + b"\r\n"))
    assert head is not None
    return head


def test_a_head_is_taken_when_it_is_there_and_sent_on_as_it_came() -> None:
    raw = b"GET /sse?x=1 HTTP/1.1\r\nHost:h\r\nX-Odd:  \xe9 \r\n\r\n"
    buffer = bytearray()
    for byte in (b"\r\n" + raw)[:-1]:
        buffer.append(byte)
        assert take_request(buffer) is None
    buffer += raw[-1:] + b"rest"
    head = take_request(buffer)
    assert head is not None
    assert (head.method, head.target, head.name) == ("GET", "/sse?x=1", "sse")
    assert head.encode() == raw
    assert buffer == b"rest"


@pytest.mark.parametrize(
    "raw",
    [
        b"GET /\r\n\r\n",
        b"GET / HTTP/2.0\r\n\r\n",
        b"GET /a b HTTP/1.1\r\n\r\n",
        b"\x16\x03\x01 / HTTP/1.1\r\n\r\n",
        b"GET / HTTP/1.1\r\nno colon\r\n\r\n",
        b"GET / HTTP/1.1\r\nA: b\r\n folded: line\r\n\r\n",
        b"GET / HTTP/1.1\r\n: b\r\n\r\n",
        b"x" * MAX_HEAD,
    ],
)
def test_what_is_no_request(raw: bytes) -> None:
    with pytest.raises(BadMessage):
        take_request(bytearray(raw))


@pytest.mark.parametrize(
    "raw", [b"HTTP/1.1\r\n\r\n", b"HTTP/1.1 2x0 OK\r\n\r\n", b"HTTP/2 200\r\n\r\n", b"200 OK\r\n\r\n"]
)
def test_what_is_no_response(raw: bytes) -> None:
    with pytest.raises(BadMessage):
        take_response(bytearray(raw))


@pytest.mark.parametrize(
    ("first", "lines", "kind"),
    [
        ("GET /ws HTTP/1.1", UPGRADE, "ws"),
        ("GET /elsewhere HTTP/1.1", UPGRADE, "ws"),
        ("GET /rt/canary/ws?n=5 HTTP/1.1", b"", "ws"),
        ("GET /canary/sse HTTP/1.1", b"", "sse"),
        ("GET http://h/poll?n=1 HTTP/1.1", b"", "poll"),
        ("POST /send HTTP/1.1", b"", "send"),
        ("OPTIONS /send HTTP/1.1", b"", "send"),
        ("POST /topics/ws HTTP/1.1", b"", "send"),
        ("GET /assets HTTP/1.1", b"", "other"),
        ("GET /?/sse HTTP/1.1", b"", "other"),
    ],
)
def test_kinds(first: str, lines: bytes, kind: Kind) -> None:
    assert kind_of(request(first, lines)) == kind


def test_without_upgrade_the_rest_is_as_before() -> None:
    stripped = request("GET /ws HTTP/1.1", UPGRADE).without_upgrade()
    assert not stripped.upgrades
    assert stripped.encode() == (
        b"GET /ws HTTP/1.1\r\nHost: h\r\nSec-WebSocket-Key: k\r\nConnection: keep-alive\r\n\r\n"
    )
    bare = request("GET /ws HTTP/1.1", b"Connection: Upgrade\r\nUpgrade: websocket\r\n").without_upgrade()
    assert bare.lines == ()


CHUNKS = b"5;ext=1\r\nhello\r\n0A\r\n, \r\nworld!\r\n0\r\nTrailer: t\r\n\r\n"
SENT_ON = b"0\r\nTrailer: t\r\n\r\n"


@pytest.mark.parametrize("step", [1, 2, 3, 7, 100])
@pytest.mark.parametrize(
    ("body", "raw", "payload", "end"),
    [
        (Chunked, CHUNKS, b"hello, \r\nworld!", SENT_ON),
        (Chunked, b"0\r\n\r\n", b"", b"0\r\n\r\n"),
        (lambda: Sized(5), b"hello", b"hello", b""),
    ],
)
def test_bodies_end_where_they_end(body: type[Body], raw: bytes, payload: bytes, end: bytes, step: int) -> None:
    stream, buffer, got, taker = raw + b"NEXT", bytearray(), b"", body()
    for start in range(0, len(stream), step):
        buffer += stream[start : start + step]
        while piece := taker.take(buffer):
            got += piece
    assert taker.done
    assert (got, taker.end()) == (payload, end)
    assert buffer == b"NEXT"


def test_a_chunk_is_wrapped_as_one() -> None:
    assert Chunked().wrap(b"x" * 26) == b"1a\r\n" + b"x" * 26 + b"\r\n"


@pytest.mark.parametrize("raw", [b"\r\n", b"-1\r\n", b"0x5\r\n", b"5\r\nhelloX\r\n", b"f" * 16 + b"\r\n", b"1" * 5000])
def test_what_is_no_chunk(raw: bytes) -> None:
    buffer, body = bytearray(raw), Chunked()
    with pytest.raises(BadMessage):
        while body.take(buffer):
            pass


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        (b"", Sized),
        (b"Content-Length: 3\r\n", Sized),
        (b"Content-Length: 3\r\nContent-Length: 3\r\n", Sized),
        (b"Transfer-Encoding: gzip, Chunked\r\n", Chunked),
        (b"Content-Length: 3\r\nContent-Length: 4\r\n", None),
        (b"Content-Length: +3\r\n", None),
        (b"Content-Length: 3\r\nTransfer-Encoding: chunked\r\n", None),
        (b"Transfer-Encoding: gzip\r\n", None),
    ],
)
def test_the_length_of_a_request(lines: bytes, expected: type | None) -> None:
    head = request("POST /send HTTP/1.1", lines)
    if expected is None:
        with pytest.raises(BadMessage):
            request_body(head)
    else:
        assert type(request_body(head)) is expected


@pytest.mark.parametrize(
    ("status", "lines", "method", "expected", "done"),
    [
        (200, b"Content-Length: 3\r\n", "GET", Sized, False),
        (200, b"Content-Length: 3\r\n", "HEAD", Sized, True),
        (204, b"", "GET", Sized, True),
        (304, b"Content-Length: 3\r\n", "GET", Sized, True),
        (200, b"Transfer-Encoding: chunked\r\n", "GET", Chunked, False),
        (200, b"Transfer-Encoding: gzip\r\n", "GET", UntilClose, False),
        (200, b"", "GET", UntilClose, False),
    ],
)
def test_the_length_of_a_response(status: int, lines: bytes, method: str, expected: type, done: bool) -> None:
    head = take_response(bytearray(b"HTTP/1.1 %d\r\n%b\r\n" % (status, lines)))
    assert head is not None
    body = response_body(head, method)
    assert (type(body), body.done) == (expected, done)


@pytest.mark.parametrize(
    ("piece", "events"),
    [
        (b"", []),
        (b"data: 1\n\ndata: 2\n\n", [b"data: 1\n\n", b"data: 2\n\n"]),
        (b"data: 1\r\n\r\ndata: 2", [b"data: 1\r\n\r\n", b"data: 2"]),
        (b"data: 1\r\rdata: 2\r\r", [b"data: 1\r\r", b"data: 2\r\r"]),
        (b"data: 1\r\ndata: 2\r\n\r\n", [b"data: 1\r\ndata: 2\r\n\r\n"]),
    ],
)
def test_events(piece: bytes, events: list[bytes]) -> None:
    assert list(split_events(piece)) == events


@pytest.mark.parametrize("status", [200, 204, 403, 405, 407, 499, 502])
def test_its_own_answers_are_whole(status: int) -> None:
    buffer = bytearray(answer(status))
    head = take_response(buffer)
    assert head is not None
    assert (head.status, head.tokens("connection")) == (status, ["close"])
    body = response_body(head, "GET")
    body.take(buffer)
    assert body.done
    assert not buffer
