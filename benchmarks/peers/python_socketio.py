"""python-socketio on aiohttp: emits to all of "/" what is published in the namespace "/publish"; "echo" comes back."""

from __future__ import annotations

import argparse

import socketio
from aiohttp import web

HEARTBEAT = 20.0
SHUTDOWN = 0.1
UNANSWERED = 600.0
"""Seconds. The load answers pings over WebSocket, but does not when it polls."""

sio = socketio.AsyncServer(
    async_mode="aiohttp", ping_interval=HEARTBEAT, ping_timeout=UNANSWERED, http_compression=False
)


@sio.on("publish", namespace="/publish")
async def publish(_: str, data: str) -> None:
    await sio.emit("message", data, namespace="/")


@sio.on("echo", namespace="/")
async def echo(sid: str, data: str) -> None:
    await sio.emit("echo", data, to=sid)


@sio.on("connect", namespace="*")
async def connect(namespace: str, sid: str, environ: dict[str, object]) -> None:
    """Lets everybody in."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, required=True)
    app = web.Application()
    sio.attach(app)
    port = parser.parse_args().port
    web.run_app(app, host="127.0.0.1", port=port, backlog=1024, access_log=None, print=None, shutdown_timeout=SHUTDOWN)


if __name__ == "__main__":
    main()
