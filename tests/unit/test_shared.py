"""One question for all who ask meanwhile, and never an answer that is older than the question."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from tricast.errors import Unavailable
from tricast_server.backplane.shared import Shared


class Engine:
    """It answers with the number of the call, when it is told to."""

    def __init__(self) -> None:
        self.calls = 0
        self.answers: asyncio.Queue[Exception | None] = asyncio.Queue()

    async def call(self) -> int:
        self.calls += 1
        number = self.calls
        error = await self.answers.get()
        if error is not None:
            raise error
        return number


@asynccontextmanager
async def shared(engine: Engine) -> AsyncIterator[Shared[int]]:
    one = Shared(engine.call)
    try:
        yield one
    finally:
        await one.close()


async def asked(shared: Shared[int], count: int) -> list[asyncio.Task[int]]:
    tasks = [asyncio.create_task(shared.ask()) for _ in range(count)]
    for _ in range(5):
        await asyncio.sleep(0)
    return tasks


async def test_who_comes_while_one_is_under_way_gets_the_next() -> None:
    engine = Engine()
    async with shared(engine) as one:
        first = await asked(one, 3)
        late = await asked(one, 3) + await asked(one, 3)
        assert engine.calls == 1
        engine.answers.put_nowait(None)
        assert await asyncio.gather(*first) == [1, 1, 1]
        engine.answers.put_nowait(None)
        assert await asyncio.gather(*late) == [2] * 6
        engine.answers.put_nowait(None)
        assert await one.ask() == 3


async def test_an_error_is_for_those_who_asked_and_a_cancelled_one_takes_nothing_along() -> None:
    engine = Engine()
    async with shared(engine) as one:
        gone, *first = await asked(one, 3)
        late = await asked(one, 2)
        gone.cancel()
        engine.answers.put_nowait(Unavailable("away"))
        engine.answers.put_nowait(None)
        assert [type(error) for error in await asyncio.gather(*first, return_exceptions=True)] == [Unavailable] * 2
        assert await asyncio.gather(*late) == [2, 2]


async def test_closed_it_leaves_nobody_waiting() -> None:
    engine = Engine()
    async with shared(engine) as one:
        tasks = await asked(one, 2) + await asked(one, 2)
    for task in tasks:
        with pytest.raises(Unavailable):
            await task
    assert engine.calls == 1
