"""Three nodes behind a proxy without affinity: clients of all kinds, and everything fails that can, once or twice.

`make faults` does the same for longer, with 300 clients. Engines run as in the contract suite, Redis with `appendfsync
always`: what they lose, they lose because their data are removed, and each loss may cost every client one gap.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import aiohttp
import pytest
from tests.contract import engines
from tests.faults.cluster.cluster import Cluster, cluster
from tests.faults.cluster.haproxy import BY
from tests.faults.cluster.judge import faults_of
from tests.faults.cluster.trial import Plan, trial

SEED = 20_261_122
POLLS = 30
TRANSPORTS = ("ws", "sse", "poll")


@pytest.fixture(params=["redis", "nats"])
def engine(request: pytest.FixtureRequest) -> Iterator[engines.Server]:
    with engines.engine(request.param) as server:
        yield server


@pytest.mark.timeout(240)
async def test_nothing_is_lost_in_silence_whatever_fails(
    engine: engines.Server, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    outcome = await trial(engine, Plan(seed=SEED, seconds=10.0, clients=60, rate=60.0), tmp_path, print)
    print(outcome.verdict, dict(outcome.seen), sep="\n")
    assert faults_of(outcome, request.node.callspec.params["engine"]) == []
    assert len(outcome.faults) == 8
    assert outcome.verdict.counts["ack"] > 200
    assert all(outcome.seen[f"moves: {transport}"] > 8 for transport in TRANSPORTS)
    assert outcome.seen["switches"] > 2


async def test_each_poll_is_answered_by_another_node_and_nothing_is_missing(tmp_path: Path) -> None:
    with engines.engine("redis") as engine:
        async with cluster(engine, tmp_path) as place:
            for kept in (True, False):  # one connection for all polls, or one for each
                connector = aiohttp.TCPConnector(limit=1, force_close=not kept)
                async with aiohttp.ClientSession(connector=connector) as http:
                    answered, heard = await take_turns(http, place)
                assert heard == list(range(POLLS))
                assert all(one != other for one, other in pairwise(answered)), answered
                assert set(answered) == {node.name for node in place.nodes}


async def take_turns(polling: aiohttp.ClientSession, place: Cluster) -> tuple[list[str], list[object]]:
    """Who answered each poll, and what came of what was published between them."""
    answered: list[str] = []
    heard: list[object] = []
    async with aiohttp.ClientSession() as publishing:
        cursor = await now(polling, place.url)
        for n in range(POLLS):
            # Straight to a node, so that only the polls take turns at the proxy.
            await say(publishing, place.nodes[n % 2].url, n)
            async with polling.get(f"{place.url}/poll?topics=a&wait=5&cursor={cursor}&n={n}") as response:
                answered.append(response.headers[BY])
                batch = await response.json()
            heard += [frame["data"] for frame in batch["messages"]]
            cursor = batch["cursor"]
    return answered, heard


async def now(http: aiohttp.ClientSession, url: str) -> str:
    async with http.get(f"{url}/poll?topics=a") as response:
        return str((await response.json())["cursor"])


async def say(http: aiohttp.ClientSession, url: str, n: int) -> None:
    async with http.post(f"{url}/send", data=json.dumps({"action": "publish", "topic": "a", "data": n})) as response:
        assert response.status == 200, await response.text()
