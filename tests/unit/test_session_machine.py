"""The Session against a model of a server's log, in any order of events that Hypothesis can think of.

The model: one log of several topics that lets go of its oldest entries and may start a new epoch; readers of it (a
stream, or polls) that write frames to a wire; wires that are cut between any two frames, and polls whose answers get
lost or arrive twice. Up to two links feed the session at once, and its topics change in mid-stream.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from itertools import pairwise

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from tricast.session import Request, Session, Stream
from tricast.wire.cursor import Cursor
from tricast.wire.messages import Batch, Frame, Gap, Heartbeat, Hello, Message, Reply

TOPICS = ("a", "b", "c")
topics = st.sampled_from(TOPICS)
which = st.integers(0, 1)
mostly = st.sampled_from([True, True, True, False])


@dataclass
class Log:
    """What a server keeps. `gone` has all that was ever let go."""

    epoch: str = "e0"
    head: int = 0
    kept: dict[int, str] = field(default_factory=dict)
    gone: dict[int, str] = field(default_factory=dict)

    @property
    def cursor(self) -> Cursor:
        return Cursor(self.epoch, self.head)

    def floor(self, topic: str) -> int:
        return max((offset for offset, name in self.gone.items() if name == topic), default=0)

    def after(self, names: tuple[str, ...], offset: int, reason: str) -> list[Message | Gap]:
        """What stands after an offset, in log order: a loss at the last offset lost."""
        floors = {name: self.floor(name) for name in names}
        found: dict[int, Message | Gap] = {
            floor: Gap(topics=(name,), cursor=f"{self.epoch}-{floor}", reason=reason)
            for name, floor in floors.items()
            if floor > offset
        }
        for at, name in self.kept.items():
            if at > offset and name in names:
                found[at] = Message(topic=name, cursor=f"{self.epoch}-{at}", data=at)
        return [found[at] for at in sorted(found)]


@dataclass
class Link:
    """A connection: the server's reader of the log, its position, and the frames under way to the client."""

    stream: Stream
    names: tuple[str, ...]
    at: Cursor
    polls: bool
    wire: deque[Frame | Batch] = field(default_factory=deque)
    started: bool = False
    dead: bool = False


