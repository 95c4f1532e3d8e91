"""A node of the cluster: a `tricast serve` that can be killed, drained, paused, and is started until it runs."""

from __future__ import annotations

import asyncio
import signal
from asyncio.subprocess import Process
from pathlib import Path

import aiohttp
from tests.helpers import COMMAND, HOST, clean_environment, unused_port

START_TIMEOUT = 60.0
AGAIN = 0.3
"""Seconds until a node that ended as it could not reach the engine is started again, as a supervisor would."""
DRAIN_TIMEOUT = 3.0
STOP_TIMEOUT = 20.0
HEARTBEAT = 2.0


class Node:
    """See the module. It always has the same port. All of its lives write to one log."""

    def __init__(self, name: str, backplane: str, folder: Path) -> None:
        self.name = name
        self.port = unused_port()
        self.log_file = folder / f"{name}.log"
        self.starts = 0
        self._command = [
            *(str(COMMAND), "serve", "--port", str(self.port), "--node", name, "--backplane", backplane),
            *("--heartbeat", str(HEARTBEAT), "--drain-timeout", str(DRAIN_TIMEOUT)),
        ]
        self._process: Process | None = None

    @property
    def url(self) -> str:
        return f"http://{HOST}:{self.port}"

    @property
    def log(self) -> str:
        return self.log_file.read_text()

    async def start(self) -> None:
        """Returns when it is healthy."""
        async with asyncio.timeout(START_TIMEOUT), aiohttp.ClientSession() as http:
            while not await self._comes_up(http):
                await asyncio.sleep(AGAIN)

    async def _comes_up(self, http: aiohttp.ClientSession) -> bool:
        self.starts += 1
        with self.log_file.open("ab") as log:
            process = await asyncio.create_subprocess_exec(
                *self._command, cwd=self.log_file.parent, env=clean_environment(), stdout=log, stderr=log
            )
        self._process = process
        while process.returncode is None:
            if await status(http, f"{self.url}/healthz") == 200:
                return True
            await asyncio.sleep(0.05)
        assert process.returncode == 1, f"{self.name} ended with {process.returncode}:\n{self.log}"
        return False

    async def kill(self) -> None:
        """As a power cut ends it. Idempotent."""
        if self._process is not None:
            if self._process.returncode is None:
                self._process.kill()
            await self._process.wait()
            self._process = None

    async def drain(self) -> None:
        """Ends it as a supervisor does, within its time."""
        assert self._process is not None
        self._process.terminate()
        async with asyncio.timeout(STOP_TIMEOUT):
            code = await self._process.wait()
        assert code == 0, f"{self.name} ended with {code}:\n{self.log}"
        self._process = None

    def pause(self) -> None:
        """It keeps its connections and does nothing, until `resume`."""
        self._send(signal.SIGSTOP)

    def resume(self) -> None:
        self._send(signal.SIGCONT)

    def _send(self, number: signal.Signals) -> None:
        assert self._process is not None
        self._process.send_signal(number)


async def status(http: aiohttp.ClientSession, url: str, seconds: float = 2.0) -> int:
    """Of a GET; 0 where nobody answers in time."""
    try:
        async with http.get(url, timeout=aiohttp.ClientTimeout(total=seconds)) as response:
            return response.status
    except (aiohttp.ClientError, OSError):
        return 0
