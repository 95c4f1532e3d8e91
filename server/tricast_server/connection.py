"""A connection outside of its requests: what is slow to ask, slow to take its answer, or no proper WebSocket frame.

aiohttp gives the head of a request as long as keep-alive lasts, and an answer all the time that its client likes. This
stands on what is public of it: `web.RequestHandler` is the protocol of a connection, made for a `web.Server`, which
has the `request_factory` by which a request begins.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Coroutine
from typing import Any, cast

from aiohttp import StreamReader, web

from tricast.errors import BadRequest
from tricast.wire import json
from tricast.wire.messages import Error
from tricast_server.guard.frames import StrictFrames
from tricast_server.transports.sink import unsent

STEP_MAX = 5.0
"""Seconds between two looks at all connections."""
RATE_MIN = 4096
"""Bytes per second that a client must take of its answer, on the average over the time it may take none."""
SILENT = "silent"


class Connections:
    """All of one listener, to which it is the protocol factory. A connection is cut when the head of its request has
    not come whole within `head_timeout` seconds of its first byte, or when its client takes too little of an answer
    for `send_timeout` seconds; uncounted, when nothing at all has come within `head_timeout` seconds: browsers connect
    before they know what for. `options` are those of `web.RequestHandler`. `close` by its owner.
    """

    def __init__(
        self,
        server: web.Server,
        *,
        head_timeout: float,
        send_timeout: float,
        refusals: Counter[str],
        **options: Any,
    ) -> None:
        self.head_timeout = head_timeout
        self.send_timeout = send_timeout
        self.refusals = refusals
        self.open: set[Connection] = set()
        self.loop = asyncio.get_running_loop()
        self._server = server
        self._options = options
        self._step = min(STEP_MAX, head_timeout / 4, send_timeout / 4)
        self._looking = self.loop.call_later(self._step, self._look)
        server.request_factory = _noticing(server.request_factory)

    def __call__(self) -> Connection:
        return Connection(self, self._server, self._options)

    def close(self) -> None:
        """No connection is looked after any more."""
        self._looking.cancel()

    def _look(self) -> None:
        now = self.loop.time()
        for connection in list(self.open):
            reason = connection.overdue(now)
            if reason is not None:
                if reason != SILENT:
                    self.refusals[reason] += 1
                connection.cut()
        self._looking = self.loop.call_later(self._step, self._look)


class Connection(web.RequestHandler):
    """One of `Connections`. A head is waited for from the beginning, later from its first byte on."""

    __slots__ = ("_all", "_answering", "_asked", "_body", "_head_since", "_silent", "_slow_since", "_unread", "_wire")

    def __init__(self, connections: Connections, server: web.Server, options: dict[str, Any]) -> None:
        super().__init__(server, loop=connections.loop, **options)
        self._all = connections
        self._asked = False
        """Whether a request is being served."""
        self._answering = False
        """Whether its answer is complete but for being taken: no more will be written meanwhile."""
        self._body: StreamReader | None = None
        """What is still to come of a body that nobody wanted, of the last request."""
        self._silent = True
        """Whether nothing has come yet."""
        self._head_since: float | None = None
        self._slow_since: float | None = None
        self._unread = 0
        self._wire: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self._wire = cast(asyncio.Transport, transport)
        self._head_since = self._all.loop.time()
        self._all.open.add(self)

    def connection_lost(self, exc: BaseException | None) -> None:
        self._all.open.discard(self)
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if not self._asked and (self._silent or self._head_since is None) and self._begins_head(data):
            self._head_since = self._all.loop.time()
            self._silent = False
        super().data_received(data)

    def _begins_head(self, data: bytes) -> bool:
        """Not so the rest of a body, nor the line ends that may come before a request (RFC 9112, 2.2). In neither case
        it is kept for longer than any that is idle.
        """
        if self._body is not None:
            if not self._body.is_eof():
                return False
            self._body = None
        return bool(data.strip(b"\r\n"))

    def asked(self) -> None:
        """The head of a request has come."""
        self._asked = True
        self._silent = False
        self._head_since = None
        self._body = None

    def finish_response(
        self, request: web.BaseRequest, resp: web.StreamResponse, start_time: float | None
    ) -> Coroutine[Any, Any, tuple[web.StreamResponse, bool]]:
        """Called by aiohttp when a handler has returned; returns when the answer is written and may be forgotten."""
        self._answering = True
        self._slow_since = None
        if "Content-Encoding" in request.headers and not request.content.is_eof():
            # aiohttp would read what is left of the body to throw it away, and unpack it for that: gigabytes, perhaps.
            request.content.feed_eof()
            resp.force_close()
            self.close()
        self._body = None if request.content.is_eof() else request.content
        return super().finish_response(request, resp, start_time)

    def log_access(self, request: web.BaseRequest, response: web.StreamResponse, time: float | None) -> None:
        """Called by aiohttp at the end of that."""
        self._answering = self._asked = False
        super().log_access(request, response, time)

    def overdue(self, now: float) -> str | None:
        """Why this connection should be cut, if it should."""
        if self._head_since is not None and now - self._head_since > self._all.head_timeout:
            return SILENT if self._silent else "slow_head"
        assert self._wire is not None
        # What it has left when it is closed is not taken either: without this it would stay for as long as TCP does.
        unread = unsent(self._wire) if self._answering or self._wire.is_closing() else 0
        if not unread:
            self._slow_since = None
        elif self._slow_since is None or self._unread - unread >= RATE_MIN * self._all.send_timeout:
            self._slow_since, self._unread = now, unread
        elif now - self._slow_since > self._all.send_timeout:
            return "slow_answer"
        return None

    def cut(self) -> None:
        """Ends it at once; what is unsent is lost."""
        assert self._wire is not None
        self._wire.abort()

    def set_parser(self, parser: Any, data_received_cb: Callable[[], None] | None = None) -> None:
        """Called by aiohttp when this has become a WebSocket."""
        super().set_parser(StrictFrames(parser), data_received_cb)  # type: ignore[arg-type]

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        """What is no HTTP is the client's mistake: an answer like all others, and no traceback in the log."""
        if status >= 500 or request.writer.output_size > 0:
            return super().handle_error(request, status, exc, message)
        self._all.refusals["malformed"] += 1
        error = Error(code=BadRequest.code, message=message or "this is no HTTP request")
        response = web.json_response(text=json.encode(error), status=status)
        response.force_close()
        return response

    def log_exception(self, *details: Any, exc_info: Any = True, **more: Any) -> None:
        """A body that is not of the encoding it names concerns nobody here, even where nobody wanted to read it."""
        if not isinstance(exc_info, web.RequestPayloadError):
            super().log_exception(*details, exc_info=exc_info, **more)


def _noticing(make: Callable[..., web.BaseRequest]) -> Callable[..., web.BaseRequest]:
    """A request factory that also tells the connection."""

    def request(message: Any, payload: Any, protocol: Connection, *more: Any) -> web.BaseRequest:
        protocol.asked()
        return make(message, payload, protocol, *more)

    return request
