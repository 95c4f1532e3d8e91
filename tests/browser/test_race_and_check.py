"""The pages that compare the transports and that judge a network, against a real server and middlebox."""

from __future__ import annotations

import asyncio
import json
import re
from pathlib import Path
from typing import Any

import pytest
from tests.browser.conftest import Show
from tests.browser.driving import Shown
from tests.browser.serving import DemoServer, Server

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.xdist_group("browser-pages")]


async def race(page: Shown, rate: int) -> dict[str, Any]:
    """The result, as it is downloaded."""
    await page.page.fill("#rate", str([1, 2, 5, 10, 20, 50, 100, 200, 500].index(rate)))
    await page.has_text("#rate-shown", f"{rate} messages/s")
    await page.page.select_option("#length", "5")
    await page.press("Start")
    await page.has_text("#status", re.compile("^Done: "))
    async with page.page.expect_download() as download:
        await page.press("Download as JSON")
    result: dict[str, Any] = json.loads(await asyncio.to_thread(Path(await (await download.value).path()).read_text))
    return result


async def test_race_ends_in_numbers(demo: DemoServer, show: Show) -> None:
    page = await show(f"{demo.url}/race.html")
    result = await race(page, 50)
    assert result["countedAt"] == "middlebox"
    assert result["published"] > 150
    for name, lane in result["transports"].items():
        assert lane["samples"] == result["published"], name
        assert 0 < lane["median"] <= lane["p95"] <= lane["p99"] <= lane["max"] < 5000, name
        assert 128 < lane["bytesPerMessage"] < 2500, name
        assert lane["trouble"] is None
    requests = {name: lane["requestsPerMessage"] for name, lane in result["transports"].items()}
    assert requests["ws"] == requests["sse"] == 0 < requests["poll"] <= 1.5
    rows = await page.page.locator("#rows tr").all_inner_texts()
    assert [row.split("\t")[0] for row in rows] == ["WebSocket", "Server-Sent Events", "Long polling"]
    assert str(result["transports"]["ws"]["samples"]) in rows[0]


async def test_race_without_a_middlebox_counts_in_the_page(server: Server, show: Show) -> None:
    page = await show(f"{server.url}/race.html")
    await page.has_text("#counted", re.compile("what this page itself sees"))
    result = await race(page, 20)
    assert result["countedAt"] == "page"
    assert all(lane["bytesPerMessage"] > 100 for lane in result["transports"].values())
    assert 0 < result["transports"]["poll"]["requestsPerMessage"] <= 1.5


async def test_race_goes_on_without_a_transport_and_can_be_stopped(demo: DemoServer, show: Show) -> None:
    await demo.preset("squid-connect-403")
    page = await show(f"{demo.url}/race.html", noise=True)
    await page.page.select_option("#length", "600")
    await page.press("Start")
    await page.has_text("#status", re.compile("^Running: [1-9]"))
    await page.press("Stop")
    await page.has_text("#status", re.compile("^Done: "))
    await page.has_text("#lane-ws .rest", re.compile("^Out of the race: "))
    cells = (await page.page.locator("#rows tr").first.inner_text()).split("\t")
    assert cells[:2] == ["WebSocket", "–"]


CLEAN = {"ws": "clean", "sse": "clean", "poll": "clean"}
NETWORKS: dict[str, tuple[dict[str, Any], dict[str, str]]] = {
    "clean": ({}, CLEAN),
    "no-upgrade, batching": (
        {"strip_upgrade": True, "batch_ms": {"sse": 205}},
        CLEAN | {"ws": "refused", "sse": "batched"},
    ),
    "silent-websocket, late-by-one": (
        {"ws_silence": "both", "late_by_one": {"sse": True}},
        CLEAN | {"ws": "opened but silent", "sse": "late by one"},
    ),
    "one-way-websocket, buffering": (
        {"ws_silence": "up", "sse_hold_headers": True},
        CLEAN | {"ws": "uplink blocked", "sse": "buffered until close"},
    ),
    "websocket-blackhole, read-only": (
        {"blackhole": {"ws": True}, "refuse_post": 403},
        {"ws": "no answer", "sse": "uplink blocked", "poll": "uplink blocked"},
    ),
    "dead-wifi": ({"blackhole": True}, dict.fromkeys(CLEAN, "no answer")),
    "server-down": ({"refuse_all": True}, dict.fromkeys(CLEAN, "unreachable")),
}


@pytest.mark.parametrize("network", NETWORKS)
async def test_check_names_the_fault(demo: DemoServer, show: Show, network: str) -> None:
    faults, verdicts = NETWORKS[network]
    await demo.break_with(faults)
    page = await show(f"{demo.url}/check.html", noise=network != "clean")
    await page.page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    for attempt in range(5):  # a busy machine blurs what is told by a few hundredths of a second
        await page.press("Check again" if attempt else "Check my network")
        await page.has_text("#status", re.compile(r"^Checked in \d\.\d s\."))
        words = await page.page.locator("#lanes .word").all_inner_texts()
        found = dict(zip(CLEAN, words, strict=True))
        if found == verdicts:
            break
    assert found == verdicts
    await page.press("Copy as JSON")
    report = json.loads(await page.page.evaluate("navigator.clipboard.readText()"))
    assert report["format"] == 1
    assert report["works"] is (network not in ("dead-wifi", "server-down"))
    usable = [choice["transport"] for choice in report["order"]]
    assert set(usable) == {name for name, lane in report["transports"].items() if lane["usable"]}
    await page.press("Copy as text")
    text = await page.page.evaluate("navigator.clipboard.readText()")
    assert await page.page.inner_text("#headline") in text
    if network == "clean":
        await page.has_text("#headline", "Everything works here.")
        assert usable == ["ws", "sse", "poll"]
        assert await page.page.inner_text("#seen dd >> nth=0") == "127.0.0.1"
        assert not await page.page.is_visible("#advice")
