"""Echoes through the bus into the client's own inbox."""

from __future__ import annotations

import asyncio
import base64
import secrets
from collections.abc import Awaitable, Callable

from tricast.errors import BusClosed, CommandError
from tricast.transports.base import Answer
from tricast.wire import json
from tricast.wire.messages import Echo, JsonValue, Message

ECHO_EVENT = "echo"


class Echoes:
    """Those of one client share an inbox; a nonce tells them apart. For one event loop."""

    def __init__(self, inbox: str) -> None:
        self._inbox = inbox
        self._echoes: dict[str, asyncio.Future[JsonValue | bytes | BusClosed]] = {}

    async def send(self, send: Callable[[Echo], Awaitable[Answer]], data: JsonValue | bytes) -> JsonValue | bytes:
        """`data`, once it is back. Raises the CommandError with which the server answered, what `send` raises, and
        BusClosed. Cancelling is safe.
        """
        nonce = secrets.token_hex(8)
        future = self._echoes[nonce] = asyncio.get_running_loop().create_future()
        try:
            answer = await send(Echo(data=_enveloped(nonce, data), reply_to=self._inbox))
            if isinstance(answer, CommandError):
                raise answer
            echo = await future
        finally:
            del self._echoes[nonce]
        if isinstance(echo, BusClosed):
            raise echo
        return echo

    def take(self, message: Message) -> None:
        """A message of the inbox has come."""
        if message.event == ECHO_EVENT and isinstance(message.data, dict):
            future = self._echoes.get(str(message.data.get("echo")))
            if future is not None and not future.done():
                future.set_result(_opened(message.data))

    def end(self, error: BusClosed) -> None:
        """None will come any more."""
        for future in self._echoes.values():
            if not future.done():
                future.set_result(error)


def _enveloped(nonce: str, data: JsonValue | bytes) -> dict[str, JsonValue]:
    """Bytes within JSON, in every format, as the nonce stands beside them."""
    if isinstance(data, bytes):
        return {"echo": nonce, "data_b64": base64.b64encode(data).decode()}
    return {"echo": nonce, "data": data}


def _opened(envelope: dict[str, JsonValue]) -> JsonValue | bytes:
    return json.bytes_of(envelope["data_b64"]) if "data_b64" in envelope else envelope.get("data")
