"""`GET /ws`: one frame, one object, both ways (RFC 6455)."""

from __future__ import annotations

import asyncio
import zlib
from typing import Any

from aiohttp import WSCloseCode, WSMsgType, web

from tricast.errors import BadRequest, CommandError, Forbidden, TooMany, Unauthorized, Unavailable
from tricast.wire.messages import Error, Ping, Reply
from tricast_server import logs
from tricast_server.bus.subscription import End, Subscription
from tricast_server.framing import FORMATS, Format, format_told_in
from tricast_server.framing.websocket import WINDOW_BITS, DeflatedFraming, WebSocketFraming, data_frame
from tricast_server.guard.authorise import (
    TOKEN_PROTOCOL,
    Access,
    Grant,
    is_like_a_token,
    offered_protocols,
    without_inboxes,
)
from tricast_server.guard.leases import Lease
from tricast_server.guard.upgrade import check_no_body
from tricast_server.service import Service
from tricast_server.transports.commands import Caller, error_frame
from tricast_server.transports.connect import enter
from tricast_server.transports.sink import StreamSink

SUBPROTOCOL = "tricast.v1."
PROTOCOLS = tuple(SUBPROTOCOL + name for name in FORMATS)
PINGS_MAX = 8
CLOSE_TIMEOUT = 2.0
ESCAPED = 6
"""Bytes that one may become as `\\u0000`: the limit is of the data, however they are spelled."""
PING_INTERVAL_MIN = 4.0
"""aiohttp waits for a pong half as long as it waits to ping: under 2 s a busy but living client would be cut."""
_PLAIN = {name: WebSocketFraming(format) for name, format in FORMATS.items()}
_DEFLATED = {name: DeflatedFraming(format) for name, format in FORMATS.items()}


async def handle(request: web.Request, service: Service) -> web.StreamResponse:
    """One connection, from handshake to close."""
    if service.bus.draining:
        raise Unavailable("this node is going away", retry_after=1.0)
    service.limits.connect(request)
    with service.limits.seat(request):
        return await _serve(request, service)


async def _serve(request: web.Request, service: Service) -> web.StreamResponse:
    _check_protocols(request)
    check_no_body(request)
    response = BusWebSocket(
        protocols=PROTOCOLS,
        heartbeat=max(PING_INTERVAL_MIN, service.settings.heartbeat),
        timeout=CLOSE_TIMEOUT,
        autoclose=False,  # a close is answered after the subscription has left the live set, never before
        compress=service.settings.compress,
        max_msg_size=ESCAPED * service.settings.max_message + 2**16,
    )
    ready = response.can_prepare(request)
    if not ready or request.version < (1, 1):
        raise BadRequest("this is a WebSocket endpoint, and no upgrade arrived; a proxy may have taken it out")
    format = ready.protocol.removeprefix(SUBPROTOCOL) if ready.protocol else None
    try:
        entrance = await enter(request, service, format=format)
        service.limits.connect_as(entrance.grant.subject)
    except CommandError as error:
        told = format_told_in(format or request.query.get("format"))
        return await _refuse(request, service, response, error, told)
    params, start = entrance.params, entrance.start
    writer = await response.prepare(request)
    # A frame made for a larger window than was agreed could not be read: then all stay as they are, which is allowed.
    framings = _DEFLATED if response.compress == WINDOW_BITS else _PLAIN
    sink = StreamSink(
        request,
        writer,
        framings[params.format.name],
        high_mark=service.settings.write_buffer,
        timeout=service.send_timeout,
        ending=lambda: response.closed,
    )
    with service.connected("ws"), logs.connection(request, "ws", params.topics) as ending:
        connection = _Connection(response)
        subscription = service.bus.subscribe(sink, entrance.view, start.cursor, connection.ended)
        connection.caller = Caller(
            service=service,
            request=request,
            client=entrance.client,
            subject=entrance.grant.subject,
            token=entrance.token,
            topic=params.topics[0],
            stream=connection,
        )
        connection.subscription = subscription
        response.connection = connection
        try:
            service.begin(subscription, service.hello("ws", entrance.client, params.topics, start.asked))
            with service.leases.hold(entrance.grant, connection.expired) as connection.lease:
                await connection.read(params.format)
        finally:
            try:
                await connection.aclose()
            finally:  # also where the client was too quick in leaving
                ending.code, ending.reason = response.close_code, (subscription.ended or End.LOST).name.lower()
    return response


def _check_protocols(request: web.Request) -> None:
    """A token alone is none of the formats, so a browser would fail the connection (and aiohttp would log the list)."""
    offered = offered_protocols(request)
    if any(map(is_like_a_token, offered)) and not any(name in PROTOCOLS for name in offered):
        raise BadRequest(f"offer a format: {', '.join(PROTOCOLS)}; a token stands beside it, as {TOKEN_PROTOCOL}...")


async def _refuse(
    request: web.Request, service: Service, response: web.WebSocketResponse, error: CommandError, format: Format
) -> web.StreamResponse:
    """A browser sees no HTTP status, so what is refused for good is accepted, told and closed.

    What passes is refused before the upgrade: a close code would have to say whether to come back.
    """
    if error.retryable:
        raise error
    service.refused(error)
    code = 4401 if isinstance(error, Unauthorized) else 4403 if isinstance(error, Forbidden) else 4400
    await response.prepare(request)
    if request.transport is not None:
        request.transport.write(data_frame(format.frame(error_frame(error))))
    await _close(request, response, code, error.code)
    return response


