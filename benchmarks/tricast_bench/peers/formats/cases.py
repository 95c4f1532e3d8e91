"""What is measured: each format, plain and compressed, with texts and bytes of several sizes, to several readers."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import partial
from typing import Literal

from tricast.wire import json, protobuf
from tricast.wire.formats import FormatName
from tricast.wire.messages import JsonValue, Publish
from tricast_bench.contents import binary, record
from tricast_bench.peers import tricast
from tricast_bench.peers.job import Job
from tricast_bench.peers.peer import Capture, Peer, Publishing, Speech, Step, Transport
from tricast_bench.servers import program

Carried = Literal["text", "binary"]
CARRIED: tuple[Carried, ...] = ("text", "binary")
SIZES = (128, 1024, 16384)
HEARTBEAT = "60"
"""Seconds: longer than a sample, as the load would take a heartbeat for a message."""
FORMAT = {"json": "", "protobuf": "&format=protobuf"}
GREETED = {"json": tricast.HELLO, "protobuf": b"\x12\x02ws"}
"""In the publisher's hello: field 2 is the transport."""
CONFIRMED = {"json": tricast.PUBLISH.answer, "protobuf": b"\x0a\x07publish"}
"""In a reply: field 1 is the action."""
CURSOR = Capture(name="cursor", after=b"Tricast-Cursor: ", until=b"\r\n")
"""A header of every answer to a poll, so that its body need not be read."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Readers:
    """`rate` messages a second, or `window` in flight at a time."""

    name: str
    title: str
    transport: Transport
    count: int
    rate: float = 0.0
    window: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Variant:
    """How messages go over the wire."""

    format: FormatName
    compress: bool

    @property
    def name(self) -> str:
        return f"{self.format}, {'compressed' if self.compress else 'plain'}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    readers: Readers
    content: Carried
    size: int

    def variants(self) -> list[Variant]:
        """SSE is never compressed."""
        return [one for one in VARIANTS if not (one.compress and self.readers.transport == "sse")]


READERS = (
    Readers(name="ws", title="WebSocket, 100 readers", transport="ws", count=100, rate=40),
    Readers(name="one", title="WebSocket, 1 reader", transport="ws", count=1, window=8),
    Readers(name="sse", title="SSE, 100 readers", transport="sse", count=100, rate=40),
    Readers(name="poll", title="long poll, 50 readers", transport="poll", count=50, rate=10),
)
VARIANTS = tuple(Variant(format=name, compress=compress) for name in ("json", "protobuf") for compress in (False, True))


def cases() -> Iterator[Case]:
    for readers in READERS:
        for content in CARRIED:
            for size in SIZES:
                yield Case(readers=readers, content=content, size=size)


def server(*, compress: bool) -> Peer:
    """With or without --compress, and else as it comes."""
    return replace(
        tricast.PEERS[0],
        name="tricast, compressing" if compress else "tricast",
        command=partial(_command, compress),
    )


def _command(compress: bool, port: int) -> list[str]:
    options = ["--compress"] if compress else []
    return [program("tricast"), "serve", "--port", str(port), "--heartbeat", HEARTBEAT, *options]


def job_of(case: Case, variant: Variant, port: int) -> Job:
    """Both publisher and readers speak the format. What goes up is not compressed."""
    readers = case.readers
    return Job(
        port=port,
        transport=readers.transport,
        subscribe=_subscribe(readers.transport, variant),
        publish=_publish(case, variant.format),
        connections=readers.count,
        payload=max(SIZES),
        ordered=True,
    )


def data_of(content: Carried, size: int) -> JsonValue | bytes:
    """What a message carries, of `size` bytes: as JSON, or as they are."""
    return record(size).sized(size) if content == "text" else binary(size)


def _subscribe(transport: Transport, variant: Variant) -> Speech:
    asked = f"/{transport}?topics={tricast.TOPIC}{FORMAT[variant.format]}"
    if transport == "poll":
        headers = {"Accept-Encoding": "gzip"} if variant.compress else {}
        poll = f"{asked}&limit=1&n={{connection}}-{{n}}"  # an answer is a message, also where one is late
        first = Step(target=poll, headers=headers, captures=(CURSOR,))
        return Speech(steps=(first, replace(first, target=f"{poll}&cursor={{cursor}}")))
    offered = transport == "ws" and variant.compress
    return Speech(
        steps=(Step(target=asked, headers={"Sec-WebSocket-Extensions": "permessage-deflate"} if offered else {}),)
    )


def _publish(case: Case, format: FormatName) -> Publishing:
    command = Publish(topic=tricast.TOPIC, data=data_of(case.content, case.size))
    message = protobuf.encode(command) if format == "protobuf" else json.encode(command).encode()
    target = f"/ws?topics={tricast.NOBODY}{FORMAT[format]}"
    over = Speech(steps=(Step(target=target),), ready=GREETED[format], binary=format == "protobuf")
    return Publishing(over=over, message=message, answer=CONFIRMED[format])
