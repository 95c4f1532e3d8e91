"""The Python client against a real server, over each transport."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from itertools import permutations
from typing import Any

import pytest
from aiohttp import web
from aiohttp.typedefs import Handler, Middleware
from tests.helpers import HOST, Node, eventually, running, unused_port

import tricast
from tricast.errors import Unavailable
from tricast.wire.messages import TransportName
from tricast_server import Access, Service, Settings, setup
from tricast_server.backplane.base import Publication, Receipt
from tricast_server.backplane.memory import MemoryBackplane
from tricast_server.guard.authorise import Authorise, allow_all

TRANSPORTS: tuple[TransportName, ...] = ("ws", "sse", "poll")
PAIRS = list(permutations(TRANSPORTS, 2))
TIMEOUT = 10.0


@pytest.fixture(params=TRANSPORTS)
def only(request: pytest.FixtureRequest) -> tuple[TransportName, ...]:
    """One transport, and no other to fall back to."""
    return (request.param,)


async def take(bus: tricast.Bus, count: int) -> list[tricast.Message]:
    """The next messages. A gap fails the test."""
    messages: list[tricast.Message] = []
    async with asyncio.timeout(TIMEOUT):
        while len(messages) < count:
            item = await anext(bus)
            assert isinstance(item, tricast.Message), item
            messages.append(item)
    return messages


async def data_of(bus: tricast.Bus, count: int) -> list[Any]:
    return [message.data for message in await take(bus, count)]


async def take_gap(bus: tricast.Bus) -> tricast.Gap:
    async with asyncio.timeout(TIMEOUT):
        item = await anext(bus)
    assert isinstance(item, tricast.Gap), item
    return item


@asynccontextmanager
async def server(
    *, port: int = 0, authorise: Authorise = allow_all, middleware: Middleware | None = None, **values: Any
) -> AsyncIterator[Node]:
    """As `running`, on a port of choice, with an application's own hooks."""
    app = web.Application(middlewares=[middleware] if middleware else [])
    service = setup(app, "", settings=Settings(**{"drain_timeout": 1.0, **values}), authorise=authorise)
    runner = web.AppRunner(app, access_log=None, handler_cancellation=True, shutdown_timeout=0.5)
    await runner.setup()
    try:
        await web.TCPSite(runner, HOST, port, reuse_address=True).start()
        yield Node(port=runner.addresses[0][1], service=service)
    finally:
        await runner.cleanup()


# Messages


async def test_what_is_published_arrives(only: tuple[TransportName, ...]) -> None:
    async with running() as node, tricast.connect(node.url, ["t"], transports=only, client="ann") as bus:
        at = await bus.publish("t", {"n": [1, None, "é😀"]}, event="greeting", id="m-1")
        (message,) = await take(bus, 1)
        assert bus.transport == only[0]
    assert (message.topic, message.cursor, message.event, message.id) == ("t", at, "greeting", "m-1")
    assert (message.data, message.sender) == ({"n": [1, None, "é😀"]}, "ann")
    assert message.ts is not None


async def test_bytes_stay_bytes(only: tuple[TransportName, ...]) -> None:
    values: list[Any] = [b"", b"\0\xff", b"x" * 10_000, "", None, False, 0, {}]
    async with running() as node, tricast.connect(node.url, ["t"], transports=only) as bus:
        for value in values:
            await bus.publish("t", value)
        assert await data_of(bus, len(values)) == values


async def test_an_echo_comes_back_and_is_nobody_elses(only: tuple[TransportName, ...]) -> None:
    async with running() as node, tricast.connect(node.url, ["t"], transports=only) as bus:
        values: list[Any] = ["hello", None, {"a": [1]}, b"\0\xff", ""]
        assert await asyncio.gather(*map(bus.echo, values)) == values
        await bus.publish("t", "last")
        assert await data_of(bus, 1) == ["last"]
        assert bus.stats.received == 1


