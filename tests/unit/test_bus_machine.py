"""The bus against simulated readers: whatever happens, each gets everything once, in order, or is told what it missed.

Readers are connected or cut between any two frames, slow or fast, change topics in mid-stream, and come back at the
cursor of the last frame that reached them, as a stream or as a poll whose answer may be lost.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule

from tricast.errors import Unavailable
from tricast.wire import json
from tricast.wire.cursor import Cursor
from tricast.wire.messages import Frame, Gap, Message
from tricast_server.backplane.base import EpochStarted, Publication
from tricast_server.backplane.memory import MemoryBackplane, new_epoch
from tricast_server.bus.bus import Bus
from tricast_server.bus.log import Entry, Retention
from tricast_server.bus.subscription import End, Subscription
from tricast_server.bus.view import Framing, Slice, View
from tricast_server.framing import JSON

TOPICS = ("a", "b", "c")
some_topics = st.lists(st.sampled_from(TOPICS), min_size=1, unique=True)


class Lines(Framing):
    """A framing that can be read back: one JSON object per line."""

    name = "lines"

    def entry(self, entry: Entry, epoch: str) -> bytes:
        return JSON.entry(entry, str(Cursor(epoch, entry.offset))).encode() + b"\n"

    def frame(self, frame: Frame, cursor: str) -> bytes:
        return json.encode(frame).encode() + b"\n"

    def join(self, frames: Sequence[bytes]) -> bytes:
        return b"".join(frames)


LINES = Lines()


class Connection:
    """A sink whose reader takes what it likes; `stuck` refuses direct writes and holds awaited ones."""

    framing = LINES

    def __init__(self) -> None:
        self.closed = False
        self.received: list[bytes] = []
        self._free = asyncio.Event()
        self._free.set()

    def stick(self) -> None:
        self._free.clear()

    def unstick(self) -> None:
        self._free.set()

    @property
    def transport(self) -> Connection:
        return self

    def is_closing(self) -> bool:
        return self.closed

    def get_write_buffer_size(self) -> int:
        return 0 if self._free.is_set() else 1

    def write(self, data: bytes) -> bool:
        if self.closed or not self._free.is_set():
            return False
        self.received.append(data)
        return True

    def force(self, data: bytes) -> None:
        if not self.closed:
            self.received.append(data)

    async def drain(self) -> None:
        await self._free.wait()

    async def emptied(self, deadline: float) -> None:
        return

    def abort(self) -> None:
        self.closed = True


@dataclass
class Reader:
    """What one client knows: its topics, its cursor, and what its cursor went past without it.

    A gap stands at the *last* offset its topic lost, so frames of other topics may come before it: what was passed over
    is owed until then.
    """

    topics: set[str]
    cursor: Cursor
    owed: set[Cursor] = field(default_factory=set)
    connection: Connection | None = None
    subscription: Subscription | None = None

    def take(self, frame: Frame, published: dict[Cursor, str]) -> None:
        if isinstance(frame, Message):
            cursor = parsed(frame.cursor)
            assert frame.topic in self.topics
            assert cursor.offset > self.cursor.offset, "twice, or out of order"
            self._pass(cursor, published)
            self.owed.remove(cursor)
            assert not any(published[at] == frame.topic for at in self.owed), "passed over in silence"
        elif isinstance(frame, Gap):
            self._take_gap(frame, published)

    def _take_gap(self, gap: Gap, published: dict[Cursor, str]) -> None:
        cursor = parsed(gap.cursor)
        if gap.reason == "epoch":
            assert set(gap.topics) == self.topics
            self.cursor, self.owed = cursor, set()
            return
        assert cursor.offset > self.cursor.offset
        self._pass(cursor, published)
        lost = {at for at in self.owed if published[at] in gap.topics}
        if gap.exact:
            assert cursor in lost, "an exact gap ends at a message that was lost"
        self.owed -= lost

    def _pass(self, cursor: Cursor, published: dict[Cursor, str]) -> None:
        assert cursor.epoch == self.cursor.epoch, "another epoch without a gap"
        self.owed |= {
            at
            for at, topic in published.items()
            if topic in self.topics and at.epoch == cursor.epoch and self.cursor < at <= cursor
        }
        self.cursor = cursor

    def move_to(self, cursor: Cursor, published: dict[Cursor, str]) -> None:
        """A cursor that came without a frame of its own: of a poll, or of a reply."""
        if cursor.epoch == self.cursor.epoch and cursor.offset > self.cursor.offset:
            self._pass(cursor, published)

    def change_topics(self, topics: set[str], published: dict[Cursor, str]) -> None:
        self.topics = topics
        self.owed = {at for at in self.owed if published[at] in topics}


def parsed(text: str) -> Cursor:
    cursor = Cursor.parse(text)
    assert cursor is not None
    return cursor


class Engine(MemoryBackplane):
    """A memory backplane that can be told it lost its log."""

    def lose(self) -> Cursor:
        """As if it had been rolled back."""
        self._epoch = new_epoch()
        self._end = self._end // 2  # such an engine gives offsets again
        at = Cursor(self._epoch, self._end)
        for deliver in self._tails:
            deliver((EpochStarted(at),))
        return at

    def skip(self, entries: int) -> Cursor:
        """As if it had let go of so many that the bus had not read."""
        self._end += entries
        at = Cursor(self._epoch, self._end)
        for deliver in self._tails:
            deliver((EpochStarted(at),))
        return at


class BusMachine(RuleBasedStateMachine):
    """See the module."""

    @initialize()
    def begin(self) -> None:
        self.loop = asyncio.new_event_loop()
        self.clock = 0.0
        self.published: dict[Cursor, str] = {}
        self.readers: list[Reader] = []
        self.engine = Engine(wall=lambda: self.clock)
        self.bus = self.run(self._start())
        for _ in range(2):
            self.readers.append(Reader(set(TOPICS), self.bus.log.cursor))

    async def _start(self) -> Bus:
        bus = Bus(self.engine, retention=Retention(count=6, age=20.0), wall=lambda: self.clock)
        await bus.start()
        return bus

    def teardown(self) -> None:
        if not hasattr(self, "loop"):
            return
        try:
            for reader in self.readers:
                self.run(self._settle(reader))
                self.catch_up(reader)
        finally:
            self.run(self.bus.close())
            self.loop.close()

    def run(self, coroutine: Coroutine[Any, Any, Any]) -> Any:
        return self.loop.run_until_complete(coroutine)

    def tick(self) -> None:
        async def turns() -> None:
            for _ in range(6):
                await asyncio.sleep(0)

        self.run(turns())

    @rule(topics=st.lists(st.sampled_from(TOPICS), min_size=1, max_size=5), settle=st.booleans())
    def publish_in_one_tick(self, topics: list[str], settle: bool) -> None:
        async def publish() -> None:
            for topic in topics:
                receipt = await self.bus.publish(Publication(topic=topic, data="1"))
                self.published[receipt.at] = topic

        self.run(publish())
        if settle:
            self.tick()

    @rule(seconds=st.sampled_from((1.0, 9.0)))
    def age(self, seconds: float) -> None:
        self.clock += seconds
        self.bus.log.trim(self.clock)

    @rule()
    def engine_loses_its_log(self) -> None:
        self.loop.call_soon(self.engine.lose)
        self.tick()

    @rule(who=st.integers(0, 1), publish_during=st.sampled_from((None, *TOPICS)))
    def connect(self, who: int, publish_during: str | None) -> None:
        reader = self.readers[who]
        if reader.connection is not None:
            return

        async def connect() -> None:
            connection = Connection()
            view = View(tuple(sorted(reader.topics)))
            subscription = self.bus.subscribe(connection, view, reader.cursor, lambda why: None)
            if publish_during is not None:  # between the handshake and the replay, not flushed yet
                receipt = await self.bus.publish(Publication(topic=publish_during, data="1"))
                self.published[receipt.at] = publish_during
            subscription.start()
            reader.connection, reader.subscription = connection, subscription

        self.run(connect())

    @rule(who=st.integers(0, 1), keep=st.integers(0, 12))
    def cut(self, who: int, keep: int) -> None:
        """The connection ends; of what was under way only the first frames arrived."""
        reader = self.readers[who]
        if reader.subscription is None:
            return
        self.receive(reader, keep)
        self.run(reader.subscription.aclose())
        assert reader.subscription.ended is End.LOST
        reader.connection = reader.subscription = None

    @rule(who=st.integers(0, 1))
    def stick(self, who: int) -> None:
        if (connection := self.readers[who].connection) is not None:
            connection.stick()

    @rule(who=st.integers(0, 1))
    def unstick(self, who: int) -> None:
        if (connection := self.readers[who].connection) is not None:
            connection.unstick()
            self.tick()

    @rule(who=st.integers(0, 1), topics=some_topics)
    def change_topics(self, who: int, topics: list[str]) -> None:
        """In mid-stream where connected: everything before the reply's place is of the old topics."""
        reader = self.readers[who]
        if reader.subscription is None:
            reader.change_topics(set(topics), self.published)
            return

        async def change() -> Cursor:
            assert reader.subscription is not None
            return reader.subscription.change_topics(topics)

        cursor = self.run(change())
        self.receive(reader)
        reader.move_to(cursor, self.published)
        reader.change_topics(set(topics), self.published)

    @rule(who=st.integers(0, 1), limit=st.integers(1, 4), lost=st.booleans())
    def poll(self, who: int, limit: int, lost: bool) -> None:
        reader = self.readers[who]
        if reader.connection is None:
            part = self.bus.read(View(tuple(sorted(reader.topics))), reader.cursor, limit=limit)
            if not lost:
                self.take_poll(reader, part)

    def take_poll(self, reader: Reader, part: Slice) -> None:
        data = b"".join(self.bus.encode(part.shown, LINES))
        for line in data.splitlines():
            frame = json.decode(line)
            assert frame is not None
            reader.take(frame, self.published)
        reader.move_to(part.next, self.published)

    def receive(self, reader: Reader, most: int | None = None) -> None:
        assert reader.connection is not None
        lines = b"".join(reader.connection.received).splitlines()
        reader.connection.received.clear()
        for line in lines[:most]:
            frame = json.decode(line)
            assert frame is not None
            reader.take(frame, self.published)

    async def _settle(self, reader: Reader) -> None:
        if reader.connection is not None:
            reader.connection.unstick()
        for _ in range(20):
            await asyncio.sleep(0)

    def catch_up(self, reader: Reader) -> None:
        """In the end every reader is at the head, and has been told everything on the way."""
        if reader.connection is not None:
            self.receive(reader)
            assert reader.subscription is not None
            assert reader.subscription.live
            assert reader.subscription.cursor == self.bus.log.cursor
            reader.move_to(reader.subscription.cursor, self.published)
        else:
            self.take_poll(reader, self.bus.read(View(tuple(sorted(reader.topics))), reader.cursor))
        assert reader.cursor == self.bus.log.cursor
        assert not reader.owed, "passed over in silence"


