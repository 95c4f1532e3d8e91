"""A log in Redis Streams (Redis 6.2 and later, Valkey): every node of the bus appends to one stream and follows it.

Redis acknowledges before its append-only file is on the disk (`appendfsync everysec`) or on a replica. So it can lose
what it has acknowledged; then a new epoch begins, and readers are told. It should not evict keys
(`maxmemory-policy noeviction`): it would forget which ids were used.

Appends that come while one is under way go together in the next script: one round trip, one order.
"""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Final

from tricast.errors import Conflict, Unavailable
from tricast.wire.cursor import Cursor
from tricast_server.backplane.base import KEPT_COUNT, Backplane, Bounds, Deliver, Publication, Receipt
from tricast_server.backplane.redis_client import client_of
from tricast_server.backplane.redis_store import Draft, Outcome, Refused, Seen, Store
from tricast_server.backplane.redis_tail import Tail, follow
from tricast_server.backplane.shared import Shared
from tricast_server.bus.log import Retention
from tricast_server.bus.tasks import end_task

log = logging.getLogger(__name__)

APPEND_TIMEOUT: Final = 2.5
LOAD_TIMEOUT: Final = 60.0
BATCH_COUNT: Final = 128
BATCH_SIZE: Final = 2**20
LOOK_INTERVAL: Final = 1.0
"""Seconds between looks at an engine that answers. Each trims the stream, too."""
RETRY_FIRST, RETRY_LAST = 0.05, 1.0


@dataclass(slots=True, eq=False)
class _Job:
    draft: Draft
    done: asyncio.Future[Receipt]


