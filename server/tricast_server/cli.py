"""`tricast serve`: the bus as a program of its own."""

from __future__ import annotations

import asyncio
import logging
from pathlib import Path
from typing import Annotated, Any

import typer
from aiohttp import web
from rich.console import Console
from rich.logging import RichHandler
from rich.text import Text

from tricast.errors import Unavailable
from tricast_server.app import setup
from tricast_server.backplane.base import Backplane
from tricast_server.backplane.engines import MEMORY, backplane_of
from tricast_server.cluster.errors import CannotStart
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
    workers: Annotated[
        int,
        option("workers", "Processes that share the port. SIGHUP brings new ones, one after the other.", min=1),
    ] = 1,
    data_dir: Annotated[
        Path | None,
        option("data-dir", "Where the log is kept, to outlive a restart, if no --backplane keeps it.", file_okay=False),
    ] = None,
    **values: Any,
) -> None:
    """Serve the bus over WebSocket, Server-Sent Events and long polling.

    Ends on SIGTERM or Ctrl-C after every client that reads has got what was acknowledged; a second one ends at once.
    """
    settings = settings_of(values)
    if data_dir is not None and settings.backplane != MEMORY:
        raise typer.BadParameter("--data-dir is for a log of our own, and --backplane names another's")
    try:
        log = backplane_of(settings.backplane, settings)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from None
    logging.basicConfig(
        level=logging.INFO, format="%(message)s", handlers=[RichHandler(console=Console(stderr=True), show_path=False)]
    )
    try:
        if workers > 1 or data_dir is not None:
            _supervise(host, port, workers, data_dir, settings)
        else:
            with asyncio.Runner(loop_factory=new_event_loop) as runner:
                runner.run(_serve(host, port, settings, log))
    except CannotListen as error:
        Console(stderr=True, highlight=False).print(
            f"[red]{error}.[/] Is something running there already? --port picks another port."
        )
        raise typer.Exit(1) from None
    except (Unavailable, CannotStart) as error:
        hint = "" if settings.backplane == MEMORY else " Does --backplane say where it is?"
        Console(stderr=True, highlight=False).print("[red]Cannot start:[/]", Text(f"{error}.{hint}"))
        raise typer.Exit(1) from None


def _supervise(host: str, port: int, workers: int, data_dir: Path | None, settings: Settings) -> None:
    from tricast_server.cluster.supervisor import Plan, Supervisor  # POSIX only

    own = settings.backplane == MEMORY
    plan = Plan(host=host, port=port, workers=workers, settings=settings, own_engine=own, data_dir=data_dir)
    asyncio.run(Supervisor(plan).run())


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
