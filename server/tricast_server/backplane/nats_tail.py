"""A tail on JetStream: one ordered consumer for each connection, made where the last one ended.

The consumer takes in every sequence number of the stream. What it numbers itself has no holes unless a message was lost
on its way: then the connection is given up, and the next one begins where this tail stands. A hole in the stream's own
numbers is what the engine has let go unread: then the tail says that it starts anew behind the hole.
"""

from __future__ import annotations

import asyncio
import logging

from nats.aio.msg import Msg
from nats.js import api

from tricast.errors import Unavailable
from tricast.wire.cursor import Cursor
from tricast_server.backplane.base import Deliver, EpochStarted, Record
from tricast_server.backplane.nats_link import Link
from tricast_server.backplane.nats_stream import Life, Witness
from tricast_server.backplane.stored import load
from tricast_server.bus.tasks import end_task

log = logging.getLogger(__name__)

IDLE_HEARTBEAT = 1.0
SILENCE = 3.0
"""Seconds without a message or a heartbeat after which the consumer is gone."""


class Tail:
    """See the module. It stands at `offset` in `epoch`, and started at `start`."""

    def __init__(self, deliver: Deliver, stream: str, witness: Witness) -> None:
        self.epoch = ""
        self.start = 0
        self.offset = 0
        self._deliver = deliver
        self._stream = stream
        self._witness = witness
        self._feed: _Feed | None = None
        self._batch: list[Record] = []
        self._handle: asyncio.Handle | None = None

    async def follow(self, link: Link, life: Life) -> None:
        """Go on from where it stands, on another connection. Raises Unavailable and what nats-py raises."""
        self._feed = None
        if life.epoch != self.epoch or life.start > self.offset:
            self._restart(life.epoch, life.start)
        self._feed = feed = _Feed(self, link, life)
        await feed.open(self._stream, self.offset + 1)

    async def caught_up(self) -> None:
        """Returns when all that was there when it began to follow has been delivered. Raises Unavailable."""
        feed = self._feed
        assert feed is not None
        clock = asyncio.get_running_loop().time
        tasks = [asyncio.create_task(event.wait()) for event in (feed.caught, feed.link.lost)]
        try:
            while not any(task.done() for task in tasks):
                await asyncio.wait(tasks, timeout=1.0, return_when=asyncio.FIRST_COMPLETED)
                if self.silent(clock()):
                    feed.link.fail("the engine has fallen silent")
        finally:
            for task in tasks:
                await end_task(task)
        if not feed.caught.is_set():
            raise Unavailable("the engine went away", retry_after=1.0)
        self._flush()

    def silent(self, now: float) -> bool:
        return self._feed is not None and now - self._feed.heard > SILENCE

    def end(self) -> None:
        """Nothing is delivered afterwards."""
        self._feed = None
        self._batch.clear()

    def follows(self, feed: _Feed) -> bool:
        return self._feed is feed

    def stop(self) -> None:
        """Take nothing more until it follows again."""
        self._feed = None

    def take(self, sequence: int, subject: str, payload: bytes, life: Life) -> bool:
        """Returns False where the message is none of this life."""
        ours = subject == life.subject
        if not ours and sequence > life.end:
            return False
        if sequence != self.offset + 1:
            self._restart(self.epoch, sequence - 1)
        self.offset = sequence
        if ours:  # else it came in as the epoch before was given up
            self._witness.saw(sequence, payload)
            try:
                self._put(load(payload, sequence))
            except ValueError as error:
                log.error("message %d of stream %s cannot be read: %s", sequence, self._stream, error)
                self._restart(self.epoch, sequence)
        return True

    def _restart(self, epoch: str, start: int) -> None:
        self.epoch, self.start, self.offset = epoch, start, start
        self._put(EpochStarted(Cursor(epoch, start)))

    def _put(self, record: Record) -> None:
        self._batch.append(record)
        if self._handle is None:
            self._handle = asyncio.get_running_loop().call_soon(self._flush)

    def _flush(self) -> None:
        if self._handle is not None:
            self._handle.cancel()
            self._handle = None
        if self._batch:
            batch, self._batch = self._batch, []
            self._deliver(batch)


class _Feed:
    """The consumer on one connection. Its subscription ends with that, the consumer with the subscription."""

    def __init__(self, tail: Tail, link: Link, life: Life) -> None:
        self.link = link
        self.caught = asyncio.Event()
        self.heard = asyncio.get_running_loop().time()
        self._tail = tail
        self._life = life
        self._next = 1

    async def open(self, stream: str, first: int) -> None:
        inbox = self.link.client.new_inbox()
        await self.link.client.subscribe(inbox, cb=self._take)
        config = api.ConsumerConfig(
            deliver_subject=inbox,
            deliver_policy=api.DeliverPolicy.BY_START_SEQUENCE,
            opt_start_seq=first,
            ack_policy=api.AckPolicy.NONE,
            max_deliver=1,
            flow_control=True,
            idle_heartbeat=IDLE_HEARTBEAT,
            mem_storage=True,
            num_replicas=1,
        )
        info: api.ConsumerInfo = await self.link.ask(lambda js: js.add_consumer(stream, config))
        self.heard = asyncio.get_running_loop().time()
        delivered = info.delivered.consumer_seq if info.delivered is not None else 0
        if not info.num_pending and not delivered:
            self.caught.set()

    async def _take(self, msg: Msg) -> None:
        if not self._tail.follows(self):
            return
        self.heard = asyncio.get_running_loop().time()
        if msg.headers and (status := msg.headers.get("Status")):
            await self._control(status, msg)
            return
        at = msg.metadata
        if at.sequence.consumer != self._next:
            self._give_up("a message was lost on its way")
        elif not self._tail.take(at.sequence.stream, msg.subject, msg.data, self._life):
            self._give_up("the stream has another epoch")
        else:
            self._next += 1
            if not at.num_pending or at.sequence.stream >= self._life.end:
                self.caught.set()

    async def _control(self, status: str, msg: Msg) -> None:
        headers = msg.headers or {}
        if status != "100":
            self._give_up(f"the consumer ended: {headers.get('Description')}")
        elif int(headers.get("Nats-Last-Consumer", "0")) >= self._next:
            self._give_up("the last messages were lost on their way")
        elif wanted := msg.reply or headers.get("Nats-Consumer-Stalled"):
            await self.link.client.publish(wanted)  # flow control: we have read all up to here

    def _give_up(self, reason: str) -> None:
        """A gap must not be passed over: whatever comes after it is not taken."""
        self._tail.stop()
        self.link.fail(reason)
