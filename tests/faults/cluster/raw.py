"""A subscriber made by hand on aiohttp, which keeps nothing but a cursor: what the server promises without a library.

It drops no duplicates and repairs no order. `read` is called with each frame of the contract, a poll's one by one.
"""

from __future__ import annotations

import asyncio
import json
import random
from collections.abc import Callable, Sequence
from typing import Any, TypeAlias
from urllib.parse import urlencode

import aiohttp
from tests.faults.cluster.nodes import HEARTBEAT

Frame: TypeAlias = dict[str, Any]
Read: TypeAlias = Callable[[Frame], None]

CONNECT_TIMEOUT = 5.0
CLOSE_TIMEOUT = aiohttp.ClientWSTimeout(ws_close=0.5)
SILENCE = 2 * HEARTBEAT + 1.0
POLL_WAIT = 5.0
POLL_LIMITS = (1, 3, 20, 500)
POLL_PAUSE = 0.4
"""Seconds, at most, from one poll to the next: each costs as much as dozens of messages in a stream."""

TROUBLE = (aiohttp.ClientError, OSError, EOFError)
"""What a network and a server in trouble lead to; TimeoutError is an OSError."""


class Subscriber:
    """One client's. `cursor` is None until the server has said where it begins."""

    def __init__(self, http: aiohttp.ClientSession, url: str, client: str, topics: Sequence[str], read: Read) -> None:
        self.cursor: str | None = None
        self.query = {"topics": ",".join(topics), "client": client}
        self._http = http
        self._url = url
        self._read = read

    async def listen(self, transport: str) -> None:
        """Until the server ends it, or it is cancelled. Raises one of TROUBLE."""
        await {"ws": self._websocket, "sse": self._events, "poll": self._polls}[transport]()

    def _address(self, path: str, **more: object) -> str:
        query = {**self.query, **more}
        if self.cursor is not None:
            query["cursor"] = self.cursor
        return f"{self._url}/{path}?{urlencode(query)}"

    def _take(self, frame: Frame) -> bool:
        """Whether it goes on."""
        if frame["type"] == "error":
            raise ConnectionError(f"refused: {frame['code']}")
        # Nothing is awaited between these two, so that nothing is read twice or left out if this is cancelled.
        if frame["type"] != "hello" or self.cursor is None:
            self._read(frame)
            self.cursor = frame.get("cursor", self.cursor)
        return bool(frame["type"] != "bye")

    async def _websocket(self) -> None:
        async with asyncio.timeout(CONNECT_TIMEOUT):
            socket = await self._http.ws_connect(self._address("ws"), timeout=CLOSE_TIMEOUT)
        try:
            while True:
                message = await socket.receive(timeout=SILENCE)
                if message.type is not aiohttp.WSMsgType.TEXT or not self._take(json.loads(message.data)):
                    return
        finally:
            await socket.close()

    async def _events(self) -> None:
        timeout = aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_TIMEOUT, sock_read=SILENCE)
        async with self._http.get(self._address("sse"), timeout=timeout) as response:
            response.raise_for_status()
            async for line in response.content:
                if line.startswith(b"data:") and line.endswith(b"\n") and not self._take(json.loads(line[5:])):
                    return

    async def _polls(self) -> None:
        timeout = aiohttp.ClientTimeout(total=POLL_WAIT + SILENCE)
        while True:
            address = self._address("poll", wait=POLL_WAIT, limit=random.choice(POLL_LIMITS), n=random.getrandbits(40))
            async with self._http.get(address, timeout=timeout) as response:
                response.raise_for_status()
                batch = await response.json()
            if "hello" in batch:
                self._take(batch["hello"])
            for frame in batch["messages"]:
                self._take(frame)
            self.cursor = batch["cursor"]
            if "bye" in batch:
                return
            await asyncio.sleep(random.uniform(0, POLL_PAUSE))


async def send(http: aiohttp.ClientSession, url: str, client: str, command: Frame, seconds: float) -> Frame:
    """The reply to a command. Raises one of TROUBLE where there is none, or the outcome is unknown."""
    timeout = aiohttp.ClientTimeout(total=seconds)
    address = f"{url}/send?{urlencode({'client': client})}"
    async with http.post(address, data=json.dumps(command), timeout=timeout) as response:
        if response.status != 200:
            raise ConnectionError(f"HTTP status {response.status}: {await response.text()}")
        reply: Frame = await response.json()
        return reply
