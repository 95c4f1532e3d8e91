"""Subscribers that only count: the load of many at a fraction of their cost, so that the server's limit comes first.

They are read fifty times a second into one buffer, and a byte is counted that each message has once. Latency is that
of the whole clients beside them. Long polls cannot be had so cheaply: each answer needs another request.
"""

from __future__ import annotations

import contextlib
import select
import socket

import gevent

from tricast.wire.messages import TransportName
from tricast_bench.load import MARK
from tricast_bench.servers import Unusable
from tricast_bench.users.crowd import TOPIC
from tricast_bench.users.tcp import Target
from tricast_bench.wire import PING, PONG, masked, open_streams, open_websockets

INTERVAL = 0.02
BUFFER = 256 * 2**10
READS_AT_ONCE = 64
PING_BYTE = 0x80 | PING
_MARK = MARK.encode()


class Bulk:
    """Open connections to the crowd's topic, on this host. Raises Unusable."""

    def __init__(self, target: Target, transport: TransportName, count: int) -> None:
        self.received = 0
        self.ended = 0
        """Connections that the server has closed."""
        self._websockets = transport == "ws"
        opening = open_websockets if self._websockets else open_streams
        if transport == "poll" and count:
            raise Unusable("long polls are not counted in bulk")
        self._sockets = {
            one.fileno(): one for one in (opening(target.port, f"/{transport}?topics={TOPIC}", count) if count else ())
        }
        self._ready = select.epoll()
        for fd in self._sockets:
            self._ready.register(fd, select.EPOLLIN)
        self._buffer = bytearray(BUFFER)
        self._reading = gevent.spawn(self._read)

    def __len__(self) -> int:
        return len(self._sockets)

    def close(self) -> None:
        self._reading.kill()
        self._ready.close()
        for one in self._sockets.values():
            one.close()

    def _read(self) -> None:
        while True:
            some = self._ready.poll(0, READS_AT_ONCE)
            for fd, _ in some:
                self._read_one(self._sockets[fd])
            # Whole clients get their turn before the rest.
            gevent.sleep(0 if len(some) == READS_AT_ONCE else INTERVAL)

    def _read_one(self, one: socket.socket) -> None:
        try:
            size = one.recv_into(self._buffer)
        except BlockingIOError:
            return
        except OSError:
            size = 0
        if not size:
            self.ended += 1
            self._ready.unregister(one.fileno())
            return
        self.received += self._buffer.count(_MARK, 0, size)
        # That byte may also be the length of a message: then a pong goes out that nobody asked for, which is allowed.
        if self._websockets and self._buffer.find(PING_BYTE, 0, size) >= 0:
            with contextlib.suppress(OSError):
                one.send(masked(PONG))
