"""Clients that do nothing wrong meanwhile: how long a publish takes to reach them, on each transport.

A message carries the time at which its publisher began; that is also its reader, so one clock measures both. Each
reader also counts: the numbers have to come without a hole and none twice.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field

from tests.helpers import Process, Server
from tests.helpers_clients import TRANSPORTS, Http, Reader, reader

TOPIC = "bystanders"
PATIENCE = 60.0


@dataclass
class Bystanders:
    """`delays` in seconds, of all readers since the last `take`."""

    pause: float
    published: int = 0
    heard: list[int] = field(default_factory=list)
    delays: list[float] = field(default_factory=list)

    def take(self) -> list[float]:
        taken, self.delays = self.delays, []
        return taken

    async def caught_up(self) -> None:
        async with asyncio.timeout(PATIENCE):
            while any(number < self.published for number in self.heard):
                await asyncio.sleep(0.02)

    async def publish(self, http: Http) -> None:
        clock = asyncio.get_running_loop()
        while True:
            due = clock.time() + self.pause
            self.published += 1
            await http.publish(TOPIC, [self.published, clock.time()])
            await asyncio.sleep(max(0.0, due - clock.time()))

    async def read(self, index: int, listener: Reader) -> None:
        clock = asyncio.get_running_loop()
        while True:
            frame = await listener.next("message", "gap", timeout=PATIENCE)
            number, since = frame["data"]
            assert number == self.heard[index] + 1, (frame, self.heard[index])
            self.heard[index] = number
            self.delays.append(clock.time() - since)


@asynccontextmanager
async def bystanders(server: Server, *, each: int = 2, rate: float = 20.0) -> AsyncIterator[Bystanders]:
    """`each` readers on each transport, and `rate` messages a second. Whatever goes wrong with them is raised here."""
    group = Bystanders(1 / rate)
    async with AsyncExitStack() as stack:
        http = await stack.enter_async_context(Http(server))
        listeners = [await stack.enter_async_context(reader(name, server, TOPIC)) for name in TRANSPORTS * each]
        group.heard = [0] * len(listeners)
        tasks = [asyncio.create_task(group.read(index, listener)) for index, listener in enumerate(listeners)]
        publishing = asyncio.create_task(group.publish(http))
        try:
            yield group
            publishing.cancel()
            await asyncio.gather(publishing, return_exceptions=True)
            for task in tasks:
                if task.done():
                    task.result()
        finally:
            for task in (publishing, *tasks):
                task.cancel()
            await asyncio.gather(publishing, *tasks, return_exceptions=True)


async def used(server: Process) -> float:
    """Seconds of CPU."""
    stats = await asyncio.to_thread(server.stats)
    seconds: float = stats["process"]["cpu"]
    return seconds


def percentile(values: list[float], share: float) -> float:
    """Of at least one."""
    return sorted(values)[min(len(values) - 1, int(len(values) * share))]
