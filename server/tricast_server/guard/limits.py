"""How much: connections at once, connects and publishes per second, and when the process has enough to do.

Where a limit is off nothing is looked up. Whoever is refused is told when to come again.
"""

from __future__ import annotations

import logging
import random
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext

from aiohttp import web

from tricast.errors import CommandError, RateLimited, TooMany, Unavailable
from tricast_server.guard.addresses import UNIX, Addresses, limit_key
from tricast_server.guard.buckets import Buckets
from tricast_server.guard.overload import Overload
from tricast_server.settings import Settings

log = logging.getLogger(__name__)
REASONS = ("connections", "connections_per_address", "connect_rate", "publish_rate", "lag", "memory")
BURST = 10.0
"""Seconds whose worth may come at once, where the burst is not given."""
COME_AGAIN = (1.0, 5.0)
"""Seconds: each is told another time, so that they do not all come at once."""
TELL_AGAIN = 3600.0
"""Seconds between two warnings of one kind: the first may have been caused by a stranger who made a header up."""
NO_SEAT: AbstractContextManager[None] = nullcontext()


class Limits:
    """Of one service; `clock` in seconds, time.monotonic() where overload is watched. Errors carry one of `REASONS`."""

    def __init__(self, settings: Settings, clock: Callable[[], float] = time.monotonic) -> None:
        self.addresses = Addresses(settings.trusted_proxies, settings.proxy_header)
        self.overload = Overload(settings.max_lag or 0.0, settings.max_memory)
        self._most = settings.max_connections or 0
        self._most_per_address = settings.max_connections_per_address or 0
        self._connects = _buckets(settings.connect_rate, settings.connect_burst)
        self._publishes = _buckets(settings.publish_rate, settings.publish_burst)
        self._by_addresses = bool(self._most_per_address or self._connects or self._publishes)
        self._watches = bool(settings.max_lag or settings.max_memory)
        self._clock = clock
        self._told: dict[bool, float] = {}
        self._seats = 0
        self._by_address: dict[str, int] = {}

    def connect(self, request: web.Request) -> None:
        """Somebody new comes. Raises RateLimited, Unavailable."""
        if self._watches and (reason := self.overload.reason(self._clock())) is not None:
            raise _refused(Unavailable("this node has more to do than it can", retry_after=_later()), reason)
        key = self.addresses.key(request)  # the address also for the log
        if self._by_addresses and self.addresses.undeclared(request):
            self._tell_of_proxy(request.remote or UNIX)
        if self._connects is not None and key is not None:
            self._take(self._connects, (key,), "connect_rate", "connects")

    def connect_as(self, subject: str | None) -> None:
        """The same, once it is known who it is. Raises RateLimited."""
        if self._connects is not None and subject is not None:
            self._take(self._connects, (_subject_key(subject),), "connect_rate", "connects")

    def publish(self, request: web.Request, subject: str | None) -> None:
        """Raises RateLimited."""
        if self._publishes is None:
            return
        key = self.addresses.key(request)
        keys: tuple[str, ...] = () if key is None else (key,)
        if subject is not None:
            keys += (_subject_key(subject),)
        self._take(self._publishes, keys, "publish_rate", "publishes")

    def seat(self, request: web.Request, *, goes_on: bool = False) -> AbstractContextManager[None]:
        """For as long as a connection is held. Entering it raises TooMany or Unavailable where all are taken.

        A poll that `goes_on` was let in before, and between two polls somebody else may have come: it is refused only
        at twice as many, which are more than were ever let in.
        """
        if not (self._most or self._most_per_address):
            return NO_SEAT
        most = 2 * self._most if goes_on else self._most
        return _Seat(self, self.addresses.key(request) if self._most_per_address else None, most)

    def sit(self, key: str | None, most: int) -> None:
        """Raises TooMany, Unavailable. See `seat`."""
        if most and self._seats >= most:
            # Not the client's doing, and another node may have room: a proxy may ask one at this status.
            message = f"this node has {self._seats} connections, and no more are allowed"
            raise _refused(Unavailable(message, retry_after=_later()), "connections")
        if key is not None:
            held = self._by_address.get(key, 0)
            if held >= self._most_per_address:
                message = f"there are {held} connections from {key}, and no more are allowed"
                raise _refused(TooMany(message, retry_after=_later()), "connections_per_address")
            self._by_address[key] = held + 1
        self._seats += 1

    def rise(self, key: str | None) -> None:
        """Gives up what `sit` took."""
        self._seats -= 1
        if key is not None:
            self._by_address[key] -= 1
            if not self._by_address[key]:
                del self._by_address[key]

    def _tell_of_proxy(self, peer: str) -> None:
        """Of a proxy that was not declared, which would otherwise be found out when it is too late."""
        here = limit_key(peer) is None
        now = self._clock()
        if now < self._told.get(here, now):
            return
        self._told[here] = now + TELL_AGAIN
        if here:
            holds = "no limit per address holds for its clients"
        else:
            holds = "all its clients count as one address, and share its limits"
        log.warning("%s says that it asks for others: if it is a proxy, %s. Name it with --trusted-proxy", peer, holds)

    def _take(self, buckets: Buckets, keys: tuple[str, ...], reason: str, what: str) -> None:
        wait = buckets.take(keys, self._clock())
        if wait:
            # Rounded up: who comes back a moment too soon would be refused again.
            retry_after = round(wait + 0.005, 2)
            raise _refused(RateLimited(f"too many {what} per second", retry_after=retry_after), reason)


class _Seat(AbstractContextManager[None]):
    __slots__ = ("_key", "_limits", "_most")

    def __init__(self, limits: Limits, key: str | None, most: int) -> None:
        self._limits = limits
        self._key = key
        self._most = most

    def __enter__(self) -> None:
        self._limits.sit(self._key, self._most)

    def __exit__(self, *error: object) -> None:
        self._limits.rise(self._key)


def _refused(error: CommandError, reason: str) -> CommandError:
    error.reason = reason
    return error


def _buckets(rate: float | None, burst: int | None) -> Buckets | None:
    return Buckets(rate, burst or max(1.0, BURST * rate)) if rate else None


def _subject_key(subject: str) -> str:
    return f"subject {subject}"


def _later() -> float:
    return round(random.uniform(*COME_AGAIN), 1)
