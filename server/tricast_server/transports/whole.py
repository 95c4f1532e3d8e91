"""A response in one piece: head and body are bytes already, and are written at once.

aiohttp builds a head anew for each response, out of a multidict; where many clients are given the same answer, that is
half of its cost. This stands on what `web.StreamResponse` lets a subclass do: `prepare`, `write_eof`, `keep_alive`.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from email.utils import formatdate

from aiohttp import web
from aiohttp.abc import AbstractStreamWriter
from aiohttp.web_request import BaseRequest

_date = (0, b"")


class WholeResponse(web.StreamResponse):
    """`data` is the head and the body (RFC 9112), of HTTP/1.1, and leaves the connection open."""

    def __init__(self, data: bytes) -> None:
        super().__init__()
        self._data = data

    async def prepare(self, request: BaseRequest) -> AbstractStreamWriter | None:
        """Writes all of it. Raises ConnectionResetError where the client has gone."""
        transport = request.transport
        if transport is None or transport.is_closing():
            raise ConnectionResetError("the client has gone")
        transport.write(self._data)
        self._writer = request.writer
        return None

    async def write_eof(self, data: bytes = b"") -> None:
        """Nothing is left to write, but a client that does not read is not answered again."""
        await self._writer.drain()

    @property
    def keep_alive(self) -> bool | None:
        return True


def can_be_whole(request: web.Request) -> bool:
    """Whether this client's connection and the application's nesting leave nothing to aiohttp to decide."""
    return request.version == (1, 1) and request.keep_alive and len(request.match_info.apps) == 1


def whole(body: bytes, headers: Mapping[str, str]) -> bytes:
    """200 with these headers, the body's length and the date (RFC 9110, 6.6.1)."""
    lines = b"".join(
        b"%b: %b\r\n" % (name.encode(), value.encode(errors="surrogateescape")) for name, value in headers.items()
    )
    return b"HTTP/1.1 200 OK\r\n%bContent-Length: %d\r\nDate: %b\r\n\r\n%b" % (lines, len(body), date(), body)


def date() -> bytes:
    """Now as an HTTP date (RFC 9110, 5.6.7), made once a second."""
    global _date
    now = int(time.time())
    if now != _date[0]:
        _date = now, formatdate(now, usegmt=True).encode()
    return _date[1]
