"""How much per second: token buckets, without a clock of their own."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import islice

PURGE_AT = 1024
KEYS_MAX = 100_000
EPSILON = 1e-9
"""Seconds: less is rounding."""


class Buckets:
    """A bucket for each key: `burst` at once, `rate` per second in the long run. Times are in seconds.

    Kept is only when a bucket will be full again: one that is full is as one that never was, and is forgotten. So what
    is kept is bounded by those who come within burst / rate seconds, and by `keys_max` in any case: past that, those
    who have been known longest are forgiven.
    """

    __slots__ = ("_burst", "_full_at", "_keys_max", "_purge_at", "_step")

    def __init__(self, rate: float, burst: float, *, keys_max: int = KEYS_MAX) -> None:
        if rate <= 0 or burst < 1:
            raise ValueError("a rate is over 0, a burst 1 or more")
        self._step = 1.0 / rate
        self._burst = burst * self._step
        self._full_at: dict[str, float] = {}
        self._keys_max = keys_max
        self._purge_at = min(PURGE_AT, keys_max)

    def __len__(self) -> int:
        return len(self._full_at)

    def take(self, keys: Sequence[str], now: float) -> float:
        """Takes one from the bucket of each of `keys` and returns 0, or takes nothing and returns the seconds until
        that would be possible. `now` must not run backwards.
        """
        full_at = self._full_at
        wait = 0.0
        for key in keys:
            wait = max(wait, full_at.get(key, 0.0) + self._step - now - self._burst)
        if wait > EPSILON:
            return wait
        for key in keys:
            full_at[key] = max(full_at.get(key, 0.0), now) + self._step
        if len(full_at) > self._purge_at:
            self._purge(now)
        return 0.0

    def _purge(self, now: float) -> None:
        self._full_at = {key: full for key, full in self._full_at.items() if full > now}
        if len(self._full_at) > self._keys_max // 2:
            self._full_at = dict(islice(self._full_at.items(), len(self._full_at) - self._keys_max // 2, None))
        # Seldom, compared with how many have come since: taking stays cheap.
        self._purge_at = min(max(PURGE_AT, 2 * len(self._full_at)), self._keys_max)
