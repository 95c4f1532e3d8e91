"""Three nodes on one engine, each by a network of its own, behind one address."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.contract.engines import Server as Engine
from tests.faults.cluster.haproxy import balanced
from tests.faults.cluster.nodes import Node
from tests.faults.cluster.relay import Relay, relay_to

NODES = 3


@dataclass(frozen=True, kw_only=True)
class Cluster:
    """`url` is the proxy's; `relays` stand between each of `nodes` and the engine."""

    url: str
    engine: Engine
    nodes: list[Node]
    relays: list[Relay]


@asynccontextmanager
async def cluster(engine: Engine, folder: Path, *, refused: int = 0) -> AsyncIterator[Cluster]:
    """Once all is ready. `refused` as in `balanced`. At its end the nodes are killed: drain them before to see how."""
    async with AsyncExitStack() as stack:
        relays = [await stack.enter_async_context(relay_to(engine.port)) for _ in range(NODES)]
        nodes = []
        for i, relay in enumerate(relays):
            backplane = engine.url.replace(str(engine.port), str(relay.port))
            nodes.append(Node(f"n{i + 1}", backplane, folder))
            stack.push_async_callback(nodes[-1].kill)
        await asyncio.gather(*(node.start() for node in nodes))
        url = await stack.enter_async_context(balanced(nodes, folder, refused=refused))
        yield Cluster(url=url, engine=engine, nodes=nodes, relays=relays)
