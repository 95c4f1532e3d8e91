"""What becomes of the Live page when it is loaded again, left and come back to, or without a network."""

from __future__ import annotations

import asyncio
from typing import cast

import pytest
from tests.browser.conftest import Show
from tests.browser.driving import Live
from tests.browser.serving import DemoServer, Server

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.xdist_group("browser-pages")]

each_way = pytest.mark.parametrize("way", ["ws", "sse", "poll"])


async def live(show: Show, server: Server, topic: str, way: str, *, noise: bool = False) -> Live:
    page = cast(Live, await show(f"{server.url}/?topic={topic}&via={way}", Live, noise=noise))
    await page.carries(way)
    return page


@each_way
async def test_reload_resumes_at_the_cursor(server: Server, show: Show, topic: str, way: str) -> None:
    page = await live(show, server, topic, way)
    await page.flow(20)
    await server.publish(topic, "before")
    async with asyncio.timeout(15):
        while await page.received() < 8:
            await asyncio.sleep(0.05)
    for _ in range(2):
        await page.page.goto("about:blank")
        await server.publish(topic, "meanwhile")
        await page.page.goto(f"{server.url}/?topic={topic}&via={way}")
        await page.carries(way)
        await page.happened("The page was loaded again and goes on at ")
    await server.publish(topic, "after")
    await page.has_all(len(await server.log(topic)))
    assert (await page.data())[-1] == "after"


@each_way
async def test_page_that_was_put_by_goes_on(server: Server, show: Show, topic: str, way: str) -> None:
    page = await live(show, server, topic, way)
    await page.page.evaluate("addEventListener('pageshow', ({ persisted }) => { window.wasKept = persisted; })")
    await server.publish(topic, "before")
    await page.has_all(1)
    await page.page.get_by_role("link", name="Race").click()
    await page.page.wait_for_selector("#settings")
    await server.publish(topic, "meanwhile")
    await page.page.go_back(wait_until="commit")
    assert await page.page.evaluate("window.wasKept") is True
    await page.carries(way)
    await page.happened("The page came back from where the browser had kept it.")
    await page.say("after")
    await page.has_all(3)
    assert await page.data() == ["before", "meanwhile", "after"]


@pytest.mark.parametrize("way", ["sse", "poll"])
async def test_time_without_a_network_loses_nothing(demo: DemoServer, show: Show, topic: str, way: str) -> None:
    """Chromium leaves a WebSocket open without a network; for that one there is the blackhole."""
    page = await live(show, demo, topic, way, noise=True)
    await page.flow(5)
    await asyncio.sleep(0.6)
    session = await page.page.context.new_cdp_session(page.page)
    unlimited = {"latency": 0, "downloadThroughput": -1, "uploadThroughput": -1}
    await session.send("Network.emulateNetworkConditions", {"offline": True, **unlimited})
    await page.has_text("#state", "Nothing carries: looking for a way")
    await demo.publish(topic, "meanwhile")
    await session.send("Network.emulateNetworkConditions", {"offline": False, **unlimited})
    await page.carries(way)
    await page.settle(demo, topic)
    assert "meanwhile" in await page.data()
