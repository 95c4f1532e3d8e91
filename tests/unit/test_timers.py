"""The one timer for all that wait, on both event loops that the server may run on."""

from __future__ import annotations

import asyncio
import gc
import weakref
from collections.abc import Callable

import pytest
import uvloop

from tricast_server.bus.timers import GRANULARITY, Timers

LOOPS = [asyncio.new_event_loop, uvloop.new_event_loop]


class Beats:
    """Comes again every `interval`, `times` in all."""

    def __init__(self, interval: float, times: int) -> None:
        self.interval = interval
        self.left = times
        self.at: list[float] = []

    def beat(self, now: float) -> float | None:
        self.at.append(now)
        self.left -= 1
        return now + self.interval if self.left else None


@pytest.mark.parametrize("new_event_loop", LOOPS)
def test_each_comes_in_its_time_however_late_it_was_added(
    new_event_loop: Callable[[], asyncio.AbstractEventLoop],
) -> None:
    async def run() -> None:
        loop = asyncio.get_running_loop()
        timers = Timers(loop)
        start = loop.time()
        overdue, soon, often = Beats(1, 1), Beats(1, 1), Beats(2 * GRANULARITY, 3)
        timers.add(start - 1, overdue)
        timers.add(start + 0.1, soon)  # while the handle is of a time that has passed
        timers.add(start, often)
        await asyncio.sleep(0.3)
        assert len(overdue.at) == 1
        assert len(soon.at) == 1
        assert soon.at[0] >= start + 0.1
        assert len(often.at) == 3
        assert often.at[1] - often.at[0] >= 2 * GRANULARITY
        timers.close()

    with asyncio.Runner(loop_factory=new_event_loop) as runner:
        runner.run(run())


@pytest.mark.parametrize("new_event_loop", LOOPS)
def test_nothing_comes_after_it_was_closed(new_event_loop: Callable[[], asyncio.AbstractEventLoop]) -> None:
    async def run() -> None:
        loop = asyncio.get_running_loop()
        timers = Timers(loop)
        never = Beats(1, 1)
        timers.add(loop.time() + GRANULARITY, never)
        timers.close()
        await asyncio.sleep(4 * GRANULARITY)
        assert not never.at

    with asyncio.Runner(loop_factory=new_event_loop) as runner:
        runner.run(run())


@pytest.mark.parametrize("new_event_loop", LOOPS)
def test_who_is_gone_is_not_kept(new_event_loop: Callable[[], asyncio.AbstractEventLoop]) -> None:
    async def run() -> None:
        loop = asyncio.get_running_loop()
        timers = Timers(loop)
        gone, stays = Beats(1, 1), Beats(1, 1)
        timers.add(loop.time(), gone)
        timers.add(loop.time(), stays)
        known = weakref.ref(gone)
        del gone
        gc.collect()
        assert known() is None
        await asyncio.sleep(0.1)
        assert len(stays.at) == 1
        timers.close()

    with asyncio.Runner(loop_factory=new_event_loop) as runner:
        runner.run(run())
