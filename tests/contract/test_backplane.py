"""The guarantees of `tricast_server.backplane.base`, for every implementation.

What engines do when they are killed, paused or emptied is in `test_engines.py`.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from tests.contract.engines import Tail, append, engine, server_classes

from tricast.errors import Conflict, Unavailable
from tricast.wire.cursor import Cursor
from tricast_server.backplane.base import Backplane, EpochStarted
from tricast_server.backplane.memory import MemoryBackplane

WINDOW = 1.0


class Clock:
    """Seconds that pass when they are told to."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now

    async def passes(self, seconds: float) -> None:
        self.now += seconds


class RealClock(Clock):
    async def passes(self, seconds: float) -> None:
        await asyncio.sleep(seconds)


@asynccontextmanager
async def opened(name: str, dedupe_window: float) -> AsyncIterator[tuple[Backplane, Clock]]:
    """A backplane, reachable and empty, and the clock that its dedupe window goes by."""
    if name == "memory":
        clock = Clock()
        backplane: Backplane = MemoryBackplane(dedupe_window=dedupe_window, monotonic=clock)
        yield backplane, clock
        await backplane.close()
        return
    with engine(name, durable=False) as server:
        backplane = server.backplane(dedupe_window=dedupe_window)
        yield backplane, RealClock()
        await backplane.close()


@pytest.fixture(params=["memory", *server_classes()])
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
async def backplane(name: str) -> AsyncIterator[Backplane]:
    async with opened(name, 120.0) as (backplane, _):
        yield backplane


@pytest.fixture
async def forgetful(name: str) -> AsyncIterator[tuple[Backplane, Clock]]:
    """One whose window is WINDOW, and its clock."""
    async with opened(name, WINDOW) as pair:
        yield pair


class TestOrder:
    async def test_offsets_grow_over_all_topics(self, backplane: Backplane) -> None:
        offsets = [(await append(backplane, topic)).at.offset for topic in "abcab"]
        assert offsets == sorted(set(offsets))
        assert all(0 < offset < 2**63 for offset in offsets)

    async def test_every_tail_sees_the_same_in_the_same_order(self, backplane: Backplane) -> None:
        first, second = Tail(), Tail()
        await backplane.tail(first)
        await backplane.tail(second)
        receipts = await asyncio.gather(*(append(backplane, "ab"[n % 2], str(n)) for n in range(200)))
        last = max(receipt.at.offset for receipt in receipts)
        await first.reaches(last)
        await second.reaches(last)
        assert first.offsets == second.offsets == sorted(receipt.at.offset for receipt in receipts)
        by_offset = {receipt.at.offset: str(n) for n, receipt in enumerate(receipts)}
        assert [entry.data for entry in first.entries] == [by_offset[offset] for offset in first.offsets]
        assert first.entries == second.entries or [e.data for e in first.entries] == [e.data for e in second.entries]

    async def test_appends_of_one_caller_take_effect_in_their_order(self, backplane: Backplane) -> None:
        tail = Tail()
        await backplane.tail(tail)
        for number in range(50):
            receipt = await append(backplane, data=str(number))
        await tail.reaches(receipt.at.offset)
        assert [entry.data for entry in tail.entries] == [str(number) for number in range(50)]


class TestOnce:
    async def test_an_entry_is_delivered_once_to_each_tail(self, backplane: Backplane) -> None:
        tail = Tail()
        await backplane.tail(tail)
        await append(backplane, id="same")
        await append(backplane, id="same")
        receipt = await append(backplane)
        await tail.reaches(receipt.at.offset)
        assert len(tail.entries) == 2

    async def test_a_tail_that_starts_late_gets_what_is_kept_after_its_bounds_and_then_all(
        self, backplane: Backplane
    ) -> None:
        before = [(await append(backplane)).at.offset for _ in range(5)]
        tail = Tail()
        bounds = await backplane.tail(tail)
        assert tail.records[0] == EpochStarted(Cursor(bounds.epoch, bounds.start))
        assert bounds.end >= before[-1]
        assert tail.offsets == [offset for offset in before if offset > bounds.start]
        receipt = await append(backplane)
        await tail.reaches(receipt.at.offset)
        assert tail.offsets[-1] == receipt.at.offset
        assert len(set(tail.offsets)) == len(tail.offsets)

    async def test_an_entry_says_what_was_published(self, backplane: Backplane) -> None:
        tail = Tail()
        await backplane.tail(tail)
        json_text = '{"k":"\u2028\u00e9\\u0000"}'
        await append(backplane, "a.b", json_text, event="e\u00e9", id="i-1", sender="me", subject="anna")
        receipt = await append(backplane, data=b"\xff\0")
        await tail.reaches(receipt.at.offset)
        first, second = tail.entries
        assert (first.topic, first.data, first.event, first.id) == ("a.b", json_text, "e\u00e9", "i-1")
        assert (first.sender, first.subject) == ("me", "anna")
        assert abs(first.ts - second.ts) < 60
        assert (second.data, second.event, second.id, second.sender) == (b"\xff\0", None, None, None)


