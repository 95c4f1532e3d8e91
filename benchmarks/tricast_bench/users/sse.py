"""Server-Sent Events down, `POST /send` up on a connection of its own that is kept."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import ClassVar

import gevent

from tricast.session import Request
from tricast.wire.messages import Batch, Command, Frame, TransportName
from tricast.wire.sse import Parser
from tricast_bench.users.base import PLAIN, Link, Tongue
from tricast_bench.users.http import Connection, Ended
from tricast_bench.users.tcp import Target, Wire

SILENCE = 60.0
POST_TIMEOUT = 30.0


class HTTPLink(Link):
    """What SSE and long poll have in common: the way up."""

    def __init__(self, target: Target, client: str, receive_buffer: int | None = None, tongue: Tongue = PLAIN) -> None:
        super().__init__(target, client, receive_buffer, tongue)
        self.down = Connection(target, receive_buffer)
        self.up = Connection(target)

    def send(self, commands: Sequence[Command]) -> None:
        codec = self.tongue.codec
        headers = f"Content-Type: {codec.CONTENT_TYPE}\r\n"
        body = codec.encode_commands(commands)
        self.up.request("POST", f"/send?client={self.client}", body, POST_TIMEOUT, headers)

    def counted(self) -> Wire:
        return self.down.counted() + self.up.counted()

    def close(self) -> None:
        self.down.close()
        self.up.close()


class SSELink(HTTPLink):
    name: ClassVar[TransportName] = "sse"

    def frames(self, request: Request) -> Iterator[Frame | Batch]:
        parser, decode = Parser(), self.tongue.decoder.frame
        for piece in self.down.stream(self.path("sse", request), SILENCE):
            self.at = self.down.at
            for event in parser.feed(piece):
                if (frame := decode(event.data)) is not None:
                    yield frame
            if self.pause:
                gevent.sleep(self.pause)
        raise Ended("the stream ended")
