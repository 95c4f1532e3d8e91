"""`tricast serve --workers` and `--data-dir`: real processes, killed, replaced, and looked for afterwards."""

from __future__ import annotations

import asyncio
import os
import pty
import re
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

import pytest
import typer
from prometheus_client.parser import text_string_to_metric_families
from tests.helpers import (
    COMMAND,
    HOST,
    Process,
    Server,
    clean_environment,
    eventually,
    missing,
    serving,
    until,
    unused_port,
)
from tests.helpers_clients import TRANSPORTS, Http, Reader, epoch, reader, websocket
from typer.testing import CliRunner, Result

import tricast
from tricast.transports import LINKS
from tricast.wire.messages import Message
from tricast_server.cli import register
from tricast_server.cluster import home

DRAIN = 3.0
BACK = 20.0

# One process starts the workers for most of these.
pytestmark = pytest.mark.xdist_group("workers")


@pytest.fixture(scope="module")
def pair() -> Iterator[Process]:
    """Two workers and their engine, which every test leaves well."""
    with serving("--workers", "2", "--drain-timeout", str(DRAIN), "--heartbeat", "1") as process:
        until(lambda: "tricast serves on" in process.log, timeout=BACK)
        yield process


# What runs


def parents() -> dict[int, int]:
    """Of every process that runs, by its pid. Zombies do not run."""
    found: dict[int, int] = {}
    for folder in Path("/proc").iterdir():
        if folder.name.isdecimal():
            try:
                state, parent = (folder / "stat").read_text().rpartition(") ")[2].split()[:2]
            except OSError:
                continue
            if state != "Z":
                found[int(folder.name)] = int(parent)
    return found


def family(pid: int) -> set[int]:
    """The process and all that it has started, and those."""
    known, every = {pid}, parents()
    while more := {child for child, parent in every.items() if parent in known} - known:
        known |= more
    return known


def running(pid: int, program: str) -> int:
    """The process of that family that runs this program or script."""
    names = {child: (Path("/proc") / str(child) / "cmdline").read_text().split("\0") for child in family(pid)}
    (found,) = (child for child, words in names.items() if any(Path(word).name == program for word in words[:4]))
    return found


def data_folder(process: Process) -> Path:
    found = re.search(r"the log is kept by nats-server on 127\.0\.0\.1:\d+, in (\S+)", process.log)
    assert found, process.log
    return Path(found[1])


async def figures(process: Process) -> dict[str, Any]:
    async with Http(process) as http:
        stats: dict[str, Any] = (await http.get("/stats")).json
        return stats


async def pids(process: Process) -> list[int]:
    """Of the workers that serve, in their order."""
    return [worker["pid"] for worker in (await figures(process))["workers"] if worker["state"] == "serving"]


# Clients


@asynccontextmanager
async def on_worker(node: str, transport: str, server: Server, **params: Any) -> AsyncIterator[Reader]:
    """A reader that a certain worker serves: which one is the kernel's choice, so as often as it takes."""
    async with AsyncExitStack() as stack:
        for _ in range(60):
            subscriber = reader(transport, server, "a", **params)
            await stack.enter_async_context(subscriber)
            if subscriber.hello["node"] == node:
                yield subscriber
                return
            await stack.aclose()
    pytest.fail(f"60 connections, and none was with {node}")


class Listener:
    """One client of the library on one transport, which wants every message once and in order."""

    def __init__(self, transport: str, bus: tricast.Bus) -> None:
        self.transport = transport
        self.bus = bus
        self.got: list[Any] = []
        self.task = asyncio.create_task(self._listen())

    async def _listen(self) -> None:
        async for item in self.bus:
            assert isinstance(item, Message), f"{self.transport}: {item}"
            if item.data == "end":
                return
            self.got.append(item.data)


