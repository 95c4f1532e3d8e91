"""`tricast serve`: the bus as a program of its own."""

from __future__ import annotations

import asyncio
import logging
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from aiohttp import web
from rich.console import Console
from rich.text import Text

from tricast.errors import Unavailable
from tricast_server import logs
from tricast_server.app import setup
from tricast_server.backplane.base import Backplane
from tricast_server.backplane.engines import MEMORY, backplane_of
from tricast_server.bus.tasks import end_task
from tricast_server.cluster.errors import CannotStart
from tricast_server.cluster.signals import Signals
from tricast_server.guard.public import UNGUARDED, is_loopback
from tricast_server.hosting import CannotListen, drained, listening, new_event_loop
from tricast_server.logs import LogFormat, LogLevel
from tricast_server.options import option, settings_of, takes_settings
from tricast_server.settings import Settings
from tricast_server.token_command import token

if TYPE_CHECKING:
    from tricast_server.guard.certificate import Certificate


def register(app: typer.Typer) -> None:
    """Adds the server's commands to `tricast`."""
    app.command()(serve)
    app.command()(token)


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
    tls_cert: Annotated[
        Path | None, option("tls-cert", "Serve https and wss with this certificate, its chain behind it (PEM).")
    ] = None,
    tls_key: Annotated[Path | None, option("tls-key", "Its key (PEM), if that is not in the same file.")] = None,
    tls_self_signed: Annotated[
        bool, option("tls-self-signed", "To try https and wss: a certificate that is made up at each start.")
    ] = False,
    log_format: Annotated[LogFormat, option("log-format", "Lines for people, or a JSON object each.")] = "console",
    log_level: Annotated[LogLevel, option("log-level", "What is told; debug has every connection.")] = "info",
    **values: Any,
) -> None:
    """Serve the bus over WebSocket, Server-Sent Events and long polling.

    Ends on SIGTERM or Ctrl-C after every client that reads has got what was acknowledged; a second one ends at once.
    """
    settings = settings_of(values)
    _check_guarded(host, settings)
    supervised = workers > 1 or data_dir is not None
    if supervised and tls_self_signed:
        raise typer.BadParameter("--tls-self-signed is for one process; several take --tls-cert")
    certificate = _certificate(host, tls_cert, tls_key, tls_self_signed)
    if data_dir is not None and settings.backplane != MEMORY:
        raise typer.BadParameter("--data-dir is for a log of our own, and --backplane names another's")
    try:
        log = backplane_of(settings.backplane, settings)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from None
    logs.configure(log_format, log_level)
    try:
        if supervised:
            log_ = (log_format, log_level)
            tls = None if certificate is None else (str(certificate.cert), str(certificate.key))
            _supervise(host, port, workers, data_dir, settings, tls, log_)
        else:
            with asyncio.Runner(loop_factory=new_event_loop) as runner:
                runner.run(_serve(host, port, settings, log, certificate))
    except CannotListen as error:
        Console(stderr=True, highlight=False).print(
            f"[red]{error}.[/] Is something running there already? --port picks another port."
        )
        raise typer.Exit(1) from None
    except (Unavailable, CannotStart) as error:
        hint = "" if settings.backplane == MEMORY else " Does --backplane say where it is?"
        Console(stderr=True, highlight=False).print("[red]Cannot start:[/]", Text(f"{error}.{hint}"))
        raise typer.Exit(1) from None


def _check_guarded(host: str, settings: Settings) -> None:
    """Says what to do, with exit status 2, where anybody could come in, or nobody, for want of keys."""
    problem = None
    if not (settings.public or settings.wants_tokens or is_loopback(host)):
        problem = f"Not started: {UNGUARDED.format(host=host or 'every address')}"
    elif settings.token_keys is not None:
        from tricast_server.guard import keys  # it takes cryptography along

        try:
            if not keys.is_address(settings.token_keys):
                keys.keys_in(keys.read_file(settings.token_keys))
        except ValueError as error:
            problem = f"Not started: --token-keys {settings.token_keys}: {error}"
    if problem is not None:
        Console(stderr=True, highlight=False, markup=False, soft_wrap=True).print(problem)
        raise typer.Exit(2)


def _certificate(host: str, cert: Path | None, key: Path | None, made_up: bool) -> Certificate | None:
    """Raises typer.BadParameter."""
    if cert is None and not made_up:
        if key is not None:
            raise typer.BadParameter("--tls-key needs --tls-cert")
        return None
    from tricast_server.guard import certificate  # it takes cryptography along

    if cert is None:
        return certificate.self_signed(host)
    if made_up:
        raise typer.BadParameter("either --tls-cert or --tls-self-signed")
    try:
        return certificate.Certificate.read(cert, key)
    except certificate.CertificateError as error:
        raise typer.BadParameter(str(error)) from None


async def _renewals(wanted: asyncio.Event, certificate: Certificate | None) -> None:
    """At each SIGHUP. Without a certificate that must not end the process, either, as it would by default."""
    while True:
        await wanted.wait()
        wanted.clear()
        _reload(certificate)


def _reload(certificate: Certificate | None) -> None:
    if certificate is None or certificate.cert is None:
        logging.info("SIGHUP: there is no certificate to read anew; other settings want a restart")
        return
    try:
        certificate.reload()
    except ValueError as error:
        logging.warning("SIGHUP: the certificate stays as it was: %s", error)  # those who are connected did nothing
    else:
        logging.info("SIGHUP: the certificate was read anew")


def _supervise(
    host: str,
    port: int,
    workers: int,
    data_dir: Path | None,
    settings: Settings,
    tls: tuple[str, str] | None,
    log: tuple[LogFormat, LogLevel],
) -> None:
    from tricast_server.cluster.supervisor import Plan, Supervisor  # POSIX only

    own = settings.backplane == MEMORY
    plan = Plan(
        host=host,
        port=port,
        workers=workers,
        settings=settings,
        own_engine=own,
        data_dir=data_dir,
        tls=tls,
        log=log,
    )
    asyncio.run(Supervisor(plan).run())


async def _serve(host: str, port: int, settings: Settings, log: Backplane, certificate: Certificate | None) -> None:
    app = web.Application()
    service = setup(app, "", settings=settings, backplane=log)
    tls = None if certificate is None else certificate.context
    async with listening(app, host, port, service=service, tls=tls) as listener:
        signals = Signals()
        renewals = asyncio.create_task(_renewals(signals.renew, certificate))
        logging.info("tricast serves on %s (Ctrl-C ends it)", listener.url)
        try:
            await signals.stop.wait()
        finally:
            await end_task(renewals)
        await listener.close()
        logging.info("draining: clients get the rest and a bye, %g s at most", settings.drain_timeout)
        await drained(service, signals.hurry)