async def _close(request: web.Request, response: web.WebSocketResponse, code: int, reason: str) -> None:
    """The closing handshake (RFC 6455, 7.1); a peer that takes no part in it is left."""
    try:
        async with asyncio.timeout(CLOSE_TIMEOUT * 2):
            await response.close(code=code, message=reason.encode())
    except TimeoutError:
        if request.transport is not None:
            request.transport.abort()  # with something left to write, `close` would wait for as long as TCP does


class BusWebSocket(web.WebSocketResponse):
    """Whoever closes it, it leaves the live set before: nothing may follow a close frame (RFC 6455, 5.5.1)."""

    connection: _Connection | None = None

    async def close(self, **more: Any) -> bool:
        if self.connection is not None:
            self.connection.subscription.end(End.LOST)
        if isinstance(self.exception(), zlib.error):  # aiohttp says 1000 to what is not compressed as it says
            more["code"] = WSCloseCode.INVALID_TEXT
        return await super().close(**more)


class _Connection:
    """Reads commands, and is what only a two-way connection can do."""

    caller: Caller
    subscription: Subscription
    lease: Lease

    def __init__(self, response: web.WebSocketResponse) -> None:
        self._response = response
        self._pings: set[asyncio.TimerHandle] = set()
        self._closing: asyncio.Task[None] | None = None

    async def read(self, format: Format) -> None:
        """Returns when the connection has ended. Commands are carried out one after the other, in the order sent."""
        while self.subscription.ended is None:
            message = await self._response.receive()
            if message.type is not WSMsgType.TEXT and message.type is not WSMsgType.BINARY:
                return
            reply = await self._answer(format, message.data)
            if reply is not None:
                self.subscription.say(reply)
            try:
                await self.subscription.sink.drain()  # answers are memory too: no reading while they pile up
            except ConnectionError:
                return

    async def _answer(self, format: Format, payload: str | bytes) -> Reply | Error | None:
        try:
            value = format.command(payload)
        except CommandError as error:
            return error_frame(error)
        return await self.caller.run(value)

    @property
    def topics(self) -> tuple[str, ...]:
        return self.subscription.view.topics

    async def subscribe(self, topics: tuple[str, ...], ref: str | None) -> Reply:
        caller = self.caller
        held = self.subscription.view.topics
        if len({*held, *topics}) > caller.service.settings.max_topics:
            raise BadRequest(f"too many topics: the limit is {caller.service.settings.max_topics}")
        access = Access(
            what="subscribe",
            topics=without_inboxes(topics),
            client=caller.client,
            token=caller.token,
            request=caller.request,
        )
        await caller.service.admit(access)
        return self._change_topics((*self.subscription.view.topics, *topics), "subscribe", ref)

    async def unsubscribe(self, topics: tuple[str, ...], ref: str | None) -> Reply:
        left = tuple(topic for topic in self.subscription.view.topics if topic not in topics)
        return self._change_topics(left, "unsubscribe", ref)

    def _change_topics(self, topics: tuple[str, ...], action: str, ref: str | None) -> Reply:
        cursor = self.subscription.change_topics(topics)
        return Reply(action=action, ref=ref, cursor=str(cursor), topics=self.subscription.view.topics)

    def renew(self, grant: Grant) -> None:
        self.lease.renew(grant)

    def expired(self, error: Unauthorized) -> None:
        """Nothing more is shown; the client comes back at its cursor with another token."""
        if self.subscription.ended is None:
            self.subscription.expire(error_frame(error))

    def ping_later(self, ping: Ping) -> None:
        if len(self._pings) >= PINGS_MAX:
            raise TooMany(f"{PINGS_MAX} pings wait already", retry_after=ping.delay)

        def answer() -> None:
            self._pings.discard(handle)
            self.subscription.say(Reply(action="ping", ref=ping.ref))

        handle = asyncio.get_running_loop().call_later(ping.delay, answer)
        self._pings.add(handle)

    def ended(self, why: End) -> None:
        """The subscription has: tell a drained client, and break the read."""
        if why is End.DRAINED:
            self._begin_close(1012, "drain")
        elif why is End.EXPIRED:
            self._begin_close(4001, "token expired")
        elif why is End.SLOW:
            self.caller.service.refusals["slow_reader"] += 1
            self._begin_close(4002, "too slow")

    async def aclose(self) -> None:
        for handle in self._pings:
            handle.cancel()
        await self.subscription.aclose()
        if self._closing is None:
            self._begin_close(1000, "bye")
        assert self._closing is not None
        await self._closing

    def _begin_close(self, code: int, reason: str) -> None:
        self._closing = asyncio.create_task(self._finish(code, reason))

    async def _finish(self, code: int, reason: str) -> None:
        caller = self.caller
        if self.subscription.ended is End.DRAINED:  # it is owed everything before the closing handshake may time out
            await self.subscription.sink.emptied(caller.service.drain_ends)
        await _close(caller.request, self._response, code, reason)
