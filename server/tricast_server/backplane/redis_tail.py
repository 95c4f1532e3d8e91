"""Following the stream: in order, nothing twice, and no loss without a word.

A record names the one before it, so a tail that reads on from where it stood sees by itself whether something is
missing between. What was trimmed before it could be read makes its log start anew in the same epoch. What was there
once and is not any more (an append-only file lost its end, a replica that lagged became the master) takes a new epoch:
the node that finds it has one begun, the others read of that in the stream, or on their own next look.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Final

from tricast.errors import Unavailable
from tricast.wire.cursor import Cursor
from tricast_server.backplane.base import Bounds, Deliver, EpochStarted, Record
from tricast_server.backplane.redis_store import Seen, Store, Stored
from tricast_server.backplane.stored import load

log = logging.getLogger(__name__)

PAUSE: Final = 0.05
"""Seconds between attempts to read, where Redis is there and yet refuses that."""
WAIT: Final = 1.0
"""Seconds that Redis holds a read; then the tail looks whether the log is still the one it follows."""


class Tail:
    """`begin`, then `step` again and again; after Unavailable too, once Redis is back."""

    def __init__(self, store: Store, deliver: Deliver, told: Callable[[Seen], None]) -> None:
        self._store = store
        self._deliver = deliver
        self._told = told
        self._epoch = ""
        self._start = 0
        self._position = 0
        self._acknowledged: deque[int] = deque()
        self._sure = True

    async def begin(self) -> Bounds:
        """Delivers what is kept. Raises Unavailable."""
        state = await self._store.state(Seen())
        self._restart(state)
        end = state.end
        while self._epoch == state.epoch and self._position < end:
            if not await self._read(0):
                break
        return Bounds(self._epoch, self._start, self._position)

    async def step(self) -> None:
        """Delivers what comes next; waits for it a while. Raises Unavailable."""
        try:
            if not self._sure:
                await self._look()
            self._sure = await self._read(WAIT)
        except BaseException:  # also where it was cancelled in the middle
            self._sure = False
            raise

    def expect(self, epoch: str, offset: int) -> None:
        """This node was told that its entry is at `offset`: it has to come by here, if it has not."""
        if epoch == self._epoch and offset > self._position:
            self._acknowledged.append(offset)

    async def _read(self, wait: float) -> bool:
        """Whether anything came."""
        records = await self._store.read(self._position, wait)
        if records:
            stopped = self._take(records)
            if stopped is not None:
                await self._skip(stopped)
        return bool(records)

    async def _skip(self, to: Stored) -> None:
        """Something is missing between the place where this tail stands and `to`."""
        lost = to.prev < self._position or self._misses(to)
        log.warning("redis has lost what it had acknowledged" if lost else "redis let go what was not read yet")
        epoch = self._epoch
        state = await self._store.state(self._seen, broken=lost)
        if state.epoch == epoch:  # what was before `to` is not to come again
            state = replace(state, start=max(state.start, to.prev))
        self._restart(state)

    async def _look(self) -> None:
        """Finds what reading on does not tell where nothing comes any more."""
        state = await self._store.state(self._seen)
        if state.epoch == self._epoch:
            gone = state.start > self._position
        else:  # where it began should be ahead, to be read in its order
            gone = state.start <= self._position or not await self._read(0)
        if gone:
            self._restart(state)

    def _misses(self, stored: Stored) -> bool:
        return bool(self._acknowledged) and self._acknowledged[0] < stored.offset

    def _take(self, records: Sequence[Stored]) -> Stored | None:
        """Delivers up to a loss, and returns what stands after it."""
        out: list[Record] = []
        after_loss = None
        for stored in records:
            if stored.epoch is not None:
                self._enter(stored.epoch, stored.offset)
                out.append(EpochStarted(Cursor(stored.epoch, stored.offset)))
                continue
            if stored.prev != self._position or self._misses(stored):
                after_loss = stored
                break
            if self._acknowledged and self._acknowledged[0] == stored.offset:
                self._acknowledged.popleft()
            self._position = stored.offset
            out.append(self._loaded(stored))
        self._emit(out)
        return after_loss

    def _loaded(self, stored: Stored) -> Record:
        try:
            return load(stored.entry, stored.offset)
        except ValueError as error:
            log.error("an entry in redis cannot be read, so readers are told of a gap: %s", error)
            return EpochStarted(Cursor(self._epoch, stored.offset))

    def _restart(self, state: Bounds) -> None:
        self._enter(state.epoch, state.start)
        self._emit([EpochStarted(Cursor(state.epoch, state.start))])

    def _enter(self, epoch: str, start: int) -> None:
        self._epoch = epoch
        self._start = self._position = start
        self._acknowledged.clear()

    def _emit(self, records: Sequence[Record]) -> None:
        self._told(self._seen)
        if records:
            self._deliver(records)

    @property
    def _seen(self) -> Seen:
        return Seen(self._epoch, self._acknowledged[-1] if self._acknowledged else self._position)


async def follow(tail: Tail, lost: Callable[[], None], back: asyncio.Event) -> None:
    """Until it is cancelled. Tells of each failure with `lost`, then waits until Redis is `back`."""
    while True:
        await back.wait()
        try:
            await tail.step()
        except Unavailable:
            lost()
        except Exception:
            log.exception("following redis failed; it is tried again")
            lost()
        else:
            continue
        await asyncio.sleep(PAUSE)
