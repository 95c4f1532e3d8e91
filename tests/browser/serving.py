"""A real `tricast serve` for the browser to talk to."""

from __future__ import annotations

import asyncio
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

    command = "serve"

    def __init__(self, home: Path, *options: str) -> None:
        self.port = unused_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self._log = home / f"serve-{self.port}.log"
        self._options = options
        self._process: asyncio.subprocess.Process | None = None

    async def start(self) -> None:
        """Returns once it is healthy."""
        environment = {name: value for name, value in os.environ.items() if not name.startswith("TRICAST_")}
        command = [
            str(Path(sys.executable).with_name("tricast")),
            self.command,
            "--port",
            str(self.port),
            *self._options,
        ]
        with self._log.open("ab") as log:
            self._process = await asyncio.create_subprocess_exec(*command, env=environment, stdout=log, stderr=log)
        async with asyncio.timeout(30), aiohttp.ClientSession() as session:
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

    async def log(self, topic: str) -> list[Any]:
        """All data that stands in the log for a topic, in order."""
        data: list[Any] = []
        cursor = "earliest"
        async with aiohttp.ClientSession(self.url) as session:
            while True:
                query = {"topics": topic, "cursor": cursor, "wait": "0", "limit": "1000", "n": str(len(data))}
                async with session.get("/poll", params=query) as response:
                    batch = await response.json()
                if not batch["messages"]:
                    return data
                data += [message["data"] for message in batch["messages"]]
                cursor = batch["cursor"]


class DemoServer(Server):
    """`tricast demo`: its pages reach the bus through a middlebox."""

    command = "demo"

    def __init__(self, home: Path) -> None:
        self.bus_port, self.control_port = unused_port(), unused_port()
        super().__init__(home, "--bus-port", str(self.bus_port), "--control-port", str(self.control_port))

    async def heal(self) -> None:
        await self._control("DELETE", "/faults")

    async def preset(self, name: str) -> None:
        await self._control("POST", f"/presets/{name}")

    async def break_with(self, faults: dict[str, Any]) -> None:
        await self._control("PUT", "/faults", faults)

    async def _control(self, method: str, path: str, body: Any = None) -> None:
        url = f"http://127.0.0.1:{self.control_port}{path}"
        async with aiohttp.ClientSession() as session, session.request(method, url, json=body) as response:
            response.raise_for_status()


def unused_port() -> int:
    """Below the ports that outgoing connections get, so that nothing takes it while its server is away."""
    while True:
        port = random.randrange(20_000, 32_000)
        try:
            with socket.create_server(("127.0.0.1", port)):
                return port
        except OSError:
            continue
