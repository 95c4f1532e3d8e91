"""Bytes on their way: read without waiting for the other side, and written when the faults let them pass."""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections import deque
from dataclasses import dataclass, field

from tricast_bench.middlebox.counters import Counters
from tricast_bench.middlebox.exchange import Exchange
from tricast_bench.middlebox.faults import Faults, Way
from tricast_bench.middlebox.http import BadMessage, Body, Request, Response, UntilClose, take_request, take_response
from tricast_bench.middlebox.live import Live, forever
from tricast_bench.middlebox.schedule import Bottleneck, Parcel, Part, due, is_silenced, slice_of

READ = 65_536
LIMIT = 1_048_576
"""Bytes that wait on one line before its source is no longer read."""


class Over(Exception):
    """The connection is at its end."""


@dataclass(slots=True, kw_only=True)
class Shared:
    """What all connections of a middlebox have in common."""

    live: Live
    random: random.Random
    counters: Counters = field(default_factory=Counters)
    bottlenecks: dict[Way, Bottleneck] = field(default_factory=lambda: {"up": Bottleneck(), "down": Bottleneck()})


class Source:
    """One peer's bytes, and what of them has not been used yet. For one reader at a time."""

    def __init__(self, reader: asyncio.StreamReader) -> None:
        self._reader = reader
        self._buffer = bytearray()

    async def request(self) -> Request | None:
        """The next request's head, None at the end. Raises BadMessage."""
        while (head := take_request(self._buffer)) is None:
            if not await self._more():
                return None
        return head

    async def response(self) -> Response | None:
        """The next response's head, None at the end. Raises BadMessage."""
        while (head := take_response(self._buffer)) is None:
            if not await self._more():
                return None
        return head

    async def piece(self, body: Body) -> bytes:
        """The next piece of a body, empty behind the last one. Raises BadMessage where it stops before its end."""
        while not body.done:
            if piece := body.take(self._buffer):
                return piece
            if not body.done and not await self._more():
                if isinstance(body, UntilClose):
                    break
                raise BadMessage("a body that stops before its end")
        return b""

    async def some(self) -> bytes:
        """Whatever comes next, empty at the end."""
        if not self._buffer:
            await self._more()
        data = bytes(self._buffer)
        self._buffer.clear()
        return data

    async def closed(self) -> None:
        """Returns when the peer has ended its side; what it sends before that is kept, as far as there is room."""
        while await self._more():
            if len(self._buffer) >= LIMIT:
                await forever()

    async def spoken(self) -> None:
        """Returns when the peer has sent something or has ended its side."""
        if not self._buffer:
            await self._more()

    async def _more(self) -> bool:
        with contextlib.suppress(OSError):
            data = await self._reader.read(READ)
            self._buffer += data
            return bool(data)
        return False


class Line:
    """One direction of a connection: what is put on it is written in order, each parcel when it is due."""

    def __init__(self, way: Way, writer: asyncio.StreamWriter, shared: Shared) -> None:
        self._way: Way = way
        self._writer = writer
        self._shared = shared
        self._parcels: deque[Parcel] = deque()
        self._size = 0
        self._ending = False
        self._broken = False
        self._bell = asyncio.Event()
        self._room = asyncio.Event()
        # Then drain() returns when the kernel has everything.
        writer.transport.set_write_buffer_limits(0)

    async def put(self, data: bytes, exchange: Exchange, part: Part) -> None:
        """Returns when there is room for more. What comes after the end, or on a broken line, is dropped."""
        if not data or self._ending or self._broken:
            return
        exchange.active = self._now()
        self._add(data, exchange, part)
        while self._size > LIMIT and not self._broken:
            self._room.clear()
            await self._room.wait()

    def end(self, exchange: Exchange) -> None:
        """Nothing follows; the peer gets to know it in its turn."""
        if not self._ending:
            self._ending = True
            self._add(b"", exchange, "end")

    def cut(self, exchange: Exchange) -> None:
        """The connection ends where this is due."""
        self._add(b"", exchange, "cut")
        self._ending = True

    def ring(self) -> None:
        """Has to be called when an exchange of what waits has changed."""
        self._bell.set()

    async def run(self) -> None:
        """Writes until the end. Raises Over at a cut, and OSError."""
        try:
            while True:
                await self._shared.live.until(self._due, self._bell)
                parcel = self._parcels[0]
                if parcel.part == "cut":
                    raise Over
                await self._pass(parcel)
                self._parcels.popleft()
                self._size -= len(parcel.data)
                self._room.set()
                if parcel.part == "end":
                    return
        finally:
            self._broken = True
            self._room.set()

    def _add(self, data: bytes, exchange: Exchange, part: Part) -> None:
        luck = self._shared.random.random()
        self._parcels.append(Parcel(data=data, exchange=exchange, part=part, arrived=self._now(), luck=luck))
        self._size += len(data)
        if self._size >= (self._shared.live.faults.hold_bytes or LIMIT):
            for parcel in self._parcels:
                parcel.released = True
        self._bell.set()

    def _due(self, faults: Faults) -> float | None:
        if not self._parcels:
            return None
        return due(self._parcels[0], faults, self._way, last=len(self._parcels) == 1, ending=self._ending)

    async def _pass(self, parcel: Parcel) -> None:
        if parcel.part == "end":
            if self._writer.can_write_eof():
                self._writer.write_eof()
        elif not is_silenced(parcel, self._shared.live.faults, self._way):
            await self._write(parcel)

    async def _write(self, parcel: Parcel) -> None:
        live, rest = self._shared.live, memoryview(parcel.data)
        traffic = self._shared.counters.kinds[parcel.exchange.kind]
        while rest:
            rate = live.faults.bandwidth_bps
            size = len(rest) if rate is None else min(len(rest), slice_of(rate))
            if rate is not None:
                await self._passed(size, rate, parcel.exchange)
            self._writer.write(bytes(rest[:size]))
            if self._way == "up":
                traffic.up += size
            else:
                traffic.down += size
            await self._writer.drain()
            rest = rest[size:]

    async def _passed(self, size: int, rate: float, exchange: Exchange) -> None:
        """Waits until a slow line has had the time for so many bytes, or is slow no more."""
        when = self._shared.bottlenecks[self._way].reserve(size, rate, self._now())

        def end(faults: Faults) -> float | None:
            return when if faults.bandwidth_bps == rate else 0.0

        await self._shared.live.until(end, self._bell)

    def _now(self) -> float:
        return asyncio.get_running_loop().time()
