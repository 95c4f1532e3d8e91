"""results.json: what a benchmark run measured, as typed values, to the file and back.

A file is one object: `format`, `started`, `seconds`, `command`, `environment`, `settings`, `runs`. The classes here are
its schema; their fields are the members of the JSON objects. What a run could not or need not measure is null.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any, Literal, get_args

FORMAT = 1
Transport = Literal["ws", "sse", "poll", "mixed"]
TRANSPORTS: tuple[Transport, ...] = ("ws", "sse", "poll")
Parameter = str | int | float | bool | None


class NoResults(ValueError):
    """A file is no results.json of this format; the text says why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Metrics:
    """What one run measured. Latency is in milliseconds, from when a message *should* have been sent until the kernel
    had its bytes at the subscriber's socket.

    A delivery is one message at one subscriber, and `sent x subscribers = delivered + gaps + lost`. Where nothing is
    published it is what the scenario counts instead: a heartbeat (or empty poll) in `idle`, a connect in `connect`.
    """

    p50_ms: float | None = None
    p90_ms: float | None = None
    p99_ms: float | None = None
    p999_ms: float | None = None
    max_ms: float | None = None
    offered_per_second: float | None = None
    """Messages that the schedule asked for, each second."""
    delivered: int | None = None
    delivered_per_second: float | None = None
    lost: int | None = None
    """Deliveries that never came and that nothing told of: silence, always a fault."""
    duplicated: int | None = None
    """Messages that the client's session gave to the application twice."""
    reordered: int | None = None
    """Messages that came after a later one."""
    gaps: int | None = None
    """Deliveries that never came and that a gap told of."""
    server_cpu_us_per_delivery: float | None = None
    """Microseconds of the server process's CPU, user and system, publishing included."""
    server_memory_per_connection: float | None = None
    """Bytes of resident memory: the slope between two populations."""
    server_memory: int | None = None
    """Bytes of resident memory at the end of the run, with all connections open."""
    server_files: int | None = None
    """Open descriptors, at the same time."""
    bytes_up_per_message: float | None = None
    """TCP payload bytes that the subscribers' connections sent for each delivery, by the kernel's count."""
    bytes_down_per_message: float | None = None
    """The same for what they received."""
    requests_per_message: float | None = None
    """HTTP requests of the subscribers for each delivery."""
    time_to_first_ms: float | None = None
    """From the connect to hello, or to the first message where scenario `connect` or `fallback` says so; median."""
    spread_ms: float | None = None
    """From the first subscriber that has a message to the last; median over messages."""
    connects_per_second: float | None = None
    generator_cpu: float | None = None
    """Share of its core that the load took, 0 to 1."""
    schedule_lag_p99_ms: float | None = None
    """How late the load was with handing over what was to be sent."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """One scenario with one set of parameters on one transport, once, on a server of its own.

    `repeat` counts from 1, and runs of one repeat were taken in one round, so they may be paired; `order` counts from
    0 in the order in which runs were made. `seconds` is what was measured, without `warm_up`. `void` says why the
    run tells nothing about the server; it was then repeated (same `repeat`, later `order`) if there was a chance left.
    `histogram` is a base64 HdrHistogram (V2, compressed) of microseconds. `series` has a row for each half second of
    intended send times: [seconds since the start, p50 ms, p99 ms, deliveries].
    """

    scenario: str
    parameters: Mapping[str, Parameter]
    transport: Transport
    repeat: int
    order: int
    started_at: str
    seconds: float
    warm_up: float
    void: str | None = None
    metrics: Metrics = field(default_factory=Metrics)
    histogram: str | None = None
    series: tuple[tuple[float, float, float, int], ...] = ()

    @property
    def case(self) -> tuple[str, str, Transport]:
        """What is measured, apart from when: runs of one case may be compared."""
        return self.scenario, json.dumps(dict(self.parameters), sort_keys=True), self.transport


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What was asked for. `cores` are null where the server is not this machine's. `skipped`: scenario to reason."""

    quick: bool
    repeat: int
    seed: int
    transports: tuple[str, ...]
    scenarios: tuple[str, ...] = ()
    target: str | None = None
    server_core: int | None = None
    generator_core: int | None = None
    skipped: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Results:
    """A whole file. `started` is ISO 8601 in UTC, `environment` is that of `tricast_bench.environment`."""

    started: str
    seconds: float
    command: tuple[str, ...]
    environment: Mapping[str, Any]
    settings: Settings
    runs: tuple[Run, ...]
    format: int = FORMAT

    def valid(self, scenario: str | None = None) -> list[Run]:
        """The runs that count, of one scenario or of all."""
        return [run for run in self.runs if run.void is None and scenario in (None, run.scenario)]


def dump(results: Results, path: Path) -> None:
    """Raises OSError."""
    path.write_text(dumps(results), encoding="utf-8")


def dumps(results: Results) -> str:
    """One line for each run, so that files can be read and compared by people too."""
    members = asdict(results)
    runs = ",\n".join("  " + json.dumps(run, allow_nan=False) for run in members.pop("runs"))
    head = json.dumps({"format": members.pop("format"), **members}, indent=1, allow_nan=False)
    return f'{head[:-2]},\n "runs": [\n{runs}\n ]\n}}\n'


def load(path: Path) -> Results:
    """Raises OSError, and NoResults where the file is something else."""
    try:
        return loads(path.read_text(encoding="utf-8"))
    except NoResults as error:
        raise NoResults(f"{path}: {error}") from None
    except UnicodeDecodeError:
        raise NoResults(f"{path}: not a text in UTF-8") from None


def loads(text: str) -> Results:
    """Members that this version does not know are left out. Raises NoResults."""
    try:
        members = json.loads(text)
    except ValueError as error:
        raise NoResults(f"not JSON: {error}") from None
    if not isinstance(members, dict) or "runs" not in members:
        raise NoResults("no results of `tricast bench`: it has no runs")
    if members.get("format") != FORMAT:
        raise NoResults(f"results of format {members.get('format')!r}; this version reads format {FORMAT}")
    try:
        known = _known(Results, members)
        known["command"] = tuple(members["command"])
        known["settings"] = _settings(members["settings"])
        known["runs"] = tuple(map(_run, members["runs"]))
        return Results(**known)
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise NoResults(f"not whole: {error}") from None


def _settings(members: dict[str, Any]) -> Settings:
    known = _known(Settings, members)
    for name in {"transports", "scenarios"} & known.keys():
        known[name] = tuple(known[name])
    return Settings(**known)


def _run(members: dict[str, Any]) -> Run:
    if members["transport"] not in get_args(Transport):
        raise ValueError(f"there is no transport {members['transport']!r}")
    known = _known(Run, members)
    known["metrics"] = Metrics(**_known(Metrics, members["metrics"]))
    known["series"] = tuple((t, p50, p99, count) for t, p50, p99, count in members.get("series", ()))
    return Run(**known)


def _known(cls: type[Any], members: dict[str, Any]) -> dict[str, Any]:
    names = {item.name for item in fields(cls)}
    return {name: value for name, value in members.items() if name in names}
