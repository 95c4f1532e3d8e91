"""The time to the first message beside other clients: who is measured in which networks, and the table of it."""

from __future__ import annotations

import asyncio
import contextlib
from collections import Counter
from collections.abc import AsyncIterator, Iterable
from datetime import date
from statistics import median

from tricast_bench.document import markdown
from tricast_bench.environment import environment
from tricast_bench.fallback.peers import CLIENTS, PATIENCE, Connect, connect, serving, versions
from tricast_bench.fallback.trials import CONNECTS, Progress
from tricast_bench.servers import Unusable

NETWORKS = (
    "clean",
    "bad-gateway",
    "corporate-proxy-no-upgrade",
    "nginx-default",
    "captive-portal",
    "websocket-blackhole",
    "silent-websocket",
    "one-way-websocket",
    "buffering-proxy",
    "refused, and SSE held",
    "black hole, and SSE held",
    "one-way, and SSE held",
    "read-only-proxy",
    "post-eater",
    "refused, POST refused",
    "refused, POST eaten",
    "train",
)
"""Rows of our own table, one for each way in which networks fail to pass a message."""
ROUNDS = 7
NEVERS = 2
"""Rounds after which who never had a message is not asked again."""
AT_ONCE = 3.0
"""Seconds after which a client that has no message yet goes on waiting beside the next ones."""
WAITING = 12
"""So many may do so."""
HEADS = {"SignalR": "SignalR, on a minimal hub written from the published protocol"}
"""What has to be said of a client where it stands at the head of its column."""
SECTION = "first"
"""Where the table stands in docs/fallback.md."""


async def beside(rounds: int, progress: Progress, networks: Iterable[str] = NETWORKS) -> list[Connect]:
    """Each client in each network, in turn, so that a drifting machine is the same to all. Raises Unusable."""
    for program in CLIENTS.values():
        if missing := program.missing():
            raise Unusable(f"missing: {missing}")
    done: list[Connect] = []
    names = [(network, client) for network in networks for client in CLIENTS]
    async with _servers() as servers:
        for number in range(rounds):
            if number >= NEVERS:
                never = {(item.network, item.client) for item in done if item.took is None}
                names = [name for name in names if name not in never]
            waiting: set[asyncio.Task[Connect]] = set()
            try:
                for network, client in names:
                    progress(f"round {number + 1} of {rounds}: {network}, {client}; {len(waiting)} wait")
                    url = servers[CLIENTS[client].server]
                    task = asyncio.create_task(connect(network, CONNECTS[network], client, url))
                    waiting.add(task)
                    await asyncio.wait({task}, timeout=AT_ONCE)
                    timeout = None if len(waiting) >= WAITING else 0
                    ended, waiting = await asyncio.wait(waiting, timeout=timeout, return_when=asyncio.FIRST_COMPLETED)
                    done += [task.result() for task in ended]
                done += await asyncio.gather(*waiting)
            finally:
                for task in waiting:
                    task.cancel()
                await asyncio.gather(*waiting, return_exceptions=True)
    return done


def table(connects: Iterable[Connect]) -> str:
    """Markdown: a row for each network, a column for each client."""
    found: dict[str, dict[str, list[Connect]]] = {}
    for item in connects:
        found.setdefault(item.network, {name: [] for name in CLIENTS})[item.client].append(item)
    rows = [[name, *map(_cell, found[name].values())] for name in CONNECTS if name in found]
    return markdown(["network", *(HEADS.get(name, name) for name in CLIENTS)], rows)


def account(connects: Iterable[Connect]) -> str:
    """What the table was made with, where and when."""
    about, found = environment(), versions()
    most = max(Counter((item.network, item.client) for item in connects).values())
    packages = about["packages"]
    assert isinstance(packages, dict)
    listed = ", ".join(f"{name} {version}" for name, version in found.items())
    return (
        f"`make bench-first` writes this table. Measured on {date.today():%-d %B %Y}: {most} connects of each client "
        f"to each network, {min(most, NEVERS)} where it\nnever got a message in {PATIENCE:g} s; {about['python']}, "
        f"aiohttp {packages['aiohttp']},\n{listed};\n"
        f"{about['cores']} cores of a shared {about['cpu']}, {about['kernel']}."
    )


@contextlib.asynccontextmanager
async def _servers() -> AsyncIterator[dict[str, str]]:
    async with contextlib.AsyncExitStack() as stack:
        names = dict.fromkeys(client.server for client in CLIENTS.values())
        yield {name: await stack.enter_async_context(serving(name)) for name in names}


def _cell(connects: list[Connect]) -> str:
    took = [1000 * item.took for item in connects if item.took is not None]
    if not took:
        return "never" if connects else ""
    on = ", ".join(dict.fromkeys(item.transport or "" for item in connects if item.took is not None))
    missed = len(connects) - len(took)
    told = f"; never in {missed} of {len(connects)}" if missed else ""
    return f"{on} {median(took):.0f} ({min(took):.0f} to {max(took):.0f}){told}"
