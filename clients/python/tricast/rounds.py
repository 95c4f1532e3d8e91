"""One round of the race: who is opened next, with what head start, or when the next round begins. Sans-I/O."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from tricast.lanes import Lane, Policy


class Round:
    """`waiting` are to be opened, in this order. Where nothing works the next round starts at `begins_at`."""

    def __init__(self, lanes: Sequence[Lane], policy: Policy) -> None:
        self.waiting: list[Lane] = []
        self.begins_at: float | None = None
        self._lanes = lanes
        self._policy = policy
        self._stagger = policy.stagger
        self._next_start = 0.0

    def start(self, now: float, first: Lane | None = None) -> None:
        """With all that may be tried; `first` before its betters."""
        self.begins_at = None
        self.waiting = self._in_order([lane for lane in self._lanes if lane.not_before <= now], now, first)
        self._next_start = now

    def stand_by(self, now: float, lanes: Iterable[Lane], *, at_once: bool = False) -> None:
        """These are to be opened if the one that is under way does not work in time."""
        self.begins_at = None
        self.waiting = self._in_order(lanes, now)
        self._next_start = now if at_once else now + self._stagger

    def wait_until(self, when: float) -> None:
        self.waiting.clear()
        self.begins_at = when

    def stop(self) -> None:
        self.waiting.clear()
        self.begins_at = None

    def hurry(self, now: float) -> None:
        """One has failed: the next one need not wait."""
        self._next_start = now

    def adapt(self, rtt: float) -> None:
        """To the round trip: the head start is so long that a healthy transport needs it."""
        policy = self._policy
        self._stagger = min(policy.stagger_max, max(policy.stagger_min, policy.stagger_round_trips * rtt))

    def next_time(self) -> float | None:
        times = [self._next_start] if self.waiting else []
        return min(times if self.begins_at is None else [*times, self.begins_at], default=None)

    def take(self, now: float, greeted_at: float | None) -> Lane | None:
        """The one whose turn it is, to be opened now. `greeted_at`: the first hello of this round, if there is one."""
        if not self.waiting:
            return None
        lane = self.waiting[0]
        running = [other for other in self._lanes if other.is_open and not other.muted]
        if running and now < self._next_start:
            return None
        if lane.is_doubtful(now) and running:
            # What may be cut again is for when all others have had their time.
            patience = self._policy.last_resort
            if any(other.state != "opening" for other in running):
                patience += self._policy.proof_timeout
            since = max(greeted_at or 0.0, *(other.opened_at for other in running))
            self._next_start = since + patience
            if now < self._next_start:
                return None
        del self.waiting[0]
        self._next_start = now + self._stagger
        return lane

    def _in_order(self, lanes: Iterable[Lane], now: float, first: Lane | None = None) -> list[Lane]:
        idle = [lane for lane in lanes if not lane.is_open]
        return sorted(idle, key=lambda lane: (lane.is_doubtful(now), lane is not first, lane.fails > 0, lane.rank))
