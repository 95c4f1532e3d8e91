"""The client against a real server behind a network that misbehaves: it gets through, loses nothing, says why."""

from __future__ import annotations

import asyncio
import json
import random
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from tests.helpers import Node, eventually, running

import tricast
from tricast.errors import Forbidden, Unauthorized, UplinkBlocked
from tricast.fallback import Policy
from tricast.memory import FileStore, Memory
from tricast_bench.middlebox import PRESETS, Faults, Middlebox
from tricast_server import Access

SLACK = 3.0
HEARTBEAT = 1.0
QUICK = Policy(
    early=0.5,
    regular=0.0,
    steady=0.5,
    quarantine_min=1.0,
    quarantine_max=1.0,
    probe_min=0.3,
    probe_max=0.6,
    backoff_max=0.5,
    proof_timeout=1.0,
    online_timeout=1.0,
)
"""The same rules in less time."""


@asynccontextmanager
async def network(faults: Faults | None = None, **settings: Any) -> AsyncIterator[tuple[Node, Middlebox]]:
    async with running(**settings) as node, Middlebox(upstream=node.url, faults=faults) as box:
        yield node, box


class Numbers:
    """Publishes 0, 1, 2, ... and reads them. What comes must be exactly that."""

    def __init__(self, node: Node, bus: tricast.Bus, rate: float = 200.0) -> None:
        self.node = node
        self.bus = bus
        self.rate = rate
        self.published = 0
        self.read = 0

    async def __aenter__(self) -> Numbers:
        self._tasks = [asyncio.create_task(self._publish()), asyncio.create_task(self._read())]
        return self

    async def __aexit__(self, kind: object, *details: object) -> None:
        self._tasks[0].cancel()
        try:
            if kind is None:
                await self.caught_up()
        finally:
            for task in self._tasks:
                task.cancel()
            results = await asyncio.gather(*self._tasks, return_exceptions=True)
        errors = [error for error in results if isinstance(error, Exception)]
        assert not errors, errors
        stats = self.bus.stats
        assert (stats.lost, stats.duplicated, stats.gaps) == (0, 0, 0)

    async def caught_up(self, timeout: float = 20.0) -> None:
        target = self.published
        await eventually(lambda: self.read >= target or self._tasks[1].done(), timeout=timeout)

    async def _publish(self) -> None:
        while True:
            await self.node.service.publish("t", self.published)
            self.published += 1
            await asyncio.sleep(1 / self.rate)

    async def _read(self) -> None:
        async for message in self.bus:
            assert isinstance(message, tricast.Message), message
            assert message.data == self.read
            self.read += 1


# At connect

SILENT = {"websocket-blackhole", "silent-websocket", "one-way-websocket", "silent, held", "one-way, held"}
CONNECTS: list[tuple[str, Faults]] = [
    (name, preset.faults) for name, preset in PRESETS.items() if name not in ("dead-wifi", "server-down")
] + [
    ("nothing but polls", Faults(refuse_upgrade=403, sse_hold_body=True)),
    ("silent, held", Faults(blackhole={"ws": True}, sse_hold_headers=True)),
    ("one-way, held", Faults(ws_silence="up", sse_hold_body=True)),
]


@pytest.mark.parametrize(("name", "faults"), CONNECTS, ids=[name for name, _ in CONNECTS])
async def test_the_first_message_comes_soon_whatever_the_network_does(name: str, faults: Faults) -> None:
    async with network(faults) as (node, box):
        await node.service.publish("t", "first")
        start = time.perf_counter()
        limit = 3.0 if name in SILENT else 1.5
        async with asyncio.timeout(limit * SLACK), tricast.connect(box.url, ["t"], last=1) as bus:
            first = await anext(bus)
            took = time.perf_counter() - start
            assert isinstance(first, tricast.Message)
            assert first.data == "first"
            await eventually(lambda: bus.uplink == "ok")
            await bus.publish("t", "second")
        assert took < limit * SLACK
        assert bus.stats.time_to_first is not None
        assert bus.timeline[0].what == "try"


@pytest.mark.parametrize(
    ("faults", "limit"),
    [
        (Faults(refuse_upgrade=403, refuse_post=403), 1.5),
        (Faults(refuse_upgrade=403, eat_post=True), 1.5),
        (Faults(ws_silence="up", eat_post=True), 1.5),
        (Faults(ws_silence="both", eat_post=True), 3.0),
    ],
)
async def test_where_nothing_can_be_sent_messages_come_and_publish_says_so(faults: Faults, limit: float) -> None:
    async with network(faults) as (node, box):
        await node.service.publish("t", "first")
        async with asyncio.timeout(10), tricast.connect(box.url, ["t"], last=1) as bus:
            async with asyncio.timeout(limit * SLACK):
                assert (await anext(bus)).topic == "t"  # type: ignore[union-attr]  # no gap
            with pytest.raises(UplinkBlocked):
                await bus.publish("t", 1)
            with pytest.raises(UplinkBlocked):
                await bus.echo(1)
            assert bus.uplink == "blocked"


