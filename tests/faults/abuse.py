"""All attacks one after another against one `tricast serve`, while others use it: `python -m tests.faults.abuse`.

Prints what they noticed, what it cost and what the attacker got; `--write FILE` puts the table between `<!-- abuse -->`
and `<!-- /abuse -->`. With `--seconds 20` it takes about seven minutes.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from tests.faults.attacks import KINDS, TOPIC
from tests.faults.bystanders import Bystanders, bystanders, percentile, used
from tests.helpers import ROOT, Process, serving
from tests.helpers_clients import Http

from tricast_bench.document import markdown, write

MIB = 2**20
OPTIONS = ("--public", "--trusted-proxy", "127.0.0.0/8")
"""As in the open. The attackers' requests name strangers' addresses; silent ones and bystanders come from loopback."""
SETTLE = 60.0
HEAD = ("attack", "connections", "p99 before", "during", "MiB before", "most", "after", "server CPU", "what they got")


@dataclass(frozen=True, kw_only=True)
class Row:
    """Seconds, bytes, share of one core."""

    name: str
    count: int
    before: float
    during: float
    memory: tuple[int, int, int]
    cpu: float
    got: dict[str, int]

    @property
    def cells(self) -> tuple[str, ...]:
        got = ", ".join(f"{count:,} x {what}" for what, count in self.got.items() if what != "connections")
        return (
            f"{self.name}: {KINDS[self.name].about}",
            f"{self.count:,}",
            f"{self.before * 1e3:.1f} ms",
            f"{self.during * 1e3:.1f} ms",
            *(f"{size / MIB:.0f}" for size in self.memory),
            f"{self.cpu:.0%}",
            got,
        )


async def one(server: Process, group: Bystanders, name: str, count: int, seconds: float, quiet: float) -> Row:
    """An attack of a process of its own, and the quiet before it and after it."""
    group.take()
    await asyncio.sleep(quiet)
    before, memory = group.take(), await asyncio.to_thread(lambda: server.memory)
    cpu, since = await used(server), time.monotonic()
    command = (sys.executable, "-m", "tests.faults.attacks", name, str(server.port), str(seconds), str(count), "--idle")
    process = await asyncio.create_subprocess_exec(*command, cwd=ROOT, stdout=asyncio.subprocess.PIPE)
    ended = asyncio.ensure_future(process.communicate())
    most = memory
    try:
        async with asyncio.timeout(seconds + SETTLE):
            while not ended.done():
                await asyncio.wait((ended,), timeout=0.2)
                most = max(most, await asyncio.to_thread(lambda: server.memory))
    finally:
        if process.returncode is None:
            process.kill()
    output, _ = await ended
    during, cpu = group.take(), (await used(server) - cpu) / (time.monotonic() - since)
    await settled(server, group)
    after = await asyncio.to_thread(lambda: server.memory)
    assert before
    assert during, "the bystanders got nothing all the time"
    return Row(
        name=name,
        count=count,
        before=percentile(before, 0.99),
        during=percentile(during, 0.99),
        memory=(memory, most, after),
        cpu=cpu,
        got=json.loads(output),
    )


async def settled(server: Process, group: Bystanders) -> None:
    """When nobody but the bystanders is connected, and these have heard everything."""
    await group.caught_up()
    each = len(group.heard) // 3
    async with asyncio.timeout(SETTLE):
        while True:
            connections = await asyncio.to_thread(lambda: server.connections)
            if connections["ws"] == connections["sse"] == each and connections["poll"] <= each:
                return
            await asyncio.sleep(0.1)


async def fill(server: Process, count: int = 200) -> None:
    """For those who do not read: 100 KB each, together more than any buffer."""
    async with Http(server) as http:
        await http.publish(TOPIC, *["x" * 100_000] * count)


async def run(server: Process, names: list[str], seconds: float, share: float, quiet: float) -> list[Row]:
    await fill(server)
    async with bystanders(server) as group:
        rows = []
        for name in names:
            count = max(1, int(KINDS[name].many * share))
            rows.append(await one(server, group, name, count, seconds, quiet))
            print("; ".join(rows[-1].cells), flush=True)
        await group.caught_up()
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=20.0, help="of each attack")
    parser.add_argument("--share", type=float, default=1.0, help="of its connections")
    parser.add_argument("--only", nargs="*", choices=list(KINDS), default=list(KINDS))
    parser.add_argument("--write", type=Path, help="a document with the marks")
    args = parser.parse_args()
    with serving(*OPTIONS) as server:
        rows = asyncio.run(run(server, args.only, args.seconds, args.share, args.seconds / 2))
    table = markdown(HEAD, [row.cells for row in rows])
    print(f"\n{table}")
    if args.write is not None:
        write(args.write, "abuse", table)


if __name__ == "__main__":
    main()
