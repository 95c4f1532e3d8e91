"""What somebody who means harm may do to a server, one thing at a time.

    python -m tests.faults.attacks NAME PORT SECONDS COUNT [--idle]

Bounded in connections and seconds, on loopback alone. At the end one line of JSON says what came of it. Behind a server
that trusts loopback as a proxy each attack comes from a stranger's address, so that limits per address hold for it.
With `--idle` it is left what the others do not want of the processors, as if it were on a machine of its own. It needs
nothing but the standard library, so that it begins at once.
"""

from __future__ import annotations

import asyncio
import gzip
import json
import os
import random
import socket
import struct
import sys
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from functools import cache
from typing import TypeAlias

HOST = "127.0.0.1"
STRANGER = "203.0.113.66"
UPGRADE = (
    "Connection: Upgrade",
    "Upgrade: websocket",
    "Sec-WebSocket-Version: 13",
    "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==",
    "Sec-WebSocket-Extensions: permessage-deflate",
)
STREAMS = {"ws": UPGRADE, "sse": (), "poll": ()}
SMALL = 4096
CONNECTING = 200
"""At once: more would only wait in the kernel's queue."""
PATIENCE = 15.0
BOMB = 256 * 2**20
TOPIC = "target"


@dataclass
class Attack:
    """One on the way: whom, for how long (seconds), over how many connections; `got` is counted."""

    port: int
    seconds: float
    count: int
    spread: bool = False
    """Each request from another address, which no limit per address stops."""
    got: Counter[str] = field(default_factory=Counter)

    def __post_init__(self) -> None:
        self.ends = asyncio.get_running_loop().time() + self.seconds
        self._connecting = asyncio.Semaphore(CONNECTING)

    @property
    def left(self) -> float:
        return max(0.0, self.ends - asyncio.get_running_loop().time())

    def head(self, method: str, path: str, *lines: str) -> bytes:
        address = f"198.18.{random.randrange(256)}.{random.randrange(256)}" if self.spread else STRANGER
        names = (f"Host: {HOST}:{self.port}", f"X-Forwarded-For: {address}")
        return "\r\n".join([f"{method} {path} HTTP/1.1", *names, *lines, "", ""]).encode()

    async def everywhere(self, act: Callable[[Attack], Awaitable[str]]) -> None:
        """`act` on `count` connections at once; what each returns is counted."""

        async def one() -> None:
            try:
                self.got[await act(self)] += 1
            except (TimeoutError, asyncio.IncompleteReadError, ValueError):
                self.got["no whole answer"] += 1
            except OSError:
                self.got["cut"] += 1

        await asyncio.gather(*(one() for _ in range(self.count)))

    async def open(self, *, small: bool = False) -> Connection:
        client = socket.socket()
        client.setblocking(False)
        if small:
            client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, SMALL)
        async with self._connecting, asyncio.timeout(PATIENCE):
            await asyncio.get_running_loop().sock_connect(client, (HOST, self.port))
        return Connection(*await asyncio.open_connection(sock=client, limit=2**20 if not small else SMALL))


@dataclass
class Connection:
    """Closed with a reset, so that no port of this side has to rest."""

    reading: asyncio.StreamReader
    writing: asyncio.StreamWriter

    async def __aenter__(self) -> Connection:
        return self

    async def __aexit__(self, *error: object) -> None:
        sock = self.writing.get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.writing.transport.abort()

    async def status(self) -> str:
        async with asyncio.timeout(PATIENCE):
            head = await self.reading.readuntil(b"\r\n\r\n")
            size = [line for line in head.split(b"\r\n") if line.lower().startswith(b"content-length:")]
            if size:
                await self.reading.readexactly(int(size[0].split(b":")[1]))
        return head.split(b" ", 2)[1].decode()

    async def ended(self, seconds: float) -> bool:
        """Whether the server has ended it in that time."""
        try:
            async with asyncio.timeout(seconds):
                while await self.reading.read(2**16):
                    pass
        except TimeoutError:
            return False
        except ConnectionError:
            pass
        return True

    async def drip(self, data: bytes, seconds: float, pause: float) -> str:
        """A byte at a time."""
        end = asyncio.ensure_future(self.ended(seconds))
        for byte in data:
            if end.done():
                break
            self.writing.write(bytes([byte]))
            await asyncio.wait((end,), timeout=pause)
        return "cut" if await end else "held to the end"