class RedisBackplane(Backplane):
    """`url` as in `redis_client`; the nodes of one bus give the same `stream`. Opens nothing before its first use.

    `retention.count` is over all topics. `wall` is the clock that entries are dated by.
    """

    engine = "redis"

    def __init__(
        self,
        url: str,
        stream: str = "tricast",
        *,
        retention: Retention | None = None,
        dedupe_window: float = 120.0,
        wall: Callable[[], float] = time.time,
    ) -> None:
        self._store = Store(client_of(url), stream, retention or Retention(count=KEPT_COUNT), dedupe_window)
        self._wall = wall
        self._closed = False
        self._seen = Seen()
        self._jobs: deque[_Job] = deque()
        self._work = asyncio.Event()
        self._doubt = asyncio.Event()
        self._back = asyncio.Event()
        self._back.set()  # until it is known better
        self._state = Shared(self._ask_state)
        self._tails: list[Tail] = []
        self._tasks: list[asyncio.Task[None]] = []

    @property
    def up(self) -> bool:
        return self._back.is_set()

    async def append(self, publication: Publication) -> Receipt:
        self._begin()
        job = _Job(Draft.of(publication, self._wall()), asyncio.get_running_loop().create_future())
        self._jobs.append(job)
        self._work.set()
        try:
            async with asyncio.timeout(APPEND_TIMEOUT):
                return await job.done
        except TimeoutError:
            self._lost()
            raise Unavailable("the log's engine does not answer; the outcome is unknown", retry_after=1.0) from None

    async def tail(self, deliver: Deliver) -> Bounds:
        self._begin()
        tail = Tail(self._store, self._unless_closed(deliver), self._learn)
        try:
            async with asyncio.timeout(LOAD_TIMEOUT):
                bounds = await tail.begin()
        except TimeoutError:
            raise Unavailable("the log could not be loaded in time", retry_after=1.0) from None
        except Unavailable as error:
            raise self._away(error) from None
        self._begin()  # raises where it was closed meanwhile
        self._tails.append(tail)
        self._tasks.append(asyncio.create_task(follow(tail, self._lost, self._back)))
        return bounds

    async def bounds(self) -> Bounds:
        self._begin()
        return await self._state.ask()

    async def close(self) -> None:
        self._closed = True
        self._tails.clear()
        tasks, self._tasks = self._tasks, []
        for task in tasks:
            await end_task(task)
        await self._state.close()
        self._fail(self._jobs, "the bus is closed")
        await self._store.close()

    def _begin(self) -> None:
        """What goes before every use. Raises Unavailable at once where there is no engine, as far as is known."""
        if self._closed:
            raise Unavailable("the bus is closed", retry_after=1.0)
        if not self._tasks:
            self._tasks += (asyncio.create_task(self._write()), asyncio.create_task(self._keep()))
        if not self.up:
            raise Unavailable("the log's engine is away", retry_after=1.0)

    def _unless_closed(self, deliver: Deliver) -> Deliver:
        return lambda records: None if self._closed else deliver(records)

    # What is known of the engine

    async def _ask_state(self) -> Bounds:
        self._begin()  # whoever waited for one that failed need not wait for another
        try:
            async with asyncio.timeout(APPEND_TIMEOUT):
                return await self._store.state(self._seen)
        except TimeoutError:
            self._lost()
            raise Unavailable("the log's engine does not answer", retry_after=1.0) from None
        except Unavailable as error:
            raise self._away(error) from None

    def _learn(self, seen: Seen) -> None:
        if seen.epoch != self._seen.epoch or seen.offset > self._seen.offset:
            self._seen = seen

    def _lost(self) -> None:
        """It did not answer: nobody waits for it, until it does."""
        self._back.clear()
        self._doubt.set()

    def _away(self, error: Unavailable) -> Unavailable:
        """What to tell of an error. What the engine said is for the log alone."""
        if isinstance(error, Refused):
            self._doubt.set()
            return Unavailable("the log's engine refuses", retry_after=1.0)
        self._lost()
        return Unavailable("the log's engine does not answer", retry_after=1.0)

    async def _keep(self) -> None:
        """Looks at the engine now and then, and at once where something failed: is it there, is it the same log?"""
        pause = RETRY_FIRST
        away = False
        while True:
            self._doubt.clear()
            try:
                await self._store.state(self._seen, trim=True)
            except Unavailable as error:
                self._back.clear()
                if not away:
                    log.warning("%s; publishes are refused until it does", error)
                away = True
                await asyncio.sleep(pause * random.uniform(0.5, 1.0))
                pause = min(2 * pause, RETRY_LAST)
                continue
            if away:
                log.info("redis is back")
            away = False
            pause = RETRY_FIRST
            self._back.set()
            with suppress(TimeoutError):
                async with asyncio.timeout(LOOK_INTERVAL):
                    await self._doubt.wait()

    # Writing

    async def _write(self) -> None:
        """Appends, batch after batch."""
        while True:
            await self._work.wait()
            batch = self._next_batch()
            if not batch:
                self._work.clear()
                continue
            try:
                epoch, outcomes = await self._store.append(self._seen, [job.draft for job in batch])
            except Unavailable as error:
                told = self._away(error)
                self._fail(batch, f"{told.message}; the outcome is unknown")
                if not self.up:
                    self._fail(self._jobs, told.message)
            except BaseException as error:
                self._fail(batch, "it failed; the outcome is unknown")
                if not isinstance(error, Exception):
                    raise
                log.exception("appending to redis failed")
            else:
                self._settle(batch, epoch, outcomes)

    def _next_batch(self) -> list[_Job]:
        batch: list[_Job] = []
        size = 0
        while self._jobs and len(batch) < BATCH_COUNT and size < BATCH_SIZE:
            job = self._jobs.popleft()
            if not job.done.done():  # else its caller has left
                batch.append(job)
                size += len(job.draft.data)
        return batch

    def _settle(self, batch: Sequence[_Job], epoch: str, outcomes: Sequence[Outcome]) -> None:
        for job, outcome in zip(batch, outcomes, strict=True):
            if outcome.offset is not None and not outcome.duplicate:
                self._learn(Seen(epoch, outcome.offset))
                for tail in self._tails:
                    tail.expect(epoch, outcome.offset)
            if job.done.done():
                continue
            if outcome.offset is None:
                job.done.set_exception(Conflict("the id was used for another message"))
            else:
                job.done.set_result(Receipt(Cursor(epoch, outcome.offset), duplicate=outcome.duplicate))

    @staticmethod
    def _fail(jobs: list[_Job] | deque[_Job], message: str) -> None:
        for job in jobs:
            if not job.done.done():
                job.done.set_exception(Unavailable(message, retry_after=1.0))
        jobs.clear()
