"""`python -m tricast_bench.fallback`: what the client makes of bad networks, with its default times.

A server in a process of its own, behind a middlebox; the client in this process. What is lost, doubled or out of
order is counted by reading consecutive numbers.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path
from statistics import median
from typing import Annotated

import typer
from rich.console import Console

from tricast_bench.document import around, markdown, write
from tricast_bench.environment import environment
from tricast_bench.fallback.beside import ROUNDS, SECTION, account, beside, table
from tricast_bench.fallback.trials import (
    CONNECTS,
    First,
    Row,
    blackhole,
    faults_in_turn,
    first,
    flapping,
    outage,
    to_and_fro,
)
from tricast_bench.servers import Unusable

SOME = 5
CLIENTS = 50
CUT = 10.0
CONNECT_HEAD = ("network", "goes on", "median, ms", "slowest, ms", "sending")
err = Console(highlight=False, stderr=True)


def main(
    rounds: Annotated[
        int | None, typer.Option(min=1, help=f"Connects per fault; if not given {SOME}, and {ROUNDS} with --peers.")
    ] = None,
    faults: Annotated[int, typer.Option("--switches", min=0, help="Faults in mid-stream; 0: leave them out.")] = 50,
    seed: Annotated[int, typer.Option(help="Makes the faults in mid-stream repeat.")] = 1,
    down: Annotated[float, typer.Option(min=0, help="Seconds that the server is away; 0: leave it out.")] = 20.0,
    heartbeat: Annotated[float, typer.Option(min=0, help="Seconds, for the black hole; 0: leave it out.")] = 15.0,
    watch: Annotated[
        float, typer.Option(min=0, help="Seconds to watch WebSockets being cut; 0: leave it out.")
    ] = 150.0,
    peers: Annotated[
        bool, typer.Option("--peers", help="Time to the first message beside other clients, and nothing else.")
    ] = False,
    write_to: Annotated[
        Path | None, typer.Option("--write", help="With --peers: put the table between the marks of this document.")
    ] = None,
    raw: Annotated[Path | None, typer.Option("--json", help="Write all samples to this file.")] = None,
) -> None:
    """Measure the fallback: time to the first message under each fault, faults in mid-stream, outage, silence, cuts."""
    try:
        if peers:
            _beside(rounds or ROUNDS, write_to, raw)
            return
        firsts, trials = asyncio.run(_run(rounds or SOME, faults, seed, down, heartbeat, watch))
    except Unusable as error:
        err.print(f"[red]{error}[/]")
        raise typer.Exit(1) from None
    print(markdown(CONNECT_HEAD, _connect_rows(firsts)))
    for name, row in trials.items():
        print(f"\n{name}:\n\n{markdown([*row], [[str(value) for value in row.values()]])}")
    if raw is not None:
        found = {"environment": environment(), "connects": [asdict(item) for item in firsts], "trials": trials}
        raw.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")


def _beside(rounds: int, document: Path | None, raw: Path | None) -> None:
    if document is not None:
        around(document, SECTION)  # says in time, not after ten minutes, that it has no place for the table
    with err.status("") as status:
        connects = asyncio.run(beside(rounds, status.update))
    text = f"{table(connects)}\n\n{account(connects)}"
    print(text)
    if raw is not None:
        found = {"environment": environment(), "connects": [asdict(item) for item in connects]}
        raw.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    if document is not None:
        write(document, SECTION, text)


async def _run(
    rounds: int, faults: int, seed: int, down: float, heartbeat: float, watch: float
) -> tuple[list[First], dict[str, Row]]:
    firsts: list[First] = []
    trials: dict[str, Row] = {}
    with err.status("") as status:
        for name, fault in CONNECTS.items():
            for _ in range(rounds):
                status.update(f"connecting: {name}")
                firsts.append(await first(name, fault))
        if faults:
            trials["Faults in mid-stream"] = await faults_in_turn(faults, seed, status.update)
            trials["To and fro"] = await to_and_fro(faults, seed, status.update)
        if down:
            status.update(f"server away for {down:g} s")
            trials["Server away"] = await outage(down, CLIENTS)
        if heartbeat:
            status.update("black hole")
            trials["Black hole"] = await blackhole(heartbeat)
        if watch:
            trials["WebSocket cut again and again"] = await flapping(CUT, watch, status.update)
    return firsts, trials


def _connect_rows(firsts: list[First]) -> Iterable[list[str]]:
    for name in dict.fromkeys(item.name for item in firsts):
        these = [item for item in firsts if item.name == name]
        took = [1000 * item.took for item in these]
        on = ", ".join(dict.fromkeys(item.transport for item in these))
        uplink = ", ".join(dict.fromkeys(item.uplink for item in these))
        yield [name, on, f"{median(took):.0f}", f"{max(took):.0f}", uplink]


if __name__ == "__main__":
    typer.run(main)
