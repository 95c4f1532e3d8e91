"""The load: one publisher and many subscribers for each server, in one process.

It must be cheap, or it would be the thing measured. Only a publisher's answers wake it; subscribers are read fifty
times a second, so servers do not pay for waking it either. It reads into one buffer and counts a marker that each
message has once. What several subscribers get is mostly the same bytes, which are then compared, not counted again.
"""

from __future__ import annotations

import json
import os
import select
import socket
import time
from dataclasses import dataclass
from typing import Any

from tricast_bench.servers import Server, Unusable, waited_of
from tricast_bench.wire import CLOSE, PING, PONG, TEXT, masked, take_frames

BUFFER = 256 * 2**10
READS_AT_ONCE = 64
"""Subscribers that are read before the publishers are looked at again."""
READ_INTERVAL = 0.02
TICK = 0.001
QUIET = 0.05
GRACE = 20.0
GENERATOR_SHARE_MAX = 0.8
WAITED_MAX = 0.1
LATE_MAX = 0.05
PAYLOAD_MAX = 8192
PING_BYTE = 0x80 | PING


class Stalled(Unusable):
    """Messages did not arrive, or a connection ended."""


@dataclass(frozen=True, slots=True)
class Load:
    """`rate` messages a second, None for as many as the server takes, `window` publishes unanswered at most."""

    rate: float | None
    window: int

    def __str__(self) -> str:
        return f"{self.window} in flight" if self.rate is None else f"{self.rate:g} msg/s"


@dataclass(frozen=True, slots=True)
class Sample:
    """What was counted from the first publish until everyone had the last.

    `planned` is how many publishes the rate asks for in `seconds`. Other times are in nanoseconds, of whole processes.
    """

    seconds: float
    planned: int | None
    published: int
    delivered: int
    bytes: int
    elapsed: int
    server_cpu: int
    server_waited: int
    generator_cpu: int
    generator_waited: int

    @property
    def cpu_per_delivery(self) -> float:
        """Microseconds of the server's CPU."""
        return self.server_cpu / self.delivered / 1e3

    @property
    def deliveries_per_second(self) -> float:
        return self.delivered / self.elapsed * 1e9

    @property
    def generator_share(self) -> float:
        return self.generator_cpu / self.elapsed

    @property
    def disturbed(self) -> bool:
        """Whether something else took the server's core or the load's."""
        return max(self.server_waited, self.generator_waited) > WAITED_MAX * self.elapsed

    @property
    def void(self) -> str | None:
        """Why this says nothing about the server, if so."""
        if self.disturbed:
            return f"other processes kept the server or the load off its core for over {WAITED_MAX:.0%} of the time"
        if self.generator_share > GENERATOR_SHARE_MAX:
            return f"the load took over {GENERATOR_SHARE_MAX:.0%} of its core"
        return None

    @property
    def kept_up(self) -> bool:
        """Whether what the rate asks for was published, and had arrived when the time was up or soon after."""
        if self.planned is None:
            return True
        return self.published >= self.planned and self.elapsed <= (1 + LATE_MAX) * self.seconds * 1e9


class Payload:
    """`size` ASCII characters, of which one is the marker.

    The marker must be no byte of the envelope. In the header of a WebSocket frame that is the low byte of a length,
    which depends on the envelope's own length: 80 to 160 bytes.
    """

    def __init__(self, size: int) -> None:
        if not 16 <= size <= PAYLOAD_MAX:
            raise Unusable(f"a payload is 16 to {PAYLOAD_MAX} bytes")
        lengths = {(size + envelope) & 0xFF for envelope in range(80, 160)}
        self.marker = next(byte for byte in b"|!" if byte not in lengths)
        self.text = chr(self.marker) + "x" * (size - 1)


class Subscribers:
    """Connections that should all get every message. `pongs` where the server sends WebSocket pings."""

    def __init__(self, connections: list[socket.socket], *, pongs: bool) -> None:
        self.connections = connections
        self.pongs = pongs
        self.received = 0
        self.bytes = 0


class Publisher:
    """A WebSocket that publishes the same message again and again, and counts the replies."""

    def __init__(self, connection: socket.socket, topic: str, payload: Payload) -> None:
        command = {"action": "publish", "topic": topic, "data": payload.text}
        self._frame = masked(TEXT, json.dumps(command, separators=(",", ":")).encode())
        self._rest = bytearray()
        self.connection = connection
        self.published = 0
        self.answered = 0

    def publish(self, count: int) -> None:
        if count > 0:
            data = self._frame * count
            if self.connection.send(data) < len(data):
                raise Stalled("the server does not read what is published")
            self.published += count

    def read(self) -> None:
        """What has come, once the socket can be read."""
        data = self.connection.recv(BUFFER)
        self._rest += data
        for opcode, payload in take_frames(self._rest):
            if opcode == PING:
                self.connection.send(masked(PONG, payload))
            elif opcode == CLOSE or b'"type":"error"' in payload:
                raise Stalled(f"the server answers the publisher: {payload[:200]!r}")
            elif b'"type":"reply"' in payload:
                self.answered += 1
        if not data:
            raise Stalled("the publisher's connection has ended")


