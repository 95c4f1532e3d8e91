"""The log: order, retention, and gaps that are exact. A stateful test holds it against a list of all that ever was."""

from __future__ import annotations

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from tricast_server.bus import log as log_module
from tricast_server.bus.log import Entry, Log, Lost, Page, Retention

TOPICS = ("a", "b", "c", "d")
INBOX = "_inbox." + "x" * 22


def entry(offset: int, topic: str = "a", *, data: str = "1", ts: float = 0.0) -> Entry:
    return Entry(offset=offset, topic=topic, data=data, ts=ts)


def offsets(page: Page) -> list[int]:
    return [item.offset for item in page.items]


def test_reads_in_log_order_over_topics() -> None:
    log = Log("e")
    for offset in range(1, 11):
        log.append(entry(offset, "ab"[offset % 2]))
    assert offsets(log.read(("a", "b"), 3)) == [4, 5, 6, 7, 8, 9, 10]
    assert offsets(log.read(("b",), 3)) == [5, 7, 9]
    assert log.read(("b",), 3).next == 10


def test_an_offset_must_be_past_the_head() -> None:
    log = Log("e", head=5)
    with pytest.raises(ValueError, match="not past the head"):
        log.append(entry(5))


def test_pages_end_at_the_limit_and_at_the_size() -> None:
    log = Log("e")
    for offset in range(1, 6):
        log.append(entry(offset, data="x" * 1000))
    page = log.read(("a",), 0, limit=2)
    assert (offsets(page), page.next, page.more) == ([1, 2], 2, True)
    page = log.read(("a",), 0, size=1)
    assert (offsets(page), page.next, page.more) == ([1], 1, True)
    page = log.read(("a",), 4)
    assert (offsets(page), page.next, page.more) == ([5], 5, False)


def test_a_gap_stands_at_the_last_offset_lost() -> None:
    log = Log("e", retention=Retention(count=2))
    for offset, topic in ((1, "b"), (2, "a"), (3, "a"), (4, "a"), (5, "a")):
        log.append(entry(offset, topic))
    page = log.read(("a", "b"), 0)
    assert offsets(page) == [1, 3, 4, 5]
    assert page.items[1] == Lost(3, ("a",), exact=True)
    assert not any(isinstance(item, Lost) for item in log.read(("a", "b"), 3).items)


def test_age_and_bytes() -> None:
    log = Log("e", retention=Retention(age=10.0, size=2 * 2000))
    log.append(entry(1, "a", ts=0.0))
    log.append(entry(2, "b", ts=5.0))
    log.trim(10.0)
    assert log.read(("a",), 0).items == (Lost(1, ("a",), exact=True),)
    assert offsets(log.read(("b",), 0)) == [2]
    for offset in (3, 4, 5):
        log.append(entry(offset, "c", data="x" * 1000, ts=6.0))
    assert log.size <= 4000
    assert log.read(("b",), 0).items == (Lost(2, ("b",), exact=True),)


def test_an_inbox_is_small_short_and_leaves_no_trace() -> None:
    log = Log("e")
    for offset in range(1, 21):
        log.append(entry(offset, INBOX, ts=100.0))
    assert offsets(log.read((INBOX,), 0)) == list(range(11, 21))
    log.trim(130.0)
    assert log.read((INBOX,), 0).items == ()
    assert len(log) == log.size == log.topics == 0


