"""Sockets of the load, and what the kernel counted on them."""

from __future__ import annotations

import struct
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from gevent import socket

CONNECT_TIMEOUT = 15.0
# struct tcp_info, linux/tcp.h: after 8 bytes, 24 times 32 bits and two pacing rates.
_BYTES_AT = 120
_INFO_SIZE = 256
_BYTES = struct.Struct("=QQ")
_SO_TIMESTAMPNS = 35
_TIMESPEC = struct.Struct("@qq")
_ANCILLARY = 64
READING = 20_000
"""Nanoseconds that reading both clocks may take."""
READINGS = 5


@dataclass(frozen=True, slots=True)
class Target:
    """A server, as the address to connect to, and the name and path under which it wants to be asked."""

    host: str
    port: int
    path: str = ""

    @classmethod
    def of(cls, url: str) -> Target:
        """From http://HOST:PORT/PATH. Raises ValueError."""
        parts = urlsplit(url)
        if parts.scheme != "http" or not parts.hostname or parts.query or parts.fragment:
            raise ValueError(f"the load goes to a plain http://HOST:PORT, not to {url}")
        return cls(parts.hostname, parts.port or 80, parts.path.rstrip("/"))

    @property
    def authority(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self.port}"


@dataclass(slots=True)
class Wire:
    """TCP payload bytes by the kernel's count (acknowledged, received), and HTTP requests, of some connections."""

    up: int = 0
    down: int = 0
    requests: int = 0

    def __add__(self, other: Wire) -> Wire:
        return Wire(self.up + other.up, self.down + other.down, self.requests + other.requests)

    def __sub__(self, other: Wire) -> Wire:
        return Wire(self.up - other.up, self.down - other.down, self.requests - other.requests)


def connect(target: Target, receive_buffer: int | None = None) -> Any:
    """A connected gevent socket without Nagle's delay. Raises OSError."""
    if receive_buffer is None:
        made = socket.create_connection((target.host, target.port), CONNECT_TIMEOUT)
    else:
        made = socket.socket(socket.AF_INET6 if ":" in target.host else socket.AF_INET, socket.SOCK_STREAM)
        made.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)  # before it connects, for the window
        made.settimeout(CONNECT_TIMEOUT)
        made.connect((target.host, target.port))
    made.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    made.setsockopt(socket.SOL_SOCKET, _SO_TIMESTAMPNS, 1)
    return made


def receive(connection: Any, size: int) -> tuple[bytes, int]:
    """What there is, and when the last of it had reached the socket: nanoseconds of the monotonic clock.

    The kernel notes that as it comes, so what waits until this process gets to read it does not wait in the latency.
    Where the kernel has no note, it is now. Raises OSError.
    """
    data, notes, _, _ = connection.recvmsg(size, _ANCILLARY)
    for level, kind, value in notes:
        if level == socket.SOL_SOCKET and kind == _SO_TIMESTAMPNS and len(value) >= _TIMESPEC.size:
            seconds, rest = _TIMESPEC.unpack_from(value)
            return data, to_monotonic(seconds * 1_000_000_000 + rest)
    return data, time.monotonic_ns()


def to_monotonic(
    moment: int, monotonic: Callable[[], int] = time.monotonic_ns, wall: Callable[[], int] = time.time_ns
) -> int:
    """A moment of the past by the time of day, on the monotonic clock; both in nanoseconds, and never later than now.

    The clocks are read one after the other: where the process was put aside in between, they are read again, as the
    moment would seem too early by that time.
    """
    for _ in range(READINGS):
        before, day, now = monotonic(), wall(), monotonic()
        if now - before <= READING:
            break
    return min(now, now - day + moment)


def counted(connection: Any) -> Wire:
    """What has passed over a connection until now. Raises OSError where the kernel is not Linux 4.1 or later."""
    info = connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _INFO_SIZE)
    if len(info) < _BYTES_AT + _BYTES.size:
        raise OSError("this kernel does not count the bytes of a connection (TCP_INFO)")
    acknowledged, received = _BYTES.unpack_from(info, _BYTES_AT)
    return Wire(acknowledged, received)
