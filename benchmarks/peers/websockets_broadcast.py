"""websockets with its `broadcast`, on uvloop: /ws, /echo; publish on /publish."""

from __future__ import annotations

import argparse
import asyncio

import uvloop
from websockets.asyncio.server import ServerConnection, broadcast, serve

HEARTBEAT = 20.0
subscribers: set[ServerConnection] = set()


async def handle(connection: ServerConnection) -> None:
    assert connection.request is not None
    match connection.request.path:
        case "/ws":
            subscribers.add(connection)
            try:
                await connection.wait_closed()
            finally:
                subscribers.discard(connection)
        case "/echo":
            async for message in connection:
                await connection.send(message)
        case "/publish":
            async for message in connection:
                broadcast(subscribers, message)
                await connection.send("ok")


async def run(port: int) -> None:
    async with serve(handle, "127.0.0.1", port, compression=None, ping_interval=HEARTBEAT, backlog=1024):
        await asyncio.Event().wait()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, required=True)
    uvloop.run(run(parser.parse_args().port))


if __name__ == "__main__":
    main()
