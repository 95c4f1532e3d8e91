"""The Python client and tokens that expire: another one is asked for, and nothing is lost."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
from tests.helpers import Node, eventually, running
from tests.helpers_clients import TRANSPORTS
from tests.helpers_tokens import SECRET, token

import tricast
from tricast.errors import ConnectFailed, Forbidden, Unauthorized
from tricast.wire.messages import Message

LIFE = 0.7
"""Seconds of a token."""


@pytest.fixture
async def server() -> AsyncIterator[Node]:
    async with running(heartbeat=5.0, token_leeway=0.0, token_secret=SECRET) as node:
        yield node


class Giver:
    """Gives out tokens, each for a while, and counts them."""

    def __init__(self, *tokens: str | None, **claims: Any) -> None:
        self.given = 0
        self._tokens = list(tokens)
        self._claims = claims

    async def __call__(self) -> str | None:
        self.given += 1
        return self._tokens.pop(0) if self._tokens else token(**self._claims)


class Keeper:
    """Gives the same token as long as it holds, as most applications do."""

    def __init__(self) -> None:
        self._ends = 0.0
        self._token = ""

    def __call__(self) -> str:
        if time.time() >= self._ends:
            self._ends = time.time() + LIFE
            self._token = token(exp=self._ends)
        return self._token


def what(bus: tricast.Bus) -> list[str]:
    return [record.what for record in bus.timeline]


async def test_nothing_is_lost_while_tokens_come_and_go(server: Node) -> None:
    """On every transport at once, with messages both ways."""
    await asyncio.gather(*(come_and_go(server, transport) for transport in TRANSPORTS))


async def come_and_go(server: Node, transport: str) -> None:
    names: Any = [transport]
    async with tricast.connect(server.url, names, transports=names, token=Keeper()) as bus:
        got: list[object] = []

        async def listen() -> None:
            async for item in bus:
                assert isinstance(item, Message), item
                got.append(item.data)

        listening = asyncio.create_task(listen())
        for number in range(14):
            if number % 2:
                await bus.publish(transport, number)
            else:
                await server.service.publish(transport, number)
            # In the flow, and once in silence, when a poll is sure to wait.
            await asyncio.sleep(LIFE + 0.3 if number == 10 else 0.1)
        await eventually(lambda: len(got) == 14)
        assert got == list(range(14))
        assert bus.stats.reconnects >= 1
        assert bus.stats.lost == bus.stats.gaps == 0
    await listening


@pytest.mark.parametrize("transport", TRANSPORTS)
async def test_asked_once_more_where_the_first_one_is_refused(server: Node, transport: str) -> None:
    giver = Giver(token(life=-5))
    async with tricast.connect(server.url, ["a"], transports=[transport], token=giver) as bus:  # type: ignore[list-item]
        assert "refused" in what(bus)
        assert await bus.publish("a", 1)


@pytest.mark.parametrize("transport", [None, *TRANSPORTS])
async def test_not_more_than_once(server: Node, transport: str | None) -> None:
    giver = Giver(life=-5)
    names: Any = TRANSPORTS if transport is None else [transport]
    with pytest.raises(Unauthorized, match="expired"):
        async with tricast.connect(server.url, ["a"], transports=names, token=giver):
            pass
    assert giver.given <= 2 * len(names)


async def test_a_token_that_is_no_function_cannot_be_renewed(server: Node) -> None:
    async def ends(transport: Any) -> None:
        async with tricast.connect(server.url, ["a"], transports=[transport], token=token(life=LIFE)) as bus:
            with pytest.raises(Unauthorized, match="expired"):
                await anext(bus)

    await asyncio.gather(*map(ends, TRANSPORTS))


async def test_who_gives_out_tokens_may_be_away_for_a_while(server: Node) -> None:
    asked = 0

    def give() -> str:  # a plain function will do
        nonlocal asked
        asked += 1
        if asked in (2, 3):
            raise OSError("the issuer is away")
        return token(life=LIFE)

    async with tricast.connect(server.url, ["a"], transports=["poll"], token=give) as bus:
        for number in range(3):
            await server.service.publish("a", number)
            item = await anext(bus)
            assert isinstance(item, Message)
            assert item.data == number
            await asyncio.sleep(LIFE / 2)
    assert any("the issuer is away" in record.detail for record in bus.timeline)


async def test_without_any_token_it_says_why(server: Node) -> None:
    async def give() -> str:
        raise RuntimeError("not logged in")

    with pytest.raises(ConnectFailed, match="not logged in"):
        async with tricast.connect(server.url, ["a"], token=give, open_timeout=0.7):
            pass


@pytest.mark.parametrize("give", [lambda: None, lambda: ""], ids=["none", "empty"])
async def test_a_server_that_wants_one_gets_none(server: Node, give: Callable[[], str | None]) -> None:
    with pytest.raises(Unauthorized):
        async with tricast.connect(server.url, ["a"], token=give):
            pass


async def test_what_a_token_does_not_allow_is_no_reason_to_ask_for_another(server: Node) -> None:
    giver = Giver(subscribe=["a"], publish=["b"])
    async with tricast.connect(server.url, ["a"], transports=["ws"], token=giver) as bus:
        before = giver.given
        with pytest.raises(Forbidden):
            await bus.publish("a", 1)
        with pytest.raises(Forbidden):
            await bus.subscribe("b")
        assert giver.given == before
        assert await bus.publish("b", 1)


def test_a_token_does_not_show_where_a_target_is_printed() -> None:
    assert "secret" not in repr(tricast.connect("http://127.0.0.1", token="secret")._target)
