"""Clients that come and go at any moment leave nothing behind: no connection, file, task or memory."""

from __future__ import annotations

import asyncio
import gc
import random
import socket
from collections.abc import Callable, Iterator
from typing import TypeAlias

import pytest
from tests.helpers import Process, Server, eventually, running, serving, until
from tests.helpers_clients import Http, raw_exchange
from tests.helpers_raw import client_frame, connect, request_head, reset, upgrade_head

from tricast_server import Access
from tricast_server.bus.audience import Parked
from tricast_server.bus.subscription import Subscription

CYCLES = 10_000
BATCH = 50
WARM_UP = 6_000
GROWTH = 2**20 * 4
"""Over the cycles after the warm-up: 1 KiB each, where a subscription that is kept costs three and a request ten."""

Request: TypeAlias = Callable[[Server], bytes]
REQUESTS: tuple[Request, ...] = (
    lambda server: upgrade_head(server, "/ws?topics=a"),
    lambda server: upgrade_head(server, "/ws?topics=a&last=3") + client_frame(b'{"action":"ping","delay":20}'),
    lambda server: upgrade_head(server, "/ws?v=2"),
    lambda server: request_head(server, "/sse?topics=a&cursor=earliest"),
    lambda server: request_head(server, f"/sse?topics=t{random.randrange(10**6)}"),
    lambda server: request_head(server, "/poll?topics=a"),
    lambda server: request_head(server, "/poll?topics=a&cursor=earliest"),
    lambda server: request_head(server, "/poll?topics=never,a2&cursor=earliest&wait=55"),
    lambda server: request_head(server, "/poll?topics=never&cursor=earliest&wait=55") * 3,
)
NOTHING = {"ws": 0, "sse": 0, "poll": 0}


def come_and_go(server: Server, count: int, chance: random.Random) -> None:
    """`count` connections at once, each given up before, within or after its request, some after part of the answer."""
    clients = [connect(server) for _ in range(count)]
    answered: list[socket.socket] = []
    for client in clients:
        request = chance.choice(REQUESTS)(server)
        sent = chance.choice((0, chance.randrange(len(request)), len(request), len(request), len(request)))
        client.sendall(request[:sent])
        if sent == len(request) and b"wait=55" not in request and chance.random() < 0.7:
            answered.append(client)
    for client in answered:
        client.recv(chance.randrange(1, 2000))
    chance.shuffle(clients)
    for client in clients:
        if chance.random() < 0.5:
            client.close()
        else:
            reset(client)


@pytest.fixture
def server() -> Iterator[Process]:
    with serving("--heartbeat", "0.2") as process:
        yield process


async def test_ten_thousand_leave_connections_files_and_memory_where_they_were(server: Process) -> None:
    async with Http(server) as http:
        await http.publish("a", *["x" * 1000] * 5)
    chance = random.Random(1)
    files = server.files
    await asyncio.to_thread(come_and_go_in_batches, server, WARM_UP, chance)
    memory = settled_memory(server)
    await asyncio.to_thread(come_and_go_in_batches, server, CYCLES - WARM_UP, chance)
    assert settled_memory(server) - memory < GROWTH
    until(lambda: server.files <= files, timeout=15)  # the test's own last request may still be open for an instant
    assert server.stats()["topics"] == 1


def come_and_go_in_batches(server: Server, count: int, chance: random.Random) -> None:
    for _ in range(count // BATCH):
        come_and_go(server, BATCH, chance)


def settled_memory(server: Process) -> int:
    """Once every connection is known to be gone, and what waited for its time has been let go."""
    until(lambda: server.connections == NOTHING, timeout=15)
    until(lambda: server.files < 40, timeout=15)
    return server.memory


async def test_on_the_own_loop_no_task_or_subscription_is_left() -> None:
    chance = random.Random(2)
    before = alive(Subscription) + alive(Parked)  # what tests before this one may have left in a traceback
    async with running(heartbeat=0.2) as server:
        async with Http(server) as http:
            await http.publish("a", *["x" * 1000] * 5)
        await asyncio.to_thread(come_and_go_in_batches, server, BATCH, chance)
        tasks = len(asyncio.all_tasks())
        await asyncio.to_thread(come_and_go_in_batches, server, 10 * BATCH, chance)
        await eventually(lambda: server.service.stats()["connections"] == NOTHING, timeout=15)
        await eventually(lambda: len(asyncio.all_tasks()) <= tasks, timeout=15)
        await eventually(lambda: not server.service.bus.subscriptions, timeout=15)
        await eventually(lambda: not server.service.bus.parked, timeout=15)
        await eventually(lambda: alive(Subscription) + alive(Parked) <= before, timeout=20)


@pytest.mark.parametrize("path", ["/ws", "/sse", "/poll", "/poll?cursor=x-1", "/send", "/topics/a"])
async def test_a_client_that_vanishes_just_before_its_answer_is_no_error(path: str) -> None:
    """Its connection is known to be lost, but the handler has not been cancelled yet."""

    async def vanish(access: Access) -> str | None:
        assert access.request.transport is not None
        access.request.transport.abort()
        return None

    async with running(authorise=vanish) as server:
        request = upgrade_head(server, path)
        if path in ("/send", "/topics/a"):
            body = b'{"action":"publish","data":1}'
            request = request_head(server, path, f"Content-Length: {len(body)}").replace(b"GET", b"POST", 1) + body
        assert await raw_exchange(server, request) == b""
        await eventually(lambda: server.service.stats()["connections"] == NOTHING)


def alive(kind: type) -> int:
    """Objects of this class that something still holds."""
    gc.collect()
    return sum(isinstance(thing, kind) for thing in gc.get_objects())
