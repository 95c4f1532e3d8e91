"""Server-Sent Events down, `POST /send` up on a connection of its own that is kept."""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar

import gevent

from tricast.session import Request
from tricast.wire.messages import Batch, Frame, TransportName
from tricast.wire.sse import Parser
from tricast_bench.users.base import Link, decode
from tricast_bench.users.http import Connection, Ended
from tricast_bench.users.tcp import Target, Wire

SILENCE = 60.0
POST_TIMEOUT = 30.0


class HTTPLink(Link):
    """What SSE and long poll have in common: the way up."""

    def __init__(self, target: Target, client: str, receive_buffer: int | None = None) -> None:
        super().__init__(target, client, receive_buffer)
        self.down = Connection(target, receive_buffer)
        self.up = Connection(target)

    def send(self, commands: list[str]) -> None:
        body = commands[0] if len(commands) == 1 else f"[{','.join(commands)}]"
        self.up.request("POST", f"/send?client={self.client}", body.encode(), POST_TIMEOUT)

    def counted(self) -> Wire:
        return self.down.counted() + self.up.counted()

    def close(self) -> None:
        self.down.close()
        self.up.close()


class SSELink(HTTPLink):
    name: ClassVar[TransportName] = "sse"

    def frames(self, request: Request) -> Iterator[Frame | Batch]:
        parser = Parser()
        for piece in self.down.stream(self.path("sse", request), SILENCE):
            self.at = self.down.at
            for event in parser.feed(piece):
                if (frame := decode(event.data)) is not None:
                    yield frame
            if self.pause:
                gevent.sleep(self.pause)
        raise Ended("the stream ended")
