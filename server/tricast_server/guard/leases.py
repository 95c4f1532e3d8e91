"""Connections that are open by a grant, and end with it: when it expires, or is revoked."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

from tricast.errors import Unauthorized
from tricast_server.guard.authorise import Grant

STEP_MAX = 3600.0
"""Seconds until a clock that may have been set meanwhile is looked at again."""


class Leases:
    """All that are held. For one event loop."""

    def __init__(self) -> None:
        self._held: dict[Lease, None] = {}

    def hold(self, grant: Grant, on_end: Callable[[Unauthorized], None]) -> Lease:
        """For the length of a connection: `with` it. `on_end` is called once, on the loop, with what to tell the
        client, and must not block.
        """
        return Lease(self._held, grant, on_end)

    def review(self) -> None:
        """Ends the connections whose grant was revoked. Parked polls look by themselves within some seconds."""
        for lease in list(self._held):
            lease.check()


class Lease:
    """One connection's. Costs nothing where its grant has no end."""

    __slots__ = ("_grant", "_held", "_on_end", "_timer")

    def __init__(self, held: dict[Lease, None], grant: Grant, on_end: Callable[[Unauthorized], None]) -> None:
        self._held = held
        self._grant = grant
        self._on_end = on_end
        self._timer: asyncio.TimerHandle | None = None

    def __enter__(self) -> Lease:
        self.renew(self._grant)
        return self

    def __exit__(self, *error: object) -> None:
        self._held.pop(self, None)
        if self._timer is not None:
            self._timer.cancel()

    def renew(self, grant: Grant) -> None:
        """From now on it is by this grant."""
        self._grant = grant
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if grant.revoked is not None:
            self._held[self] = None
        if grant.expires is not None:
            delay = min(max(0.0, grant.expires - time.time()), STEP_MAX)
            self._timer = asyncio.get_running_loop().call_later(delay, self._is_due)

    def check(self) -> None:
        """Ends it unless the grant holds."""
        try:
            self._grant.check()
        except Unauthorized as error:
            self.__exit__()
            self._on_end(error)

    def _is_due(self) -> None:
        if self._grant.holds:  # the clock was set back, or this was but a step
            self.renew(self._grant)
        else:
            self.check()
