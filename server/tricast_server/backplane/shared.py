"""One question to the engine for all who ask it meanwhile."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Generic, TypeVar

from tricast.errors import Unavailable
from tricast_server.bus.tasks import end_task

T = TypeVar("T")


class Shared(Generic[T]):
    """However many ask, at most one call is under way and one waits for it to end: an answer that was asked for before
    somebody came may be too old for them, so whoever comes meanwhile shares the next. `call` has its own deadline and
    raises nothing but Unavailable. Whoever asks may be cancelled: the others get their answer. `close` by its owner.
    """

    def __init__(self, call: Callable[[], Awaitable[T]]) -> None:
        self._call = call
        self._running: asyncio.Task[T] | None = None
        self._next: asyncio.Task[T] | None = None

    async def ask(self) -> T:
        """Raises what the call raises, and Unavailable where it is closed meanwhile."""
        task = self._next
        if task is None:
            task = self._next = asyncio.create_task(self._run(self._running))
            task.add_done_callback(_seen)
        await asyncio.wait((task,))
        if task.cancelled():
            raise Unavailable("the bus is closed", retry_after=1.0)
        return task.result()

    async def close(self) -> None:
        """Idempotent."""
        for task in (self._next, self._running):
            if task is not None and not task.done():
                with suppress(Unavailable):
                    await end_task(task)

    async def _run(self, before: asyncio.Task[T] | None) -> T:
        if before is not None:
            await asyncio.wait((before,))
        self._running, self._next = self._next, None
        return await self._call()


def _seen(task: asyncio.Task[T]) -> None:
    """Where all who asked have left, nobody misses the error."""
    if not task.cancelled():
        task.exception()
