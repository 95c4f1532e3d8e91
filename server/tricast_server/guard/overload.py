"""Whether this process is behind with its work, so that what runs goes on and new connections wait."""

from __future__ import annotations

import asyncio
import logging
import time

from tricast_server.usage import usage

log = logging.getLogger("tricast_server.refusals")
STEP = 0.1
HOLD = 1.0
"""Seconds for which once late is late: with work piled up, one step in time says little."""
MEMORY_STEP = 1.0
ENOUGH_LESS = 0.95
"""Of `max_memory`, where it ends: else it would begin and end with each look."""


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
        blind = False
        while True:
            try:
                self._weigh(int((await asyncio.to_thread(usage)).get("memory", 0)))
                blind = False
            except Exception:  # it may be better the next time, and nobody would see that the watcher has ended
                if not blind:
                    log.exception("what memory this process has cannot be found out")
                blind = True
            await asyncio.sleep(MEMORY_STEP)

    def _weigh(self, memory: int) -> None:
        full = memory > self._max_memory * (ENOUGH_LESS if self._full else 1.0)
        if full == self._full:
            return
        self._full = full
        if full:
            log.warning("%d bytes of memory, more than --max-memory: new connects are refused until it is less", memory)
        else:
            log.info("%d bytes of memory: new connects are taken again", memory)
