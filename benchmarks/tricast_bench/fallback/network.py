"""A server in a process of its own behind a middlebox in this one, and a stream of numbers through both."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import aiohttp

import tricast
from tricast_bench.middlebox import Faults, Middlebox
from tricast_bench.servers import HOST, free_port, program

TOPIC = "bench"
RATE = 200.0
"""Messages per second."""
START_TIMEOUT = 15.0
CATCH_UP = 60.0


class Program:
    """`tricast serve` in a process of its own; it can be taken away and come back on its port."""

    def __init__(self, *options: str) -> None:
        self.port = free_port()
        self.url = f"http://{HOST}:{self.port}"
        self._command = [program("tricast"), "serve", "--port", str(self.port), *options]
        self._process: asyncio.subprocess.Process | None = None

    async def start(self) -> None:
        self._process = await asyncio.create_subprocess_exec(
            *self._command, stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.DEVNULL
        )
        async with asyncio.timeout(START_TIMEOUT), aiohttp.ClientSession() as session:
            while True:
                try:
                    async with session.get(f"{self.url}/healthz"):
                        return
                except aiohttp.ClientConnectionError:
                    await asyncio.sleep(0.02)

    async def kill(self) -> None:
        """Without a word, as a crash would."""
        if self._process is not None and self._process.returncode is None:
            self._process.kill()
            await self._process.wait()


@asynccontextmanager
async def network(faults: Faults | None = None, *options: str) -> AsyncIterator[tuple[Program, Middlebox]]:
    server = Program(*options)
    try:
        await server.start()
        async with Middlebox(upstream=server.url, faults=faults) as box:
            yield server, box
    finally:
        await server.kill()


class Numbers:
    """0, 1, 2, ... published straight to the server at a rate, and what the client has read of them."""

    def __init__(self, server: Program, bus: tricast.Bus) -> None:
        self.published = self.read = self.wrong = 0
        self._server = server
        self._bus = bus

    async def __aenter__(self) -> Numbers:
        self._tasks = [asyncio.create_task(self._publish()), asyncio.create_task(self._read())]
        return self

    async def __aexit__(self, *details: object) -> None:
        self._tasks[0].cancel()
        deadline = time.monotonic() + CATCH_UP
        while self.read < self.published and time.monotonic() < deadline and not self._tasks[1].done():
            await asyncio.sleep(0.05)
        self._tasks[1].cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _publish(self) -> None:
        async with aiohttp.ClientSession(self._server.url) as session:
            start = time.monotonic()
            while True:
                due = int((time.monotonic() - start) * RATE) - self.published
                batch = [
                    {"action": "publish", "topic": TOPIC, "data": self.published + i} for i in range(min(due, 100))
                ]
                if batch:
                    async with session.post("/send", json=batch) as response:
                        response.raise_for_status()
                    self.published += len(batch)
                await asyncio.sleep(1 / RATE)

    async def _read(self) -> None:
        async for item in self._bus:
            self.wrong += not isinstance(item, tricast.Message) or item.data != self.read
            self.read = item.data + 1 if isinstance(item, tricast.Message) else self.read  # type: ignore[operator]  # a number