async def test_when_sending_works_again_it_is_noticed() -> None:
    async with network(Faults(refuse_upgrade=403, refuse_post=403)) as (_, box):
        async with tricast.connect(box.url, ["t"], policy=QUICK) as bus:
            assert bus.uplink == "blocked"
            box.set(Faults(refuse_upgrade=403))
            await eventually(lambda: bus.uplink == "ok")
            await bus.publish("t", 1)


async def test_a_refusal_ends_the_race_at_once() -> None:
    async def nobody(access: Access) -> str | None:
        raise Unauthorized("no") if access.token is None else Forbidden("never")

    async with running(authorise=nobody) as node:
        for token, error in ((None, Unauthorized), ("x", Forbidden)):
            for transports in (("ws", "sse", "poll"), ("sse",), ("poll",)):
                with pytest.raises(error):
                    async with asyncio.timeout(2):
                        async with tricast.connect(node.url, token=token, transports=transports):
                            pass


# In mid-stream

ON_WS = [
    Faults(refuse_upgrade=502),
    Faults(ws_silence="both"),
    Faults(ws_silence="down", sse_hold_body=True),
    Faults(refuse_upgrade=403, sse_hold_headers=True),
    Faults(blackhole={"ws": True}),
    Faults(ws_drop_after=0.1, sse_hold_headers=True),
    Faults(late_by_one={"ws": True}, refuse_upgrade=403),
    Faults(delay_ms=20.0, jitter_ms=20.0, refuse_upgrade=407),
]


async def test_50_switches_under_load_lose_and_double_nothing() -> None:
    chance = random.Random(1)
    quicker = replace(QUICK, quarantine_min=0.3, quarantine_max=0.3)
    async with network(heartbeat=HEARTBEAT / 4, retention_count=100_000) as (node, box):
        async with tricast.connect(box.url, ["t"], cursor="earliest", policy=quicker) as bus:
            async with Numbers(node, bus):
                while bus.stats.switches < 50:
                    await eventually(lambda: bus.transport == "ws" and bus.uplink == "ok", timeout=15)
                    await asyncio.sleep(chance.uniform(0.0, 0.1))
                    faults = chance.choice(ON_WS)
                    box.set(faults)
                    if not faults.blackhole:
                        box.cut("ws")
                    await eventually(lambda: bus.transport in ("sse", "poll"), timeout=15)
                    if chance.random() < 0.2:
                        box.cut()
                    await asyncio.sleep(chance.uniform(0.0, 0.2))
                    box.set(Faults())
                await eventually(lambda: bus.transport == "ws" and bus.uplink == "ok", timeout=15)


@pytest.mark.parametrize("half", [0, 1])
async def test_every_fault_in_mid_stream_loses_and_doubles_nothing(half: int) -> None:
    async with network(heartbeat=HEARTBEAT / 4, retention_count=100_000) as (node, box):
        async with tricast.connect(box.url, ["t"], cursor="earliest", policy=QUICK) as bus:
            async with Numbers(node, bus) as numbers:
                for name in list(PRESETS)[half::2]:
                    box.preset(name)
                    box.cut()
                    await asyncio.sleep(1.0)
                    box.set(Faults())
                    target = numbers.published
                    await eventually(lambda wanted=target: numbers.read >= wanted, timeout=15)  # type: ignore[misc]  # of a lambda
                await eventually(lambda: bus.transport == "ws" and bus.uplink == "ok", timeout=15)


async def test_the_better_one_is_taken_again_after_the_fault_without_a_break() -> None:
    async with network() as (node, box):
        async with tricast.connect(box.url, ["t"], cursor="earliest", policy=QUICK) as bus:
            async with Numbers(node, bus):
                assert bus.transport == "ws"
                box.set(Faults(refuse_upgrade=403))
                box.cut("ws")
                await eventually(lambda: bus.transport == "sse")
                box.set(Faults())
                await eventually(lambda: bus.transport == "ws")
            whats = [(record.transport, record.what) for record in bus.timeline]
            up = len(whats) - 1 - whats[::-1].index(("ws", "up"))
            assert ("sse", "close") in whats[up:], "the old one is closed afterwards"
            assert ("sse", "lost") not in whats


async def test_a_blackhole_is_noticed_within_two_heartbeats() -> None:
    async with network(heartbeat=HEARTBEAT) as (node, box):
        async with tricast.connect(box.url, ["t"], cursor="earliest", policy=QUICK) as bus:
            async with Numbers(node, bus):
                await asyncio.sleep(0.2)
                box.set(Faults(blackhole={"ws": True}))
                start = time.perf_counter()
                await eventually(lambda: bus.transport == "sse", timeout=2 * HEARTBEAT * SLACK)
                assert time.perf_counter() - start > HEARTBEAT
            (lost,) = [record for record in bus.timeline if record.what == "lost"]
            assert "silent" in lost.detail


