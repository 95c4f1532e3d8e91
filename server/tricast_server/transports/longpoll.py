"""`GET /poll`: a pure read that waits. Only the cursor of the next poll acknowledges anything."""

from __future__ import annotations

from aiohttp import web

from tricast.wire import json, protobuf
from tricast.wire.cursor import Cursor
from tricast.wire.messages import Bye, Hello
from tricast_server.bus.view import Slice, View
from tricast_server.framing import PROTOBUF
from tricast_server.framing.batches import BATCHES, Batch
from tricast_server.guard.authorise import Grant
from tricast_server.guard.origin import CORS, vary
from tricast_server.service import Service
from tricast_server.transports.accept import ANYTHING, accepts_gzip, prefers
from tricast_server.transports.connect import EARLIEST, enter
from tricast_server.transports.params import Params
from tricast_server.transports.whole import WholeResponse, can_be_whole, whole

ANSWER_BYTES = 2**20


async def handle(request: web.Request, service: Service) -> web.StreamResponse:
    """One poll. Without a cursor it is answered at once with hello; else when there is something, or time is up."""
    bus = service.bus
    zips = service.settings.compress
    if zips:
        vary(request, "Accept-Encoding")
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
    batch = BATCHES[_format(request, params)]
    if request.transport is not None:  # whoever is answered may come again
        service.pollers.add(request.transport)
    if zips and accepts_gzip(request):
        return await _zipped_answer(request, service, batch, part, hello, bye)
    return _answer(request, service, batch, part, hello, bye)


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


def _format(request: web.Request, params: Params) -> str:
    """The query goes before Accept, where a library may have written what nobody chose."""
    if params.format_given or request.headers.get("Accept", ANYTHING) == ANYTHING:
        return params.format.name
    if not prefers(request, protobuf.CONTENT_TYPE, to=json.CONTENT_TYPE):
        return params.format.name
    vary(request, "Accept")
    return PROTOBUF.name


def _answer(
    request: web.Request, service: Service, batch: Batch, part: Slice, hello: Hello | None, bye: Bye | None
) -> web.StreamResponse:
    if hello is None and bye is None and service.alone and can_be_whole(request):
        data, size = batch.whole(service.bus, part, request[CORS])
        service.bus.count(batch, len(part.shown), size)
        return WholeResponse(data)
    body = batch.body(service.bus, part, hello, bye)
    service.bus.count(batch, len(part.shown), len(body))
    return _response(body, batch.headers(part), bye)


async def _zipped_answer(
    request: web.Request, service: Service, batch: Batch, part: Slice, hello: Hello | None, bye: Bye | None
) -> web.StreamResponse:
    body = await batch.zipped(service.bus, part, hello, bye)
    headers = batch.headers(part)
    if body.zipped:
        headers["Content-Encoding"] = "gzip"
    service.bus.count(batch, len(part.shown), len(body.data))
    if hello is None and bye is None and service.alone and can_be_whole(request):
        cors = request[CORS]
        return WholeResponse(whole(body.data, {**headers, **cors}))
    return _response(body.data, headers, bye)


def _response(body: bytes, headers: dict[str, str], bye: Bye | None) -> web.Response:
    response = web.Response(body=body, headers=headers)
    if bye is not None:
        response.force_close()
    return response
