"""What a check compares: tricast's cost in units of the floor's, now and in the baseline, and what it makes of that."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median
from typing import Any, Literal

from rich import box
from rich.table import Table

from tricast_bench.peers.measure import Measured
from tricast_bench.peers.report import by_round

CHECKED = ("ws-100", "sse-100", "ws-flat-8", "echo", "poll-10")
UNIT = {"poll-10": "ws-100"}
"""Where the floor does not speak what is checked, another of its loads is the unit."""
TRICAST, FLOOR = "tricast", "floor"
WORSE = 0.15
"""A figure is worse, or better, if it has changed by more than this share."""
ROUNDS_MIN = 3
"""A median of fewer is none."""
Change = Literal["same", "worse", "better", "new", "not measured"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """A median of ratios within rounds, their range, and how many there were."""

    value: float
    low: float
    high: float
    rounds: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """`again` is what a second measurement said, where the first was worse: both have to be."""

    name: str
    baseline: float | None
    now: Figure | None
    again: Figure | None = None

    @property
    def change(self) -> Change:
        if self.now is None:
            return "not measured"
        if self.baseline is None:
            return "new"
        first = self.now.value / self.baseline
        if first > 1 + WORSE:
            if self.again is None:
                return "not measured"  # nor is it said to be worse on one measurement
            return "worse" if self.again.value / self.baseline > 1 + WORSE else "same"
        return "better" if first < 1 - WORSE else "same"


def figures(samples: Sequence[Measured], rounds_min: int = ROUNDS_MIN) -> dict[str, Figure]:
    """Those that were measured in enough rounds, in which all was delivered once."""
    samples = [sample for sample in samples if sample.complete]
    found = {}
    for name in CHECKED:
        own = by_round(samples, name, "us_per_delivery", TRICAST)
        unit = by_round(samples, UNIT.get(name, name), "us_per_delivery", FLOOR)
        ratios = [own[number] / unit[number] for number in sorted(own.keys() & unit.keys()) if unit[number] > 0]
        if len(ratios) >= rounds_min:
            found[name] = Figure(value=median(ratios), low=min(ratios), high=max(ratios), rounds=len(ratios))
    return found


def suspects(baseline: Mapping[str, float], found: Mapping[str, Figure]) -> list[str]:
    """What seems worse, and is to be measured once more."""
    return [name for name, figure in found.items() if name in baseline and figure.value / baseline[name] > 1 + WORSE]


def verdicts(
    baseline: Mapping[str, float], found: Mapping[str, Figure], again: Mapping[str, Figure]
) -> tuple[Verdict, ...]:
    return tuple(
        Verdict(name=name, baseline=baseline.get(name), now=found.get(name), again=again.get(name)) for name in CHECKED
    )


def exit_code(judged: Sequence[Verdict]) -> int:
    """1: something is worse; 2: nothing is, of what could be measured, but not all could; 0: nothing is."""
    changes = {verdict.change for verdict in judged}
    return 1 if "worse" in changes else 2 if "not measured" in changes else 0


def as_table(judged: Sequence[Verdict]) -> Table:
    table = Table(
        title="Server CPU per delivery, in units of the floor's",
        title_justify="left",
        box=box.SIMPLE_HEAD,
        pad_edge=False,
    )
    table.add_column("load", no_wrap=True)
    for heading in ("baseline", "now", "range", "once more", "change"):
        table.add_column(heading, justify="right", no_wrap=True)
    table.add_column("", no_wrap=True)
    colours = {"worse": "red", "better": "green", "not measured": "yellow"}
    for verdict in judged:
        now, again = verdict.now, verdict.again
        last = again or now
        colour = colours.get(verdict.change, "dim")
        table.add_row(
            verdict.name,
            "–" if verdict.baseline is None else f"{verdict.baseline:.2f}",
            "–" if now is None else f"{now.value:.2f}",
            "–" if now is None else f"{now.low:.2f}–{now.high:.2f}",
            "" if again is None else f"{again.value:.2f}",
            "" if last is None or verdict.baseline is None else f"{last.value / verdict.baseline - 1:+.0%}",
            f"[{colour}]{verdict.change}[/]",
        )
    return table


def save(file: Path, found: Mapping[str, Figure], about: Mapping[str, Any]) -> None:
    """`about` says when, where and how."""
    kept = {"benchmark": "check", **about, "figures": {name: asdict(figure) for name, figure in found.items()}}
    file.write_text(json.dumps(kept, indent=1) + "\n", encoding="utf-8")


def load(file: Path) -> tuple[dict[str, float], dict[str, Any]]:
    """The values of the baseline, and all that it says. Raises OSError, and ValueError for another file."""
    kept = json.loads(file.read_text(encoding="utf-8"))
    if not isinstance(kept, dict) or kept.get("benchmark") != "check":
        raise ValueError(f"{file} is no baseline")
    try:
        values = {name: float(figure["value"]) for name, figure in kept["figures"].items()}
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"{file} is no baseline: {error!r}") from None
    if any(value <= 0 for value in values.values()):
        raise ValueError(f"{file} has a figure that is not above 0")
    return values, kept
