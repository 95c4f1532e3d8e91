"""What a log in an engine does when the engine is killed, emptied, rolled back, paused or over its limits."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import pytest
from tests.contract.engines import Server, Tail, append, engine, server_classes
from tests.helpers import eventually

from tricast.errors import Unavailable
from tricast.wire.cursor import Cursor
from tricast_server.backplane.base import Backplane, EpochStarted, Receipt
from tricast_server.bus.log import Retention

AWAY = 3.5
"""Seconds within which an append without an engine has ended."""
BACK = 15.0
"""Seconds within which everything goes on once the engine is back."""

Open = Callable[..., Backplane]


@pytest.fixture(params=server_classes())
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def durable(name: str) -> Iterator[Server]:
    with engine(name, durable=True) as server:
        yield server


@pytest.fixture
def volatile(name: str) -> Iterator[Server]:
    with engine(name, durable=False) as server:
        yield server


@asynccontextmanager
async def nodes(server: Server) -> AsyncIterator[Open]:
    """Opens backplanes, and closes them."""
    async with AsyncExitStack() as stack:

        def opened(**options: Any) -> Backplane:
            backplane = server.backplane(**options)
            stack.push_async_callback(backplane.close)
            return backplane

        yield opened


async def acknowledged(backplane: Backplane, timeout: float = BACK, **more: Any) -> Receipt:
    """A publisher who tries again with the same id until it is told."""
    async with asyncio.timeout(timeout):
        while True:
            try:
                return await append(backplane, **more)
            except Unavailable:
                await asyncio.sleep(0.02)


async def run(blocking: Callable[[], None]) -> None:
    await asyncio.to_thread(blocking)


class TestTogether:
    async def test_two_nodes_see_the_same_in_the_same_order(self, volatile: Server) -> None:
        async with nodes(volatile) as node:
            pair = [node(), node()]
            tails = [Tail(), Tail()]
            for backplane, tail in zip(pair, tails, strict=True):
                await backplane.tail(tail)
            receipts = await asyncio.gather(*(append(pair[n % 2], "ab"[n % 3 % 2], str(n)) for n in range(500)))
            last = max(receipt.at.offset for receipt in receipts)
            for tail in tails:
                await tail.reaches(last)
                assert tail.offsets == sorted(receipt.at.offset for receipt in receipts)
            assert [entry.data for entry in tails[0].entries] == [entry.data for entry in tails[1].entries]
            assert len({receipt.at.epoch for receipt in receipts}) == 1

    async def test_the_same_id_takes_effect_once_whatever_node_it_is_given_to(self, volatile: Server) -> None:
        async with nodes(volatile) as node:
            pair = [node(), node()]
            receipts = await asyncio.gather(*(append(pair[n % 2], id="same") for n in range(20)))
            assert [receipt.duplicate for receipt in receipts].count(False) == 1
            assert len({receipt.at for receipt in receipts}) == 1

    async def test_a_node_that_starts_late_gets_all_that_is_kept(self, volatile: Server) -> None:
        async with nodes(volatile) as node:
            first = node()
            receipts = await asyncio.gather(*(append(first, data=str(n)) for n in range(1000)))
            tail = Tail()
            bounds = await node().tail(tail)
            assert tail.starts == [Cursor(bounds.epoch, bounds.start)]
            assert tail.offsets == sorted(receipt.at.offset for receipt in receipts)
            assert bounds.end == tail.offsets[-1]

    async def test_batches_keep_the_order_of_each_caller(self, volatile: Server) -> None:
        async with nodes(volatile) as node:
            pair = [node(), node()]
            tail = Tail()
            await pair[0].tail(tail)

            async def caller(topic: str, backplane: Backplane) -> int:
                for number in range(40):
                    receipt = await append(backplane, topic, str(number))
                return receipt.at.offset

            await tail.reaches(max(await asyncio.gather(*(caller(f"t{n}", pair[n % 2]) for n in range(50)))))
            for n in range(50):
                heard = [int(entry.data) for entry in tail.entries if entry.topic == f"t{n}"]
                assert heard == list(range(40))

    async def test_large_entries_go_through_in_order(self, volatile: Server) -> None:
        async with nodes(volatile) as node:
            backplane, tail = node(), Tail()
            await backplane.tail(tail)
            data = ['"' + str(n) * 250_000 + '"' for n in range(10)]
            receipts = await asyncio.gather(*(append(backplane, data=each) for each in data))
            await tail.reaches(max(receipt.at.offset for receipt in receipts))
            assert [entry.data for entry in tail.entries] == data


class TestTrimming:
    async def test_the_start_moves_and_a_late_tail_says_where_it_starts(self, volatile: Server) -> None:
        async with nodes(volatile) as node:
            few = Retention(count=200)
            backplane, early = node(retention=few), Tail()
            bounds = await backplane.tail(early)
            receipts = []
            for batch in range(0, 1500, 100):  # not all at once: an engine may let go of what no tail has read yet
                numbers = range(batch, batch + 100)
                receipts += await asyncio.gather(*(append(backplane, data=str(n)) for n in numbers))
                await early.reaches(max(receipt.at.offset for receipt in receipts))
            offsets = sorted(receipt.at.offset for receipt in receipts)
            async with asyncio.timeout(BACK):
                while bounds.start < offsets[500]:
                    bounds = await backplane.bounds()
                    await asyncio.sleep(0.05)
            late = Tail()
            start = await node(retention=few).tail(late)
            assert late.starts == [Cursor(start.epoch, start.start)] == [Cursor(bounds.epoch, start.start)]
            assert late.offsets == [offset for offset in offsets if offset > start.start]
            assert len(late.offsets) >= 200
            assert early.offsets == offsets  # whoever was there has missed nothing
            assert len(early.starts) == 1


class TestRestarted:
    async def test_with_what_it_kept_nothing_is_lost_or_doubled(self, durable: Server) -> None:
        async with nodes(durable) as node:
            pair = [node(), node()]
            tails = [Tail(), Tail()]
            for backplane, tail in zip(pair, tails, strict=True):
                await backplane.tail(tail)
            before = [(await append(pair[0], data=str(n), id=f"i{n}")).at for n in range(50)]
            await run(durable.kill)
            await run(durable.start)
            again = await acknowledged(pair[1], data="7", id="i7")
            assert (again.at, again.duplicate) == (before[7], True)
            after = [(await acknowledged(pair[n % 2], data=str(n), id=f"i{n}")).at for n in range(50, 100)]
            late = Tail()
            await node().tail(late)
            for tail in (*tails, late):
                await tail.reaches(after[-1].offset, BACK)
                assert tail.offsets == [at.offset for at in before + after]
                assert len(tail.starts) == 1
            assert {at.epoch for at in before + after} == {before[0].epoch}

    async def test_empty_it_is_another_epoch_and_every_tail_is_told(self, volatile: Server) -> None:
        async with nodes(volatile) as node:
            pair = [node(), node()]
            tails = [Tail(), Tail()]
            for backplane, tail in zip(pair, tails, strict=True):
                await backplane.tail(tail)
            old = [(await append(pair[0], id=f"i{n}")).at for n in range(5)]
            for tail in tails:
                await tail.reaches(old[-1].offset)
            await run(volatile.wipe)
            await run(volatile.start)
            for tail in tails:
                await eventually(lambda tail=tail: len(tail.starts) > 1, timeout=BACK)  # type: ignore[misc]  # lambda
            receipt = await acknowledged(pair[0], id="i1")  # its window ended with the epoch
            assert receipt.duplicate is False
            assert receipt.at.epoch != old[0].epoch
            for tail in tails:
                await tail.reaches_place(receipt.at, BACK)
                assert {at.epoch for at in tail.starts[1:]} == {receipt.at.epoch}
                assert [record for record in tail.records if not isinstance(record, EpochStarted)][5:] == [
                    tail.entries[-1]
                ]
            assert {(await backplane.bounds()).epoch for backplane in pair} == {receipt.at.epoch}

    @pytest.mark.parametrize("first", ["a node that saw more", "a new node"])
    async def test_rolled_back_it_is_another_epoch_and_every_tail_is_told(self, durable: Server, first: str) -> None:
        async with nodes(durable) as node:
            pair = [node(), node()]
            tails = [Tail(), Tail()]
            for backplane, tail in zip(pair, tails, strict=True):
                await backplane.tail(tail)
            kept = (await append(pair[0], data="1")).at
            await run(durable.kill)
            await run(durable.save)
            await run(durable.start)
            lost = [(await acknowledged(pair[0], data="2", id=f"i{n}")).at for n in range(5)]
            for tail in tails:
                await tail.reaches(lost[-1].offset, BACK)
            assert lost[0].epoch == kept.epoch
            await run(durable.roll_back)
            await run(durable.start)
            other = node() if first == "a new node" else pair[1]
            if first == "a new node":
                await acknowledged(other, data="3")
            for tail in tails:
                await eventually(lambda tail=tail: len(tail.starts) > 1, timeout=BACK)  # type: ignore[misc]  # lambda
            receipt = await acknowledged(other, data="4")
            assert receipt.at.epoch != kept.epoch
            for tail in tails:
                await tail.reaches_place(receipt.at, BACK)
                assert tail.starts[-1].epoch == receipt.at.epoch
                assert tail.entries[-1].data == "4"
                assert [entry.data for entry in tail.entries].count("2") == 5

    async def test_killed_while_appends_are_under_way_it_has_each_that_was_acknowledged_once(
        self, durable: Server
    ) -> None:
        async with nodes(durable) as node:
            pair = [node(), node()]
            tail = Tail()
            await pair[0].tail(tail)
            receipts: list[Receipt] = []

            async def publisher(n: int) -> None:
                for number in range(60):
                    receipts.append(
                        await acknowledged(pair[n % 2], 40, topic=f"t{n}", data=str(number), id=f"i{n}-{number}")
                    )
                    await asyncio.sleep(0.02)

            async with asyncio.TaskGroup() as group:
                for n in range(20):
                    group.create_task(publisher(n))
                for _ in range(2):
                    await asyncio.sleep(0.4)
                    await run(durable.kill)
                    await asyncio.sleep(0.2)
                    await run(durable.start)
            assert len({receipt.at.epoch for receipt in receipts}) == 1
            assert len(receipts) == len({receipt.at.offset for receipt in receipts}) == 1200
            await tail.reaches(max(receipt.at.offset for receipt in receipts), BACK)
            late = Tail()
            await node().tail(late)
            for heard in (tail, late):
                assert heard.offsets == sorted(receipt.at.offset for receipt in receipts)
                for n in range(20):
                    numbers = [int(entry.data) for entry in heard.entries if entry.topic == f"t{n}"]
                    assert numbers == list(range(60))


class TestAway:
    async def test_nobody_is_kept_waiting_and_it_goes_on_when_it_is_back(self, durable: Server) -> None:
        async with nodes(durable) as node:
            backplane, tail = node(), Tail()
            await backplane.tail(tail)
            first = await append(backplane)
            assert backplane.up
            await run(durable.kill)
            for _ in range(3):
                began = time.monotonic()
                with pytest.raises(Unavailable) as refused:
                    await append(backplane)
                assert time.monotonic() - began < AWAY
                assert refused.value.retry_after is not None
            began = time.monotonic()
            with pytest.raises(Unavailable):
                await append(backplane)
            assert time.monotonic() - began < AWAY / 2  # by now it is known
            with pytest.raises(Unavailable):
                await backplane.bounds()
            assert not backplane.up
            await run(durable.start)
            await eventually(lambda: backplane.up, timeout=BACK)
            receipt = await acknowledged(backplane, data="2")
            await tail.reaches(receipt.at.offset, BACK)
            assert tail.offsets == [first.at.offset, receipt.at.offset]

    async def test_paused_it_is_found_out_by_deadlines(self, durable: Server) -> None:
        async with nodes(durable) as node:
            pair = [node(), node()]
            tail = Tail()
            await pair[0].tail(tail)
            receipts = [(await append(pair[0], data="0", id="i0")).at]
            durable.pause()
            paused = time.monotonic()
            for number in range(1, 4):
                began = time.monotonic()
                with pytest.raises(Unavailable):
                    await append(pair[1], data=str(number), id=f"i{number}")
                assert time.monotonic() - began < AWAY
            await asyncio.sleep(max(0.0, 5.0 - (time.monotonic() - paused)))
            assert not pair[0].up  # nobody appended there, and yet it knows
            durable.resume()
            receipts += [(await acknowledged(pair[n % 2], data=str(n), id=f"i{n}")).at for n in range(1, 10)]
            assert len({at.epoch for at in receipts}) == 1
            last = max(at.offset for at in receipts)
            await tail.reaches(last, BACK)
            assert tail.offsets == sorted(at.offset for at in receipts)
            assert sorted(str(entry.data) for entry in tail.entries) == [str(n) for n in range(10)]

    async def test_who_comes_while_it_is_away_is_told(self, volatile: Server) -> None:
        async with nodes(volatile) as node:
            await run(volatile.kill)
            backplane = node()
            began = time.monotonic()
            with pytest.raises(Unavailable):
                await backplane.tail(Tail())
            with pytest.raises(Unavailable):
                await backplane.bounds()
            with pytest.raises(Unavailable):
                await append(backplane)
            assert time.monotonic() - began < 3 * AWAY

    async def test_it_can_be_closed_while_it_is_away_or_paused(self, volatile: Server) -> None:
        async with nodes(volatile) as node:
            pair = [node(), node()]
            for backplane in pair:
                await backplane.tail(Tail())
            volatile.pause()
            under_way = asyncio.create_task(append(pair[0]))
            await asyncio.sleep(0.05)
            began = time.monotonic()
            await pair[0].close()
            with pytest.raises(Unavailable):
                await under_way
            await run(volatile.kill)
            await pair[1].close()
            assert time.monotonic() - began < 2 * AWAY
