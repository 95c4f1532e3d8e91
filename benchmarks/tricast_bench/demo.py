"""`tricast demo`: the server with its pages, and a misbehaving proxy that the pages can break and heal.

The pages come straight from the server, so that they live on whatever is done to the bus, which they reach through the
middlebox; its faults are switched through its control API.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from dataclasses import dataclass
from typing import TypeVar

from aiohttp import web

from tricast_bench.middlebox import Control, Middlebox
from tricast_server import Settings, setup
from tricast_server.hosting import CannotListen, drained, listening, stop_signal

T = TypeVar("T")

HOST = "127.0.0.1"
HEARTBEAT = 5.0
"""Seconds: short, so that one sees soon what a dead link does."""
DRAIN = 2.0
"""Seconds that pages have at the end."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ports:
    """Where what listens; 0 is any, but for the page."""

    page: int
    bus: int
    control: int


async def run_demo(ports: Ports, say: Callable[[str], None], heartbeat: float = HEARTBEAT) -> None:
    """Runs until SIGINT or SIGTERM; `say` is told where it listens. Raises OSError where it cannot listen."""
    app = web.Application()
    known: dict[str, dict[str, int]] = {}

    async def page_settings(request: web.Request) -> web.Response:
        return web.json_response(known, headers={"Cache-Control": "no-store"})

    app.router.add_get("/page.json", page_settings)  # found before the server's own
    origins = tuple(f"http://{name}:{ports.page}" for name in (HOST, "localhost"))
    service = setup(
        app, "", settings=Settings(heartbeat=heartbeat, drain_timeout=DRAIN, allow_origins=origins, node="demo")
    )
    async with listening(app, HOST, ports.page, service=service) as listener, AsyncExitStack() as stack:
        box = await _entered(stack, Middlebox(upstream=listener.url, listen=(HOST, ports.bus)), ports.bus)
        control = await _entered(stack, Control(box, ports.control), ports.control)
        known["middlebox"] = {"bus": box.address[1], "control": control.port}
        say(f"tricast demo: open [bold]{listener.url}[/] (Ctrl-C ends it)")
        say(f"Its bus is behind a middlebox that the page can break, {box.url}; control at {control.url}")
        stop = stop_signal()
        await stop.wait()
        await listener.close()
        stop.clear()
        await drained(service, stop)


async def _entered(stack: AsyncExitStack, listener: AbstractAsyncContextManager[T], port: int) -> T:
    try:
        return await stack.enter_async_context(listener)
    except OSError as error:
        raise CannotListen(f"Cannot listen on {HOST}:{port}: {error.strerror or error}") from error
