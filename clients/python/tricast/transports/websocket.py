"""WebSocket: frames and commands on one connection."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
from collections.abc import AsyncGenerator, Sequence
from dataclasses import replace

import aiohttp

from tricast.errors import (
    BadRequest,
    CommandError,
    ConnectFailed,
    ConnectionLost,
    Forbidden,
    TransportError,
    Unauthorized,
)
from tricast.session import Request
from tricast.transports.base import Answer, Link, Target, as_exception, network, refusal
from tricast.wire import json
from tricast.wire.messages import Batch, Command, Error, Frame, Hello, Reply

MESSAGE_MAX = 4 * 2**20
WINDOW_BITS = 15
"""Of what is offered for compression; the most there is (RFC 7692, 7.1.2)."""
CLOSE_TIMEOUT = 0.5
"""Seconds for the peer's half of the closing handshake; the next link need not wait for it."""

TEXT = (aiohttp.WSMsgType.TEXT,)
TEXT_AND_BINARY = (aiohttp.WSMsgType.TEXT, aiohttp.WSMsgType.BINARY)

EXPIRED = 4001
REFUSALS: dict[int, type[CommandError]] = {4400: BadRequest, 4401: Unauthorized, 4403: Forbidden}


class WebSocketLink(Link):
    name = "ws"
    uplink = "stream"

    def __init__(self, target: Target) -> None:
        super().__init__(target)
        self._ws: aiohttp.ClientWebSocketResponse | None = None
        # In turn: aiohttp compresses what is large in a task of its own, where what is small would overtake it.
        self._turn = asyncio.Lock()
        self._refs = itertools.count(1)
        self._waiting: dict[str, asyncio.Future[Answer | TransportError]] = {}
        self._complaint: Error | None = None

    async def open(self, request: Request) -> AsyncGenerator[Frame | Batch, None]:
        try:
            with network(ConnectFailed, "GET /ws"):
                async with asyncio.timeout(self.target.connect_timeout):
                    self._ws = ws = await self._connect(request)
                    frame = await self._next(ws)
            if not isinstance(frame, Hello):
                raise ConnectFailed(f"GET /ws: the first frame is no hello but a {frame.type}")
            while True:
                yield frame
                with network(ConnectionLost, "the WebSocket fell silent"):
                    async with asyncio.timeout(self.patience):
                        frame = await self._next(ws)
        finally:
            await self._hang_up()

    async def send(self, commands: Sequence[Command]) -> list[Answer]:
        ws = self._ws
        if ws is None or ws.closed:
            raise ConnectFailed("the WebSocket is not open")
        refs = [str(next(self._refs)) for _ in commands]
        payloads = [
            self.target.codec.encode(replace(command, ref=ref)) for command, ref in zip(commands, refs, strict=True)
        ]
        loop = asyncio.get_running_loop()
        futures = [self._waiting.setdefault(ref, loop.create_future()) for ref in refs]
        try:
            with network(ConnectionLost, "sending on the WebSocket"):
                async with asyncio.timeout(self.target.send_timeout):
                    async with self._turn:
                        for payload in payloads:
                            await (ws.send_str(payload) if isinstance(payload, str) else ws.send_bytes(payload))
                    answers = [await future for future in futures]
        finally:
            for ref in refs:
                del self._waiting[ref]
        return [_answered(answer) for answer in answers]

    def release(self) -> None:
        for future in self._waiting.values():
            if not future.done():
                future.set_result(ConnectionLost("the WebSocket brings no more answers"))

    async def _connect(self, request: Request) -> aiohttp.ClientWebSocketResponse:
        headers = await self.target.authorization()
        try:
            return await self.http.ws_connect(
                self.url("ws", request.query()),
                headers=headers,
                compress=WINDOW_BITS if self.target.compress else 0,
                max_msg_size=MESSAGE_MAX,
                timeout=aiohttp.ClientWSTimeout(ws_close=CLOSE_TIMEOUT),
            )
        except aiohttp.WSServerHandshakeError as error:
            # The body is out of reach, and what refuses an upgrade is more often a proxy than the server.
            cause = refusal(error.status, error.headers or {}, b"")
            raise cause from error

    async def _next(self, ws: aiohttp.ClientWebSocketResponse) -> Frame:
        """The next frame for the session. Raises what the end of the connection means."""
        kinds = TEXT if self.target.codec is json else TEXT_AND_BINARY
        while True:
            message = await ws.receive()
            if message.type in kinds:
                frame = self.target.codec.decode(message.data)
                if frame is not None and self._take(frame):
                    return frame
            elif message.type not in TEXT_AND_BINARY:
                raise self._ended(ws)

    def _take(self, frame: Frame) -> bool:
        """Whether the frame goes on to the session. Answers reach who waits for them here."""
        self.note(frame)
        if isinstance(frame, Reply):
            self._answer(frame.ref, frame)
        elif isinstance(frame, Error):
            if frame.ref is None:
                self._complaint = frame
            self._answer(frame.ref, as_exception(frame))
            return False
        return True

    def _answer(self, ref: str | None, answer: Answer) -> None:
        future = self._waiting.get(ref or "")
        if future is not None and not future.done():
            future.set_result(answer)

    def _ended(self, ws: aiohttp.ClientWebSocketResponse) -> CommandError | ConnectionLost:
        code, complaint = ws.close_code or 1006, self._complaint
        if 4400 <= code < 4500:
            if complaint is not None:
                return as_exception(complaint)
            return REFUSALS.get(code, CommandError)(f"the server refused with close code {code}")
        if code == EXPIRED:
            return Unauthorized(complaint.message if complaint is not None else "the token has expired")
        why = f": {complaint.code}: {complaint.message}" if complaint else ""
        return ConnectionLost(f"the WebSocket was closed, code {code}{why}")

    async def _hang_up(self) -> None:
        self.release()
        if self._ws is not None:
            with contextlib.suppress(aiohttp.ClientError, OSError):
                await self._ws.close()
        await self.close()


def _answered(answer: Answer | TransportError) -> Answer:
    if isinstance(answer, TransportError):
        raise answer
    return answer
