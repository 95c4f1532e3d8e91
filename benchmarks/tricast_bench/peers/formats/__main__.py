"""`python -m tricast_bench.peers.formats`: what a message costs in each format, plain and compressed."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from tricast_bench import document
from tricast_bench.peers.compiled import compiler_missing
from tricast_bench.peers.formats import decoding, sizes
from tricast_bench.peers.formats.cases import CARRIED, READERS, SIZES, Case, cases
from tricast_bench.peers.formats.doc import section
from tricast_bench.peers.formats.measure import Sample, measure
from tricast_bench.peers.program import about, keep, start
from tricast_bench.servers import Cores, Unusable

MEASURED, LENGTHS, READING = "formats", "sizes", "decoding"
"""Marks of a document."""


def bench(
    rounds: Annotated[int, typer.Option(help="Times that each is measured.", min=1)] = 3,
    seconds: Annotated[float, typer.Option(help="Length of one sample.", min=0.2, max=10)] = 0.8,
    readers: Annotated[
        list[str] | None, typer.Option(help=f"One of {', '.join(r.name for r in READERS)}; may be given again.")
    ] = None,
    content: Annotated[list[str] | None, typer.Option(help=f"One of {', '.join(CARRIED)}; may be given again.")] = None,
    size: Annotated[
        list[int] | None, typer.Option(help=f"One of {', '.join(map(str, SIZES))}; may be given again.")
    ] = None,
    only_sizes: Annotated[bool, typer.Option("--sizes", help="Measure nothing: only how long messages are.")] = False,
    json_file: Annotated[
        Path | None, typer.Option("--json", help="Write every sample and the environment here, after each.")
    ] = None,
    from_file: Annotated[
        Path | None, typer.Option("--from", help="Measure nothing: take the samples of such a file.")
    ] = None,
    write: Annotated[
        Path | None,
        typer.Option(help=f"Put the tables between the marks of this document: {LENGTHS}, {READING}, {MEASURED}."),
    ] = None,
) -> None:
    """What a message costs in each format, plain and compressed: CPU, bytes and latency, and how long it is.

    Over WebSocket, SSE and long poll, with texts and with bytes of three
    sizes. Takes seven minutes. Needs Linux, two cores and gcc; close other
    programs first.
    """
    console = Console()
    texts = {LENGTHS: sizes.section()}
    if from_file is not None:
        raw = json.loads(from_file.read_text(encoding="utf-8"))
        texts[MEASURED] = section(raw, [Sample(**sample) for sample in raw["samples"]])
    elif not only_sizes:
        if (missing := compiler_missing()) is not None:
            console.print(f"[red]Cannot measure:[/] {missing}")
            raise typer.Exit(1)
        chosen = [
            case
            for case in cases()
            if case.readers.name in (readers or [case.readers.name])
            and case.content in (content or [case.content])
            and case.size in (size or [case.size])
        ]
        if not chosen:
            raise typer.BadParameter("--readers, --content and --size leave nothing to measure")
        raw, samples = _run(console, chosen, rounds, seconds, json_file)
        texts |= {MEASURED: section(raw, samples), READING: decoding.section(raw)}
    _show(console, texts, write)


def _show(console: Console, texts: dict[str, str], write: Path | None) -> None:
    if write is None:
        for text in texts.values():
            console.print(text, highlight=False, markup=False, soft_wrap=True)
        return
    try:
        for name, text in texts.items():
            document.write(write.resolve(), name, text)
    except (OSError, Unusable) as error:
        console.print(f"[red]Not written:[/] {error}", highlight=False)
        raise typer.Exit(1) from None
    console.print(f"written: {write}", highlight=False)


def _run(
    console: Console, chosen: list[Case], rounds: int, seconds: float, json_file: Path | None
) -> tuple[dict[str, Any], list[Sample]]:
    raw: dict[str, Any] = {**about("formats"), "rounds": rounds, "seconds": seconds}
    samples: list[Sample] = []
    began, count = time.monotonic(), rounds * sum(len(case.variants()) for case in chosen)
    try:
        for sample in measure(chosen, rounds, seconds, Cores.choose()):
            samples.append(sample)
            said = f"[dim]{len(samples)}/{count} {time.monotonic() - began:4.0f} s[/] {_line(sample)}"
            console.print(said, highlight=False, soft_wrap=True)
            keep(raw, samples, json_file)
    except Unusable as error:
        console.print(f"[red]Cannot measure:[/] {error}", highlight=False)
        raise typer.Exit(1) from None
    except KeyboardInterrupt:
        console.print("[yellow]Interrupted[/]")
        raise typer.Exit(130) from None
    return raw, samples


def _line(sample: Sample) -> str:
    how = f"{sample.format}{', compressed' if sample.compress else ''}"
    said = f"{sample.readers:4} {sample.content:6} {sample.size:6} {how:20} "
    if sample.failed:
        return f"{said}[red]failed:[/] {' '.join(sample.failed.split())[:200]}"
    said += f"{sample.us:8.2f} µs, {sample.bytes:9,.0f} B, p50 {sample.p50:6.2f} ms, p99 {sample.p99:6.2f} ms"
    said += "" if sample.complete else " [yellow]not each message once[/]"
    return said + (" [red]void[/]" if sample.void else "")


def main() -> None:
    start(bench)


if __name__ == "__main__":
    main()
