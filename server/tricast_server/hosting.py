"""An application as a program: it listens, is told to stop, and lets its clients go in peace."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass

from aiohttp import web

from tricast_server.drain import drain
from tricast_server.service import Service

KEEPALIVE = 75.0
"""Seconds an idle connection is kept; proxies in front commonly keep theirs for 60."""


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
    return web.AppRunner(
        app, access_log=None, handler_cancellation=True, keepalive_timeout=KEEPALIVE, shutdown_timeout=1.0
    )


def url_of(host: str, port: int) -> str:
    return f"http://{f'[{host}]' if ':' in host else host}:{port}"


@asynccontextmanager
async def listening(app: web.Application, host: str, port: int) -> AsyncIterator[Listener]:
    """Serves `app` until the end of the block. Port 0 is any. Raises CannotListen."""
    runner = runner_of(app)
    await runner.setup()
    try:
        site = web.TCPSite(runner, host, port, backlog=1024)
        try:
            await site.start()
        except OSError as error:
            raise CannotListen(f"Cannot listen on {host}:{port}: {error.strerror or error}") from error
        yield Listener(url_of(host, runner.addresses[0][1]), site.stop)
    finally:
        await runner.cleanup()


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
