"""The whole probe: three transports and the uplink at the same time, then, if wanted, how long they live."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal
from urllib.request import getproxies, proxy_bypass

from yarl import URL

from tricast.client import base_url
from tricast.probe.diagnosis import alone, diagnose, with_endurance, with_uplink
from tricast.probe.measure import Run
from tricast.probe.observation import Finding, Observation, Uplink
from tricast.probe.report import Report
from tricast.probe.uplink import check_uplink
from tricast.transports import Target
from tricast.wire.messages import TransportName

TRANSPORTS: tuple[TransportName, ...] = ("ws", "sse", "poll")
POLLS = 5
IDLE_SHARE = 0.85
"""Of the long run's time, how much is silence. What is left is for opening and for the end."""
BUSY_FRAMES = 35
CANARY_MAX = 120.0
"""Seconds: the server's limit on frames times interval."""


@dataclass(frozen=True, slots=True)
class Plan:
    """Seconds. `n` frames `interval` apart, given up `patience` after the last one is due; `long` more to see cuts.

    Raises ValueError for what the server would not do.
    """

    n: int = 30
    interval: float = 0.1
    patience: float = 2.5
    long: float | None = None

    def __post_init__(self) -> None:
        if not 5 <= self.n <= 300 or not 0 < self.interval <= CANARY_MAX / self.n or self.patience <= 0:
            raise ValueError("5 to 300 frames, which take up to 120 s together, and some patience")
        if self.long is not None and not 0 < self.long <= 70:
            raise ValueError("a long run takes up to 70 s")

    @property
    def quick(self) -> float:
        """What the first part takes at most."""
        return self.n * self.interval + self.patience

    @property
    def seconds(self) -> float:
        """What everything takes at most."""
        return self.quick + (0.0 if self.long is None else self.long + self.patience)


What = Literal["ws", "sse", "poll", "uplink"]


@dataclass(frozen=True, slots=True)
class Step:
    """Progress. `result` None: it has begun. `long`: it is about the long run."""

    what: What
    result: Finding | Uplink | None = None
    long: bool = False


OnStep = Callable[[Step], None]


async def probe(
    url: str, *, token: str | None = None, plan: Plan | None = None, on_step: OnStep | None = None
) -> Report:
    """What the network between here and the server at `url` does to each transport.

    Takes `plan.seconds` at most. Five connections at once in the long run, four before it. `on_step` is called as
    parts begin and end. Raises ValueError for what is no URL; what goes wrong on the way is in the report.
    Cancelling is safe.
    """
    # Not a client's name: the server would keep nothing under it anyway.
    target = Target(url=base_url(url), client="probe", token=token)
    return await _Probe(target, plan or Plan(), on_step or (lambda step: None)).run()


class _Probe:
    def __init__(self, target: Target, plan: Plan, on_step: OnStep) -> None:
        self._target = target
        self._plan = plan
        self._tell = on_step

    async def run(self) -> Report:
        at, start = time.time(), time.monotonic()
        async with asyncio.TaskGroup() as tasks:
            ways = {name: tasks.create_task(self._quick(name)) for name in TRANSPORTS}
            up = tasks.create_task(self._uplink())
        findings, uplink = {name: task.result() for name, task in ways.items()}, up.result()
        if self._plan.long is not None:
            async with asyncio.TaskGroup() as tasks:
                usable = [name for name, found in findings.items() if found.verdict.usable]
                longer = {name: tasks.create_task(self._endure(findings[name], self._plan.long)) for name in usable}
            findings.update({name: task.result() for name, task in longer.items()})
        if not any(found.verdict.usable for found in findings.values()):
            uplink = alone(uplink)
        url = self._target.url
        return Report(
            url=str(url.with_user(None).with_query(None)),  # both may hold secrets
            authority=f"{url.host}:{url.port}",
            at=at,
            took=time.monotonic() - start,
            proxy=_proxy(url),
            findings={name: with_uplink(found, uplink) for name, found in findings.items()},
            uplink=uplink,
        )

    async def _quick(self, name: TransportName) -> Finding:
        self._tell(Step(name))
        # Polls come one after the other, each in its own time: a few fill the same time as the stream.
        plan, n = self._plan, POLLS if name == "poll" else self._plan.n
        interval = plan.n * plan.interval / n
        finding = diagnose(await Run(self._target, n, interval, plan.patience).observe(name))
        self._tell(Step(name, finding))
        return finding

    async def _uplink(self) -> Uplink:
        self._tell(Step("uplink"))
        uplink = await check_uplink(self._target, self._plan.quick)
        self._tell(Step("uplink", uplink))
        return uplink

    async def _endure(self, finding: Finding, seconds: float) -> Finding:
        name, idle = finding.transport, seconds * IDLE_SHARE
        self._tell(Step(name, long=True))
        if name == "poll":
            finding = with_endurance(finding, None, await self._series(name, 1, idle))
        else:
            async with asyncio.TaskGroup() as tasks:
                busy = tasks.create_task(self._series(name, BUSY_FRAMES, seconds / BUSY_FRAMES))
                # The second frame is due after `idle`; the server counts two intervals.
                quiet = tasks.create_task(self._series(name, 2, min(idle, CANARY_MAX / 2)))
            finding = with_endurance(finding, busy.result(), quiet.result())
        self._tell(Step(name, finding, long=True))
        return finding

    async def _series(self, name: TransportName, n: int, interval: float) -> Observation:
        # Of a series, the last frame is due one interval before n of them are over: that much is not waited for.
        patience = self._plan.patience - (interval if n == 2 else 0.0)
        return await Run(self._target, n, interval, patience).observe(name)


def _proxy(url: URL) -> str | None:
    """The proxy that the environment names for this address, without its login."""
    named = getproxies().get(url.scheme)
    if named is None or proxy_bypass(url.host or ""):
        return None
    try:
        return str(URL(named).with_user(None))
    except ValueError:
        return "one whose address cannot be read"