TestBusMachine = BusMachine.TestCase
TestBusMachine.settings = settings(max_examples=200, stateful_step_count=50, deadline=None)


async def gap_after(engine: Engine, happen: Callable[[], Cursor]) -> tuple[Gap, Cursor]:
    """The gap that a live reader is told between a message before and one after, and where that was."""
    bus = Bus(engine)
    await bus.start()
    connection = Connection()
    subscription = bus.subscribe(connection, View(("a",)), bus.log.cursor, lambda why: None)
    subscription.start()
    await bus.publish(Publication(topic="a", data="1"))
    at = happen()
    await bus.publish(Publication(topic="a", data="2"))
    for _ in range(6):
        await asyncio.sleep(0)
    before, gap, after = (json.decode(line) for line in b"".join(connection.received).splitlines())
    assert isinstance(before, Message)
    assert isinstance(gap, Gap)
    assert isinstance(after, Message)
    assert subscription.cursor == bus.log.cursor
    await bus.close()
    return gap, at


async def test_who_is_connected_is_told_where_the_epoch_changed_and_goes_on_there() -> None:
    engine = Engine()
    gap, at = await gap_after(engine, engine.lose)
    assert (gap.reason, gap.cursor) == ("epoch", str(at))


async def test_a_log_that_starts_anew_in_the_same_epoch_has_a_gap_and_no_less() -> None:
    """What a node is told whose engine let go of entries before it had read them."""
    engine = Engine()
    gap, at = await gap_after(engine, lambda: engine.skip(5))
    assert (gap.topics, gap.cursor, gap.exact) == (("a",), str(at), False)


async def test_a_bus_that_finds_no_engine_leaves_nothing_behind() -> None:
    engine = Engine()
    await engine.close()
    bus = Bus(engine)
    with pytest.raises(Unavailable):
        await bus.start()
    await bus.close()
