"""Made-up queries, frames and tokens: each gets its answer, and the server is there after it."""

from __future__ import annotations

import base64
import json
import re
import socket
import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from urllib.parse import quote_from_bytes

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from tests.helpers import Process, serving
from tests.helpers_raw import connect, request_head, upgrade_head
from tests.helpers_tokens import SECRET, pair, token

EXAMPLES = 200
SOME = settings(
    max_examples=EXAMPLES, deadline=None, database=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
STATUS = re.compile(rb"HTTP/1\.1 (\d{3}) ")
TEXT, CLOSE, PING, PONG = 1, 8, 9, 10
CLOSE_CODES = {1000, 1002, 1007, 1009}
MESSAGE_MAX = 4096


@pytest.fixture(scope="module")
def server() -> Iterator[Process]:
    with serving("--heartbeat", "0.5", "--max-message", str(MESSAGE_MAX)) as process:
        yield process


# Queries

NAMES = [
    "v",
    "topics",
    "last",
    "format",
    "client",
    "echo",
    "wait",
    "limit",
    "cursor",
    "token",
    "why",
    "event",
    "id",
    "n",
]
VALUES = [
    "1",
    "0",
    "-1",
    "nan",
    "inf",
    "1e9",
    "1_0",
    "٣",
    "json",
    "text",
    "earliest",
    "a,b",
    ",",
    "a-1",
    "a..b",
    "x" * 3000,
]
queries = st.lists(
    st.tuples(
        st.sampled_from(NAMES).map(str.encode) | st.binary(max_size=5),
        st.sampled_from(VALUES).map(str.encode) | st.binary(max_size=12),
    ),
    max_size=5,
)
separators = st.sampled_from(["&", "&", "&", ";", "&&", "?", "%26"])


@SOME
@given(
    st.sampled_from(["/poll", "/sse", "/ws", "/send", "/topics/a", "/canary/poll", "/canary/sse"]), queries, separators
)
@example("/poll", [(b"limit", b"9" * 5000)], "&")
@example("/sse", [(b"cursor", b"a-\xd9\xa3")], "&")
def test_a_query_is_answered(server: Process, path: str, query: list[tuple[bytes, bytes]], between: str) -> None:
    """`wait` is not long, as the first one of a name counts."""
    pairs = ["wait=0", "interval=0", "n=1", *(f"{quote_from_bytes(n)}={quote_from_bytes(v)}" for n, v in query)]
    target = f"{path}?{between.join(pairs)}"
    head = upgrade_head(server, target) if path == "/ws" else request_head(server, target)
    if path in ("/send", "/topics/a"):
        head = head.replace(b"GET", b"POST", 1)[:-2] + b"Content-Length: 0\r\n\r\n"
    with closing(connect(server)) as client:
        client.sendall(head)
        match = STATUS.match(client.recv(2**16))
    assert match is not None
    assert int(match[1]) in (101, 200, 400, 403)


# Frames


@dataclass(frozen=True, kw_only=True)
class Made:
    """A client's frame as it may not be."""

    first: int
    masked: bool
    payload: bytes
    lie: int
    mask: bytes

    def __bytes__(self) -> bytes:
        size = max(0, len(self.payload) + self.lie)
        bit = 0x80 if self.masked else 0
        head = (
            bytes([self.first, bit | size]) if size < 126 else bytes([self.first, bit | 126]) + size.to_bytes(2, "big")
        )
        if not self.masked:
            return head + self.payload
        return head + self.mask + bytes(byte ^ self.mask[at % 4] for at, byte in enumerate(self.payload))


COMMANDS = [
    b'{"action":"publish","topic":"a","data":1}',
    b'{"action":"echo","data":"\\ud800"}',
    b'{"action":"subscribe","topics":["b"]}',
    b'{"action":"unsubscribe","topics":["lobby"]}',
    b'{"action":"ping","delay":0.01}',
    b'{"action":"refresh","token":"a"}',
    b'{"event":"chat-message","payload":{}}',
    b"[" * 5000,
    b'"' + b"x" * 40_000 + b'"',
    b"\xff\xfe",
    b"\x03\xe8",
    b"\x03\xee",
]
usual = st.sampled_from([0x81, 0x81, 0x81, 0x82, 0x89, 0x8A, 0x88, 0x01, 0x00, 0x80])
frames = st.builds(
    Made,
    first=usual | st.integers(0, 255),
    masked=st.sampled_from([True] * 5 + [False]),
    payload=st.sampled_from(COMMANDS) | st.binary(max_size=20),
    lie=st.sampled_from([0] * 6 + [1, -1, 200]),
    mask=st.binary(min_size=4, max_size=4),
).map(bytes)


@SOME
@given(st.lists(frames | st.binary(max_size=20), max_size=6), st.integers(1, 100))
@example([b"\x81\xff" + b"\xff" * 8], 100)
@example([b"\x81\xff" + b"\x7f" + b"\xff" * 7 + b"abcd"], 3)
def test_frames_are_answered_and_the_connection_ends(server: Process, sent: list[bytes], cut: int) -> None:
    """With a close of the right code, or because the client has gone."""
    data = b"".join(sent)
    with closing(connect(server)) as client:
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        client.sendall(upgrade_head(server, "/ws"))
        received = bytearray()
        while b"\r\n\r\n" not in received:
            received += client.recv(2**16)
        try:
            at = len(data) * cut // 100
            client.sendall(data[:at])
            client.sendall(data[at:])
            client.shutdown(socket.SHUT_WR)
            while piece := client.recv(2**16):
                received += piece
        except TimeoutError:
            raise
        except OSError:
            received = received[: received.index(b"\r\n\r\n") + 4]  # a reset takes with it what was not read
    check_frames(bytes(received).partition(b"\r\n\r\n")[2])


def check_frames(data: bytes) -> None:
    """All are whole and of their kind, and nothing comes after a close."""
    at, closed = 0, False
    while at < len(data):
        assert not closed
        opcode, size = data[at] & 15, data[at + 1]
        assert data[at] == 0x80 | opcode
        assert size < 128  # a server does not mask
        at += 2
        if size >= 126:
            width = 2 if size == 126 else 8
            size, at = int.from_bytes(data[at : at + width], "big"), at + width
        payload, at = data[at : at + size], at + size
        assert len(payload) == size
        if opcode == TEXT:
            assert json.loads(payload)["type"] in ("hello", "message", "reply", "error", "heartbeat", "gap")
        elif opcode == CLOSE:
            closed = True
            assert not payload or int.from_bytes(payload[:2], "big") in CLOSE_CODES or is_echo(payload)
        else:
            assert opcode in (PING, PONG)


def is_echo(payload: bytes) -> bool:
    """A close is answered with its own code, which the client may choose (RFC 6455, 7.4.2)."""
    return 3000 <= int.from_bytes(payload[:2], "big") < 5000


def test_who_sent_them_is_gone(server: Process) -> None:
    deadline = time.monotonic() + 15
    while server.connections != {"ws": 0, "sse": 0, "poll": 0}:
        assert time.monotonic() < deadline
        time.sleep(0.1)


# Tokens

KEY = pair("ES256", "k1")
GOOD = (token(life=3600), KEY.token(life=3600))
HEAD = {"alg": "none", "typ": "JWT"}


def b64(value: object) -> str:
    data = value if isinstance(value, bytes) else json.dumps(value).encode()
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


@st.composite
def spoilt(draw: st.DrawFn) -> str:
    """A good token with some characters replaced, cut out or put in, or with a part that is made up."""
    good = draw(st.sampled_from(GOOD))
    if draw(st.booleans()):
        parts = good.split(".")
        made = st.binary(max_size=9).map(b64) | st.sampled_from([b64(HEAD), b64({"sub": "eve"}), "", "e30", "bnVsbA"])
        parts[draw(st.integers(0, 2))] = draw(made)
        return ".".join(parts)
    text = list(good)
    for _ in range(draw(st.integers(1, 3))):
        at = draw(st.integers(0, len(text)))
        text[at : at + draw(st.integers(0, 4))] = draw(st.text("aB0_-.=~!", max_size=4))
    return "".join(text)


def means(spelled: str) -> tuple[str, bytes]:
    """What is signed, and the signature: base64 is read without what is none of its characters."""
    signed, _, signature = spelled.rpartition(".")
    kept = re.sub(r"[^A-Za-z0-9_-]", "", signature)
    return signed, base64.urlsafe_b64decode(kept[: len(kept) - (len(kept) % 4 == 1)] + "==")


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Process]:
    keys = tmp_path_factory.mktemp("keys") / "keys.json"
    keys.write_text(json.dumps({"keys": [KEY.jwk]}))
    with serving("--token-keys", str(keys), env={"TRICAST_TOKEN_SECRET": SECRET}) as process:
        yield process


@SOME
@given(spoilt())
def test_a_token_that_was_changed_is_refused(guarded: Process, changed: str) -> None:
    head = request_head(guarded, "/poll?wait=0", f"Authorization: Bearer {changed}", "Connection: close")
    with closing(connect(guarded)) as client:
        client.sendall(head)
        match = STATUS.match(client.recv(2**16))
    assert match is not None
    assert match[1] == b"401" or means(changed) in map(means, GOOD)
