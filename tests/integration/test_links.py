"""Each link before servers that answer as no tricast server does: what becomes an error, which one, and how soon."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import aclosing, asynccontextmanager
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from tests.helpers import HOST, unused_port
from yarl import URL

from tricast import errors
from tricast.session import Request
from tricast.transports import LINKS, Link, Target
from tricast.transports.base import Answer
from tricast.wire import json
from tricast.wire.messages import Batch, Bye, Frame, Heartbeat, Hello, Message, Publish, Reply, Subscribe

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

FROM_NOW = Request(("a",))
RESUME = Request(("a",), "e-5")
BEAT = 0.1


def hello(**more: Any) -> Hello:
    values = {"transport": "x", "client": "c", "cursor": "e-5", "heartbeat": BEAT, "dedupe_window": 120.0}
    return Hello(**{**values, "topics": ("a",), "node": "n", **more})


HELLO = hello()
SOME = Message(topic="a", cursor="e-6", data=1)


@asynccontextmanager
async def serving(**handlers: Handler) -> AsyncIterator[str]:
    """The address of a server with a handler for each path; `send` is a POST."""
    app = web.Application()
    for path, handler in handlers.items():
        app.router.add_route("POST" if path == "send" else "GET", f"/{path}", handler)
    runner = web.AppRunner(app, access_log=None, handler_cancellation=True, shutdown_timeout=0.1)
    await runner.setup()
    try:
        await web.TCPSite(runner, HOST, 0).start()
        yield f"http://{HOST}:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


@asynccontextmanager
async def link(name: str, url: str, **more: Any) -> AsyncIterator[Link]:
    """A link that is closed in any case."""
    values = {"connect_timeout": 0.5, "send_timeout": 0.5, **more}
    made = LINKS[name](Target(url=URL(url), client="c", **values))  # type: ignore[index]  # a str, by parametrize
    try:
        yield made
    finally:
        await made.close()


async def first(link: Link, request: Request = FROM_NOW) -> Frame | Batch:
    async with aclosing(link.open(request)) as frames:
        return await anext(frames)


async def post(name: str, url: str, **more: Any) -> Answer:
    """The answer to a publish beside the stream."""
    async with link(name, url, **more) as made:
        (answer,) = await made.post([Publish(topic="a", data=1)])
        return answer


async def all_of(link: Link, request: Request = FROM_NOW) -> tuple[list[Frame | Batch], errors.TricastError]:
    """The frames, and the error that ended them."""
    seen: list[Frame | Batch] = []
    with pytest.raises(errors.TricastError) as caught:
        async with asyncio.timeout(5), aclosing(link.open(request)) as frames:
            async for frame in frames:
                seen.append(frame)
    return seen, caught.value


def answering(status: int, body: str, content_type: str = "application/json", **headers: str) -> Handler:
    async def handler(request: web.Request) -> web.StreamResponse:
        return web.Response(status=status, text=body, content_type=content_type, headers=headers)

    return handler


async def never(request: web.Request) -> web.StreamResponse:
    await asyncio.sleep(60)
    raise AssertionError


def saying(*frames: str | None, code: int | None = None) -> Handler:
    """A WebSocket that sends these, then closes with `code`, or is silent."""

    async def handler(request: web.Request) -> web.StreamResponse:
        ws = web.WebSocketResponse(timeout=0.1)
        await ws.prepare(request)
        for frame in frames:
            if frame is None:
                assert request.transport is not None
                request.transport.abort()
            else:
                await ws.send_str(frame)
        if code is not None:
            await ws.close(code=code)
        else:
            await ws.receive()
        return ws

    return handler


def streaming(*chunks: str, end: bool = False) -> Handler:
    """An event stream of these chunks, which then ends or is silent."""

    async def handler(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)
        for chunk in chunks:
            await response.write(chunk.encode())
        if not end:
            await asyncio.sleep(60)
        return response

    return handler


def event(frame: Frame, name: str | None = None, retry: int | None = None) -> str:
    lines = [f"event: {name}"] if name else []
    lines += [f"retry: {retry}"] if retry is not None else []
    return "\n".join([*lines, f"data: {json.encode(frame)}", "", ""])


def error_text(code: str, **more: Any) -> str:
    return json.dumps({"type": "error", "code": code, "message": "because", **more})


# Every transport


@pytest.mark.parametrize("name", LINKS)
async def test_nobody_listens(name: str) -> None:
    url = f"http://{HOST}:{unused_port()}"
    async with link(name, url) as made:
        with pytest.raises(errors.ConnectFailed, match="Connect call failed"):
            await first(made)
        with pytest.raises(errors.ConnectFailed):
            await post(name, url)


@pytest.mark.parametrize("name", LINKS)
async def test_a_server_that_never_answers(name: str) -> None:
    async with serving(ws=never, sse=never, poll=never, send=never) as url, link(name, url) as made:
        with pytest.raises(errors.ConnectFailed, match="no answer in time"):
            await first(made, RESUME)
        with pytest.raises(errors.ConnectionLost, match="no answer in time"):
            await post(name, url)


@pytest.mark.parametrize("name", LINKS)
async def test_something_else_answers(name: str) -> None:
    page = answering(200, "<html>Please log in</html>", content_type="text/html")
    async with serving(ws=page, sse=page, poll=page, send=page) as url, link(name, url) as made:
        with pytest.raises((errors.ConnectFailed, errors.ProtocolError)):
            await first(made)
        with pytest.raises(errors.ConnectionLost):
            await post(name, url)


@pytest.mark.parametrize("status", [403, 404, 407, 500, 502])
@pytest.mark.parametrize("name", LINKS)
async def test_a_status_that_is_not_the_servers_own_word_is_no_refusal(name: str, status: int) -> None:
    no = answering(status, "no", content_type="text/plain")
    async with serving(ws=no, sse=no, poll=no, send=no) as url, link(name, url) as made:
        with pytest.raises(errors.ConnectFailed, match=str(status)):
            await first(made)
        expected = errors.ConnectionLost if status >= 500 else errors.UplinkBlocked
        with pytest.raises(expected, match=str(status)):
            await post(name, url)


@pytest.mark.parametrize("name", LINKS)
async def test_an_overloaded_server_says_when_to_come_back(name: str) -> None:
    busy = answering(503, "busy", **{"Retry-After": "7", "content_type": "text/plain"})
    async with serving(ws=busy, sse=busy, poll=busy) as url, link(name, url) as made:
        with pytest.raises(errors.Unavailable) as caught:
            await first(made)
        assert caught.value.retry_after == 7


@pytest.mark.parametrize("name", ["sse", "poll"])
async def test_an_overloaded_gateway_is_not_the_server(name: str) -> None:
    async with serving(send=answering(503, "busy", content_type="text/plain")) as url:
        with pytest.raises(errors.ConnectionLost, match="503"):
            await post(name, url)


@pytest.mark.parametrize(
    ("code", "status", "kind"),
    [
        ("unauthorized", 401, errors.Unauthorized),
        ("forbidden", 403, errors.Forbidden),
        ("bad_request", 400, errors.BadRequest),
        ("rate_limited", 429, errors.RateLimited),
        ("unavailable", 503, errors.Unavailable),
        ("from_the_future", 418, errors.CommandError),
    ],
)
@pytest.mark.parametrize("name", ["sse", "poll"])
async def test_the_servers_own_refusal(name: str, code: str, status: int, kind: type[errors.CommandError]) -> None:
    no = answering(status, error_text(code, retry_after=1.5))
    async with serving(sse=no, poll=no, send=no) as url, link(name, url) as made:
        with pytest.raises(kind, match="because") as caught:
            await first(made)
        assert caught.value.retry_after == 1.5
        assert type(await post(name, url)) is kind


@pytest.mark.parametrize("name", LINKS)
async def test_who_it_is_and_what_it_wants(name: str) -> None:
    asked: list[web.Request] = []

    async def note(request: web.Request) -> web.StreamResponse:
        asked.append(request)
        return web.Response(status=404)

    async with serving(ws=note, sse=note, poll=note, send=note) as url:
        async with link(name, url, token="secret", echo=False) as made:
            with pytest.raises(errors.ConnectFailed):
                await first(made, Request(("a", "b"), "e-5"))
        with pytest.raises(errors.UplinkBlocked):
            await post(name, url, token="secret", echo=False)
    assert asked[0].query["topics"] == "a,b"
    assert asked[0].query["cursor"] == "e-5"
    assert len(asked) == 2
    for request in asked:
        assert request.query["client"] == "c"
        assert request.query["echo"] == "0"
        assert request.headers["Authorization"] == "Bearer secret"


@pytest.mark.parametrize("name", ["sse", "poll"])
async def test_a_redirect_is_told_not_followed(name: str) -> None:
    elsewhere = answering(307, "", Location="http://elsewhere.example/send")
    async with serving(sse=elsewhere, poll=elsewhere, send=elsewhere) as url, link(name, url) as made:
        with pytest.raises(errors.ConnectFailed, match=r"redirected to http://elsewhere\.example"):
            await first(made)
        with pytest.raises(errors.UplinkBlocked, match=r"redirected to http://elsewhere\.example"):
            await post(name, url)


@pytest.mark.parametrize("name", LINKS)
async def test_a_closed_link_is_closed(name: str) -> None:
    async with serving() as url, link(name, url) as made:
        with pytest.raises(errors.ConnectFailed):
            await first(made)
        await made.close()
        await made.close()
        with pytest.raises(errors.ConnectFailed):
            await made.post([Publish(topic="a", data=1)])
        with pytest.raises(errors.ConnectFailed):
            await made.send([Publish(topic="a", data=1)])


@pytest.mark.parametrize("steps", range(4))
async def test_a_link_that_is_closed_while_a_command_is_on_its_way(steps: int) -> None:
    """However far that has come: aiohttp looks for a proxy first, in a thread."""
    async with serving() as url, link("sse", url) as made:
        sending = asyncio.create_task(made.post([Publish(topic="a", data=1)]))
        for _ in range(steps):
            await asyncio.sleep(0)
        await made.close()
        with pytest.raises(errors.TransportError):
            await sending


# WebSocket


@pytest.mark.parametrize(
    ("frames", "code", "kind"),
    [
        ([error_text("unauthorized")], 4401, errors.Unauthorized),
        ([error_text("forbidden")], 4403, errors.Forbidden),
        ([error_text("bad_request")], 4400, errors.BadRequest),
        ([error_text("unavailable", retry_after=2)], 4400, errors.Unavailable),
        ([], 4401, errors.Unauthorized),
        ([], 4403, errors.Forbidden),
        ([], 4499, errors.CommandError),
        ([], 1013, errors.ConnectionLost),
        ([], 4001, errors.Unauthorized),
        ([error_text("unauthorized")], 4001, errors.Unauthorized),
        ([None], None, errors.ConnectionLost),
    ],
)
async def test_how_a_websocket_may_end(
    frames: list[str | None], code: int | None, kind: type[errors.TricastError]
) -> None:
    async with serving(ws=saying(*frames, code=code)) as url, link("ws", url) as made:
        seen, error = await all_of(made)
        assert (seen, type(error)) == ([], kind)
    async with serving(ws=saying(json.encode(HELLO), *frames, code=code)) as url, link("ws", url) as made:
        seen, error = await all_of(made)
        assert (seen, type(error)) == ([HELLO], kind)


async def test_a_websocket_that_opens_and_says_nothing() -> None:
    async with serving(ws=saying()) as url, link("ws", url) as made:
        with pytest.raises(errors.ConnectFailed, match="no answer in time"):
            await first(made)


async def test_a_websocket_that_does_not_begin_with_hello() -> None:
    async with serving(ws=saying(json.encode(SOME))) as url, link("ws", url) as made:
        with pytest.raises(errors.ConnectFailed, match="no hello"):
            await first(made)


async def test_a_websocket_that_falls_silent_is_dead_after_two_heartbeats() -> None:
    async with serving(ws=saying(json.encode(HELLO))) as url, link("ws", url) as made:
        start = asyncio.get_running_loop().time()
        seen, error = await all_of(made)
        assert (seen, type(error)) == ([HELLO], errors.ConnectionLost)
        assert 2 * BEAT <= asyncio.get_running_loop().time() - start < 2


async def test_frames_that_break_the_contract_end_a_websocket() -> None:
    async with serving(ws=saying(json.encode(HELLO), "{not json")) as url, link("ws", url) as made:
        seen, error = await all_of(made)
        assert (seen, type(error)) == ([HELLO], errors.ProtocolError)


async def test_frames_of_a_later_version_do_not() -> None:
    text = json.encode(HELLO), '{"type":"weather"}', json.encode(SOME)
    async with serving(ws=saying(*text, code=1000)) as url, link("ws", url) as made:
        seen, _ = await all_of(made)
        assert seen == [HELLO, SOME]


async def test_a_bye_says_when_to_come_back() -> None:
    bye = Bye(reason="drain", reconnect_after=1.7)
    async with serving(ws=saying(json.encode(HELLO), json.encode(bye), code=1012)) as url:
        async with link("ws", url) as made:
            seen, _ = await all_of(made)
            assert seen == [HELLO, bye]
            assert made.reconnect_after == 1.7


async def answer_commands(request: web.Request) -> web.StreamResponse:
    """Answers the second command first, a third one never."""
    ws = web.WebSocketResponse(timeout=0.1)
    await ws.prepare(request)
    await ws.send_str(json.encode(hello(heartbeat=5.0)))
    refs = []
    async for message in ws:
        refs.append(json.loads(message.data)["ref"])
        if len(refs) == 2:
            await ws.send_str(json.encode(Reply(action="publish", ref="nobody's", at="e-1")))
            await ws.send_str(error_text("conflict", ref=refs[1]))
            await ws.send_str(json.encode(Reply(action="publish", ref=refs[0], at="e-7")))
        elif len(refs) == 4:
            break
    return ws


async def test_answers_find_their_commands_by_ref() -> None:
    async with serving(ws=answer_commands) as url, link("ws", url) as made:
        async with aclosing(made.open(FROM_NOW)) as frames:
            await anext(frames)
            reading = asyncio.create_task(read_on(frames))
            one, other = await asyncio.gather(
                made.send([Publish(topic="a", data=1)]), made.send([Publish(topic="a", data=2)])
            )
            assert isinstance(one[0], Reply)
            assert one[0].at == "e-7"
            assert isinstance(other[0], errors.Conflict)
            with pytest.raises(errors.ConnectionLost, match="no answer in time"):
                await made.send([Publish(topic="a", data=3)])
            with pytest.raises(errors.ConnectionLost):
                await made.send([Subscribe(topics=("b",))])
            await reading


async def test_commands_fail_with_the_link_that_carries_them() -> None:
    async with serving(ws=answer_commands) as url, link("ws", url, send_timeout=30.0) as made:
        async with aclosing(made.open(FROM_NOW)) as frames:
            await anext(frames)
            sending = asyncio.create_task(made.send([Publish(topic="a", data=1)]))
            await asyncio.sleep(0.05)
        with pytest.raises(errors.ConnectionLost):
            await sending


async def test_commands_fail_when_nobody_reads_the_stream_any_more() -> None:
    async with serving(ws=answer_commands) as url, link("ws", url, send_timeout=30.0) as made:
        async with aclosing(made.open(FROM_NOW)) as frames:
            await anext(frames)
            sending = asyncio.create_task(made.send([Publish(topic="a", data=1)]))
            await asyncio.sleep(0.05)
            made.release()
            with pytest.raises(errors.ConnectionLost):
                await sending


async def read_on(frames: AsyncIterator[Any]) -> None:
    with pytest.raises(errors.ConnectionLost):
        async for _ in frames:
            pass


# Server-Sent Events


async def test_headers_alone_are_no_event_stream() -> None:
    async with serving(sse=streaming()) as url, link("sse", url) as made:
        with pytest.raises(errors.ConnectFailed, match="no answer in time"):
            await first(made)


async def test_an_event_stream_that_is_refused_for_now() -> None:
    failure = Bye(reason="unused", reconnect_after=0)
    text = event(failure).replace(json.encode(failure), error_text("unavailable"))
    stream = streaming(f"event: failure\nretry: 2500\n{text}", end=True)
    async with serving(sse=stream) as url, link("sse", url) as made:
        with pytest.raises(errors.Unavailable, match="because") as caught:
            await first(made)
        assert caught.value.retry_after == 2.5


async def test_an_event_stream_that_ends() -> None:
    stream = streaming(event(HELLO, "hello", retry=1500), event(SOME), end=True)
    async with serving(sse=stream) as url, link("sse", url) as made:
        seen, error = await all_of(made)
        assert (seen, type(error)) == ([HELLO, SOME], errors.ConnectionLost)
        assert made.reconnect_after == 1.5


async def test_an_event_stream_that_falls_silent_is_dead_after_two_heartbeats() -> None:
    async with serving(sse=streaming(event(HELLO, "hello"), ": a comment\n\n")) as url, link("sse", url) as made:
        seen, error = await all_of(made)
        assert (seen, type(error)) == ([HELLO], errors.ConnectionLost)


async def test_an_event_that_never_ends() -> None:
    flood = f"data: {'x' * 2**16}\n" * 80
    async with serving(sse=streaming(event(HELLO, "hello"), flood)) as url, link("sse", url) as made:
        seen, error = await all_of(made)
        assert (seen, type(error)) == ([HELLO], errors.ProtocolError)


async def test_no_compression_is_asked_for_on_an_event_stream() -> None:
    asked: list[str] = []

    async def note(request: web.Request) -> web.StreamResponse:
        asked.append(request.headers["Accept-Encoding"])
        return web.Response(status=404)

    async with serving(sse=note) as url, link("sse", url) as made:
        with pytest.raises(errors.ConnectFailed):
            await first(made)
    assert asked == ["identity"]


# Long poll


class Polls:
    """A handler that gives these answers in turn, and notes what was asked."""

    def __init__(self, *answers: str | int) -> None:
        self.answers = list(answers)
        self.asked: list[dict[str, str]] = []

    async def handle(self, request: web.Request) -> web.StreamResponse:
        self.asked.append(dict(request.query))
        answer = self.answers.pop(0) if self.answers else 500
        if isinstance(answer, int):
            return web.Response(status=answer)
        return web.json_response(text=answer)


def batch(cursor: str, *frames: Message, **more: Frame) -> str:
    members = {name: json.to_members(frame) for name, frame in more.items()}
    return json.dumps({"cursor": cursor, "messages": [json.to_members(frame) for frame in frames], **members})


async def test_each_poll_goes_on_at_the_cursor_of_the_last() -> None:
    polls = Polls(batch("e-5", hello=HELLO), batch("e-6", SOME), batch("e-6"))
    async with serving(poll=polls.handle) as url, link("poll", url) as made:
        seen, error = await all_of(made, Request(("a",), None, 3))
    assert [frame.cursor for frame in seen if isinstance(frame, Batch)] == ["e-5", "e-6", "e-6"]
    assert isinstance(error, errors.ConnectFailed | errors.ConnectionLost)
    assert [asked.get("cursor") for asked in polls.asked] == [None, "e-5", "e-6", "e-6"]
    assert [asked.get("last") for asked in polls.asked] == ["3", None, None, None]
    assert [asked["wait"] for asked in polls.asked] == ["0", "25", "25", "25"]
    assert len({asked["n"] for asked in polls.asked}) == 4


async def test_a_gateway_that_gives_up_is_asked_for_less() -> None:
    polls = Polls(batch("e-5"), 504, batch("e-6", SOME), 502, 503, batch("e-7"))
    async with serving(poll=polls.handle) as url, link("poll", url) as made:
        seen, _ = await all_of(made, RESUME)
    assert [frame.cursor for frame in seen if isinstance(frame, Batch)] == ["e-5", "e-6", "e-7"]
    assert [asked["wait"] for asked in polls.asked[:4]] == ["0", "25", "10", "10"]
    assert [asked["cursor"] for asked in polls.asked[:4]] == ["e-5", "e-5", "e-5", "e-6"]


async def test_a_gateway_that_always_gives_up_is_the_end() -> None:
    polls = Polls(batch("e-5"), 504, 504, 504, 504, 504)
    async with serving(poll=polls.handle) as url, link("poll", url) as made:
        seen, error = await all_of(made, RESUME)
    assert (len(seen), type(error).__mro__[1]) == (1, errors.ConnectionLost)
    assert len(polls.asked) == 4


async def test_the_last_answer_before_the_server_goes() -> None:
    bye = Bye(reason="drain", reconnect_after=0.5)
    async with serving(poll=Polls(batch("e-6", SOME, bye=bye)).handle) as url, link("poll", url) as made:
        seen, error = await all_of(made, RESUME)
        assert (len(seen), type(error)) == (1, errors.ConnectionLost)
        assert made.reconnect_after == 0.5


async def test_a_poll_is_dead_after_its_wait_and_a_heartbeat() -> None:
    async def handler(request: web.Request) -> web.StreamResponse:
        if request.query["wait"] == "0":
            return web.json_response(text=batch("e-5", hello=HELLO))
        return await never(request)

    async with serving(poll=handler) as url, link("poll", url) as made:
        made.wait = 0.1  # type: ignore[attr-defined]  # of the long poll
        start = asyncio.get_running_loop().time()
        seen, error = await all_of(made, RESUME)
        assert (len(seen), type(error)) == (1, errors.ConnectionLost)
        assert 0.1 + BEAT <= asyncio.get_running_loop().time() - start < 2


# What a link says of itself


@pytest.mark.parametrize("seconds", [0, -1, float("nan"), float("inf"), "soon", None], ids=repr)
async def test_a_heartbeat_that_cannot_be_meant_is_not_believed(seconds: Any) -> None:
    made = LINKS["ws"](Target(url=URL("http://localhost"), client="c"))
    made.note(hello(heartbeat=seconds))
    assert made.heartbeat == 15.0


async def test_patience_is_short_after_a_bye() -> None:
    made = LINKS["sse"](Target(url=URL("http://localhost"), client="c"))
    made.note(hello(heartbeat=10.0))
    made.note(Heartbeat(cursor="e-1"))
    assert made.patience == 20.0
    made.note(Bye(reason="drain", reconnect_after=1.0))
    assert made.patience == 5.0


def test_aiohttp_is_what_it_was_written_for() -> None:
    """The link's own deadlines rest on this: no answer to a connect is told apart from no answer to a request."""
    assert issubclass(aiohttp.ConnectionTimeoutError, TimeoutError)
    assert not issubclass(aiohttp.SocketTimeoutError, aiohttp.ConnectionTimeoutError)
