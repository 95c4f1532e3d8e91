"""What the benchmarks add to the `tricast` command."""

from __future__ import annotations

import asyncio
import signal
from typing import Annotated

import typer
from rich.console import Console

from tricast_bench.bench.command import bench
from tricast_bench.middlebox import PRESETS, Control, Middlebox

out = Console(highlight=False, soft_wrap=True)
err = Console(highlight=False, soft_wrap=True, stderr=True)


def register(app: typer.Typer) -> None:
    """Adds the benchmarks' commands to `tricast`."""
    app.command()(demo)
    app.add_typer(bench)
    app.command(epilog=_presets_for_help())(middlebox)


def demo(
    port: Annotated[int, typer.Option(metavar="PORT", min=1, max=65535, help="Where the pages are.")] = 8080,
    bus_port: Annotated[
        int, typer.Option(metavar="PORT", min=0, max=65535, help="Where the pages find the bus: the middlebox.")
    ] = 8081,
    control_port: Annotated[
        int, typer.Option(metavar="PORT", min=0, max=65535, help="Where they switch its faults.")
    ] = 8082,
) -> None:
    """Serve the pages with a network that can be broken: the server, a middlebox before it, and buttons for its faults.

    Everything listens on 127.0.0.1 only. Use `tricast serve` to serve others.
    """
    # The server's packages are wanted by this command only.
    from tricast_bench.demo import Ports, run_demo

    try:
        asyncio.run(run_demo(Ports(page=port, bus=bus_port, control=control_port), out.print))
    except OSError as error:
        hint = "--port, --bus-port and --control-port pick other ports (make run: PORT=, BUS_PORT=, CONTROL_PORT=)."
        err.print(f"[red]{error.strerror or error}.[/] {hint}")
        raise typer.Exit(1) from None


def middlebox(
    listen: Annotated[str, typer.Option(metavar="HOST:PORT", help="Where clients connect.")] = "127.0.0.1:8081",
    upstream: Annotated[str, typer.Option(metavar="URL", help="The server behind it.")] = "http://127.0.0.1:8080",
    control: Annotated[
        int, typer.Option(metavar="PORT", min=0, max=65535, help="Port of the control API, on 127.0.0.1; 0 for any.")
    ] = 8082,
    preset: Annotated[str, typer.Option(metavar="NAME", help="What to imitate at first.")] = "clean",
    public: Annotated[bool, typer.Option("--public", help="Let other machines reach --listen.")] = False,
    seed: Annotated[int, typer.Option(help="Makes the jitter repeat.")] = 0,
    list_presets: Annotated[bool, typer.Option("--list-presets", help="Print the presets, and end.")] = False,
) -> None:
    """Put a misbehaving proxy before a server, to see what clients make of it.

    Its faults are switched while traffic flows: GET / of the control API says what there is; PUT, PATCH or DELETE
    /faults, POST /presets/NAME and POST /cut?kind=ws change it.
    """
    if list_presets:
        out.print(_presets_for_help().partition("\n")[2])
        return
    if preset not in PRESETS:
        raise typer.BadParameter(f"no such preset: {preset}; --list-presets prints those there are")
    try:
        box = Middlebox(
            upstream=upstream, listen=_address(listen), faults=PRESETS[preset].faults, public=public, seed=seed
        )
    except ValueError as error:
        raise typer.BadParameter(str(error).replace("(public)", "with --public")) from None
    try:
        asyncio.run(_run(box, control))
    except OSError as error:
        err.print(f"[red]Cannot listen[/] on {listen} or on port {control}: {error.strerror or error}")
        raise typer.Exit(1) from None


async def _run(box: Middlebox, port: int) -> None:
    async with box, Control(box, port) as control:
        stop = asyncio.Event()
        for number in (signal.SIGINT, signal.SIGTERM):
            asyncio.get_running_loop().add_signal_handler(number, stop.set)
        out.print(f"{box.url} passes to {box.upstream}; control at {control.url} (Ctrl-C ends it)")
        await stop.wait()


def _address(text: str) -> tuple[str, int]:
    host, _, port = text.rpartition(":")
    if not (host and port.isascii() and port.isdigit() and int(port) < 65536):
        raise ValueError(f"--listen takes HOST:PORT, not {text}")
    return host.strip("[]"), int(port)


def _presets_for_help() -> str:
    width = max(map(len, PRESETS))
    return "\n".join(["Presets:", *(f"  [bold]{name:{width}}[/]  {preset.about}" for name, preset in PRESETS.items())])
