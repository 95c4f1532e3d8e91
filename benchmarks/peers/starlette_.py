"""Starlette with sse-starlette, under uvicorn: /ws, /sse, /echo; publish on /publish. One send per client."""

from __future__ import annotations

import argparse
import asyncio
from collections.abc import AsyncIterator

import uvicorn
from sse_starlette import EventSourceResponse
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.routing import Route, WebSocketRoute
from starlette.websockets import WebSocket, WebSocketDisconnect

HEARTBEAT = 20
sockets: set[WebSocket] = set()
queues: set[asyncio.Queue[str]] = set()


async def ws(socket: WebSocket) -> None:
    await socket.accept()
    sockets.add(socket)
    try:
        async for _ in socket.iter_text():
            pass
    finally:
        sockets.discard(socket)


async def sse(request: Request) -> EventSourceResponse:
    return EventSourceResponse(events(), ping=HEARTBEAT, sep="\n")


async def events() -> AsyncIterator[dict[str, str]]:
    queue: asyncio.Queue[str] = asyncio.Queue()
    queues.add(queue)
    try:
        while True:
            yield {"data": await queue.get()}
    finally:
        queues.discard(queue)


async def echo(socket: WebSocket) -> None:
    await socket.accept()
    async for text in socket.iter_text():
        await socket.send_text(text)


async def publish(socket: WebSocket) -> None:
    await socket.accept()
    async for text in socket.iter_text():
        for subscriber in list(sockets):
            try:
                await subscriber.send_text(text)
            except WebSocketDisconnect:
                sockets.discard(subscriber)
        for queue in queues:
            queue.put_nowait(text)
        await socket.send_text("ok")


app = Starlette(
    routes=[
        Route("/sse", sse),
        WebSocketRoute("/ws", ws),
        WebSocketRoute("/echo", echo),
        WebSocketRoute("/publish", publish),
    ]
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, required=True)
    uvicorn.run(
        app,
        host="127.0.0.1",
        port=parser.parse_args().port,
        access_log=False,
        log_level="warning",
        ws_ping_interval=HEARTBEAT,
        ws_per_message_deflate=False,
    )


if __name__ == "__main__":
    main()
