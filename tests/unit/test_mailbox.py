"""The mailbox: bounded, in order, and safe against cancelling at any await."""

from __future__ import annotations

import asyncio

import pytest

from tricast.errors import BusClosed
from tricast.mailbox import Mailbox
from tricast.wire.cursor import Cursor
from tricast.wire.messages import Message


def message(offset: int) -> Message:
    return Message(topic="a", cursor=f"e-{offset}", data=offset)


def filled(mailbox: Mailbox, *offsets: int) -> Mailbox:
    for offset in offsets:
        mailbox.put([message(offset)], Cursor("e", offset - 1))
    return mailbox


async def test_it_is_held_when_full_until_half_empty() -> None:
    mailbox = filled(Mailbox(4), 1, 2, 3)
    assert not mailbox.held
    filled(mailbox, 4)
    held = [mailbox.held]
    for _ in range(3):
        await mailbox.get()
        held.append(mailbox.held)
    assert held == [True, True, False, False]


async def test_room_wakes_the_reader() -> None:
    mailbox = filled(Mailbox(2), 1, 2)
    waiting = asyncio.create_task(mailbox.room())
    await asyncio.sleep(0)
    assert not waiting.done()
    await mailbox.get()
    await asyncio.wait_for(waiting, 1)


async def test_what_one_frame_brings_goes_in_whole() -> None:
    mailbox = Mailbox(2)
    mailbox.put([message(n) for n in range(1, 6)], Cursor("e", 0))
    assert [(await mailbox.get()).cursor for _ in range(5)] == [f"e-{n}" for n in range(1, 6)]


async def test_the_position_is_that_of_the_consumer() -> None:
    mailbox = Mailbox(9)
    now = Cursor("e", 4)
    assert mailbox.position(None) is None
    assert mailbox.position(now) == now
    filled(mailbox, 5, 7)
    now = Cursor("e", 9)
    assert mailbox.position(now) == Cursor("e", 4)
    await mailbox.get()
    assert mailbox.position(now) == Cursor("e", 5)
    await mailbox.get()
    assert mailbox.position(now) == now


async def test_cancelling_a_get_loses_nothing() -> None:
    mailbox = Mailbox(2)
    waiting = asyncio.create_task(mailbox.get())
    await asyncio.sleep(0)
    filled(mailbox, 1)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert await mailbox.get() == message(1)


async def test_two_consumers_get_each_item_once() -> None:
    mailbox = Mailbox(9)
    waiting = [asyncio.create_task(mailbox.get()) for _ in range(3)]
    await asyncio.sleep(0)
    filled(mailbox, 1, 2)
    await asyncio.sleep(0.01)
    assert sorted(task.result().cursor for task in waiting if task.done()) == ["e-1", "e-2"]
    filled(mailbox, 3)
    assert (await asyncio.wait_for(asyncio.gather(*waiting), 1))[-1] is not None


async def test_what_is_in_a_closed_one_can_still_be_got() -> None:
    mailbox = filled(Mailbox(9), 1, 2)
    mailbox.close(BusClosed("over"))
    assert [(await mailbox.get()).cursor for _ in range(2)] == ["e-1", "e-2"]
    for _ in range(2):
        with pytest.raises(BusClosed, match="over"):
            await mailbox.get()


async def test_closing_wakes_all_who_wait() -> None:
    mailbox = Mailbox(9)
    waiting = [asyncio.create_task(mailbox.get()) for _ in range(2)]
    await asyncio.sleep(0)
    mailbox.close(BusClosed("over"))
    for task in waiting:
        with pytest.raises(BusClosed):
            await task
