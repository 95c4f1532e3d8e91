"""The Python client in each format over each transport, and clients of different formats with each other."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import sys
from asyncio.subprocess import PIPE, STDOUT
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, aclosing, asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from aiohttp.typedefs import Handler
from tests.helpers import HOST, ROOT, Node, clean_environment, missing, running
from yarl import URL

import tricast
from tricast.session import Request
from tricast.transports import LINKS, Link, Target
from tricast.wire import json, protobuf
from tricast.wire.formats import NAMES, FormatName, codec_named
from tricast.wire.messages import Batch, Error, Frame, Hello, Message, Publish, TransportName
from tricast_server import Access, Settings, setup

TRANSPORTS: tuple[TransportName, ...] = ("ws", "sse", "poll")
WAYS = [(transport, format) for transport in TRANSPORTS for format in NAMES]
LARGE = bytes(range(256)) * 400
"""100 KB that hardly compress as base64."""
VALUES: list[Any] = [None, True, 0, -1.5, 2**53, "", "\u2028 \r\n \0 😀 é", [], {"n": [1, {"é": None}]}, b"", b"\0\xff"]
TIMEOUT = 10.0

each_way = pytest.mark.parametrize(("transport", "format"), WAYS)


async def take(bus: tricast.Bus, count: int) -> list[tricast.Message]:
    """The next messages. A gap fails the test."""
    messages: list[tricast.Message] = []
    async with asyncio.timeout(TIMEOUT):
        while len(messages) < count:
            item = await anext(bus)
            assert isinstance(item, tricast.Message), item
            messages.append(item)
    return messages


def connect(node: Node, transport: TransportName, format: FormatName, *topics: str, **more: Any) -> tricast.Bus:
    return tricast.connect(node.url, topics or ("t",), transports=[transport], format=format, **more)


@each_way
async def test_json_and_bytes_both_ways(transport: TransportName, format: FormatName) -> None:
    values = [*VALUES, LARGE, LARGE.hex()[:100_000]]
    async with running() as node, connect(node, transport, format, client="ann") as bus:
        at = await bus.publish("t", values[0], event="é", id="m-1")
        for value in values[1:]:
            await bus.publish("t", value)
        messages = await take(bus, len(values))
        assert [message.data for message in messages] == values
        assert [type(message.data) for message in messages] == [type(value) for value in values]
        first = messages[0]
        assert (first.topic, first.cursor, first.event, first.id, first.sender) == ("t", at, "é", "m-1", "ann")
        assert first.subject is None
        assert first.ts is not None
        assert messages[1].event is None
        assert await asyncio.gather(*map(bus.echo, VALUES)) == VALUES
        assert (bus.transport, bus.uplink, bus.stats.gaps) == (transport, "ok", 0)


async def test_formats_and_transports_mix_on_one_topic() -> None:
    async with AsyncExitStack() as stack:
        node = await stack.enter_async_context(running())
        buses = [await stack.enter_async_context(connect(node, *way, client="-".join(way))) for way in WAYS]
        for number, bus in enumerate(buses):
            await bus.publish("t", {"n": number}, event="json")
            await bus.publish("t", bytes([number]), id=f"m-{number}")
        seen = await take(buses[0], 2 * len(buses))
        for bus in buses[1:]:
            assert await take(bus, len(seen)) == seen
    assert [message.data for message in seen[::2]] == [{"n": number} for number in range(len(WAYS))]
    assert [message.data for message in seen[1::2]] == [bytes([number]) for number in range(len(WAYS))]
    assert [message.sender for message in seen[1::2]] == ["-".join(way) for way in WAYS]


@each_way
async def test_what_is_refused_says_why(transport: TransportName, format: FormatName) -> None:
    async with running(max_message=1000) as node, connect(node, transport, format) as bus:
        await bus.publish("t", b"one", id="same")
        with pytest.raises(tricast.Conflict):
            await bus.publish("t", b"two", id="same")
        with pytest.raises(tricast.TooLarge, match="over the limit of 1000"):
            await bus.publish("t", bytes(1001))
        for wrong in (float("nan"), "\ud800", object()):
            with pytest.raises(tricast.BadRequest):
                await bus.publish("t", wrong)
        assert [message.data for message in await take(bus, 1)] == [b"one"]


@each_way
async def test_who_may_not_is_told(transport: TransportName, format: FormatName) -> None:
    async def members_only(access: Access) -> str | None:
        if access.token is None:
            raise tricast.Unauthorized("a token, please")
        if "secret" in access.topics:
            raise tricast.Forbidden("not for you")
        return access.token

    async with running(authorise=members_only) as node:
        async with asyncio.timeout(TIMEOUT):
            with pytest.raises(tricast.Unauthorized, match="a token, please"):
                await connect(node, transport, format).__aenter__()
            with pytest.raises(tricast.Forbidden, match="not for you"):
                await connect(node, transport, format, "secret", token="ann").__aenter__()
        async with connect(node, transport, format, token="ann") as bus:
            with pytest.raises(tricast.Forbidden, match="not for you"):
                await bus.publish("secret", 1)
            await bus.publish("t", b"1")
            (message,) = await take(bus, 1)
            assert (message.data, message.subject) == (b"1", "ann")


@each_way
async def test_topics_come_and_go_and_what_is_lost_is_a_gap(transport: TransportName, format: FormatName) -> None:
    async with running(retention_count=2) as node:
        begin = str((await node.service.publish("a", "before")).at)
        for number in range(4):
            await node.service.publish("a", number)
        async with connect(node, transport, format, "a", cursor=begin) as bus:
            async with asyncio.timeout(TIMEOUT):
                gap = await anext(bus)
            assert isinstance(gap, tricast.Gap)
            assert (gap.topics, gap.reason, gap.exact) == (("a",), "expired", True)
            assert [message.data for message in await take(bus, 2)] == [2, 3]
            await bus.subscribe("b")
            await bus.publish("b", b"b")
            assert [message.data for message in await take(bus, 1)] == [b"b"]
            await bus.unsubscribe("b")
            assert bus.topics == ("a",)


@asynccontextmanager
async def watched(seen: list[web.Request], **values: Any) -> AsyncIterator[Node]:
    """A server, and the requests that came to it."""

    @web.middleware
    async def note(request: web.Request, handler: Handler) -> web.StreamResponse:
        seen.append(request)
        return await handler(request)

    app = web.Application(middlewares=[note])
    service = setup(app, "", settings=Settings(drain_timeout=1.0, **values))
    runner = web.AppRunner(app, access_log=None, handler_cancellation=True, shutdown_timeout=0.5)
    await runner.setup()
    try:
        await web.TCPSite(runner, HOST, 0).start()
        yield Node(port=runner.addresses[0][1], service=service)
    finally:
        await runner.cleanup()


@pytest.mark.parametrize("compress", [False, True])
@each_way
async def test_what_the_client_asks_for(transport: TransportName, format: FormatName, compress: bool) -> None:
    """And what it gets where the server compresses."""
    seen: list[web.Request] = []
    async with watched(seen, compress=True) as node, connect(node, transport, format, compress=compress) as bus:
        values = [LARGE.hex()[:50_000], bytes(50_000), 1, b"1"]
        for value in values:
            await bus.publish("t", value)
        assert [message.data for message in await take(bus, 4)] == values
    streams = [request for request in seen if request.path == f"/{transport}"]
    sends = [request for request in seen if request.path == "/send"]
    content_type = {"json": "application/json", "protobuf": "application/x-protobuf"}[format]
    assert {request.query.get("format", "json") for request in streams} == {format}
    assert bool(sends) == (transport != "ws")
    assert {request.content_type for request in sends} <= {content_type}
    offers = {"permessage-deflate" in request.headers.get("Sec-WebSocket-Extensions", "") for request in streams}
    assert offers == {compress and transport == "ws"}


@pytest.mark.parametrize("format", NAMES)
async def test_what_is_compressed_keeps_its_order(format: FormatName) -> None:
    """Of what is published at the same time: what is large takes longer to compress than what is small."""
    values = [f"{number}" * (30_000 if number % 3 == 0 else 1) for number in range(30)]
    async with running(compress=True) as node, connect(node, "ws", format, compress=True) as bus:
        await asyncio.gather(*(bus.publish("t", value) for value in values))
        assert [message.data for message in await take(bus, len(values))] == values


async def test_one_that_is_cancelled_does_not_hold_up_what_is_compressed() -> None:
    values = [f"{number}" * (30_000 if number % 3 == 0 else 1) for number in range(30)]
    async with running(compress=True) as node, connect(node, "ws", "json", compress=True) as bus:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(bus.publish("t", value)) for value in values]
            await asyncio.sleep(0)
            for task in tasks[::5]:
                task.cancel()
        await bus.publish("t", "last")
        seen: list[Any] = []
        while "last" not in seen:
            seen += [message.data for message in await take(bus, 1)]
    # Of the cancelled ones some may have come, each in its turn.
    assert seen == [value for value in (*values, "last") if value in seen]
    assert {*seen} >= {value for number, value in enumerate(values) if number % 5}


# Servers, or what stands before them, that speak another format


@asynccontextmanager
async def saying(*payloads: str | bytes, status: int = 200, code: int = 1000) -> AsyncIterator[str]:
    """The address of a server that answers everything with these: as frames, events or bodies."""

    async def answer(request: web.Request) -> web.StreamResponse:
        if request.path == "/ws":
            ws = web.WebSocketResponse()
            await ws.prepare(request)
            for payload in payloads:
                await (ws.send_str(payload) if isinstance(payload, str) else ws.send_bytes(payload))
            await ws.close(code=code)
            return ws
        if request.path == "/sse" and status == 200:
            lines = [f"data: {payload if isinstance(payload, str) else payload.hex()}\n\n" for payload in payloads]
            return web.Response(text="".join(lines), content_type="text/event-stream")
        return web.Response(status=status, body="".join(map(str, payloads)).encode(), content_type="application/json")

    app = web.Application()
    app.router.add_route("*", "/{path}", answer)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    try:
        await web.TCPSite(runner, HOST, 0).start()
        yield f"http://{HOST}:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


def link(transport: TransportName, url: str, format: FormatName) -> Link:
    return LINKS[transport](Target(url=URL(url), client="c", codec=codec_named(format)))


async def frames_of(made: Link) -> tuple[list[Frame | Batch], tricast.TricastError]:
    """Those that came, and the error that ended them."""
    seen: list[Frame | Batch] = []
    with pytest.raises(tricast.TricastError) as caught:
        async with asyncio.timeout(TIMEOUT), aclosing(made.open(Request(("t",)))) as frames:
            async for frame in frames:
                seen.append(frame)
    return seen, caught.value


HELLO = Hello(transport="x", client="c", cursor="e-5", heartbeat=15, dedupe_window=120, topics=("t",), node="n")
SOME = Message(topic="t", cursor="e-6", data=b"1")


@pytest.mark.parametrize("transport", TRANSPORTS)
async def test_a_server_that_is_too_old_says_so(transport: TransportName) -> None:
    """As one did before there was this format."""
    error = json.encode(Error(code="bad_request", message="format is json or text"))
    async with saying(error, status=400, code=4400) as url, asyncio.timeout(TIMEOUT):
        with pytest.raises(tricast.BadRequest, match="format is json or text"):
            await tricast.connect(url, transports=[transport], format="protobuf").__aenter__()


@pytest.mark.parametrize(
    ("transport", "text", "why"),
    [
        ("ws", json.encode(HELLO), "the server sent JSON where protobuf was asked for"),
        ("ws", "hello!", "not base64"),
        ("sse", json.encode(HELLO), "the server sent JSON where protobuf was asked for"),
        ("sse", "hello!", "not base64"),
        ("poll", '{"cursor":"e-5","messages":[]}', "not protobuf"),
        ("poll", "<html>Log in, please</html>", "not protobuf"),
        ("poll", "", "has no cursor"),
    ],
)
async def test_another_format_is_no_frame(transport: TransportName, text: str, why: str) -> None:
    """As where something on the way takes `format` out of the query."""
    async with saying(text) as url:
        seen, error = await frames_of(link(transport, url, "protobuf"))
        assert (seen, type(error)) == ([], tricast.ProtocolError)
        assert why in str(error)


async def test_binary_frames_are_not_for_those_who_speak_json() -> None:
    async with saying(protobuf.encode(HELLO), json.encode(HELLO), b"?", json.encode(SOME)) as url:
        seen, error = await frames_of(link("ws", url, "json"))
        assert (seen, type(error)) == ([HELLO, SOME], tricast.ConnectionLost)


async def test_frames_of_a_later_version_are_ignored() -> None:
    async with saying(protobuf.encode(HELLO), b"", b"\x72\0", protobuf.encode(SOME)) as url:
        seen, error = await frames_of(link("ws", url, "protobuf"))
        assert (seen, type(error)) == ([HELLO, SOME], tricast.ConnectionLost)


async def test_bytes_that_are_no_frame_end_the_connection() -> None:
    async with saying(protobuf.encode(HELLO), b"\x12\xff") as url:
        seen, error = await frames_of(link("ws", url, "protobuf"))
        assert (seen, type(error)) == ([HELLO], tricast.ProtocolError)


@pytest.mark.parametrize("format", NAMES)
@pytest.mark.parametrize(
    "body", ["", "[]", "<html>", "{}", '{"type":"weather"}', '{"type":"heartbeat","cursor":"e-1"}']
)
async def test_what_is_no_answer_leaves_the_outcome_unknown(format: FormatName, body: str) -> None:
    async with saying(body) as url:
        made = link("poll", url, format)
        try:
            with pytest.raises(tricast.ConnectionLost, match="POST /send"):
                await made.send([Publish(topic="t", data=1)])
        finally:
            await made.close()


def test_there_are_two_formats() -> None:
    with pytest.raises(ValueError, match="json, protobuf"):
        tricast.connect("http://127.0.0.1", format="xml")  # type: ignore[arg-type]


EXAMPLES = (ROOT / "docs/formats.md").read_text().split("```bash\n")[1].split("```")[0]
DECLARED, *COMMANDS = EXAMPLES.strip().split("\n\n")
PRINTED = (
    ('action: "publish"', "at: "),
    ('"action":"publish"', '"at":'),
    ('json: "{\\"say\\":\\"hi\\"}"', "bytes: "),
    ("hello {", 'json: "{\\"say\\":\\"hi\\"}"', "bytes: "),
    ('"data":{"say":"hi"}', "B came"),
)
"""What each of the commands in docs/formats.md prints."""


async def test_the_documents_examples_work_in_bash(tmp_path: Path) -> None:
    for tool in ("bash", "curl"):
        if shutil.which(tool) is None:
            missing(tool)
    (tmp_path / "proto").symlink_to(ROOT / "proto")
    (tmp_path / "picture.png").write_bytes(LARGE[:4000])
    (tmp_path / "protoc").write_text(f'#!/bin/sh\nexec "{sys.executable}" -m grpc_tools.protoc "$@"\n')
    (tmp_path / "protoc").chmod(0o755)
    environment = {**clean_environment(), "PATH": f"{tmp_path}:{os.environ['PATH']}"}
    address, *functions = DECLARED.split("\n")
    assert address.startswith("U=http://")
    async with running(compress=True) as node:
        for command, printed in zip(COMMANDS, PRINTED, strict=True):
            await until_printed("\n".join([f"U={node.url}", *functions, command]), printed, tmp_path, environment)


async def until_printed(script: str, printed: Sequence[str], folder: Path, environment: dict[str, str]) -> None:
    """A command that goes on is ended once it has printed all that."""
    process = await asyncio.create_subprocess_exec(
        "bash", "-c", script, cwd=folder, env=environment, stdout=PIPE, stderr=STDOUT, start_new_session=True
    )
    assert process.stdout is not None
    text = ""
    try:
        async with asyncio.timeout(3 * TIMEOUT):
            while not all(part in text for part in printed):
                more = await process.stdout.read(2**16)
                assert more, f"{script} printed {text}"
                text += more.decode()
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        await process.wait()
