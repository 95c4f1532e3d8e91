"""How much one may ask for: connections, connects and publishes per second; and what is refused past that."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from tests.helpers import Node, eventually, running
from tests.helpers_clients import Answer, Ended, Http, event_stream, publish, reader, readers, websocket
from tests.helpers_raw import PING, RawStream, client_frame
from websockets.asyncio.client import connect as connect_websocket
from websockets.exceptions import InvalidStatus

import tricast
from tricast.wire.messages import TransportName
from tricast_server import Access, Settings, setup
from tricast_server.guard import limits, overload
from tricast_server.settings import PUBLIC

TRANSPORTS: tuple[TransportName, ...] = ("ws", "sse", "poll")
PROXY: dict[str, Any] = {"trusted_proxies": ("127.0.0.0/8",)}
HERE, THERE = "203.0.113.7", "2001:db8::7"


def from_(*addresses: str) -> dict[str, str]:
    """Headers, as a proxy adds them."""
    return {"X-Forwarded-For": ", ".join(addresses)}


async def by_token(access: Access) -> str | None:
    return access.token


async def refused(server: Node, transport: str, headers: dict[str, str] | None = None, **params: Any) -> Answer:
    """How a connect on this transport is refused: the event of an event stream stands for the answer's body."""
    query = "&".join(f"{name}={value}" for name, value in params.items())
    if transport == "ws":
        try:
            async with connect_websocket(f"ws://{server.authority}/ws?{query}", additional_headers=headers, proxy=None):
                pytest.fail("it was let in")
        except InvalidStatus as error:
            response = error.response
            return Answer(status=response.status_code, headers=response.headers, body=bytes(response.body or b""))
    async with Http(server) as http:
        if transport == "poll":
            return await http.get(f"/poll?{query}", headers=headers)
        answer = await http.get(f"/sse?{query}", headers=headers)
        assert answer.status == 200
        lines = dict(line.split(": ", 1) for line in answer.text.splitlines() if line)
        assert lines["event"] == "failure"
        frame = json.loads(lines["data"])
        assert abs(int(lines["retry"]) - frame["retry_after"] * 1000) <= 1
        status = {"too_many": 429, "rate_limited": 429, "unavailable": 503}[frame["code"]]
        return Answer(status=status, headers=answer.headers, body=lines["data"].encode())


def check(answer: Answer, status: int, code: str) -> float:
    """The seconds that it says to wait."""
    assert (answer.status, answer.json["type"], answer.json["code"]) == (status, "error", code)
    after: float = answer.json["retry_after"]
    assert after > 0
    if "Retry-After" in answer.headers:
        assert 0 <= int(answer.headers["Retry-After"]) - after < 1
    return after


class Parked:
    """A poll that waits."""

    def __init__(self, server: Node, **headers: str) -> None:
        self._server = server
        self._headers = headers

    async def __aenter__(self) -> None:
        self._http = Http(self._server)
        cursor = self._server.service.bus.log.cursor
        held = self._server.service.bus.parked
        self._poll = asyncio.ensure_future(self._http.get(f"/poll?cursor={cursor}", headers=self._headers))
        await eventually(lambda: self._server.service.bus.parked > held)

    async def __aexit__(self, *details: object) -> None:
        self._poll.cancel()
        await asyncio.gather(self._poll, return_exceptions=True)
        await self._http.close()


async def hold(stack: AsyncExitStack, server: Node, transport: str, address: str) -> None:
    if transport == "poll":
        await stack.enter_async_context(Parked(server, **from_(address)))
    else:
        await stack.enter_async_context(reader(transport, server, headers=from_(address)))


def cursor_of(server: Node) -> str:
    return str(server.service.bus.log.cursor)


