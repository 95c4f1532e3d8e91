"""`tricast serve`: the bus as a program of its own."""

from __future__ import annotations

import asyncio
import logging
from typing import Annotated, Any

import typer
from aiohttp import web
from rich.console import Console
from rich.logging import RichHandler

from tricast.errors import Unavailable
from tricast_server.app import setup
from tricast_server.backplane.base import Backplane
from tricast_server.backplane.engines import backplane_of
from tricast_server.hosting import CannotListen, drained, listening, new_event_loop, stop_signal
from tricast_server.options import option, settings_of, takes_settings
from tricast_server.settings import Settings


def register(app: typer.Typer) -> None:
    """Adds the server's commands to `tricast`."""
    app.command()(serve)


@takes_settings
def serve(
    host: Annotated[str, option("host", "Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, option("port", "Port to listen on.", min=0, max=65535)] = 8080,
    **values: Any,
) -> None:
    """Serve the bus over WebSocket, Server-Sent Events and long polling.

    Ends on SIGTERM or Ctrl-C after every client that reads has got what was acknowledged; a second one ends at once.
    """
    settings = settings_of(values)
    try:
        log = backplane_of(settings.backplane, settings)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from None
    logging.basicConfig(
        level=logging.INFO, format="%(message)s", handlers=[RichHandler(console=Console(stderr=True), show_path=False)]
    )
    try:
        with asyncio.Runner(loop_factory=new_event_loop) as runner:
            runner.run(_serve(host, port, settings, log))
    except CannotListen as error:
        Console(stderr=True, highlight=False).print(
            f"[red]{error}.[/] Is something running there already? --port picks another port."
        )
        raise typer.Exit(1) from None
    except Unavailable as error:
        Console(stderr=True, highlight=False).print(f"[red]Cannot start:[/] {error}. Does --backplane say where it is?")
        raise typer.Exit(1) from None


async def _serve(host: str, port: int, settings: Settings, log: Backplane) -> None:
    app = web.Application()
    service = setup(app, "", settings=settings, backplane=log)
    async with listening(app, host, port) as listener:
        logging.info("tricast serves on %s (Ctrl-C ends it)", listener.url)
        stop = stop_signal()
        await stop.wait()
        await listener.close()
        logging.info("draining: clients get the rest and a bye, %g s at most", settings.drain_timeout)
        stop.clear()
        await drained(service, stop)
