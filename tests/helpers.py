"""Servers for the tests, as a process and on the test's own event loop, and what to do where a tool is missing."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import random
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import asynccontextmanager, closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

import pytest
from aiohttp import web

from tricast_server import Authorise, Service, Settings, setup
from tricast_server.backplane.base import Backplane
from tricast_server.guard.authorise import allow_all
from tricast_server.hosting import listening

ROOT = Path(__file__).resolve().parents[1]
COMMAND = Path(sys.executable).with_name("tricast")
HOST = "127.0.0.1"
START_TIMEOUT = 30.0
STOP_TIMEOUT = 15.0
OWN_LOGS = ("aiohttp", "asyncio", "tricast", "tricast_server")
REFUSALS_LOG = "tricast_server.refusals"
"""Tests that are refused something mean it."""


def missing(what: str) -> NoReturn:
    """Skips the test for want of a tool. With CI set everything has to be there, so then it fails."""
    if os.environ.get("CI"):
        pytest.fail(f"missing: {what}")
    pytest.skip(f"missing: {what}")


def unused_port() -> int:
    """A port to listen on, below those that the kernel gives to clients: nobody takes it meanwhile by accident."""
    while True:
        port = random.randrange(20_000, 32_000)
        with socket.socket() as candidate:
            try:
                candidate.bind((HOST, port))
            except OSError:
                continue
            return port


@dataclass(frozen=True, kw_only=True)
class Server:
    """Where a server listens."""

    port: int

    @property
    def url(self) -> str:
        return f"http://{HOST}:{self.port}"

    @property
    def authority(self) -> str:
        return f"{HOST}:{self.port}"


@dataclass(frozen=True, kw_only=True)
class Node(Server):
    """A server on the test's own event loop."""

    service: Service


@dataclass(frozen=True, kw_only=True)
class Process(Server):
    """A `tricast serve`, seen from outside."""

    process: subprocess.Popen[bytes]
    log_file: Path

    def stats(self) -> dict[str, Any]:
        """What /stats says. Blocks."""
        status, body = fetch(f"{self.url}/stats")
        assert status == 200, body
        stats: dict[str, Any] = json.loads(body)
        return stats

    @property
    def connections(self) -> dict[str, int]:
        connections: dict[str, int] = self.stats()["connections"]
        return connections

    @property
    def memory(self) -> int:
        """Bytes of physical memory (VmRSS)."""
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        (line,) = (line for line in status.splitlines() if line.startswith("VmRSS:"))
        return int(line.split()[1]) * 1024

    @property
    def files(self) -> int:
        """Open file descriptors."""
        return len(list(Path(f"/proc/{self.process.pid}/fd").iterdir()))

    @property
    def log(self) -> str:
        return self.log_file.read_text()

    def terminate(self) -> None:
        self.process.send_signal(signal.SIGTERM)

    def wait(self, timeout: float = STOP_TIMEOUT) -> int:
        """Its exit status."""
        return self.process.wait(timeout)


@contextmanager
def serving(*options: str, env: Mapping[str, str] | None = None, port: int | None = None) -> Iterator[Process]:
    """A `tricast serve` with these options once it is healthy. It ends with SIGTERM, and must have logged no error."""
    port = port or unused_port()
    if not COMMAND.exists():
        missing(f"{COMMAND}, which installing the project makes")
    with tempfile.TemporaryDirectory(prefix="tricast-test-") as folder:
        log_file = Path(folder) / "serve.log"
        with log_file.open("wb") as output:
            process = subprocess.Popen(
                [COMMAND, "serve", "--port", str(port), *options],
                cwd=folder,
                env={**clean_environment(), **(env or {})},
                stdout=output,
                stderr=subprocess.STDOUT,
            )
        server = Process(port=port, process=process, log_file=log_file)
        try:
            _wait_until_healthy(server)
            yield server
            _stop(server)
            for sign in ("Traceback", "ERROR"):
                assert sign not in server.log, server.log
        finally:
            if process.poll() is None:
                process.kill()
            process.wait()


def clean_environment() -> dict[str, str]:
    """Ours without settings of the server, and with wide and plain output."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("TRICAST_")}
    return {**kept, "COLUMNS": "200", "NO_COLOR": "1", "TERM": "dumb"}


def _wait_until_healthy(server: Process) -> None:
    def healthy() -> bool:
        assert server.process.poll() is None, f"ended with {server.process.returncode}:\n{server.log}"
        try:
            return fetch(f"{server.url}/healthz")[0] == 200
        except OSError:
            return False

    until(healthy, timeout=START_TIMEOUT, step=0.02)


def _stop(server: Process) -> None:
    if server.process.poll() is not None:
        return
    server.terminate()
    try:
        status = server.wait()
    except subprocess.TimeoutExpired:
        pytest.fail(f"SIGTERM did not end the server:\n{server.log}")
    assert status == 0, server.log


def fetch(url: str) -> tuple[int, bytes]:
    """Status and body of a GET. Blocks. Raises OSError where nobody answers."""
    try:
        with closing(urllib.request.urlopen(url, timeout=5)) as response:
            return response.status, response.read()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read()


def until(condition: Callable[[], bool], *, timeout: float = 5.0, step: float = 0.05) -> None:
    """Returns when `condition` holds; fails the test when it has not in time. Blocks."""
    deadline = time.monotonic() + timeout
    while not condition():
        if time.monotonic() > deadline:
            pytest.fail(f"not within {timeout} s")
        time.sleep(step)


async def eventually(condition: Callable[[], bool], *, timeout: float = 5.0, step: float = 0.02) -> None:
    """`until` for the event loop."""
    async with asyncio.timeout(timeout):
        while not condition():
            await asyncio.sleep(step)


@asynccontextmanager
async def running(
    *, prefix: str = "", authorise: Authorise = allow_all, backplane: Backplane | None = None, **values: Any
) -> AsyncIterator[Node]:
    """A server on this event loop, set up as `tricast serve` does it; `values` are its settings.

    It must have logged no warning. Clients have to be closed before it is, else it waits for them as it drains.
    """
    app = web.Application()
    settings = Settings(**{"drain_timeout": 1.0, **values})
    service = setup(app, prefix, settings=settings, authorise=authorise, backplane=backplane)
    with _collected_warnings() as warnings:
        async with listening(app, HOST, 0, service=service) as listener:
            yield Node(port=int(listener.url.rpartition(":")[2]), service=service)
    assert not warnings, warnings


@contextmanager
def _collected_warnings() -> Iterator[list[str]]:
    collected: list[str] = []

    class Collector(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            if record.name != REFUSALS_LOG:
                collected.append(self.format(record))

    handler = Collector(logging.WARNING)
    loggers = [logging.getLogger(name) for name in OWN_LOGS]
    for logger in loggers:
        logger.addHandler(handler)
    try:
        yield collected
    finally:
        for logger in loggers:
            logger.removeHandler(handler)