async def test_two_clients_see_one_order(only: tuple[TransportName, ...]) -> None:
    async with AsyncExitStack() as stack:
        node = await stack.enter_async_context(running())
        one = await stack.enter_async_context(tricast.connect(node.url, ["a", "b"], transports=only))
        other = await stack.enter_async_context(tricast.connect(node.url, ["a", "b"]))
        await asyncio.gather(*(bus.publish("ab"[n % 2], n) for n in range(60) for bus in (one,)))
        await asyncio.gather(*(other.publish("ab"[n % 2], n) for n in range(60, 120)))
        seen = await take(one, 120)
        assert await take(other, 120) == seen
    assert sorted(message.data for message in seen) == list(range(120))


async def test_own_messages_can_be_left_out(only: tuple[TransportName, ...]) -> None:
    async with running() as node, tricast.connect(node.url, ["t"], transports=only, echo=False) as bus:
        await bus.publish("t", "mine")
        await node.service.publish("t", "yours")
        assert await data_of(bus, 1) == ["yours"]
        assert await bus.echo("still") == "still"


async def test_nobody_listens_where_there_are_no_topics(only: tuple[TransportName, ...]) -> None:
    async with running() as node, tricast.connect(node.url, (), transports=only) as bus:
        await bus.publish("t", 1)
        assert await bus.echo(2) == 2
        assert bus.topics == ()
        assert bus.stats.received == 0


# Where to begin


async def test_the_last_messages_first(only: tuple[TransportName, ...]) -> None:
    async with running() as node:
        for n in range(5):
            await node.service.publish("t", n)
        async with tricast.connect(node.url, ["t"], transports=only, last=2) as bus:
            await node.service.publish("t", 5)
            assert await data_of(bus, 3) == [3, 4, 5]
        async with tricast.connect(node.url, ["t"], transports=only, cursor="earliest") as bus:
            assert await data_of(bus, 6) == list(range(6))


@pytest.mark.parametrize(("before", "after"), PAIRS)
async def test_a_cursor_goes_on_over_another_transport(before: TransportName, after: TransportName) -> None:
    async with running() as node:
        async with tricast.connect(node.url, ["a", "b"], transports=[before]) as bus:
            for n in range(6):
                await bus.publish("ab"[n % 2], n)
            assert await data_of(bus, 3) == [0, 1, 2]
            cursor = bus.cursor
        await node.service.publish("a", 6)
        async with tricast.connect(node.url, ["a", "b"], transports=[after], cursor=cursor) as bus:
            await node.service.publish("b", 7)
            assert await data_of(bus, 5) == [3, 4, 5, 6, 7]
            assert bus.stats.duplicates_dropped == 0


async def test_the_cursor_is_that_of_the_consumer_not_of_the_network(only: tuple[TransportName, ...]) -> None:
    async with running() as node, tricast.connect(node.url, ["t"], transports=only) as bus:
        begin = bus.cursor
        ats = [await bus.publish("t", n) for n in range(5)]
        await eventually(lambda: bus.stats.received == 5)
        assert bus.cursor == begin
        for at in ats:
            (message,) = await take(bus, 1)
            assert message.cursor == bus.cursor == at


async def test_the_cursor_moves_in_silence_too(only: tuple[TransportName, ...]) -> None:
    async with running(heartbeat=0.2) as node, tricast.connect(node.url, ["t"], transports=only) as bus:
        receipt = await node.service.publish("elsewhere", 1)
        await bus.echo("by")  # what has nothing of ours in it, a poll does not tell
        await eventually(lambda: int(str(bus.cursor).split("-")[1]) > receipt.at.offset)


async def test_what_has_expired_is_a_gap_in_its_place(only: tuple[TransportName, ...]) -> None:
    async with running(retention_count=3) as node:
        begin = str((await node.service.publish("a", "before")).at)
        for n in range(3):
            await node.service.publish("a", n)
        for n in range(5):
            await node.service.publish("b", n)
        async with tricast.connect(node.url, ["a", "b"], transports=only, cursor=begin) as bus:
            assert await data_of(bus, 3) == [0, 1, 2]
            gap = await take_gap(bus)
            assert (gap.topics, gap.reason, gap.exact) == (("b",), "expired", True)
            assert await data_of(bus, 3) == [2, 3, 4]
            assert bus.stats.gaps == 1


