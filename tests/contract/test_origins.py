"""Who may ask: Origin, Host and CORS, on every way in."""

from __future__ import annotations

import json

import pytest
from tests.helpers import Node, running
from tests.helpers_clients import Answer, Http, publish, raw_exchange, websocket
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus

EVIL = "https://evil.example"
FRIEND = "https://friend.example"
FOREIGN = [EVIL, "null", "http://127.0.0.1", "http://127.0.0.1:1", "http://localhost.evil.example", "", "nonsense"]
CANARIES = ["/canary/poll?n=1&interval=0", "/canary/sse?n=1&interval=0"]
WAYS = ["/poll", "/sse", "/send", "/topics/a", "/stats", "/", *CANARIES]
SIMPLE_BODIES = ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x", None]
"""What a page may POST to another origin without asking first (WHATWG Fetch, 2.2.2)."""


async def ask(server: Node, path: str, **headers: str) -> Answer:
    """One request; of an event stream only the head is read."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    async with Http(server) as http:
        if path.startswith("/sse"):
            async with http.session.get(path, headers=named) as response:
                return Answer(status=response.status, headers=response.headers, body=b"")
        post = path.startswith(("/send", "/topics"))
        body = json.dumps(publish("a", 1)) if post else None
        return await http.request("POST" if post else "GET", path, body=body, headers=named)


async def upgrade(server: Node, path: str = "/ws", **headers: str) -> int:
    """The status that answers a WebSocket handshake."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    try:
        async with connect(f"ws://{server.authority}{path}", additional_headers=named, proxy=None):
            return 101
    except InvalidStatus as refused:
        return refused.response.status_code


class TestOrigin:
    @pytest.mark.parametrize("origin", FOREIGN)
    @pytest.mark.parametrize("path", WAYS)
    async def test_a_foreign_one_is_refused(self, server: Node, path: str, origin: str) -> None:
        answer = await ask(server, path, Origin=origin)
        assert answer.status == 403
        assert "Access-Control-Allow-Origin" not in answer.headers

    @pytest.mark.parametrize("origin", FOREIGN)
    @pytest.mark.parametrize("path", ["/ws", "/canary/ws"])
    async def test_a_foreign_one_is_refused_before_the_upgrade(self, server: Node, path: str, origin: str) -> None:
        assert await upgrade(server, path, Origin=origin) == 403

    @pytest.mark.parametrize("path", WAYS)
    async def test_its_own_is_welcome(self, server: Node, path: str) -> None:
        assert (await ask(server, path, Origin=server.url)).status == 200
        assert (await ask(server, path, Origin=server.url.replace("http", "https"))).status == 200

    async def test_its_own_is_welcome_on_websocket(self, server: Node) -> None:
        assert await upgrade(server, Origin=server.url) == 101

    @pytest.mark.parametrize("path", WAYS)
    async def test_who_sends_none_is_no_browser(self, server: Node, path: str) -> None:
        assert (await ask(server, path)).status == 200

    async def test_what_was_refused_took_no_effect(self, server: Node, http: Http) -> None:
        await ask(server, "/send", Origin=EVIL)
        await ask(server, "/topics/a", Origin=EVIL)
        assert (await http.poll("a", cursor="earliest"))["messages"] == []

    @pytest.mark.parametrize("kind", SIMPLE_BODIES)
    @pytest.mark.parametrize("path", ["/send", "/topics/a"])
    async def test_a_form_on_a_foreign_page_publishes_nothing(
        self, server: Node, http: Http, path: str, kind: str | None
    ) -> None:
        """Browsers send these without a preflight, from a form even with no script."""
        for origin in (EVIL, "null"):
            headers = {"Origin": origin, "Sec-Fetch-Site": "cross-site", **({"Content-Type": kind} if kind else {})}
            body = json.dumps(publish("a", 1)).encode()
            assert (await http.request("POST", path, body=body, headers=headers)).status == 403
        assert (await http.poll("a", cursor="earliest"))["messages"] == []

    async def test_with_a_public_url_that_is_its_own(self) -> None:
        async with running(public_url="https://public.example") as server:
            assert (await ask(server, "/poll", Origin="https://public.example")).status == 200
            assert await upgrade(server, Origin="https://public.example") == 101
            assert (await ask(server, "/poll", Origin="http://public.example")).status == 403
            assert (await ask(server, "/poll", Origin=server.url)).status == 403


