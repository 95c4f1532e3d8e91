"""A client of the cluster: listens, goes over to another transport at random, publishes, and writes all of it down."""

from __future__ import annotations

import asyncio
import json
import random
import time
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import aiohttp
from tests.faults.cluster import raw

import tricast
from tricast.wire.messages import TransportName

EVERYBODY = "all"
"""The topic that all clients read; only the test itself publishes there."""
MARKER = "marker"
STAY = (4.0, 20.0)
"""Seconds on one transport."""
ANEW = 0.03
"""How often a client, when it would go over, is followed by another one that knows no cursor."""
TWICE = 0.1
"""How often a publish is sent twice, at once, each time by whichever node comes next."""
TRY_TIMEOUT = 8.0
PERSIST = 60.0
"""Seconds in which a publish is tried again: half of the dedupe window."""
PAUSE = (0.1, 0.5)
TRANSPORTS: tuple[TransportName, ...] = ("ws", "ws", "ws", "sse", "sse", "poll")
"""By how often each is chosen: a poll costs a request, so the fewest do that."""
POLICY = tricast.Policy(
    backoff_max=2.0, probe_min=1.0, probe_max=5.0, quarantine_min=3.0, quarantine_max=6.0, uplink_max=3.0
)
"""Brisk, so that all of it happens within a minute."""


