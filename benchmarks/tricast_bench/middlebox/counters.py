"""What has passed the middlebox."""

from __future__ import annotations

from dataclasses import dataclass, field

from tricast_bench.middlebox.faults import KINDS, Kind


@dataclass(slots=True)
class Traffic:
    """Of one kind of exchange; bytes are counted when they pass, so what is held is not among them."""

    requests: int = 0
    open: int = 0
    cut: int = 0
    up: int = 0
    down: int = 0


@dataclass(slots=True)
class Counters:
    """Client connections, and what was exchanged on them."""

    connections: int = 0
    open: int = 0
    kinds: dict[Kind, Traffic] = field(default_factory=lambda: {kind: Traffic() for kind in KINDS})