class TestCors:
    """For origins that are allowed, browsers are told so; for others, nothing."""

    @pytest.mark.parametrize("path", WAYS)
    async def test_an_allowed_origin_may_read_the_answer(self, path: str) -> None:
        async with running(allow_origins=(FRIEND,)) as server:
            answer = await ask(server, path, Origin=FRIEND)
            assert answer.status == 200
            assert answer.headers["Access-Control-Allow-Origin"] == FRIEND
            exposed = {name.strip() for name in answer.headers["Access-Control-Expose-Headers"].split(",")}
            assert {"Tricast-Cursor", "Retry-After"} <= exposed
            assert "Origin" in answer.headers["Vary"]
            assert (await ask(server, path, Origin=EVIL)).status == 403
            assert await upgrade(server, Origin=FRIEND) == 101

    async def test_errors_can_be_read_too(self) -> None:
        async with running(allow_origins=(FRIEND,)) as server:
            for path in ("/poll?v=2", "/sse?v=2", "/send?v=2"):
                answer = await ask(server, path, Origin=FRIEND)
                assert answer.headers["Access-Control-Allow-Origin"] == FRIEND

    @pytest.mark.parametrize("path", WAYS)
    async def test_answers_vary_by_origin_also_where_there_is_none(self, server: Node, path: str) -> None:
        assert "Origin" in (await ask(server, path)).headers["Vary"]

    @pytest.mark.parametrize("path", ["/send", "/poll", "/sse", "/topics/a"])
    async def test_preflights(self, path: str) -> None:
        async with running(allow_origins=(FRIEND,)) as server, Http(server) as http:
            asked = {"Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "content-type"}
            answer = await http.request("OPTIONS", path, headers={"Origin": FRIEND, **asked})
            assert answer.status == 204
            assert answer.headers["Access-Control-Allow-Origin"] == FRIEND
            assert "POST" in answer.headers["Access-Control-Allow-Methods"]
            allowed = answer.headers["Access-Control-Allow-Headers"].lower()
            assert all(name in allowed for name in ("authorization", "content-type", "last-event-id"))
            assert "Origin" in answer.headers["Vary"]
            answer = await http.request("OPTIONS", path, headers={"Origin": EVIL, **asked})
            assert "Access-Control-Allow-Origin" not in answer.headers

    async def test_any(self) -> None:
        async with running(allow_origins=("*",)) as server:
            answer = await ask(server, "/poll", Origin=EVIL)
            assert (answer.status, answer.headers["Access-Control-Allow-Origin"]) == (200, EVIL)
            assert (await ask(server, "/poll", Origin="null")).status == 403


class TestHost:
    """A name that is not served here is a page that had its own name point to us (DNS rebinding)."""

    @pytest.mark.parametrize(
        "host", ["evil.example", "evil.example:8080", "localhost.evil.example", "127.0.0.1.nip.io"]
    )
    @pytest.mark.parametrize("path", [*WAYS, "/healthz", "/readyz"])
    async def test_a_foreign_one_is_refused(self, server: Node, path: str, host: str) -> None:
        assert (await ask(server, path, Host=host)).status == 403

    async def test_a_foreign_one_with_its_own_origin_is_refused(self, server: Node) -> None:
        assert (await ask(server, "/poll", Host="evil.example", Origin="http://evil.example")).status == 403

    async def test_a_foreign_one_is_refused_before_the_upgrade(self, server: Node) -> None:
        answer = await raw_exchange(
            server,
            b"GET /ws HTTP/1.1\r\nHost: evil.example\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
            b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n",
            b"\r\n\r\n",
        )
        assert answer.startswith(b"HTTP/1.1 403 ")

    @pytest.mark.parametrize("host", ["localhost", "localhost:1234", "LOCALHOST", "127.0.0.1", "[::1]:80", "[::1]"])
    async def test_loopback_names_are_served(self, server: Node, host: str) -> None:
        assert (await ask(server, "/poll", Host=host)).status == 200

    async def test_names_can_be_allowed(self) -> None:
        async with running(allow_hosts=("good.example",)) as server:
            assert (await ask(server, "/poll", Host="good.example:8080")).status == 200
            assert (await ask(server, "/poll", Host="localhost")).status == 403
        async with running(allow_hosts=("*",)) as server:
            assert (await ask(server, "/poll", Host="evil.example")).status == 200
        async with running(public_url="https://public.example") as server:
            assert (await ask(server, "/poll", Host="public.example")).status == 200


async def test_query_tokens_are_not_logged(server: Node, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(0)
    async with websocket(server, token="s3cret", v="2"):
        pass
    await ask(server, "/poll?token=s3cret")
    await ask(server, "/poll?token=s3cret&v=2")
    ours = [record for record in caplog.records if not record.name.startswith("websockets")]
    assert not any("s3cret" in record.getMessage() for record in ours)
