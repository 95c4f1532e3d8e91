"""The Live page in a real Chromium against a real server, through the real middlebox of `tricast demo`."""

from __future__ import annotations

import asyncio
import json
import re
import signal
from itertools import cycle, islice
from typing import cast

import pytest
from aiohttp import web
from tests.browser.conftest import Serve, Show
from tests.browser.driving import NAMES, Live
from tests.browser.serving import DemoServer, Server, unused_port

from tricast_server import Settings, setup

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.xdist_group("browser-live")]

each_way = pytest.mark.parametrize("way", ["ws", "sse", "poll"])


async def live(show: Show, url: str, topic: str, query: str = "", *, noise: bool = False) -> Live:
    return cast(Live, await show(f"{url}/?topic={topic}{query}", Live, noise=noise))


@each_way
async def test_message_that_is_said_comes_back_once(server: Server, show: Show, topic: str, way: str) -> None:
    page = await live(show, server.url, topic, f"&via={way}")
    await page.carries(way)
    await server.publish(topic, "from elsewhere")
    await page.say("hello")
    await page.has_text("#sent", re.compile(rf"^Back over {NAMES[way]} after [\d.]+\sm?s$"))
    await page.has_all(2)
    assert await page.data() == ["from elsewhere", "hello"]
    rows = page.page.locator("#messages .row")
    assert await rows.last.locator(".from").inner_text() == "you"
    assert await rows.last.get_attribute("data-via") == way
    assert re.fullmatch(r"\d\d:\d\d:\d\d", await rows.last.locator("time").inner_text())
    assert await page.page.input_value("#text") == ""
    await page.has_text("#unbreakable", re.compile("tricast demo"))
    assert not await page.page.get_by_role("button", name="Cut now").is_visible()


async def test_twenty_switches_while_messages_flow(demo: DemoServer, show: Show, topic: str) -> None:
    page = await live(show, demo.url, topic, "&flow=20")
    await page.carries("ws")
    for turn, mode in enumerate(islice(cycle(("sse", "poll", "ws", "poll", "auto")), 20)):
        await page.choose(mode)
        if turn % 4 == 3:  # sometimes the next one is wanted before this one has opened
            continue
        if mode == "auto":
            await page.has_text("#state", re.compile("carries"))
        else:
            await page.carries(mode)
        await asyncio.sleep(0.2)
    await page.settle(demo, topic)
    ways = await page.page.locator("#messages .row").evaluate_all("rows => rows.map(row => row.dataset.via)")
    assert set(ways) == set(NAMES)


async def test_refused_websocket_and_buffered_streams_are_survived(demo: DemoServer, show: Show, topic: str) -> None:
    page = await live(show, demo.url, topic, "&flow=20", noise=True)
    await page.carries("ws")
    await page.press("Refuse WebSocket")
    await page.carries("sse")
    await page.happened("You pressed: Refuse WebSocket.")
    await page.happened("WebSocket was lost.")
    await page.happened(re.compile(r"Server-Sent Events works, .*s after it was tried\."))
    assert await page.page.locator("[data-fault=refuse]").get_attribute("aria-pressed") == "true"
    await page.press("Buffer streams")
    await page.carries("poll")
    await page.happened(re.compile(r"Long polling works, .*s after it was tried\."))
    await page.has_text("#about", "Several faults at once.")
    await page.press("Heal")
    await page.happened("You healed the network.")
    await page.has_text("#about", "No fault at all.")
    await page.settle(demo, topic)


async def test_cut_is_survived(demo: DemoServer, show: Show, topic: str) -> None:
    page = await live(show, demo.url, topic, "&flow=20", noise=True)
    for way in ("ws", "sse", "poll"):
        await page.choose(way)
        await page.carries(way)
        await page.press("Cut now")
        await page.happened("You cut all connections.")
        if way != "poll":  # a poll that was cut is repeated by the browser, and the page sees nothing of it
            await page.happened(f"{NAMES[way]} was lost.")
        await page.carries(way)
    await page.settle(demo, topic)


