"""What the middlebox does wrong: one frozen set of faults, checked as it is made, to and from JSON."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, fields
from types import MappingProxyType
from typing import Any, Literal, TypeVar, Union, get_args

Kind = Literal["ws", "sse", "poll", "send", "other"]
Way = Literal["up", "down"]
Silence = Literal["up", "down", "both"]

KINDS: tuple[Kind, ...] = get_args(Kind)
STREAMS: tuple[Kind, ...] = ("ws", "sse", "poll")

T = TypeVar("T")
Scoped = Union[T, Mapping[Kind, T]]  # noqa: UP007 - `T | Mapping` makes no generic alias on Python 3.11
"""One value for every kind of exchange that the fault knows, or one for each kind that has it."""


class FaultError(ValueError):
    """There is no such fault, or it takes no such value."""


@dataclass(frozen=True, kw_only=True)
class Faults:
    """All that can be wrong at one time; by default nothing is. Raises FaultError. Seconds count from the request."""

    # WebSocket
    refuse_upgrade: int | None = None  # the status that answers an upgrade in place of the server
    strip_upgrade: bool = False  # requests are passed on without their Upgrade headers
    ws_silence: Silence | None = None  # after the handshake no byte passes in this direction, only the end does
    ws_drop_after: float | None = None  # seconds from the upgrade to the cut
    ws_drop_after_bytes: int | None = None  # bytes, both ways together, from the upgrade to the cut

    # What comes down
    sse_hold_headers: bool = False  # nothing of a stream passes before its end
    sse_hold_body: bool = False  # only its headers pass before its end
    hold_bytes: int | None = None  # so many bytes held are passed on at once; none: a mebibyte
    honour_x_accel: bool = False  # streams that say `X-Accel-Buffering: no` are not held
    late_by_one: Scoped[bool] = False  # an event (ws: what came at once) waits for the next one
    batch_ms: Scoped[float] | None = None  # what comes down passes only every so many milliseconds

    # Cuts
    cut_after: Scoped[float] | None = None  # seconds, in spite of traffic
    idle_after: Scoped[float] | None = None  # seconds without a byte either way
    cut_status: int | None = None  # what a cut answers where no response has begun; none: it closes the connection
    reset: bool = False  # connections are cut with RST, not with FIN

    # POST
    eat_post: bool = False  # a POST is read and never answered
    refuse_post: int | None = None  # the status that answers a POST in place of the server

    # The line
    delay_ms: float = 0.0  # added each way
    jitter_ms: float = 0.0  # up to so much more, at random; order is kept
    bandwidth_bps: float | None = None  # bits per second, each way, shared by all connections
    blackhole: Scoped[bool] = False  # nothing passes either way, not even the end; it goes on where it stopped
    refuse_all: bool = False  # nobody listens: connections are refused, and open ones cut
    close_all: bool = False  # connections are accepted and closed at once, and open ones cut

    def __post_init__(self) -> None:
        for name, check in _CHECKS.items():
            object.__setattr__(self, name, _checked(name, check, getattr(self, name)))

    @classmethod
    def from_json(cls, members: object) -> Faults:
        """From a JSON object; null stands for the default. Raises FaultError."""
        if not isinstance(members, Mapping):
            raise FaultError("faults are a JSON object")
        if unknown := sorted(set(members) - set(_CHECKS)):
            raise FaultError(f"no such fault: {', '.join(map(ascii, unknown))}; there are {', '.join(_CHECKS)}")
        return cls(**{name: value for name, value in members.items() if value is not None})

    def to_json(self) -> dict[str, Any]:
        """Those that are set."""
        values = {field.name: getattr(self, field.name) for field in fields(self)}
        defaults = {field.name: field.default for field in fields(self)}
        return {name: _plain(name, value) for name, value in values.items() if value != defaults[name]}

    def merged(self, changes: object) -> Faults:
        """With what a JSON object says in place of the same faults here; null takes one off. Raises FaultError."""
        if not isinstance(changes, Mapping):
            raise FaultError("faults are a JSON object")
        return Faults.from_json({**self.to_json(), **changes})


def on(fault: Scoped[T], kind: Kind) -> T | None:
    """What a fault is for this kind of exchange, None where it is not set for it."""
    return fault.get(kind) if isinstance(fault, Mapping) else fault


def _status(value: object) -> bool:
    return type(value) is int and 200 <= value <= 599


def _flag(value: object) -> bool:
    return type(value) is bool


def _number(value: object) -> bool:
    # By type, since a bool is an int too; mypy narrows only by isinstance.
    return type(value) in (int, float) and math.isfinite(value) and value >= 0  # type: ignore[arg-type, operator]  # type() is no guard


def _positive(value: object) -> bool:
    return _number(value) and value != 0


def _count(value: object) -> bool:
    return type(value) is int and value > 0


def _silence(value: object) -> bool:
    return value in get_args(Silence)


_WANTED: dict[Callable[[object], bool], str] = {
    _status: "a status from 200 to 599",
    _flag: "true or false",
    _number: "a number that is not negative",
    _positive: "a number above 0",
    _count: "a whole number above 0",
    _silence: "one of up, down, both",
}
_CHECKS: dict[str, Callable[[object], bool]] = {
    "refuse_upgrade": _status,
    "strip_upgrade": _flag,
    "ws_silence": _silence,
    "ws_drop_after": _number,
    "ws_drop_after_bytes": _count,
    "sse_hold_headers": _flag,
    "sse_hold_body": _flag,
    "hold_bytes": _count,
    "honour_x_accel": _flag,
    "late_by_one": _flag,
    "batch_ms": _positive,
    "cut_after": _number,
    "idle_after": _number,
    "cut_status": _status,
    "reset": _flag,
    "eat_post": _flag,
    "refuse_post": _status,
    "delay_ms": _number,
    "jitter_ms": _number,
    "bandwidth_bps": _positive,
    "blackhole": _flag,
    "refuse_all": _flag,
    "close_all": _flag,
}
SCOPES: Mapping[str, tuple[Kind, ...]] = MappingProxyType(
    {
        "late_by_one": ("ws", "sse"),
        "batch_ms": ("ws", "sse", "poll", "send"),
        "cut_after": STREAMS,
        "idle_after": STREAMS,
        "blackhole": KINDS,
    }
)
"""The faults that can be set for each kind apart, and the kinds they know."""


def _checked(name: str, check: Callable[[object], bool], value: object) -> object:
    if _is_off(value):
        return _default(name)
    if name not in SCOPES:
        return _valid(name, check, value)
    kinds = SCOPES[name]
    by_kind = value if isinstance(value, Mapping) else dict.fromkeys(kinds, value)
    if unknown := [kind for kind in by_kind if kind not in kinds]:
        raise FaultError(f"{name} is not for {', '.join(map(ascii, unknown))}, only for {', '.join(kinds)}")
    kept = {kind: _valid(name, check, by_kind[kind]) for kind in kinds if not _is_off(by_kind.get(kind))}
    return MappingProxyType(kept) if kept else _default(name)


def _is_off(value: object) -> bool:
    return value is None or value is False


def _default(name: str) -> object:
    return Faults.__dataclass_fields__[name].default


def _valid(name: str, check: Callable[[object], bool], value: object) -> object:
    if not check(value):
        raise FaultError(f"{name} is {_WANTED[check]}, not {value!a}")
    return value


def _plain(name: str, value: Any) -> Any:
    """A scoped fault which is the same for all its kinds is one value again."""
    if not isinstance(value, Mapping):
        return value
    same = set(value) == set(SCOPES[name]) and _alike(value.values())
    return next(iter(value.values())) if same else dict(value)


def _alike(values: Iterable[object]) -> bool:
    return len(set(values)) == 1
