"""What connections take of a machine: of a node, of the kernel, and of the balancers as they are shipped.

`python -m tests.deploy.measure [CONNECTIONS]` prints three tables, in a few minutes. Both ends are on this machine, so
what the kernel needs is divided by the number of sockets. Nothing else should run: the kernel's memory is that of all.
"""

from __future__ import annotations

import os
import re
import selectors
import socket
import ssl
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from tests.deploy.edge import EDGES, NODES, Edge, edge
from tests.helpers import HOST, Process, serving

PAGE = 4096
QUIET = 600
"""Seconds of silence after which a heartbeat would come."""
SETTLE = 2.0
FEW = 10
"""Connections that come first, for what is set aside only once."""
READERS = 500
MESSAGES = 100
EVERY = 0.05
BEATS = 5

UPGRADE = "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {key}\r\n"
REQUESTS = {
    "WebSocket": ("/ws?topics=idle", UPGRADE.format(key="AAAAAAAAAAAAAAAAAAAAAA==")),
    "SSE": ("/sse?topics=idle", ""),
    "long poll": ("/poll?topics=idle&wait=55&cursor={cursor}", ""),
}
PING = b"\x89\x00"
PONG = b"\x8a\x80\x00\x00\x00\x00"

Connect = Callable[[], socket.socket]


