"""What the handlers share: the bus, the settings, who is connected."""

from __future__ import annotations

import asyncio
import random
import time
from collections import Counter
from typing import TYPE_CHECKING, Any

from prometheus_client import CollectorRegistry

from tricast.errors import BadRequest, CommandError, Forbidden, Unauthorized, Unavailable
from tricast.wire import json
from tricast.wire.commands import topic_list
from tricast.wire.cursor import Cursor, is_name
from tricast.wire.messages import PROTOCOL, Bye, Hello, JsonValue
from tricast_server import logs
from tricast_server.backplane.base import Backplane, Publication, Receipt
from tricast_server.backplane.engines import backplane_of
from tricast_server.bus.bus import Bus
from tricast_server.bus.subscription import Subscription
from tricast_server.bus.tasks import end_task
from tricast_server.guard.authorise import CHALLENGE, NOBODY, Access, Authorise, Grant, allow_all, challenge
from tricast_server.guard.leases import Leases
from tricast_server.guard.limits import Limits
from tricast_server.overview import Overview
from tricast_server.pollers import Pollers
from tricast_server.settings import Settings
from tricast_server.tally import Tally

if TYPE_CHECKING:
    from tricast_server.guard.tokens import Tokens

RECONNECT_SPREAD = 2.0
READY_TIMEOUT = 3.0


class Connected:
    """See `Service.connected`. A class, as polls come by the thousand, and a generator would cost twice as much."""

    __slots__ = ("_counts", "_opened", "_transport")

    def __init__(self, counts: Counter[str], opened: Counter[str], transport: str) -> None:
        self._counts = counts
        self._opened = opened
        self._transport = transport

    def __enter__(self) -> None:
        self._counts[self._transport] += 1
        self._opened[self._transport] += 1

    def __exit__(self, *error: object) -> None:
        self._counts[self._transport] -= 1


