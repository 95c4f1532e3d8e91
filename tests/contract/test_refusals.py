"""Refused at connect: a status and an error object, or on a WebSocket an error frame and a close code."""

from __future__ import annotations

from collections.abc import AsyncIterator
from urllib.parse import urlencode

import pytest
from tests.helpers import Node, running
from tests.helpers_clients import Ended, Http, event_stream, publish, raw_exchange, websocket
from websockets.exceptions import InvalidStatus

from tricast.errors import CommandError, Forbidden, RateLimited, TooMany, Unauthorized, Unavailable
from tricast_server import Access

BAD_QUERIES: list[dict[str, str]] = [
    {"topics": "no/slash"},
    {"topics": "a,b c"},
    {"topics": ""},
    {"topics": "_inbox.short"},
    {"topics": "x" * 129},
    {"client": ""},
    {"client": "a b"},
    {"client": "x" * 65},
    {"format": "xml"},
    {"last": "-1"},
    {"last": "1001"},
    {"last": "1.5"},
    {"last": "x"},
    {"v": "2"},
    {"v": ""},
]
BAD_POLLS: list[dict[str, str]] = [
    {"wait": "-1"},
    {"wait": "56"},
    {"wait": "nan"},
    {"wait": "x"},
    {"limit": "-1"},
    {"limit": "1001"},
    {"limit": "x"},
]


@pytest.mark.parametrize("query", BAD_QUERIES, ids=str)
@pytest.mark.parametrize("path", ["/sse", "/poll"])
async def test_a_bad_query_is_answered_400(http: Http, path: str, query: dict[str, str], framing: str) -> None:
    answer = await http.get(f"{path}?{urlencode({'wait': '0', 'format': framing, **query})}")
    assert (answer.status, answer.json["type"], answer.json["code"]) == (400, "error", "bad_request")
    assert answer.headers["Content-Type"].startswith("application/json")


@pytest.mark.parametrize("query", BAD_POLLS, ids=str)
async def test_a_bad_query_of_polls_is_answered_400(http: Http, query: dict[str, str]) -> None:
    answer = await http.get(f"/poll?{urlencode(query)}")
    assert (answer.status, answer.json["code"]) == (400, "bad_request")


@pytest.mark.parametrize("query", BAD_QUERIES, ids=str)
async def test_a_bad_query_closes_a_websocket_with_4400(server: Node, query: dict[str, str], framing: str) -> None:
    async with websocket(server, **{"format": framing, **query}) as socket:
        assert (socket.hello["type"], socket.hello["code"]) == ("error", "bad_request")
        with pytest.raises(Ended):
            await socket.next()
        assert await socket.close_code() == 4400


async def test_refused_connections_are_counted_no_more(server: Node, http: Http) -> None:
    async with websocket(server, v="2") as socket:
        await socket.close_code()
    await http.get("/sse?v=2")
    await http.get("/poll?v=2")
    assert (await http.get("/stats")).json["connections"] == {"ws": 0, "sse": 0, "poll": 0}


@pytest.mark.parametrize("path", ["/sse", "/poll", "/ws", "/", "/healthz"])
async def test_only_get_is_served(http: Http, path: str) -> None:
    assert (await http.request("POST", path, body="x")).status == 405


@pytest.mark.parametrize("path", ["/sse", "/poll", "/ws", "/send", "/topics/a"])
async def test_head_is_refused(http: Http, path: str) -> None:
    assert (await http.request("HEAD", path)).status == 405


@pytest.mark.parametrize("path", ["/nothing", "/topics", "/topics/a/b", "/ws/"])
async def test_other_paths_are_not_found(http: Http, path: str) -> None:
    assert (await http.get(path)).status == 404


@pytest.mark.parametrize(
    "more",
    [b"", b"Upgrade: websocket\r\n", b"Connection: Upgrade\r\nUpgrade: h2c\r\n"],
    ids=["none", "no connection header", "h2c"],
)
async def test_a_plain_get_of_ws_is_told_that_no_upgrade_arrived(server: Node, more: bytes) -> None:
    request = b"GET /ws HTTP/1.1\r\nHost: %b\r\n%b\r\n" % (server.authority.encode(), more)
    answer = await raw_exchange(server, request, b"}")
    assert answer.startswith(b"HTTP/1.1 400 ")
    assert b'"code":"bad_request"' in answer
    assert b"upgrade" in answer.lower()


async def test_an_upgrade_over_http_1_0_is_refused(server: Node) -> None:
    request = (
        b"GET /ws HTTP/1.0\r\nHost: %b\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
        b"Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n" % server.authority.encode()
    )
    assert (await raw_exchange(server, request)).startswith(b"HTTP/1.0 400 ")


class Door:
    """An application's `authorise`: it raises this error for what is asked, once there is one."""

    error: CommandError | None = None
    what: str | None = None

    async def __call__(self, access: Access) -> str | None:
        if self.error is not None and self.what in (None, access.what):
            raise self.error
        return None


@pytest.fixture
def door() -> Door:
    return Door()


