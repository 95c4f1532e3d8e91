"""What a client knows of its subscription, whatever carries it: cursor, topics, duplicates, gaps. No I/O, no clock.

A `Session` lives as long as the client. Each connection that is opened for it is a `Stream`: it says what to ask the
server for, takes the frames that come, and returns what is to be delivered. Streams may overlap (the next one is opened
before the last one ends): their frames go through the one session, which delivers every message once.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from tricast.errors import ProtocolError
from tricast.wire.commands import topic_list
from tricast.wire.cursor import Cursor
from tricast.wire.messages import Batch, Frame, Gap, Heartbeat, Hello, JsonValue, Message, Reply


@dataclass(frozen=True, slots=True)
class Request:
    """What to ask a server for. `cursor` None: from now on, or from `last` messages of each topic before that."""

    topics: tuple[str, ...]
    cursor: str | None = None
    last: int = 0

    def query(self) -> dict[str, str]:
        """The query parameters that say so, the same on every transport."""
        query = {"topics": ",".join(self.topics)}
        if self.cursor is not None:
            query["cursor"] = self.cursor
        elif self.last:
            query["last"] = str(self.last)
        return query


@dataclass(slots=True)
class Counts:
    """`strays_dropped`: frames of an epoch that was left, or of a stream that was ahead of the session."""

    received: int = 0
    duplicates_dropped: int = 0
    strays_dropped: int = 0
    gaps: int = 0


class Session:
    """`cursor` is where a new stream goes on: all that stands up to it was delivered, or reported as lost.

    `cursor` as an argument is where to begin: a cursor, "earliest", or None for now. What is no cursor is sent as it
    is, and the server answers with a gap. `last` counts only without a cursor. Raises BadRequest for what is no topic.
    """

    def __init__(self, topics: Iterable[str], cursor: str | None = None, last: int = 0) -> None:
        self.cursor = Cursor.parse(cursor) if cursor is not None else None
        self.counts = Counts()
        self.version = 0
        self._begin = Request((), cursor, last)
        self._topics = dict.fromkeys(topic_list(list(topics)))
        # For its streams: topics that some stream has brought, so that all must; how often the cursor was set anew;
        # the cursor of the last gap.
        self.established: set[str] = set()
        self.turn = 0
        self.told: Cursor | None = None

    @property
    def topics(self) -> tuple[str, ...]:
        return tuple(self._topics)

    @property
    def request(self) -> Request:
        """What a stream that is opened now asks for."""
        if self.cursor is not None:
            return Request(self.topics, str(self.cursor))
        return Request(self.topics, self._begin.cursor, self._begin.last)

    def open(self) -> Stream:
        """A new stream. It needs no closing: one that gets no frames changes nothing."""
        return Stream(self)

    def subscribe(self, topics: Iterable[str]) -> None:
        """From here on these are asked for; they begin where the server (or the next stream) says that it has them.

        `version` changes with the topics. Raises BadRequest.
        """
        self._set_topics({**self._topics, **dict.fromkeys(topic_list(list(topics)))})

    def unsubscribe(self, topics: Iterable[str]) -> None:
        """From here on messages of these are not delivered, wherever they are on their way."""
        gone = set(topics)
        self._set_topics({topic: None for topic in self._topics if topic not in gone})
        self.established -= gone

    def _set_topics(self, topics: dict[str, None]) -> None:
        if topics.keys() != self._topics.keys():
            self.version += 1
        self._topics = topics

    # For its streams

    def establish(self, topics: Iterable[str]) -> None:
        self.established.update(topic for topic in topics if topic in self._topics)

    def wants(self, topics: Iterable[str]) -> bool:
        return any(topic in self._topics for topic in topics)

    def forward(self, cursor: Cursor) -> bool:
        """Whether the cursor moved: it never goes back within an epoch, and this never leaves one."""
        now = self.cursor
        if now is None or now.epoch != cursor.epoch or now.offset >= cursor.offset:
            return False
        self.cursor = cursor
        return True

    def enter(self, cursor: Cursor) -> int:
        """A first cursor, a change of epoch, or the server's word that the cursor never was: this may move it back."""
        self.cursor = cursor
        self.turn += 1
        return self.turn


