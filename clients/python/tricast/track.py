"""The lanes of a race side by side, and which one carries. What becomes of a lane there is asked for, too. Sans-I/O."""

from __future__ import annotations

from collections.abc import Mapping

from tricast.actions import Action, Carry, Close, Note, Open
from tricast.lanes import Lane, Pauses
from tricast.wire.messages import TransportName


class Track:
    """`lanes`: the best first. `carrier`: the one that carries. `failed`: who did, in this round. `actions`: what was
    asked for, in order, until whoever does it takes it from here.
    """

    def __init__(self, lanes: Mapping[TransportName, Lane], pauses: Pauses) -> None:
        self.lanes = lanes
        self.carrier: Lane | None = None
        self.failed: list[Lane] = []
        self.actions: list[Action] = []
        self._pauses = pauses
        self._carried_at = 0.0

    def candidates(self) -> list[Lane]:
        """What is open beside the carrier."""
        return [lane for lane in self.lanes.values() if lane.is_open and lane is not self.carrier]

    def open(self, lane: Lane, now: float, why: str = "") -> None:
        lane.opens(now)
        self.actions.append(Open(lane.name, why))

    def close(self, lane: Lane, why: str) -> None:
        lane.state, lane.proven = "idle", False
        self.actions.append(Close(lane.name, why))

    def carry(self, lane: Lane, now: float, why: str) -> None:
        """From now on this one, and no longer the one before."""
        old = self.carrier
        if old is not None:
            self._pauses.after_life(now - self._carried_at)
        lane.state, self.carrier, self._carried_at = "carrying", lane, now
        self.actions.append(Carry(lane.name, why))
        if old is not None:
            self.close(old, f"{lane.name} has taken over")
        for other in self.lanes.values():
            if not other.is_open:
                other.plan_probe(now)

    def fails(self, lane: Lane, now: float) -> None:
        """A candidate did not work, or was given up."""
        lane.fails_to_work()
        lane.plan_probe(now)
        self.failed.append(lane)

    def acquit(self) -> None:
        """Nothing can be reached: neither losses nor the fails of this round are any lane's fault."""
        for lane in self.lanes.values():
            lane.acquit()
        for lane in self.failed:
            lane.fails = max(0, lane.fails - 1)

    def confirm(self, now: float) -> None:
        """Something works, so what was lost lately was lost by its own fault."""
        for lane in self.lanes.values():
            if lane.confirm(now):
                seconds = f"for {lane.quarantined_until - now:.0f} s: it keeps being cut"
                self.actions.append(Note(lane.name, "quarantine", seconds))
                lane.plan_probe(now)
