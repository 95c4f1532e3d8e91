"""Which runs there are, in what order, and how long they may take. No processes here."""

from __future__ import annotations

import random
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields

from tricast_bench.bench.job import Job
from tricast_bench.results import TRANSPORTS, Transport
from tricast_bench.scenarios import Case, Scenario

SECONDS = 4.0
WARM_UP = 1.0
QUICK_SECONDS = 1.2
QUICK_WARM_UP = 0.3
STEPS_TAKEN = 0.6
"""Share of the steps until one is not carried. A guess."""
OVERHEAD = 2.0
"""What a run takes besides: a server's start, connects, and the end. A first guess."""
_OF_A_JOB = {item.name for item in fields(Job)} - {"kind", "url", "direct", "pid", "clients", "steps"}


@dataclass(frozen=True, slots=True)
class Planned:
    """A run to make. `repeat` counts from 1."""

    scenario: Scenario
    case: Case
    transport: Transport
    repeat: int
    seconds: float
    warm_up: float

    @property
    def estimate(self) -> float:
        """Seconds, roughly."""
        windows = max(1.0, STEPS_TAKEN * len(self.case.steps))
        return OVERHEAD + (self.warm_up + self.seconds * self.case.stretch) * windows

    def job(
        self, url: str, direct: str, pid: int | None, transports: Sequence[str], seed: int, *, shared: bool = False
    ) -> Job:
        """What the load's process is told."""
        known = {name: value for name, value in self.case.parameters.items() if name in _OF_A_JOB}
        return Job(
            kind=self.scenario.kind,
            url=url,
            direct=direct,
            pid=pid,
            clients=self._clients(transports),
            steps=self.case.steps,
            seconds=self.seconds * self.case.stretch,
            warm_up=self.warm_up,
            seed=seed + self.repeat,
            shared=shared,
            **known,  # type: ignore[arg-type]  # parameters are of many types
        )

    def _clients(self, transports: Sequence[str]) -> dict[str, int]:
        count = int(self.case.parameters.get("subscribers") or 0)
        if self.transport != "mixed":
            return {self.transport: count}
        return {name: count // len(transports) for name in transports}


def plan(
    scenarios: Iterable[Scenario], transports: Sequence[Transport], repeat: int, seed: int, *, quick: bool
) -> list[Planned]:
    """All runs: round after round, each with every case on every transport once, shuffled anew."""
    chance = random.Random(seed)
    seconds, warm_up = (QUICK_SECONDS, QUICK_WARM_UP) if quick else (SECONDS, WARM_UP)
    chosen = list(scenarios)
    runs: list[Planned] = []
    for number in range(1, repeat + 1):
        round_ = [
            Planned(scenario, case, transport, number, seconds, warm_up)
            for scenario in chosen
            if not (quick and scenario.once and number > 1)
            for case in _cases(scenario, quick=quick)
            for transport in _transports(scenario, case, transports)
        ]
        chance.shuffle(round_)
        runs += round_
    return runs


def _cases(scenario: Scenario, *, quick: bool) -> Sequence[Case]:
    """A scenario that was asked for by name and is not of the quick ones is taken whole."""
    return [scenario.cases[index] for index in scenario.quick] if quick and scenario.quick else scenario.cases


def _transports(scenario: Scenario, case: Case, transports: Sequence[Transport]) -> Sequence[Transport]:
    if scenario.transports != "each":
        return ("mixed",)
    return [name for name in transports if not (name == "sse" and case.parameters.get("compress"))]  # it never is


def transports_of(text: str) -> tuple[Transport, ...]:
    """From "ws,sse,poll". Raises ValueError."""
    names = [name.strip() for name in text.split(",") if name.strip()]
    known = tuple(name for name in TRANSPORTS if name in names)
    if not names or len(known) != len(set(names)):
        raise ValueError(f"transports are some of {','.join(TRANSPORTS)}, not {text!r}")
    return known