class TestConnections:
    @pytest.mark.parametrize("transport", TRANSPORTS)
    async def test_from_one_address(self, transport: str) -> None:
        async with running(**PROXY, max_connections_per_address=3, heartbeat=0.5) as server, AsyncExitStack() as stack:
            for name in TRANSPORTS:  # they count together
                await hold(stack, server, name, HERE)
            answer = await refused(server, transport, from_(HERE), cursor=cursor_of(server))
            assert check(answer, 429, "too_many") >= 1
            assert HERE in answer.json["message"]
            assert server.service.refusals["connections_per_address"] == 1
            await refused(server, transport, from_("203.0.113.99", HERE), cursor=cursor_of(server))  # spoofed
            await hold(stack, server, transport, THERE)
            async with websocket(server), websocket(server), websocket(server), websocket(server):
                pass  # this machine itself is no stranger
            await stack.aclose()
            await eventually(lambda: not server.service.connections.total(), timeout=10)
            await hold(stack, server, transport, HERE)

    async def test_a_network_of_ipv6_is_one_address(self) -> None:
        async with running(**PROXY, max_connections_per_address=1) as server:
            async with reader("ws", server, headers=from_("2001:db8:1:2::1")):
                check(await refused(server, "ws", from_("2001:db8:1:2:ffff::")), 429, "too_many")
                async with reader("ws", server, headers=from_("2001:db8:1:3::1")):
                    pass

    async def test_what_is_no_trusted_proxy_is_not_believed(self, caplog: pytest.LogCaptureFixture) -> None:
        with pytest.raises(AssertionError, match="no limit per address holds"):  # a warning was logged
            async with running(max_connections_per_address=1) as server, AsyncExitStack() as stack:
                for _ in range(3):
                    await hold(stack, server, "ws", HERE)
        assert caplog.text.count("Name it with --trusted-proxy") == 1

    async def test_this_machine_is_limited_where_only_a_header_says_so(self) -> None:
        async with running(**PROXY, max_connections_per_address=1) as server:
            async with reader("ws", server, headers=from_("127.0.0.1")), reader("ws", server), reader("ws", server):
                check(await refused(server, "ws", from_("127.0.0.1")), 429, "too_many")

    @pytest.mark.parametrize("transport", TRANSPORTS)
    async def test_in_all(self, transport: str) -> None:
        async with running(max_connections=3, heartbeat=0.5) as server, AsyncExitStack() as stack:
            for name in TRANSPORTS:
                await hold(stack, server, name, HERE)
            check(await refused(server, transport, cursor="earliest"), 503, "unavailable")
            assert server.service.refusals["connections"] == 1
            await hold(stack, server, "poll", HERE)  # at its cursor: it was let in before
            async with Http(server) as http:  # what needs no seat goes on
                before = cursor_of(server)
                await http.publish("a", 1)
                assert (await http.poll("a", cursor=before))["messages"]

    @pytest.mark.parametrize("path", ["/canary/ws", "/canary/sse", "/canary/poll"])
    async def test_canaries_count_too(self, path: str) -> None:
        async with running(**PROXY, max_connections_per_address=1) as server, Http(server) as http:
            async with reader("ws", server, headers=from_(HERE)):
                upgrade = {"Connection": "Upgrade", "Upgrade": "websocket"} if path == "/canary/ws" else {}
                check(await http.get(path, headers={**upgrade, **from_(HERE)}), 429, "too_many")

    async def test_a_refused_connect_takes_no_place(self) -> None:
        async with running(max_connections=1) as server:
            for _ in range(5):
                async with websocket(server, v="2") as socket:
                    assert await socket.close_code() == 4400
                async with Http(server) as http:
                    assert (await http.get("/sse?v=2")).status == 400
                    assert (await http.get("/canary/ws")).status == 400
            async with websocket(server):
                pass


