"""The log: one totally ordered, append-only sequence of entries over all topics. Pure: no I/O, no clock of its own.

Retention is per topic (count and age) under one byte budget for the whole. What was let go is remembered as one
offset per topic, so a reader that comes from before it is told exactly what it missed.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from heapq import merge
from operator import attrgetter
from typing import TypeAlias

from tricast.wire.cursor import Cursor, is_inbox

TOMBSTONES_MAX = 10_000
SCAN_MAX = 10_000
INBOX_COUNT = 10
INBOX_AGE = 30.0
ENTRY_OVERHEAD = 600
"""Bytes an entry costs beside its data: the object, its strings, its places in the two indexes (measured)."""


@dataclass(slots=True, frozen=True, eq=False, kw_only=True)
class Entry:
    """One message as the log keeps it. `data` is JSON text, or bytes where the publisher sent bytes.

    `ts` is the wall clock in seconds when it was appended.
    """

    offset: int
    topic: str
    data: str | bytes
    ts: float
    id: str | None = None
    event: str | None = None
    sender: str | None = None
    subject: str | None = None
    size: int = field(init=False)

    def __post_init__(self) -> None:
        data = self.data
        if isinstance(data, bytes):
            size = len(data) * 4 // 3  # as base64, the form it has in JSON
        else:
            size = len(data) if data.isascii() else len(data.encode())
        object.__setattr__(self, "size", ENTRY_OVERHEAD + size)


@dataclass(slots=True, frozen=True)
class Lost:
    """Of `topics`, everything up to `offset` that the reader had not received is lost.

    Not `exact`: the log no longer knows whether there was anything.
    """

    offset: int
    topics: tuple[str, ...]
    exact: bool


Item: TypeAlias = Entry | Lost


@dataclass(slots=True, frozen=True)
class Page:
    """What stands in the log after an offset. `next` is where to read on; `more` says that there is more by now."""

    items: tuple[Item, ...]
    next: int
    more: bool


@dataclass(slots=True, frozen=True, kw_only=True)
class Retention:
    """`count` messages per topic, each for `age` seconds, `size` bytes over all topics."""

    count: int = 1000
    age: float = 600.0
    size: int = 64 * 2**20


class _Topic:
    """The kept entries of one topic, oldest first; those before `head` are gone and wait for compaction."""

    __slots__ = ("entries", "exact", "floor", "head", "offsets")

    def __init__(self, floor: int, exact: bool) -> None:
        self.offsets: list[int] = []
        self.entries: list[Entry] = []
        self.head = 0
        self.floor = floor
        self.exact = exact

    def __len__(self) -> int:
        return len(self.offsets) - self.head

    def append(self, entry: Entry) -> None:
        self.offsets.append(entry.offset)
        self.entries.append(entry)

    def pop_oldest(self) -> Entry:
        entry = self.entries[self.head]
        self.head += 1
        self.floor, self.exact = entry.offset, True
        if self.head * 2 > len(self.offsets):
            del self.offsets[: self.head], self.entries[: self.head]
            self.head = 0
        return entry

    def after(self, offset: int) -> Iterator[Entry]:
        for i in range(bisect_right(self.offsets, offset, self.head), len(self.offsets)):
            yield self.entries[i]

    def offset_before_last(self, n: int) -> int:
        """An offset after which the last `n` entries stand."""
        return self.offsets[max(self.head, len(self.offsets) - n)] - 1


class Log:
    """See the module. `head` is the highest offset taken; `epoch` names this life of the log."""

    def __init__(self, epoch: str, *, head: int = 0, retention: Retention | None = None) -> None:
        self.retention = retention or Retention()
        self.size = 0
        self.appended = 0
        self._start(epoch, head)

    def _start(self, epoch: str, head: int) -> None:
        self.epoch = epoch
        self.start = head
        self.head = head
        self.size = 0
        self._topics: dict[str, _Topic] = {}
        # In log order, oldest first, each entry removable wherever it stands.
        self._kept: OrderedDict[int, Entry] = OrderedDict()
        self._kept_inboxes: OrderedDict[int, Entry] = OrderedDict()
        # Topics without kept entries: the highest offset each has let go. The oldest of these fall into one
        # horizon for all, below which the log can only say that something may be missing.
        self._tombstones: OrderedDict[str, int] = OrderedDict()
        self._horizon = head

    def restart(self, epoch: str, head: int) -> None:
        """A new life: nothing of the old one is kept, and its cursors are foreign from here on."""
        self._start(epoch, head)

    @property
    def cursor(self) -> Cursor:
        return Cursor(self.epoch, self.head)

    @property
    def topics(self) -> int:
        """Number of topics with kept entries."""
        return len(self._topics)

    def __len__(self) -> int:
        return len(self._kept) + len(self._kept_inboxes)

    def append(self, entry: Entry) -> None:
        """Raises ValueError where the offset is not past the head."""
        if entry.offset <= self.head:
            raise ValueError(f"offset {entry.offset} is not past the head {self.head}")
        self.head = entry.offset
        self.appended += 1
        topic = self._topics.get(entry.topic)
        if topic is None:
            topic = self._topics[entry.topic] = self._new_topic(entry.topic)
        topic.append(entry)
        inbox = is_inbox(entry.topic)
        (self._kept_inboxes if inbox else self._kept)[entry.offset] = entry
        self.size += entry.size
        if len(topic) > (INBOX_COUNT if inbox else self.retention.count):
            self._drop_oldest(entry.topic)
        while self.size > self.retention.size and len(self) > 1:
            self._drop_oldest(self._oldest().topic)

    def trim(self, now: float) -> None:
        """Lets go of what is over its age at the wall clock `now`. The work is in proportion to what goes."""
        for kept, age in ((self._kept, self.retention.age), (self._kept_inboxes, INBOX_AGE)):
            while kept and (oldest := next(iter(kept.values()))).ts + age <= now:
                self._drop_oldest(oldest.topic)

    def read(
        self,
        topics: Iterable[str],
        after: int,
        *,
        limit: int = 500,
        size: int = 2**20,
        shows: Callable[[Entry], bool] | None = None,
    ) -> Page:
        """What `topics` have after the offset `after`, in log order: at most `limit` entries and, past the first,
        `size` bytes. A loss stands at the last offset lost, once for all topics that share it. Entries that `shows`
        denies are passed over; after SCAN_MAX of them a page ends, even an empty one.
        """
        losses: dict[int, list[tuple[str, bool]]] = {}
        runs: list[Iterator[Item]] = []
        for name in topics:
            topic = self._topics.get(name)
            if topic is not None:
                floor, exact = topic.floor, topic.exact
                runs.append(topic.after(after))
            else:
                floor, exact = self._floor_of_gone(name)
            if floor > after and not is_inbox(name):
                losses.setdefault(floor, []).append((name, exact))
        if losses:
            runs.append(
                Lost(offset, tuple(sorted(n for n, _ in names)), all(e for _, e in names))
                for offset, names in sorted(losses.items())
            )
        if not runs:
            return Page((), max(after, self.head), False)
        items = runs[0] if len(runs) == 1 else merge(*runs, key=attrgetter("offset"))
        return self._page(items, after, limit, size, shows)

    def _page(
        self, items: Iterator[Item], after: int, limit: int, size: int, shows: Callable[[Entry], bool] | None
    ) -> Page:
        page: list[Item] = []
        entries = hidden = 0
        for item in items:
            if isinstance(item, Entry):
                if shows is not None and not shows(item):
                    hidden += 1
                    if hidden > SCAN_MAX:
                        return Page(tuple(page), item.offset, True)
                    continue
                entries += 1
                size -= item.size
                # One offset may carry a loss beside an entry: a page never ends between them.
                full = entries > limit or (size < 0 and entries > 1)
                if full and item.offset > page[-1].offset:
                    return Page(tuple(page), page[-1].offset, True)
            page.append(item)
        return Page(tuple(page), max(after, self.head), False)

    def earliest(self, topics: Iterable[str]) -> int:
        """The offset before the oldest kept entry of these topics; the head where there is none."""
        return self.before_last(topics, self.retention.count + INBOX_COUNT)

    def before_last(self, topics: Iterable[str], n: int) -> int:
        """An offset after which each of these topics has its last `n` kept entries, some perhaps more."""
        known = (self._topics.get(name) for name in topics)
        return min((topic.offset_before_last(n) for topic in known if topic is not None), default=self.head)

    def floor(self, topics: Iterable[str]) -> int:
        """The highest offset that any of these topics has let go, as far as the log knows."""
        known = [t.floor if (t := self._topics.get(name)) else self._floor_of_gone(name)[0] for name in topics]
        return max(known, default=0)

    def _oldest(self) -> Entry:
        heads = [next(iter(kept.values())) for kept in (self._kept, self._kept_inboxes) if kept]
        return min(heads, key=attrgetter("offset"))

    def _new_topic(self, name: str) -> _Topic:
        if is_inbox(name):
            return _Topic(0, True)
        floor, exact = self._floor_of_gone(name)
        self._tombstones.pop(name, None)
        return _Topic(floor, exact)

    def _floor_of_gone(self, name: str) -> tuple[int, bool]:
        floor = self._tombstones.get(name)
        return (self._horizon, False) if floor is None else (floor, True)

    def _drop_oldest(self, name: str) -> None:
        topic = self._topics[name]
        entry = topic.pop_oldest()
        self.size -= entry.size
        inbox = is_inbox(name)
        del (self._kept_inboxes if inbox else self._kept)[entry.offset]
        if not topic:
            del self._topics[name]
            if not inbox:
                self._bury(name, topic.floor)

    def _bury(self, name: str, floor: int) -> None:
        self._tombstones[name] = floor
        if len(self._tombstones) > TOMBSTONES_MAX:
            _, forgotten = self._tombstones.popitem(last=False)
            self._horizon = max(self._horizon, forgotten)
