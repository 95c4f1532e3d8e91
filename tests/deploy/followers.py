"""Clients of the library, some on each transport behind each balancer, and one that publishes.

A program of its own, since SSL_CERT_FILE is a matter of a process: `python -m tests.deploy.followers TOPIC COUNT
URL...`. It says "ready" when all are connected, and in the end, as JSON, what each has heard.
"""

from __future__ import annotations

import asyncio
import json
import sys
from contextlib import AsyncExitStack
from typing import Any

import tricast
from tricast.transports import LINKS

COPIES = 3
"""Of each kind, so that every node has some."""
EVERY = 0.02
PATIENCE = 30.0


async def follow(bus: tricast.Bus, count: int) -> dict[str, Any]:
    """All it yields, up to the last message."""
    heard: list[Any] = []
    async for item in bus:
        heard.append(item.data if isinstance(item, tricast.Message) else str(item))
        if heard[-1] == count - 1:
            break
    return {
        "heard": heard,
        "transport": bus.transport,
        "lost": bus.stats.lost,
        "timeline": list(map(str, bus.timeline)),
    }


async def publish(url: str, topic: str, count: int) -> None:
    async with tricast.connect(url, []) as bus:
        for number in range(count):
            await bus.publish(topic, number)
            await asyncio.sleep(EVERY)


async def main(topic: str, count: int, urls: list[str]) -> dict[str, Any]:
    async with AsyncExitStack() as stack:
        buses = {
            f"{way} {copy} at {url}": await stack.enter_async_context(tricast.connect(url, [topic], transports=(way,)))
            for url in urls
            for way in LINKS
            for copy in range(COPIES)
        }
        print("ready", flush=True)
        async with asyncio.timeout(PATIENCE):
            results = await asyncio.gather(
                *(follow(bus, count) for bus in buses.values()), *(publish(url, topic, count) for url in urls[:1])
            )
        return dict(zip(buses, results, strict=False))


if __name__ == "__main__":
    print(json.dumps(asyncio.run(main(sys.argv[1], int(sys.argv[2]), sys.argv[3:]))))
