"""`/canary/*`: frames at fixed spacing, each with the server's clock, and how the request looked from there."""

from __future__ import annotations

import itertools
import json
import time
from typing import Any

import aiohttp
import pytest
from tests.helpers import Node, running

from tricast.wire import sse

INTERVAL = 0.1


def checked(frames: list[dict[str, Any]], n: int) -> None:
    assert [frame["seq"] for frame in frames] == list(range(n))
    assert all(frame["type"] == "canary" and frame["n"] == n for frame in frames)
    sent = [frame["sent"] for frame in frames]
    assert all(INTERVAL / 3 < later - earlier < INTERVAL * 3 for earlier, later in itertools.pairwise(sent))
    assert frames[0]["seen"]["address"] == "127.0.0.1"


async def over_ws(http: aiohttp.ClientSession, node: Node, query: str) -> list[dict[str, Any]]:
    async with http.ws_connect(f"{node.url}/canary/ws?{query}") as ws:
        frames = [json.loads(message.data) async for message in ws]
        assert ws.close_code == 1000
    return frames


async def over_sse(http: aiohttp.ClientSession, node: Node, query: str) -> list[dict[str, Any]]:
    async with http.get(f"{node.url}/canary/sse?{query}") as response:
        return [json.loads(event.data) for event in sse.Parser().feed(await response.read())]


async def over_polls(http: aiohttp.ClientSession, node: Node, query: str) -> list[dict[str, Any]]:
    frames: list[dict[str, Any]] = []
    while not frames or frames[-1]["seq"] + 1 < frames[-1]["n"]:
        async with http.get(f"{node.url}/canary/poll?{query}&first={len(frames)}") as response:
            frames.append(await response.json())
    return frames


@pytest.mark.parametrize("over", [over_ws, over_sse, over_polls])
async def test_frames_come_at_their_times(over: Any) -> None:
    async with running() as node, aiohttp.ClientSession() as http:
        checked(await over(http, node, f"n=3&interval={INTERVAL}"), 3)


@pytest.mark.parametrize("over", [over_ws, over_sse, over_polls])
async def test_frames_are_padded(over: Any) -> None:
    async with running() as node, aiohttp.ClientSession() as http:
        frames = await over(http, node, "n=2&interval=0&size=5000")
        sizes = [len(json.dumps(frame, separators=(",", ":"))) for frame in frames]
        assert all(4990 <= size <= 5010 for size in sizes)


async def test_the_websocket_sends_back_what_it_is_sent() -> None:
    async with running() as node, aiohttp.ClientSession() as http:
        async with http.ws_connect(f"{node.url}/canary/ws?n=2&interval=3") as ws:
            await ws.receive_json()
            start = time.monotonic()
            await ws.send_str("hi")
            assert await ws.receive_json() == {"type": "canary-echo", "data": "hi"}
            assert time.monotonic() - start < 3


@pytest.mark.parametrize("query", ["n=301", "n=x", "interval=nan", "n=300&interval=1", "size=99999"])
@pytest.mark.parametrize("path", ["sse", "poll"])
async def test_what_would_last_too_long_or_be_too_large_is_refused(path: str, query: str) -> None:
    async with running() as node, aiohttp.ClientSession() as http:
        async with http.get(f"{node.url}/canary/{path}?{query}") as response:
            assert response.status == 400
            assert (await response.json())["code"] == "bad_request"
