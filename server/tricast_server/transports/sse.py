"""`GET /sse`: Server-Sent Events (WHATWG HTML, 9.2). aiohttp-sse carries the response."""

from __future__ import annotations

import asyncio

from aiohttp import web
from aiohttp_sse import EventSourceResponse

from tricast.errors import CommandError, RateLimited, TooMany, Unavailable
from tricast_server import logs
from tricast_server.bus.subscription import End
from tricast_server.framing import FORMATS, format_told_in
from tricast_server.framing.events import SSEFraming, failure_event
from tricast_server.service import Service
from tricast_server.transports.commands import error_frame
from tricast_server.transports.connect import enter
from tricast_server.transports.sink import StreamSink

FAREWELL = 5.0
"""Seconds for a client to take what it is told at the end."""
NEVER = 10.0 * 365 * 86400
PASSES = (TooMany, RateLimited, Unavailable)
_FRAMINGS = {
    (name, chunked): SSEFraming(format, chunked=chunked)
    for name, format in FORMATS.items()
    for chunked in (True, False)
}


class EventStream(EventSourceResponse):
    """Headers that keep proxies from holding the stream. The kernel ends it when bytes stay unacknowledged.

    The heartbeats of the bus take the place of aiohttp-sse's ping comments, which cannot be switched off.
    """

    def __init__(self, *, unacknowledged: float) -> None:
        super().__init__(sep="\n", ping_interval=NEVER, send_timeout=unacknowledged)
        self.headers["Cache-Control"] = "no-cache, no-transform"
        self.headers["Content-Encoding"] = "identity"

    def unchunked(self) -> None:
        """For HTTP/1.0: without chunks only the end of the connection ends the stream (RFC 9112, 6.3)."""
        self.force_close()
        self.headers["Connection"] = "close"


async def handle(request: web.Request, service: Service) -> web.StreamResponse:
    """One stream, from request to end."""
    response = EventStream(unacknowledged=2 * service.settings.heartbeat)
    chunked = request.version >= (1, 1)
    if not chunked:
        response.unchunked()
    try:
        if service.bus.draining:
            raise Unavailable("this node is going away", retry_after=1.0)
        service.limits.connect(request)
        with service.limits.seat(request):
            return await _serve(request, service, response, chunked=chunked)
    except PASSES as error:
        if response.prepared:
            raise
        service.refused(error)
        return await _come_back(request, response, error)


async def _serve(request: web.Request, service: Service, response: EventStream, *, chunked: bool) -> web.StreamResponse:
    """Raises one of `PASSES` only before the response has begun."""
    entrance = await enter(request, service, cursor=request.headers.get("Last-Event-ID"))
    service.limits.connect_as(entrance.grant.subject)
    params, start = entrance.params, entrance.start
    writer = await response.prepare(request)
    assert writer is not None
    ended: asyncio.Future[End] = asyncio.get_running_loop().create_future()
    sink = StreamSink(
        request,
        writer,
        _FRAMINGS[params.format.name, chunked],
        high_mark=service.settings.write_buffer,
        timeout=service.send_timeout,
        ending=ended.done,
    )

    def end(why: End) -> None:
        if not ended.done():
            ended.set_result(why)

    with service.connected("sse"), logs.connection(request, "sse", params.topics) as ending:
        subscription = service.bus.subscribe(sink, entrance.view, start.cursor, end)
        async with response:
            try:
                service.begin(subscription, service.hello("sse", entrance.client, params.topics, start.asked))
                with service.leases.hold(entrance.grant, lambda error: subscription.expire(error_frame(error))):
                    why = await ended
                if why is End.DRAINED:
                    await sink.emptied(service.drain_ends)
                elif why is End.EXPIRED:
                    await sink.emptied(asyncio.get_running_loop().time() + FAREWELL)
                elif why is End.SLOW:
                    service.refusals["slow_reader"] += 1
                    sink.abort()  # it takes nothing, so there is no way to tell it
            finally:
                ending.reason = (subscription.ended or End.LOST).name.lower()
                await subscription.aclose()
    return response


async def _come_back(request: web.Request, response: EventStream, error: CommandError) -> web.StreamResponse:
    """A browser never returns after a status other than 200, so what passes is told in a stream that ends."""
    after = error.retry_after or 1.0
    await response.prepare(request)
    async with response:
        format = format_told_in(request.query.get("format"))
        await response.write(failure_event(format, error_frame(error), after))
    return response
