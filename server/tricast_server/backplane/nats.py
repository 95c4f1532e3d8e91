"""The log in a JetStream stream: its sequence numbers are the offsets, and its acknowledgements the receipts.

One stream with one subject, whatever the topics: what one stream keeps is ordered. An append is a publish whose
acknowledgement is awaited, many at once on one connection. Appends that got none are refused, with the outcome unknown;
none is sent again. How lives of the stream are told apart is said in `nats_stream`.
"""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import urlsplit

from nats.js.errors import NotFoundError

from tricast.errors import Conflict, Unavailable
from tricast.wire.cursor import Cursor
from tricast_server.backplane.base import Backplane, Bounds, Deliver, Publication, Receipt
from tricast_server.backplane.nats_link import FAULTS, Link
from tricast_server.backplane.nats_stream import Life, Stream, Witness, message_id
from tricast_server.backplane.nats_tail import Tail
from tricast_server.backplane.shared import Shared
from tricast_server.backplane.stored import dump, load
from tricast_server.bus.log import Retention
from tricast_server.bus.tasks import end_task

log = logging.getLogger(__name__)

RETENTION = Retention(count=100_000)
"""Over all topics: what a node can load when it starts, beside its age and its bytes."""
LOAD_TIMEOUT = 60.0
WAIT_TIMEOUT = 2.5
"""Seconds that a call waits for a connection that is being made."""
RETRY_FIRST = 0.05
RETRY_MAX = 1.0
STEADY = 5.0
"""Seconds after which a connection that is lost was not a failed attempt."""