async def test_a_gap_can_be_raised_and_iterating_goes_on(only: tuple[TransportName, ...]) -> None:
    async with running() as node:
        bus = tricast.connect(node.url, ["t"], transports=only, cursor="other-7", on_gap="raise")
        async with bus:
            await bus.publish("t", 1)
            with pytest.raises(tricast.GapError) as caught:
                await take(bus, 1)
            assert caught.value.gap.reason == "epoch"
            assert caught.value.gap.topics == ("t",)
            assert await data_of(bus, 1) == [1]


# Topics


async def test_topics_come_and_go(only: tuple[TransportName, ...]) -> None:
    async with running() as node, tricast.connect(node.url, ["a"], transports=only) as bus:
        await bus.subscribe("b", "c")
        assert set(bus.topics) == {"a", "b", "c"}
        for topic in ("a", "b", "c"):
            await node.service.publish(topic, topic)
        assert await data_of(bus, 3) == ["a", "b", "c"]
        await bus.unsubscribe("a", "c")
        for topic in ("a", "c", "b"):
            await node.service.publish(topic, 2)
        (message,) = await take(bus, 1)
        assert (message.topic, message.data) == ("b", 2)
        assert bus.topics == ("b",)


async def test_changing_topics_under_way_loses_nothing(only: tuple[TransportName, ...]) -> None:
    async def publish(service: Service) -> None:
        for n in range(150):
            await service.publish("steady", n)
            await asyncio.sleep(0.002)

    async with running() as node, tricast.connect(node.url, ["steady"], transports=only) as bus:
        publishing = asyncio.create_task(publish(node.service))
        for _ in range(5):
            await bus.subscribe("now-and-then")
            await bus.unsubscribe("now-and-then")
        await publishing
        assert await data_of(bus, 150) == list(range(150))


async def test_a_topic_that_is_subscribed_twice_is_one(only: tuple[TransportName, ...]) -> None:
    async with running() as node, tricast.connect(node.url, ["a"], transports=only) as bus:
        await bus.subscribe("a")
        await asyncio.gather(bus.subscribe("b"), bus.subscribe("b", "c"))
        await bus.publish("b", 1)
        assert await data_of(bus, 1) == [1]
        assert bus.topics == ("a", "b", "c")


# Refusals


async def members_only(access: Access) -> str | None:
    if access.token is None:
        raise tricast.Unauthorized("a token, please")
    if "secret" in access.topics:
        raise tricast.Forbidden("not for you")
    return access.token


async def test_without_a_token_there_is_no_second_try(only: tuple[TransportName, ...]) -> None:
    async with server(authorise=members_only) as node:
        bus = tricast.connect(node.url, ["t"], transports=only)
        async with asyncio.timeout(5):
            with pytest.raises(tricast.Unauthorized, match="a token, please"):
                await bus.__aenter__()
        with pytest.raises(tricast.Forbidden, match="not for you"):
            async with tricast.connect(node.url, ["secret"], transports=only, token="ann"):
                pass


async def test_a_refused_topic_leaves_the_others_as_they_were(only: tuple[TransportName, ...]) -> None:
    async with server(authorise=members_only) as node:
        async with tricast.connect(node.url, ["t"], transports=only, token="ann") as bus:
            await bus.publish("t", 1)
            with pytest.raises(tricast.Forbidden):
                await bus.subscribe("secret")
            assert bus.topics == ("t",)
            with pytest.raises(tricast.Forbidden):
                await bus.publish("secret", 1)
            await bus.subscribe("u")
            await bus.publish("u", 2)
            assert await data_of(bus, 2) == [1, 2]