def main(count: int) -> None:
    table(
        "idle connection", "at", "its memory, KiB", "the kernel's per socket, KiB", "descriptors", "CPU to connect, µs"
    )
    for kind in REQUESTS:
        with serving("--heartbeat", str(QUIET)) as node:
            idle(kind, "a node", node, lambda: [node.process.pid], partial(plain, node.port), count, sockets=2)
    for name in EDGES:
        with behind(name) as (node, balancer, connect):
            idle("WebSocket, TLS", name, node, partial(group, balancer.pid), connect, count // 4, sockets=4)
    table("idle connection", "CPU of a heartbeat at the node, µs")
    for kind in ("WebSocket", "SSE"):
        heartbeats(kind)
    table("to 500 WebSockets over TLS, 20 messages a second", "CPU of a delivery, µs")
    for name in EDGES:
        deliveries(name)


def table(*heads: str) -> None:
    print(f"\n| {' | '.join(heads)} |\n| --- |{' ---: |' * (len(heads) - 1)}")


def line(*cells: object) -> None:
    print(f"| {' | '.join(map(str, cells))} |", flush=True)


@contextmanager
def behind(name: str) -> Iterator[tuple[Process, Edge, Connect]]:
    """A node, the balancer of this name before it, and what connects to that."""
    with serving("--heartbeat", str(QUIET)) as node, edge(name, dict.fromkeys(NODES, node.port)) as balancer:
        yield node, balancer, partial(over_tls, balancer, balancer.trust())


# What is measured


def idle(
    kind: str, where: str, node: Process, pids: Callable[[], list[int]], connect: Connect, count: int, *, sockets: int
) -> None:
    """What `count` connections of a kind have added. Each is so many sockets on this machine."""
    with ExitStack() as stack:
        opened(stack, kind, connect, FEW)
        before = Usage.of(pids())
        opened(stack, kind, connect, count)
        assert sum(node.connections.values()) == count + FEW
        after = Usage.of(pids())
    memory = (after.memory - before.memory) / count / 1024
    kernel = (after.kernel - before.kernel) / count / sockets / 1024
    files = (after.files - before.files) / count
    cpu = (after.cpu - before.cpu) / count * 1e6
    line(kind, where, f"{memory:.1f}", f"{kernel:.1f}", f"{files:.2f}", f"{cpu:.0f}")


def heartbeats(kind: str) -> None:
    """One a second, with the ping that a WebSocket has beside it."""
    with serving("--heartbeat", "1") as node, ExitStack() as stack:
        connections = opened(stack, kind, partial(plain, node.port), READERS)
        until = time.monotonic() + 1
        read(connections, lambda: time.monotonic() > until)
        before, until = cpu_of([node.process.pid]), time.monotonic() + BEATS
        read(connections, lambda: time.monotonic() > until)
        line(kind, f"{(cpu_of([node.process.pid]) - before) / READERS / BEATS * 1e6:.0f}")


def deliveries(name: str) -> None:
    """At the balancer, and at the node behind it."""
    with behind(name) as (node, balancer, connect), ExitStack() as stack:
        connections = opened(stack, "WebSocket", connect, READERS)
        pids = group(balancer.pid)
        before = {"balancer": cpu_of(pids), "node": cpu_of([node.process.pid])}
        started, sent = time.monotonic(), 0

        def done() -> bool:
            nonlocal sent
            if sent < MESSAGES and time.monotonic() > started + sent * EVERY:
                urllib.request.urlopen(f"{node.url}/topics/idle", data=b"x" * 100, timeout=10).close()
                sent += 1
            return node.stats()["messages"]["delivered"] >= MESSAGES * READERS if sent == MESSAGES else False

        read(connections, done)
        count = MESSAGES * READERS
        line(name, f"{(cpu_of(pids) - before['balancer']) / count * 1e6:.1f}")
        line("the node behind it", f"{(cpu_of([node.process.pid]) - before['node']) / count * 1e6:.1f}")


@dataclass(frozen=True, kw_only=True)
class Usage:
    """Bytes of the processes (PSS) and of the kernel, open files of the processes, and their seconds of CPU."""

    memory: int
    kernel: int
    files: int
    cpu: float

    @classmethod
    def of(cls, pids: list[int]) -> Usage:
        time.sleep(SETTLE)
        return cls(
            memory=sum(_number(Path(f"/proc/{pid}/smaps_rollup"), r"^Pss: +(\d+)") for pid in pids) * 1024,
            kernel=_number(Path("/proc/meminfo"), r"^Slab: +(\d+)") * 1024
            + _number(Path("/proc/net/sockstat"), r"^TCP: .* mem (\d+)") * PAGE,
            files=sum(len(list(Path(f"/proc/{pid}/fd").iterdir())) for pid in pids),
            cpu=cpu_of(pids),
        )


def _number(path: Path, pattern: str) -> int:
    found = re.search(pattern, path.read_text(), re.MULTILINE)
    assert found is not None, path
    return int(found[1])


def cpu_of(pids: list[int]) -> float:
    ticks = sum(sum(map(int, _stat(pid)[11:13])) for pid in pids)
    return ticks / os.sysconf("SC_CLK_TCK")


def group(leader: int) -> list[int]:
    """All processes of a process group."""
    pids = (int(path.name) for path in Path("/proc").iterdir() if path.name.isdigit())
    return [pid for pid in pids if _stat(pid)[2:3] == [str(leader)]]


def _stat(pid: int) -> list[str]:
    """What /proc says of it, from its state on; nothing where it has ended."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return []


# Connections


def opened(stack: ExitStack, kind: str, connect: Connect, count: int) -> list[socket.socket]:
    """So many connections of a kind, each once its hello has come; a poll once it is asked for."""
    path, headers = REQUESTS[kind.partition(",")[0]]
    cursor, connections = "", []
    for _ in range(count):
        connection = stack.enter_context(connect())
        if "{cursor}" in path:
            cursor = cursor or first_cursor(connection)
            connection.sendall(request(path.format(cursor=cursor), headers))
        else:
            connection.sendall(request(path, headers))
            received = b""
            while b'"hello"' not in received:
                received += connection.recv(2**16)
        connections.append(connection)
    return connections


def read(connections: Sequence[socket.socket], done: Callable[[], bool]) -> None:
    """Reads what comes, and answers pings."""
    with selectors.DefaultSelector() as selector:
        for connection in connections:
            connection.setblocking(False)
            selector.register(connection, selectors.EVENT_READ)
        while not done():
            for key, _ in selector.select(0.01):
                assert isinstance(key.fileobj, socket.socket)
                try:
                    data = key.fileobj.recv(2**16)
                except ssl.SSLWantReadError:
                    continue
                assert data, "a connection was closed"
                if PING in data:
                    key.fileobj.sendall(PONG)


def request(path: str, headers: str) -> bytes:
    return f"GET {path} HTTP/1.1\r\nHost: {HOST}\r\n{headers}\r\n".encode()


def first_cursor(connection: socket.socket) -> str:
    connection.sendall(request("/poll?topics=idle", ""))
    found = re.search(rb'"cursor":"([^"]+)"', connection.recv(2**16))
    assert found is not None
    return found[1].decode()


def plain(port: int) -> socket.socket:
    return socket.create_connection((HOST, port), timeout=10)


def over_tls(balancer: Edge, trust: ssl.SSLContext) -> ssl.SSLSocket:
    return trust.wrap_socket(plain(balancer.port), server_hostname=HOST)


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 8000)
