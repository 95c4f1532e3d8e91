"""What a server that is measured beside tricast has to say about itself: how to start it, and how to speak to it.

The load is one C program that knows HTTP/1.1, RFC 6455 and server-sent events, and no server's own protocol: that is
said here, in bytes. In all of them `{name}` stands for a variable: those that a `Step` has captured on this connection,
and `{payload}` for what a message carries. Always there are `{size}`, the bytes of a payload, `{connection}`, the
number of this connection in the load, and `{n}`, which is another number for each request and message of it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Literal

Transport = Literal["ws", "sse", "poll", "echo"]
"""`echo`: over WebSocket, each connection gets back what it sends."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Capture:
    """What lies between `after` and the next `until`, in the head or the body of an answer, is kept as `name`.

    `last` takes the last `after` of the answer instead of the first. Where nothing is found, the value stays.
    """

    name: str
    after: bytes
    until: bytes
    last: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One HTTP request, and what to keep of its answer. The load adds `Host`; `body` gives `Content-Length`."""

    method: str = "GET"
    target: str
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""
    captures: tuple[Capture, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Speech:
    """How one connection subscribes and stays.

    `steps` are requests taken one after the other. The last opens the WebSocket or the stream; for a poll it is
    repeated for ever. `first` are WebSocket messages sent once it is open, `ready` is what the server says when
    messages will come (empty: the opening is enough). `answers` are heartbeats inside the protocol: to a WebSocket
    message that begins with the one goes the other. RFC 6455 pings are answered without being said here.
    `echo` is what is sent to get `{payload}` back.
    """

    steps: tuple[Step, ...]
    first: tuple[bytes, ...] = ()
    ready: bytes = b""
    answers: tuple[tuple[bytes, bytes], ...] = ()
    binary: bool = False
    echo: bytes = b""


@dataclass(frozen=True, slots=True, kw_only=True)
class Publishing:
    """How messages get in: over one WebSocket as `message`, or with `post`, whose body is `message`, on one connection.

    `answer` is what the server says to each, once, if it does.
    """

    over: Speech | None = None
    post: Step | None = None
    message: bytes = b"{payload}"
    answer: bytes = b""


@dataclass(frozen=True, slots=True, kw_only=True)
class Peer:
    """A server to measure.

    `command` gives the command line for a port, `needs` why it cannot be run here, None where it can. `version` asks
    the installed one. `said` is what a reader of the table has to know: settings that are not the default, and why.
    """

    name: str
    command: Callable[[int], list[str]]
    needs: Callable[[], str | None]
    version: Callable[[], str]
    subscribe: Mapping[Transport, Speech]
    publish: Publishing
    said: str = ""
