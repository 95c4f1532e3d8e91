"""`GET /poll`: a pure read that waits. Only the cursor of the next poll acknowledges anything."""

from __future__ import annotations

from collections.abc import Sequence

from aiohttp import web

from tricast.wire import json
from tricast.wire.cursor import Cursor
from tricast.wire.messages import Bye, Frame, Hello
from tricast_server.bus.log import Entry
from tricast_server.bus.view import Framing, Slice, View
from tricast_server.framing import JSON, TEXT
from tricast_server.service import Service
from tricast_server.transports.connect import EARLIEST, Params, enter

ANSWER_BYTES = 2**20


class _JsonBatch(Framing):
    """Objects of one array."""

    name = "poll.json"

    def entry(self, entry: Entry, epoch: str) -> bytes:
        return JSON.entry(entry, str(Cursor(epoch, entry.offset))).encode()

    def frame(self, frame: Frame, cursor: str) -> bytes:
        return json.encode(frame).encode()

    def join(self, frames: Sequence[bytes]) -> bytes:
        return b",".join(frames)


class _TextBatch(Framing):
    """One line per message; nothing else is shown."""

    name = "poll.text"

    def entry(self, entry: Entry, epoch: str) -> bytes:
        return TEXT.line(entry, str(Cursor(epoch, entry.offset))).encode() + b"\n"

    def frame(self, frame: Frame, cursor: str) -> bytes:
        return b""

    def join(self, frames: Sequence[bytes]) -> bytes:
        return b"".join(frames)


_JSON_BATCH = _JsonBatch()
_TEXT_BATCH = _TextBatch()


async def handle(request: web.Request, service: Service) -> web.StreamResponse:
    """One poll. Without a cursor it is answered at once with hello; else when there is something, or time is up."""
    bus = service.bus
    entrance = await enter(request, service)
    params, view, start = entrance.params, entrance.view, entrance.start
    with service.connected("poll"):
        part = bus.read(view, start.cursor, limit=params.limit, size=ANSWER_BYTES)
        hello = None
        if params.cursor in (None, EARLIEST):
            hello = service.hello("poll", params.client, params.topics, start.asked)
        if params.cursor is not None and not part.shown and not part.more and params.wait and not bus.draining:
            part = await _wait(request, service, view, start.cursor, params)
    bye = service.bye() if bus.draining and not part.more else None
    return _answer(request, service, params, part, hello, bye)


async def _wait(request: web.Request, service: Service, view: View, cursor: Cursor, params: Params) -> Slice:
    def gone() -> bool:
        return request.transport is None or request.transport.is_closing()

    with service.bus.park(view, gone) as parked:
        await parked.wait(params.wait)
    return service.bus.read(view, cursor, limit=params.limit, size=ANSWER_BYTES)


def _answer(
    request: web.Request, service: Service, params: Params, part: Slice, hello: Hello | None, bye: Bye | None
) -> web.Response:
    framing: Framing = _TEXT_BATCH if params.format is TEXT else _JSON_BATCH
    body = framing.join(service.bus.encode(part.shown, framing))
    cursor = str(part.next)
    if params.format is TEXT:
        content_type = "text/plain"
    else:
        content_type = "application/json"
        more = b""
        if hello is not None:
            more += b',"hello":' + json.encode(hello).encode()
        if bye is not None:
            more += b',"bye":' + json.encode(bye).encode()
        body = b'{"cursor":"%b","messages":[%b]%b}' % (cursor.encode(), body, more)
    service.bus.count(len(part.shown), len(body))
    response = web.Response(
        body=body,
        content_type=content_type,
        charset="utf-8",
        headers={"Cache-Control": "no-store", "Tricast-Cursor": cursor},
    )
    _remember(request, service, response, told_to_go=bye is not None)
    return response


def _remember(request: web.Request, service: Service, response: web.Response, *, told_to_go: bool) -> None:
    """Whoever has been answered may come again; who has been told to go must still be sent the answer."""
    transport = request.transport
    if transport is None:
        return
    if told_to_go:
        response.force_close()
    service.pollers.add(transport)