class SessionMachine(RuleBasedStateMachine):
    """`since` is where each topic's subscription took effect; `told` and `lost` are what came out of the session."""

    def __init__(self) -> None:
        super().__init__()
        self.log = Log()
        self.epochs = [self.log]
        self.links: list[Link] = []
        self.since: dict[str, Cursor] = {}
        self.told: list[Cursor] = []
        self.lost: list[tuple[Gap, Cursor]] = []

    @initialize(names=st.sets(topics, min_size=1), early=st.integers(0, 5), resume=st.booleans())
    def begin(self, names: set[str], early: int, resume: bool) -> None:
        self.publish([TOPICS[n % 3] for n in range(early)])
        cursor = str(Cursor("e0", early // 2)) if resume else None
        self.session = Session(sorted(names), cursor)
        if resume:
            self.since = dict.fromkeys(names, Cursor("e0", early // 2))

    # What happens to the log

    @rule(names=st.lists(topics, min_size=1, max_size=3), skipped=st.integers(0, 2))
    def publish(self, names: list[str], skipped: int = 0) -> None:
        """Offsets need not be dense."""
        for name in names:
            self.log.head += 1 + skipped
            self.log.kept[self.log.head] = name

    @rule(topic=topics, count=st.integers(1, 3))
    def let_go(self, topic: str, count: int) -> None:
        for offset in [at for at, name in self.log.kept.items() if name == topic][:count]:
            self.log.gone[offset] = self.log.kept.pop(offset)

    @rule(head=st.integers(0, 3))
    def start_a_new_epoch(self, head: int) -> None:
        self.log = Log(epoch=f"e{len(self.epochs)}", head=head)
        self.epochs.append(self.log)

    # What the server writes

    @precondition(lambda self: len(self.links) < 2)
    @rule(polls=mostly.map(lambda often: not often))
    def connect(self, polls: bool) -> None:
        stream = self.session.open()
        link = Link(stream, stream.request.topics, self.place(stream.request), polls)
        self.links.append(link)
        if polls:
            self.answer(link, hello=stream.request.cursor is None)
        else:
            link.wire.append(self.hello(link))
            self.write_stream(link)

    @precondition(lambda self: self.links)
    @rule(n=which, beat=st.booleans(), all_arrives=st.booleans())
    def write(self, n: int, beat: bool, all_arrives: bool) -> None:
        link = self.link(n)
        if not link.polls:
            self.write_stream(link)
            if beat:
                link.wire.append(Heartbeat(cursor=str(link.at)))
        elif not link.wire:
            self.answer(link)
        if all_arrives:
            self.arrive(n, len(link.wire), twice=beat)

    def place(self, request: Request) -> Cursor:
        cursor = Cursor.parse(request.cursor) if request.cursor is not None else None
        return cursor or self.log.cursor

    def hello(self, link: Link) -> Hello:
        return Hello(
            transport="poll" if link.polls else "ws",
            client="c",
            cursor=str(link.at),
            heartbeat=15,
            dedupe_window=120,
            topics=link.names,
            node="n",
        )

    def write_stream(self, link: Link) -> None:
        frames, link.at = self.read(link, "slow" if link.started else "expired")
        link.started = True
        link.wire.extend(frames)

    def answer(self, link: Link, *, hello: bool = False, limit: int = 3) -> None:
        """One poll. Its cursor counts only once the answer has arrived."""
        frames, at = self.read(link, "expired")
        if len(frames) > limit:
            frames = frames[:limit]
            at = Cursor(self.log.epoch, self.offset(frames[-1]))
        link.wire.append(Batch(cursor=str(at), frames=tuple(frames), hello=self.hello(link) if hello else None))

    def read(self, link: Link, reason: str) -> tuple[list[Message | Gap], Cursor]:
        if link.at.epoch != self.log.epoch:
            cursor = str(self.log.cursor)
            return [Gap(topics=link.names, cursor=cursor, reason="epoch", exact=False)], self.log.cursor
        return self.log.after(link.names, link.at.offset, reason), self.log.cursor

    # What arrives

    @precondition(lambda self: self.links)
    @rule(n=which, count=st.integers(1, 4), twice=st.booleans())
    def arrive(self, n: int, count: int, twice: bool) -> None:
        link = self.link(n)
        for _ in range(min(count, len(link.wire))):
            frame = link.wire.popleft()
            self.receive(link, frame)
            if isinstance(frame, Batch):
                if twice and not any(isinstance(item, Gap) and item.reason == "epoch" for item in frame.frames):
                    self.receive(link, frame)
                link.at = self.parsed(frame.cursor)

    @precondition(lambda self: any(link.polls and link.wire for link in self.links))
    @rule()
    def lose_an_answer(self) -> None:
        for link in self.links:
            if link.polls and link.at.epoch != "" and link.stream.request.cursor is not None:
                link.wire.clear()

    @precondition(lambda self: self.links)
    @rule(n=which)
    def cut(self, n: int) -> None:
        self.links.remove(self.link(n))

    def link(self, n: int) -> Link:
        return self.links[n % len(self.links)]

    def receive(self, link: Link, frame: Frame | Batch) -> None:
        before = self.session.cursor
        for item in link.stream.receive(frame):
            if isinstance(item, Message):
                self.told.append(self.parsed(item.cursor))
                assert item.topic in self.session.topics
            else:
                self.check_gap(item, before)
                self.lost.append((item, self.parsed(item.cursor)))
        cursor = self.session.cursor
        if cursor is not None:
            for name in self.session.established - self.since.keys():
                self.since[name] = cursor
            if isinstance(frame, Reply) and frame.action == "subscribe" and frame.ref in self.since:
                self.since[frame.ref] = cursor  # it may have been unsubscribed just before, on this very link

    def check_gap(self, gap: Gap, before: Cursor | None) -> None:
        """A gap is told once, only where something was lost, and ends with the last that was."""
        cursor = self.parsed(gap.cursor)
        assert cursor not in [told for _, told in self.lost]
        if gap.reason == "epoch":
            assert before is not None
            assert cursor.epoch != before.epoch
            return
        (log,) = (log for log in self.epochs if log.epoch == cursor.epoch)
        assert log.gone[cursor.offset] in gap.topics
        assert cursor not in self.told

    # Topics

    @precondition(lambda self: len(self.session.topics) < len(TOPICS))
    @rule(data=st.data(), n=which, in_band=mostly)
    def subscribe(self, data: st.DataObject, n: int, in_band: bool) -> None:
        name = data.draw(st.sampled_from([name for name in TOPICS if name not in self.session.topics]))
        self.session.subscribe([name])
        self.carry(n, in_band, "subscribe", name)

    @precondition(lambda self: len(self.session.topics) > 1)
    @rule(data=st.data(), n=which, in_band=mostly)
    def unsubscribe(self, data: st.DataObject, n: int, in_band: bool) -> None:
        name = data.draw(st.sampled_from(self.session.topics))
        self.session.unsubscribe([name])
        self.since.pop(name, None)
        self.carry(n, in_band, "unsubscribe", name)

    def carry(self, n: int, in_band: bool, action: str, name: str) -> None:
        """On one of the links, whatever the other does; or they end, and the next one brings it."""
        if self.links and in_band and not self.link(n).polls:
            self.reply(self.link(n), action, name)
        else:
            self.links.clear()

    def reply(self, link: Link, action: str, name: str) -> None:
        """In stream order, at the reader's own cursor."""
        self.write_stream(link)
        link.names = self.session.topics
        link.wire.append(Reply(action=action, ref=name, cursor=str(link.at), topics=link.names))

    # What must hold, always

    @invariant()
    def once_and_in_order(self) -> None:
        assert len(set(self.told)) == len(self.told)
        for one, next_ in pairwise(self.told):
            assert one.epoch != next_.epoch or one.offset < next_.offset

    @invariant()
    def nothing_is_lost_in_silence(self) -> None:
        """All up to the session's cursor was delivered, or is covered by a gap that was, or is yet to come."""
        cursor = getattr(self, "session", None) and self.session.cursor
        if not cursor:
            return
        (log,) = (log for log in self.epochs if log.epoch == cursor.epoch)
        told = set(self.told)
        for offset, name in {**log.gone, **log.kept}.items():
            at, since = Cursor(log.epoch, offset), self.since.get(name)
            if since is None or offset > cursor.offset or (since.epoch == at.epoch and offset <= since.offset):
                continue
            # A loss is told at the last offset lost, which may be further on than the first.
            pending = offset in log.gone and log.floor(name) > cursor.offset
            assert at in told or pending or self.is_reported(at, name), f"{at} of {name} is missing at {cursor}"

    def is_reported(self, at: Cursor, name: str) -> bool:
        return any(
            name in gap.topics and cursor.epoch == at.epoch and cursor.offset >= at.offset for gap, cursor in self.lost
        )

    def teardown(self) -> None:
        """One link that is left alone brings the session to the end of the log."""
        if not hasattr(self, "session"):
            return
        self.links.clear()
        self.connect(polls=False)
        (link,) = self.links
        link.wire.append(Heartbeat(cursor=str(link.at)))
        while link.wire:
            self.receive(link, link.wire.popleft())
            self.once_and_in_order()
            self.nothing_is_lost_in_silence()
        assert link.stream.joined
        assert self.session.cursor == self.log.cursor

    @staticmethod
    def parsed(text: str) -> Cursor:
        cursor = Cursor.parse(text)
        assert cursor is not None
        return cursor

    @staticmethod
    def offset(item: Message | Gap) -> int:
        return SessionMachine.parsed(item.cursor).offset


TestSession = SessionMachine.TestCase
TestSession.settings = settings(max_examples=250, stateful_step_count=40, deadline=None)