def test_a_topic_that_vanished_is_remembered_then_only_suspected(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(log_module, "TOMBSTONES_MAX", 2)
    log = Log("e", retention=Retention(age=1.0))
    for offset, topic in enumerate(("a", "b", "c"), start=1):
        log.append(entry(offset, topic))
    log.trim(1.0)
    assert log.topics == 0
    assert log.read(("c",), 0).items == (Lost(3, ("c",), exact=True),)
    assert log.read(("a",), 0).items == (Lost(1, ("a",), exact=False),)
    assert log.read(("never",), 0).items == (Lost(1, ("never",), exact=False),)
    assert log.read(("never",), 1).items == ()
    log.append(entry(4, "a", ts=1.0))  # a topic that comes back keeps what is known of it
    assert log.read(("a",), 0).items == (Lost(1, ("a",), exact=False), log.read(("a",), 3).items[0])


def test_where_to_begin() -> None:
    log = Log("e", retention=Retention(count=3))
    for offset in range(1, 11):
        log.append(entry(offset, "ab"[offset % 2]))
    assert offsets(log.read(("a",), log.earliest(("a",)))) == [6, 8, 10]
    assert offsets(log.read(("a",), log.before_last(("a",), 2))) == [8, 10]
    assert offsets(log.read(("a", "b"), log.before_last(("a", "b"), 1))) == [9, 10]
    assert log.before_last(("nothing",), 5) == log.earliest(("nothing",)) == log.head


def test_a_new_epoch_begins_empty() -> None:
    log = Log("e")
    log.append(entry(7))
    log.restart("f", 3)
    assert (str(log.cursor), len(log), log.size) == ("f-3", 0, 0)
    log.append(entry(4))
    assert offsets(log.read(("a",), 3)) == [4]


class LogMachine(RuleBasedStateMachine):
    """Random appends, trims and reads over a few topics with a tiny retention and few tombstones."""

    def __init__(self) -> None:
        super().__init__()
        self.log = Log("e", retention=Retention(count=4, age=8.0, size=16 * 800))
        self.published: list[Entry] = []
        self.now = 0.0
        self.offset = 0
        self._tombstones_max = log_module.TOMBSTONES_MAX
        log_module.TOMBSTONES_MAX = 2

    def teardown(self) -> None:
        log_module.TOMBSTONES_MAX = self._tombstones_max

    @rule(topic=st.sampled_from(TOPICS), size=st.sampled_from((1, 200, 4000)), skip=st.integers(1, 3))
    def publish(self, topic: str, size: int, skip: int) -> None:
        self.offset += skip
        made = entry(self.offset, topic, data="x" * size, ts=self.now)
        self.published.append(made)
        self.log.append(made)

    @rule(seconds=st.floats(0.5, 5.0))
    def wait(self, seconds: float) -> None:
        self.now += seconds
        self.log.trim(self.now)

    @rule(
        topics=st.sets(st.sampled_from(TOPICS), min_size=1),
        back=st.integers(0, 30),
        limit=st.integers(1, 5),
    )
    @precondition(lambda self: self.published)
    def read(self, topics: set[str], back: int, limit: int) -> None:
        after = max(0, self.offset - back)
        whole = self.log.read(topics, after)
        self._holds(topics, after, whole)
        paged: list[int] = []
        at, more = after, True
        while more:
            page = self.log.read(topics, at, limit=limit)
            paged += offsets(page)
            at, more = page.next, page.more
        assert paged == offsets(whole)

    def _holds(self, topics: set[str], after: int, page: Page) -> None:
        assert offsets(page) == sorted(offsets(page)), "log order"
        got = [item for item in page.items if isinstance(item, Entry)]
        losses = [item for item in page.items if isinstance(item, Lost)]
        assert len({item.offset for item in got}) == len(got), "exactly once"
        expected = [e for e in self.published if e.topic in topics and e.offset > after]
        missing = [e for e in expected if e not in got]
        for lost in missing:
            assert any(lost.topic in gap.topics and lost.offset <= gap.offset for gap in losses), "no silent gap"
        for gap in losses:
            assert gap.offset > after
            assert not any(e.topic in gap.topics and e.offset <= gap.offset for e in got), "a gap stands before"
            if gap.exact:
                assert all(any(m.topic == t for m in missing) for t in gap.topics), "an exact gap lost something"
                assert any(m.offset == gap.offset for m in missing), "an exact gap ends at what was lost"

    @invariant()
    def within_retention(self) -> None:
        assert self.log.size <= 16 * 800 or len(self.log) == 1
        assert len(self.log) <= 4 * len(TOPICS)
        assert self.log.head == self.offset


TestLogMachine = LogMachine.TestCase
TestLogMachine.settings = settings(max_examples=150, stateful_step_count=40, deadline=None)
