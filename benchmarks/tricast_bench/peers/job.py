"""What the load is to do, as the lines that generator.c reads: words, with bytes in hexadecimal."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from tricast_bench.peers.peer import Capture, Publishing, Speech, Transport
from tricast_bench.servers import HOST

MARK = 31
"""Bytes at the beginning of each payload by which its deliveries are counted: generator.c says how they look."""
LETTERS = {
    "payload": "p",
    "size": "s",
    "connection": "c",
    "n": "n",
    "topic": "t",
    "topics": "a",
    "_key": "k",
    "_length": "l",
}
"""Variables that are always there. `topic` is the number of one, `topics` are the names of all: t0,t1 and so on."""
VARIABLE = re.compile(rb"\{([a-z_][a-z_0-9]*)\}")
UPGRADE = {
    "Connection": "Upgrade",
    "Upgrade": "websocket",
    "Sec-WebSocket-Version": "13",
    "Sec-WebSocket-Key": "{_key}",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """One server, the connections to it and what they say. `publish` is not for an echo, nor for idle ones."""

    port: int
    transport: Transport
    subscribe: Speech
    publish: Publishing | None
    connections: int
    payload: int
    opening: int = 50
    """Connections that are being opened at once."""
    topics: int = 1
    """Messages go round them. `{topic}` is the one of a connection, or of a message, `{topics}` names all."""
    per_connection: int = 1
    """Topics that a connection subscribes to: its own, so that a message has `connections / topics` readers, or all."""
    ordered: bool = False
    """Deliveries are counted by their order and not by marks, so messages may be compressed: generator.c says how."""

    def lines(self) -> Iterator[str]:
        """Raises ValueError for a variable that nothing captures, and for a payload without room for its mark.

        And for topics that would not all have as many readers.
        """
        if self.payload <= MARK:
            raise ValueError(f"a payload has more than {MARK} bytes")
        if self.topics < 1 or self.per_connection not in (1, self.topics):
            raise ValueError("a connection subscribes to one topic, or to all that there are")
        if self.per_connection != self.topics and self.connections % self.topics:
            raise ValueError("each topic has as many connections")
        yield f"port {self.port}"
        yield f"connections {self.connections}"
        yield f"opening {self.opening}"
        yield f"payload {self.payload}"
        yield f"topics {self.topics}"
        yield f"per_connection {self.per_connection}"
        yield f"ordered {int(self.ordered)}"
        yield f"subscriber {'ws' if self.transport == 'echo' else self.transport}"
        yield from self._speech(self.subscribe, self.transport)
        if self.transport == "echo":
            yield f"echo {template(self.subscribe.echo, captured(self.subscribe))}"
        elif self.publish is not None and self.publish.over is not None:
            yield "publisher ws"
            yield from self._speech(self.publish.over, "ws")
            yield f"message {template(self.publish.message, captured(self.publish.over))}"
            yield f"acknowledged {hexed(self.publish.answer)}"
        elif self.publish is not None and self.publish.post is not None:
            yield "publisher post"
            post = self.publish.post
            yield self._request(post.method, post.target, dict(post.headers), self.publish.message, ())
        yield "go"

    def _speech(self, speech: Speech, transport: Transport) -> Iterator[str]:
        names = captured(speech)
        for number, step in enumerate(speech.steps, 1):
            more = dict(step.headers)
            if number == len(speech.steps) and transport in ("ws", "echo"):
                more = UPGRADE | more
            elif number == len(speech.steps) and transport == "sse":
                more = {"Accept": "text/event-stream"} | more
            yield self._request(step.method, step.target, more, step.body, names)
            for capture in step.captures:
                words = names.index(capture.name), int(capture.last), hexed(capture.after), hexed(capture.until)
                yield "capture " + " ".join(map(str, words))
        for message in speech.first:
            yield f"first {template(message, names)}"
        yield f"ready {hexed(speech.ready)}"
        yield f"binary {int(speech.binary)}"
        for heard, answer in speech.answers:
            yield f"answer {hexed(heard)} {hexed(answer)}"

    def _request(self, method: str, target: str, headers: dict[str, str], body: bytes, names: tuple[str, ...]) -> str:
        if body or method == "POST":
            headers = headers | {"Content-Length": "{_length}"}
        head = [f"{method} {target} HTTP/1.1", f"Host: {HOST}:{self.port}"]
        head += [f"{name}: {value}" for name, value in headers.items()]
        text = "".join(f"{line}\r\n" for line in [*head, ""])
        return f"step {template(text.encode(), names)} {template(body, names)}"


def captured(speech: Speech) -> tuple[str, ...]:
    """The names of what the steps keep, each once; the number of a variable is its place here."""
    kept: list[Capture] = [capture for step in speech.steps for capture in step.captures]
    return tuple(dict.fromkeys(capture.name for capture in kept))


def hexed(data: bytes) -> str:
    return data.hex() or "-"


def template(text: bytes, names: tuple[str, ...]) -> str:
    """`text` with its variables, as one word. Raises ValueError for a variable that is not there."""
    parts = []
    for number, part in enumerate(VARIABLE.split(text)):
        if number % 2 == 0:
            parts += [f"h{part.hex()}"] if part else []
        elif (name := part.decode()) in LETTERS:
            parts.append(LETTERS[name])
        elif name in names:
            parts.append(f"v{names.index(name)}")
        else:
            raise ValueError(f"nothing captures {{{name}}}")
    return ".".join(parts) or "-"