class NatsBackplane(Backplane):
    """`url` may be several with commas between. `options` go to nats-py's `connect` as they are: TLS, credentials.

    `retention.count` counts over all topics. The stream is made where there is none, with `replicas`.
    """

    engine = "nats"

    def __init__(
        self,
        url: str,
        stream: str = "tricast",
        *,
        retention: Retention | None = None,
        dedupe_window: float = 120.0,
        replicas: int = 1,
        options: Mapping[str, Any] | None = None,
        wall: Callable[[], float] = time.time,
    ) -> None:
        self._servers = [_checked(server.strip()) for server in url.split(",")]
        self._options = dict(options or {})
        self._stream = Stream(stream, retention or RETENTION, dedupe_window, replicas)
        self._witness = Witness()
        self._wall = wall
        self._tails: list[Tail] = []
        self._state = Shared(self._ask_state)
        self._link: Link | None = None
        self._life: Life | None = None
        self._tried = asyncio.Event()
        """That the last attempt to connect has ended, well or not."""
        self._fault = ""
        self._ending: list[Link] = []
        self._keeper: asyncio.Task[None] | None = None
        self._closed = False

    @property
    def up(self) -> bool:
        return self._link is not None

    async def append(self, publication: Publication) -> Receipt:
        link, life = await self._usable()
        witness = self._witness
        seen = witness.seen
        payload = dump(publication, self._wall())
        headers = None if publication.id is None else {"Nats-Msg-Id": message_id(life.epoch, publication)}
        ack = await link.publish(life.subject, payload, headers)
        if ack.duplicate:
            await self._compare(link, publication, ack.seq)
        elif ack.seq <= seen:
            link.fail("the stream has lost its end")
            raise Unavailable("the log has lost its end; the outcome is unknown", retry_after=0.1)
        elif witness.life is life:
            witness.saw(ack.seq, payload)
        return Receipt(Cursor(life.epoch, ack.seq), duplicate=bool(ack.duplicate))

    async def tail(self, deliver: Deliver) -> Bounds:
        link, _ = await self._usable()
        life = await self._look(link)
        tail = Tail(deliver, self._stream.name, self._witness)
        try:
            async with asyncio.timeout(LOAD_TIMEOUT):
                await tail.follow(link, life)
                await tail.caught_up()
        except FAULTS as error:
            tail.end()
            raise self._away(link, error) from None
        except BaseException:  # cancelled, or a defect: nobody would end it
            tail.end()
            raise
        self._tails.append(tail)
        return Bounds(tail.epoch, tail.start, max(life.end, tail.offset))

    async def bounds(self) -> Bounds:
        return await self._state.ask()

    async def _ask_state(self) -> Bounds:
        link, _ = await self._usable()
        life = await self._look(link)
        return Bounds(life.epoch, life.start, max(life.start, life.end))

    async def close(self) -> None:
        self._closed = True
        for tail in self._tails:
            tail.end()
        self._tails.clear()
        await self._state.close()
        if self._keeper is not None:
            await end_task(self._keeper)
            self._keeper = None
        for link in self._ending:
            await link.abandon()
        self._ending.clear()
        self._tried.set()

    async def _usable(self) -> tuple[Link, Life]:
        """The connection and the life it is in. Waits for one that is being made, not for one that has failed."""
        if not self._closed and self._keeper is None:
            self._keeper = asyncio.create_task(self._keep())
        if not self._closed and not self._tried.is_set():
            try:
                async with asyncio.timeout(WAIT_TIMEOUT):
                    await self._tried.wait()
            except TimeoutError:
                raise Unavailable("the log's engine does not answer", retry_after=1.0) from None
        if self._closed:
            raise Unavailable("the bus is closed", retry_after=1.0)
        if self._link is None or self._life is None:
            raise Unavailable("the log's engine is away", retry_after=1.0)
        return self._link, self._life

    async def _look(self, link: Link) -> Life:
        """What the engine holds now. Where that is another life, the connection is given up, and the next one tells."""
        assert self._life is not None
        seen = self._witness.seen
        try:
            life = await self._stream.look(link)
        except NotFoundError:
            life = None
        except FAULTS as error:
            raise self._away(link, error) from None
        if life is None or life.epoch != self._life.epoch or life.end < seen:
            link.fail("the stream is not the same any more")
            raise Unavailable("the log begins anew", retry_after=0.1)
        return life

    @staticmethod
    def _away(link: Link, error: Exception) -> Unavailable:
        """What to tell of an error. What the engine said is for the log alone."""
        link.fail(repr(error))
        return Unavailable("the log's engine refuses", retry_after=1.0)

    async def _compare(self, link: Link, publication: Publication, sequence: int) -> None:
        """Raises Conflict where the message there says something else."""
        try:
            payload = await self._stream.payload(link, sequence)
        except FAULTS as error:
            raise self._away(link, error) from None
        if payload is None:
            return  # it was let go since: nothing is known but that the id was used
        first = load(payload, sequence)
        said = Publication(topic=first.topic, data=first.data, event=first.event)
        if said.digest() != publication.digest():
            raise Conflict(f"id {publication.id} was used for another message")

    async def _keep(self) -> None:
        """Makes a connection, and another one whenever it is lost, and brings the tails there."""
        delay = RETRY_FIRST
        clock = asyncio.get_running_loop().time
        while not self._closed:  # as nats-py can swallow a cancellation
            began = clock()
            link = Link(self._on_lost)
            try:
                await self._bring_up(link)
                await link.lost.wait()
                fault = link.reason
            except (*FAULTS, Unavailable) as error:
                fault = link.reason or str(error) or repr(error)
            except Exception as error:
                fault = repr(error)
                if fault != self._fault:
                    log.exception("the engine cannot be used")
            finally:
                self._on_lost(link)
                self._ending.append(link)
                self._ending = [ending for ending in self._ending if not await ending.close()]
            if fault != self._fault:
                log.warning("the engine is away: %s", fault)
            self._fault = fault
            if not link.came_up:
                self._tried.set()  # until it is back, calls need not wait
            if clock() - began > STEADY and link.came_up:
                delay = RETRY_FIRST
            else:
                await asyncio.sleep(delay * random.uniform(0.5, 1.0))
                delay = min(2 * delay, RETRY_MAX)

    async def _bring_up(self, link: Link) -> None:
        await link.open(self._servers, self._options)
        life = await self._witness.verified(self._stream, link)
        for tail in list(self._tails):
            await tail.follow(link, life)
        link.silent = lambda now: any(tail.silent(now) for tail in self._tails)
        if link.lost.is_set() or self._closed:
            raise Unavailable(link.reason)
        if self._fault:
            log.info("the engine is back")
        self._fault = ""
        link.came_up = True
        self._link, self._life = link, life
        self._tried.set()

    def _on_lost(self, link: Link) -> None:
        for tail in self._tails:
            tail.stop()
        if self._link is link:
            self._link = None
            self._tried.clear()


def _checked(url: str) -> str:
    parts = urlsplit(url)
    if parts.scheme not in ("nats", "tls", "ws", "wss") or not parts.hostname:
        raise ValueError("not the address of a NATS server, as nats://127.0.0.1:4222")
    return url
