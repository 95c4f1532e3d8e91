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
from tricast_server.guard.addresses import Addresses, limit_key
from tricast_server.guard.buckets import Buckets
from tricast_server.guard.overload import Overload
from tricast_server.settings import Settings

log = logging.getLogger(__name__)
REASONS = ("connections", "connections_per_address", "connect_rate", "publish_rate", "lag", "memory")
BURST = 10.0
"""Seconds whose worth may come at once, where the burst is not given."""
COME_AGAIN = (1.0, 5.0)
"""Seconds: each is told another time, so that they do not all come at once."""
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
        self._told = False
        self._seats = 0
        self._by_address: dict[str, int] = {}

    def connect(self, request: web.Request) -> None:
        """Somebody new comes. Raises RateLimited, Unavailable."""
        if self._watches and (reason := self.overload.reason(self._clock())) is not None:
            raise _refused(Unavailable("this node has more to do than it can", retry_after=_later()), reason)
        address = self.addresses.of(request)  # also for the log
        if self._by_addresses and limit_key(address) is None:
            self._tell_of_proxy(request)
        if self._connects is not None and (key := limit_key(address)) is not None:
            self._take(self._connects, (key,), "connect_rate", "connects")

    def connect_as(self, subject: str | None) -> None:
        """The same, once it is known who it is. Raises RateLimited."""
        if self._connects is not None and subject is not None:
            self._take(self._connects, (_subject_key(subject),), "connect_rate", "connects")

    def publish(self, request: web.Request, subject: str | None) -> None:
        """Raises RateLimited."""
        if self._publishes is None:
            return
        key = limit_key(self.addresses.of(request))
        keys: tuple[str, ...] = () if key is None else (key,)
        if subject is not None:
            keys += (_subject_key(subject),)
        self._take(self._publishes, keys, "publish_rate", "publishes")

    def seat(self, request: web.Request) -> AbstractContextManager[None]:
        """For as long as a connection is held. Entering it raises TooMany or Unavailable where all are taken."""
        if not (self._most or self._most_per_address):
            return NO_SEAT
        return _Seat(self, limit_key(self.addresses.of(request)) if self._most_per_address else None)

    def sit(self, key: str | None) -> None:
        """Raises TooMany, Unavailable. See `seat`."""
        if self._most and self._seats >= self._most:
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

    def _tell_of_proxy(self, request: web.Request) -> None:
        """Once, where a proxy on this machine was not declared: its clients go without limits."""
        if not self._told and self.addresses.undeclared(request):
            self._told = True
            log.info(
                "a proxy asks from this machine: without --trusted-proxy no limit per address holds for its clients"
            )

    def _take(self, buckets: Buckets, keys: tuple[str, ...], reason: str, what: str) -> None:
        wait = buckets.take(keys, self._clock())
        if wait:
            # Rounded up: who comes back a moment too soon would be refused again.
            retry_after = round(wait + 0.005, 2)
            raise _refused(RateLimited(f"too many {what} per second", retry_after=retry_after), reason)


class _Seat(AbstractContextManager[None]):
    __slots__ = ("_key", "_limits")

    def __init__(self, limits: Limits, key: str | None) -> None:
        self._limits = limits
        self._key = key

    def __enter__(self) -> None:
        self._limits.sit(self._key)

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
