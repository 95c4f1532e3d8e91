"""What `tricast serve` writes down: lines for people or for machines, and never a token, whatever goes wrong."""

from __future__ import annotations

import json
import logging
from typing import Any

import pytest
from aiohttp import WSServerHandshakeError, web
from tests.helpers import HOST, Process, Server, eventually, serving
from tests.helpers_clients import Http, event_stream, publish, raw_exchange, websocket

from tricast_server import logs, setup

OPAQUE = "s3cr3t-opaque-token-0123456789"
JWT = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJhbGljZSJ9.c2lnbmF0dXJlLXRoYXQtaXMtc2VjcmV0"
SECRETS = (OPAQUE, JWT, *JWT.split("."), "c2lnbmF0dXJl")


def lines(server: Process) -> list[dict[str, Any]]:
    return [json.loads(line) for line in server.log.splitlines()]


def ended(server: Process) -> str:
    """All that it has logged in its life."""
    server.terminate()
    server.wait()
    return server.log


def events(server: Process, name: str) -> list[dict[str, Any]]:
    return [line for line in lines(server) if line["event"] == name]


@pytest.mark.may_block("it reads the server's log")
async def test_json_has_one_object_per_line_with_what_is_to_be_known_of_a_connection() -> None:
    with serving("--log-format", "json", "--log-level", "debug") as server:
        async with websocket(server, "a", "b") as socket:
            await socket.ask(action="ping")
        async with event_stream(server, "a"):
            pass
        await eventually(lambda: len(events(server, "connection closed")) == 2)
        opened, closed = events(server, "connection opened"), events(server, "connection closed")
        for line in lines(server):
            assert {"ts", "level", "event", "logger"} <= set(line)
            assert line["ts"].endswith("Z")
    for line in opened:
        assert line["level"] == "debug"
        assert (line["transport"], line["address"]) in (("ws", "127.0.0.1"), ("sse", "127.0.0.1"))
    (ws,) = (line for line in closed if line["transport"] == "ws")
    assert (ws["topics"], ws["code"], ws["reason"]) == (2, 1000, "lost")
    assert 0 <= ws["duration"] < 60
    assert {line["connection"] for line in opened} == {line["connection"] for line in closed}
    assert len({line["connection"] for line in closed}) == 2
    (sse,) = (line for line in closed if line["transport"] == "sse")
    assert (sse["topics"], sse["reason"], "code" in sse) == (1, "lost", False)


@pytest.mark.may_block("it reads the server's log")
async def test_connections_are_not_told_at_the_usual_level() -> None:
    with serving() as server:
        async with websocket(server, "a"):
            pass
        log = ended(server)
    assert "connection" not in log
    assert "tricast serves on http://127.0.0.1" in log


@pytest.mark.may_block("it reads the server's log")
async def test_a_level_silences_what_is_below() -> None:
    with serving("--log-level", "error") as server:
        async with Http(server) as http:
            assert (await http.get("/poll?v=2")).status == 400
        assert ended(server).strip() == ""


@pytest.mark.may_block("it reads the server's log")
async def test_refusals_are_one_line_with_a_count() -> None:
    with serving("--log-format", "json") as server:
        async with Http(server) as http:
            for _ in range(50):
                assert (await http.get("/poll?v=2")).status == 400
        ended(server)
        told = events(server, "refused")
    assert 1 <= len(told) <= 3
    assert {(line["level"], line["reason"]) for line in told} == {("warning", "bad_request")}
    assert sum(line["count"] for line in told) == 50


@pytest.mark.may_block("it reads the server's log")
@pytest.mark.parametrize("format", ["console", "json"])
async def test_no_line_holds_a_token(format: str) -> None:
    """In the Authorization header, the query, a subprotocol and a command; also where something is wrong with it."""
    options = ("--log-format", format, "--log-level", "debug", "--token-secret", "x" * 40)
    with serving(*options, env={"PYTHONASYNCIODEBUG": "1"}) as server, serving(*options[:4]) as open_server:
        for target in (server, open_server):
            await show_tokens(target)
        log = ended(server) + ended(open_server)
    assert not [secret for secret in SECRETS if secret in log], log
    assert "connection opened" in log
    assert "wait=0" not in log, "that is of a query"


