"""Two files of results: what became better or worse, as far as the runs can tell."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from rich import box
from rich.table import Table

from tricast_bench.bench.show import number, parameters_in_words
from tricast_bench.results import Results, Run
from tricast_bench.stats import Estimate, ratio_unpaired
from tricast_bench.titles import TITLES

Verdict = Literal["no difference", "better", "worse", "too few runs"]
LESS_IS_BETTER = (
    "p50_ms",
    "p99_ms",
    "server_cpu_us_per_delivery",
    "server_memory_per_connection",
    "bytes_up_per_message",
    "bytes_down_per_message",
    "requests_per_message",
    "time_to_first_ms",
    "spread_ms",
)
MORE_IS_BETTER = ("delivered_per_second", "connects_per_second")
RUNS_MIN = 3
"""Of each file: with fewer there is no interval."""


@dataclass(frozen=True, slots=True)
class Difference:
    """Of one metric in one case. `ratio` is new to old."""

    run: Run
    metric: str
    ratio: Estimate

    @property
    def verdict(self) -> Verdict:
        if self.ratio.runs < RUNS_MIN:
            return "too few runs"
        if self.ratio.covers(1.0):
            return "no difference"
        more = self.ratio.value > 1
        return "worse" if more == (self.metric in LESS_IS_BETTER) else "better"

    def is_regression(self, threshold: float) -> bool:
        """Whether it is worse by more than this share, by the median, and the interval leaves no doubt that it is."""
        if self.verdict != "worse":
            return False
        value = self.ratio.value
        return (value if self.metric in LESS_IS_BETTER else 1 / value if value else float("inf")) > 1 + threshold


def compare(old: Results, new: Results) -> list[Difference]:
    """Cases that both files have valid runs of. Lost and doubled messages are in `faults`."""
    found = []
    for case, runs in _by_case(new).items():
        before = _by_case(old).get(case, [])
        for metric in (*LESS_IS_BETTER, *MORE_IS_BETTER):
            first, second = _values(runs, metric), _values(before, metric)
            if first and second and all(second):
                found.append(Difference(runs[0], metric, ratio_unpaired(first, second)))
    return found


def faults(old: Results, new: Results) -> list[str]:
    """Messages that the new one lost, doubled or mixed up where the old one did not, in words."""
    said = []
    for case, runs in _by_case(new).items():
        before = _by_case(old).get(case, [])
        for metric in ("lost", "duplicated", "reordered"):
            now, then = sum(_values(runs, metric)), sum(_values(before, metric))
            if now and not then:
                said.append(f"{case[0]}, {parameters_in_words(runs[0])}, {case[2]}: {now:g} {TITLES[metric]}")
    return said


def table(differences: Sequence[Difference]) -> Table:
    """Those that say something first; what did not change is one line at the end of each case."""
    shown = Table(box=box.SIMPLE_HEAD)
    for heading in ("scenario", "", "", "metric"):
        shown.add_column(heading)
    shown.add_column("new ÷ old", justify="right")
    shown.add_column("")
    colours = {"worse": "red", "better": "green"}
    for one in differences:
        colour = colours.get(one.verdict, "dim")
        interval = f"{number(one.ratio.value)} ({number(one.ratio.low)}–{number(one.ratio.high)})"
        words = parameters_in_words(one.run)
        shown.add_row(
            one.run.scenario, words, one.run.transport, TITLES[one.metric], interval, f"[{colour}]{one.verdict}[/]"
        )
    return shown


def _by_case(results: Results) -> dict[tuple[str, str, str], list[Run]]:
    cases: dict[tuple[str, str, str], list[Run]] = {}
    for run in results.valid():
        cases.setdefault(run.case, []).append(run)
    return cases


def _values(runs: Sequence[Run], metric: str) -> list[float]:
    values = (getattr(run.metrics, metric) for run in runs)
    return [float(value) for value in values if value is not None]