async def busy(attack: Attack) -> str:
    """No attack: what a program costs the others that merely takes a core of their machine."""
    while attack.left:
        sum(range(100_000))
        await asyncio.sleep(0)
    return "connections"


# Those who are slow


async def silent(attack: Attack) -> str:
    async with await attack.open() as connection:
        return "cut" if await connection.ended(attack.left) else "held to the end"


async def slow_heads(attack: Attack) -> str:
    async with await attack.open() as connection:
        head = attack.head("GET", "/poll")[:-2] + b"X: " + b"x" * 8000
        return await connection.drip(head, attack.left, 0.5)


async def slow_bodies(attack: Attack) -> str:
    async with await attack.open() as connection:
        connection.writing.write(attack.head("POST", "/send", "Content-Length: 100000"))
        return await connection.drip(b"x" * 8000, attack.left, 0.5)


async def slow_readers(attack: Attack) -> str:
    """Each transport in turn, behind a large topic, and not one byte read."""
    name = random.choice(list(STREAMS))
    async with await attack.open(small=True) as connection:
        request = attack.head("GET", f"/{name}?topics={TOPIC}&cursor=earliest", *STREAMS[name])
        connection.writing.write(request * (1 if name != "poll" else 20))
        while attack.left and not connection.writing.transport.is_closing():
            await asyncio.sleep(min(0.2, attack.left))
        return "cut" if connection.writing.transport.is_closing() else "held to the end"


# Those who are many


async def repeated(attack: Attack, request: bytes, *, anew: bool = False) -> str:
    """The same again and again, to the end. Whoever is cut off comes back."""
    statuses: Counter[str] = Counter()
    while attack.left:
        try:
            async with await attack.open() as connection:
                while attack.left:
                    connection.writing.write(request)
                    statuses[await connection.status()] += 1
                    if anew:
                        break
        except (OSError, TimeoutError, asyncio.IncompleteReadError):
            statuses["cut"] += 1
            await asyncio.sleep(0.05)
    attack.got.update(statuses)
    return "connections"


async def header_flood(attack: Attack) -> str:
    lines = [f"X-{number}: {'x' * 7000}" for number in range(100)]
    return await repeated(attack, attack.head("GET", "/poll?wait=0", *lines))


async def long_headers(attack: Attack) -> str:
    return await repeated(attack, attack.head("GET", "/poll?wait=0", f"X: {'x' * 100_000}"))


async def publish_flood(attack: Attack) -> str:
    body = b"x" * 1000
    return await repeated(attack, attack.head("POST", f"/topics/{TOPIC}", f"Content-Length: {len(body)}") + body)


async def connect_flood(attack: Attack) -> str:
    name = random.choice(list(STREAMS))
    return await repeated(attack, attack.head("GET", f"/{name}?topics={TOPIC}", *STREAMS[name]), anew=True)


async def nonsense(attack: Attack) -> str:
    return await repeated(attack, random.randbytes(300) + b"\r\n\r\n")


async def reconnect_storm(attack: Attack) -> str:
    """All of them at once, as after a network came back: they stay until all are in, drop, and come back."""
    name = random.choice(list(STREAMS))
    request = attack.head("GET", f"/{name}?topics=storm", *STREAMS[name])
    while attack.left:
        async with await attack.open() as connection:
            connection.writing.write(request)
            attack.got[await connection.status()] += 1
            await asyncio.sleep(1.0 - asyncio.get_running_loop().time() % 1.0)
    return "connections"


