"""What a client tells the server about a transport that it gave up: `why=ws:refused`, once, when it opens another one.

Whoever runs the server then sees from how many networks WebSockets do not pass. The words are in docs/fallback.md.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal

from tricast.wire.messages import TransportName

Reason = Literal["refused", "slow", "mute", "cut", "stalled"]


class Complaints:
    """At most one waits to be told, the last. What was told is not told again until that transport brings something."""

    def __init__(self) -> None:
        self._next: tuple[TransportName, Reason] | None = None
        self._told: set[TransportName] = set()

    def about(self, transport: TransportName, reason: Reason) -> None:
        if transport not in self._told:
            self._next = (transport, reason)

    def about_end(self, transport: TransportName, *, greeted: bool, stalled: bool) -> None:
        """A link has ended that should not have: before its hello, or after it."""
        self.about(transport, "refused" if not greeted else "stalled" if stalled else "cut")

    def take_back(self, transport: TransportName) -> None:
        """It has brought something."""
        self._told.discard(transport)
        if self._next is not None and self._next[0] == transport:
            self._next = None

    def clear(self) -> None:
        """Nothing can be reached: that is no transport's fault."""
        self._next = None
        self._told.clear()

    def tell(self, transport: TransportName, waiting: Iterable[TransportName]) -> str | None:
        """For a link of `transport` that is opened now; `waiting`: those that are open, but do not carry yet."""
        for other in waiting:
            if self._next is None and other != transport:
                self.about(other, "slow")
        if self._next is None or self._next[0] == transport:
            return None
        self._told.add(self._next[0])
        told, self._next = ":".join(self._next), None
        return told
