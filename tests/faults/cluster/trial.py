"""One run: a cluster, its clients in two processes, faults, then calm, and the verdict over what they wrote down."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
import time
from asyncio.subprocess import PIPE, Process
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import aiohttp
from tests.contract.engines import Server as Engine
from tests.faults.cluster import raw
from tests.faults.cluster.chaos import havoc
from tests.faults.cluster.checker import Verdict, check
from tests.faults.cluster.client import EVERYBODY, MARKER, Journal
from tests.faults.cluster.clients import Status
from tests.faults.cluster.cluster import Cluster, cluster
from tests.faults.cluster.nodes import status
from tests.faults.cluster.records import lines_of
from tests.helpers import ROOT

PROCESSES = 2
UP_TIMEOUT = 60.0
ENOUGH = 0.95
"""Of the clients are there when the first fault comes; the others come in the midst of it."""
HEAL_TIMEOUT = 60.0
END_TIMEOUT = 30.0
REFUSED = 15
"""WebSockets of a hundred that the proxy refuses."""
SPEAK = 2.0
"""Seconds between two messages to everybody."""
LATE = 1.5
"""Seconds of traffic after the last fault."""


@dataclass(frozen=True, kw_only=True)
class Plan:
    """`rate`: publishes a second of all `clients`. Each reads one or two of `rooms`, and one topic that all read."""

    seed: int
    seconds: float = 15.0
    clients: int = 300
    rate: float = 200.0
    rooms: int = 60


@dataclass(kw_only=True)
class Outcome:
    """`healed`: seconds from the last fault's end until all clients were given what was published after it."""

    verdict: Verdict
    faults: Counter[str]
    healed: float
    seen: Counter[str] = field(default_factory=Counter)
    logs: dict[str, str] = field(default_factory=dict)


class Group:
    """A process of clients."""

    def __init__(self, process: Process, said: Path) -> None:
        self.status: Status | None = None
        self._process = process
        self._said = said

    async def follow(self) -> None:
        """Until it ends. Fails where it does so by itself."""
        assert self._process.stdout is not None
        async for line in self._process.stdout:
            self.status = json.loads(line)
        code = await self._process.wait()
        assert code == 0, f"clients ended with {code}:\n{self._said.read_text()}"

    def calm(self) -> None:
        self._process.send_signal(signal.SIGUSR1)

    def end(self) -> None:
        self._process.terminate()


async def trial(engine: Engine, plan: Plan, folder: Path, tell: Callable[[str], None]) -> Outcome:
    """Leaves logs and journals in `folder`. Fails where something does not come up, or does not heal in time."""
    async with cluster(engine, folder, refused=REFUSED) as place:
        journals, faults, healed, seen = await _run(place, plan, folder, tell)
        await asyncio.gather(*(node.drain() for node in place.nodes))
        logs = {node.name: node.log for node in place.nodes}
    verdict = await asyncio.to_thread(lambda: check(lines_of(journals)))
    return Outcome(verdict=verdict, faults=faults, healed=healed, seen=seen, logs=logs)


async def _run(
    place: Cluster, plan: Plan, folder: Path, tell: Callable[[str], None]
) -> tuple[list[Path], Counter[str], float, Counter[str]]:
    journals = [folder / f"{name}.jsonl" for name in ("test", *_names())]
    async with AsyncExitStack() as stack:
        voice = await stack.enter_async_context(_voice(place.url, journals[0]))
        started = [await stack.enter_async_context(_clients(place, plan, name, folder)) for name in _names()]
        async with asyncio.TaskGroup() as group:
            following = [group.create_task(one.follow()) for one in started]
            chatting = group.create_task(voice.chat())
            await _until(lambda: _sum(started, "up") >= ENOUGH * plan.clients, UP_TIMEOUT, "clients are there", started)
            tell(f"{_sum(started, 'up')} clients are there")
            faults = await havoc(place, plan.seed, plan.seconds, tell)
            over = time.monotonic()
            tell("the faults are over")
            await _ready(place)
            await asyncio.sleep(LATE)
            for one in started:
                one.calm()
            first = voice.number + 1
            await _until(
                lambda: _sum(started, "busy") == 0 and _lowest(started) >= first, HEAL_TIMEOUT, "all healed", started
            )
            healed = time.monotonic() - over
            used = sum(one.status["cpu"] for one in started if one.status)
            tell(f"healed within {healed:.1f} s; the clients have used {used:.0f} s of CPU")
            voice.quiet.set()
            await chatting  # what it says last must not come behind the end
            last = await voice.say()
            await _until(lambda: _lowest(started) == last, END_TIMEOUT, "all are at the end", started)
            for one in started:
                one.end()
            await asyncio.wait(following)
        seen = sum((Counter(one.status["seen"]) for one in started if one.status), Counter[str]())
    return journals, faults, healed, seen


