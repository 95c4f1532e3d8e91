"""An application as a program: it listens, is told to stop, and lets its clients go in peace."""

from __future__ import annotations

import asyncio
import signal
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from aiohttp import web

from tricast.wire.cursor import TOPIC_MAX
from tricast_server.connection import Connections
from tricast_server.drain import drain
from tricast_server.service import Service

KEEPALIVE = 75.0
"""Seconds an idle connection is kept; proxies in front commonly keep theirs for 60."""
BACKLOG = 1024
LINE_MIN = 8190
TOPIC_IN_QUERY = TOPIC_MAX + len("%2C")
"""Bytes: all topics of a connection are in the first line of its request."""


def new_event_loop() -> asyncio.AbstractEventLoop:
    """uvloop's where it is installed: it costs a message a fifth less, a connection that comes and goes a third."""
    try:
        import uvloop
    except ImportError:  # no wheel for this system
        return asyncio.new_event_loop()
    return uvloop.new_event_loop()


class CannotListen(OSError):
    """The address is taken, not ours, or not to be had by this user."""


@dataclass(frozen=True, slots=True)
class Listener:
    """Where it listens, and how that ends: `close` leaves the open connections alone."""

    url: str
    close: Callable[[], Awaitable[None]]


def runner_of(app: web.Application) -> web.AppRunner:
    """It serves `app` as `tricast serve` does; where, its sites say."""
    return web.AppRunner(app, handler_cancellation=True, shutdown_timeout=1.0)


def url_of(host: str, port: int, *, tls: bool = False) -> str:
    return f"{'https' if tls else 'http'}://{f'[{host}]' if ':' in host else host}:{port}"


def connections_of(runner: web.AppRunner, service: Service) -> Connections:
    """The connections of a runner that was set up, whose application has this service in it."""
    assert runner.server is not None
    settings = service.settings
    return Connections(
        runner.server,
        head_timeout=settings.header_timeout,
        send_timeout=service.send_timeout,
        refusals=service.refusals,
        access_log=None,
        keepalive_timeout=KEEPALIVE,
        max_line_size=LINE_MIN + settings.max_topics * TOPIC_IN_QUERY,
    )


async def accept(connections: Connections, *, tls: ssl.SSLContext | None = None, **where: Any) -> asyncio.Server:
    """Accepts on what `loop.create_server` takes. Raises OSError."""
    patience = None if tls is None else connections.head_timeout
    return await connections.loop.create_server(
        connections, backlog=BACKLOG, ssl=tls, ssl_handshake_timeout=patience, **where
    )


@asynccontextmanager
async def listening(
    app: web.Application, host: str, port: int, *, service: Service, tls: ssl.SSLContext | None = None
) -> AsyncIterator[Listener]:
    """Serves `app`, in which `service` was set up, until the end of the block. Port 0 is any. Raises CannotListen."""
    runner = runner_of(app)
    await runner.setup()
    connections = connections_of(runner, service)
    try:
        try:
            server = await accept(connections, tls=tls, host=host, port=port)
        except OSError as error:
            raise CannotListen(f"Cannot listen on {host}:{port}: {error.strerror or error}") from error

        async def close() -> None:
            server.close()

        try:
            yield Listener(url_of(host, server.sockets[0].getsockname()[1], tls=tls is not None), close)
        finally:
            server.close()
    finally:
        await runner.cleanup()
        connections.close()


async def drained(service: Service, hurry: asyncio.Event) -> None:
    """Returns when all clients have the rest and a bye, when the time for that is over, or at once with `hurry`."""
    tasks = [asyncio.ensure_future(drain(service)), asyncio.ensure_future(hurry.wait())]
    done, rest = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    for task in rest:
        task.cancel()
    await asyncio.gather(*rest, return_exceptions=True)
    for task in done:
        task.result()


def stop_signal() -> asyncio.Event:
    """Set at SIGTERM and SIGINT, from now on in place of what these did before."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    return stop
