"""Other buses' clients and ours, each a program of its own that tells how long it took to its first message.

All servers are alike in one thing: they have a message for a client as soon as they know it, and another every 20 ms.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import subprocess
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import aiohttp

from tricast_bench.fallback.alone import TOPIC
from tricast_bench.fallback.network import START_TIMEOUT
from tricast_bench.middlebox import Faults, Middlebox
from tricast_bench.servers import HOST, Unusable, free_port, program

ROOT = Path(__file__).parents[3]
PROGRAMS = ROOT / "benchmarks/first"
MODULES = PROGRAMS / "node_modules"
EVERY = 0.02
PATIENCE = 45.0
"""Seconds without a message that count as never."""
START_AND_END = 15.0
"""Seconds that a program may take beyond that."""


@dataclass(frozen=True, slots=True)
class Client:
    """A client to measure: the server that it needs, and its kind in client.mjs; None is the one in Python."""

    server: str
    kind: str | None
    needs: Path = MODULES

    def command(self, url: str, seconds: float) -> list[str]:
        if self.kind is None:
            return [sys.executable, "-m", "tricast_bench.fallback.alone", url, f"{seconds:g}"]
        return [program("node"), str(PROGRAMS / "client.mjs"), self.kind, url, f"{seconds:g}"]

    def missing(self) -> str | None:
        """What keeps it from running here, if anything does."""
        wanted = () if self.kind is None else (MODULES, self.needs)
        absent = next((path for path in wanted if not path.exists()), None)
        return f"{absent.relative_to(ROOT)}, which `make bench-first` makes" if absent else None


CLIENTS: Mapping[str, Client] = {
    "tricast, Python": Client("tricast", None),
    "tricast, Node": Client("tricast", "tricast", ROOT / "clients/js/dist/index.js"),
    "Socket.IO": Client("socketio", "socketio"),
    "Socket.IO, WebSocket first": Client("socketio", "socketio-ws-first"),
    "SignalR": Client("signalr", "signalr"),
}


@dataclass(frozen=True, slots=True)
class Connect:
    """What came of one: seconds to the first message and its transport, None for never; the client's last error."""

    network: str
    client: str
    took: float | None
    transport: str | None
    said: str | None


@asynccontextmanager
async def serving(name: str) -> AsyncIterator[str]:
    """A server in a process of its own, with its messages. Raises Unusable."""
    port = free_port()
    commands = {
        "tricast": lambda: [program("tricast"), "serve", "--port", str(port)],
        "socketio": lambda: [program("node"), str(PROGRAMS / "socketio.mjs"), str(port)],
        "signalr": lambda: [sys.executable, "-m", "tricast_bench.fallback.hub", "--port", str(port)],
    }
    process = await asyncio.create_subprocess_exec(
        *commands[name](), stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.DEVNULL
    )
    try:
        await _wait_for(name, port)
        async with contextlib.AsyncExitStack() as stack:
            if name == "tricast":
                await stack.enter_async_context(_publishing(port))
            yield f"http://{HOST}:{port}"
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


async def connect(network: str, faults: Faults, name: str, server: str, patience: float = PATIENCE) -> Connect:
    """One connect of a client to a server through these faults. Raises Unusable."""
    async with Middlebox(upstream=server, faults=faults) as box:
        process = await asyncio.create_subprocess_exec(
            *CLIENTS[name].command(box.url, patience), stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
        )
        try:
            async with asyncio.timeout(patience + START_AND_END):
                out, err = await process.communicate()
        except TimeoutError:
            raise Unusable(f"the program for {name} does not end") from None
        finally:
            if process.returncode is None:
                process.kill()
                await process.communicate()
    try:
        found = json.loads(out)
    except ValueError:
        raise Unusable(f"the program for {name} failed: {err.decode(errors='replace')[-2000:]}") from None
    return Connect(network, name, found["took"], found["transport"], found["said"])


def versions() -> dict[str, str]:
    """Of Node and of the npm packages that are measured."""
    node = subprocess.run([program("node"), "--version"], capture_output=True, text=True, check=True).stdout
    names = ("socket.io", "socket.io-client", "@microsoft/signalr", "ws")
    packages = {name: json.loads((MODULES / name / "package.json").read_text())["version"] for name in names}
    return {"Node": node.strip().removeprefix("v"), **packages}


async def _wait_for(name: str, port: int) -> None:
    try:
        async with asyncio.timeout(START_TIMEOUT):
            while True:
                with contextlib.suppress(OSError):
                    _, writer = await asyncio.open_connection(HOST, port)
                    writer.close()
                    return
                await asyncio.sleep(0.02)
    except TimeoutError:
        raise Unusable(f"the {name} server does not listen within {START_TIMEOUT:g} s") from None


@asynccontextmanager
async def _publishing(port: int) -> AsyncIterator[None]:
    async with aiohttp.ClientSession(f"http://{HOST}:{port}") as session:
        await _publish(session)
        task = asyncio.create_task(_go_on_publishing(session))
        try:
            yield
        finally:
            task.cancel()
            await asyncio.wait({task})


async def _go_on_publishing(session: aiohttp.ClientSession) -> None:
    while True:
        await asyncio.sleep(EVERY)
        await _publish(session)


async def _publish(session: aiohttp.ClientSession) -> None:
    async with session.post(f"/topics/{TOPIC}", json="first") as response:
        response.raise_for_status()