class Journal:
    """See `records`."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("w")

    def write(self, **line: Any) -> None:
        self._file.write(json.dumps(line) + "\n")

    def close(self) -> None:
        self._file.close()


class Client(ABC):
    """`rooms`: where it may publish. `marker`: the last one that it was given. `was_up`: it has begun to listen. Once
    it is `calm`, it stays where it is and publishes no more.
    """

    def __init__(
        self,
        base: str,
        url: str,
        topics: Sequence[str],
        rooms: Sequence[str],
        journal: Journal,
        chance: random.Random,
        http: aiohttp.ClientSession,
    ) -> None:
        self.marker = 0
        self.busy = False
        self.calm = False
        self.was_up = False
        self.seen: Counter[str] = Counter()
        self._base, self._generation = base, 0
        self._url = url
        self._topics = topics
        self._rooms = rooms
        self._journal = journal
        self._chance = chance
        self._http = http
        self._published = 0
        self._begun = False
        self._start()

    @property
    def name(self) -> str:
        return f"{self._base}-{self._generation}"

    # Listening

    @abstractmethod
    def _start(self) -> None:
        """As somebody who knows no cursor."""

    @abstractmethod
    def _position(self) -> str | None:
        """Up to where all was written down."""

    @abstractmethod
    async def _listen(self) -> None:
        """On one transport, until it ends or this is cancelled. Raises what `_is_trouble`."""

    @abstractmethod
    async def _publish(self, topic: str, id: str, data: str) -> str:
        """Where it stands. Raises what `_is_trouble`."""

    async def listen(self) -> None:
        """Until it is cancelled."""
        try:
            while True:
                try:
                    async with asyncio.timeout(None if self.calm else self._chance.uniform(*STAY)) as stay:
                        await self._listen()
                except Exception as error:
                    if not stay.expired():
                        await self._after(error, "listening")
                if not self.calm and self._chance.random() < ANEW:
                    self._ends(stays=False)
                    self._generation += 1
                    self._start()
        finally:
            self._ends(stays=True)

    async def _after(self, error: Exception, doing: str) -> None:
        """Raises what is no trouble but a defect."""
        if not (isinstance(error, raw.TROUBLE) or (isinstance(error, tricast.TricastError) and _is_trouble(error))):
            raise error
        self.seen[f"{doing}: {type(error).__name__}"] += 1
        await asyncio.sleep(self._chance.uniform(*PAUSE))

    def _begins(self, cursor: str | None) -> None:
        if not self._begun and cursor is not None:
            self._begun = self.was_up = True
            self._write("begin", topics=self._topics, cursor=cursor, t=time.monotonic())

    def _ends(self, *, stays: bool) -> None:
        position = self._position()
        if self._begun:
            self._write("end", cursor=position, stays=stays, t=time.monotonic())
        self._begun = False

    def _got(self, topic: str, cursor: str, id: str | None, data: Any) -> None:
        self._write("got", topic=topic, cursor=cursor, id=id, data=data)
        if topic == EVERYBODY and isinstance(data, dict):
            self.marker = int(data[MARKER])

    def _gap(self, topics: Sequence[str], cursor: str, reason: str) -> None:
        self._write("gap", topics=list(topics), cursor=cursor, reason=reason, t=time.monotonic())

    def _write(self, did: str, **line: Any) -> None:
        self._journal.write(did=did, client=self.name, **line)

    # Publishing

    async def publish(self, rate: float) -> None:
        """So many times a second on average, until it is calm. No further one while one is under way."""
        while not self.calm:
            await asyncio.sleep(self._chance.expovariate(rate))
            if self.calm or not self._begun:
                continue
            self._published += 1
            id = f"{self._base}-{self._published}"
            topic, data = self._chance.choice(self._rooms), f"{id} {self._chance.getrandbits(32)}"
            times = 2 if self._chance.random() < TWICE else 1
            self.busy = True
            await asyncio.gather(*(self._until_known(topic, id, data) for _ in range(times)))
            self.busy = False

    async def _until_known(self, topic: str, id: str, data: str) -> None:
        name = self.name
        deadline = time.monotonic() + PERSIST
        while time.monotonic() < deadline:
            self._journal.write(did="try", client=name, topic=topic, id=id, data=data, t=time.monotonic())
            try:
                at = await self._publish(topic, id, data)
            except Exception as error:
                await self._after(error, "publishing")
            else:
                self._journal.write(did="ack", client=name, id=id, at=at, t=time.monotonic())
                return
        self.seen["publishing: given up"] += 1


def _is_trouble(error: tricast.TricastError) -> bool:
    return error.retryable or isinstance(error, tricast.OutcomeUnknown | tricast.BusClosed)


class LibraryClient(Client):
    """By `tricast.connect`: now with one transport that is forced, now with all of them in some order."""

    _bus: tricast.Bus | None
    _cursor: str | None

    def _start(self) -> None:
        self._bus = None
        self._cursor = None

    def _position(self) -> str | None:
        return self._cursor

    async def _listen(self) -> None:
        chosen = dict.fromkeys(self._chance.sample(TRANSPORTS, len(TRANSPORTS)))
        transports = tuple(chosen) if self._chance.random() < 0.5 else tuple(chosen)[:1]
        bus = tricast.connect(
            self._url, self._topics, transports=transports, cursor=self._cursor, client=self.name, policy=POLICY
        )
        try:
            async with bus:
                self._begins(bus.cursor)
                self._bus = bus
                async for item in bus:
                    if isinstance(item, tricast.Message):
                        self._got(item.topic, str(item.cursor), item.id, item.data)
                    else:
                        self._gap(item.topics, str(item.cursor), str(item.reason))
        finally:
            if self._bus is bus:
                self._bus = None
                self._cursor = bus.cursor
                self.seen.update({"switches": bus.stats.switches, "reconnects": bus.stats.reconnects})
                self.seen[f"moves: {bus.transport}"] += 1

    async def _publish(self, topic: str, id: str, data: str) -> str:
        while self._bus is None:
            await asyncio.sleep(0.05)
        return await self._bus.publish(topic, data, id=id, timeout=TRY_TIMEOUT)


class RawClient(Client):
    """By hand: see `raw`."""

    _subscriber: raw.Subscriber

    def _start(self) -> None:
        self._subscriber = raw.Subscriber(self._http, self._url, self.name, self._topics, self._read)

    def _position(self) -> str | None:
        return self._subscriber.cursor

    async def _listen(self) -> None:
        transport = self._chance.choice(TRANSPORTS)
        self.seen[f"moves: {transport}"] += 1
        await self._subscriber.listen(transport)

    def _read(self, frame: raw.Frame) -> None:
        match frame["type"]:
            case "hello":
                self._begins(frame["cursor"])
            case "message":
                self._got(frame["topic"], frame["cursor"], frame.get("id"), frame.get("data"))
            case "gap":
                self._gap(frame["topics"], frame["cursor"], frame["reason"])

    async def _publish(self, topic: str, id: str, data: str) -> str:
        command = {"action": "publish", "topic": topic, "id": id, "data": data}
        return str((await raw.send(self._http, self._url, self.name, command, TRY_TIMEOUT))["at"])
