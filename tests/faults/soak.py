"""Half of what the machine can do, for long, by clients that come and go: `python -m tests.faults.soak --minutes 30`.

Publishers number the messages of each topic. A listener is a chain of clients, each on other transports, which lives
for some seconds and is followed by one at its cursor. What a chain was given is counted here, and by nothing of the
project: its numbers must rise by one, up to the last that was published. The server's memory is fitted with a line.

Exit status 0: nothing lost, nothing twice, no error, and memory that does not grow.
"""

from __future__ import annotations

import argparse
import asyncio
import random
import sys
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

from tests.faults.bystanders import used
from tests.faults.trend import Trend, sketch, trend
from tests.helpers import Process, serving
from tests.helpers_clients import Http

import tricast
from tricast.wire.messages import Gap, TransportName

MIB = 2**20
TOPICS = 4
LISTENERS = 24
LIFE = (3.0, 20.0)
"""Seconds of one client of a chain."""
PATIENCE = 60.0
CHOICES: tuple[tuple[TransportName, ...], ...] = (("ws",), ("sse",), ("poll",), ("ws", "sse", "poll"), ("poll", "sse"))
OPTIONS = ("--retention-count", "2000", "--retention-age", "60", "--dedupe-window", "30", "--heartbeat", "2")
"""What is kept has reached its bound within a minute or two."""
TICK, BATCH = 0.02, 50
"""Seconds, and messages at once."""
STEP = 8.0
"""Seconds at one rate while the knee is looked for."""
FIRST, MOST = 50.0, 6400.0
"""Messages a second, over all topics."""
KEPT_UP = 0.9
LATE = 0.25
"""Seconds of p99 at which it is over."""


@dataclass
class Chain:
    """One listener: `first` and `last` are the numbers of its topic that it was given."""

    topic: str
    first: int | None = None
    last: int = 0
    lost: int = 0
    twice: int = 0
    gaps: int = 0
    clients: int = 0

    def take(self, number: int) -> None:
        if self.first is None:
            self.first, self.last = number, number - 1
        if number <= self.last:
            self.twice += 1
        else:
            self.lost += number - self.last - 1
            self.last = number


@dataclass
class Soak:
    """`rate` in messages a second; `published` is the last number of each topic that was acknowledged."""

    server: Process
    rate: float
    published: Counter[str] = field(default_factory=Counter)
    chains: list[Chain] = field(default_factory=list)
    transports: Counter[str] = field(default_factory=Counter)
    delays: Counter[int] = field(default_factory=Counter)
    """How many took so many milliseconds: over half an hour they are millions."""
    received: int = 0
    memory: list[tuple[float, float]] = field(default_factory=list)
    ending: bool = False
    """Nothing more is published."""

    async def publish(self, topic: str, seconds: float) -> None:
        """Its share of the rate, a batch every `TICK`, one after the other."""
        async with Http(self.server) as http:
            clock = asyncio.get_running_loop()
            starts = clock.time()
            while (passed := clock.time() - starts) < seconds:
                due = int(passed * self.rate / TOPICS) - self.published[topic]
                if due > 0:
                    first = self.published[topic] + 1
                    await http.publish(topic, *([first + n, time.monotonic()] for n in range(min(due, BATCH))))
                    self.published[topic] = first + min(due, BATCH) - 1
                await asyncio.sleep(TICK)

    def heard(self, chain: Chain) -> bool:
        return self.ending and chain.last >= self.published[chain.topic]

    async def listen(self, chain: Chain) -> None:
        """Client after client, each at the cursor of the one before, until all is heard."""
        cursor: str | None = None
        while not self.heard(chain):
            transports = random.choice(CHOICES)
            async with tricast.connect(self.server.url, [chain.topic], transports=transports, cursor=cursor) as bus:
                chain.clients += 1
                try:
                    async with asyncio.timeout(random.uniform(*LIFE)):
                        await self.hear(bus, chain)
                except TimeoutError:
                    pass
                self.transports[bus.transport or "none"] += 1
                cursor = bus.cursor

    async def hear(self, bus: tricast.Bus, chain: Chain) -> None:
        while not self.heard(chain):
            try:
                async with asyncio.timeout(1.0):
                    message = await anext(bus)
            except TimeoutError:
                continue
            if isinstance(message, Gap):
                chain.gaps += 1
                continue
            number, since = message.data
            chain.take(number)
            self.received += 1
            self.delays[int((time.monotonic() - since) * 1e3)] += 1

    async def watch(self) -> None:
        since = time.monotonic()
        while True:
            self.memory.append((time.monotonic() - since, await asyncio.to_thread(lambda: self.server.memory)))
            await asyncio.sleep(1.0)


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """`expected` and `received` count deliveries, each by another way."""

    published: int
    expected: int
    received: int
    lost: int
    twice: int
    gaps: int
    clients: int
    transports: Counter[str]
    p99: float
    cpu: float
    """Of the server, as a share of one core."""
    left: dict[str, int]
    memory: Trend
    points: Sequence[tuple[float, float]]

    @property
    def problems(self) -> list[str]:
        checks = {
            f"{self.lost} lost": self.lost == 0,
            f"{self.twice} twice": self.twice == 0,
            f"{self.gaps} gaps": self.gaps == 0,
            f"{self.received} received, {self.expected} expected": self.received == self.expected > 0,
            f"connections are left: {self.left}": not any(self.left.values()),
            f"memory grows: {self.memory}": not self.memory.grows,
        }
        return [problem for problem, good in checks.items() if not good]

    def __str__(self) -> str:
        used = ", ".join(f"{count} x {name}" for name, count in sorted(self.transports.items()))
        return "\n".join(
            [
                f"{self.published:,} published, {self.expected:,} deliveries expected, {self.received:,} received",
                f"{self.lost} lost, {self.twice} twice, {self.gaps} gaps",
                f"{self.clients} clients: {used}; p99 {self.p99 * 1e3:.1f} ms, server CPU {self.cpu:.0%}",
                sketch(self.points),
                str(self.memory),
                *self.problems,
            ]
        )