class TestAcknowledgedMeansKept:
    async def test_bounds_reach_what_was_acknowledged(self, backplane: Backplane) -> None:
        for _ in range(3):
            receipt = await append(backplane)
            bounds = await backplane.bounds()
            assert bounds.epoch == receipt.at.epoch
            assert bounds.end >= receipt.at.offset
            assert bounds.start <= bounds.end

    async def test_an_empty_log_has_an_epoch(self, backplane: Backplane) -> None:
        bounds = await backplane.bounds()
        assert bounds.epoch.isalnum()
        assert bounds.start == bounds.end

    async def test_it_is_one_life(self, backplane: Backplane) -> None:
        epochs = {(await append(backplane)).at.epoch for _ in range(3)}
        assert epochs == {(await backplane.bounds()).epoch}


class TestDedupe:
    async def test_the_same_id_takes_effect_once(self, backplane: Backplane) -> None:
        first = await append(backplane, id="same", event="e")
        again = await append(backplane, id="same", event="e", sender="another")
        assert (first.duplicate, again.duplicate) == (False, True)
        assert again.at == first.at
        assert (await backplane.bounds()).end == first.at.offset

    async def test_at_once_too(self, backplane: Backplane) -> None:
        receipts = await asyncio.gather(*(append(backplane, id="same") for _ in range(20)))
        assert [receipt.duplicate for receipt in receipts].count(False) == 1
        assert len({receipt.at for receipt in receipts}) == 1

    @pytest.mark.parametrize("other", ["1.0", "1e0", " 1 "], ids=repr)
    async def test_data_are_compared_as_json(self, backplane: Backplane, other: str) -> None:
        await append(backplane, data="1", id="same")
        assert (await append(backplane, data=other, id="same")).duplicate is True

    async def test_members_have_no_order(self, backplane: Backplane) -> None:
        await append(backplane, data='{"x":1,"y":{"a":1,"b":2}}', id="same")
        assert (await append(backplane, data='{"y":{"b":2,"a":1},"x":1}', id="same")).duplicate is True

    @pytest.mark.parametrize(
        "other",
        [{"data": "2"}, {"data": '"1"'}, {"data": b"1"}, {"event": "other"}, {"event": ""}, {"data": "true"}],
        ids=repr,
    )
    async def test_another_event_or_data_is_a_conflict(self, backplane: Backplane, other: dict[str, Any]) -> None:
        first = await append(backplane, data="1", id="same")
        with pytest.raises(Conflict):
            await append(backplane, **{"data": "1", "id": "same", **other})
        assert (await backplane.bounds()).end == first.at.offset

    @pytest.mark.parametrize("other", [{"topic": "b"}, {"subject": "bert"}, {"id": "other"}], ids=repr)
    async def test_the_key_is_subject_topic_and_id(self, backplane: Backplane, other: dict[str, Any]) -> None:
        await append(backplane, "a", id="same", subject="anna")
        assert (await append(backplane, **{"topic": "a", "id": "same", "subject": "anna", **other})).duplicate is False

    async def test_parts_of_the_key_do_not_run_together(self, backplane: Backplane) -> None:
        await append(backplane, "a.b", id="c", data="1")
        assert (await append(backplane, "a", id="b-c", data="2")).duplicate is False
        assert (await append(backplane, "b", id="c", subject="a", data="3")).duplicate is False

    async def test_without_an_id_nothing_is_compared(self, backplane: Backplane) -> None:
        assert [(await append(backplane)).duplicate for _ in range(3)] == [False] * 3

    async def test_the_window_ends(self, forgetful: tuple[Backplane, Clock]) -> None:
        backplane, clock = forgetful
        first = await append(backplane, id="same")
        await clock.passes(WINDOW * 0.5)
        assert (await append(backplane, id="same")).duplicate is True
        await clock.passes(WINDOW * 0.6)
        again = await append(backplane, data="2", id="same")
        assert again.duplicate is False
        assert again.at.offset > first.at.offset

    async def test_the_window_counts_from_the_first(self, forgetful: tuple[Backplane, Clock]) -> None:
        backplane, clock = forgetful
        for _ in range(3):
            await append(backplane, id="same")
            await clock.passes(WINDOW * 0.6)
        assert (await append(backplane, id="same")).duplicate is True


class TestClose:
    async def test_nothing_is_delivered_or_taken_afterwards(self, backplane: Backplane) -> None:
        tail = Tail()
        await backplane.tail(tail)
        await append(backplane)
        await backplane.close()
        seen = list(tail.offsets)
        with pytest.raises(Unavailable):
            await append(backplane)
        with pytest.raises(Unavailable):
            await backplane.bounds()
        await asyncio.sleep(0.02)
        assert tail.offsets == seen

    async def test_it_may_be_closed_twice(self, backplane: Backplane) -> None:
        await backplane.close()
        await backplane.close()


async def test_two_lives_have_different_epochs(name: str) -> None:
    async with opened(name, WINDOW) as (first, _), opened(name, WINDOW) as (second, _):
        assert (await first.bounds()).epoch != (await second.bounds()).epoch
