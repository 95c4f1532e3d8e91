"""The control API: switches the faults of a running middlebox over HTTP, from this machine only.

    GET    /               faults, preset, presets, counters
    PUT    /faults         these in place of those before
    PATCH  /faults         these besides those before; null takes one off
    DELETE /faults         none
    POST   /presets/NAME   the faults of a preset
    POST   /cut            ends open connections now: all, or with ?kind=ws those of a kind

Each answers with the state as GET does; /cut adds how many it was. Pages of this machine may call it; others not,
nor pages whose name was made to point here.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import asdict
from json import JSONDecodeError
from types import TracebackType
from typing import Any
from urllib.parse import urlsplit

from aiohttp import web

from tricast_bench.middlebox.faults import KINDS, FaultError, Faults
from tricast_bench.middlebox.presets import PRESETS, name_of
from tricast_bench.middlebox.proxy import Middlebox, is_loopback

HOST = "127.0.0.1"
METHODS = "GET, PUT, PATCH, POST, DELETE"

_Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Control:
    """Listens on the loopback from `async with` on, to its end. Raises OSError where it cannot."""

    def __init__(self, box: Middlebox, port: int = 0) -> None:
        self._box = box
        self._port = port
        app = web.Application(middlewares=[_guard])
        app.router.add_get("/", self._state)
        app.router.add_put("/faults", self._replace)
        app.router.add_patch("/faults", self._merge)
        app.router.add_delete("/faults", self._clear)
        app.router.add_post("/presets/{name}", self._preset)
        app.router.add_post("/cut", self._cut)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=1.0)

    async def __aenter__(self) -> Control:
        await self._runner.setup()
        try:
            await web.TCPSite(self._runner, HOST, self._port).start()
        except OSError:
            await self._runner.cleanup()
            raise
        self._port = self._runner.addresses[0][1]
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self._runner.cleanup()

    @property
    def port(self) -> int:
        return self._port

    @property
    def url(self) -> str:
        return f"http://{HOST}:{self._port}"

    async def _state(self, request: web.Request) -> web.Response:
        return self._respond()

    async def _replace(self, request: web.Request) -> web.Response:
        self._box.set(Faults.from_json(await request.json()))
        return self._respond()

    async def _merge(self, request: web.Request) -> web.Response:
        self._box.set(self._box.faults.merged(await request.json()))
        return self._respond()

    async def _clear(self, request: web.Request) -> web.Response:
        self._box.set(Faults())
        return self._respond()

    async def _preset(self, request: web.Request) -> web.Response:
        name = request.match_info["name"]
        if name not in PRESETS:
            return _failure(404, f"no such preset: {name!a}; there are {', '.join(PRESETS)}")
        self._box.preset(name)
        return self._respond()

    async def _cut(self, request: web.Request) -> web.Response:
        asked = request.query.get("kind")
        kind = next((kind for kind in KINDS if kind == asked), None)
        if asked is not None and kind is None:
            return _failure(400, f"no such kind: {asked!a}; there are {', '.join(KINDS)}")
        return self._respond(cut=self._box.cut(kind))

    def _respond(self, **more: Any) -> web.Response:
        return web.json_response({**more, **state(self._box)}, headers={"Cache-Control": "no-store"})


def state(box: Middlebox) -> dict[str, Any]:
    """All there is to know about a middlebox, as JSON."""
    return {
        "url": box.url,
        "upstream": box.upstream,
        "preset": name_of(box.faults),
        "faults": box.faults.to_json(),
        "counters": asdict(box.counters),
        "presets": {
            name: {"about": preset.about, "faults": preset.faults.to_json()} for name, preset in PRESETS.items()
        },
    }


@web.middleware
async def _guard(request: web.Request, handler: _Handler) -> web.StreamResponse:
    """Keeps foreign pages out, and says what is wrong with a request as JSON."""
    origin = request.headers.get("Origin")
    if not _is_local(f"http://{request.host}") or (origin is not None and not _is_local(origin)):
        return _failure(403, "only pages of this machine may use this")
    response = await _handled(request, handler)
    response.headers["Vary"] = "Origin"
    if origin is not None:
        response.headers["Access-Control-Allow-Origin"] = origin
    return response


async def _handled(request: web.Request, handler: _Handler) -> web.StreamResponse:
    if request.method == "OPTIONS":
        allowed = {"Access-Control-Allow-Methods": METHODS, "Access-Control-Allow-Headers": "Content-Type"}
        return web.Response(status=204, headers=allowed)
    try:
        return await handler(request)
    except (FaultError, JSONDecodeError, UnicodeDecodeError) as error:
        return _failure(400, str(error))
    except OSError as error:
        return _failure(503, str(error))
    except web.HTTPException as error:
        return _failure(error.status, error.reason)


def _failure(status: int, message: str) -> web.Response:
    return web.json_response({"error": message}, status=status)


def _is_local(url: str) -> bool:
    try:
        host = urlsplit(url).hostname
    except ValueError:
        return False
    return host is not None and is_loopback(host)
