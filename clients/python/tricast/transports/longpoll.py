"""Long poll down, `POST /send` up. Every poll is a pure read at a cursor, so any of them may be lost."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Sequence
from dataclasses import replace

import aiohttp

from tricast.errors import ConnectFailed, ConnectionLost, TransportError
from tricast.session import Request
from tricast.transports.base import Answer, Link, Target, error_in, network, refusal
from tricast.wire.messages import Batch, Command, Frame

WAIT = 25.0
WAIT_SHORT = 10.0
"""Seconds to hold a poll once a gateway has given up on a longer one."""
GATEWAY_TIMEOUTS = (502, 503, 504)
RETRIES = 3


class GatewayTimeout(ConnectionLost):
    """A proxy answered in the server's place."""


class LongPollLink(Link):
    name = "poll"
    uplink = "http"

    def __init__(self, target: Target) -> None:
        super().__init__(target)
        self.wait = WAIT

    async def open(self, request: Request) -> AsyncGenerator[Frame | Batch, None]:
        try:
            # Nothing is waited for at first: any answer proves that the transport works.
            batch = await self._poll(request, 0, self.target.connect_timeout, ConnectFailed)
            while True:
                yield batch
                if batch.bye is not None:
                    raise ConnectionLost("the server said bye")
                request = replace(request, cursor=batch.cursor)
                batch = await self._poll_on(request)
        finally:
            await self.close()

    async def send(self, commands: Sequence[Command]) -> list[Answer]:
        return await self.post(commands)

    async def _poll_on(self, request: Request) -> Batch:
        for _ in range(RETRIES):
            try:
                return await self._poll(request, self.wait, self.wait + self.heartbeat, ConnectionLost)
            except GatewayTimeout as error:
                self.wait, last = WAIT_SHORT, error
                await asyncio.sleep(0.1)
        raise last

    async def _poll(self, request: Request, wait: float, deadline: float, error: type[TransportError]) -> Batch:
        # The counter makes every URL unique: caches and some proxies merge what looks the same.
        query = {**request.query(), "wait": f"{wait:g}", "n": str(next(self.target.counter))}
        headers = await self.target.authorization()
        with network(error, "GET /poll"):
            timeout = aiohttp.ClientTimeout(total=deadline)
            url = self.url("poll", query)
            async with self.http.get(url, headers=headers, timeout=timeout, allow_redirects=False) as response:
                status, body = response.status, await response.read()
        if status in GATEWAY_TIMEOUTS and error is ConnectionLost and error_in(body) is None:
            raise GatewayTimeout(f"GET /poll: HTTP status {status}")
        if status != 200:
            raise refusal(status, response.headers, body)
        batch = self.target.codec.decode_batch(body)
        self.note(batch)
        return batch
