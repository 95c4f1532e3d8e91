"""Which transport to try next, and when. Sans-I/O: it is told the outcomes and the time that a link lived.

The plain order: each transport of the list in turn, the next one at once when one fails; a pause after each round.
When a link that had worked ends, the same transport is first tried again, then the list from its beginning.
"""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from tricast.wire.messages import TransportName

BACKOFF_BASE = 0.25
BACKOFF_CAP = 15.0
STABLE = 10.0
"""Seconds after which a link counts as good: the next pause is then short again."""


@dataclass(frozen=True, slots=True)
class Try:
    """Try this transport after `delay` seconds."""

    transport: TransportName
    delay: float = 0.0


class Order:
    """See the module. `jitter` gives numbers from 0 to 1."""

    def __init__(self, transports: Sequence[TransportName], *, jitter: Callable[[], float] = random.random) -> None:
        self._transports = tuple(dict.fromkeys(transports))
        self._jitter = jitter
        self._round = deque(self._transports)
        self._pauses = 0
        self._early: TransportName | None = None

    def first(self) -> Try:
        return self._next(0.0)

    def failed(self, retry_after: float | None = None) -> Try:
        """The transport tried last did not come to work. `retry_after`: the server asked for so many seconds."""
        delay = 0.0
        if not self._round:
            self._round.extend(self._transports)
            delay = self._pause()
        return self._next(max(delay, retry_after or 0.0))

    def ended(self, transport: TransportName, lived: float, retry_after: float | None = None) -> Try:
        """A link that had worked for `lived` seconds is no more.

        One that dies young twice in a row is not tried first again: something cuts it each time.
        """
        if lived >= STABLE:
            self._pauses = 0
        again = lived >= STABLE or self._early != transport
        self._early = None if lived >= STABLE or not again else transport
        others = [name for name in self._transports if name != transport]
        self._refill([transport, *others] if again else [*others, transport])
        return self._next(max(self._pause(), retry_after or 0.0))

    def _refill(self, transports: Iterable[TransportName]) -> None:
        self._round.clear()
        self._round.extend(transports)

    def _next(self, delay: float) -> Try:
        return Try(self._round.popleft(), delay)

    def _pause(self) -> float:
        """Doubles from round to round; at least half of it always passes, the rest is spread over the clients."""
        full = min(BACKOFF_CAP, BACKOFF_BASE * 2.0**self._pauses)
        self._pauses = min(self._pauses + 1, 16)
        return full * (0.5 + 0.5 * self._jitter())