class Load:
    """Publishes all the time, and makes new connections all the time, none of which may be refused."""

    def __init__(self, server: Server) -> None:
        self.server = server
        self.sent: list[int] = []
        self.fresh = 0
        self.refused: list[str] = []
        self.cut: list[str] = []
        self._going = True

    async def __aenter__(self) -> Load:
        self._stack = AsyncExitStack()
        self.listeners = []
        for name in LINKS:
            bus = await self._stack.enter_async_context(tricast.connect(self.server.url, ["a"], transports=[name]))
            self.listeners.append(Listener(name, bus))
        self._bus = await self._stack.enter_async_context(tricast.connect(self.server.url, []))
        self._tasks = [asyncio.create_task(self._publish()), asyncio.create_task(self._connect())]
        return self

    async def __aexit__(self, *details: object) -> None:
        for task in [*self._tasks, *(listener.task for listener in self.listeners)]:
            task.cancel()
            await asyncio.wait((task,))
        await self._stack.aclose()

    async def _publish(self) -> None:
        while self._going:
            await self._bus.publish("a", len(self.sent))
            self.sent.append(len(self.sent))
            await asyncio.sleep(0.02)

    async def _connect(self) -> None:
        while self._going:
            try:
                async with asyncio.timeout(5):
                    await healthy(self.server)
                self.fresh += 1
            except ConnectionRefusedError as error:
                self.refused.append(repr(error))
            except (OSError, EOFError) as error:
                self.cut.append(repr(error))
            await asyncio.sleep(0.02)

    async def goes_on(self, messages: int = 20) -> None:
        """Returns when that many more were published. Raises what went wrong."""
        wanted = len(self.sent) + messages
        await eventually(lambda: len(self.sent) >= wanted or any(task.done() for task in self._tasks), timeout=BACK)
        for task in self._tasks:
            if task.done():
                task.result()

    async def finish(self) -> None:
        """All listeners have got all, once and in order."""
        self._going = False
        await asyncio.gather(*self._tasks)
        await self._bus.publish("a", "end")
        async with asyncio.timeout(BACK):
            await asyncio.gather(*(listener.task for listener in self.listeners))
        for listener in self.listeners:
            assert listener.got == self.sent, listener.transport
            assert (listener.bus.stats.lost, listener.bus.stats.duplicated) == (0, 0)
        assert self.fresh > 20
        assert not self.refused


async def healthy(server: Server) -> None:
    """On a new connection. Raises ConnectionRefusedError, or another where it ends before its answer."""
    reading, writing = await asyncio.open_connection(HOST, server.port)
    try:
        writing.write(f"GET /healthz HTTP/1.1\r\nHost: {server.authority}\r\nConnection: close\r\n\r\n".encode())
        assert (await reading.readuntil(b"\r\n")).startswith(b"HTTP/1.1 200 ")
        await reading.read()
    finally:
        writing.close()


# Together


async def test_what_is_published_to_one_arrives_at_all_and_their_figures_are_one(pair: Process) -> None:
    base = (await figures(pair))["node"].rpartition("-")[0]
    async with AsyncExitStack() as stack:
        readers = [
            await stack.enter_async_context(on_worker(f"{base}-{number}", transport, pair))
            for number in (1, 2)
            for transport in TRANSPORTS
        ]
        async with Http(pair) as http:
            at = await http.publish("a", *range(5))
            for subscriber in readers:
                assert [message["cursor"] for message in await subscriber.messages(5)] == at
            async with asyncio.timeout(BACK):
                while (stats := (await http.get("/stats")).json)["messages"]["delivered"] < 30:
                    await asyncio.sleep(0.1)  # what is a moment old is given again
            assert (stats["connections"]["ws"], stats["connections"]["sse"]) == (2, 2)
            assert stats["cursor"] == at[-1]
            assert [worker["answered"] for worker in stats["workers"]] == [True, True]
            assert sum(worker["messages"]["delivered"] for worker in stats["workers"]) == stats["messages"]["delivered"]
            assert stats["engine"]["up"]
            metrics = await http.get("/metrics")
    assert metrics.headers["Content-Type"].startswith("text/plain; version=0.0.4")
    families = {family.name: family for family in text_string_to_metric_families(metrics.text)}
    assert metrics.text.count("# TYPE ") == len(families)
    assert {sample.labels["worker"] for sample in families["tricast_sent_messages"].samples} == {"1", "2"}
    connections = families["tricast_connections"].samples
    assert sum(sample.value for sample in connections if sample.labels["transport"] == "ws") == 2


async def test_a_worker_that_stands_still_is_named(pair: Process) -> None:
    still, _ = await pids(pair)
    os.kill(still, signal.SIGSTOP)
    stats = None
    try:
        # Half of all connections are with the one that stands still, and wait; and the other's answer may be older.
        while stats is None or all(worker["answered"] for worker in stats["workers"]):
            try:
                async with asyncio.timeout(2):
                    stats = await figures(pair)
            except TimeoutError:
                continue
    finally:
        os.kill(still, signal.SIGCONT)
    answered = [(worker["pid"] == still, worker["answered"]) for worker in stats["workers"]]
    assert answered == [(True, False), (False, True)]


