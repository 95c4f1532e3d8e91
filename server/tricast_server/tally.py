"""What the service counts of its clients: connections, what they publish, and why they came by another transport."""

from __future__ import annotations

from collections import Counter

from tricast.errors import CommandError
from tricast_server.backplane.base import Receipt

TRANSPORTS = ("ws", "sse", "poll")
SOURCES = ("ws", "http", "app")
"""Where publishes come from: a WebSocket, `/send` and `/topics`, the application's own code."""
FALLBACKS = ("refused", "slow", "mute", "cut", "stalled")
"""What clients may say of a transport that they gave up: see docs/fallback.md."""
OTHER = "other"
"""For what is none of these, so that clients cannot make up series."""


class Tally:
    """Since the service began. `opened` by transport, `messages` and `size` (bytes of their data) by source, of those
    that took effect; `outcomes` of publishes by code; `fallbacks` by transport and reason.
    """

    __slots__ = ("fallbacks", "messages", "opened", "outcomes", "size")

    def __init__(self) -> None:
        self.opened: Counter[str] = Counter()
        self.messages: Counter[str] = Counter()
        self.size: Counter[str] = Counter()
        self.outcomes: Counter[str] = Counter()
        self.fallbacks: Counter[tuple[str, str]] = Counter()

    def failed(self, error: CommandError) -> None:
        """A publish was refused."""
        self.outcomes[error.code] += 1

    def published(self, source: str, data: str | bytes, receipt: Receipt) -> None:
        if receipt.duplicate:
            self.outcomes["duplicate"] += 1
            return
        self.outcomes["ok"] += 1
        self.messages[source] += 1
        self.size[source] += len(data) if isinstance(data, bytes) or data.isascii() else len(data.encode())

    def fell_back(self, why: str) -> None:
        """`why` is what the client's query says, as `ws:refused`."""
        transport, _, reason = why.partition(":")
        if transport in TRANSPORTS:
            self.fallbacks[transport, reason if reason in FALLBACKS else OTHER] += 1
        else:
            self.fallbacks[OTHER, OTHER] += 1
