"""`python -m tricast_bench.peers`: the same loads on tricast and on other servers, in one run, in turn."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any, TypeVar

import typer
from rich.console import Console

from tricast_bench.document import write
from tricast_bench.peers import markdown, registry, workloads
from tricast_bench.peers.goals import as_table, check
from tricast_bench.peers.measure import Measured, Plan, measure
from tricast_bench.peers.peer import Peer
from tricast_bench.peers.program import about, keep, start
from tricast_bench.peers.report import notes, tables
from tricast_bench.peers.workloads import Workload
from tricast_bench.servers import Cores, Unusable

WARM_UP, QUICK_WARM_UP = 0.4, 0.2
Choice = TypeVar("Choice", Peer, Workload)


def bench(
    quick: Annotated[bool, typer.Option("--quick", help="Two short rounds of a few loads: about 6 minutes.")] = False,
    rounds: Annotated[int | None, typer.Option(help="Times that each is measured. [default: 5]", min=1)] = None,
    seconds: Annotated[
        float | None, typer.Option(help="Length of one sample. [default: 1.6]", min=0.2, max=5.0)
    ] = None,
    only: Annotated[list[str] | None, typer.Option(help="A server to measure; may be given again.")] = None,
    workload: Annotated[list[str] | None, typer.Option(help="A load to measure; may be given again.")] = None,
    json_file: Annotated[
        Path | None, typer.Option("--json", help="Write every sample and the environment here, after each round.")
    ] = None,
    list_only: Annotated[bool, typer.Option("--list", help="Show the servers and loads there are, and end.")] = False,
    goals_file: Annotated[
        Path | None, typer.Option("--goals", help="Show what --json wrote before, check the goals, and end.")
    ] = None,
    write_to: Annotated[
        Path | None, typer.Option("--write", help="With --goals: put the tables between the marks of this document.")
    ] = None,
) -> None:
    """What one delivery costs on tricast, beside other servers and the least that is possible.

    Each server runs on one core, freshly started for each sample, the load on
    another; in each round all servers take their turn with a load before the
    next one comes. CPU is that of the server's processes, by the kernel's
    accounting, divided by the messages counted at the subscribers' sockets.
    Latency is from when a publish was due. The load reads what comes at once,
    so a server pays for waking it, and repeats a poll as soon as it is answered.
    All of it takes an hour and a half. Needs Linux, two cores and gcc; close
    other programs first.
    """
    console = Console()
    if goals_file is not None:
        raw = json.loads(goals_file.read_text(encoding="utf-8"))
        samples = [Measured(**sample) for sample in raw["samples"]]
        _show(console, samples, {})
        if write_to is not None:
            write(write_to, markdown.SECTION, markdown.text(raw, samples, registry.TRICAST.name))
        return
    peers = _chosen(registry.BY_NAME, only, "--only")
    loads = _chosen(workloads.BY_NAME, workload or (workloads.QUICK if quick else None), "--workload")
    reasons = {peer.name: reason for peer in peers if (reason := peer.needs()) is not None}
    if list_only:
        _list(console, peers, reasons, loads)
        return
    plan = Plan(
        rounds=rounds or (2 if quick else 5),
        seconds=seconds or (0.7 if quick else 1.6),
        warm_up=QUICK_WARM_UP if quick else WARM_UP,
        peers=tuple(peer for peer in peers if peer.name not in reasons),
        workloads=tuple(loads),
    )
    if not plan.samples:
        console.print("[red]Cannot measure:[/] none of these servers is installed, or takes any of these loads")
        raise typer.Exit(1)
    _run(console, plan, reasons, json_file)


def _run(console: Console, plan: Plan, left_out: dict[str, str], json_file: Path | None) -> None:
    """What was measured is shown and kept, also where it was interrupted."""
    raw: dict[str, Any] = {
        **about("peers"),
        "plan": {"rounds": plan.rounds, "seconds": plan.seconds, "warm_up": plan.warm_up},
        "workloads": [asdict(workload) for workload in plan.workloads],
        "versions": {peer.name: peer.version() for peer in plan.peers},
        "said": {peer.name: peer.said for peer in plan.peers if peer.said},
        "left_out": left_out,
    }
    samples: list[Measured] = []
    try:
        cores = Cores.choose()
        raw["pinned"] = asdict(cores)
        _introduce(console, plan, raw, left_out)
        for sample in measure(plan, cores):
            if samples and sample.round != samples[-1].round:
                keep(raw, samples, json_file)
            samples.append(sample)
            _progress(console, plan, samples)
    except Unusable as error:
        console.print(f"[red]Cannot measure:[/] {error}", highlight=False)
        raise typer.Exit(1) from None
    except KeyboardInterrupt:
        console.print("[yellow]Interrupted:[/] this is what was measured until now")
        raise typer.Exit(130) from None
    finally:
        keep(raw, samples, json_file)
        _show(console, samples, left_out)
        if json_file is not None:
            console.print(f"raw data: {json_file}", style="dim", highlight=False)


def _introduce(console: Console, plan: Plan, raw: dict[str, Any], left_out: dict[str, str]) -> None:
    where, pinned = raw["environment"], raw["pinned"]
    console.print(
        f"{plan.samples} samples: {len(plan.peers)} servers, {len(plan.workloads)} loads, {plan.rounds} rounds of "
        f"{plan.seconds:g} s each; server on core {pinned['server']}, load on core {pinned['generator']}\n"
        f"{where['python']}, {where['kernel']}, {where['cpu']}\n"
        "each sample: server CPU per delivery, deliveries, p99 from when a publish was due, share of the load's core",
        highlight=False,
    )
    for name, reason in left_out.items():
        console.print(f"[yellow]not measured:[/] {name}, as {reason}", highlight=False)


def _progress(console: Console, plan: Plan, samples: Sequence[Measured]) -> None:
    sample = samples[-1]
    said = f"[dim]{len(samples)}/{plan.samples}[/] {sample.workload:10} {sample.peer:15}"
    if sample.failed:
        said += f"[red]failed:[/] {sample.failed[:200]}"
    elif sample.kib_per_connection is not None:
        said += f"{sample.kib_per_connection:8.1f} KiB a connection"
    elif sample.us_per_delivery is not None:
        said += (
            f"{sample.us_per_delivery:7.2f} µs {sample.deliveries_per_second or 0:9,.0f}/s "
            f"{sample.p99 or 0:7.1f} ms [dim]{sample.generator_share or 0:4.0%}[/]"
        )
        said += "" if sample.complete else " [yellow]not everything delivered[/]"
        said += " [red]void[/]" if sample.void else ""
    console.print(said, highlight=False, soft_wrap=True)


def _show(console: Console, samples: Sequence[Measured], left_out: dict[str, str]) -> None:
    if not samples:
        return
    console.print()
    for table in tables(samples, registry.TRICAST.name):
        console.print(table)
    for note in notes(samples, left_out):
        console.print(note, highlight=False, markup=False)
    console.print("median of the rounds; × is the median of the ratios to tricast within a round", style="dim")
    console.print(as_table(check(samples)))


def _list(console: Console, peers: Sequence[Peer], reasons: dict[str, str], loads: Sequence[Workload]) -> None:
    for peer in peers:
        reason = reasons.get(peer.name)
        state = f"[yellow]not installed:[/] {reason}" if reason else peer.version()
        console.print(f"{peer.name:16} {state}", highlight=False, soft_wrap=True)
        if peer.said:
            console.print(f"{'':16} {peer.said}", style="dim", highlight=False, soft_wrap=True)
    console.print()
    for workload in loads:
        console.print(
            f"{workload.name:16} {workload.title}: {workload.connections} connections, {workload.payload} bytes",
            highlight=False,
        )


def _chosen(known: dict[str, Choice], names: Sequence[str] | None, option: str) -> list[Choice]:
    unknown = set(names or ()) - known.keys()
    if unknown:
        raise typer.BadParameter(f"{option} is one of {', '.join(known)}, not {', '.join(sorted(unknown))}")
    return [thing for name, thing in known.items() if not names or name in names]


def main() -> None:
    start(bench)


if __name__ == "__main__":
    main()
