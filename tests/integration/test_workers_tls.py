"""`tricast serve --workers` with a certificate: all have it, and SIGHUP brings another or leaves all as it was."""

from __future__ import annotations

import asyncio
import signal
import subprocess
from collections.abc import Awaitable, Callable
from pathlib import Path

import aiohttp
import pytest
from tests.contract.test_tls import make_pair, tls_process, trusting
from tests.helpers import HOST, eventually

BACK = 40.0
CONNECTIONS = 60
"""Until both workers were met, which the kernel chooses from by a hash."""
OPTIONS = ("--workers", "2", "--node", "n", "--drain-timeout", "1", "--log-format", "json")
NODES = {"n-1", "n-2"}

pytestmark = pytest.mark.xdist_group("workers")


async def test_sighup_brings_the_new_certificate_to_both_workers_and_one_of_no_use_to_neither(tmp_path: Path) -> None:
    first, second = make_pair(tmp_path), make_pair(tmp_path, "second")
    async with Running(first) as running:
        before = await running.pids(first[0])
        assert await running.met(first[0], by_websocket) == NODES
        original, other = first[1].read_bytes(), second[1].read_bytes()

        first[1].write_bytes(other)
        await running.renew("those that serve stay")
        assert f"worker 1 does not come up: the key in {first[1]} is not that of the certificate" in running.said
        first[1].write_bytes(original)
        assert await running.pids(first[0]) == before
        assert await running.met(first[0], by_poll) == NODES

        for old, new in zip(first, second, strict=True):
            old.write_bytes(new.read_bytes())
        await running.renew("all workers are new")
        assert await running.met(second[0], by_websocket) == NODES
        assert await running.met(second[0], by_poll) == NODES
        assert not set(await running.pids(second[0])) & set(before)


class Running:
    """A `tricast serve` with two workers and these files of a certificate."""

    def __init__(self, pair: tuple[Path, Path]) -> None:
        self._context = tls_process("--tls-cert", str(pair[0]), "--tls-key", str(pair[1]), *OPTIONS)

    async def __aenter__(self) -> Running:
        self.process: subprocess.Popen[bytes]
        self.process, self.port, self.log = await asyncio.to_thread(self._context.__enter__)
        return self

    async def __aexit__(self, *details: object) -> None:
        await asyncio.to_thread(self._context.__exit__, *details)  # type: ignore[arg-type]

    async def renew(self, outcome: str) -> None:
        self.process.send_signal(signal.SIGHUP)
        await eventually(lambda: outcome in self.said, timeout=BACK, step=0.1)

    @property
    def said(self) -> str:
        """What it has logged."""
        return self.log.read_text()

    async def met(self, cert: Path, ask: Callable[[aiohttp.ClientSession, int], Awaitable[str]]) -> set[str]:
        """The workers that show this certificate: every connection has to, as no other is trusted."""
        nodes: set[str] = set()
        for _ in range(CONNECTIONS):
            async with session(cert) as http:
                nodes.add(await ask(http, self.port))
            if nodes == NODES:
                break
        return nodes

    async def pids(self, cert: Path) -> list[int]:
        async with session(cert) as http, http.get(f"https://{HOST}:{self.port}/stats") as answer:
            return [worker["pid"] for worker in (await answer.json())["workers"] if worker["state"] == "serving"]


def session(cert: Path) -> aiohttp.ClientSession:
    connector = aiohttp.TCPConnector(ssl=trusting(cert), force_close=True)
    return aiohttp.ClientSession(connector=connector, timeout=aiohttp.ClientTimeout(20))


async def by_websocket(http: aiohttp.ClientSession, port: int) -> str:
    async with http.ws_connect(f"wss://{HOST}:{port}/ws?topics=a") as websocket:
        return str((await websocket.receive_json())["node"])


async def by_poll(http: aiohttp.ClientSession, port: int) -> str:
    async with http.get(f"https://{HOST}:{port}/poll?topics=a") as answer:
        return str((await answer.json())["hello"]["node"])