@pytest.fixture
async def guarded(door: Door) -> AsyncIterator[Node]:
    async with running(authorise=door) as node:
        yield node


FOR_GOOD = [Unauthorized("who?"), Forbidden("not you")]
FOR_NOW = [TooMany("full", retry_after=1.5), RateLimited("slower", retry_after=1.5), Unavailable("x", retry_after=1.5)]


class TestByTheApplication:
    @pytest.mark.parametrize("error", FOR_GOOD, ids=repr)
    @pytest.mark.parametrize("path", ["/sse", "/poll"])
    async def test_for_good_over_http(
        self, guarded: Node, door: Door, path: str, error: CommandError, framing: str
    ) -> None:
        door.error = error
        async with Http(guarded) as http:
            answer = await http.get(f"{path}?format={framing}")
        assert (answer.status, answer.json["code"]) == (error.status, error.code)

    @pytest.mark.parametrize("error", FOR_GOOD, ids=repr)
    async def test_for_good_over_websocket(self, guarded: Node, door: Door, error: CommandError, framing: str) -> None:
        door.error = error
        async with websocket(guarded, format=framing) as socket:
            assert (socket.hello["type"], socket.hello["code"]) == ("error", error.code)
            assert await socket.close_code() == 4000 + error.status

    @pytest.mark.parametrize("error", FOR_NOW, ids=repr)
    async def test_for_now_over_polls(self, guarded: Node, door: Door, error: CommandError, framing: str) -> None:
        door.error = error
        async with Http(guarded) as http:
            answer = await http.get(f"/poll?format={framing}")
        assert (answer.status, answer.json["code"], answer.json["retry_after"]) == (error.status, error.code, 1.5)
        assert answer.headers["Retry-After"] == "2"

    @pytest.mark.parametrize("error", FOR_NOW, ids=repr)
    async def test_for_now_over_event_streams(
        self, guarded: Node, door: Door, error: CommandError, framing: str
    ) -> None:
        """A browser never comes back after another status than 200, and an empty id would forget its cursor."""
        door.error = error
        async with event_stream(guarded, format=framing) as stream:
            assert stream.hello["code"] == error.code
            with pytest.raises(Ended):
                await stream.next_event()
        lines = stream.raw.decode().split("\n")
        assert lines[:2] == ["event: failure", "retry: 1500"]
        assert not any(line.startswith("id") for line in lines)

    @pytest.mark.parametrize("error", FOR_NOW, ids=repr)
    async def test_for_now_over_websocket_is_no_code_that_says_do_not_come_back(
        self, guarded: Node, door: Door, error: CommandError, framing: str
    ) -> None:
        door.error = error
        assert await self.told_to_wait(guarded, framing)

    async def told_to_wait(self, server: Node, framing: str) -> bool:
        try:
            async with websocket(server, format=framing) as socket:
                return await socket.close_code() == 1013
        except InvalidStatus as refused:
            return refused.response.status_code in (429, 503)

    @pytest.mark.parametrize("error", FOR_GOOD, ids=repr)
    async def test_a_publish_and_a_subscribe_leave_the_connection(
        self, guarded: Node, door: Door, error: CommandError, framing: str
    ) -> None:
        async with websocket(guarded, "a", format=framing) as socket, Http(guarded) as http:
            door.error, door.what = error, "publish"
            assert (await socket.ask(**publish("a", 1)))["code"] == error.code
            answer = await http.post_commands(publish("a", 1), framing=framing)
            assert (answer.status, answer.json["code"]) == (error.status, error.code)
            door.what = "subscribe"
            assert (await socket.ask(action="subscribe", topics=["b"]))["code"] == error.code
            door.error = None
            await http.publish("b", "unheard")
            await http.publish("a", "heard")
            assert await socket.data(1) == ["heard"]

    async def test_subjects_stand_beside_the_client_and_part_dedupe_and_echo(self) -> None:
        async def by_token(access: Access) -> str | None:
            return access.token

        async with running(authorise=by_token) as server, Http(server) as http:
            async with event_stream(server, "a", client="me", token="anna", echo="0") as stream:
                for token in ("bert", "anna"):
                    command = publish("a", token, id="same")
                    assert (await http.send(command, client="me", token=token))["duplicate"] is False
                await http.send(publish("a", "fence"))
                messages = await stream.messages(2)
        assert [(message["data"], message.get("sub")) for message in messages] == [("bert", "bert"), ("fence", None)]

    async def test_a_bearer_header_is_a_token(self) -> None:
        async def by_token(access: Access) -> str | None:
            if access.token != "anna":
                raise Unauthorized
            return access.token

        async with running(authorise=by_token) as server, Http(server) as http:
            assert (await http.get("/poll", headers={"Authorization": "Bearer anna"})).status == 200
            assert (await http.get("/poll?token=anna")).status == 200
            assert (await http.get("/poll", headers={"Authorization": "Basic anna"})).status == 401
            assert (await http.get("/poll?token=bert")).status == 401
