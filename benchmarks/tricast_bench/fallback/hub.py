"""A minimal SignalR hub, written from the published protocol, for SignalR's own client to be measured with.

It follows TransportProtocols.md and HubProtocol.md of dotnet/aspnetcore: negotiation, WebSockets, server-sent events,
long polling, the JSON protocol. Its times are the defaults of .NET's hub. It takes no calls. It has a message for each
client at once and then every 20 ms, so it needs no pings; the message is the name of the transport that it goes by.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import secrets
from collections.abc import AsyncIterator

from aiohttp import WSMsgType, web

from tricast_bench.servers import HOST

EVERY = 0.02
HANDSHAKE_TIMEOUT = 15.0
POLL_TIMEOUT = 90.0
UNUSED_TIMEOUT = 15.0
"""Seconds that a connection may be without a request of its client."""
QUEUE = 1000
END = "\x1e"
"""Behind every record."""
FORMATS = {"WebSockets": ["Text", "Binary"], "ServerSentEvents": ["Text"], "LongPolling": ["Text", "Binary"]}
NO_CACHE = {"Cache-Control": "no-cache, no-store", "Pragma": "no-cache"}
SSE = {
    "Content-Type": "text/event-stream",
    "Cache-Control": "no-cache,no-store",
    "Pragma": "no-cache",
    "Content-Encoding": "identity",
}


class Connection:
    """One client, whatever it is connected by: what waits for it, and whether it has shaken hands."""

    def __init__(self) -> None:
        self.transport = ""
        self.waiting: asyncio.Queue[str | None] = asyncio.Queue(QUEUE)  # None: the end
        self.poll: asyncio.Future[None] | None = None
        self.requests = 0
        self.left = asyncio.get_running_loop().time()
        self._received = ""
        self._shaken = asyncio.Event()
        self._life: asyncio.Task[None] | None = None

    def begin(self, transport: str) -> None:
        """Its client has come by this transport."""
        if self._life is None:
            self.transport = transport
            self._life = asyncio.create_task(self._live())

    def end(self) -> None:
        if self._life is not None:
            self._life.cancel()

    def feed(self, text: str) -> None:
        """What the client has sent: a handshake, then pings or a farewell. Raises ValueError."""
        *records, self._received = (self._received + text).split(END)
        for record in records:
            message = json.loads(record)
            if not self._shaken.is_set():
                if message.get("protocol") != "json" or message.get("version") != 1:
                    raise ValueError("no handshake for the JSON protocol")
                self._shaken.set()
            elif message.get("type") == 7:
                self._put(None)

    async def take(self) -> str | None:
        """All that waits, as soon as anything does; None at the end."""
        parts = [await self.waiting.get()]
        while not self.waiting.empty():
            parts.append(self.waiting.get_nowait())
        texts = [part for part in parts if part is not None]
        if not texts:
            return None
        if len(texts) < len(parts):
            self._put(None)
        return "".join(texts)

    async def _live(self) -> None:
        try:
            async with asyncio.timeout(HANDSHAKE_TIMEOUT):
                await self._shaken.wait()
        except TimeoutError:
            self._put(_record(error="Handshake was canceled."))
            self._put(None)
            return
        self._put(_record())
        while True:
            self._put(_record(type=1, target="message", arguments=[self.transport]))
            await asyncio.sleep(EVERY)

    def _put(self, record: str | None) -> None:
        if not self.waiting.full():
            self.waiting.put_nowait(record)


class Hub:
    """The endpoints under one path, and the connections that have been negotiated."""

    def __init__(self) -> None:
        self._connections: dict[str, Connection] = {}

    def app(self) -> web.Application:
        app = web.Application()
        app.router.add_get("/", _home)
        app.router.add_post("/hub/negotiate", self._negotiate)
        app.router.add_get("/hub", self._get, allow_head=False)
        app.router.add_post("/hub", self._post)
        app.router.add_delete("/hub", self._delete)
        app.cleanup_ctx.append(self._forgetting)
        return app

    async def _negotiate(self, request: web.Request) -> web.StreamResponse:
        version = 1 if request.query.get("negotiateVersion", "0") != "0" else 0
        token = self._new()
        answer: dict[str, object] = {
            "negotiateVersion": version,
            "connectionId": secrets.token_urlsafe(16) if version else token,
            "availableTransports": [{"transport": name, "transferFormats": FORMATS[name]} for name in FORMATS],
        }
        if version:
            answer["connectionToken"] = token
        return web.json_response(answer)

    async def _get(self, request: web.Request) -> web.StreamResponse:
        upgraded = web.WebSocketResponse()
        upgrades = upgraded.can_prepare(request).ok
        if upgrades and "id" not in request.query:
            token = self._new()
        else:
            token = self._token(request)
        connection = self._connections[token]
        wanted = "WebSockets" if upgrades else "LongPolling"
        if "text/event-stream" in request.headers.get("Accept", ""):
            wanted = "ServerSentEvents"
        if connection.transport and (connection.transport != wanted or wanted != "LongPolling"):
            raise web.HTTPConflict
        connection.requests += 1
        try:
            if wanted == "LongPolling":
                return await self._long_poll(connection)
            try:
                if wanted == "WebSockets":
                    return await self._websocket(request, upgraded, connection)
                return await self._events(request, connection)
            finally:
                self._forget(token)
        finally:
            connection.requests -= 1
            connection.left = asyncio.get_running_loop().time()

    async def _websocket(
        self, request: web.Request, socket: web.WebSocketResponse, connection: Connection
    ) -> web.StreamResponse:
        await socket.prepare(request)
        connection.begin("WebSockets")
        sending = asyncio.create_task(_send_frames(socket, connection))
        try:
            async for frame in socket:
                if frame.type is WSMsgType.TEXT:
                    connection.feed(frame.data)
        except ValueError:
            await socket.close()
        finally:
            sending.cancel()
        return socket

    async def _events(self, request: web.Request, connection: Connection) -> web.StreamResponse:
        response = web.StreamResponse(headers=SSE)
        await response.prepare(request)
        await response.write(b":\r\n")
        connection.begin("ServerSentEvents")
        while (text := await connection.take()) is not None:
            await response.write(f"data: {text}\r\n\r\n".encode())
        return response

    async def _long_poll(self, connection: Connection) -> web.StreamResponse:
        if not connection.transport:
            connection.begin("LongPolling")
            return web.Response(headers=NO_CACHE)  # the first one only says that it is there
        if connection.poll is not None and not connection.poll.done():
            connection.poll.set_result(None)
        connection.poll = replaced = asyncio.get_running_loop().create_future()
        taking = asyncio.create_task(connection.take())
        try:
            await asyncio.wait({taking, replaced}, timeout=POLL_TIMEOUT, return_when=asyncio.FIRST_COMPLETED)
            if not taking.done():
                return web.Response(status=204 if replaced.done() else 200, headers=NO_CACHE)
            text = taking.result()
            return web.Response(status=204 if text is None else 200, text=text, headers=NO_CACHE)
        finally:
            taking.cancel()

    async def _post(self, request: web.Request) -> web.StreamResponse:
        connection = self._connections[self._token(request)]
        try:
            connection.feed(await request.text())
        except ValueError:
            raise web.HTTPBadRequest from None
        return web.Response()

    async def _delete(self, request: web.Request) -> web.StreamResponse:
        self._forget(self._token(request))
        return web.Response(status=202)

    def _new(self) -> str:
        token = secrets.token_urlsafe(16)
        self._connections[token] = Connection()
        return token

    def _token(self, request: web.Request) -> str:
        token = request.query.get("id")
        if token is None:
            raise web.HTTPBadRequest
        if token not in self._connections:
            raise web.HTTPNotFound
        return token

    def _forget(self, token: str) -> None:
        if (connection := self._connections.pop(token, None)) is not None:
            connection.end()

    async def _forgetting(self, _: web.Application) -> AsyncIterator[None]:
        forgetting = asyncio.create_task(self._forget_unused())
        yield
        forgetting.cancel()
        for token in list(self._connections):
            self._forget(token)

    async def _forget_unused(self) -> None:
        while True:
            await asyncio.sleep(1)
            before = asyncio.get_running_loop().time() - UNUSED_TIMEOUT
            for token, connection in list(self._connections.items()):
                if not connection.requests and connection.left < before:
                    self._forget(token)


async def _home(_: web.Request) -> web.StreamResponse:
    return web.Response(text="a hub\n")


async def _send_frames(socket: web.WebSocketResponse, connection: Connection) -> None:
    while (text := await connection.take()) is not None:
        await socket.send_str(text)
    await socket.close()


def _record(**members: object) -> str:
    return json.dumps(members, separators=(",", ":")) + END


def main() -> None:
    parser = argparse.ArgumentParser(description="A minimal SignalR hub on /hub, written from the published protocol.")
    parser.add_argument("--port", type=int, default=8082, help=f"port to listen on at {HOST} (default: %(default)s)")
    web.run_app(Hub().app(), host=HOST, port=parser.parse_args().port, access_log=None, print=None)


if __name__ == "__main__":
    main()
