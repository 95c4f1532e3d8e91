"""`GET /poll`: a pure read that waits. Only the cursor of the next poll acknowledges anything."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence

from aiohttp import web

from tricast.wire import json
from tricast.wire.cursor import Cursor
from tricast.wire.messages import Bye, Frame, Hello
from tricast_server.bus.bus import Bus
from tricast_server.bus.log import Entry
from tricast_server.bus.view import Framing, Slice, View
from tricast_server.framing import JSON, TEXT
from tricast_server.guard.authorise import Grant
from tricast_server.guard.origin import CORS
from tricast_server.service import Service
from tricast_server.transports.connect import EARLIEST, enter
from tricast_server.transports.params import Params
from tricast_server.transports.whole import WholeResponse, can_be_whole, whole

ANSWER_BYTES = 2**20


class _Batch(Framing):
    """How messages become an answer. All polls that one flush has woken are given the same bytes."""

    content_type: str

    def __init__(self) -> None:
        self._last: tuple[Slice | None, Mapping[str, str], bytes, int] = (None, {}, b"", 0)

    @abstractmethod
    def body(self, bus: Bus, part: Slice, hello: Hello | None = None, bye: Bye | None = None) -> bytes: ...

    def headers(self, part: Slice) -> dict[str, str]:
        return {"Cache-Control": "no-store", "Tricast-Cursor": str(part.next), "Content-Type": self.content_type}

    def whole(self, bus: Bus, part: Slice, cors: Mapping[str, str]) -> tuple[bytes, int]:
        """Head and body, and the bytes of the body."""
        known, same, data, size = self._last
        if known is not part or same is not cors:
            body = self.body(bus, part)
            data, size = whole(body, {**self.headers(part), **cors}), len(body)
            self._last = part, cors, data, size
        return data, size


class _JsonBatch(_Batch):
    """Objects of one array."""

    name = "poll.json"
    content_type = "application/json; charset=utf-8"

    def entry(self, entry: Entry, epoch: str) -> bytes:
        return JSON.entry(entry, str(Cursor(epoch, entry.offset))).encode()

    def frame(self, frame: Frame, cursor: str) -> bytes:
        return json.encode(frame).encode()

    def join(self, frames: Sequence[bytes]) -> bytes:
        return b",".join(frames)

    def body(self, bus: Bus, part: Slice, hello: Hello | None = None, bye: Bye | None = None) -> bytes:
        more = b""
        if hello is not None:
            more += b',"hello":' + json.encode(hello).encode()
        if bye is not None:
            more += b',"bye":' + json.encode(bye).encode()
        messages = self.join(bus.encode(part.shown, self))
        return b'{"cursor":"%b","messages":[%b]%b}' % (str(part.next).encode(), messages, more)


class _TextBatch(_Batch):
    """One line per message; nothing else is shown."""

    name = "poll.text"
    content_type = "text/plain; charset=utf-8"

    def entry(self, entry: Entry, epoch: str) -> bytes:
        return TEXT.line(entry, str(Cursor(epoch, entry.offset))).encode() + b"\n"

    def frame(self, frame: Frame, cursor: str) -> bytes:
        return b""

    def join(self, frames: Sequence[bytes]) -> bytes:
        return b"".join(frames)

    def body(self, bus: Bus, part: Slice, hello: Hello | None = None, bye: Bye | None = None) -> bytes:
        return self.join(bus.encode(part.shown, self))


_JSON_BATCH = _JsonBatch()
_TEXT_BATCH = _TextBatch()


async def handle(request: web.Request, service: Service) -> web.StreamResponse:
    """One poll. Without a cursor it is answered at once with hello; else when there is something, or time is up."""
    bus = service.bus
    params, client, cursor, _, grant, view, start, goes_on = await enter(request, service, polls=True)
    if not goes_on:
        with service.limits.seat(request):
            pass  # only whether there is one: from its next poll on it counts as somebody who was let in
    waits = cursor is not None and params.wait > 0 and not bus.draining
    with service.connected("poll"):
        part = bus.read(view, start.cursor, limit=params.limit, size=ANSWER_BYTES)
        hello = None
        if cursor in (None, EARLIEST):
            hello = service.hello("poll", client, params.topics, start.asked)
        if waits and not part.shown and not part.more:
            with service.limits.seat(request, goes_on=goes_on):
                part = await _wait(request, service, view, part.next, params, grant)
    bye = service.bye() if bus.draining and not part.more else None
    return _answer(request, service, params, part, hello, bye)


async def _wait(
    request: web.Request, service: Service, view: View, cursor: Cursor, params: Params, grant: Grant
) -> Slice:
    """Raises Unauthorized where the grant ends meanwhile: whoever comes back at the cursor misses nothing."""

    def gone() -> bool:
        return request.transport is None or request.transport.is_closing() or not grant.holds

    part = await service.bus.park(view, min(params.wait, grant.remaining), gone)
    grant.check()
    if part is not None and part.next.epoch == service.bus.log.epoch and len(part.shown) <= params.limit:
        return part
    return service.bus.read(view, cursor, limit=params.limit, size=ANSWER_BYTES)


def _answer(
    request: web.Request, service: Service, params: Params, part: Slice, hello: Hello | None, bye: Bye | None
) -> web.StreamResponse:
    batch: _Batch = _TEXT_BATCH if params.format is TEXT else _JSON_BATCH
    if request.transport is not None:  # whoever has been answered may come again
        service.pollers.add(request.transport)
    if hello is None and bye is None and service.alone and can_be_whole(request):
        data, size = batch.whole(service.bus, part, request[CORS])
        service.bus.count(batch, len(part.shown), size)
        return WholeResponse(data)
    body = batch.body(service.bus, part, hello, bye)
    service.bus.count(batch, len(part.shown), len(body))
    response = web.Response(body=body, headers=batch.headers(part))
    if bye is not None:
        response.force_close()
    return response