async def test_blackhole_is_told_and_survived(demo: DemoServer, show: Show, topic: str) -> None:
    page = await live(show, demo.url, topic, "&flow=5", noise=True)
    await page.carries("ws")
    await page.press("Blackhole")
    await page.has_text("#detail", re.compile(r"^nothing has come for \d+ s$"))
    await page.happened("WebSocket was lost.")
    await page.has_text("#state", "Nothing carries: looking for a way")
    await page.happened("Nothing answers: this looks like being offline")
    await page.press("Heal")
    await page.has_text("#state", re.compile("carries"))
    await page.settle(demo, topic)


async def test_forced_transport_that_is_blocked_leaves_the_old_one(demo: DemoServer, show: Show, topic: str) -> None:
    page = await live(show, demo.url, topic, "&via=sse&flow=5", noise=True)
    await page.carries("sse")
    await demo.preset("corporate-proxy-no-upgrade")
    await page.choose("ws")
    await page.has_text("#detail", "Opening WebSocket …")
    await page.happened("WebSocket did not open, so Server-Sent Events goes on.")
    assert await page.page.is_checked("input[value=sse]")
    await page.settle(demo, topic)


async def test_two_tabs_see_the_same(demo: DemoServer, show: Show, topic: str) -> None:
    context = await (await show("about:blank")).page.context.browser.new_context()
    tabs = [Live(await context.new_page()) for _ in range(2)]
    try:
        for tab, way in zip(tabs, ("sse", "auto"), strict=True):
            await tab.page.goto(f"{demo.url}/?topic={topic}&via={way}")
            await tab.has_text("#state", re.compile("carries"))
        await tabs[0].say("from one")
        await tabs[1].say("from two")
        for tab in tabs:
            await tab.flow(20)
        await tabs[1].choose("sse")
        await tabs[1].carries("sse")
        await asyncio.sleep(1.5)
        await tabs[1].flow(0)
        await tabs[0].settle(demo, topic)
        await tabs[1].settle(demo, topic)
        names = await tabs[0].page.locator("#messages .from").evaluate_all("all => all.map(({title}) => title)")
        assert len(set(names)) == 2
        for tab in tabs:
            tab.complain()
    finally:
        await context.close()


@pytest.mark.parametrize(("way", "number"), [("ws", signal.SIGTERM), ("poll", signal.SIGKILL)])
async def test_page_comes_back_to_a_new_server_and_shows_the_gap(
    serve: Serve, show: Show, topic: str, way: str, number: signal.Signals
) -> None:
    server = await serve("--drain-timeout", "1")
    page = await live(show, server.url, topic, f"&via={way}", noise=True)
    await page.carries(way)
    await page.say("before")
    await page.has_all(1)
    await server.stop(number)
    await page.has_text("#state", "Nothing carries: looking for a way")
    if number is signal.SIGTERM:
        await page.happened("The server is going away")
    await server.start()
    await page.carries(way)
    await page.has_text("#gaps", "One gap was told of.")
    gap = page.page.locator("#messages .gap")
    assert f"Perhaps part of {topic} was in a log that the server no longer has." in await gap.inner_text()
    await page.say("after")
    await page.has_text("#received", "2")
    assert await page.data() == ["before", "after"]
    assert await page.score() == ["0", "0", "0"]


async def test_refusal_is_told(serve: Serve, show: Show, topic: str) -> None:
    server = await serve("--max-topics", "1")  # the page's own inbox is one too many
    page = await live(show, server.url, topic, noise=True)
    await page.has_text("#state", "The server refused")
    await page.has_text("#detail", re.compile("too many topics"))
    await page.happened("The bus has ended: too many topics")