async def test_what_the_server_finds_wrong_is_raised(only: tuple[TransportName, ...]) -> None:
    async with running(max_message=1000) as node, tricast.connect(node.url, ["t"], transports=only) as bus:
        with pytest.raises(tricast.TooLarge):
            await bus.publish("t", "x" * 1001)
        first = await bus.publish("t", 1, id="same")
        assert await bus.publish("t", 1, id="same") == first
        with pytest.raises(tricast.Conflict):
            await bus.publish("t", 2, id="same")
        assert await data_of(bus, 1) == [1]


async def test_what_is_wrong_at_first_sight_is_never_sent(only: tuple[TransportName, ...]) -> None:
    async with running() as node, tricast.connect(node.url, ["t"], transports=only) as bus:
        for topic, value in (("a/b", 1), ("", 1), ("t", float("nan")), ("t", "\ud800"), ("t", object())):
            with pytest.raises(tricast.BadRequest):
                await bus.publish(topic, value)
        with pytest.raises(tricast.BadRequest):
            await bus.subscribe("a/b")
        assert bus.topics == ("t",)


@pytest.mark.parametrize(
    "options",
    [
        {"url": "ftp://127.0.0.1"},
        {"url": "http://"},
        {"transports": ()},
        {"transports": ("pigeon",)},
        {"client": "a b"},
        {"topics": "abc"},
    ],
    ids=repr,
)
def test_what_cannot_be_meant_is_refused_at_once(options: dict[str, Any]) -> None:
    with pytest.raises(ValueError):
        tricast.connect(**{"url": "http://127.0.0.1", "topics": ["t"], **options})


@pytest.mark.parametrize("topics", [["a/b"], ["_inbox.short"]])
def test_topics_that_are_none_are_refused_at_once(topics: list[str]) -> None:
    with pytest.raises(tricast.BadRequest):
        tricast.connect("http://127.0.0.1", topics)


# Failures


async def test_where_nobody_listens_connect_says_what_was_tried(only: tuple[TransportName, ...]) -> None:
    bus = tricast.connect(f"http://{HOST}:{unused_port()}", ["t"], transports=only, open_timeout=0.5)
    with pytest.raises(tricast.ConnectFailed) as caught:
        await bus.__aenter__()
    assert only[0] in str(caught.value)
    assert "Connect call failed" in str(caught.value)
    with pytest.raises(tricast.BusClosed):
        await bus.publish("t", 1)


async def test_a_server_that_comes_late_is_found(only: tuple[TransportName, ...]) -> None:
    port = unused_port()
    bus = tricast.connect(f"http://{HOST}:{port}", ["t"], transports=only)
    connecting = asyncio.create_task(bus.__aenter__())
    await asyncio.sleep(0.3)
    async with server(port=port):
        await connecting
        try:
            await bus.publish("t", 1)
            assert await data_of(bus, 1) == [1]
        finally:
            await bus.close()


async def test_a_restart_is_an_epoch_and_the_topics_stay(only: tuple[TransportName, ...]) -> None:
    port = unused_port()
    async with AsyncExitStack() as stack:
        async with server(port=port) as node:
            bus = await stack.enter_async_context(tricast.connect(node.url, ["t"], transports=only, client="ann"))
            await bus.subscribe("u")
            await bus.publish("t", "before")
            assert await data_of(bus, 1) == ["before"]
            await eventually(lambda: any(node.service.connections.values()))  # a poll waits again
        async with server(port=port) as node:
            gap = await take_gap(bus)
            assert (gap.reason, set(gap.topics), gap.exact) == ("epoch", {"t", "u"}, False)
            await bus.publish("u", "after")
            (message,) = await take(bus, 1)
            assert (message.data, message.sender) == ("after", "ann")
            assert bus.stats.reconnects >= 1
            assert "bye" in {record.what for record in bus.timeline}
            await bus.close()


