"""As much of HTTP and RFC 6455 as a load generator needs, on plain sockets: opening and masking."""

from __future__ import annotations

import os
import socket
import struct

from tricast_bench.servers import HOST, Unusable

CONNECT_TIMEOUT = 10.0
HEADERS_MAX = 64 * 2**10
OPENING_AT_ONCE = 100

TEXT, CLOSE, PING, PONG = 0x1, 0x8, 0x9, 0xA


def open_websockets(port: int, path: str, count: int) -> list[socket.socket]:
    """Raises Unusable."""
    more = "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
    more += "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
    return _open(port, path, count, more, b"101")


def open_streams(port: int, path: str, count: int) -> list[socket.socket]:
    """Server-Sent Events. Raises Unusable."""
    return _open(port, path, count, "Accept: text/event-stream\r\n", b"200")


def _open(port: int, path: str, count: int, headers: str, status: bytes) -> list[socket.socket]:
    """Connections whose response headers have been read and nothing more. They do not block."""
    request = f"GET {path} HTTP/1.1\r\nHost: {HOST}:{port}\r\n{headers}\r\n".encode()
    opened: list[socket.socket] = []
    try:
        while len(opened) < count:
            some = range(min(OPENING_AT_ONCE, count - len(opened)))
            batch = [socket.create_connection((HOST, port), timeout=CONNECT_TIMEOUT) for _ in some]
            opened += batch
            for connection in batch:
                connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                connection.sendall(request)
            for connection in batch:
                _read_headers(connection, path, status)
                connection.setblocking(False)
    except BaseException as error:
        for connection in opened:
            connection.close()
        if isinstance(error, OSError):
            raise Unusable(f"GET {path} on port {port}: {error}") from None
        raise
    return opened


def _read_headers(connection: socket.socket, path: str, status: bytes) -> None:
    """Peeks first, so that what follows the headers stays in the socket. Raises Unusable."""
    while True:
        seen = connection.recv(HEADERS_MAX, socket.MSG_PEEK)
        end = seen.find(b"\r\n\r\n")
        if end >= 0:
            break
        if not seen or len(seen) >= HEADERS_MAX:
            raise Unusable(f"GET {path}: the response has no end of headers")
    head = connection.recv(end + 4)
    if head.split(b" ", 2)[1] != status:
        raise Unusable(f"GET {path}: {head.splitlines()[0].decode(errors='replace')}")


def masked(opcode: int, payload: bytes = b"") -> bytes:
    """One whole frame from a client (RFC 6455, 5.2 and 5.3)."""
    size = len(payload)
    if size < 126:
        head = struct.pack("!BB", 0x80 | opcode, 0x80 | size)
    elif size < 2**16:
        head = struct.pack("!BBH", 0x80 | opcode, 0x80 | 126, size)
    else:
        head = struct.pack("!BBQ", 0x80 | opcode, 0x80 | 127, size)
    mask = os.urandom(4)
    return head + mask + bytes(byte ^ mask[i & 3] for i, byte in enumerate(payload))
