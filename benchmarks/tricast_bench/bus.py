"""`python -m tricast_bench.bus`: what one delivery costs on the bus, beside the loops that one writes first.

Each server runs in its own process on one core, the load on another. In each round every load is put on one server,
then on the other, so that a host which changes its speed changes it for both.
"""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import signal
import sys
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from tricast_bench.environment import environment
from tricast_bench.generator import Generator, Load, Payload, Publisher, Sample, Subscribers
from tricast_bench.servers import Cores, Peer, Server, Unusable, allow_files, program, running
from tricast_bench.table import CPU, MOST, Measured, compare, notes
from tricast_bench.wire import open_streams, open_websockets

TOPIC = "bench"
TRANSPORTS = ("ws", "sse")
WARM_UP = 0.3
ATTEMPTS = 2
WAITING_MAX = 32
"""Publishes that may wait for an answer at a fixed rate, so that a server which cannot keep up comes to an end."""


def _tricast(port: int) -> list[str]:
    return [program("tricast"), "serve", "--port", str(port)]


def _naive(port: int) -> list[str]:
    return [sys.executable, "-m", "tricast_bench.peers.naive", "--port", str(port)]


TRICAST = Peer(
    "tricast",
    _tricast,
    {
        "ws": f"/ws?topics={TOPIC}",
        "sse": f"/sse?topics={TOPIC}",
        "publish": f"/ws?topics=_inbox.{secrets.token_hex(16)}",  # hears nothing of what it publishes
    },
)
NAIVE = Peer("naive", _naive, {"ws": "/ws", "sse": "/sse", "publish": "/publish"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What to measure. `seconds` is one sample, `warm_up` before each is dropped."""

    rounds: int
    seconds: float
    warm_up: float
    subscribers: int
    payload: int
    transports: tuple[str, ...]
    loads: tuple[Load, ...]


@dataclass(frozen=True, slots=True)
class _Contestant:
    server: Server
    subscribers: Subscribers
    publisher: Publisher


def measure(plan: Plan, cores: Cores) -> Iterator[Measured]:
    """Each sample as it is taken. Pins this process. Raises Unusable."""
    allow_files(3 * plan.subscribers + 200)
    os.sched_setaffinity(0, {cores.generator})
    for number in range(1, plan.rounds + 1):
        for transport in plan.transports:
            with contextlib.ExitStack() as stack:
                servers = [stack.enter_context(running(peer, cores.server)) for peer in (TRICAST, NAIVE)]
                generator = stack.enter_context(Generator(Payload(plan.payload)))
                contestants = [_connect(generator, server, transport, plan) for server in servers]
                if number % 2 == 0:
                    contestants.reverse()
                for load in plan.loads:
                    for c in contestants:
                        yield Measured(number, transport, c.server.peer.name, load, _sample(generator, c, load, plan))


def _sample(generator: Generator, c: _Contestant, load: Load, plan: Plan) -> Sample:
    """Taken again where other processes disturbed it."""
    for _ in range(ATTEMPTS):
        generator.run(c.publisher, c.subscribers, load, plan.warm_up, c.server)
        sample = generator.run(c.publisher, c.subscribers, load, plan.seconds, c.server)
        if not sample.disturbed:
            break
    return sample


def _connect(generator: Generator, server: Server, transport: str, plan: Plan) -> _Contestant:
    paths = server.peer.paths
    opening = open_websockets if transport == "ws" else open_streams
    subscribers = Subscribers(opening(server.port, paths[transport], plan.subscribers), pongs=transport == "ws")
    [connection] = open_websockets(server.port, paths["publish"], 1)
    publisher = Publisher(connection, TOPIC, generator.payload)
    generator.add(publisher, subscribers)
    generator.prime(publisher, subscribers)
    return _Contestant(server, subscribers, publisher)


def _progress(console: Console, plan: Plan, measured: Measured) -> None:
    sample = measured.sample
    console.print(
        f"[dim]{measured.round}/{plan.rounds}[/] {measured.transport:3} {measured.load!s:12} "
        f"{measured.server:7} {sample.cpu_per_delivery:6.2f} µs {sample.deliveries_per_second:10,.0f}/s"
        f"  [dim]generator {sample.generator_share:3.0%}[/]" + (" [red]void[/]" if sample.void else ""),
        highlight=False,
    )


def bench(
    quick: Annotated[bool, typer.Option("--quick", help="About 45 s: two short rounds.")] = False,
    full: Annotated[bool, typer.Option("--full", help="400 messages a second too.")] = False,
    rounds: Annotated[int | None, typer.Option(help="Times that each is measured. [default: 5]", min=1)] = None,
    seconds: Annotated[
        float | None, typer.Option(help="Length of one sample. [default: 1.6]", min=0.2, max=5.0)
    ] = None,
    subscribers: Annotated[int, typer.Option(help="Connections that get every message.", min=1, max=5000)] = 500,
    payload: Annotated[int, typer.Option(help="Bytes of data in a message.", min=16, max=8192)] = 128,
    transport: Annotated[list[str] | None, typer.Option(help="ws or sse; give it twice for both, the default.")] = None,
    json_file: Annotated[
        Path | None, typer.Option("--json", help="Write every sample and the environment here.")
    ] = None,
) -> None:
    """What one delivery costs: tricast beside a send per client and message.

    The others are the loops that one writes first, over aiohttp's `send_str`
    and aiohttp-sse's `send`. CPU is that of the server's process, by the
    kernel's accounting, divided by the messages counted at the subscribers'
    sockets; what it takes when idle is not subtracted. Publishes come over one
    WebSocket; "in flight" says how many of them wait for an answer at most.
    Needs Linux and two cores; close other programs first.
    """
    console = Console()
    transports = tuple(transport or TRANSPORTS)
    if not set(transports) <= set(TRANSPORTS):
        raise typer.BadParameter(f"--transport is {' or '.join(TRANSPORTS)}")
    rates = (20.0, 100.0, 400.0) if full else (20.0, 100.0)
    plan = Plan(
        rounds=rounds or (2 if quick else 5),
        seconds=seconds or (0.7 if quick else 1.6),
        warm_up=WARM_UP,
        subscribers=subscribers,
        payload=payload,
        transports=transports,
        loads=(*(Load(rate, WAITING_MAX) for rate in rates), *(Load(None, window) for window in (1, 8, 32))),
    )
    raw: dict[str, Any] = {
        "benchmark": "bus",
        "started": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "command": sys.argv,
        "environment": environment(),
        "plan": asdict(plan),
    }
    measured: list[Measured] = []
    try:
        cores = Cores.choose()
        raw["pinned"] = asdict(cores)
        _say_what(console, plan, raw["environment"], cores)
        for one in measure(plan, cores):
            measured.append(one)
            _progress(console, plan, one)
    except Unusable as error:
        console.print(f"[red]Cannot measure:[/] {error}", highlight=False)
        raise typer.Exit(1) from None
    console.print()
    for quantity, part in (
        (CPU, [one for one in measured if one.load.rate is not None]),
        (MOST, [one for one in measured if one.load.rate is None]),
    ):
        console.print(compare(part, quantity, TRICAST.name, NAIVE.name))
    for note in notes(measured):
        console.print(note, highlight=False)
    console.print(
        f"median (min–max) of {plan.rounds} rounds; ratios are of samples taken in the same round", style="dim"
    )
    if json_file is not None:
        raw["samples"] = [one.as_json() for one in measured]
        json_file.write_text(json.dumps(raw, indent=1) + "\n", encoding="utf-8")
        console.print(f"raw data: {json_file}", style="dim", highlight=False)


def _say_what(console: Console, plan: Plan, where: dict[str, Any], cores: Cores) -> None:
    console.print(
        f"{plan.subscribers} subscribers, {plan.payload} bytes of data; {plan.rounds} rounds of {plan.seconds:g} s "
        f"for each; server on core {cores.server}, load on core {cores.generator}\n"
        f"{where['python']}, aiohttp {where['packages']['aiohttp']}, {where['kernel']}, {where['cpu']}",
        highlight=False,
    )


def main() -> None:
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that the servers are stopped
    typer.run(bench)


if __name__ == "__main__":
    main()
