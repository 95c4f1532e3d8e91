"""Server-Sent Events down, `POST /send` up."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Sequence

import aiohttp

from tricast.errors import ConnectFailed, ConnectionLost, ProtocolError
from tricast.session import Request
from tricast.transports.base import Answer, Link, Target, as_exception, network, refusal
from tricast.wire import sse
from tricast.wire.messages import Batch, Command, Error, Frame, Hello

# A proxy that compresses holds events back until its buffer is full.
HEADERS = {"Accept": "text/event-stream", "Accept-Encoding": "identity", "Cache-Control": "no-cache"}


class SSELink(Link):
    name = "sse"
    uplink = "http"

    def __init__(self, target: Target) -> None:
        super().__init__(target)
        self._response: aiohttp.ClientResponse | None = None

    async def open(self, request: Request) -> AsyncGenerator[Frame | Batch, None]:
        parser = sse.Parser()
        try:
            with network(ConnectFailed, "GET /sse"):
                async with asyncio.timeout(self.target.connect_timeout):
                    response = await self._connect(request)
                    frames: list[Frame] = []
                    while not frames:
                        frames = await self._read(response, parser)
            self._greeted(frames[0], parser)
            while True:
                for frame in frames:
                    if isinstance(frame, Error):
                        raise as_exception(frame)  # the stream ends with it
                    yield frame
                with network(ConnectionLost, "the event stream fell silent"):
                    async with asyncio.timeout(self.patience):
                        frames = await self._read(response, parser)
        finally:
            await self.close()

    async def close(self) -> None:
        if self._response is not None:
            self._response.close()
        await super().close()

    async def send(self, commands: Sequence[Command]) -> list[Answer]:
        return await self.post(commands)

    async def _connect(self, request: Request) -> aiohttp.ClientResponse:
        headers = {**HEADERS, **await self.target.authorization()}
        url = self.url("sse", request.query())
        response = self._response = await self.http.get(url, headers=headers, allow_redirects=False)
        if response.status != 200:
            raise refusal(response.status, response.headers, await response.read())
        if response.content_type != "text/event-stream":
            raise ConnectFailed(f"GET /sse: {response.content_type} is no event stream: not a tricast server?")
        return response

    async def _read(self, response: aiohttp.ClientResponse, parser: sse.Parser) -> list[Frame]:
        """What the next bytes complete; maybe nothing yet. Raises ConnectionLost at the end of the stream."""
        chunk = await response.content.readany()
        if not chunk:
            if self.reconnect_after is None and parser.retry is not None:
                self.reconnect_after = parser.retry / 1000
            raise ConnectionLost("the event stream ended")
        try:
            events = parser.feed(chunk)
        except ValueError as error:
            raise ProtocolError(str(error)) from error
        decode = self.target.codec.decode
        frames = [frame for event in events if (frame := decode(event.data)) is not None]
        for frame in frames:
            self.note(frame)
        return frames

    def _greeted(self, frame: Frame, parser: sse.Parser) -> None:
        """A refusal that passes comes as an event, since browsers never come back after another status."""
        if isinstance(frame, Error):
            raise as_exception(frame, None if parser.retry is None else parser.retry / 1000)
        if not isinstance(frame, Hello):
            raise ConnectFailed(f"GET /sse: the first event is no hello but a {frame.type}")
