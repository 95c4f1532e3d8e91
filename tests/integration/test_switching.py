"""The promise over real sockets: readers that change transport and format at random, are cut anywhere and lose answers
get every message once and in order. The session is the client's own; the choosing is chance.
"""

from __future__ import annotations

import asyncio
import random
from contextlib import aclosing
from dataclasses import dataclass, field, replace

import pytest
from tests.helpers import running
from yarl import URL

from tricast.errors import TransportError
from tricast.session import Session, parts
from tricast.transports import LINKS, Target
from tricast.wire.formats import NAMES, codec_named
from tricast.wire.messages import Batch, Message
from tricast_server import Service

TOPICS = ("a", "b", "c")
MESSAGES = 900
READERS = 8


@dataclass
class Reader:
    """One client. `lose` is how often the answer to a poll is thrown away, as if it had been lost on the way."""

    target: Target
    chance: random.Random
    session: Session = field(default_factory=lambda: Session(TOPICS, "earliest"))
    got: list[tuple[str, int]] = field(default_factory=list)
    links: int = 0

    async def read(self, wanted: int, lose: float = 0.2) -> None:
        while len(self.got) < wanted:
            name = self.chance.choice(tuple(LINKS))
            frames = self.chance.randrange(1, 60)
            self.links += 1
            try:
                await self._one_link(name, frames, wanted, lose if name == "poll" else 0.0)
            except TransportError:
                await asyncio.sleep(0.01)

    async def _one_link(self, name: str, frames: int, wanted: int, lose: float) -> None:
        target = replace(self.target, codec=codec_named(self.chance.choice(NAMES)))
        link = LINKS[name](target)  # type: ignore[index]  # a str, by chance
        stream = self.session.open()
        try:
            async with aclosing(link.open(stream.request)) as incoming:
                async for frame in incoming:
                    if self.chance.random() < lose:
                        return
                    for part in parts(frame) if isinstance(frame, Batch) else (frame,):
                        for item in stream.receive(part):
                            assert isinstance(item, Message), f"a gap, and nothing was lost: {item}"
                            self.got.append((item.topic, int(item.data)))
                        frames -= 1
                        if frames <= 0 or len(self.got) >= wanted:
                            return  # cut, maybe in the middle of a batch
        finally:
            await link.close()


async def publish(service: Service, chance: random.Random) -> list[tuple[str, int]]:
    """Bursts of several topics in one tick of the loop. Every third one is bytes, which say the same."""
    published: list[tuple[str, int]] = []
    while len(published) < MESSAGES:
        for _ in range(chance.randrange(1, 12)):
            topic = chance.choice(TOPICS)
            number = len(published)
            await service.publish(topic, number if number % 3 else b"%d" % number)
            published.append((topic, number))
        await asyncio.sleep(chance.choice((0, 0.001, 0.02)))
    return published


@pytest.mark.parametrize("seed", [1, 2])
async def test_random_switches_lose_and_double_nothing(seed: int) -> None:
    chance = random.Random(seed)
    async with running(retention_count=MESSAGES) as node:
        readers = [
            Reader(Target(url=URL(node.url), client=f"r{i}"), random.Random(seed * 100 + i)) for i in range(READERS)
        ]
        async with asyncio.timeout(50), asyncio.TaskGroup() as group:
            published = group.create_task(publish(node.service, chance))
            for reader in readers:
                group.create_task(reader.read(MESSAGES))
    for reader in readers:
        assert reader.got == published.result()[: len(reader.got)]
        assert len(reader.got) >= MESSAGES
        assert reader.links > 10, "the transport was changed many times"
