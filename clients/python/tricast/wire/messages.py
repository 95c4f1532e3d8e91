"""Frames (server to client) and commands (client to server) as plain typed values, in any format."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal, TypeAlias

JsonValue: TypeAlias = Any
"""Any I-JSON value (RFC 7493): what `json.loads` returns."""

TransportName: TypeAlias = Literal["ws", "sse", "poll"]
GapReason: TypeAlias = Literal["expired", "epoch", "slow"]

PROTOCOL = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Hello:
    type: ClassVar[str] = "hello"
    protocol: int = PROTOCOL
    transport: str
    client: str
    cursor: str
    heartbeat: float
    dedupe_window: float
    topics: tuple[str, ...]
    node: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """`data` is bytes where the publisher sent bytes. `ts` is the server's clock, seconds since 1970."""

    type: ClassVar[str] = "message"
    topic: str
    cursor: str
    id: str | None = None
    event: str | None = None
    data: JsonValue | bytes
    sender: str | None = None
    subject: str | None = None
    ts: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Gap:
    """Of `topics`, everything not received up to `cursor` is lost. Not `exact`: something may be."""

    type: ClassVar[str] = "gap"
    topics: tuple[str, ...]
    after: str | None = None
    cursor: str
    reason: str
    exact: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Heartbeat:
    type: ClassVar[str] = "heartbeat"
    cursor: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """`at` is where a publish was appended; `cursor` is this subscription's own (subscribe, unsubscribe).

    `data` is `NO_DATA` where the reply carries none: None is a value that JSON can carry.
    """

    type: ClassVar[str] = "reply"
    action: str
    ref: str | None = None
    at: str | None = None
    duplicate: bool | None = None
    cursor: str | None = None
    topics: tuple[str, ...] | None = None
    data: JsonValue | bytes = ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Error:
    type: ClassVar[str] = "error"
    code: str
    message: str
    ref: str | None = None
    retry_after: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Bye:
    """`reconnect_after` is in seconds, spread over the clients."""

    type: ClassVar[str] = "bye"
    reason: str
    reconnect_after: float


NO_DATA = ...

Frame: TypeAlias = Hello | Message | Gap | Heartbeat | Reply | Error | Bye
FRAMES: dict[str, type[Frame]] = {cls.type: cls for cls in (Hello, Message, Gap, Heartbeat, Reply, Error, Bye)}
"""By `type`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    """One answer to a long poll. `frames` holds messages and gaps in order."""

    cursor: str
    frames: tuple[Message | Gap, ...] = ()
    hello: Hello | None = None
    bye: Bye | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Publish:
    """`topic` None: the connection's first topic."""

    action: ClassVar[str] = "publish"
    data: JsonValue | bytes
    topic: str | None = None
    event: str | None = None
    id: str | None = None
    ref: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Echo:
    action: ClassVar[str] = "echo"
    data: JsonValue | bytes = ...
    reply_to: str | None = None
    ref: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Ping:
    """`delay` in seconds, 0 to 30."""

    action: ClassVar[str] = "ping"
    delay: float = 0.0
    ref: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Subscribe:
    action: ClassVar[str] = "subscribe"
    topics: tuple[str, ...]
    ref: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Unsubscribe:
    action: ClassVar[str] = "unsubscribe"
    topics: tuple[str, ...]
    ref: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Refresh:
    action: ClassVar[str] = "refresh"
    token: str = field(repr=False)
    ref: str | None = None


Command: TypeAlias = Publish | Echo | Ping | Subscribe | Unsubscribe | Refresh
