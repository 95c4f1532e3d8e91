"""Many, slow and greedy clients, with others beside them who notice little, and nothing left of it afterwards.

The figures in docs/security.md are from `make abuse`; here the bounds are wide, as tests share their machine.
"""

from __future__ import annotations

import asyncio
import gzip
import json
import sys
import zlib
from collections.abc import Iterator
from contextlib import closing

import pytest
from tests.faults.abuse import fill, settled
from tests.faults.attacks import KINDS
from tests.faults.bystanders import Bystanders, bystanders, percentile, used
from tests.helpers import ROOT, Process, serving
from tests.helpers_raw import connect

MIB = 2**20
TIMES = {"--header-timeout": "1", "--body-timeout": "1", "--send-timeout": "1", "--heartbeat": "0.5"}
OPTIONS = ("--public", "--trusted-proxy", "127.0.0.0/8", *(word for pair in TIMES.items() for word in pair))
SLOW = ("silent", "slow-heads", "slow-bodies", "slow-readers")
MANY = ("headers", "long-headers", "publishes", "connects", "storm")
BROKEN = ("nonsense", "gzip", "frames")
SECONDS = {SLOW: 3.0, MANY: 1.5, BROKEN: 1.5}
GROWTH = 16 * MIB
"""The second time, when what is kept for good is there: buffers of 2,000 connections would be more."""
P99_MIN = 2.0
"""Seconds: a program that begins beside them costs the bystanders as much on a machine with enough to do."""
ANSWERS = {"101", "200", "400", "413", "429", "503"}
OTHERWISE = {"cut", "held to the end", "no whole answer", "connections"}


def packed(mebibytes: int) -> bytes:
    """Zeros as gzip (RFC 1952), of one block that is repeated; without an end, to which nobody should come."""
    head, block = gzip.compress(b"")[:10], zlib.compressobj(9, zlib.DEFLATED, -15)
    return head + (block.compress(bytes(MIB)) + block.flush(zlib.Z_FULL_FLUSH)) * mebibytes


BOMB = packed(1024)


@pytest.fixture(scope="module")
def server() -> Iterator[Process]:
    with serving(*OPTIONS) as process:
        asyncio.run(fill(process, 50))
        yield process


async def attack(server: Process, name: str, seconds: float) -> dict[str, int]:
    command = (sys.executable, "-m", "tests.faults.attacks", name, str(server.port), str(seconds), str(KINDS[name].few))
    process = await asyncio.create_subprocess_exec(*command, cwd=ROOT, stdout=asyncio.subprocess.PIPE)
    try:
        async with asyncio.timeout(40):
            output, _ = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
    got: dict[str, int] = json.loads(output)
    assert set(got) <= ANSWERS | OTHERWISE, (name, got)
    return got


async def together(server: Process, group: Bystanders, names: tuple[str, ...]) -> dict[str, dict[str, int]]:
    got = await asyncio.gather(*(attack(server, name, SECONDS[names]) for name in names))
    await settled(server, group)
    return dict(zip(names, got, strict=True))


@pytest.mark.parametrize("names", SECONDS, ids=["slow ones", "many", "what is broken"])
async def test_others_are_served_and_nothing_is_left(server: Process, names: tuple[str, ...]) -> None:
    async with bystanders(server) as group:
        await asyncio.sleep(1)
        quiet = percentile(group.take(), 0.99)
        await together(server, group, names)
        memory = server.memory
        group.take()
        got = await together(server, group, names)
        assert percentile(group.take(), 0.99) < max(6 * quiet, P99_MIN)
        assert server.memory - memory < GROWTH
    # How many are refused and cut is counted where nothing competes: tests/contract/test_limits.py, test_deadlines.py.
    if names is SLOW:
        assert any(got[name].get("cut") for name in ("silent", "slow-heads", "slow-bodies"))
    elif names is BROKEN:
        assert set(got["gzip"]) <= {"413", "cut", "connections"}
        assert "compression agreed" not in got["frames"]


@pytest.mark.parametrize("line", ["POST /send", "POST /topics/a", "GET /poll?wait=0", "POST /no", "DELETE /send"])
def test_what_is_packed_is_not_unpacked_for_nobody(server: Process, line: str) -> None:
    """A gigabyte takes a processor a second, in which nobody else would be served."""
    before = asyncio.run(used(server))
    with closing(connect(server)) as client:
        lines = ("Host: 127.0.0.1", "Content-Encoding: gzip", f"Content-Length: {len(BOMB)}", "", "")
        client.sendall("\r\n".join([f"{line} HTTP/1.1", *lines]).encode())
        try:
            client.sendall(BOMB)
            while client.recv(2**16):
                pass
        except ConnectionError:
            pass
    assert asyncio.run(used(server)) - before < 0.3
    assert server.connections == {"ws": 0, "sse": 0, "poll": 0}