class Generator:
    """See the module. Close it to close all connections given to it."""

    def __init__(self, payload: Payload) -> None:
        self.payload = payload
        self._pid = os.getpid()
        self._publishers: dict[int, Publisher] = {}
        self._subscribers: dict[int, tuple[socket.socket, Subscribers]] = {}
        self._answers = select.epoll()
        self._messages = select.epoll()
        self._buffer = bytearray(BUFFER)
        self._chunk = b""
        self._count = 0
        self._pinged = False
        self._more = False
        self._read = 0.0

    def add(self, publisher: Publisher, subscribers: Subscribers) -> None:
        fd = publisher.connection.fileno()
        self._publishers[fd] = publisher
        self._answers.register(fd, select.EPOLLIN)
        for connection in subscribers.connections:
            self._subscribers[connection.fileno()] = (connection, subscribers)
            self._messages.register(connection.fileno(), select.EPOLLIN)

    def __enter__(self) -> Generator:
        return self

    def __exit__(self, *_: Any) -> None:
        self._answers.close()
        self._messages.close()
        for publisher in self._publishers.values():
            publisher.connection.close()
        for connection, _subscribers in self._subscribers.values():
            connection.close()

    def prime(self, publisher: Publisher, subscribers: Subscribers, *, timeout: float = 10.0) -> None:
        """Returns when one message has reached each subscriber once. Raises Stalled."""
        deadline = time.monotonic() + timeout
        while time.monotonic() < deadline:
            self._settle()
            before = subscribers.received
            publisher.publish(1)
            self._settle()
            if subscribers.received - before == len(subscribers.connections):
                return
        raise Stalled(f"a message does not reach all {len(subscribers.connections)} subscribers once")

    def run(self, publisher: Publisher, subscribers: Subscribers, load: Load, seconds: float, server: Server) -> Sample:
        """Publishes for `seconds`, then waits for what is under way. Raises Stalled."""
        clock, pump = time.monotonic, self._pump
        rate, window = load.rate, load.window
        planned = None if rate is None else round(rate * seconds)
        published, answered = publisher.published, publisher.answered
        received, size = subscribers.received, subscribers.bytes
        server_waited, generator_waited = server.waited(), waited_of(self._pid)
        server_cpu, generator_cpu = server.cpu(), time.process_time_ns()
        start = clock()
        while True:
            now = clock() - start
            done = publisher.published - published
            if now < seconds:
                room = window - done + publisher.answered - answered
                if rate is None or planned is None:
                    publisher.publish(room)
                else:
                    publisher.publish(min(room, planned - done, int(now * rate) + 1 - done))
                pump(TICK, READ_INTERVAL)
            elif (
                subscribers.received - received < done * len(subscribers.connections)
                or publisher.answered - answered < done
            ):
                if now > seconds + GRACE:
                    raise Stalled(f"of {done} messages not all have arrived after {GRACE:g} s")
                pump(TICK)
            else:
                break
        elapsed = clock() - start
        sample = Sample(
            seconds=seconds,
            planned=planned,
            published=done,
            delivered=subscribers.received - received,
            bytes=subscribers.bytes - size,
            elapsed=int(elapsed * 1e9),
            server_cpu=server.cpu() - server_cpu,
            server_waited=server.waited() - server_waited,
            generator_cpu=time.process_time_ns() - generator_cpu,
            generator_waited=waited_of(self._pid) - generator_waited,
        )
        if sample.delivered != done * len(subscribers.connections):
            raise Stalled(f"{sample.delivered} deliveries of {done} messages: more than there can be")
        return sample

    def _settle(self) -> None:
        """Returns when nothing has come for a while."""
        last = time.monotonic()
        while time.monotonic() < last + QUIET:
            if self._pump(TICK):
                last = time.monotonic()

    def _pump(self, timeout: float, interval: float = 0.0) -> bool:
        """Waits for answers, then reads some of the messages if the last time was `interval` ago. Whether any came."""
        for fd, _ in self._answers.poll(0.0 if self._more else timeout):
            self._publishers[fd].read()
        now = time.monotonic()
        if not self._more and now < self._read + interval:
            return False
        ready = self._messages.poll(0.0, READS_AT_ONCE)
        self._more = len(ready) == READS_AT_ONCE
        self._read = now
        buffer = self._buffer
        for fd, _ in ready:
            connection, subscribers = self._subscribers[fd]
            size = connection.recv_into(buffer)
            if not size:
                raise Stalled("a subscriber's connection has ended")
            if size != len(self._chunk) or not buffer.startswith(self._chunk):
                self._look_at(size)
            subscribers.received += self._count
            subscribers.bytes += size
            if self._pinged and subscribers.pongs:
                connection.send(masked(PONG))
        return bool(ready)

    def _look_at(self, size: int) -> None:
        chunk = self._chunk = bytes(memoryview(self._buffer)[:size])
        self._count = chunk.count(self.payload.marker)
        # The byte may also be the length of a message: then pongs are sent that nobody asked for, which is allowed.
        self._pinged = PING_BYTE in chunk
