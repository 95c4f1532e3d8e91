"""What the figures have in common."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from tricast_bench.report.axes import Axis, linear, logarithmic
from tricast_bench.report.cases import Case
from tricast_bench.report.markup import Markup
from tricast_bench.report.svg import Box
from tricast_bench.results import Transport

SHORT: Mapping[Transport, str] = {"ws": "WebSocket", "sse": "SSE", "poll": "long poll", "mixed": "all three"}
"""Beside lines and bars."""
NEAR = 4.0
"""Times between the least and the greatest value."""


@dataclass(frozen=True, slots=True)
class Figure:
    """`absent` is said in place of panels."""

    identity: str
    heading: str
    caption: str
    panels: Sequence[Markup]
    absent: str


def titled(case: Case) -> str:
    return f"{case.scenario}: {case.words}"


def log_axis(title: str, values: Sequence[float], *, across: bool = False) -> Callable[[Box], Axis]:
    """Linear from 0 where the values are so near to each other that a logarithm would only mislead."""

    def axis(box: Box) -> Axis:
        ends = (box.left, box.right) if across else (box.bottom, box.top)
        if max(values) < NEAR * min(values):
            return linear(title, values, *ends)
        return logarithmic(title, values, *ends)

    return axis
