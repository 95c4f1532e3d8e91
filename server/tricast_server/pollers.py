"""Connections whose last poll was answered: their clients may come again, and a drain waits for them."""

from __future__ import annotations

import asyncio

from tricast_server.transports.sink import unsent

PURGE_AT = 1024


class Pollers:
    """Those that closed since are forgotten whenever the set has doubled, so that adding stays cheap."""

    def __init__(self) -> None:
        self._transports: set[asyncio.Transport] = set()
        self._purge_at = PURGE_AT

    def add(self, transport: asyncio.Transport) -> None:
        self._transports.add(transport)
        if len(self._transports) >= self._purge_at:
            self._transports = {known for known in self._transports if not known.is_closing()}
            self._purge_at = max(PURGE_AT, 2 * len(self._transports))

    def __bool__(self) -> bool:
        """Whether any is still open, or closing but not written out."""
        return any(not known.is_closing() or unsent(known) for known in self._transports)
