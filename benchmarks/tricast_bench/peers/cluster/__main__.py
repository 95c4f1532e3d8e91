"""`python -m tricast_bench.peers.cluster`: what several workers on one log cost, with each engine."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from tricast_bench import document
from tricast_bench.peers.cluster.cases import CASES, LOADS
from tricast_bench.peers.cluster.doc import section
from tricast_bench.peers.cluster.measure import Sample, measure
from tricast_bench.peers.compiled import compiler_missing
from tricast_bench.peers.program import about, keep, start
from tricast_bench.servers import Cores, Unusable

SECTION = "cluster"


def bench(
    rounds: Annotated[int, typer.Option(help="Times that each is measured.", min=1)] = 5,
    seconds: Annotated[float, typer.Option(help="Length of one sample.", min=0.2, max=10)] = 1.0,
    only: Annotated[
        list[str] | None, typer.Option(help=f"One of {', '.join(c.name for c in CASES)}; may be given again.")
    ] = None,
    load: Annotated[
        list[str] | None, typer.Option(help=f"One of {', '.join(one.name for one in LOADS)}; may be given again.")
    ] = None,
    json_file: Annotated[
        Path | None, typer.Option("--json", help="Write every sample and the environment here, after each.")
    ] = None,
    from_file: Annotated[
        Path | None, typer.Option("--from", help="Measure nothing: take the samples of such a file.")
    ] = None,
    write: Annotated[
        Path | None, typer.Option(help=f"Put the table between the {SECTION} marks of this document.")
    ] = None,
) -> None:
    """What it costs that several processes share one log.

    Fan-out, ingest and latency with the log in memory, in an embedded NATS and
    in Redis, with one worker and two. Takes six minutes. Needs Linux, two
    cores, gcc and redis-server; close other programs first.
    """
    console = Console()
    if from_file is not None:
        raw = json.loads(from_file.read_text(encoding="utf-8"))
        samples = [Sample(**sample) for sample in raw["samples"]]
    else:
        if (missing := compiler_missing()) is not None:
            console.print(f"[red]Cannot measure:[/] {missing}")
            raise typer.Exit(1)
        raw, samples = _run(console, only or [], load or [], rounds, seconds, json_file)
    text = section(raw, samples)
    if write is None:
        console.print(text, highlight=False, markup=False, soft_wrap=True)
        return
    try:
        document.write(write.resolve(), SECTION, text)
    except (OSError, Unusable) as error:
        console.print(f"[red]Not written:[/] {error}", highlight=False)
        raise typer.Exit(1) from None
    console.print(f"written: {write}", highlight=False)


def _run(
    console: Console, only: list[str], load: list[str], rounds: int, seconds: float, json_file: Path | None
) -> tuple[dict[str, Any], list[Sample]]:
    cases = [case for case in CASES if not only or case.name in only]
    loads = [one for one in LOADS if not load or one.name in load]
    if not cases or not loads:
        raise typer.BadParameter("--only and --load leave nothing to measure")
    raw: dict[str, Any] = {**about("cluster"), "rounds": rounds, "seconds": seconds}
    samples: list[Sample] = []
    began, count = time.monotonic(), rounds * len(cases) * len(loads)
    try:
        for sample in measure(cases, loads, rounds, seconds, Cores.choose()):
            samples.append(sample)
            said = f"[dim]{len(samples)}/{count} {time.monotonic() - began:4.0f} s[/] {sample.load:9} {sample.case:8} "
            if sample.failed:
                said += f"[red]failed:[/] {' '.join(sample.failed.split())[:200]}"
            else:
                said += f"p50 {sample.p50:6.2f} ms, {sample.published_per_second:8,.0f} publishes/s, "
                said += f"{sample.delivered_per_second:10,.0f} deliveries/s, "
                said += f"CPU {sample.node_us:6.0f} + {sample.engine_us:4.0f} µs"
                said += "" if sample.complete else " [yellow]not everything delivered[/]"
                said += " [red]void[/]" if sample.void else ""
            console.print(said, highlight=False, soft_wrap=True)
            keep(raw, samples, json_file)
    except Unusable as error:
        console.print(f"[red]Cannot measure:[/] {error}", highlight=False)
        raise typer.Exit(1) from None
    except KeyboardInterrupt:
        console.print("[yellow]Interrupted[/]")
        raise typer.Exit(130) from None
    return raw, samples


def main() -> None:
    start(bench)


if __name__ == "__main__":
    main()
