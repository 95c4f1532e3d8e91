"""The faults of now, and waiting for what depends on them: whoever waits is woken when they change."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar
from weakref import WeakSet

from tricast_bench.middlebox.faults import Faults

T = TypeVar("T")


class Live:
    """Faults that can be switched while others wait on them."""

    def __init__(self, faults: Faults) -> None:
        self._faults = faults
        self._bells: WeakSet[asyncio.Event] = WeakSet()

    @property
    def faults(self) -> Faults:
        return self._faults

    def set(self, faults: Faults) -> None:
        self._faults = faults
        for bell in self._bells:
            bell.set()

    async def until(self, due: Callable[[Faults], float | None], bell: asyncio.Event) -> None:
        """Returns when due(faults) is past, by the loop's clock; None never is.

        It is asked anew when the faults change and when `bell` is set, by one waiter at a time. Can be cancelled.
        """
        self._bells.add(bell)
        now = asyncio.get_running_loop().time
        while True:
            bell.clear()
            when = due(self._faults)
            if when is not None and when <= now():
                return
            try:
                async with asyncio.timeout_at(when):
                    await bell.wait()
            except TimeoutError:
                continue


async def forever() -> None:
    """Returns never. Can be cancelled."""
    await asyncio.Event().wait()


async def first(wanted: Coroutine[Any, Any, T], end: Coroutine[Any, Any, object]) -> T | None:
    """What `wanted` returns, or None where `end` comes before it. The other one is cancelled and has ended."""
    tasks = asyncio.ensure_future(wanted), asyncio.ensure_future(end)
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        return tasks[0].result() if tasks[0].done() else None
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
