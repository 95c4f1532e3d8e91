"""What is measured: each engine with one worker and with two, under each load."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Literal

from tricast_bench.peers import tricast
from tricast_bench.peers.peer import Peer
from tricast_bench.peers.tree import Tree, serving
from tricast_bench.peers.workloads import Workload
from tricast_bench.servers import HOST, STEP, Unusable, free_port, program, wait_for

Engine = Literal["memory", "nats", "redis"]
READY_TIMEOUT = 20.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """So many workers on one log. NATS is the embedded one, Redis a server of its own with its usual durability."""

    engine: Engine
    workers: int
    title: str

    @property
    def name(self) -> str:
        return f"{self.engine}-{self.workers}"


CASES = (
    Case(engine="memory", workers=1, title="memory, 1 process"),
    Case(engine="nats", workers=1, title="NATS, 1 worker"),
    Case(engine="nats", workers=2, title="NATS, 2 workers"),
    Case(engine="redis", workers=1, title="Redis, 1 process"),
    Case(engine="redis", workers=2, title="Redis, 2 workers"),
)
LOADS = (
    Workload(name="latency", title="20/s to 10", transport="ws", connections=10, rate=20),
    Workload(name="fan-out", title="100/s to 500", transport="ws", rate=100),
    Workload(name="flat-out", title="32 in flight to 500", transport="ws", window=32),
    Workload(name="ingest-1", title="1 in flight to 1", transport="ws", connections=1, window=1),
    Workload(name="ingest-64", title="64 in flight to 1", transport="ws", connections=1, window=64),
)


@dataclass(frozen=True, slots=True)
class Running:
    """`nodes` is the server with all of its workers, `engines` are the processes that keep the log."""

    port: int
    peer: Peer
    nodes: Tree
    separate: Tree | None

    def cpu(self) -> tuple[dict[int, int], dict[int, int]]:
        """Nanoseconds of each process of the nodes, and of the engine, which may be a child of theirs."""
        own = self.nodes.cpu()
        engine = {pid: own.pop(pid) for pid in list(own) if _is_engine(pid)}
        return own, engine | (self.separate.cpu() if self.separate is not None else {})


@contextlib.contextmanager
def started(case: Case, cores: str) -> Iterator[Running]:
    """From when all workers serve. Raises Unusable."""
    with contextlib.ExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="tricast-bench-"))
        options, separate = ["--workers", str(case.workers)] if case.workers > 1 else [], None
        if case.engine == "redis":
            url, separate = stack.enter_context(_redis(folder, cores))
            options += ["--backplane", url]
        elif case.engine == "nats":
            options += ["--data-dir", folder]
        base = tricast.PEERS[0]
        peer = replace(base, name=case.name, command=lambda port: [*base.command(port), *options])
        tree, port = stack.enter_context(serving(peer, cores))
        _wait_for_all(port, case.workers)
        yield Running(port, peer, tree, separate)


def _wait_for_all(port: int, workers: int) -> None:
    """The first to listen would get all connections."""
    deadline = time.monotonic() + READY_TIMEOUT
    while time.monotonic() < deadline:
        with contextlib.suppress(OSError), urllib.request.urlopen(f"http://{HOST}:{port}/stats", timeout=2) as answer:
            there = [worker for worker in json.load(answer).get("workers", [{}]) if worker.get("answered", True)]
            if len(there) >= workers:
                return
        time.sleep(STEP)
    raise Unusable(f"{workers} workers do not answer within {READY_TIMEOUT:g} s")


@contextlib.contextmanager
def _redis(folder: str, cores: str) -> Iterator[tuple[str, Tree]]:
    port = free_port()
    command = ["taskset", "--cpu-list", cores, program("redis-server"), "--bind", HOST, "--port", str(port)]
    command += ["--dir", folder, "--save", "", "--appendonly", "yes", "--appendfsync", "everysec"]
    with tempfile.TemporaryFile() as output:
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=output, stderr=output)
        try:
            wait_for(process, port, output)
            yield f"redis://{HOST}:{port}/0", Tree(process.pid)
        finally:
            process.kill()
            process.wait()


def _is_engine(pid: int) -> bool:
    with contextlib.suppress(OSError):
        return os.path.basename(os.readlink(f"/proc/{pid}/exe")) == "nats-server"  # noqa: PTH115, PTH119
    return False