async def test_nor_does_that_of_an_application_which_the_bus_is_part_of(caplog: pytest.LogCaptureFixture) -> None:
    """With its own handlers and formats: aiohttp would warn with all subprotocols that a client offers."""
    app = web.Application()
    setup(app, "")
    runner = web.AppRunner(app, access_log=None, handler_cancellation=True, shutdown_timeout=1.0)
    with caplog.at_level(logging.DEBUG):
        await runner.setup()
        try:
            await web.TCPSite(runner, HOST, 0).start()
            await show_tokens(Server(port=runner.addresses[0][1]))
        finally:
            await runner.cleanup()
    assert "Client protocols 2 don’t overlap" in caplog.text
    assert not [secret for secret in SECRETS if secret in caplog.text]


async def show_tokens(server: Server) -> None:
    """Every way to bring a token, right and wrong."""
    async with Http(server) as http:
        for token in (OPAQUE, JWT):
            bearer = {"Authorization": f"Bearer {token}"}
            for path in ("/poll?wait=0", "/sse?v=2", "/stats", "/metrics", "/nowhere", "/assets/../x"):
                await http.get(path, headers=bearer)
                await http.get(f"{path}{'&' if '?' in path else '?'}token={token}")
            await http.post_send(json.dumps(publish("a", 1)), headers=bearer)
            await http.post_send(json.dumps({"action": "refresh", "token": token}), token=token)
            await http.post_send("{", token=token)
            await http.post_send("1", headers={"Authorization": token})
            await broken_heads(server, token)
            await upgrades(http, token)


async def broken_heads(server: Server, token: str) -> None:
    """What aiohttp itself refuses."""
    for head in (
        f"GET /poll?token={token} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\0\r\n\r\n",
        f"GET /poll HTTP/1.1\r\nHost: x\r\nAuthorization : Bearer {token}\r\n\r\n",
        f"GET /poll?token={token} HTTP/9.9\r\nHost: x\r\n\r\n",
        f"GET /poll?token={token}\0 HTTP/1.1\r\nHost: x\r\n\r\n",
        f"BREW /poll?token={token} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
        f"POST /send?token={token} HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\ntoken={token}\r\n",
        f"Authorization: Bearer {token}\r\n\r\n",
    ):
        answer = await raw_exchange(server, head.encode(), b"\r\n\r\n")
        assert answer.startswith((b"HTTP/1.1 4", b"HTTP/1.0 4")), answer


async def upgrades(http: Http, token: str) -> None:
    """Subprotocols: the token alone, beside a format, and in a form that no contract has."""
    for offered in ([f"tricast.token.{token}"], ["tricast.v1.json", f"tricast.token.{token}"], [token], ["a", token]):
        for query in ("", f"?token={token}", f"?v=2&token={token}"):
            try:
                async with http.session.ws_connect(f"/ws{query}", protocols=offered) as socket:
                    await socket.receive(timeout=5)
                    await socket.send_str(json.dumps({"action": "refresh", "token": token}))
            except (WSServerHandshakeError, ConnectionError):
                pass
        try:
            async with http.session.ws_connect(f"/canary/ws?n=1&token={token}", protocols=offered) as socket:
                await socket.receive(timeout=5)
        except WSServerHandshakeError:
            pass


@pytest.mark.parametrize(
    "text",
    [
        f"Authorization: Bearer {OPAQUE}",
        f"{{'Authorization': 'Bearer {OPAQUE}', 'Host': 'x'}}",
        f"GET /ws?topics=a&token={OPAQUE} HTTP/1.1",
        f"token={OPAQUE}",
        f"token: '{OPAQUE}'",
        f'{{"action":"refresh","token":"{OPAQUE}"}}',
        f"offered ['tricast.token.{OPAQUE}', 'tricast.v1.json']",
        f"what is this: {JWT}?",
        f"nats://user:{OPAQUE}@host:4222",
        f"http://localhost/poll?x=1&token={OPAQUE}",
    ],
)
@pytest.mark.parametrize("formatter", [logs.JsonLines(), logs.PlainLines("%(message)s")])
def test_a_secret_is_hidden_wherever_it_stands(text: str, formatter: logging.Formatter) -> None:
    """Also in a field, in the arguments, and in an exception with its causes."""
    try:
        try:
            raise ValueError(text)
        except ValueError as error:
            raise RuntimeError(text) from error
    except RuntimeError as error:
        cause = (type(error), error, error.__traceback__)
    record = logging.LogRecord("tricast_server", logging.ERROR, __file__, 1, "seen: %s", (text,), cause)
    record.fields = {"reason": text}
    line = formatter.format(record)
    assert not [secret for secret in SECRETS if secret in line], line
    assert "seen" in line
    assert "RuntimeError" in line


def test_what_is_no_secret_stays() -> None:
    for text in ("tricast serves on http://127.0.0.1:8080 (Ctrl-C ends it)", "3 tokens are known", "Is it there?"):
        assert logs.redacted(text) == text