async def test_a_publish_that_is_stuck_goes_through_elsewhere_once() -> None:
    async with network() as (_, box):
        async with tricast.connect(box.url, ["t"], policy=QUICK) as bus:
            await bus.publish("t", 0)
            publishing = asyncio.create_task(bus.publish("t", 1))
            box.set(Faults(blackhole={"ws": True}))
            await asyncio.sleep(0.05)
            box.cut("ws")
            await publishing
            assert bus.transport == "sse"
            assert [(await anext(bus)).data for _ in range(2)] == [0, 1]  # type: ignore[union-attr]  # no gap


async def test_the_server_away_for_a_while_demotes_nothing() -> None:
    async with network() as (node, box):
        async with tricast.connect(box.url, ["t"], cursor="earliest", policy=QUICK) as bus:
            async with Numbers(node, bus):
                for _ in range(3):
                    box.set(Faults(refuse_all=True))
                    await eventually(lambda: any(record.what == "offline" for record in bus.timeline))
                    await asyncio.sleep(0.3)
                    box.set(Faults())
                    await eventually(lambda: bus.transport == "ws" and bus.uplink == "ok")
            assert not [record for record in bus.timeline if record.what == "quarantine"]
            assert bus.stats.reconnects == 3


async def test_topics_change_while_a_better_one_is_tried() -> None:
    async with network(Faults(refuse_upgrade=403)) as (node, box):
        async with tricast.connect(box.url, ["t"], policy=QUICK) as bus:
            assert bus.transport == "sse"
            box.set(Faults(ws_silence="up"))
            for n in range(20):
                await bus.subscribe(f"more.{n}")
                await node.service.publish(f"more.{n}", n)
                message = await anext(bus)
                assert isinstance(message, tricast.Message)
                assert (message.topic, message.data) == (f"more.{n}", n)
                if n == 10:
                    box.set(Faults())
                await asyncio.sleep(0.05)
            await eventually(lambda: bus.transport == "ws")
            await bus.unsubscribe("t")
            await node.service.publish("t", "not this")
            await node.service.publish("more.3", "but this")
            assert (await anext(bus)).data == "but this"  # type: ignore[union-attr]  # no gap


async def test_a_slow_consumer_keeps_its_link_and_can_publish() -> None:
    async with network(retention_count=5000) as (node, box):
        for n in range(3000):
            await node.service.publish("t", n)
        async with tricast.connect(box.url, ["t"], cursor="earliest", buffer=10, policy=QUICK) as bus:
            for _ in range(3):
                await asyncio.sleep(0.5)
                await bus.publish("other", 1)
            assert bus.uplink == "ok"
            assert [(await anext(bus)).data for _ in range(1000)] == list(range(1000))  # type: ignore[union-attr]  # no gap


async def test_nothing_is_left_running() -> None:
    before = asyncio.all_tasks()
    async with network(Faults(ws_silence="up", eat_post=True)) as (_, box):
        async with tricast.connect(box.url, ["t"]):
            assert any("Runner.run" in str(task.get_coro()) for task in asyncio.all_tasks())
        assert not any("Runner" in str(task.get_coro()) for task in asyncio.all_tasks())
    await eventually(lambda: asyncio.all_tasks() <= before)


# What is remembered


async def test_what_worked_is_remembered(tmp_path: Path) -> None:
    store = FileStore(tmp_path / "cache" / "transports.json")
    async with network(Faults(blackhole={"ws": True})) as (_, box):
        async with tricast.connect(box.url, ["t"], store=store) as bus:
            assert bus.transport == "sse"
        async with tricast.connect(box.url, ["t"], store=store) as bus:
            assert [record.transport for record in bus.timeline] == ["sse"] * len(bus.timeline)
        memory = await store.load(box.url)
    assert memory is not None
    assert memory.transport == "sse"
    assert [path.name for path in (tmp_path / "cache").iterdir()] == ["transports.json"]


@pytest.mark.parametrize("text", ["", "{", "[]", '{"u": 3}', '{"u": {"transport": "x", "at": 1}}', '"\\ud800"'])
async def test_a_store_that_makes_no_sense_is_as_good_as_none(tmp_path: Path, text: str) -> None:
    path = tmp_path / "transports.json"
    path.write_text(text)
    store = FileStore(path)
    assert await store.load("u") is None
    await store.save("u", Memory("poll", time.time()))
    assert (await store.load("u")) is not None


async def test_memories_fade(tmp_path: Path) -> None:
    store = FileStore(tmp_path / "transports.json")
    await store.save("old", Memory("poll", time.time() - 7200))
    await store.save("new", Memory("sse", time.time()))
    assert await store.load("old") is None
    await store.save("other", Memory("sse", time.time()))
    assert set(json.loads(store.path.read_text())) == {"new", "other"}


async def test_a_store_that_fails_is_no_harm() -> None:
    async with network() as (_, box):
        async with tricast.connect(box.url, ["t"], store=FileStore(Path("/proc/nowhere/x.json"))) as bus:
            await bus.publish("t", 1)
