"""One run of `/canary/*` per transport, watched from the client. What goes wrong is noted, never raised."""

from __future__ import annotations

import asyncio
import contextlib
import math
import os
from collections.abc import AsyncIterator, Coroutine, Mapping
from typing import Any

import aiohttp

from tricast.errors import BadRequest
from tricast.probe.observation import Arrival, End, Observation
from tricast.transports import Target
from tricast.transports.sse import HEADERS
from tricast.wire import json, sse
from tricast.wire.messages import TransportName

BODY_MAX = 64 * 2**10
CLOSE_TIMEOUT = 0.5
"""Seconds to end a session or to wait for the peer's half of a close."""
TEXT_MAX = 200
ECHO = "is anybody there?"

UNREACHABLE = (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError)


@contextlib.asynccontextmanager
async def session(target: Target) -> AsyncIterator[aiohttp.ClientSession]:
    """A pool of connections for one use, through the proxy that the environment names."""
    headers = await target.authorization()
    # Each use has its own deadline; aiohttp's default of five minutes would say nothing.
    timeout = aiohttp.ClientTimeout(total=None)
    trace = aiohttp.TraceConfig()
    trace.on_connection_create_start.append(_only_once)
    http = aiohttp.ClientSession(headers=headers, timeout=timeout, trust_env=True, trace_configs=[trace])
    try:
        yield http
    finally:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(CLOSE_TIMEOUT):
                await http.close()


async def _only_once(http: aiohttp.ClientSession, request: Any, params: Any) -> None:
    """aiohttp asks again when a GET is cut off without an answer: a cut would look twice as late, or not at all."""
    if getattr(request, "connected", False):
        raise aiohttp.ClientConnectionError("Server disconnected")
    request.connected = True


