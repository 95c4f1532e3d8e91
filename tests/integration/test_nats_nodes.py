"""Two `tricast serve` on one JetStream stream: what is published on one is read on the other, on every transport."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Iterator
from contextlib import ExitStack

import pytest
from tests.contract.engine_nats import Server as Engine
from tests.contract.engines import engine
from tests.helpers import Process, serving
from tests.helpers_clients import Answer, Http, epoch, publish, readers

BACK = 10.0


@pytest.fixture
def nats_server() -> Iterator[Engine]:
    with engine("nats") as running:
        assert isinstance(running, Engine)
        yield running


@pytest.fixture
def nodes(nats_server: Engine) -> Iterator[tuple[Process, Process]]:
    with ExitStack() as stack:
        first, second = (
            stack.enter_context(serving("--backplane", nats_server.url, "--node", name, "--heartbeat", "0.5"))
            for name in ("n1", "n2")
        )
        yield first, second


async def ready(node: Process) -> int:
    async with Http(node) as http:
        return (await http.get("/readyz")).status


async def published(http: Http, data: object, id: str) -> Answer:
    return await http.post_send(json.dumps(publish("a", data, id=id)))


async def accepted(http: Http, data: object, id: str) -> str:
    """Its place in the log, once the server takes it."""
    async with asyncio.timeout(BACK):
        while (answer := await published(http, data, id)).status == 503:
            await asyncio.sleep(0.05)
    assert answer.status == 200, answer
    return str(answer.json["at"])


async def test_what_one_takes_all_show_and_the_engines_end_is_survived(
    nats_server: Engine, nodes: tuple[Process, Process]
) -> None:
    first, second = nodes
    async with readers(second, "a") as listening, Http(first) as http:
        assert {reader.hello.get("node") for reader in listening.values()} == {"n2"}
        places = await http.publish("a", *range(20))
        for reader in listening.values():
            assert [message["cursor"] for message in await reader.messages(20)] == places

        await asyncio.to_thread(nats_server.kill)
        refused = await published(http, "lost", "x1")
        assert (refused.status, refused.json["code"]) == (503, "unavailable")
        assert refused.json["retry_after"] > 0
        began = time.monotonic()
        assert (await published(http, "lost", "x2")).status == 503
        assert time.monotonic() - began < 5.0
        assert {await ready(node) for node in nodes} == {503}
        await listening["ws"].next("heartbeat")  # it is still there

        await asyncio.to_thread(nats_server.start)
        at = await accepted(http, "back", "x3")
        assert epoch(at) == epoch(places[0])
        for reader in listening.values():
            assert [message["data"] for message in await reader.messages(1, timeout=BACK)] == ["back"]
        assert {await ready(node) for node in nodes} == {200}


async def test_what_came_while_one_was_not_there_can_be_fetched_from_it(
    nats_server: Engine, nodes: tuple[Process, Process]
) -> None:
    first, _ = nodes
    async with Http(first) as http:
        places = await http.publish("a", "one", "two", "three")
    with serving("--backplane", nats_server.url) as third:
        async with Http(third) as http:
            answer = await http.poll("a", cursor=places[0])
            assert [message["data"] for message in answer["messages"]] == ["two", "three"]


async def test_an_engine_that_lost_all_is_a_gap_for_everyone(
    nats_server: Engine, nodes: tuple[Process, Process]
) -> None:
    first, second = nodes
    async with readers(second, "a") as listening, Http(first) as http:
        old = (await http.publish("a", 1))[0]
        for reader in listening.values():
            await reader.messages(1)
        await asyncio.to_thread(nats_server.wipe)
        await asyncio.to_thread(nats_server.start)
        new = await accepted(http, 2, "x1")
        assert epoch(new) != epoch(old)
        for reader in listening.values():
            gap = (await reader.log(1, timeout=BACK))[0]
            assert (gap["type"], gap["reason"], epoch(gap["cursor"])) == ("gap", "epoch", epoch(new))
        last = (await http.publish("a", 3))[0]
        for reader in listening.values():
            while (message := (await reader.messages(1))[0])["data"] != 3:
                assert message["cursor"] == new  # a poll asks later, and its gap may cover it
            assert message["cursor"] == last
