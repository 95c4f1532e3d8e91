"""What is put on each server: a row for each load, by name."""

from __future__ import annotations

from dataclasses import dataclass

from tricast_bench.peers.peer import Peer, Speech, Transport

SUBSCRIBERS = 500
PAYLOAD = 128


@dataclass(frozen=True, slots=True, kw_only=True)
class Workload:
    """`rate` messages a second by the clock, or `window` in flight at a time; neither for an echo, and where idle.

    `topics` and `per_connection` are those of a `Job`; not every server's speech has them.
    """

    name: str
    title: str
    transport: Transport
    connections: int = SUBSCRIBERS
    payload: int = PAYLOAD
    rate: float = 0.0
    window: int = 0
    idle: bool = False
    topics: int = 1
    per_connection: int = 1

    @property
    def publishes(self) -> bool:
        return not self.idle and self.transport != "echo"

    def speech(self, peer: Peer) -> Speech | None:
        """How the peer is spoken to here, None where it does not know how."""
        return peer.subscribe.get(self.transport)


def _fan_out(transport: Transport, called: str) -> tuple[Workload, ...]:
    rates = tuple(
        Workload(name=f"{transport}-{rate}", title=f"{called} {rate}/s", transport=transport, rate=rate)
        for rate in (20, 100, 400)
    )
    large = Workload(
        name=f"{transport}-100-1k", title=f"{called} 1 KiB 100/s", transport=transport, rate=100, payload=1024
    )
    flat_out = tuple(
        Workload(
            name=f"{transport}-flat-{window}", title=f"{called} {window} in flight", transport=transport, window=window
        )
        for window in (1, 8, 32)
    )
    return (*rates, large, *flat_out)


WORKLOADS: tuple[Workload, ...] = (
    *_fan_out("ws", "WS"),
    *_fan_out("sse", "SSE"),
    Workload(name="echo", title="echo × 50", transport="echo", connections=50),
    Workload(name="poll-10", title="poll 10/s", transport="poll", connections=200, rate=10),
    Workload(name="poll-500", title="poll 500/s", transport="poll", connections=200, rate=500),
    Workload(name="idle-ws", title="idle WS", transport="ws", connections=2000, idle=True),
    Workload(name="idle-sse", title="idle SSE", transport="sse", connections=2000, idle=True),
    Workload(name="idle-poll", title="idle poll", transport="poll", connections=2000, idle=True),
)
BY_NAME = {workload.name: workload for workload in WORKLOADS}
QUICK = ("ws-100", "ws-flat-32", "sse-100", "echo", "poll-10", "idle-ws")
"""What `--quick` measures."""
