"""Results that a report can count with: a file may come from anywhere, and its reader looks at names, not at types."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import fields, replace
from typing import Any

from tricast_bench.results import Metrics, Parameter, Results, Run

NUMBERS = frozenset({"subscribers", "rate", "size", "slow", "more", "delay_ms", "objective", "retention_count"})
"""Parameters that are numbers, or nothing."""
GREATEST = 1e15
LONGEST = 400


def checked(results: Results) -> Results:
    """The same, with null in the place of every number that is none, and text where text belongs."""
    settings = results.settings
    return replace(
        results,
        started=text(results.started),
        seconds=number(results.seconds) or 0.0,
        command=tuple(map(text, results.command)),
        environment=dict(results.environment) if isinstance(results.environment, Mapping) else {},
        settings=replace(
            settings,
            repeat=int(number(settings.repeat) or 0),
            seed=int(number(settings.seed) or 0),
            target=None if settings.target is None else text(settings.target),
            skipped=_texts(settings.skipped),
        ),
        runs=tuple(map(_run, results.runs)),
    )


def number(value: object) -> float | None:
    """Finite and of a size that can be counted with."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return value if abs(value) <= GREATEST and math.isfinite(value) else None


def text(value: object) -> str:
    """Short enough to be read."""
    shown = value if isinstance(value, str) else repr(value)
    return shown if len(shown) <= LONGEST else f"{shown[: LONGEST - 1]}…"


def _run(run: Run) -> Run:
    return replace(
        run,
        scenario=text(run.scenario),
        parameters=_parameters(run.parameters),
        repeat=int(number(run.repeat) or 0),
        order=int(number(run.order) or 0),
        started_at=text(run.started_at),
        seconds=number(run.seconds) or 0.0,
        warm_up=number(run.warm_up) or 0.0,
        void=None if run.void is None else text(run.void),
        metrics=Metrics(**{item.name: number(getattr(run.metrics, item.name)) for item in fields(Metrics)}),  # type: ignore[arg-type]
        histogram=run.histogram if isinstance(run.histogram, str) else None,
        series=tuple(row for row in run.series if all(number(part) is not None for part in row)),
    )


def _parameters(parameters: object) -> dict[str, Parameter]:
    if not isinstance(parameters, Mapping):
        return {}
    return {text(name): _parameter(name, value) for name, value in parameters.items()}


def _parameter(name: Any, value: object) -> Parameter:
    if name in NUMBERS:
        return number(value)
    return value if value is None or isinstance(value, bool) else number(value) or text(value)


def _texts(values: object) -> dict[str, str]:
    return {text(name): text(value) for name, value in values.items()} if isinstance(values, Mapping) else {}
