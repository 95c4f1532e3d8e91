"""What is tried: each trial is a row of numbers, with the client's default times."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from statistics import median

import aiohttp

import tricast
from tricast_bench.fallback.network import TOPIC, Numbers, Program, network
from tricast_bench.middlebox import PRESETS, Faults

Row = dict[str, object]
Progress = Callable[[str], None]

ON_WEBSOCKET = [
    Faults(refuse_upgrade=502),
    Faults(ws_silence="both"),
    Faults(ws_silence="down", sse_hold_body=True),
    Faults(refuse_upgrade=403, sse_hold_headers=True),
    Faults(blackhole={"ws": True}),
    Faults(delay_ms=20.0, jitter_ms=20.0, refuse_upgrade=407),
]
EAGER = tricast.Policy(early=0.5, regular=0.0, quarantine_min=1.0, quarantine_max=1.0, probe_min=0.3, probe_max=0.6)
"""Blames little and forgets soon, so that it switches as often as it can."""
SETTLED = 12.0
"""Seconds after which a link is not young any more."""

CONNECTS: dict[str, Faults] = {
    **{name: preset.faults for name, preset in PRESETS.items() if name not in ("dead-wifi", "server-down")},
    "refused, and SSE held": Faults(refuse_upgrade=403, sse_hold_body=True),
    "black hole, and SSE held": Faults(blackhole={"ws": True}, sse_hold_headers=True),
    "one-way, and SSE held": Faults(ws_silence="up", sse_hold_body=True),
    "refused, POST refused": Faults(refuse_upgrade=403, refuse_post=403),
    "refused, POST eaten": Faults(refuse_upgrade=403, eat_post=True),
}
IN_MID_STREAM = [
    Faults(refuse_upgrade=502),
    Faults(ws_silence="both"),
    Faults(ws_silence="down", sse_hold_body=True),
    Faults(refuse_upgrade=403, sse_hold_headers=True),
    Faults(refuse_upgrade=403, cut_after={"sse": 0.3}),
    Faults(late_by_one={"ws": True, "sse": True}),
    Faults(delay_ms=30.0, jitter_ms=30.0),
    Faults(close_all=True),
    Faults(ws_drop_after=0.4),
]


@dataclass(frozen=True, slots=True)
class First:
    """A connect: seconds to the first message, on which transport, and whether anything could be sent."""

    name: str
    took: float
    transport: str
    uplink: str


async def first(name: str, faults: Faults) -> First:
    async with network(faults) as (server, box):
        async with aiohttp.ClientSession() as session:
            await session.post(f"{server.url}/topics/{TOPIC}", json="first")
        start = time.perf_counter()
        async with asyncio.timeout(30), tricast.connect(box.url, [TOPIC], last=1) as bus:
            await anext(bus)
            took = time.perf_counter() - start
            while bus.uplink == "unknown":
                await asyncio.sleep(0.01)
            return First(name, took, bus.transport or "", bus.uplink)


async def faults_in_turn(count: int, seed: int, progress: Progress) -> Row:
    """So many faults in turn, each as it comes upon a stream of numbers, then none; and the way back."""
    chance = random.Random(seed)
    async with network(None, "--heartbeat", "1", "--retention-count", "1000000") as (server, box):
        async with tricast.connect(box.url, [TOPIC], cursor="earliest") as bus:
            async with Numbers(server, bus) as numbers:
                for done in range(count):
                    progress(f"fault {done + 1} of {count}, on {bus.transport}")
                    box.set(chance.choice([Faults(), *IN_MID_STREAM]))
                    if chance.random() < 0.6:
                        box.cut()
                    await asyncio.sleep(chance.uniform(0.1, 1.5))
                box.set(Faults())
                healed = time.monotonic()
                while bus.transport != "ws" and time.monotonic() - healed < 600:
                    await asyncio.sleep(0.05)
                back = time.monotonic() - healed
            stats = bus.stats
    return {
        "faults": count,
        "read": numbers.read,
        "of": numbers.published,
        "lost": stats.lost,
        "duplicated": stats.duplicated,
        "out of order": numbers.wrong,
        "switches": stats.switches,
        "reconnects": stats.reconnects,
        "back on ws after, s": round(back, 1),
    }


async def to_and_fro(count: int, seed: int, progress: Progress) -> Row:
    """So many switches: a random fault that ends the WebSocket, and back when it is gone, again and again."""
    chance = random.Random(seed)
    async with network(None, "--heartbeat", "1", "--retention-count", "1000000") as (server, box):
        async with tricast.connect(box.url, [TOPIC], cursor="earliest", policy=EAGER) as bus:
            async with Numbers(server, bus) as numbers:
                while bus.stats.switches < count:
                    progress(f"switch {bus.stats.switches + 1} of {count}, from {bus.transport}")
                    await asyncio.sleep(chance.uniform(0.0, 0.2))
                    box.set(chance.choice(ON_WEBSOCKET))
                    box.cut("ws")
                    await _until(lambda: bus.transport in ("sse", "poll"))
                    await asyncio.sleep(chance.uniform(0.0, 0.2))
                    box.set(Faults())
                    await _until(lambda: bus.transport == "ws")
            stats = bus.stats
    return {
        "switches": stats.switches,
        "read": numbers.read,
        "of": numbers.published,
        "lost": stats.lost,
        "duplicated": stats.duplicated,
        "out of order": numbers.wrong,
    }


async def _until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(60):
        while not condition():
            await asyncio.sleep(0.01)


async def outage(seconds: float, clients: int) -> Row:
    """A server that is killed, and comes back: when clients return, and whether any transport was blamed."""
    server = Program()
    await server.start()
    returns: list[float] = []
    buses = await asyncio.gather(*(tricast.connect(server.url, [TOPIC]).__aenter__() for _ in range(clients)))
    try:
        await asyncio.sleep(SETTLED)
        await server.kill()
        await asyncio.sleep(seconds)
        await server.start()
        up_at = time.monotonic()
        waiting = set(buses)
        while waiting and time.monotonic() - up_at < 60:
            for bus in [bus for bus in waiting if bus.stats.reconnects]:
                returns.append(time.monotonic() - up_at)
                waiting.remove(bus)
            await asyncio.sleep(0.02)
        await asyncio.sleep(1)
        return {
            "clients": clients,
            "down, s": seconds,
            "returned": len(returns),
            "first after, s": round(min(returns, default=-1), 2),
            "median, s": round(median(returns), 2) if returns else -1,
            "last, s": round(max(returns, default=-1), 2),
            "on ws": sum(bus.transport == "ws" for bus in buses),
            "quarantined": sum(record.what == "quarantine" for bus in buses for record in bus.timeline),
        }
    finally:
        await asyncio.gather(*(bus.__aexit__(None, None, None) for bus in buses))
        await server.kill()


async def blackhole(heartbeat: float) -> Row:
    """A WebSocket that goes silent without an end."""
    async with network(None, "--heartbeat", f"{heartbeat:g}") as (_, box):
        async with tricast.connect(box.url, [TOPIC]) as bus:
            await asyncio.sleep(1.5 * heartbeat)
            box.set(Faults(blackhole={"ws": True}))
            start = time.monotonic()
            while not any(record.what == "lost" for record in bus.timeline):
                await asyncio.sleep(0.01)
            noticed = time.monotonic() - start
            while bus.transport != "sse":
                await asyncio.sleep(0.01)
            return {
                "heartbeat, s": heartbeat,
                "noticed after, s": round(noticed, 2),
                "on sse after, s": round(time.monotonic() - start, 2),
            }


async def flapping(cut: float, seconds: float, progress: Progress) -> Row:
    """A network that cuts every WebSocket at the same age."""
    async with network(Faults(ws_drop_after=cut)) as (server, box):
        async with tricast.connect(box.url, [TOPIC]) as bus, Numbers(server, bus) as numbers:
            for second in range(int(seconds)):
                progress(f"{second} of {seconds:g} s, on {bus.transport}")
                await asyncio.sleep(1)
            ups = [(record.t, record.transport) for record in bus.timeline if record.what == "up"]
            lost = [record.t for record in bus.timeline if record.what == "lost"]
    steady = [(start, end) for (start, on), (end, _) in pairwise([*ups, (seconds, None)]) if on != "ws"]
    return {
        "ws cut each, s": cut,
        "watched, s": seconds,
        "left ws after, s": round(steady[0][0], 1) if steady else "never",
        "on sse, s": round(sum(end - start for start, end in steady), 1),
        "cuts suffered": len(lost),
        "lost or doubled": bus.stats.lost + bus.stats.duplicated + numbers.wrong,
    }
