"""The bus of one node: the log, who listens, and one flush per tick of the event loop."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Sequence

from tricast.errors import Unavailable
from tricast.wire.cursor import OFFSET_LIMIT, Cursor
from tricast.wire.messages import Gap
from tricast_server.backplane.base import Backplane, EpochStarted, Publication, Receipt, Record
from tricast_server.bus.audience import Audience, Audiences, Parked
from tricast_server.bus.log import Entry, Log, Retention
from tricast_server.bus.meters import Meters
from tricast_server.bus.subscription import End, Sink, Subscription
from tricast_server.bus.tasks import end_task
from tricast_server.bus.timers import Timers
from tricast_server.bus.view import Framing, Shown, Slice, View, read

log = logging.getLogger(__name__)

ENCODED_MAX = 4 * 2**20
DIRECT_MAX = 64 * 2**10
"""Bytes that are written to a connection without asking how much it may hold."""
PART_MAX = 2**20
"""Bytes that polls may be given without reading them themselves."""
TRIM_INTERVAL = 1.0
REACH_TIMEOUT = 10.0


class Bus:
    """See the module. Times are in seconds. `start` before use, `close` after; all on one event loop."""

    def __init__(
        self,
        backplane: Backplane,
        *,
        retention: Retention | None = None,
        heartbeat: float = 15.0,
        flush_interval: float = 0.0,
        drop_slow: bool = False,
        wall: Callable[[], float] = time.time,
    ) -> None:
        self.backplane = backplane
        self.heartbeat = heartbeat
        self.draining = False
        self.drop_slow = drop_slow
        """Whether a subscription that has missed something by its own slowness is ended instead of told."""
        self.meters = Meters()
        self.subscriptions: dict[Subscription, None] = {}
        self._retention = retention or Retention()
        self._flush_interval = flush_interval
        self._wall = wall
        self._log: Log | None = None
        self._audiences = Audiences[Subscription]()
        self._polls = Audiences[Parked]()
        self._pending: list[Entry] = []
        self._flushed = Cursor("", 0)
        self._flush_handle: asyncio.Handle | None = None
        self._encoded: dict[tuple[str, int], bytes] = {}
        self._encoded_size = 0
        self._publishing = 0
        self._published: asyncio.Event | None = None
        self._reached: asyncio.Event | None = None
        self._trimmer: asyncio.Task[None] | None = None
        self._timers: Timers | None = None

    # Life

    async def start(self) -> None:
        """Raises Unavailable where the backplane cannot be reached; then it is closed."""
        loop = asyncio.get_running_loop()
        self.now = loop.time
        self._loop = loop
        self._timers = Timers(loop)
        try:
            await self.backplane.tail(self._take)
        except BaseException:  # also where it was cancelled: nothing of it may go on
            await self.close()
            raise
        self._trimmer = asyncio.create_task(self._trim())

    async def close(self) -> None:
        """Idempotent."""
        for subscription in list(self.subscriptions):
            await subscription.aclose()
        self.wake_parked()
        await self.backplane.close()
        if self._timers is not None:
            self._timers.close()
        self.wake_parked()  # those that came meanwhile; no timer would
        if self._flush_handle is not None:
            self._flush_handle.cancel()
        if self._trimmer is not None:
            await end_task(self._trimmer)
            self._trimmer = None

    @property
    def log(self) -> Log:
        assert self._log is not None, "the bus was not started"
        return self._log

    @property
    def flushed(self) -> Cursor:
        """The cursor of every live subscription."""
        return self._flushed

    # Writing

    async def publish(self, publication: Publication) -> Receipt:
        """Appends, and returns once this node's own readers can have it. Raises Conflict, Unavailable."""
        if self.draining:
            raise Unavailable("this node is going away", retry_after=1.0)
        self._publishing += 1
        try:
            began = time.perf_counter()
            receipt = await self.backplane.append(publication)
            self.meters.append.observe(time.perf_counter() - began)
            if self.log.head < receipt.at.offset:
                async with asyncio.timeout(REACH_TIMEOUT):
                    await self.reached(receipt.at)
        except TimeoutError:
            raise Unavailable("this node lags behind the log; the outcome is unknown", retry_after=1.0) from None
        finally:
            self._publishing -= 1
            if self._published is not None:
                self._published.set()
        return receipt

    async def stop_publishing(self) -> None:
        """From here on publishes are refused; returns when those under way are in the log and flushed."""
        self.draining = True
        while self._publishing:
            self._published = asyncio.Event()
            await self._published.wait()
        self.flush()

    async def reached(self, cursor: Cursor) -> None:
        """Returns when this node's log holds all up to `cursor`, or has another epoch. No deadline of its own."""
        while self.log.epoch == cursor.epoch and self.log.head < cursor.offset:
            self._reached = self._reached or asyncio.Event()
            await self._reached.wait()

    async def entered(self, epoch: str) -> None:
        """Returns when this node's log is in that epoch. No deadline of its own."""
        while self.log.epoch != epoch:
            self._reached = self._reached or asyncio.Event()
            await self._reached.wait()

    def _take(self, records: Sequence[Record]) -> None:
        """What the backplane's tail delivers."""
        for record in records:
            if isinstance(record, EpochStarted):
                self._start_epoch(record.at)
            else:
                self.log.append(record)
                self._pending.append(record)
        if self._pending and self._flush_handle is None:
            self._flush_handle = (
                self._loop.call_later(self._flush_interval, self.flush)
                if self._flush_interval
                else self._loop.call_soon(self.flush)
            )
        if self._reached is not None:
            self._reached.set()
            self._reached = None

    def _start_epoch(self, at: Cursor) -> None:
        self.flush()
        if self._log is None:
            self._log = Log(at.epoch, retention=self._retention)
        self._log.restart(at.epoch, at.offset)
        self._encoded.clear()
        self._encoded_size = 0
        for subscription in self._audiences.members():
            subscription.fall_behind()  # its cursor is of the old epoch, so it goes on with a gap
        self.wake_parked()
        self._flushed = self.log.cursor

    async def _trim(self) -> None:
        while True:
            self.log.trim(self._wall())
            began = time.perf_counter()
            await asyncio.sleep(TRIM_INTERVAL)
            self.meters.loop_lag.observe(max(0.0, time.perf_counter() - began - TRIM_INTERVAL))

    # Reading

    def subscribe(self, sink: Sink, view: View, cursor: Cursor, on_end: Callable[[End], None]) -> Subscription:
        """A subscription that has not started yet. Whoever owns the connection closes it with `aclose`."""
        subscription = Subscription(self, sink, view, cursor, on_end)
        self.subscriptions[subscription] = None
        assert self._timers is not None
        self._timers.add(self.now() + self.heartbeat, subscription)
        return subscription

    def forget(self, subscription: Subscription) -> None:
        self.subscriptions.pop(subscription, None)

    async def park(self, view: View, seconds: float, gone: Callable[[], bool]) -> Slice | None:
        """Waits until `view` is shown something, the client is `gone`, or the time is up. Cancelling is safe.

        Returns what there is to read, None where that has to be looked up. Between a read that found nothing and this
        there must be no await.
        """
        self.flush()
        now = self.now()
        parked = Parked(self._loop, now + seconds, gone)
        audience = self._polls.add(parked, view)
        assert self._timers is not None
        self._timers.add(parked.first_look(now), parked)
        try:
            return await parked.wait()
        finally:
            self._polls.remove(parked, audience)

    @property
    def parked(self) -> int:
        return len(self._polls.members())

    def wake_parked(self) -> None:
        for parked in self._polls.members():
            parked.wake()

    def read(
        self,
        view: View,
        after: Cursor,
        *,
        slow_after: int = OFFSET_LIMIT,
        at_switch: bool = False,
        limit: int = 500,
        size: int = 2**20,
    ) -> Slice:
        return read(self.log, view, after, slow_after=slow_after, at_switch=at_switch, limit=limit, size=size)

    def encode(self, shown: Sequence[Shown], framing: Framing) -> list[bytes]:
        """Each as bytes; an entry is encoded once per framing, not once per reader."""
        encode = self._encode if framing.alone is framing else self._encode_alone
        return [self._encode_gap(item, framing) if isinstance(item, Gap) else encode(item, framing) for item in shown]

    def _encode_alone(self, entry: Entry, framing: Framing) -> bytes:
        known = self._encoded.get((framing.name, entry.offset))
        return self._encode(entry, framing.alone) if known is None else known

    def _encode_gap(self, gap: Gap, framing: Framing) -> bytes:
        self.meters.gaps[gap.reason] += 1
        return framing.frame(gap, gap.cursor)

    def _encode(self, entry: Entry, framing: Framing) -> bytes:
        key = (framing.name, entry.offset)
        data = self._encoded.get(key)
        if data is None:
            data = framing.entry(entry, self.log.epoch)
            if self._encoded_size > ENCODED_MAX:
                self._encoded.clear()
                self._encoded_size = 0
            self._encoded[key] = data
            self._encoded_size += len(data)
        return data

    # The live set

    def join(self, subscription: Subscription) -> Audience[Subscription]:
        sink = subscription.sink
        audience = self._audiences.add(subscription, subscription.view, sink.framing, sink.transport)
        audience.flow = self.meters.flow(sink.framing.name)
        return audience

    def leave(self, subscription: Subscription, audience: Audience[Subscription]) -> None:
        self._audiences.remove(subscription, audience)

    def flush(self) -> None:
        """Write what has come since the last flush to everyone live, in log order. Never suspends."""
        if self._flush_handle is not None:
            self._flush_handle.cancel()
            self._flush_handle = None
        if not self._pending:
            return
        pending, self._pending = self._pending, []
        now, began, told = self.now(), time.perf_counter(), False
        for audience, entries in self._audiences.told(pending):
            told = True
            try:
                self._tell(audience, entries, now)
            except Exception:
                # A defect in one framing: its readers must not be carried past what they did not get, nor the others.
                log.exception("what %s reads could not be written", audience.framing.name if audience.framing else None)
                for subscription in list(audience.members):
                    subscription.fail()
        self._flushed = Cursor(self.log.epoch, pending[-1].offset)
        for polls, entries in self._polls.told(pending):
            part = None  # each then reads up to its own limits
            if sum(entry.size for entry in entries) <= PART_MAX:
                part = Slice(entries, self._flushed, False)  # one for all, so that one answer can be made of it
            told = True
            for parked in polls.members:
                parked.wake(part)
        if told:  # what nobody heard, as the history that is read at start, took no time to reach anybody
            self.meters.flush.observe(time.perf_counter() - began)
            self.meters.lag.observe(max(0.0, self._wall() - pending[0].ts))  # another node's clock may be ahead

    def _tell(self, audience: Audience[Subscription], entries: Sequence[Entry], now: float) -> None:
        framing = audience.framing
        assert framing is not None
        data = framing.join([self._encode(entry, framing) for entry in entries])
        # Most connections have taken all they were given, and take this at once: they get it without a detour. To
        # write changes no set of members (asyncio tells of a lost connection later), so none is copied.
        members, others, large = len(audience.members), [], len(data) > DIRECT_MAX
        for member, transport in audience.members.items():
            if large or transport is None or transport.is_closing() or transport.get_write_buffer_size():
                others.append(member)
            else:
                transport.write(data)
        audience.last_write = now
        for member in others:
            member.deliver(data, now)
        audience.flow.messages += members * len(entries)
        audience.flow.size += members * len(data)

    def count(self, framing: Framing, messages: int, size: int) -> None:
        """What was written to subscribers: messages and gaps, and their bytes."""
        flow = self.meters.flow(framing.name)
        flow.messages += messages
        flow.size += size
