"""One timer for all that wait: heartbeats and checks cost a heap entry each, not a handle of the event loop."""

from __future__ import annotations

import asyncio
import heapq
from itertools import count
from typing import Protocol
from weakref import ref

GRANULARITY = 0.02


class Timed(Protocol):
    """Held weakly."""

    def beat(self, now: float) -> float | None:
        """Called at or after the time asked for. Returns the next time, or None to be forgotten. Must not block."""


class Timers:
    """Times are the loop's clock, seconds. Who is gone is not kept for the time that it had asked for: a storm of
    connections that end at once would be memory until their first heartbeats.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._heap: list[tuple[float, int, ref[Timed]]] = []
        self._number = count()
        self._handle: asyncio.Handle | None = None
        self._due = 0.0

    def add(self, when: float, timed: Timed) -> None:
        heapq.heappush(self._heap, (when, next(self._number), ref(timed)))
        self._arm()

    def close(self) -> None:
        self._heap.clear()
        if self._handle is not None:
            self._handle.cancel()

    def _arm(self) -> None:
        when = self._heap[0][0] + GRANULARITY
        if self._handle is not None:
            if self._due <= when:
                return
            self._handle.cancel()
        self._due = when  # uvloop's handle of a time that has passed does not tell it
        self._handle = self._loop.call_at(when, self._run)

    def _run(self) -> None:
        self._handle = None
        now = self._loop.time()
        try:
            while self._heap and self._heap[0][0] <= now:
                _, number, reference = heapq.heappop(self._heap)
                timed = reference()
                again = None if timed is None else timed.beat(now)
                if again is not None:
                    heapq.heappush(self._heap, (max(again, now + GRANULARITY), number, reference))
        finally:
            if self._heap:  # also after a defect in one: the others' time still comes
                self._arm()
