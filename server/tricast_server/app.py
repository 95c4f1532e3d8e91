"""Wiring: settings in, an aiohttp application out."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable

from aiohttp import web

from tricast.errors import CommandError, Unavailable
from tricast_server import assets, canary, logs, metrics
from tricast_server.alone import Alone
from tricast_server.backplane.base import Backplane
from tricast_server.describe.handlers import asyncapi_json, openapi_json
from tricast_server.drain import drain
from tricast_server.guard import origin
from tricast_server.guard.authorise import CHALLENGE, EXPIRED, Authorise, allow_all
from tricast_server.guard.headers import page_headers
from tricast_server.guard.public import check_private
from tricast_server.guard.upgrade import end_if_upgrade
from tricast_server.service import Service
from tricast_server.settings import Settings
from tricast_server.transports import longpoll, send, sse, websocket
from tricast_server.transports.send import respond_error

_Handler = Callable[[web.Request, Service], Awaitable[web.StreamResponse]]
_Route = Callable[[web.Request], Awaitable[web.StreamResponse]]

STARTED: web.RequestKey[bool] = web.RequestKey("tricast_started", bool)


def setup(
    app: web.Application,
    prefix: str = "/rt",
    *,
    settings: Settings | None = None,
    authorise: Authorise = allow_all,
    backplane: Backplane | None = None,
) -> Service:
    """Mounts the bus, its transports and its page under `prefix` ("" for the root) in an application of yours.

    It starts and stops with the application. The Service that is returned publishes from your own handlers.
    """
    service = Service(settings or Settings(), authorise=authorise, backplane=backplane)
    service.overview = Alone(service)
    if prefix and (not prefix.startswith("/") or prefix.endswith("/")):
        raise ValueError('prefix is "" or begins with a slash and does not end with one')

    logs.keep_tokens_out()
    router = app.router
    for path, handler in (("/ws", websocket.handle), ("/sse", sse.handle), ("/poll", longpoll.handle)):
        router.add_get(prefix + path, _guarded(handler, service), allow_head=False)
    for path, handler in (("/send", send.handle), ("/topics/{topic}", send.publish)):
        router.add_post(prefix + path, _guarded(handler, service))
    for path in ("/sse", "/poll", "/send", "/topics/{topic}"):
        router.add_options(prefix + path, _guarded(_preflight, service))
    for path, handler in (("/ws", canary.websocket), ("/sse", canary.stream), ("/poll", canary.poll)):
        router.add_get(f"{prefix}/canary{path}", _guarded(handler, service), allow_head=False)
    for path, handler in (
        ("/healthz", _healthz),
        ("/readyz", _readyz),
        ("/stats", _stats),
        ("/metrics", _metrics),
        ("/openapi.json", openapi_json),
        ("/asyncapi.json", asyncapi_json),
        ("/page.json", _page_settings),
    ):
        router.add_get(prefix + path, _guarded(handler, service))
    for path in ("/", "/{file:[a-z]+[.]html}", "/{file:assets/[A-Za-z0-9._-]+}"):
        router.add_get(prefix + path, _guarded(_page, service))

    if prefix:
        router.add_get(prefix, _guarded(_to_page, service))

    async def run(app: web.Application) -> AsyncIterator[None]:
        await asyncio.to_thread(assets.files)  # read once, off the loop
        service.alone = not app.middlewares and len(app.on_response_prepare) == 1
        await service.start()
        yield
        await service.close()

    async def stop(app: web.Application) -> None:
        await drain(service)

    app.cleanup_ctx.append(run)
    app.on_shutdown.append(stop)
    app.on_response_prepare.append(_add_cors)
    return service


def _guarded(handler: _Handler, service: Service) -> _Route:
    """What goes before every handler, and how an error becomes a response."""
    settings = service.settings

    async def guarded(request: web.Request) -> web.StreamResponse:
        request[origin.CORS] = origin.cors_headers(request, settings)
        try:
            origin.check_host(request, settings)
            if handler is not _preflight and "Origin" in request.headers:
                origin.check_origin(request, settings)
            response = await handler(request, service)
        except CommandError as error:
            service.refused(error)
            if STARTED in request:
                raise  # a second head would stand in the middle of the first response's body
            response = end_if_upgrade(request, respond_error(error))
        except ConnectionError:
            if request.transport is not None and not request.transport.is_closing():
                raise  # not this client's connection
            return web.Response()  # it left just before its answer, and gets none
        if service.bus.draining and request.method == "POST":
            response.force_close()  # whoever publishes on this connection is better off on another node's
        return response

    return guarded


async def _add_cors(request: web.Request, response: web.StreamResponse) -> None:
    request[STARTED] = True
    headers = request.get(origin.CORS)
    if headers:
        response.headers.update(headers)
        if response.status == 401 or (response.status == 403 and CHALLENGE in request):
            response.headers["WWW-Authenticate"] = request.get(CHALLENGE, EXPIRED)


async def _preflight(request: web.Request, service: Service) -> web.StreamResponse:
    return web.Response(status=204, headers=origin.preflight_headers(request, service.settings))


async def _healthz(request: web.Request, service: Service) -> web.StreamResponse:
    return web.json_response({"status": "ok"}, headers={"Cache-Control": "no-store"})


async def _readyz(request: web.Request, service: Service) -> web.StreamResponse:
    if not await service.ready():
        raise Unavailable("this node is going away", retry_after=1.0)
    return web.json_response({"status": "ready"}, headers={"Cache-Control": "no-store"})


async def _stats(request: web.Request, service: Service) -> web.StreamResponse:
    await check_private(request, service)
    return web.json_response(await service.overview.stats(), headers={"Cache-Control": "no-store"})


async def _metrics(request: web.Request, service: Service) -> web.StreamResponse:
    await check_private(request, service)
    text = await service.overview.metrics()
    headers = {"Content-Type": metrics.CONTENT_TYPE, "Cache-Control": "no-store"}
    return web.Response(body=text.encode(), headers=headers)


async def _to_page(request: web.Request, service: Service) -> web.StreamResponse:
    """The page's own addresses are relative: they need the slash at the end of its own."""
    raise web.HTTPPermanentRedirect(location=request.path + "/")


async def _page_settings(request: web.Request, service: Service) -> web.StreamResponse:
    """What the pages should know about this server. The demo has something to say here."""
    return web.json_response({}, headers={"Cache-Control": "no-store"})


async def _page(request: web.Request, service: Service) -> web.StreamResponse:
    file = assets.files().get(request.match_info.get("file", assets.INDEX))
    if file is None:
        raise web.HTTPNotFound
    headers = {"Cache-Control": file.caching, **page_headers(request)}
    charset = "utf-8" if file.content_type.startswith("text/") else None
    return web.Response(body=file.body, content_type=file.content_type, charset=charset, headers=headers)
