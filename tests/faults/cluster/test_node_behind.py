"""A node that has not heard yet that the log began anew must not lead back to what is over."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import AsyncExitStack
from pathlib import Path

import pytest
from tests.contract import engines
from tests.faults.cluster.nodes import Node
from tests.faults.cluster.relay import relay_to
from tests.helpers import Server
from tests.helpers_clients import Answer, Http, epoch

BACK = 20.0


@pytest.fixture(params=["redis", "nats"])
def engine(request: pytest.FixtureRequest) -> Iterator[engines.Server]:
    with engines.engine(request.param) as server:
        yield server


async def accepted(http: Http, data: object) -> str:
    """Its place, once the node takes it."""
    async with asyncio.timeout(BACK):
        while True:
            answer = await http.post_send(f'{{"action":"publish","topic":"a","data":{data},"id":"m{data}"}}')
            if answer.status == 200:
                return str(answer.json["at"])
            await asyncio.sleep(0.05)


async def test_a_cursor_of_the_new_life_is_never_answered_by_the_old_one(
    engine: engines.Server, tmp_path: Path
) -> None:
    async with AsyncExitStack() as stack:
        relay = await stack.enter_async_context(relay_to(engine.port))
        nodes = [
            Node("one", engine.url, tmp_path),
            Node("two", engine.url.replace(str(engine.port), str(relay.port)), tmp_path),
        ]
        for node in nodes:
            stack.push_async_callback(node.kill)
        await asyncio.gather(*(node.start() for node in nodes))
        one, two = [await stack.enter_async_context(Http(Server(port=node.port))) for node in nodes]
        old = await accepted(one, 0)
        assert [frame["data"] for frame in (await two.poll("a", cursor="earliest"))["messages"]] == [0]

        relay.hold()
        await asyncio.to_thread(engine.wipe)
        await asyncio.to_thread(engine.start)
        first = await accepted(one, 1)
        assert epoch(first) != epoch(old)
        second = await accepted(one, 2)

        answers: list[Answer] = []

        async def ask() -> None:
            while not answers or answers[-1].status == 503:
                answers.append(await two.get(f"/poll?topics=a&wait=0&cursor={first}&n={len(answers)}"))
                await asyncio.sleep(0.05)

        asking = asyncio.create_task(ask())
        await asyncio.sleep(0.5)
        relay.mend()
        async with asyncio.timeout(BACK):
            await asking
        assert {answer.status for answer in answers[:-1]} <= {503}
        batch = answers[-1].json
        assert [(frame["type"], frame.get("data")) for frame in batch["messages"]] == [("message", 2)]
        assert batch["cursor"] == second