async def test_a_publish_waits_for_a_server_that_is_away(only: tuple[TransportName, ...]) -> None:
    port = unused_port()
    async with AsyncExitStack() as stack:
        async with server(port=port) as node:
            bus = await stack.enter_async_context(tricast.connect(node.url, ["t"], transports=only))
        await asyncio.sleep(0.1)
        publishing = asyncio.create_task(bus.publish("t", "patient"))
        await asyncio.sleep(0.3)
        async with server(port=port):
            await take_gap(bus)
            await publishing
            assert await data_of(bus, 1) == ["patient"]
            await bus.close()


async def test_a_publish_that_was_never_sent_says_so(only: tuple[TransportName, ...]) -> None:
    async with AsyncExitStack() as stack:
        async with server() as node:
            bus = await stack.enter_async_context(tricast.connect(node.url, ["t"], transports=only))
        await asyncio.sleep(0.2)
        with pytest.raises(tricast.ConnectFailed):
            await bus.publish("t", 1, timeout=0.5)


class LostAnswers:
    """Publishes over `POST /send` are carried out, and their answers are lost on the way, `left` times."""

    def __init__(self, left: int) -> None:
        self.left = left

    @web.middleware
    async def middleware(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        answer = await handler(request)
        body = answer.body if isinstance(answer, web.Response) else None
        if self.left > 0 and isinstance(body, bytes) and b'"action":"publish"' in body:
            self.left -= 1
            assert request.transport is not None
            request.transport.abort()
        return answer


@pytest.mark.parametrize("transport", ["sse", "poll"])
async def test_a_lost_answer_is_asked_for_again_and_the_publish_counts_once(transport: TransportName) -> None:
    answers = LostAnswers(2)
    async with server(middleware=answers.middleware) as node:
        async with tricast.connect(node.url, ["t"], transports=[transport]) as bus:
            at = await bus.publish("t", "once")
            await bus.publish("t", "fence")
            first, second = await take(bus, 2)
            assert (first.data, first.cursor, second.data) == ("once", at, "fence")
    assert answers.left == 0


@pytest.mark.parametrize("transport", ["sse", "poll"])
async def test_where_no_answer_ever_comes_the_outcome_is_unknown(transport: TransportName) -> None:
    async with server(middleware=LostAnswers(1000).middleware) as node:
        async with tricast.connect(node.url, ["t"], transports=[transport]) as bus:
            with pytest.raises(tricast.OutcomeUnknown):
                await bus.publish("t", "maybe", timeout=1.0)
            assert await data_of(bus, 1) == ["maybe"]


@pytest.mark.parametrize("transport", ["sse", "poll"])
async def test_after_the_dedupe_window_nothing_is_guessed(transport: TransportName) -> None:
    async with server(middleware=LostAnswers(1000).middleware, dedupe_window=0.5) as node:
        async with tricast.connect(node.url, ["t"], transports=[transport]) as bus:
            async with asyncio.timeout(5):
                with pytest.raises(tricast.OutcomeUnknown):
                    await bus.publish("t", "maybe")
            assert await data_of(bus, 1) == ["maybe"]


# A consumer that is slow, and one that goes


async def test_a_slow_consumer_gets_everything_and_bounds_what_waits(only: tuple[TransportName, ...]) -> None:
    async with running() as node, tricast.connect(node.url, ["t"], transports=only, buffer=20) as bus:
        for n in range(900):
            await node.service.publish("t", {"n": n, "padding": "x" * 1000})
        await asyncio.sleep(0.3)
        most = 20 + (500 if only == ("poll",) else 0)
        assert bus.stats.received <= most
        seen = []
        for n in range(900):
            (message,) = await take(bus, 1)
            assert isinstance(message.data, dict)
            seen.append(message.data["n"])
            if n % 100 == 0:
                await asyncio.sleep(0.02)
        assert seen == list(range(900))


async def test_a_consumer_may_publish_while_much_is_waiting(only: tuple[TransportName, ...]) -> None:
    """The answer to its publish stands behind what it has yet to read: it must not wait for itself."""
    async with running() as node, tricast.connect(node.url, ["t"], transports=only, buffer=10) as bus:
        for n in range(200):
            await node.service.publish("t", n)
        await asyncio.sleep(0.1)
        async with asyncio.timeout(TIMEOUT):
            await bus.publish("u", "in between")
            await bus.subscribe("u")
        assert await data_of(bus, 200) == list(range(200))


async def test_closing_ends_whoever_waits(only: tuple[TransportName, ...]) -> None:
    async with running() as node:
        bus = tricast.connect(node.url, ["t"], transports=only)

        async def consume() -> list[Any]:
            return [item async for item in bus]

        async with bus:
            consuming = asyncio.create_task(consume())
            await bus.publish("t", 1)
            await eventually(lambda: bus.stats.received == 1)
        assert [message.data for message in await consuming] == [1]
        with pytest.raises(tricast.BusClosed):
            await bus.publish("t", 2)
        with pytest.raises(tricast.BusClosed):
            await bus.subscribe("u")
        with pytest.raises(tricast.BusClosed):
            await bus.echo(1)
        with pytest.raises(StopAsyncIteration):
            await anext(bus)


async def test_no_task_and_no_connection_is_left(only: tuple[TransportName, ...]) -> None:
    async with running() as node:
        before = asyncio.all_tasks()
        async with tricast.connect(node.url, ["t"], transports=only) as bus:
            await bus.echo(1)
        client_tasks = {task for task in asyncio.all_tasks() - before if "tricast/" in repr(task.get_coro())}
        assert not client_tasks
        await eventually(lambda: not any(node.service.connections.values()))


async def test_an_error_of_the_consumer_comes_through(only: tuple[TransportName, ...]) -> None:
    async with running() as node:
        with pytest.raises(ZeroDivisionError):
            async with tricast.connect(node.url, ["t"], transports=only) as bus:
                await bus.publish("t", 0)
                async for message in bus:
                    assert isinstance(message, tricast.Message)
                    assert isinstance(message.data, int)
                    _ = 1 / message.data


async def test_a_bus_is_entered_once() -> None:
    async with running() as node:
        bus = tricast.connect(node.url, ["t"])
        with pytest.raises(tricast.BusClosed, match="async with"):
            await bus.publish("t", 1)
        async with bus:
            with pytest.raises(tricast.BusClosed):
                await bus.__aenter__()


async def test_it_says_where_it_is(only: tuple[TransportName, ...]) -> None:
    async with running() as node, tricast.connect(node.url, ["t"], transports=only, client="ann") as bus:
        await bus.publish("t", 1)
        await take(bus, 1)
        assert bus.client == "ann"
        assert bus.stats.received == 1
        assert bus.stats.reconnects == bus.stats.switches == bus.stats.duplicates_dropped == 0
        assert bus.stats.time_to_first is not None
        assert 0 < bus.stats.time_to_first < TIMEOUT
        whats = [record.what for record in bus.timeline]
        assert whats[0] == "try"
        assert "up" in whats
        assert [record.t for record in bus.timeline] == sorted(record.t for record in bus.timeline)


class Away(MemoryBackplane):
    """An engine that takes nothing until it is `back`."""

    back = False

    async def append(self, publication: Publication) -> Receipt:
        if not self.back:
            raise Unavailable("the engine is away", retry_after=0.1)
        return await super().append(publication)


async def test_a_server_without_its_engine_does_not_block_the_way_up(only: tuple[TransportName, ...]) -> None:
    engine = Away()
    async with running(backplane=engine) as node, AsyncExitStack() as stack:
        bus = await stack.enter_async_context(tricast.connect(node.url, topics=["a"], transports=only))
        publishing = asyncio.create_task(bus.publish("a", 1))
        await asyncio.sleep(0.5)
        assert not publishing.done()
        assert bus.uplink == "ok"
        engine.back = True
        async with asyncio.timeout(TIMEOUT):
            await publishing
        assert await data_of(bus, 1) == [1]
