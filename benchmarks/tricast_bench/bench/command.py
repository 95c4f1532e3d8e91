"""`tricast bench` and `tricast bench compare`. What they need is imported when they run: `tricast` starts fast."""

from __future__ import annotations

import signal
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, cast

import typer
from rich.console import Console

if TYPE_CHECKING:
    from tricast.wire.formats import FormatName
    from tricast_bench.bench.axes import Axes
    from tricast_bench.bench.session import Asked
    from tricast_bench.contents import Content
    from tricast_bench.results import Results

WANTED = {"gevent": "gevent", "hdrh": "hdrhistogram", "locust": "locust", "websockets": "websockets"}
"""Modules and their packages, which the extra `bench` has."""

bench = typer.Typer(name="bench", invoke_without_command=True, no_args_is_help=False)
out = Console(highlight=False)
err = Console(highlight=False, soft_wrap=True, stderr=True)


@bench.callback()
def run(
    context: typer.Context,
    quick: Annotated[bool, typer.Option("--quick", help="As many short rounds as fit into 80 s.")] = False,
    scenario: Annotated[
        list[str] | None, typer.Option(metavar="NAME", help="Only this one; repeat it, or use commas.")
    ] = None,
    list_scenarios: Annotated[bool, typer.Option("--list", help="Print the scenarios, and end.")] = False,
    transports: Annotated[str, typer.Option(metavar="LIST", help="Some of ws,sse,poll.")] = "ws,sse,poll",
    target: Annotated[
        str | None, typer.Option(metavar="URL", help="Measure this server, not fresh ones on this machine.")
    ] = None,
    repeat: Annotated[
        int | None, typer.Option(min=1, help="Rounds, each in another order.", show_default="5, or as many as fit")
    ] = None,
    seed: Annotated[int, typer.Option(help="Makes orders and Poisson schedules repeat.")] = 1,
    formats: Annotated[
        list[str] | None, typer.Option("--format", metavar="NAME", help="json or protobuf; repeat it for both.")
    ] = None,
    compress: Annotated[
        bool | None,
        typer.Option(
            "--compress/--no-compress", help="Let the server compress, and clients ask for it.", show_default=False
        ),
    ] = None,
    payload: Annotated[list[int] | None, typer.Option(metavar="BYTES", help="Of a message; may be repeated.")] = None,
    content: Annotated[
        list[str] | None, typer.Option(metavar="KIND", help="letters, text or binary; may be repeated.")
    ] = None,
    folder: Annotated[Path, typer.Option("--out", metavar="DIR", help="Where results.json and report.html go.")] = Path(
        "bench-results"
    ),
) -> None:
    """Measure the three transports: latency under an open load, what a message costs, what is lost.

    Every run has a fresh server on one core and the load on another.
    Latency counts from when a message should have been sent. A run that
    the load or other programs disturbed is void, and made again: close
    other programs first. --list says what is measured.

    --format, --compress, --payload and --content take the place of what
    the scenarios have; alone, they choose among those of scenario formats.
    """
    if context.invoked_subcommand is not None:
        return
    from tricast_bench.scenarios import SCENARIOS

    if list_scenarios:
        for name, one in SCENARIOS.items():
            out.print(f"[bold]{name:10}[/] {one.about}")
        return
    axes = _axes(formats, compress, payload, content)
    _measure(_asked(quick, scenario, transports, target, repeat, seed, axes), folder)


@bench.command()
def compare(
    old: Annotated[Path, typer.Argument(help="results.json of before.", exists=True, dir_okay=False)],
    new: Annotated[Path, typer.Argument(help="results.json of now.", exists=True, dir_okay=False)],
    threshold: Annotated[
        float, typer.Option(min=0, help="Share by which something must be worse to count: 0.1 is 10 %.")
    ] = 0.1,
    everything: Annotated[bool, typer.Option("--all", help="Show what did not change, too.")] = False,
) -> None:
    """Compare two results: ratios with bootstrap 95% intervals, case by case. Exit status 1 if something is worse."""
    from tricast_bench.bench import compare as comparing
    from tricast_bench.results import NoResults, load

    try:
        before, now = load(old), load(new)
    except NoResults as error:
        err.print(f"[red]{error}[/]")
        raise typer.Exit(2) from None
    found = comparing.compare(before, now)
    if not found:
        err.print("[red]Nothing to compare:[/] the files have no case in common with valid runs in both")
        raise typer.Exit(2)
    worse = [one for one in found if one.is_regression(threshold)]
    faults = comparing.faults(before, now)
    say = [one for one in found if everything or one.verdict in ("better", "worse")]
    if say:
        out.print(comparing.table(say))
    counts = [one.verdict for one in found]
    out.print(", ".join(f"{counts.count(verdict)} {verdict}" for verdict in sorted(set(counts))))
    for fault in faults:
        out.print(f"[red]new fault:[/] {fault}")
    if worse or faults:
        out.print(f"[red]{len(worse)} of {len(found)} are worse by more than {threshold:.0%}[/]")
        raise typer.Exit(1)


def _axes(
    formats: list[str] | None, compress: bool | None, payload: list[int] | None, content: list[str] | None
) -> Axes:
    """As it was written; `Asked` checks it."""
    from tricast_bench.bench.axes import Axes

    return Axes(
        format=cast("list[FormatName]", formats or []),
        compress=[] if compress is None else [compress],
        size=payload or [],
        content=cast("list[Content]", content or []),
    )


def _asked(
    quick: bool,
    names: list[str] | None,
    transports: str,
    target: str | None,
    repeat: int | None,
    seed: int,
    axes: Axes,
) -> Asked:
    """Raises typer.BadParameter."""
    absent = [package for module, package in WANTED.items() if find_spec(module) is None]
    if absent:
        err.print(f"[red]This needs {', '.join(absent)}:[/] pip install 'tricast[bench\\]'")
        raise typer.Exit(1)
    from tricast_bench.bench.session import Asked

    try:
        return Asked.of(quick, names, transports, target, repeat, seed, axes)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from None


def _measure(asked: Asked, folder: Path) -> None:
    from tricast_bench.bench import session, show
    from tricast_bench.results import Metrics
    from tricast_bench.servers import Unusable

    # Either ends it early with what there is, also where a shell had its background jobs ignore SIGINT.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.default_int_handler)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        results = session.measure(asked, out)
        written = session.write(results, folder)
    except (Unusable, OSError) as error:
        err.print(f"[red]Cannot measure:[/] {error}")
        raise typer.Exit(1) from None
    if all(run.metrics == Metrics() for run in results.runs):
        reasons = [run.void or "" for run in results.runs] or list(results.settings.skipped.values())
        err.print(f"[red]Nothing was measured:[/] {'; '.join(dict.fromkeys(reasons))}")
        raise typer.Exit(1)
    out.print()
    for table in show.tables(results, out):
        out.print(table)
    for note in show.notes(results):
        out.print(note)
    out.print("median (bootstrap 95% interval) over the repeats; latency from the intended send time", style="dim")
    out.print(f"[dim]raw data:[/] {written}", soft_wrap=True)
    _report(results, folder)


def _report(results: Results, folder: Path) -> None:
    from tricast_bench.bench.session import write_report

    try:
        report = write_report(results, folder)
    except Exception as error:  # what was measured is safe in its file
        err.print(f"[red]No report:[/] {type(error).__name__}: {error}")
    else:
        if report is not None:
            out.print(f"[dim]report:[/] {report}", soft_wrap=True)