class Stream:
    """One connection's side of a session. `request` is what to ask for, at the `version` of the session's topics."""

    __slots__ = ("_at", "_new_topics", "_session", "_start", "_topics", "_turn", "request", "version")

    def __init__(self, session: Session) -> None:
        self.request = session.request
        self.version = session.version
        self._session = session
        self._topics = set(self.request.topics)
        self._new_topics = True
        self._turn = session.turn
        # All that stands after `_start` comes on this stream; None until its hello says where that is.
        self._start = session.cursor
        self._at: Cursor | None = None

    @property
    def joined(self) -> bool:
        """Whether the session goes by this stream: nothing that the session still lacks can be missing from it.

        Not so where it begins past the session's cursor, lacks one of its topics or is in another epoch. Its frames
        are then dropped until that is over. One that is alone and not joined has to be opened anew.
        """
        session, start = self._session, self._start
        return (
            start is not None
            and session.cursor is not None
            and start.epoch == session.cursor.epoch
            and start.offset <= session.cursor.offset
            and self._topics >= session.established
        )

    def receive(self, frame: Frame | Batch) -> list[Message | Gap]:
        """What to deliver for a frame, in order. Raises ProtocolError, and then nothing has changed.

        A batch of several frames may have been taken in part; what it brought so far is then not delivered, so feed
        the `parts` of a batch one by one where that matters.
        """
        match frame:
            case Batch():
                return [item for part in parts(frame) for item in self.receive(part)]
            case Hello():
                self._hello(frame)
            case Message():
                return self._message(frame, self._cursor(frame.cursor))
            case Gap(reason="epoch"):
                return self._epoch(frame, self._cursor(frame.cursor))
            case Gap():
                return self._gap(frame, self._cursor(frame.cursor))
            case Heartbeat():
                self._advance(self._cursor(frame.cursor))
            case Reply(action="subscribe" | "unsubscribe", cursor=str()):
                self._topics_changed(frame, self._cursor(frame.cursor))
        return []

    def _cursor(self, text: JsonValue) -> Cursor:
        cursor = _parsed(text)
        if self._start is None:
            raise ProtocolError("the first frame is no hello, and no cursor was asked for")
        return cursor

    def _hello(self, hello: Hello) -> None:
        cursor = _parsed(hello.cursor)
        if self._start is None:
            self._start = cursor
            if self._session.cursor is None:
                self._turn = self._session.enter(cursor)
        self._joins()

    def _message(self, message: Message, cursor: Cursor) -> list[Message | Gap]:
        session = self._session
        self._at = cursor
        if not self._is_current(cursor):
            return []
        if not session.forward(cursor):
            session.counts.duplicates_dropped += 1
            return []
        if not session.wants((message.topic,)):
            return []
        session.counts.received += 1
        return [message]

    def _gap(self, gap: Gap, cursor: Cursor) -> list[Message | Gap]:
        session = self._session
        if not self._is_current(cursor):
            return []
        # A loss may stand beside the message of its offset, and then comes second.
        beside = cursor == session.cursor == self._at and cursor != session.told
        if not session.forward(cursor) and not beside:
            session.counts.duplicates_dropped += 1
            return []
        session.told = cursor
        return self._deliver_gap(gap)

    def _epoch(self, gap: Gap, cursor: Cursor) -> list[Message | Gap]:
        session = self._session
        self._start = cursor
        if self._turn != session.turn:
            # Another stream has moved the session meanwhile, and has told of this change, or is ahead of it, or will
            # tell of it yet. Until the session is where this one is now, it is not joined.
            return []
        self._turn = session.enter(cursor)
        return self._deliver_gap(gap)

    def _deliver_gap(self, gap: Gap) -> list[Message | Gap]:
        if not self._session.wants(gap.topics):
            return []
        self._session.counts.gaps += 1
        return [gap]

    def _topics_changed(self, reply: Reply, cursor: Cursor) -> None:
        """The reply's own `topics` are all that the stream has from its `cursor` on."""
        self._advance(cursor)
        if reply.topics is None:
            return
        topics = set(reply.topics)
        if not topics <= self._topics:
            self._start = cursor
            self._new_topics = True
        self._topics = topics
        self._joins()

    def _joins(self) -> bool:
        """`joined`; from then on no other stream may do with less than this one's topics."""
        if not self.joined:
            return False
        self._turn = self._session.turn
        if self._new_topics:
            self._new_topics = False
            self._session.establish(self._topics)
        return True

    def _is_current(self, cursor: Cursor) -> bool:
        session = self._session
        current = self._joins() and session.cursor is not None and cursor.epoch == session.cursor.epoch
        session.counts.strays_dropped += not current
        return current

    def _advance(self, cursor: Cursor) -> None:
        if self._joins():
            self._session.forward(cursor)


def parts(batch: Batch) -> Iterator[Frame]:
    """A poll's answer as the frames that another transport would have sent for it."""
    if batch.hello is not None:
        yield batch.hello
    yield from batch.frames
    yield Heartbeat(cursor=batch.cursor)
    if batch.bye is not None:
        yield batch.bye


def _parsed(text: JsonValue) -> Cursor:
    cursor = Cursor.parse(text) if isinstance(text, str) else None
    if cursor is None:
        raise ProtocolError(f"the server sent what is no cursor: {str(text)[:80]!a}")
    return cursor
