"""A connection as the bus writes to it: past aiohttp's per-message path, through the public `request.transport`.

This is safe because nothing but whole frames or whole chunks is ever written, so that aiohttp's own pings and closes
may come between them. aiohttp keeps the handshake, the reading side, pings, timeouts and close.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from aiohttp import web
from aiohttp.abc import AbstractStreamWriter

from tricast_server.bus.view import Framing

EMPTIED_STEP = 0.02


DRAIN_FROM = 32 * 2**10
"""Bytes that may wait to be taken before it is worth a timer to wait for it."""


def unsent(transport: asyncio.WriteTransport) -> int:
    """Bytes that wait to be taken. asyncio's transport for TLS has no answer once it was closed twice: then none."""
    try:
        return transport.get_write_buffer_size()
    except AttributeError:
        return 0


class StreamSink:
    """See `tricast_server.bus.subscription.Sink`.

    `ending` tells whether the response has begun to close. `high_mark` in bytes, `timeout` in seconds.
    """

    __slots__ = ("_ending", "_high", "_timeout", "_writer", "framing", "transport")

    def __init__(
        self,
        request: web.BaseRequest,
        writer: AbstractStreamWriter,
        framing: Framing,
        *,
        high_mark: int,
        timeout: float,
        ending: Callable[[], bool],
    ) -> None:
        self.framing = framing
        self.transport: asyncio.Transport | None = request.transport
        self._writer = writer
        self._high = high_mark
        self._timeout = timeout
        self._ending = ending

    @property
    def closed(self) -> bool:
        transport = self.transport
        return transport is None or transport.is_closing() or self._ending()

    def write(self, data: bytes) -> bool:
        transport = self.transport
        if transport is None or transport.is_closing() or self._ending():
            return False
        if transport.get_write_buffer_size() + len(data) > self._high:
            return False
        transport.write(data)
        return True

    def force(self, data: bytes) -> None:
        if data and not self.closed:
            assert self.transport is not None
            self.transport.write(data)

    async def drain(self) -> None:
        transport = self.transport
        if transport is None or unsent(transport) < DRAIN_FROM:
            return
        try:
            async with asyncio.timeout(self._timeout):
                await self._writer.drain()
        except TimeoutError:
            transport.abort()
            raise ConnectionResetError(f"the peer took nothing for {self._timeout:.0f} s") from None

    async def emptied(self, deadline: float) -> None:
        loop = asyncio.get_running_loop()
        while (transport := self.transport) is not None and unsent(transport):
            if loop.time() >= deadline:
                transport.abort()
                return
            await asyncio.sleep(EMPTIED_STEP)  # aiohttp's drain returns at the low-water mark, which is not empty

    def abort(self) -> None:
        if self.transport is not None:
            self.transport.abort()