# Those who send little that becomes much


@cache
def packed() -> bytes:
    return gzip.compress(bytes(BOMB), 9)


async def gzip_bombs(attack: Attack) -> str:
    body = packed()
    lines = ("Content-Encoding: gzip", f"Content-Length: {len(body)}")
    return await repeated(attack, attack.head("POST", "/send", *lines) + body, anew=True)


async def frame_bombs(attack: Attack) -> str:
    """A compressed message where no compression was agreed on, a message without end, one that is announced as huge."""
    first = random.choice((b"\xc1", b"\x01", b"\x81"))
    part = b"\xff" * 2**16
    body = first + b"\xff" + (len(part) if first == b"\x01" else 2**40).to_bytes(8, "big") + bytes(4) + part
    follow = b"\x00" + body[1:]
    while attack.left:
        try:
            async with await attack.open() as connection:
                connection.writing.write(attack.head("GET", "/ws", *UPGRADE))
                head = await asyncio.wait_for(connection.reading.readuntil(b"\r\n\r\n"), PATIENCE)
                attack.got[head.split(b" ", 2)[1].decode()] += 1
                attack.got["compression agreed"] += b"deflate" in head
                connection.writing.write(body)
                end = asyncio.ensure_future(connection.ended(attack.left))
                for _ in range(200):
                    if end.done() or connection.writing.transport.is_closing():
                        break
                    connection.writing.write(follow if first == b"\x01" else part)
                    await asyncio.wait((end,), timeout=0.02)
                attack.got["cut" if await end else "held to the end"] += 1
        except (TimeoutError, asyncio.IncompleteReadError):
            attack.got["no whole answer"] += 1
        except OSError:
            attack.got["cut"] += 1
    return "connections"


Act: TypeAlias = Callable[[Attack], Awaitable[str]]


@dataclass(frozen=True)
class Kind:
    """`few` connections for a test, `many` for the program."""

    act: Act
    few: int
    many: int
    about: str
    spread: bool = False


KINDS = {
    "busy": Kind(busy, 1, 1, "no attack, a busy program on the same machine"),
    "silent": Kind(silent, 2000, 10_000, "connections that say nothing"),
    "slow-heads": Kind(slow_heads, 300, 2000, "heads of requests, 2 bytes a second"),
    "slow-bodies": Kind(slow_bodies, 300, 2000, "bodies of POST /send, 2 bytes a second"),
    "slow-readers": Kind(slow_readers, 60, 300, "streams and polls of a full topic, nothing read", spread=True),
    "headers": Kind(header_flood, 4, 10, "100 headers of 7 KB in each request"),
    "long-headers": Kind(long_headers, 4, 10, "a header of 100 KB in each request"),
    "publishes": Kind(publish_flood, 10, 50, "1 KB published, again and again"),
    "connects": Kind(connect_flood, 10, 50, "WebSockets, streams and polls opened and left"),
    "storm": Kind(reconnect_storm, 200, 1000, "all leave and come back at once, every second", spread=True),
    "nonsense": Kind(nonsense, 10, 50, "random bytes"),
    "gzip": Kind(gzip_bombs, 2, 8, "256 MiB of zeros, packed in 260 KB, to /send"),
    "frames": Kind(frame_bombs, 10, 50, "frames that are compressed, endless or of 1 TiB", spread=True),
}


async def run(name: str, port: int, seconds: float, count: int) -> Counter[str]:
    """What the attacker got, counted."""
    attack = Attack(port, seconds, count, KINDS[name].spread)
    await attack.everywhere(KINDS[name].act)
    return +attack.got


def main() -> None:
    name, port, seconds, count, *idle = sys.argv[1:]
    if idle == ["--idle"]:
        os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))
    print(json.dumps(asyncio.run(run(name, int(port), float(seconds), int(count)))))


if __name__ == "__main__":
    main()
