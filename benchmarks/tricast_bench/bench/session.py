"""One invocation of `tricast bench`: what was asked for, measured under a progress bar, and written to files."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from urllib.parse import urlsplit

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

from tricast_bench.bench.axes import Axes
from tricast_bench.bench.plan import Planned, plan, transports_of
from tricast_bench.bench.runner import Bench, LoadGone
from tricast_bench.bench.show import number, parameters_in_words
from tricast_bench.environment import environment
from tricast_bench.results import Results, Run, Settings, Transport, dump
from tricast_bench.scenarios import FORMATS, SCENARIOS, Scenario
from tricast_bench.servers import Cores, Unusable, allow_files

REPEAT = 5
QUICK_REPEAT = 9
QUICK_SECONDS = 78.0
"""After which `--quick` begins nothing new."""
ATTEMPTS = 3
QUICK_ATTEMPTS = 1
"""The next round is another chance."""
FILES = 4000
REPORT = "tricast_bench.report"
AS_THEY_ARE = Axes()


@dataclass(frozen=True, slots=True)
class Asked:
    """What the command line says, checked."""

    quick: bool
    scenarios: tuple[Scenario, ...]
    transports: tuple[Transport, ...]
    target: str | None
    repeat: int
    seed: int

    @classmethod
    def of(
        cls,
        quick: bool,
        names: list[str] | None,
        transports: str,
        target: str | None,
        repeat: int | None,
        seed: int,
        axes: Axes = AS_THEY_ARE,
    ) -> Asked:
        """Raises ValueError with what is wrong."""
        parts = urlsplit(target) if target is not None else None
        if parts is not None and (parts.scheme != "http" or not parts.hostname):
            raise ValueError(f"a target is http://HOST:PORT, not {target}")
        chosen = [name.strip() for item in names or [] for name in item.split(",") if name.strip()]
        if unknown := [name for name in chosen if name not in SCENARIOS]:
            raise ValueError(f"no such scenario: {', '.join(unknown)}; there are {', '.join(SCENARIOS)}")
        some = [one for one in SCENARIOS.values() if one.name in chosen]
        rounds = repeat or (QUICK_REPEAT if quick else REPEAT)
        every = [one for one in SCENARIOS.values() if not one.named and (one.quick or not quick)]
        if axes.checked() != AS_THEY_ARE and not some:
            some = [FORMATS]
        scenarios, ways = tuple(axes.of(one) for one in some or every), transports_of(transports)
        if not plan(scenarios, ways, 1, seed, quick=quick):
            raise ValueError("SSE is never compressed, so there is nothing to measure")
        return cls(quick, scenarios, ways, target, rounds, seed)


def measure(asked: Asked, console: Console) -> Results:
    """Runs it all; Ctrl-C ends it early with what there is. Raises Unusable where nothing can be measured."""
    began, started = time.monotonic(), datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
    allow_files(FILES)
    cores = Cores.choose() if asked.target is None else None
    planned = plan(asked.scenarios, asked.transports, asked.repeat, asked.seed, quick=asked.quick)
    runs: list[Run] = []
    with _progress(console, planned, asked) as progress:
        bench = Bench(
            cores=cores,
            transports=asked.transports,
            seed=asked.seed,
            target=asked.target,
            attempts=QUICK_ATTEMPTS if asked.quick else ATTEMPTS,
            deadline=began + QUICK_SECONDS if asked.quick else None,
            on_left=progress.left,
        )
        try:
            for run in bench.make(planned):
                runs.append(run)
                progress.done(run)
        except (LoadGone, Unusable) as error:
            if not runs:
                raise
            console.print(f"[red]{error}:[/] these are the runs so far")
        except KeyboardInterrupt:
            console.print("[yellow]ended early: these are the runs so far[/]")
    return Results(
        started=started,
        seconds=round(time.monotonic() - began, 1),
        command=("tricast", *sys.argv[1:]),
        environment=environment(),
        settings=Settings(
            quick=asked.quick,
            repeat=max((run.repeat for run in runs), default=0),
            seed=asked.seed,
            transports=asked.transports,
            scenarios=tuple(scenario.name for scenario in asked.scenarios),
            target=asked.target,
            server_core=cores.server if cores else None,
            generator_core=cores.generator if cores else None,
            skipped=bench.skipped,
        ),
        runs=tuple(runs),
    )


def write(results: Results, folder: Path) -> Path:
    """results.json. Raises OSError."""
    dump(results, folder / "results.json")
    return folder / "results.json"


def write_report(results: Results, folder: Path) -> Path | None:
    """report.html, where there is something to write it with. Raises whatever goes wrong there."""
    if not results.runs or find_spec(REPORT) is None:
        return None
    import_module(REPORT).write(results, folder / "report.html")
    return folder / "report.html"


class _Shown:
    """The progress bar: a step for each run that is planned."""

    def __init__(self, progress: Progress, planned: list[Planned]) -> None:
        self._progress = progress
        self._task = progress.add_task("starting", total=len(planned), left="")
        self._seen: set[object] = set()

    def left(self, seconds: float) -> None:
        minutes, rest = divmod(round(seconds), 60)
        self._progress.update(self._task, left=f"about {minutes}:{rest:02d} left")

    def done(self, run: Run) -> None:
        what = f"{run.scenario}, {parameters_in_words(run)}, {run.transport}"
        p50 = "" if run.metrics.p50_ms is None else f" p50 {number(run.metrics.p50_ms)} ms"
        fate = "" if run.void is None else " [yellow]void[/]"
        key = run.case, run.repeat
        self._progress.update(self._task, advance=0 if key in self._seen else 1, description=f"{what}{p50}{fate}")
        self._seen.add(key)


@contextmanager
def _progress(console: Console, planned: list[Planned], asked: Asked) -> Iterator[_Shown]:
    columns = (MofNCompleteColumn(), BarColumn(bar_width=24), TextColumn("{task.fields[left]}"))
    with Progress(*columns, TextColumn("{task.description}"), console=console, transient=True) as progress:
        yield _Shown(progress, planned)