async def test_page_under_a_prefix_uses_it(show: Show, topic: str) -> None:
    app = web.Application()
    setup(app, "/rt", settings=Settings(drain_timeout=1))
    runner = web.AppRunner(app, handler_cancellation=True, shutdown_timeout=1.0)
    await runner.setup()
    try:
        port = unused_port()
        await web.TCPSite(runner, "127.0.0.1", port).start()
        page = await live(show, f"http://127.0.0.1:{port}/rt", topic)
        for n, way in enumerate(NAMES, 1):
            await page.choose(way)
            await page.carries(way)
            await page.say(f"over {way}")
            await page.has_text("#received", str(n))
        await page.page.get_by_role("link", name="Check my network").click()
        assert page.page.url == f"http://127.0.0.1:{port}/rt/check.html"
        await page.page.get_by_role("link", name="Live").click()
        assert page.page.url == f"http://127.0.0.1:{port}/rt/"
        await page.page.goto("about:blank")
    finally:
        await runner.cleanup()


async def test_data_is_never_markup(server: Server, show: Show, topic: str) -> None:
    page = await live(show, server.url, topic, "&via=sse")
    await page.carries("sse")
    evil = "<img src=x onerror=\"document.title='owned'\"><script>document.title='owned'</script>"
    await server.publish(topic, evil, {"<b>": evil}, {"series": evil, "n": 1, "acked": 0, "sent": 0}, "", None, [1])
    await page.has_all(6)
    data = await page.data()
    assert (data[0], data[2:]) == (evil, ["no. 1", '""', "null", "[1]"])
    assert await page.page.locator("#messages :is(img, script)").count() == 0
    assert await page.page.title() == "tricast – live"


async def test_page_keeps_the_last_500_messages(server: Server, show: Show, topic: str) -> None:
    from playwright.async_api import expect

    page = await live(show, server.url, topic, "&via=ws")
    await page.carries("ws")
    for start in range(0, 700, 100):
        await server.publish(topic, *range(start, start + 100))
    await page.has_all(700)
    assert await page.data() == [str(n) for n in range(200, 700)]
    await page.page.locator("#messages").scroll_into_view_if_needed()
    await expect(page.page.locator("#messages .row").last).to_be_in_viewport()
    await page.press("Clear")
    assert await page.data() == []


async def test_smooth_at_500_messages_per_second(demo: DemoServer, show: Show, topic: str) -> None:
    page = await live(show, demo.url, topic, "&via=ws")
    await page.carries("ws")
    browser = page.page.context.browser
    await browser.start_tracing(page=page.page, categories=["toplevel"])
    await page.flow(500)
    await asyncio.sleep(3)
    trace = json.loads(await browser.stop_tracing())["traceEvents"]
    mains = {event["tid"] for event in trace if event.get("args", {}).get("name") == "CrRendererMain"}
    # Of the processor, not by the clock: on a busy machine other programs have their share of that.
    tasks = [event["tdur"] / 1000 for event in trace if event["tid"] in mains and "tdur" in event]
    assert len(tasks) > 1000
    assert max(tasks) < 100
    await page.flow(0)
    await asyncio.sleep(1)
    assert await page.received() > 1000
    assert await page.score() == ["0", "0", "0"]


async def test_page_works_by_keyboard(server: Server, show: Show, topic: str) -> None:
    from playwright.async_api import expect

    # The arrows pass over transports that still connect, and Chromium says so of a WebSocket that is closed then.
    page = await live(show, server.url, topic, noise=True)
    await page.carries("ws")
    keyboard = page.page.keyboard
    await keyboard.press("Tab")
    await expect(page.page.get_by_role("link", name="Skip to the content")).to_be_focused()
    for _ in range(5):  # the brand, three pages, the theme
        await keyboard.press("Tab")
    await expect(page.page.get_by_role("button", name="Dark theme")).to_be_focused()
    await keyboard.press("Enter")
    await expect(page.page.locator("html")).to_have_attribute("data-theme", "dark")
    for key in ("Tab", "ArrowDown", "ArrowDown", "ArrowDown"):
        await keyboard.press(key)
    await page.carries("poll")
    for key in ("Tab", "ArrowRight"):
        await keyboard.press(key)
    assert await page.page.is_checked("input[name=rate][value='1']")
    await keyboard.press("ArrowLeft")
    await page.page.get_by_label("Message", exact=True).focus()
    await keyboard.type("by hand")
    await keyboard.press("Enter")
    await page.has_text("#sent", re.compile("^Back over Long polling"))
    assert "by hand" in await page.data()
