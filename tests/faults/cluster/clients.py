"""The clients of one run, or a part of them, as a program: `python -m tests.faults.cluster.clients`, from the root.

It prints what `Status` says twice a second. SIGUSR1: be calm. SIGTERM: write down where everybody is, and end.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import signal
import time
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import TypedDict

import aiohttp
import uvloop
from tests.faults.cluster.client import EVERYBODY, Client, Journal, LibraryClient, RawClient

STATUS_INTERVAL = 0.5
START_SPREAD = 3.0
"""Seconds over which they come."""
RAW_SHARE = 1 / 3


class Status(TypedDict):
    """`up`: how many have begun; `busy`: how many are publishing; `marker`: the last that all were given; `cpu`: used
    by the process, in seconds; `seen`: what clients met and did, and how often.
    """

    up: int
    busy: int
    marker: int
    cpu: float
    seen: dict[str, int]


def status_of(clients: Sequence[Client]) -> Status:
    return Status(
        up=sum(client.was_up for client in clients),
        busy=sum(client.busy for client in clients),
        marker=min(client.marker for client in clients),
        cpu=round(time.process_time(), 1),
        seen=dict(sum((client.seen for client in clients), Counter[str]())),
    )


def make(options: argparse.Namespace, journal: Journal, http: aiohttp.ClientSession) -> list[Client]:
    rooms = [f"room.{n}" for n in range(options.rooms)]
    clients: list[Client] = []
    for n in range(options.count):
        base = f"{options.name}{n}"
        chance = random.Random(f"{options.seed} {base}")
        topics = [EVERYBODY, *chance.sample(rooms, chance.choice((1, 2)))]
        kind = RawClient if n < options.count * RAW_SHARE else LibraryClient
        clients.append(kind(base, options.url, topics, rooms, journal, chance, http))
    return clients


async def run(options: argparse.Namespace) -> None:
    journal = Journal(options.journal)
    loop = asyncio.get_running_loop()
    quitting = asyncio.Event()
    loop.add_signal_handler(signal.SIGTERM, quitting.set)
    connector = aiohttp.TCPConnector(limit=0)
    async with aiohttp.ClientSession(connector=connector) as http, asyncio.TaskGroup() as group:
        clients = make(options, journal, http)

        def calm() -> None:
            for client in clients:
                client.calm = True

        loop.add_signal_handler(signal.SIGUSR1, calm)
        tasks = [group.create_task(live(client, options)) for client in clients]
        while not quitting.is_set():
            print(json.dumps(status_of(clients)), flush=True)
            with suppress(TimeoutError):
                async with asyncio.timeout(STATUS_INTERVAL):
                    await quitting.wait()
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)
    journal.close()


async def live(client: Client, options: argparse.Namespace) -> None:
    await asyncio.sleep(random.uniform(0, START_SPREAD))
    async with asyncio.TaskGroup() as group:
        group.create_task(client.listen())
        group.create_task(client.publish(options.rate / options.count))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--url", required=True)
    parser.add_argument("--name", required=True, help="what their names begin with")
    parser.add_argument("--count", type=int, required=True)
    parser.add_argument("--rate", type=float, required=True, help="publishes a second of all of them")
    parser.add_argument("--rooms", type=int, required=True, help="how many topics there are")
    parser.add_argument("--seed", required=True)
    parser.add_argument("--journal", type=Path, required=True)
    uvloop.run(run(parser.parse_args()))


if __name__ == "__main__":
    main()
