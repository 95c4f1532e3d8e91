"""`python -m tricast_bench.peers.check`: in two minutes, whether tricast costs more than in the saved baseline."""

from __future__ import annotations

import os
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from tricast_bench.environment import environment
from tricast_bench.peers import registry, workloads
from tricast_bench.peers.check_figures import (
    CHECKED,
    FLOOR,
    ROUNDS_MIN,
    TRICAST,
    UNIT,
    Figure,
    as_table,
    exit_code,
    figures,
    load,
    save,
    suspects,
    verdicts,
)
from tricast_bench.peers.compiled import CHECKOUT
from tricast_bench.peers.measure import Measured, Plan, measure
from tricast_bench.peers.program import start
from tricast_bench.servers import Cores, Unusable

BASELINE = CHECKOUT / "benchmarks" / "baseline.json"
ROUNDS, SECONDS, WARM_UP = 5, 0.6, 0.2
UNMEASURED = 2


def check(
    save_it: Annotated[bool, typer.Option("--save", help="Measure, and keep that as the baseline.")] = False,
    baseline: Annotated[Path, typer.Option(help="What to compare with, or to write.")] = BASELINE,
    rounds: Annotated[int, typer.Option(help="Times that each is measured.", min=1)] = ROUNDS,
    seconds: Annotated[float, typer.Option(help="Length of one sample.", min=0.2, max=5.0)] = SECONDS,
) -> None:
    """Whether a delivery has become dearer than it was in the baseline.

    The unit is what it costs on the floor, a server that does nothing but
    write, measured in the same rounds: so another machine says nearly the
    same. What seems worse by over 15% is measured once more. Exits with 1
    where something is worse, with 2 where it could not be measured.
    """
    console = Console()
    known: dict[str, float] = {}
    if not save_it:
        try:
            known, about = load(baseline)
        except (OSError, ValueError) as error:
            console.print(f"[red]No baseline:[/] {error}; --save writes one", highlight=False)
            raise typer.Exit(UNMEASURED) from None
        console.print(_of(about), style="dim", highlight=False)
    try:
        found = _measured(console, CHECKED, rounds, seconds)
        if save_it:
            _save(console, baseline, found, rounds, seconds)
            return
        doubtful = suspects(known, found)
        if doubtful:
            console.print(f"once more: {', '.join(doubtful)}", highlight=False)
        again = _measured(console, doubtful, rounds, seconds) if doubtful else {}
    except Unusable as error:
        console.print(f"[red]Cannot measure:[/] {error}", highlight=False)
        raise typer.Exit(UNMEASURED) from None
    except KeyboardInterrupt:
        console.print("[yellow]Interrupted[/]")
        raise typer.Exit(130) from None
    judged = verdicts(known, found, again)
    console.print(as_table(judged))
    raise typer.Exit(exit_code(judged))


def _measured(console: Console, names: Iterable[str], rounds: int, seconds: float) -> dict[str, Figure]:
    """Both servers under these loads, and under those whose cost on the floor is their unit. Raises Unusable."""
    wanted = dict.fromkeys(name for checked in names for name in (UNIT.get(checked, checked), checked))
    plan = Plan(
        rounds=rounds,
        seconds=seconds,
        warm_up=WARM_UP,
        peers=(registry.BY_NAME[TRICAST], registry.BY_NAME[FLOOR]),
        workloads=tuple(workloads.BY_NAME[name] for name in wanted),
    )
    reason = next((reason for peer in plan.peers if (reason := peer.needs()) is not None), None)
    if reason is not None:
        raise Unusable(reason)
    samples: list[Measured] = []
    began = time.monotonic()
    cores, before = Cores.choose(), os.sched_getaffinity(0)
    try:
        for sample in measure(plan, cores):
            samples.append(sample)
            said = f"[dim]{len(samples)}/{plan.samples} {time.monotonic() - began:3.0f} s[/] {sample.workload:10} "
            said += f"{sample.peer:8} "
            if sample.us_per_delivery is not None:
                said += f"{sample.us_per_delivery:7.2f} µs"
            if sample.failed:
                said += f"[red]failed:[/] {sample.failed[:200]}"
            said += " [red]void[/]" if sample.void else ""
            console.print(said, highlight=False, soft_wrap=True)
    finally:
        os.sched_setaffinity(0, before)  # measuring pins this process, and it may be asked for once more
    return figures(samples, min(ROUNDS_MIN, rounds))


def _save(console: Console, file: Path, found: dict[str, Figure], rounds: int, seconds: float) -> None:
    """Not without all figures."""
    missing = [name for name in CHECKED if name not in found]
    if missing:
        console.print(f"[red]Not saved:[/] could not measure {', '.join(missing)}", highlight=False)
        raise typer.Exit(UNMEASURED)
    about: dict[str, Any] = {
        "saved": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "environment": environment(),
        "rounds": rounds,
        "seconds": seconds,
    }
    save(file, found, about)
    console.print(as_table(verdicts({}, found, {})))
    console.print(f"saved: {file}", highlight=False)


def _of(about: dict[str, Any]) -> str:
    """Which baseline it is, and what has changed around it since."""
    then, now = about.get("environment") or {}, environment()
    said = f"baseline of {about.get('saved', 'no date')}"
    changed = [
        f"{name}: {then.get(name)}, now {now[name]}" for name in ("cpu", "python") if then.get(name) != now[name]
    ]
    return said + (f" ({'; '.join(changed)})" if changed else "")


def main() -> None:
    start(check)


if __name__ == "__main__":
    main()