class Run:
    """One series of `n` frames, `interval` seconds apart, given up `patience` seconds after its last frame is due."""

    def __init__(self, target: Target, n: int, interval: float, patience: float) -> None:
        self.target = target
        self.n = n
        self.interval = interval
        self.deadline = n * interval + patience
        self._loop = asyncio.get_running_loop()
        self._opened: float | None = None
        self._status: int | None = None
        self._error = ""
        self._by = ""
        self._seen: dict[str, Any] | None = None
        self._arrivals: dict[int, Arrival] = {}
        self._asked: float | None = None
        self._echoed: float | None = None

    async def observe(self, transport: TransportName) -> Observation:
        """Returns within the deadline and a moment for closing; cancelling is safe."""
        watch = {"ws": self._websocket, "sse": self._stream, "poll": self._polls}[transport]
        start = self._loop.time()
        async with session(self.target) as http:
            end = await self._noted(watch(http))
            ended = self._loop.time()
        return Observation(
            transport=transport,
            n=self.n,
            interval=self.interval,
            started=start,
            ended=ended,
            end=end,
            opened=self._opened,
            status=self._status,
            arrivals=tuple(self._arrivals.values()),
            echo_sent=self._asked is not None,
            echoed=self._echoed,
            error=self._error,
            answered_by=self._by,
            seen=self._seen,
        )

    async def _noted(self, watch: Coroutine[Any, Any, End]) -> End:
        try:
            async with asyncio.timeout(self.deadline):
                return await watch
        except UNREACHABLE as error:
            self._error = why(error)
            return "unreachable"
        except aiohttp.ClientResponseError as error:  # a refused upgrade, or a proxy that refused CONNECT
            self._refused(error.status, error.headers)
            return "failed"
        except TimeoutError:
            return "deadline"
        except (aiohttp.ClientError, OSError, ValueError) as error:
            self._error = why(error)
            return "failed"

    async def _websocket(self, http: aiohttp.ClientSession) -> End:
        timeout = aiohttp.ClientWSTimeout(ws_close=CLOSE_TIMEOUT)
        url = self._url("ws", first=0, n=self.n)
        async with http.ws_connect(url, timeout=timeout, max_msg_size=BODY_MAX) as ws:
            self._opened = self._loop.time()
            while (message := await ws.receive()).type in (aiohttp.WSMsgType.TEXT, aiohttp.WSMsgType.BINARY):
                self._frame(message.data)
                if self._asked is None and self._arrivals:
                    self._asked = self._loop.time()
                    await ws.send_str(ECHO)
            if ws.close_code == aiohttp.WSCloseCode.OK:
                return "ended"
            self._error = f"close code {ws.close_code}"
            return "closed"

    async def _stream(self, http: aiohttp.ClientSession) -> End:
        parser = sse.Parser(limit=BODY_MAX)
        async with http.get(self._url("sse", first=0, n=self.n), headers=HEADERS, allow_redirects=False) as response:
            if response.status != 200 or response.content_type != "text/event-stream":
                self._refused(response.status, response.headers)  # its body may never come
                self._refused(response.status, response.headers, await body_of(response))
                return "ended"
            self._opened = self._loop.time()
            while chunk := await response.content.readany():
                for event in parser.feed(chunk):
                    self._frame(event.data)
            return "ended"

    async def _polls(self, http: aiohttp.ClientSession) -> End:
        over = self._loop.time() + (self.n - 0.5) * self.interval
        for first in range(self.n):
            start = self._loop.time()
            if start > over:
                self.n = first  # far away, not cut: those that were asked for were answered
                break
            url = self._url("poll", first=first, n=self.n)
            async with http.get(url, allow_redirects=False) as response:
                if first == 0:
                    self._opened = self._loop.time()
                body = await body_of(response)
                if response.status != 200 or not self._frame(body):
                    self._refused(response.status, response.headers, body)
                    return "ended"
            trip = max(0.0, self._loop.time() - start - self.interval)
            self._echoed = trip if self._echoed is None else min(self._echoed, trip)
        return "ended"

    def _url(self, path: str, **query: int) -> Any:
        numbers = {name: str(value) for name, value in query.items()}
        return (self.target.url / "canary" / path).with_query({**numbers, "interval": f"{self.interval:g}"})

    def _frame(self, text: str | bytes) -> bool:
        """Takes down a frame. False for what is none: anybody may answer here."""
        now = self._loop.time()
        match _members(text):
            case {"type": "canary", "seq": int() as seq, "sent": int() | float() as sent, **more} if _fits(sent):
                if 0 <= seq < self.n:
                    self._arrivals.setdefault(seq, Arrival(seq, float(sent), now))
                seen = more.get("seen")
                if isinstance(seen, dict) and self._seen is None:
                    self._seen = seen
                return True
            case {"type": "canary-echo"} if self._asked is not None and self._echoed is None:
                self._echoed = now - self._asked
        return False

    def _refused(self, status: int, headers: Mapping[str, str] | None, body: bytes = b"") -> None:
        self._status = status
        self._by = answered_by(headers or {})
        match _members(body):
            case {"type": "error", "message": str() as message}:
                self._error = f"the server says: {printable(message)}"
            case _:
                kind = (headers or {}).get("Content-Type", "something else").partition(";")[0]
                self._error = f"answered with {printable(kind)}, not by tricast" if 200 <= status < 300 else ""
                if self._arrivals:
                    self._error = f"HTTP status {status}"


def why(error: Exception) -> str:
    """What went wrong, in words for people."""
    cause = getattr(error, "os_error", None)  # not every connector error of aiohttp has one
    if isinstance(error, aiohttp.ClientConnectorError) and isinstance(cause, OSError):
        number = cause.errno or 0  # those of name lookups are negative, and not the system's
        reason = os.strerror(number) if number > 0 else cause.strerror or str(cause)
        return printable(f"{error.host}:{error.port}: {reason}")
    return printable(str(error) or type(error).__name__)


def answered_by(headers: Mapping[str, str]) -> str:
    """Who wrote an answer, as far as it says so."""
    named = {name: headers.get(name) for name in ("Server", "Via", "Location")}
    return ", ".join(f"{name}: {printable(value)}" for name, value in named.items() if value)


def printable(text: str) -> str:
    """On one line and without control characters: it goes to a terminal, and strangers wrote it."""
    return "".join(char if char.isprintable() else "?" for char in text)[:TEXT_MAX]


async def body_of(response: aiohttp.ClientResponse) -> bytes:
    """What there is of the body, up to BODY_MAX bytes."""
    body = bytearray()
    while len(body) < BODY_MAX and (chunk := await response.content.readany()):
        body += chunk
    return bytes(body)


def _members(text: str | bytes) -> Any:
    with contextlib.suppress(BadRequest):
        return json.loads(text)
    return None


def _fits(number: float) -> bool:
    return math.isfinite(number) and not isinstance(number, bool)
