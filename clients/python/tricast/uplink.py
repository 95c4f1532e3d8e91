"""Whether what is sent arrives: how long that is sought, who carries meanwhile, when to look again. Sans-I/O."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

from tricast.actions import Note, Prove
from tricast.lanes import DOUBLINGS_MAX, Lane, Policy
from tricast.track import Track

Uplink = Literal["unknown", "ok", "blocked"]


class UplinkSearch:
    """`since`: when a hello had come, but no echo yet. None while nothing is sought, as an echo has come or no hello.

    `blocked`: it was sought long enough, and is looked for again at `again_at`.
    """

    def __init__(self, track: Track, policy: Policy, jitter: Callable[[], float]) -> None:
        self.since: float | None = None
        self.blocked = False
        self.again_at = 0.0
        self._track = track
        self._policy = policy
        self._jitter = jitter
        self._tries = 0

    @property
    def is_settled(self) -> bool:
        """Who carries is decided, for better or worse."""
        carrier = self._track.carrier
        return carrier is not None and (carrier.proven or self.blocked)

    def begin(self, now: float) -> None:
        self.since, self.blocked = now, False

    def end(self) -> None:
        self.since, self.blocked, self._tries = None, False, 0

    def end_unless_greeted(self) -> None:
        """Where no link has brought a hello any more, its uplink is not the question."""
        if self._track.carrier is None and not self._greeted():
            self.end()

    def settle(self, now: float, *, waiting: bool) -> None:
        """Without an uplink: first messages come, soon afterwards it is said that nothing can be sent. `waiting`: some
        transport is to be opened yet.
        """
        self._turn_to_greeted(now)
        if self.since is None or self.is_settled:
            return
        track = self._track
        pending = waiting or any(lane.is_open and not lane.muted for lane in track.lanes.values())
        blocked = not pending or now >= self.since + self._policy.proof_timeout
        late = now >= self.since + self._policy.down_patience
        greeted = self._greeted()
        if track.carrier is None and greeted and (blocked or late):
            track.carry(greeted[0], now, "no transport can send" if blocked else "no echo came yet")
        if blocked and track.carrier is not None:
            self.blocked = True
            self._plan(now)
            track.actions.append(Note(track.carrier.name, "uplink", "blocked: messages come, but none can be sent"))
            for lane in track.candidates():
                if lane.muted:
                    track.fails(lane, now)
                    track.close(lane, "no echo came back")

    def _turn_to_greeted(self, now: float) -> None:
        """The carrier is gone: a link beside it that was greeted, but not proven yet, may have to carry now."""
        if self._track.carrier is None and self.since is None:
            for lane in self._greeted():
                lane.muted = False
                self.begin(now)
                self._track.actions.append(Prove(lane.name))

    def _greeted(self) -> list[Lane]:
        """The candidates whose hello has come."""
        return [lane for lane in self._track.lanes.values() if lane.state == "greeted"]

    def on_time(self, now: float) -> None:
        """Where it is blocked, and time to look again."""
        carrier = self._track.carrier
        if carrier is not None and self.blocked and now >= self.again_at:
            self._plan(now)
            self._track.actions.append(Prove(carrier.name))

    def _plan(self, now: float) -> None:
        policy = self._policy
        delay = min(policy.uplink_max, policy.probe_min * 2.0**self._tries)
        self._tries = min(self._tries + 1, DOUBLINGS_MAX)
        self.again_at = now + delay * (0.75 + 0.5 * self._jitter())

    def times(self) -> list[float]:
        """When to call `settle` or `on_time`."""
        if self.blocked:
            return [self.again_at]
        if self.since is None:
            return []
        over = self.since + self._policy.proof_timeout
        return [self.since + self._policy.down_patience, over] if self._track.carrier is None else [over]
