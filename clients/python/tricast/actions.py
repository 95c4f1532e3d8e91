"""What a race of transports may ask for: plain values, with reasons for people."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from tricast.wire.messages import TransportName


@dataclass(frozen=True, slots=True)
class Open:
    """Open a link, at the cursor of now. One of the same transport that is open is closed."""

    transport: TransportName
    why: str = ""


@dataclass(frozen=True, slots=True)
class Prove:
    """Send an echo, and tell `on_proven` or `on_unproven`."""

    transport: TransportName


@dataclass(frozen=True, slots=True)
class Carry:
    """What this one brings is delivered from now on, and nothing else."""

    transport: TransportName
    why: str = ""


@dataclass(frozen=True, slots=True)
class Close:
    transport: TransportName
    why: str = ""


@dataclass(frozen=True, slots=True)
class CheckOnline:
    """Ask the server for a sign of life, and tell `on_online`."""


@dataclass(frozen=True, slots=True)
class Note:
    """For people only."""

    transport: TransportName | None
    what: Literal["wait", "online", "offline", "quarantine", "uplink"]
    detail: str = ""


Action = Open | Prove | Carry | Close | CheckOnline | Note
