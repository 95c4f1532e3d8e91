"""One client connection and its own connection to the server: requests go up, responses come down, at once."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
from dataclasses import dataclass

from tricast_bench.middlebox.counters import Traffic
from tricast_bench.middlebox.exchange import Exchange, kind_of, local_answer
from tricast_bench.middlebox.faults import Faults, Kind, on
from tricast_bench.middlebox.http import (
    BadMessage,
    Body,
    Request,
    Response,
    answer,
    request_body,
    response_body,
    split_events,
)
from tricast_bench.middlebox.live import first, forever
from tricast_bench.middlebox.pipe import Line, Over, Shared, Source
from tricast_bench.middlebox.schedule import cut_due

PIPELINED = 16
LINGER = 1.0
"""Seconds that a client has to end its side before its connection is closed: a close with unread bytes is a reset."""
CONNECT_TIMEOUT = 10.0


@dataclass(frozen=True, slots=True)
class Upstream:
    """Where the server is."""

    host: str
    port: int


class Connection:
    """Started by `run` in a task of its own, and ended by cancelling that task: nothing is written then."""

    def __init__(
        self, shared: Shared, upstream: Upstream, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        self._shared = shared
        self._address = upstream
        self._client = Source(reader)
        self._down = Line("down", writer, shared)
        self._writers = [writer]
        self._server: Source | None = None
        self._up: Line | None = None
        self._waiting: asyncio.Queue[Exchange | None] = asyncio.Queue(PIPELINED)
        self._open: dict[Exchange, asyncio.Task[None]] = {}
        self._idle = Exchange(kind="other", method="", started=self._now(), active=self._now())
        self._client_ended = asyncio.Event()
        self._ended = False

    @property
    def kinds(self) -> set[Kind]:
        """Of the exchanges that go on."""
        return {exchange.kind for exchange in self._open}

    async def run(self) -> None:
        """Returns at the end of the connection, however it came."""
        try:
            async with asyncio.TaskGroup() as self._tasks:
                self._tasks.create_task(self._requests())
                self._tasks.create_task(self._responses())
                await self._down.run()
                self._ended = True
                await self._linger()
                raise Over
        except* (Over, OSError):
            pass
        finally:
            await self._close()

    def count_cut(self, kind: Kind | None = None) -> None:
        """The exchanges that end with a cut now."""
        for exchange in self._open:
            if kind in (None, exchange.kind):
                self._traffic(exchange).cut += 1

    # Up

    async def _requests(self) -> None:
        """Takes requests up, as long as the client has any."""
        try:
            while (request := await self._client.request()) is not None:
                await self._request(request)
        except BadMessage:
            exchange = self._begin("other", "")
            exchange.answer = answer(400)
            await self._waiting.put(exchange)
            while await self._client.some():
                pass
        self._client_ended.set()
        await self._waiting.put(None)
        if self._up is not None:
            self._up.end(self._idle)

    async def _request(self, request: Request) -> None:
        body = request_body(request)
        exchange = self._begin(kind_of(request), request.method)
        if not await self._let_in(exchange):
            return
        exchange.answer = local_answer(request, self._faults)
        exchange.eaten = exchange.answer is None and request.method == "POST" and self._faults.eat_post
        if exchange.answer is None and not exchange.eaten:
            exchange.answer = await self._connect()
        if exchange.answer is None and not exchange.eaten:
            await self._waiting.put(exchange)
            await self._send_up(request, body, exchange)
            return
        if exchange.eaten or "100-continue" not in request.tokens("expect"):
            while await self._client.piece(body):
                pass
        await self._waiting.put(exchange)

    async def _send_up(self, request: Request, body: Body, exchange: Exchange) -> None:
        assert self._up is not None
        stripped = self._faults.strip_upgrade and request.upgrades
        await self._up.put((request.without_upgrade() if stripped else request).encode(), exchange, "head")
        while piece := await self._client.piece(body):
            await self._up.put(body.wrap(piece), exchange, "body")
        await self._up.put(body.end(), exchange, "body")
        if request.upgrades and not stripped:
            await first(exchange.answered.wait(), self._client.closed())
            if exchange.upgraded is not None:
                await self._tunnel(self._client, self._up, exchange)

    def _begin(self, kind: Kind, method: str) -> Exchange:
        exchange = Exchange(kind=kind, method=method, started=self._now(), active=self._now())
        self._open[exchange] = self._tasks.create_task(self._watch(exchange))
        self._traffic(exchange).requests += 1
        self._traffic(exchange).open += 1
        return exchange

    async def _let_in(self, exchange: Exchange) -> bool:
        """Waits while a black hole has the request. False when the client has left meanwhile."""

        def out(faults: Faults) -> float | None:
            return None if on(faults.blackhole, exchange.kind) else 0.0

        async def let_in() -> bool:
            await self._shared.live.until(out, asyncio.Event())
            return True

        if out(self._faults) is not None:
            return True
        return bool(await first(let_in(), self._client.closed()))

    async def _connect(self) -> bytes | None:
        """Opens the connection to the server if it is not open; returns what to answer when that fails."""
        if self._up is not None:
            return None
        try:
            async with asyncio.timeout(CONNECT_TIMEOUT):
                reader, writer = await asyncio.open_connection(self._address.host, self._address.port)
        except OSError:
            return answer(502)
        self._writers.append(writer)
        self._server, self._up = Source(reader), Line("up", writer, self._shared)
        self._tasks.create_task(self._carry_up(self._up))
        return None

    async def _carry_up(self, line: Line) -> None:
        # A server may answer and close before it has read everything: its answer still comes down.
        with contextlib.suppress(OSError):
            await line.run()

    # Down

    async def _responses(self) -> None:
        """Brings a response down for each request, in order, until one side ends."""
        last, more = self._idle, True
        while more and (exchange := await self._next()) is not None:
            last, more = exchange, False
            with contextlib.suppress(BadMessage):
                more = await self._respond(exchange)
            self._finish(exchange)
        self._down.end(last)

    async def _next(self) -> Exchange | None:
        """The next exchange, None at the end: a server may also close while nothing is asked of it."""
        if self._server is None or not self._waiting.empty():
            return await self._waiting.get()
        return await first(self._waiting.get(), self._server.spoken())

    async def _respond(self, exchange: Exchange) -> bool:
        """Whether another response can follow."""
        if exchange.eaten:
            await self._client_ended.wait()
            return False
        if exchange.answer is not None:
            await self._down.put(exchange.answer, exchange, "head")
            return False
        assert self._server is not None
        while (head := await self._server.response()) is not None:
            if head.status == 101:
                exchange.upgrade(self._now())
                await self._down.put(head.encode(), exchange, "head")
                await self._tunnel(self._server, self._down, exchange)
                return False
            if head.status >= 200:
                return await self._pass_response(head, exchange, self._server)
            await self._down.put(head.encode(), exchange, "head")
        return False

    async def _pass_response(self, head: Response, exchange: Exchange, server: Source) -> bool:
        body = response_body(head, exchange.method)
        if head.is_event_stream and exchange.kind != "sse":
            self._becomes_sse(exchange)
        exchange.begin(head)
        await self._down.put(head.encode(), exchange, "head")
        while piece := await server.piece(body):
            apart = exchange.kind == "sse" and on(self._faults.late_by_one, "sse")
            for part in split_events(piece) if apart else (piece,):
                await self._down.put(body.wrap(part), exchange, "body")
        await self._down.put(body.end(), exchange, "body")
        return body.done

    # Both ways

    async def _tunnel(self, source: Source, line: Line, exchange: Exchange) -> None:
        """Bytes of an upgraded connection one way, until they end or too many have passed."""
        while data := await source.some():
            exchange.tunnelled += len(data)
            limit = self._faults.ws_drop_after_bytes if exchange.kind == "ws" else None
            over = exchange.tunnelled - limit if limit is not None else -1
            if over < 0:
                await line.put(data, exchange, "tunnel")
                continue
            await line.put(data[: max(0, len(data) - over)], exchange, "tunnel")
            self._traffic(exchange).cut += 1
            line.cut(exchange)
            await forever()

    async def _watch(self, exchange: Exchange) -> None:
        """Cuts the exchange when that is due."""
        await self._shared.live.until(lambda faults: cut_due(exchange, faults), exchange.bell)
        self._traffic(exchange).cut += 1
        if self._faults.cut_status is None or exchange.begun:
            raise Over
        await self._down.put(answer(self._faults.cut_status), exchange, "head")
        exchange.complete = True
        self._down.end(exchange)

    def _becomes_sse(self, exchange: Exchange) -> None:
        for traffic, change in ((self._traffic(exchange), -1), (self._shared.counters.kinds["sse"], 1)):
            traffic.requests += change
            traffic.open += change
        exchange.kind = "sse"
        exchange.bell.set()

    def _finish(self, exchange: Exchange) -> None:
        exchange.complete = True
        self._down.ring()
        self._traffic(exchange).open -= 1
        self._open.pop(exchange).cancel()

    async def _linger(self) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(LINGER):
                await self._client_ended.wait()

    async def _close(self) -> None:
        for exchange in self._open:
            self._traffic(exchange).open -= 1
        self._open.clear()
        for writer in self._writers:
            if self._faults.reset and not self._ended:
                _reset_at_close(writer)
            writer.transport.abort()
        for writer in self._writers:
            with contextlib.suppress(OSError):
                await writer.wait_closed()

    @property
    def _faults(self) -> Faults:
        return self._shared.live.faults

    def _traffic(self, exchange: Exchange) -> Traffic:
        return self._shared.counters.kinds[exchange.kind]

    def _now(self) -> float:
        return asyncio.get_running_loop().time()


def _reset_at_close(writer: asyncio.StreamWriter) -> None:
    """Closing sends RST from here on."""
    peer: socket.socket | None = writer.get_extra_info("socket")
    if peer is not None and peer.fileno() >= 0:
        peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
