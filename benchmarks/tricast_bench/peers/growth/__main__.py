"""`python -m tricast_bench.peers.growth`: how tricast's own cost grows with subscribers, topics, messages and sizes."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from tricast_bench.peers.compiled import CHECKOUT, compiler_missing
from tricast_bench.peers.growth.doc import section, write
from tricast_bench.peers.growth.measure import Rounds, Sample, measure
from tricast_bench.peers.growth.points import FULL, QUICK, SWEEPS, Point, points
from tricast_bench.peers.program import about, keep, start
from tricast_bench.servers import Cores, Unusable

UNITS = {
    "us_per_delivery": "µs a delivery",
    "us_catch_up": "µs a message to catch up",
    "us_per_connection": "µs a connect",
    "kib_per_connection": "KiB a connection",
}


def bench(
    quick: Annotated[bool, typer.Option("--quick", help="One short round of smaller sweeps: two minutes.")] = False,
    rounds: Annotated[int | None, typer.Option(help="Times that each is measured. [default: 3]", min=1)] = None,
    sweep: Annotated[
        list[str] | None, typer.Option(help=f"One of {', '.join(SWEEPS)}; may be given again. [default: all]")
    ] = None,
    json_file: Annotated[
        Path | None, typer.Option("--json", help="Write every sample and the environment here, after each.")
    ] = None,
    from_file: Annotated[
        Path | None, typer.Option("--from", help="Measure nothing: write the documentation from such a file.")
    ] = None,
    docs: Annotated[Path, typer.Option(help="Where performance.md and images/growth.svg are written.")] = CHECKOUT
    / "docs",
) -> None:
    """How the server's cost for a delivery grows with all that may grow.

    The points of a sweep take turns, each on a fresh server on one core, the
    load on another. After a full run, of all sweeps, the section between the
    marks of performance.md and its picture are written; after others only with
    --from. Needs Linux, two cores and gcc; close other programs first.
    """
    console = Console()
    if from_file is not None:
        raw = json.loads(from_file.read_text(encoding="utf-8"))
        _write(console, docs, raw, [Sample(**sample) for sample in raw["samples"]])
        return
    unknown = set(sweep or ()) - set(SWEEPS)
    if unknown:
        raise typer.BadParameter(f"--sweep is one of {', '.join(SWEEPS)}, not {', '.join(sorted(unknown))}")
    if (missing := compiler_missing()) is not None:
        console.print(f"[red]Cannot measure:[/] {missing}")
        raise typer.Exit(1)
    chosen = [point for point in points(QUICK if quick else FULL) if not sweep or point.sweep in sweep]
    timing = Rounds(rounds=rounds or (1 if quick else 3), seconds=0.6 if quick else 1.0, warm_up=0.3)
    raw, samples = _run(console, chosen, timing, json_file)
    if quick or sweep:
        console.print(section(raw, samples), highlight=False, markup=False, soft_wrap=True)
    else:
        _write(console, docs, raw, samples)


def _run(
    console: Console, chosen: Sequence[Point], timing: Rounds, json_file: Path | None
) -> tuple[dict[str, Any], list[Sample]]:
    raw: dict[str, Any] = {
        **about("growth"),
        "rounds": asdict(timing),
    }
    samples: list[Sample] = []
    began, done, count = time.monotonic(), 0, sum(1 if point.once else timing.rounds for point in chosen)
    try:
        cores = Cores.choose()
        raw["pinned"] = asdict(cores)
        for found in measure(chosen, timing, cores):
            done += 1
            samples += found
            for sample in found:
                _progress(console, f"{done}/{count} {time.monotonic() - began:4.0f} s", sample)
            keep(raw, samples, json_file)
    except Unusable as error:
        console.print(f"[red]Cannot measure:[/] {error}", highlight=False)
        raise typer.Exit(1) from None
    except KeyboardInterrupt:
        console.print("[yellow]Interrupted:[/] nothing is written to the documentation")
        raise typer.Exit(130) from None
    finally:
        keep(raw, samples, json_file)
    return raw, samples


def _progress(console: Console, where: str, sample: Sample) -> None:
    said = f"[dim]{where}[/] {sample.sweep:11} {sample.series:6} {sample.x:7,.0f} "
    if sample.failed:
        said += f"[red]failed:[/] {' '.join(sample.failed.split())[:200]}"
    elif sample.value is not None:
        said += f"{sample.value:8.2f} {UNITS[sample.metric]}"
        share = (sample.raw or {}).get("server_share")
        said += f" [dim]server {share:.0%}[/]" if share is not None else ""
        said += "" if sample.complete else " [yellow]not everything delivered[/]"
        said += " [red]void[/]" if sample.void else ""
    console.print(said, highlight=False, soft_wrap=True)


def _write(console: Console, docs: Path, raw: dict[str, Any], samples: Sequence[Sample]) -> None:
    try:
        written = write(docs, raw, samples)
    except (OSError, Unusable) as error:
        console.print(f"[red]Not written:[/] {error}", highlight=False)
        raise typer.Exit(1) from None
    console.print(f"written: {', '.join(str(path) for path in written)}", highlight=False)


def main() -> None:
    start(bench)


if __name__ == "__main__":
    main()
