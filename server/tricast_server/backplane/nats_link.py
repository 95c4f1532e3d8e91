"""One connection to NATS, from when it is made until it is lost, and what is under way on it.

A client of nats-py that reconnects by itself keeps what it could not send, and sends it long after it was refused. So
none does: what is under way ends with its connection, and another connection takes its place.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeAlias

import nats.errors
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.js import JetStreamContext
from nats.js.api import PubAck
from nats.js.errors import ServiceUnavailableError

from tricast.errors import TooLarge, Unavailable
from tricast_server.bus.tasks import end_task

log = logging.getLogger(__name__)

FAULTS = (nats.errors.Error, OSError, TimeoutError)
"""What nats-py raises where it is not our mistake."""
CONNECT_TIMEOUT = 2.0
API_TIMEOUT = 2.0
ACK_TIMEOUT = 2.5
PING_INTERVAL = 1
WATCH_INTERVAL = 0.5
CLOSE_TIMEOUT = 1.0
UNDER_WAY_MAX = 16 * 2**20
"""Bytes that may wait for their acknowledgement."""
HEADERS_MAX = 256
_NO_ANSWER = (
    OSError,
    TimeoutError,
    nats.errors.ConnectionClosedError,
    nats.errors.OutboundBufferLimitError,
    ServiceUnavailableError,
)
_LOST = (OSError, nats.errors.StaleConnectionError, nats.errors.SlowConsumerError)

Ask: TypeAlias = Callable[[JetStreamContext], Any]


class Link:
    """See the module. `on_lost` is called once, as soon as the link is of no more use; `reason` then says why."""

    def __init__(self, on_lost: Callable[[Link], None]) -> None:
        self.client = Client()
        self.js: JetStreamContext = self.client.jetstream(timeout=API_TIMEOUT)
        self.lost = asyncio.Event()
        self.reason = ""
        self.came_up = False
        """Whether it was ever of use."""
        self.silent: Callable[[float], bool] = lambda now: False
        """Whether what the engine has to send regularly has stayed away."""
        self._on_lost = on_lost
        self._inbox = ""
        self._sent = 0
        self._waiting: dict[str, asyncio.Future[Msg | None]] = {}
        self._under_way = 0
        self._told: set[str] = set()
        self._watcher: asyncio.Task[None] | None = None
        self._closing: asyncio.Task[None] | None = None

    async def open(self, servers: Sequence[str], options: Mapping[str, Any]) -> None:
        """Raises one of FAULTS. Close it then, too."""
        async with asyncio.timeout(CONNECT_TIMEOUT):
            await self.client.connect(
                list(servers),
                **{
                    "name": "tricast",
                    "allow_reconnect": False,
                    "max_reconnect_attempts": 1,  # 0 is for ever
                    "reconnect_time_wait": 0,
                    "connect_timeout": 1,
                    "ping_interval": PING_INTERVAL,
                    "max_outstanding_pings": 2,
                    "pending_size": 4 * UNDER_WAY_MAX,  # at its limit a publish would block
                    "error_cb": self._on_error,
                    "closed_cb": self._on_closed,
                    **options,
                },
            )
            self._inbox = self.client.new_inbox()
            await self.client.subscribe(f"{self._inbox}.*", cb=self._on_ack)
        self._watcher = asyncio.create_task(self._watch())

    def fail(self, reason: str) -> None:
        """The link is of no more use, or can no longer be believed. Idempotent."""
        if not self.lost.is_set():
            self.reason = reason
            self.lost.set()
            for future in self._waiting.values():
                if not future.done():
                    future.set_result(None)
            self._on_lost(self)

    async def close(self) -> bool:
        """Whether it is closed by now. Where the engine takes nothing and something is left to send, that goes on until
        the engine does or is gone: only then is the socket closed. Call again, or `abandon` it.
        """
        self.fail("closed")
        if self._watcher is not None:
            self._watcher.cancel()
            await asyncio.wait((self._watcher,))
        if self._closing is None:
            self._closing = asyncio.create_task(self._close())
        await asyncio.wait((self._closing,), timeout=CLOSE_TIMEOUT)
        return self._closing.done()

    async def abandon(self) -> None:
        if not await self.close() and self._closing is not None:
            await end_task(self._closing)

    async def _close(self) -> None:
        try:
            await self.client.close()
        except (*FAULTS, AssertionError) as error:  # the last where it was never begun
            log.debug("closing: %r", error)

    async def ask(self, question: Ask) -> Any:
        """What JetStream answers. Raises Unavailable, and NotFoundError and other answers as nats-py does."""
        try:
            return await question(self.js)
        except _NO_ANSWER as error:
            self.fail(f"no answer ({error!r})")
            raise Unavailable("the log's engine does not answer", retry_after=1.0) from None

    async def publish(self, subject: str, payload: bytes, headers: dict[str, str] | None) -> PubAck:
        """Raises Unavailable, TooLarge."""
        if len(payload) + HEADERS_MAX > self.client.max_payload:  # the engine would end the connection
            raise TooLarge(f"the log's engine takes {self.client.max_payload - HEADERS_MAX} bytes at most")
        if self._under_way + len(payload) > UNDER_WAY_MAX:
            raise Unavailable("the log's engine does not keep up", retry_after=0.5)
        self._sent += 1
        token = str(self._sent)
        future: asyncio.Future[Msg | None] = asyncio.get_running_loop().create_future()
        self._waiting[token] = future
        self._under_way += len(payload)
        try:
            await self.client.publish(subject, payload, reply=f"{self._inbox}.{token}", headers=headers)
            async with asyncio.timeout(ACK_TIMEOUT):
                answer = await future
        except TimeoutError:
            self.fail("no acknowledgement in time")
            raise _unknown() from None
        except FAULTS as error:
            self.fail(f"nothing can be sent ({error!r})")
            raise Unavailable("the log's engine is away", retry_after=0.5) from None
        finally:
            self._under_way -= len(payload)
            del self._waiting[token]
        if answer is None:
            raise _unknown()
        return self._acknowledgement(answer)

    def _acknowledgement(self, answer: Msg) -> PubAck:
        if answer.headers and answer.headers.get("Status"):
            # Nobody takes this subject: the stream is gone or of another epoch, or it has no leader now.
            self.fail("no stream takes this epoch's messages")
            raise Unavailable("the log begins anew", retry_after=0.1)
        said = json.loads(answer.data)
        if "error" in said:
            self._tell(f"the engine refuses: {said['error'].get('description')}")
            raise Unavailable("the log's engine refuses", retry_after=1.0)
        return PubAck.from_response(said)

    async def _on_ack(self, msg: Msg) -> None:
        future = self._waiting.get(msg.subject.rpartition(".")[2])
        if future is not None and not future.done():
            future.set_result(msg)

    async def _on_error(self, error: Exception) -> None:
        if self._watcher is None or self.lost.is_set():
            log.debug("connecting or closing: %r", error)
        elif isinstance(error, _LOST):
            self.fail(repr(error))
        elif isinstance(error, nats.errors.Error):
            self._tell(f"the engine says: {error}")
        else:  # a defect of ours in a callback: what it was called with must not be passed over
            log.error("what came from the engine could not be handled", exc_info=error)
            self.fail(repr(error))

    async def _on_closed(self) -> None:
        self.fail("the connection was closed")

    def _tell(self, complaint: str) -> None:
        """What the engine says is for the log alone, and once is enough."""
        if complaint not in self._told:
            self._told.add(complaint)
            log.warning("%s", complaint)

    async def _watch(self) -> None:
        """For what nats-py tells nobody: it can fail to call back where its own closing fails."""
        while not self.lost.is_set():
            await asyncio.sleep(WATCH_INTERVAL)
            if self.client.is_closed:
                self.fail("the connection ended")
            elif self.silent(asyncio.get_running_loop().time()):
                self.fail("the engine has fallen silent")


def _unknown() -> Unavailable:
    return Unavailable("no acknowledgement; the outcome is unknown", retry_after=1.0)
