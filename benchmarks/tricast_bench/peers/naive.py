"""The loops that one writes first: aiohttp's `send_str` and aiohttp-sse's `send`, once per client and message.

It takes the publish command of tricast's WebSocket, sends subscribers frames of tricast's shape and size, and has
tricast's heartbeats, so that only the fan-out differs. Each message is encoded once, not once per client.
"""

from __future__ import annotations

import argparse
import json
import time

from aiohttp import web
from aiohttp_sse import EventSourceResponse, sse_response

HEARTBEAT = 15.0
"""Seconds; aiohttp-sse has the same of its own."""
EPOCH = "naivenaivena"
CLIENT = "c0123456789abcdef"


class Naive:
    """All subscribers of one kind get every message, one after the other."""

    def __init__(self) -> None:
        self._sockets: set[web.WebSocketResponse] = set()
        self._streams: set[EventSourceResponse] = set()
        self._offset = 0

    async def ws(self, request: web.Request) -> web.StreamResponse:
        response = web.WebSocketResponse(heartbeat=HEARTBEAT)
        await response.prepare(request)
        self._sockets.add(response)
        try:
            async for _ in response:
                pass
        finally:
            self._sockets.discard(response)
        return response

    async def sse(self, request: web.Request) -> web.StreamResponse:
        async with sse_response(request, sep="\n") as response:
            self._streams.add(response)
            try:
                await response.wait()
            finally:
                self._streams.discard(response)
        return response

    async def publish(self, request: web.Request) -> web.StreamResponse:
        response = web.WebSocketResponse(heartbeat=HEARTBEAT)
        await response.prepare(request)
        async for message in response:
            command = json.loads(message.data)
            self._offset += 1
            cursor = f"{EPOCH}-{self._offset}"
            text = _text(
                type="message",
                topic=command["topic"],
                cursor=cursor,
                data=command["data"],
                **{"from": CLIENT},
                ts=round(time.time(), 6),
            )
            await self._send(text, cursor)
            await response.send_str(_text(type="reply", action="publish", at=cursor, duplicate=False))
        return response

    async def _send(self, text: str, cursor: str) -> None:
        for socket in list(self._sockets):
            try:
                await socket.send_str(text)
            except ConnectionResetError:
                self._sockets.discard(socket)
        for stream in list(self._streams):
            try:
                await stream.send(text, id=cursor)
            except ConnectionResetError:
                self._streams.discard(stream)


def _text(**members: object) -> str:
    return json.dumps(members, separators=(",", ":"))


def main() -> None:
    parser = argparse.ArgumentParser(description="Broadcast with one send per client: /ws, /sse; publish on /publish.")
    parser.add_argument("--port", type=int, default=8081, help="port to listen on at 127.0.0.1 (default: %(default)s)")
    port = parser.parse_args().port
    naive = Naive()
    app = web.Application()
    app.router.add_get("/ws", naive.ws)
    app.router.add_get("/sse", naive.sse)
    app.router.add_get("/publish", naive.publish)
    web.run_app(app, host="127.0.0.1", port=port, backlog=1024, access_log=None, print=None, shutdown_timeout=0.1)


if __name__ == "__main__":
    main()
