"""The faults: those of nodes and their networks in one lane, those of the engine in another, beside each other."""

from __future__ import annotations

import asyncio
import random
import time
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence

from tests.faults.cluster.cluster import Cluster

REST = (0.5, 2.0)
"""Seconds between two faults of a lane."""
ENGINE_REST = (1.5, 4.0)
"""The engine fails for all: else nothing would be published at all."""
DOWN = (0.5, 2.5)
SILENT = (1.0, 5.0)
WIPE = "loss of the engine's data"

Fault = Callable[[], Awaitable[None]]


async def havoc(cluster: Cluster, seed: int, seconds: float, tell: Callable[[str], None]) -> Counter[str]:
    """Every fault at least once, and more until the time is up. All are over when this returns; it counts them."""
    lanes = [
        lane(cluster, random.Random(f"{seed} {lane.__name__}"), seconds, tell) for lane in (NodeFaults, EngineFaults)
    ]
    async with asyncio.TaskGroup() as group:
        for lane in lanes:
            group.create_task(lane.run())
    return sum((lane.done for lane in lanes), Counter[str]())


class Lane(ABC):
    """One fault after another; each is over when its coroutine returns."""

    rest = REST

    def __init__(self, cluster: Cluster, chance: random.Random, seconds: float, tell: Callable[[str], None]) -> None:
        self.done: Counter[str] = Counter()
        self._cluster = cluster
        self._chance = chance
        self._tell = tell
        self._began = time.monotonic()
        self._deadline = self._began + seconds

    @property
    @abstractmethod
    def faults(self) -> Sequence[Fault]: ...

    async def run(self) -> None:
        for fault in self._shuffled():
            await self._next(fault)
        while time.monotonic() < self._deadline:
            for fault in self._shuffled():
                if time.monotonic() < self._deadline:
                    await self._next(fault)

    def _shuffled(self) -> list[Fault]:
        return self._chance.sample(self.faults, len(self.faults))

    async def _next(self, fault: Fault) -> None:
        await self._wait(self.rest)
        await fault()

    async def _wait(self, span: tuple[float, float]) -> None:
        await asyncio.sleep(self._chance.uniform(*span))

    def _begin(self, fault: str, where: str = "") -> None:
        self.done[fault] += 1
        self._tell(f"{time.monotonic() - self._began:6.1f} s  {fault} {where}")


class NodeFaults(Lane):
    @property
    def faults(self) -> Sequence[Fault]:
        return (self._kill, self._drain, self._pause, self._cut, self._hold)

    async def _kill(self) -> None:
        node = self._chance.choice(self._cluster.nodes)
        self._begin("kill -9", node.name)
        await node.kill()
        await self._wait(DOWN)
        await node.start()

    async def _drain(self) -> None:
        node = self._chance.choice(self._cluster.nodes)
        self._begin("drain", node.name)
        await node.drain()
        await node.start()

    async def _pause(self) -> None:
        node = self._chance.choice(self._cluster.nodes)
        self._begin("pause", node.name)
        node.pause()
        try:
            await self._wait(SILENT)
        finally:
            node.resume()

    async def _cut(self) -> None:
        number = self._chance.randrange(len(self._cluster.relays))
        self._begin("cut from the engine", self._cluster.nodes[number].name)
        self._cluster.relays[number].cut()
        try:
            await self._wait(DOWN)
        finally:
            self._cluster.relays[number].mend()

    async def _hold(self) -> None:
        number = self._chance.randrange(len(self._cluster.relays))
        self._begin("silence between the engine and", self._cluster.nodes[number].name)
        self._cluster.relays[number].hold()
        try:
            await self._wait(SILENT)
        finally:
            self._cluster.relays[number].mend()


class EngineFaults(Lane):
    rest = ENGINE_REST

    @property
    def faults(self) -> Sequence[Fault]:
        # After a loss most of what was published is in a gap, and proves little.
        return (self._restart, self._pause, self._restart, self._pause, self._wipe)

    async def _restart(self) -> None:
        self._begin("kill -9 of the engine")
        await asyncio.to_thread(self._cluster.engine.kill)
        await self._wait(DOWN)
        await asyncio.to_thread(self._cluster.engine.start)

    async def _wipe(self) -> None:
        self._begin(WIPE)
        await asyncio.to_thread(self._cluster.engine.wipe)
        await self._wait(DOWN)
        await asyncio.to_thread(self._cluster.engine.start)

    async def _pause(self) -> None:
        self._begin("pause of the engine")
        await asyncio.to_thread(self._cluster.engine.pause)
        try:
            await self._wait(SILENT)
        finally:
            await asyncio.to_thread(self._cluster.engine.resume)