def _names() -> list[str]:
    return [f"{chr(ord('a') + i)}" for i in range(PROCESSES)]


@asynccontextmanager
async def _clients(place: Cluster, plan: Plan, name: str, folder: Path) -> AsyncIterator[Group]:
    options = {
        "url": place.url,
        "name": name,
        "seed": plan.seed,
        "rooms": plan.rooms,
        "count": plan.clients // PROCESSES,
        "rate": plan.rate / PROCESSES,
        "journal": folder / f"{name}.jsonl",
    }
    words = [word for option, value in options.items() for word in (f"--{option}", str(value))]
    said = folder / f"{name}.err"
    with said.open("wb") as errors:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "tests.faults.cluster.clients", *words),
            cwd=ROOT,
            env=dict(os.environ),
            stdout=PIPE,
            stderr=errors,
        )
    try:
        yield Group(process, said)
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


class Voice:
    """Publishes numbers to the topic that everybody reads."""

    def __init__(self, url: str, http: aiohttp.ClientSession, journal: Journal) -> None:
        self.number = 0
        self.quiet = asyncio.Event()
        self._url = url
        self._http = http
        self._journal = journal

    async def chat(self) -> None:
        """Until it has to be quiet."""
        while not self.quiet.is_set():
            await self.say()
            with suppress(TimeoutError):
                async with asyncio.timeout(SPEAK):
                    await self.quiet.wait()

    async def say(self) -> int:
        """Until it is acknowledged."""
        self.number += 1
        id = f"{MARKER}-{self.number}"
        message = {"topic": EVERYBODY, "id": id, "data": {MARKER: self.number}}
        while True:
            self._journal.write(did="try", client="test", t=time.monotonic(), **message)
            try:
                reply = await raw.send(self._http, self._url, "test", {"action": "publish", **message}, 3.0)
            except raw.TROUBLE:
                await asyncio.sleep(0.2)
            else:
                self._journal.write(did="ack", client="test", id=id, at=reply["at"], t=time.monotonic())
                return self.number


@asynccontextmanager
async def _voice(url: str, path: Path) -> AsyncIterator[Voice]:
    journal = Journal(path)
    try:
        async with aiohttp.ClientSession() as http:
            yield Voice(url, http, journal)
    finally:
        journal.close()


async def _ready(place: Cluster) -> None:
    async with asyncio.timeout(HEAL_TIMEOUT), aiohttp.ClientSession() as http:
        for node in place.nodes:
            while await status(http, f"{node.url}/readyz") != 200:
                await asyncio.sleep(0.1)


async def _until(test: Callable[[], bool], timeout: float, what: str, groups: list[Group]) -> None:
    deadline = time.monotonic() + timeout
    while not test():
        assert time.monotonic() < deadline, f"not within {timeout} s: {what}; {[group.status for group in groups]}"
        await asyncio.sleep(0.1)


def _sum(groups: list[Group], what: Literal["up", "busy"]) -> int:
    return sum(group.status[what] for group in groups if group.status)


def _lowest(groups: list[Group]) -> int:
    return min(group.status["marker"] if group.status else 0 for group in groups)