async def test_a_worker_that_ends_comes_back_and_nobody_loses_anything(pair: Process) -> None:
    before = await pids(pair)
    async with Load(pair) as load:
        await load.goes_on()
        os.kill(before[0], signal.SIGKILL)
        await others(pair, before, 0)
        os.kill(before[1], signal.SIGTERM)  # by somebody who is not its supervisor
        await load.goes_on()
        await others(pair, before, 1)
        await load.finish()
    async with asyncio.timeout(BACK):
        while [worker["restarts"] for worker in (await figures(pair))["workers"]] != [1, 1]:
            await asyncio.sleep(0.1)
    assert "worker 1 was ended by SIGKILL" in pair.log
    assert "worker 2 leaves" in pair.log


async def others(process: Process, before: list[int], number: int) -> None:
    """Returns when all workers serve, and this one is another."""
    async with asyncio.timeout(BACK):
        while len(now := await pids(process)) < len(before) or now[number] == before[number]:
            await asyncio.sleep(0.1)


async def test_new_workers_come_for_old_ones_and_nobody_notices(pair: Process) -> None:
    before = set(await pids(pair))
    async with Load(pair) as load:
        await load.goes_on()
        pair.process.send_signal(signal.SIGHUP)
        await eventually(lambda: "all workers are new" in pair.log, timeout=2 * BACK, step=0.1)
        await load.goes_on()
        await load.finish()
        assert not load.cut
    after = set(await pids(pair))
    assert len(after) == 2
    assert not after & before


async def test_an_engine_that_is_killed_comes_back_with_its_data(pair: Process) -> None:
    async with Load(pair) as load:
        for program in ("nats-server", "guard.py"):
            await load.goes_on()
            os.kill(running(pair.process.pid, program), signal.SIGKILL)
        await load.goes_on()
        await load.finish()
        assert not load.cut
    assert (await figures(pair))["engine"]["restarts"] == 2


# One alone, and what is left of it


async def test_a_log_outlives_a_restart_in_its_folder(tmp_path: Path) -> None:
    port, folder = unused_port(), tmp_path / "log"
    options = ("--data-dir", str(folder), "--drain-timeout", "1")
    with serving(*options, port=port) as first:
        async with Http(first) as http:
            places = await http.publish("a", "one", "two", "three")
        assert data_folder(first) == folder
    with serving(*options, port=port) as second:
        async with Http(second) as http:
            answer = await http.poll("a", cursor=places[0])
            assert [message.get("data") for message in answer["messages"]] == ["two", "three"]
            assert epoch((await http.publish("a", "four"))[0]) == epoch(places[0])


async def test_a_supervisor_that_is_killed_leaves_nobody_and_nothing_behind() -> None:
    with serving("--workers", "2", "--drain-timeout", "1") as process:
        folder, members = data_folder(process), family(process.process.pid)
        assert len(members) == 5  # itself, two workers, the engine and its guard
        assert (folder / "data").exists()
        async with websocket(process, "a") as subscriber:
            process.process.kill()
            assert (await subscriber.next("bye", timeout=BACK))["reason"] == "drain"
        await asyncio.to_thread(process.wait)
        await eventually(lambda: not members & parents().keys(), timeout=BACK)
        assert not folder.exists()
        with socket.create_server((HOST, process.port)):
            pass  # the port is free


@contextmanager
def in_a_terminal(log_file: Path, *options: str) -> Iterator[tuple[int, Process]]:
    """A `tricast serve` in the foreground of a terminal, and the other end of that."""
    if shutil.which("setsid") is None:
        missing("setsid")
    port = unused_port()
    terminal, its_end = pty.openpty()
    # Where the tests themselves run under nohup, or in some CI, SIGHUP is ignored, and that would be inherited.
    command = ["env", "--default-signal=HUP", "setsid", "--ctty", str(COMMAND), "serve", "--port", str(port), *options]
    with log_file.open("wb") as output:
        process = subprocess.Popen(command, env=clean_environment(), stdin=its_end, stdout=output, stderr=output)
    os.close(its_end)
    server = Process(port=port, process=process, log_file=log_file)
    try:
        until(lambda: "tricast serves on" in server.log, timeout=BACK)
        yield terminal, server
    finally:
        process.kill()
        process.wait()


