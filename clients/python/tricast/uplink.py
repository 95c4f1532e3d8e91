"""Whether what is sent arrives: how long that is sought, and when to look again where it does not. Sans-I/O."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

from tricast.lanes import DOUBLINGS_MAX, Policy

Uplink = Literal["unknown", "ok", "blocked"]


class UplinkSearch:
    """`since`: when a hello had come, but no echo yet. None while nothing is sought, as an echo has come or no hello.

    `blocked`: it was sought long enough, and is looked for again at `again_at`.
    """

    def __init__(self, policy: Policy, jitter: Callable[[], float]) -> None:
        self.since: float | None = None
        self.blocked = False
        self.again_at = 0.0
        self._policy = policy
        self._jitter = jitter
        self._tries = 0

    def begin(self, now: float) -> None:
        self.since, self.blocked = now, False

    def end(self) -> None:
        self.since, self.blocked, self._tries = None, False, 0

    def block(self, now: float) -> None:
        self.blocked = True
        self.plan(now)

    def plan(self, now: float) -> None:
        policy = self._policy
        delay = min(policy.uplink_max, policy.probe_min * 2.0**self._tries)
        self._tries = min(self._tries + 1, DOUBLINGS_MAX)
        self.again_at = now + delay * (0.75 + 0.5 * self._jitter())

    def is_due(self, now: float) -> bool:
        """It is blocked, and time to look again."""
        return self.blocked and now >= self.again_at

    def is_late(self, now: float) -> bool:
        """Messages should come by now, though nothing can be sent yet."""
        return self.since is not None and now >= self.since + self._policy.down_patience

    def is_over(self, now: float) -> bool:
        """No echo will come any more."""
        return self.since is not None and now >= self.since + self._policy.proof_timeout

    def times(self, *, carried: bool) -> list[float]:
        """When one of these changes."""
        if self.blocked:
            return [self.again_at]
        if self.since is None:
            return []
        over = self.since + self._policy.proof_timeout
        return [over] if carried else [self.since + self._policy.down_patience, over]