class TestRates:
    @pytest.mark.parametrize("transport", TRANSPORTS)
    async def test_connects_from_one_address(self, transport: str) -> None:
        async with running(**PROXY, connect_rate=0.5, connect_burst=2) as server:
            for _ in range(2):
                async with reader(transport, server, headers=from_(HERE)):
                    pass
            assert check(await refused(server, transport, from_(HERE)), 429, "rate_limited") <= 2.1
            assert server.service.refusals == {"connect_rate": 1}
            for _ in range(5):
                async with reader(transport, server):
                    pass
            async with Http(server) as http:  # whoever goes on polling has been let in already
                for _ in range(5):
                    await http.get(f"/poll?wait=0&cursor={cursor_of(server)}", headers=from_(HERE))
            assert server.service.refusals == {"connect_rate": 1}

    @pytest.mark.parametrize("cursor", ["nonsense", "another-1", "earliest", ""])
    async def test_a_poll_at_no_cursor_of_this_log_is_a_connect(self, cursor: str) -> None:
        async with running(**PROXY, connect_rate=0.5, connect_burst=1) as server, Http(server) as http:
            path = f"/poll?wait=0&cursor={cursor}"
            assert (await http.get(path, headers=from_(HERE))).status == 200
            check(await http.get(path, headers=from_(HERE)), 429, "rate_limited")

    @pytest.mark.parametrize("transport", TRANSPORTS)
    async def test_connects_of_one_subject(self, transport: str) -> None:
        async with running(authorise=by_token, connect_rate=0.5, connect_burst=1) as server:
            async with reader(transport, server, token="anna"):
                check(await refused(server, transport, token="anna"), 429, "rate_limited")
                async with reader(transport, server, token="bert"):
                    pass

    async def test_publishes_over_each_way(self) -> None:
        async with running(**PROXY, publish_rate=0.5, publish_burst=2) as server, Http(server) as http:
            async with reader("ws", server, headers=from_(HERE)) as socket:
                commands = json.dumps([publish("a", n) for n in range(3)])
                answers = (await http.post_send(commands, headers=from_(HERE))).json
                assert [answer.get("code") for answer in answers] == [None, None, "rate_limited"]
                assert 0 < answers[2]["retry_after"] <= 2.1
                one = await http.post_send(json.dumps(publish("a", 4)), headers=from_(HERE))
                check(one, 429, "rate_limited")
                topic = await http.request("POST", "/topics/a", body="5", headers=from_(HERE))
                check(topic, 429, "rate_limited")
                assert isinstance(socket, type(websocket(server)))
                in_stream = await socket.ask(**publish("a", 6))
                assert (in_stream["code"], in_stream["retry_after"] > 0) == ("rate_limited", True)
                through = await socket.ask(action="echo", data=1, reply_to="_inbox.0123456789abcdefghijkl")
                assert through["code"] == "rate_limited"
                assert (await socket.ask(action="echo", data="free"))["data"] == "free"
                assert server.service.refusals == {"publish_rate": 5}
                await http.publish("a", *range(10))  # from here
                await server.service.publish("a", "the application's own are not limited")

    async def test_publishes_of_one_subject(self) -> None:
        async with running(authorise=by_token, publish_rate=0.5, publish_burst=2) as server, Http(server) as http:
            answers = await http.send(*[publish("a", n) for n in range(3)], token="anna")
            assert [answer.get("code") for answer in answers] == [None, None, "rate_limited"]
            assert "code" not in await http.send(publish("a", 1), token="bert")

    async def test_with_time_there_is_more(self) -> None:
        async with running(**PROXY, publish_rate=4, publish_burst=1) as server, Http(server) as http:
            assert (await http.request("POST", "/topics/a", body="1", headers=from_(HERE))).status == 200
            answer = await http.request("POST", "/topics/a", body="2", headers=from_(HERE))
            await asyncio.sleep(check(answer, 429, "rate_limited"))
            assert (await http.request("POST", "/topics/a", body="2", headers=from_(HERE))).status == 200


