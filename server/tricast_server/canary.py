"""`/canary/*`: numbered frames with the server's clock at fixed spacing. From when they arrive a client tells what lies
between: whether streams pass, are held, batched or cut. No bus is involved.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

from aiohttp import WSMsgType, web

from tricast.errors import BadRequest
from tricast.wire import json, sse
from tricast_server.guard.upgrade import check_no_body
from tricast_server.service import Service
from tricast_server.transports.params import number
from tricast_server.transports.sse import EventStream

COUNT_MAX = 300
SIZE_MAX = 16 * 2**10
TIME_MAX = 120.0
SEND_TIMEOUT = 30.0


@dataclass(frozen=True, slots=True)
class Plan:
    """Frames `first` to `n` - 1, `interval` seconds apart, padded to `size` bytes."""

    n: int
    interval: float
    size: int
    first: int

    @classmethod
    def of(cls, request: web.Request) -> Plan:
        """Raises BadRequest."""
        plan = cls(
            n=int(number(request.query, "n", 5, COUNT_MAX, whole=True)),
            interval=number(request.query, "interval", 0.2, TIME_MAX),
            size=int(number(request.query, "size", 0, SIZE_MAX, whole=True)),
            first=int(number(request.query, "first", 0, COUNT_MAX, whole=True)),
        )
        if plan.n * plan.interval > TIME_MAX:
            raise BadRequest(f"n x interval is {TIME_MAX:.0f} s at most")
        return plan

    def frame(self, seq: int, **more: Any) -> str:
        """`{"type":"canary","seq":0,"n":5,"sent":1795295808.123456,...}`: `sent` is the server's clock in seconds."""
        frame = {"type": "canary", "seq": seq, "n": self.n, "sent": round(time.time(), 6), **more}
        missing = self.size - len(json.dumps(frame)) - len(',"pad":""')
        return json.dumps({**frame, "pad": "." * missing} if missing > 0 else frame)

    async def frames(self, request: web.Request) -> AsyncIterator[str]:
        """Each at its time; the first also tells how the request looked from here."""
        loop = asyncio.get_running_loop()
        start = loop.time()
        for seq in range(self.first, self.n):
            await asyncio.sleep(max(0.0, start + (seq - self.first) * self.interval - loop.time()))
            yield self.frame(seq, seen=seen(request)) if seq == self.first else self.frame(seq)


def seen(request: web.Request) -> dict[str, Any]:
    """What this request looked like from here: from whose address, and what proxies wrote on it."""
    names = ("X-Forwarded-For", "X-Forwarded-Proto", "Forwarded", "Via", "Upgrade", "Connection")
    return {
        "address": request.remote,
        "http": f"{request.version.major}.{request.version.minor}",
        "host": request.host,
        "headers": {
            name: [_clean(v) for v in request.headers.getall(name, ())] for name in names if name in request.headers
        },
    }


def _clean(header: str) -> str:
    """aiohttp keeps bytes that are not UTF-8 as lone surrogates, which JSON cannot carry."""
    return header.encode("utf-8", "backslashreplace").decode()


async def websocket(request: web.Request, service: Service) -> web.StreamResponse:
    """The frames, then a close with 1000. A text the client sends comes back as `{"type":"canary-echo","data":...}`."""
    service.limits.connect(request)
    with service.limits.seat(request):
        return await _websocket(request, Plan.of(request))


async def _websocket(request: web.Request, plan: Plan) -> web.StreamResponse:
    check_no_body(request)
    response = web.WebSocketResponse(timeout=2.0, compress=False, max_msg_size=SIZE_MAX)
    if not response.can_prepare(request) or request.version < (1, 1):
        raise BadRequest("this is a WebSocket endpoint, and no upgrade arrived; a proxy may have taken it out")
    await response.prepare(request)
    reader = asyncio.create_task(_echo(response))
    try:
        async for text in plan.frames(request):
            if response.closed:
                break
            async with asyncio.timeout(SEND_TIMEOUT):
                await response.send_str(text)
    except (ConnectionError, TimeoutError):
        pass  # the client has seen enough, or takes nothing
    finally:
        reader.cancel()
        await asyncio.wait((reader,))
        await response.close()
    return response


async def _echo(response: web.WebSocketResponse) -> None:
    try:
        while (message := await response.receive()).type is WSMsgType.TEXT:
            async with asyncio.timeout(SEND_TIMEOUT):
                await response.send_str(json.dumps({"type": "canary-echo", "data": message.data}))
    except (ConnectionError, TimeoutError):
        return


async def stream(request: web.Request, service: Service) -> web.StreamResponse:
    """The frames as events, then the end."""
    service.limits.connect(request)
    with service.limits.seat(request):
        return await _stream(request, service, Plan.of(request))


async def _stream(request: web.Request, service: Service, plan: Plan) -> web.StreamResponse:
    response = EventStream(unacknowledged=2 * service.settings.heartbeat)
    if request.version < (1, 1):
        response.unchunked()
    await response.prepare(request)
    async with response:
        try:
            async for text in plan.frames(request):
                async with asyncio.timeout(SEND_TIMEOUT):
                    await response.write(sse.build(text, id="canary").encode())
        except TimeoutError:
            if request.transport is not None:
                request.transport.abort()
    return response


async def poll(request: web.Request, service: Service) -> web.StreamResponse:
    """Frame number `first` alone, after `interval` seconds: `n` such polls make the series."""
    plan = Plan.of(request)
    with service.limits.seat(request):
        await asyncio.sleep(plan.interval)
    text = plan.frame(plan.first, seen=seen(request))
    return web.json_response(text=text, headers={"Cache-Control": "no-store"})
