"""What the load's process is told, and what it answers: plain values that travel as lines of JSON."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from tricast.wire.formats import FormatName
from tricast_bench.contents import Content
from tricast_bench.load import Shape
from tricast_bench.results import Metrics, Transport

Kind = Literal["flow", "idle", "connect", "steps", "fallback"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """One run. `clients`: how many subscribers on each transport; `rate`: messages a second of all senders together.

    `pid` is the server's where its CPU and memory can be read here; else /stats of `direct` says them, where it does.
    `direct` is the server itself where `url` goes through something, and `shared` says that this has its core too.
    `steps` are rates one after the other; `objective` is the p99 in seconds that they should keep, and so many of the
    clients are `whole` ones, the others only count (not on long poll). `more` is the second population of `idle`,
    `network` that of `fallback`. Times in seconds.
    """

    kind: Kind
    url: str
    direct: str
    pid: int | None = None
    clients: Mapping[str, int] = field(default_factory=dict)
    own_topics: bool = False
    slow: int = 0
    rate: float = 0.0
    shape: Shape = "fixed"
    size: int = 64
    content: Content = "letters"
    format: FormatName = "json"
    compress: bool = False
    seconds: float = 2.0
    warm_up: float = 0.5
    seed: int = 0
    steps: tuple[float, ...] = ()
    objective: float = 0.0
    whole: int = 0
    shared: bool = False
    more: int = 0
    network: str = ""

    def line(self) -> str:
        return json.dumps(asdict(self)) + "\n"

    @classmethod
    def of_line(cls, line: str) -> Job:
        members = json.loads(line)
        return cls(**{**members, "steps": tuple(members["steps"])})


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """What came of it on one transport, or "mixed" for all. `more` are parameters that were found out by the way."""

    transport: Transport
    seconds: float
    void: str | None
    metrics: Metrics
    histogram: str | None = None
    series: tuple[tuple[float, float, float, int], ...] = ()
    more: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """Of the load's process to one job. `failed` says why there is no measurement."""

    measured: tuple[Measured, ...] = ()
    failed: str | None = None

    def line(self) -> str:
        return json.dumps(asdict(self)) + "\n"

    @classmethod
    def of_line(cls, line: str) -> Answer:
        members = json.loads(line)
        return cls(measured=tuple(map(_measured, members["measured"])), failed=members["failed"])


def _measured(members: dict[str, Any]) -> Measured:
    known = {**members, "metrics": Metrics(**members["metrics"])}
    known["series"] = tuple((t, p50, p99, count) for t, p50, p99, count in members["series"])
    return Measured(**known)
