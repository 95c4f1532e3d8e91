"""When what has been read may pass, and when a connection is cut: the faults as pure functions of the time."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from tricast_bench.middlebox.exchange import Exchange
from tricast_bench.middlebox.faults import Faults, Way, on

Part = Literal["head", "body", "tunnel", "end", "cut"]

PACKET = 1460
SLICE = 0.02
"""Seconds: a slow line is written to in pieces that take so long, and are at least a packet."""


@dataclass(slots=True, kw_only=True)
class Parcel:
    """Bytes that wait to pass, or the end of them."""

    data: bytes
    exchange: Exchange
    part: Part
    arrived: float
    luck: float  # from 0 to 1: its share of the jitter
    released: bool = False  # nothing holds it any more


def due(parcel: Parcel, faults: Faults, way: Way, *, last: bool, ending: bool) -> float | None:
    """When the parcel may pass, None while these faults keep it.

    `last` says that none waits behind it, `ending` that the end of its direction does.
    """
    if on(faults.blackhole, parcel.exchange.kind):
        return None
    if is_silenced(parcel, faults, way):
        return 0.0 if ending else None
    ready = parcel.arrived
    if way == "down":
        if _is_held(parcel, faults, last):
            return None
        ready = _batched(parcel, faults)
    return ready + (faults.delay_ms + faults.jitter_ms * parcel.luck) / 1000


def is_silenced(parcel: Parcel, faults: Faults, way: Way) -> bool:
    """Whether a WebSocket's bytes do not pass this way."""
    return parcel.part == "tunnel" and parcel.exchange.kind == "ws" and faults.ws_silence in (way, "both")


def _is_held(parcel: Parcel, faults: Faults, last: bool) -> bool:
    exchange = parcel.exchange
    if parcel.released or exchange.complete or parcel.part in ("end", "cut"):
        return False
    if parcel.part == "head":
        return _holds(exchange, faults) and faults.sse_hold_headers
    return _holds(exchange, faults) or (last and bool(on(faults.late_by_one, exchange.kind)))


def _holds(exchange: Exchange, faults: Faults) -> bool:
    """Whether its body waits for its end."""
    if exchange.kind != "sse" or (faults.honour_x_accel and exchange.unbuffered):
        return False
    return faults.sse_hold_headers or faults.sse_hold_body


def _batched(parcel: Parcel, faults: Faults) -> float:
    batch_ms = on(faults.batch_ms, parcel.exchange.kind)
    if not batch_ms:
        return parcel.arrived
    every, start = batch_ms / 1000, parcel.exchange.started
    return start + math.ceil((parcel.arrived - start) / every) * every


def cut_due(exchange: Exchange, faults: Faults) -> float | None:
    """When the exchange is cut, None while these faults do not."""
    kind = exchange.kind
    if on(faults.blackhole, kind):
        return None
    limits = [
        (exchange.started, on(faults.cut_after, kind)),
        (exchange.active, on(faults.idle_after, kind)),
        (exchange.upgraded, faults.ws_drop_after if kind == "ws" else None),
    ]
    return min((since + limit for since, limit in limits if since is not None and limit is not None), default=None)


class Bottleneck:
    """One slow line that many connections share, in one direction."""

    def __init__(self) -> None:
        self._rate = 0.0
        self._free = 0.0

    def reserve(self, size: int, rate: float, now: float) -> float:
        """When the last of so many bytes has passed. A new rate forgets what waited for the old one."""
        if rate != self._rate:
            self._rate, self._free = rate, now
        self._free = max(self._free, now) + size * 8 / rate
        return self._free


def slice_of(rate: float) -> int:
    """How many bytes to write at once on a line of so many bits per second."""
    return max(PACKET, int(rate / 8 * SLICE))
