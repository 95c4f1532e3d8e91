"""Whether this process is behind with its work, so that what runs goes on and new connections wait."""

from __future__ import annotations

import asyncio
import time

from tricast_server.usage import usage

STEP = 0.1
HOLD = 1.0
"""Seconds for which once late is late: with work piled up, one step in time says little."""
MEMORY_STEP = 1.0


class Overload:
    """Watches how late the event loop is (`max_lag`, seconds) and what memory the process has (`max_memory`, bytes);
    0 does not watch. `start` and `close` by its owner, on the event loop.
    """

    def __init__(self, max_lag: float, max_memory: int) -> None:
        self._max_lag = max_lag
        self._max_memory = max_memory
        self._late_until = 0.0
        self._full = False
        self._tasks: list[asyncio.Task[None]] = []

    def start(self) -> None:
        if self._max_lag:
            self._tasks.append(asyncio.create_task(self._watch_lag()))
        if self._max_memory:
            self._tasks.append(asyncio.create_task(self._watch_memory()))

    async def close(self) -> None:
        """Idempotent."""
        tasks, self._tasks = self._tasks, []
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def reason(self, now: float) -> str | None:
        """What there is too much of: "lag" or "memory". `now` is time.monotonic()."""
        if now < self._late_until:
            return "lag"
        return "memory" if self._full else None

    async def _watch_lag(self) -> None:
        while True:
            due = time.monotonic() + STEP  # the loop's own clock may stand still while it is late
            await asyncio.sleep(STEP)
            if (now := time.monotonic()) - due > self._max_lag:
                self._late_until = now + HOLD

    async def _watch_memory(self) -> None:
        while True:
            self._full = (await asyncio.to_thread(usage)).get("memory", 0) > self._max_memory
            await asyncio.sleep(MEMORY_STEP)
