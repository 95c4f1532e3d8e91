"""A real `tricast serve` for the browser to talk to."""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import signal
import socket
import sys
from pathlib import Path
from typing import Any

import aiohttp


class Server:
    """`tricast serve` in a process of its own, on a port that stays the same over a restart."""

    def __init__(self, home: Path, *options: str) -> None:
        self.port = unused_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self._log = home / f"serve-{self.port}.log"
        self._options = options
        self._process: asyncio.subprocess.Process | None = None

    async def start(self) -> None:
        """Returns once it is healthy."""
        environment = {name: value for name, value in os.environ.items() if not name.startswith("TRICAST_")}
        command = [str(Path(sys.executable).with_name("tricast")), "serve", "--port", str(self.port), *self._options]
        with self._log.open("ab") as log:
            self._process = await asyncio.create_subprocess_exec(*command, env=environment, stdout=log, stderr=log)
        async with asyncio.timeout(20), aiohttp.ClientSession() as session:
            while True:
                assert self._process.returncode is None, self._log.read_text()
                try:
                    async with session.get(f"{self.url}/healthz") as response:
                        response.raise_for_status()
                        return
                except aiohttp.ClientConnectionError:
                    await asyncio.sleep(0.05)

    def kill(self, number: signal.Signals) -> None:
        assert self._process is not None
        self._process.send_signal(number)

    async def stop(self, number: signal.Signals = signal.SIGTERM) -> None:
        """Idempotent."""
        if self._process is None or self._process.returncode is not None:
            return
        self.kill(number)
        try:
            async with asyncio.timeout(15):
                await self._process.wait()
        except TimeoutError:
            self._process.kill()
            await self._process.wait()
            raise

    async def publish(self, topic: str, *data: Any, every: float | None = None) -> None:
        """One POST for all, or one for each, `every` so many seconds."""
        commands = [{"action": "publish", "topic": topic, "data": item} for item in data]
        async with aiohttp.ClientSession(self.url) as session:
            for body in [commands] if every is None else commands:
                async with session.post("/send", json=body) as response:
                    response.raise_for_status()
                await asyncio.sleep(every or 0)

    async def connections(self) -> dict[str, int]:
        async with aiohttp.ClientSession(self.url) as session, session.get("/stats") as response:
            connections: dict[str, int] = (await response.json())["connections"]
            return connections


class Relay:
    """A TCP relay to a server, to cut connections in the middle of what they carry."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._writers: list[asyncio.StreamWriter] = []

    async def start(self) -> str:
        """Returns its URL."""
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        return f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"

    def cut(self) -> None:
        """Resets all connections; new ones are taken."""
        for writer in self._writers:
            writer.transport.abort()
        self._writers.clear()

    async def stop(self) -> None:
        self._server.close()
        self.cut()
        await self._server.wait_closed()

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        upstream, upwriter = await asyncio.open_connection("127.0.0.1", self._port)
        self._writers += (writer, upwriter)
        await asyncio.gather(self._copy(reader, upwriter), self._copy(upstream, writer))

    @staticmethod
    async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError):
            while data := await reader.read(2**16):
                writer.write(data)
        writer.close()


def unused_port() -> int:
    """Below the ports that outgoing connections get, so that nothing takes it while its server is away."""
    while True:
        port = random.randrange(20_000, 32_000)
        try:
            with socket.create_server(("127.0.0.1", port)):
                return port
        except OSError:
            continue
