"""The log of one process: an append is delivered to every tail before it returns, and nothing outlives the process.

It keeps no entries of its own, as the nodes do: a tail starts at the end.
"""

from __future__ import annotations

import secrets
import time
from collections import deque
from collections.abc import Callable

from tricast.errors import Conflict, Unavailable
from tricast.wire.cursor import Cursor
from tricast_server.backplane.base import Backplane, Bounds, Deliver, EpochStarted, Publication, Receipt
from tricast_server.bus.log import Entry

_Key = tuple[str | None, str, str | None]


def new_epoch() -> str:
    """A name that no other life of a log has: 60 random bits, lower-case base 32."""
    alphabet = "abcdefghijklmnopqrstuvwxyz234567"
    return "".join(secrets.choice(alphabet) for _ in range(12))


class MemoryBackplane(Backplane):
    """`dedupe_window` in seconds; `wall` and `monotonic` are the clocks, for tests."""

    engine = "memory"

    def __init__(
        self,
        *,
        dedupe_window: float = 120.0,
        wall: Callable[[], float] = time.time,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._epoch = new_epoch()
        self._end = 0
        self._window = dedupe_window
        self._wall = wall
        self._monotonic = monotonic
        self._tails: list[Deliver] = []
        self._seen: dict[_Key, tuple[bytes, int]] = {}
        self._seen_order: deque[tuple[float, _Key]] = deque()
        self._closed = False

    async def append(self, publication: Publication) -> Receipt:
        if self._closed:
            raise Unavailable("the bus is closed", retry_after=1.0)
        digest = b""
        if publication.id is not None:
            self._forget_old()
            digest = publication.digest()
            known = self._seen.get(publication.key)
            if known is not None:
                if known[0] != digest:
                    raise Conflict(f"id {publication.id} was used for another message")
                return Receipt(Cursor(self._epoch, known[1]), duplicate=True)
        self._end += 1
        if publication.id is not None:
            self._seen[publication.key] = (digest, self._end)
            self._seen_order.append((self._monotonic() + self._window, publication.key))
        entry = Entry(
            offset=self._end,
            topic=publication.topic,
            data=publication.data,
            ts=self._wall(),
            id=publication.id,
            event=publication.event,
            sender=publication.sender,
            subject=publication.subject,
        )
        for deliver in self._tails:
            deliver((entry,))
        return Receipt(Cursor(self._epoch, self._end), duplicate=False)

    async def tail(self, deliver: Deliver) -> Bounds:
        bounds = await self.bounds()
        self._tails.append(deliver)
        deliver((EpochStarted(Cursor(bounds.epoch, bounds.start)),))
        return bounds

    async def bounds(self) -> Bounds:
        if self._closed:
            raise Unavailable("the bus is closed", retry_after=1.0)
        return Bounds(self._epoch, self._end, self._end)

    async def close(self) -> None:
        self._closed = True
        self._tails.clear()

    def _forget_old(self) -> None:
        now = self._monotonic()
        while self._seen_order and self._seen_order[0][0] <= now:
            del self._seen[self._seen_order.popleft()[1]]