class Service:
    """One node. `start` and `close` are called by the application that `setup` mounted it in.

    Raises ValueError where the settings' backplane is none.
    """

    overview: Overview
    """Who answers `/stats` and `/metrics`: whoever makes this says who."""

    def __init__(
        self, settings: Settings, *, authorise: Authorise = allow_all, backplane: Backplane | None = None
    ) -> None:
        self.settings = settings
        self.leases = Leases()
        self.tokens: Tokens | None = None
        """Who says who may do what, where the settings ask for tokens."""
        if settings.wants_tokens:
            self.tokens = self._tokens(authorise)
        self.authorise = self.tokens or authorise
        self.bus: Bus = Bus(
            backplane or backplane_of(settings.backplane, settings),
            retention=settings.retention,
            heartbeat=settings.heartbeat,
            flush_interval=settings.flush_interval,
            drop_slow=settings.slow_readers == "disconnect",
        )
        self.connections: Counter[str] = Counter()
        self.tally: Tally = Tally()
        self.refusals: Counter[str] = Counter()
        """Connections and requests that were turned away, by the reason."""
        self.registry: CollectorRegistry | None = None
        """What `/metrics` says: see `tricast_server.metrics`."""
        self.limits = Limits(settings)
        self.pollers = Pollers()
        self.alone = False
        """Whether nothing else in the application has a say in our responses, so that they may be made beforehand."""
        self.drain_ends = 0.0
        """When a drain that has begun gives up, on the event loop's clock."""
        self._reporter: asyncio.Task[None] | None = None
        self._started = time.monotonic()

    async def start(self) -> None:
        """Raises Unavailable where the backplane cannot be reached, ValueError where the file of keys has none."""
        await self.bus.start()
        self.limits.overload.start()
        if self.tokens is not None:
            try:
                await self.tokens.start()
            except BaseException:  # nothing of what has begun may go on
                await self.close()
                raise
        self._reporter = asyncio.create_task(logs.report_refusals(self.refusals))

    async def close(self) -> None:
        """Idempotent."""
        if self._reporter is not None:
            await end_task(self._reporter)
        await self.limits.overload.close()
        await self.bus.close()
        if self.tokens is not None:
            await self.tokens.close()

    def _tokens(self, authorise: Authorise) -> Tokens:
        if authorise is not allow_all:
            raise ValueError("either `authorise` says who may do what, or the settings of tokens")
        from tricast_server.guard.tokens import Tokens  # it takes cryptography along, which not everybody needs

        return Tokens(self.settings, self.leases)

    async def admit(self, access: Access) -> Grant:
        """Asks `authorise`. Where it refuses, the answer to the request will say what would help (RFC 6750, 3)."""
        if self.authorise is allow_all:
            return NOBODY
        try:
            granted = await self.authorise(access)
        except (Unauthorized, Forbidden) as error:
            access.request[CHALLENGE] = challenge(error, access.token)
            raise
        return granted if isinstance(granted, Grant) else Grant(subject=granted)

    async def publish(
        self,
        topic: str,
        data: JsonValue | bytes,
        *,
        event: str | None = None,
        id: str | None = None,
        sender: str | None = None,
    ) -> Receipt:
        """Publish from the application's own code: no limits and no authorisation.

        Raises BadRequest, Conflict, Unavailable.
        """
        topic_list([topic])
        for name in (id, sender):
            if name is not None and not is_name(name):
                raise BadRequest("id and sender are 1 to 64 characters of A-Za-z0-9_-")
        payload = data if isinstance(data, bytes) else json.dumps(data)
        try:
            receipt = await self.bus.publish(Publication(topic=topic, data=payload, event=event, id=id, sender=sender))
        except CommandError as error:
            self.tally.failed(error)
            raise
        self.tally.published("app", payload, receipt)
        return receipt

    @property
    def send_timeout(self) -> float:
        """Seconds after which a peer that takes nothing is given up; it may come back at its cursor."""
        return max(self.settings.send_timeout, 2 * self.settings.heartbeat)

    def refused(self, error: CommandError) -> None:
        """Somebody is answered with this error instead of what they asked for: it is counted."""
        self.refusals[error.reason or error.code] += 1

    def connected(self, transport: str) -> Connected:
        """Counts a connection while it is open."""
        return Connected(self.connections, self.tally.opened, transport)

    def hello(self, transport: str, client: str, topics: tuple[str, ...], cursor: Cursor) -> Hello:
        return Hello(
            protocol=PROTOCOL,
            transport=transport,
            client=client,
            cursor=str(cursor),
            heartbeat=self.settings.heartbeat,
            dedupe_window=self.settings.dedupe_window,
            topics=topics,
            node=self.settings.node,
        )

    def begin(self, subscription: Subscription, hello: Hello) -> None:
        """The first words of a stream, then what the log has for it."""
        subscription.say(hello)
        if self.bus.draining:  # since it was let in
            subscription.drain(self.bye())
        subscription.start()

    def bye(self) -> Bye:
        """Each with another time to come back, so that they do not all come at once."""
        return Bye(reason="drain", reconnect_after=round(random.uniform(0.1, RECONNECT_SPREAD), 2))

    async def ready(self) -> bool:
        """Whether new clients are welcome. Raises Unavailable where the backplane cannot be reached."""
        if self.bus.draining:
            return False
        try:
            async with asyncio.timeout(READY_TIMEOUT):
                await self.bus.backplane.bounds()
        except TimeoutError:
            raise Unavailable("the backplane does not answer", retry_after=1.0) from None
        return True

    def stats(self) -> dict[str, Any]:
        """For `/stats`. No topic names."""
        log, meters = self.bus.log, self.bus.meters
        return {
            "node": self.settings.node,
            "uptime": round(time.monotonic() - self._started, 3),
            "draining": self.bus.draining,
            "backplane": {"engine": self.bus.backplane.engine, "up": self.bus.backplane.up},
            "connections": {name: self.connections[name] for name in ("ws", "sse", "poll")},
            "topics": log.topics,
            "messages": {"published": log.appended, "kept": len(log), "delivered": sum(meters.messages.values())},
            "bytes": {"kept": log.size, "delivered": sum(meters.size.values())},
            "refusals": dict(self.refusals),
            "cursor": str(log.cursor),
        }
