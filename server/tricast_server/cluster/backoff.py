"""When something that has ended is started again. No clock of its own."""

from __future__ import annotations

FIRST = 0.1
CAP = 15.0
STEADY = 10.0


class Backoff:
    """What ran well is started again at once, what did not after a wait that doubles. Times are in seconds.

    `steady`: how long it must have run for the waits to begin anew; `cap`: the longest wait.
    """

    def __init__(self, *, first: float = FIRST, cap: float = CAP, steady: float = STEADY) -> None:
        self._first = first
        self._cap = cap
        self._steady = steady
        self._next = 0.0
        self._since: float | None = None

    def up(self, now: float) -> None:
        """It has begun to do its work."""
        self._since = now

    def down(self, now: float) -> float:
        """It has ended, or did not come up. Returns how long to wait before the next start."""
        if self._since is not None and now - self._since >= self._steady:
            self._next = 0.0
        self._since = None
        wait = self._next
        self._next = min(max(2 * wait, self._first), self._cap)
        return wait