class TestOverload:
    async def test_new_ones_wait_while_those_who_are_there_are_served(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(overload, "HOLD", 3.0)
        async with running(max_lag=1.0) as server, readers(server, "a") as there:
            await asyncio.sleep(0.2)
            time.sleep(1.5)  # noqa: ASYNC251 - this is what an overload is
            await eventually(lambda: server.service.limits.overload.reason(time.monotonic()) == "lag")
            for transport in TRANSPORTS:
                check(await refused(server, transport, topics="a"), 503, "unavailable")
            assert server.service.refusals == {"lag": 3}
            await server.service.publish("a", "still")
            for reader in there.values():
                assert await reader.data(1) == ["still"]
            await eventually(lambda: server.service.limits.overload.reason(time.monotonic()) is None, timeout=20)
            async with Http(server) as http:
                await http.poll("a")

    async def test_memory(self) -> None:
        async with running(max_memory=2**20) as server:
            await eventually(lambda: server.service.limits.overload.reason(time.monotonic()) == "memory")
            check(await refused(server, "ws"), 503, "unavailable")
            assert server.service.refusals == {"memory": 1}


class TestClients:
    """They come in when they have waited as long as they were told."""

    @pytest.mark.parametrize("transport", TRANSPORTS)
    async def test_at_429(self, transport: TransportName) -> None:
        async with running(authorise=by_token, connect_rate=1, connect_burst=1) as server:
            async with tricast.connect(server.url, ["a"], transports=(transport,), token="anna"):
                start = time.monotonic()
                async with tricast.connect(server.url, ["a"], transports=(transport,), token="anna") as bus:
                    assert 0.5 < time.monotonic() - start < 10
                    await server.service.publish("a", "in")
                    async with asyncio.timeout(5):
                        assert (await anext(bus)) is not None
            assert 1 <= server.service.refusals["connect_rate"] <= 3

    @pytest.mark.parametrize("transport", TRANSPORTS)
    async def test_at_503(self, transport: TransportName, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(limits, "COME_AGAIN", (0.3, 0.6))
        async with running(max_connections=1) as server, AsyncExitStack() as held:
            await held.enter_async_context(websocket(server))
            opening = asyncio.ensure_future(self.message_of(server, transport))
            await eventually(lambda: server.service.refusals["connections"] > 0, timeout=10)
            await held.aclose()
            await eventually(lambda: any(server.service.connections.values()), timeout=10)
            await server.service.publish("a", "in")
            async with asyncio.timeout(10):
                assert await opening == "in"
            assert server.service.refusals["connections"] <= 5

    async def message_of(self, server: Node, transport: TransportName) -> object:
        async with tricast.connect(server.url, ["a"], transports=(transport,)) as bus:
            message = await anext(bus)
            assert isinstance(message, tricast.Message)
            return message.data

    @pytest.mark.parametrize("transport", TRANSPORTS)
    async def test_publishes_are_told_when_to_come_again(self, transport: TransportName) -> None:
        async with running(authorise=by_token, publish_rate=4, publish_burst=2) as server:
            async with tricast.connect(server.url, ["a"], transports=(transport,), token="anna") as bus:
                with pytest.raises(tricast.RateLimited) as error:
                    for number in range(20):
                        await bus.publish("a", number)
                assert error.value.retry_after is not None
                await asyncio.sleep(error.value.retry_after)
                await bus.publish("a", 1)


class TestSlowReaders:
    async def published(self, server: Node) -> None:
        async with Http(server) as http:
            await http.publish("a", *["x" * 50_000] * 200)

    @pytest.fixture
    async def server(self) -> AsyncIterator[Node]:
        async with running(slow_readers="disconnect", write_buffer=2**16, retention_count=10) as node:
            yield node

    @pytest.mark.parametrize("transport", ["ws", "sse"])
    async def test_who_has_missed_something_is_ended(self, server: Node, transport: str) -> None:
        async with RawStream(transport, server, "topics=a") as slow:
            await slow.next()
            await self.published(server)
            types = set()
            with pytest.raises((ConnectionError, asyncio.IncompleteReadError)) as end:
                while True:
                    types.add((await slow.next())["type"])
            assert types <= {"message", "heartbeat"}
            assert "close 4002" in str(end.value) or transport == "sse"
        assert server.service.refusals == {"slow_reader": 1}

    @pytest.mark.parametrize("transport", ["ws", "sse"])
    async def test_also_who_reads_nothing_at_all(self, transport: str) -> None:
        async with running(slow_readers="disconnect", write_buffer=2**16, retention_count=10, heartbeat=0.5) as server:
            async with RawStream(transport, server, "topics=a"):
                await self.published(server)
                await eventually(lambda: not server.service.connections.total(), timeout=15)
            assert server.service.refusals == {"slow_reader": 1}

    async def test_who_reads_is_left_alone(self, server: Node) -> None:
        await self.published(server)
        async with websocket(server, "a", cursor="earliest") as socket:
            await socket.log(10)
            for number in range(30):
                await server.service.publish("a", [number, "x" * 50_000])
                await socket.messages(1)
        assert not server.service.refusals


class TestFrames:
    """RFC 6455 where aiohttp's reader is lenient."""

    @pytest.mark.parametrize("path", ["ws", "canary/ws"])
    @pytest.mark.parametrize(
        "frame",
        [b"\x81\x05hello", b"\x89\x00", b"\x88\x82\0\0\0\0\x03\xee"],
        ids=["a text without a mask", "a ping without a mask", "a close with 1006"],
    )
    async def test_a_broken_one_ends_the_connection(self, server: Node, path: str, frame: bytes) -> None:
        async with RawStream("ws", server, "n=300") if path == "ws" else Canary("ws", server, "n=300") as stream:
            await stream.next()
            stream.writing.write(client_frame(b"", PING) + frame)
            with pytest.raises(ConnectionResetError, match="close 1002"):
                while True:
                    await stream.next()


class Canary(RawStream):
    def __init__(self, transport: str, server: Node, query: str) -> None:
        super().__init__(transport, server, query)
        self._path = "canary/ws"


async def test_through_a_unix_socket_the_proxy_tells_who_asks(tmp_path: Path) -> None:
    app = web.Application()
    settings = Settings(trusted_proxies=("unix",), max_connections_per_address=1, drain_timeout=0.1)
    service = setup(app, "", settings=settings)
    runner = web.AppRunner(app, access_log=None, handler_cancellation=True, shutdown_timeout=0.1)
    await runner.setup()
    try:
        path = str(tmp_path / "socket")
        await web.UnixSite(runner, path).start()
        async with aiohttp.ClientSession(connector=aiohttp.UnixConnector(path)) as http:
            async with http.get("http://localhost/sse", headers=from_(HERE)) as first:
                await first.content.readuntil(b"hello")
                async with http.get("http://localhost/sse", headers=from_("6.6.6.6", HERE)) as second:
                    assert b"too_many" in await second.read()
                async with http.get("http://localhost/sse", headers=from_(THERE)) as other:
                    await other.content.readuntil(b"hello")
    finally:
        await runner.cleanup()
    assert service.refusals == {"connections_per_address": 1}


@pytest.mark.parametrize("name", PUBLIC)
def test_there_are_no_limits_unless_they_are_asked_for(name: str) -> None:
    none: dict[str, Any] = {name: 0}
    negative: dict[str, Any] = {name: -1}
    assert getattr(Settings(), name) == 0
    assert getattr(Settings(public=True), name) == PUBLIC[name]
    assert getattr(Settings(public=True, **none), name) == 0
    with pytest.raises(ValueError, match="negative"):
        Settings(**negative)


async def test_what_was_refused_can_be_seen(server: Node) -> None:
    async with Http(server) as http:
        assert (await http.get("/poll", headers={"Origin": "https://evil.example"})).status == 403
        assert (await http.get("/poll", headers={"Host": "evil.example"})).status == 403
        assert (await http.get("/poll?v=2")).status == 400
        assert (await http.get("/stats")).json["refusals"] == {"origin": 1, "host": 1, "bad_request": 1}
        async with event_stream(server, v="1"):
            pass
    with pytest.raises(Ended):
        async with websocket(server, v="2") as socket:
            await socket.next()
