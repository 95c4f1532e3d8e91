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
from tricast_server.settings import Settings

_DEFAULTS = Settings(node="n")


def register(app: typer.Typer) -> None:
    """Adds the server's commands to `tricast`."""
    app.command()(serve)


def _option(name: str, help: str, **more: Any) -> Any:
    return typer.Option(f"--{name}", envvar=f"TRICAST_{name.upper().replace('-', '_')}", help=help, **more)


def serve(
    host: Annotated[str, _option("host", "Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, _option("port", "Port to listen on.", min=0, max=65535)] = 8080,
    backplane: Annotated[
        str,
        _option(
            "backplane",
            "Where the log is: memory for one process, or what several nodes share: redis://host:6379/0, nats://host. "
            "Best given as a variable if it holds a password.",
        ),
    ] = _DEFAULTS.backplane,
    retention_count: Annotated[
        int, _option("retention-count", "Messages kept per topic, for those who come back.")
    ] = _DEFAULTS.retention_count,
    retention_age: Annotated[float, _option("retention-age", "Seconds a message is kept.")] = _DEFAULTS.retention_age,
    retention_bytes: Annotated[
        int, _option("retention-bytes", "Bytes kept over all topics; the oldest go first.")
    ] = _DEFAULTS.retention_bytes,
    dedupe_window: Annotated[
        float, _option("dedupe-window", "Seconds in which a publish with the same id takes effect once.")
    ] = _DEFAULTS.dedupe_window,
    heartbeat: Annotated[
        float, _option("heartbeat", "Seconds of silence after which a heartbeat is sent.")
    ] = _DEFAULTS.heartbeat,
    drain_timeout: Annotated[
        float, _option("drain-timeout", "Seconds that clients have to fetch the rest after SIGTERM.")
    ] = _DEFAULTS.drain_timeout,
    flush_interval: Annotated[
        float,
        _option("flush-interval", "Seconds to collect messages before they are written: less CPU, more latency."),
    ] = _DEFAULTS.flush_interval,
    max_message: Annotated[
        int, _option("max-message", "Bytes of one message's data as JSON, 512000 at most.")
    ] = _DEFAULTS.max_message,
    max_body: Annotated[int, _option("max-body", "Bytes of one POST.")] = _DEFAULTS.max_body,
    max_topics: Annotated[int, _option("max-topics", "Topics of one connection.")] = _DEFAULTS.max_topics,
    write_buffer: Annotated[
        int, _option("write-buffer", "Bytes that may wait in memory for a client that reads slowly.")
    ] = _DEFAULTS.write_buffer,
    allow_origin: Annotated[
        list[str] | None,
        _option("allow-origin", "Another origin whose pages may connect, as https://example.com; '*' for any."),
    ] = None,
    allow_host: Annotated[
        list[str] | None,
        _option("allow-host", "A host name served here besides localhost; '*' for any. Wanted behind a public name."),
    ] = None,
    public_url: Annotated[
        str | None, _option("public-url", "Where browsers see this server, if a proxy rewrites the Host header.")
    ] = None,
    node: Annotated[str | None, _option("node", "This node's name in hello and /stats.")] = None,
) -> None:
    """Serve the bus over WebSocket, Server-Sent Events and long polling.

    Ends on SIGTERM or Ctrl-C after every client that reads has got what was acknowledged; a second one ends at once.
    """
    values: dict[str, Any] = {
        "backplane": backplane,
        "retention_count": retention_count,
        "retention_age": retention_age,
        "retention_bytes": retention_bytes,
        "dedupe_window": dedupe_window,
        "heartbeat": heartbeat,
        "drain_timeout": drain_timeout,
        "flush_interval": flush_interval,
        "max_message": max_message,
        "max_body": max_body,
        "max_topics": max_topics,
        "write_buffer": write_buffer,
        "allow_origins": tuple(allow_origin or ()),
        "allow_hosts": (*_DEFAULTS.allow_hosts, *(allow_host or ())),
        "public_url": public_url,
    }
    if node is not None:
        values["node"] = node
    try:
        settings = Settings(**values)
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