async def soak(server: Process, *, rate: float, seconds: float, warm: float) -> Outcome:
    """Raises whatever goes wrong with a client. `warm`: seconds that the trend of the memory leaves out."""
    run = Soak(server, rate)
    topics = [f"soak.{number}" for number in range(TOPICS)]
    run.chains = [Chain(topics[number % TOPICS]) for number in range(LISTENERS)]
    watching = asyncio.create_task(run.watch())
    cpu, since = await used(server), time.monotonic()
    try:
        async with asyncio.TaskGroup() as group:
            for chain in run.chains:
                group.create_task(run.listen(chain))
            await asyncio.gather(*(run.publish(topic, seconds) for topic in topics))
            run.ending = True
            async with asyncio.timeout(PATIENCE):
                while not all(map(run.heard, run.chains)):
                    await asyncio.sleep(0.1)
    finally:
        watching.cancel()
        await asyncio.gather(watching, return_exceptions=True)
    cpu = (await used(server) - cpu) / (time.monotonic() - since)
    points = [(at, size / MIB) for at, size in run.memory]
    return Outcome(
        published=run.published.total(),
        expected=sum(run.published[chain.topic] - chain.first + 1 for chain in run.chains if chain.first is not None),
        received=run.received,
        lost=sum(chain.lost for chain in run.chains),
        twice=sum(chain.twice for chain in run.chains),
        gaps=sum(chain.gaps for chain in run.chains),
        clients=sum(chain.clients for chain in run.chains),
        transports=run.transports,
        p99=percentile(run.delays, 0.99) / 1e3,
        cpu=cpu,
        left=await let_go(server),
        memory=trend([(at, size) for at, size in points if at >= warm]),
        points=points,
    )


def percentile(counts: Counter[int], share: float) -> int:
    """Of at least one value."""
    seen, wanted = 0, share * counts.total()
    for value in sorted(counts):
        seen += counts[value]
        if seen >= wanted:
            return value
    raise ValueError("no values")


async def let_go(server: Process) -> dict[str, int]:
    """The connections that are still counted a while after everybody left."""
    deadline = time.monotonic() + PATIENCE / 2
    while True:
        connections = await asyncio.to_thread(lambda: server.connections)
        if not any(connections.values()) or time.monotonic() > deadline:
            return connections
        await asyncio.sleep(0.2)


async def knee(server: Process) -> float:
    """Messages a second that server and clients together keep up with on this machine: twice as many each time."""
    rate, best = FIRST, FIRST
    while rate <= MOST:
        outcome = await soak(server, rate=rate, seconds=STEP, warm=0)
        kept_up = outcome.published >= KEPT_UP * rate * STEP and outcome.p99 < LATE
        did = f"{outcome.published / STEP:.0f}/s, p99 {outcome.p99 * 1e3:.0f} ms, server CPU {outcome.cpu:.0%}"
        print(f"{rate:.0f} messages/s: {did}", flush=True)
        if not kept_up:
            break
        best, rate = rate, rate * 2
    return best


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=30.0)
    parser.add_argument("--rate", type=float, help="messages a second; else half of what the machine keeps up with")
    args = parser.parse_args()
    with serving(*OPTIONS) as server:
        rate = args.rate or asyncio.run(knee(server)) / 2
    seconds = args.minutes * 60
    print(f"{rate:.0f} messages/s to {LISTENERS} listeners on {TOPICS} topics for {seconds:.0f} s", flush=True)
    with serving(*OPTIONS) as server:
        outcome = asyncio.run(soak(server, rate=rate, seconds=seconds, warm=min(seconds / 3, 300)))
    print(outcome)
    sys.exit(bool(outcome.problems))


if __name__ == "__main__":
    main()