async def test_ctrl_c_lets_clients_go_in_peace_and_a_second_one_ends_it_at_once(tmp_path: Path) -> None:
    with in_a_terminal(tmp_path / "log", "--workers", "2", "--drain-timeout", "60") as (terminal, server):
        members, folder = family(server.process.pid), data_folder(server)
        async with Http(server) as waited_for, websocket(server, "a") as subscriber:
            await waited_for.poll("a")
            os.write(terminal, b"\x03")
            assert (await subscriber.next("bye"))["reason"] == "drain"
            with pytest.raises(ConnectionRefusedError):
                await healthy(server)
            assert server.process.poll() is None
            os.write(terminal, b"\x03")
            assert await asyncio.to_thread(server.wait) == 0
        os.close(terminal)
        assert not members & parents().keys()
        assert not folder.exists()
    assert "Traceback" not in server.log


@pytest.mark.parametrize("option", ["--data-dir=data", "--tls-self-signed"])
def test_a_terminal_that_is_closed_ends_it(option: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with in_a_terminal(tmp_path / "log", option) as (terminal, server):
        members = family(server.process.pid)
        os.close(terminal)
        assert server.wait() == 0
        assert not members & parents().keys()


async def test_a_new_worker_that_ends_while_the_old_one_still_drains_is_replaced_at_once(tmp_path: Path) -> None:
    with serving("--data-dir", str(tmp_path / "data"), "--drain-timeout", "50") as server:
        (old,) = await pids(server)
        os.kill(old, signal.SIGSTOP)  # it takes as long as it may, and longer
        try:
            server.process.send_signal(signal.SIGHUP)
            async with asyncio.timeout(BACK):
                (new,) = await pids(server)  # nobody else can answer
                assert new != old
                os.kill(new, signal.SIGKILL)
                await healthy(server)
                assert await pids(server) != [new]
        finally:
            os.kill(old, signal.SIGCONT)
        assert "worker 1 was ended by SIGKILL" in server.log


# What cannot be started


def run_here(*arguments: str) -> Result:
    """In this process, for what ends before any other is started."""
    app = typer.Typer()
    app.callback()(lambda: None)
    register(app)
    return CliRunner().invoke(app, ["serve", *arguments], env=clean_environment())


@pytest.mark.may_block("a supervisor that starts has nothing else to do")
def test_a_port_that_is_taken_is_told_even_where_it_could_be_shared() -> None:
    with socket.socket() as holder:
        holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        holder.bind((HOST, unused_port()))
        holder.listen()
        port = str(holder.getsockname()[1])
        result = run_here("--workers", "2", "--port", port)
    assert result.exit_code == 1
    assert port in result.output
    assert "--port" in result.output


@pytest.mark.may_block("a supervisor that starts has nothing else to do")
@pytest.mark.parametrize("option", [("--workers", "2"), ("--data-dir", "data")], ids=lambda option: option[0])
def test_without_an_engine_it_says_what_to_install(
    option: tuple[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "executable", str(tmp_path / "python"))
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    result = run_here("--port", "0", *option)
    assert result.exit_code == 1
    assert "pip install 'tricast[cluster]'" in result.output


@pytest.mark.may_block("a supervisor that starts has nothing else to do")
def test_a_folder_that_another_keeps_its_log_in_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(home, "LOCK_TIMEOUT", 0.1)
    other = home.Home(tmp_path)
    result = run_here("--port", "0", "--data-dir", str(tmp_path))
    other.leave()
    assert result.exit_code == 1
    assert f"another tricast serve keeps its log in {tmp_path}" in result.output.replace("\n", "")


def test_a_folder_is_for_a_log_of_our_own() -> None:
    result = run_here("--backplane", "nats://127.0.0.1", "--data-dir", "data")
    assert result.exit_code == 2
    assert "--data-dir" in result.output


@pytest.mark.may_block("a supervisor that starts has nothing else to do")
def test_workers_without_their_engine_elsewhere_do_not_start() -> None:
    result = run_here("--workers", "2", "--port", "0", "--backplane", f"redis://{HOST}:{unused_port()}")
    assert result.exit_code == 1
    assert "Does --backplane say where it is?" in result.output.replace("\n", " ")
