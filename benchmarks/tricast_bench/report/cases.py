"""The runs of a file by what they measured: cases, their values, and the one case that stands for a scenario. Pure."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

from tricast_bench.report.words import case_in_words
from tricast_bench.results import TRANSPORTS, Parameter, Results, Run, Transport
from tricast_bench.scenarios import SCENARIOS
from tricast_bench.stats import Estimate, estimate


@dataclass(frozen=True, slots=True)
class Case:
    """One scenario with one set of parameters, on all transports that were measured; only valid runs."""

    scenario: str
    parameters: Mapping[str, Parameter]
    runs: Mapping[Transport, Sequence[Run]]
    void: Mapping[Transport, int]
    """How many void runs there are besides."""

    @property
    def words(self) -> str:
        return case_in_words(self.parameters)

    def number(self, name: str) -> float:
        """A parameter; 0 where it is absent."""
        value = self.parameters.get(name)
        return float(value) if isinstance(value, int | float) else 0.0

    def values(self, transport: Transport, metric: str) -> dict[int, float]:
        """By repeat."""
        found = ((run.repeat, getattr(run.metrics, metric)) for run in self.runs.get(transport, ()))
        return {repeat: float(value) for repeat, value in found if value is not None}

    def estimate(self, transport: Transport, metric: str) -> Estimate | None:
        return estimated(tuple(self.values(transport, metric).values()))

    def transports(self) -> list[Transport]:
        """Those that have valid runs, in the usual order."""
        return [name for name in (*TRANSPORTS, "mixed") if self.runs.get(name)]


@lru_cache(maxsize=4096)
def estimated(values: tuple[float, ...]) -> Estimate | None:
    """None of none. It is asked for again and again, and takes its time."""
    if not values:
        return None
    return estimate(values) if max(values) > min(values) else Estimate(values[0], values[0], values[0], len(values))


def cases(results: Results, scenario: str | None = None) -> list[Case]:
    """Of one scenario or of all, in the order of the scenarios and from small to large."""
    valid: dict[tuple[str, str], dict[Transport, list[Run]]] = defaultdict(lambda: defaultdict(list))
    void: dict[tuple[str, str], dict[Transport, int]] = defaultdict(lambda: defaultdict(int))
    first: dict[tuple[str, str], Run] = {}
    for run in sorted(results.runs, key=lambda run: run.order):
        key = run.case[:2]
        if scenario in (None, run.scenario):
            first.setdefault(key, run)
            if run.void is None:
                valid[key][run.transport].append(run)
            else:
                void[key][run.transport] += 1
    made = [Case(run.scenario, run.parameters, dict(valid[key]), dict(void[key])) for key, run in first.items()]
    return sorted(made, key=_order)


def reference(some: Iterable[Case]) -> Case | None:
    """The case that stands for its scenario: with most transports, then the one that a quick run takes."""
    known = list(some)
    return max(known, key=lambda case: (len(case.transports()), _is_quick(case)), default=None)


def _is_quick(case: Case) -> bool:
    scenario = SCENARIOS.get(case.scenario)
    if scenario is None:
        return False
    return any(dict(case.parameters) == dict(scenario.cases[index].parameters) for index in scenario.quick)


def _order(case: Case) -> tuple[int, str, list[float], str]:
    place = list(SCENARIOS).index(case.scenario) if case.scenario in SCENARIOS else len(SCENARIOS)
    numbers = [case.number(name) for name in ("size", "subscribers", "rate")]
    return place, case.scenario, numbers, repr(sorted(case.parameters.items(), key=lambda item: item[0]))
