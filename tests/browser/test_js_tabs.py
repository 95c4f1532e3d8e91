"""What becomes of the TypeScript client in the life of pages: several tabs, the way back, no network, a reload."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
import pytest_asyncio
from tests.browser.driving import PATIENCE
from tests.browser.js_pages import serving
from tests.browser.serving import Server

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.xdist_group("browser")]

SSE: dict[str, Any] = {"transports": ["sse"]}
Serve = Callable[..., Awaitable[Server]]


class Tab:
    """A page with a client in it."""

    def __init__(self, page: Any) -> None:
        self.page = page

    async def start(self, server: Server, **options: Any) -> None:
        await self.page.evaluate("([url, options]) => start(url, options)", [server.url, options])

    async def has(self, *data: Any) -> None:
        """Waits until so much has come, and looks whether it is this."""
        await self.page.wait_for_function("n => seen.length >= n", arg=len(data))
        assert await self.page.evaluate("seen") == list(data)

    async def stats(self) -> dict[str, Any]:
        stats: dict[str, Any] = await self.page.evaluate("bus.stats")
        return stats


class Browser:
    """A browser whose tabs share an origin."""

    def __init__(self, browser: Any, origin: str) -> None:
        self.origin = origin
        self._browser = browser
        self._context: Any = None  # Playwright may be missing, and so may its types

    async def tab(self) -> Tab:
        if self._context is None:
            self._context = await self._browser.new_context()
            self._context.set_default_timeout(PATIENCE)
        page = await self._context.new_page()
        await self.visit(page)
        return Tab(page)

    async def visit(self, page: Any) -> None:
        await page.goto(f"{self.origin}/js_page.html")
        await page.wait_for_function("window.ready")

    async def network(self, tab: Tab) -> Callable[[bool], Awaitable[None]]:
        """Switches a tab's network on and off."""
        session = await self._context.new_cdp_session(tab.page)
        await session.send("Network.enable")

        async def switch(on: bool) -> None:
            unlimited = {"latency": 0, "downloadThroughput": -1, "uploadThroughput": -1}
            await session.send("Network.emulateNetworkConditions", {"offline": not on, **unlimited})

        return switch

    async def crash(self, tab: Tab) -> None:
        crashed = asyncio.get_running_loop().create_future()
        tab.page.on("crash", lambda _: crashed.set_result(None))
        session = await self._context.new_cdp_session(tab.page)
        # It is never answered.
        call = asyncio.create_task(session.send("Page.crash"))
        await crashed
        call.cancel()

    async def close(self) -> None:
        """Its tabs."""
        if self._context is not None:
            await self._context.close()
            self._context = None


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def opened(chrome: Any, client_js: Path) -> AsyncIterator[Browser]:
    async with serving(client_js) as origin:
        yield Browser(chrome, origin)


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def server(opened: Browser, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Server]:
    home = tmp_path_factory.mktemp("server")
    server = Server(home, "--allow-origin", opened.origin, "--heartbeat", "2", "--drain-timeout", "1")
    await server.start()
    yield server
    await server.stop()


@pytest_asyncio.fixture(loop_scope="session")
async def browser(opened: Browser, server: Server) -> AsyncIterator[Browser]:
    """Its tabs are gone at the end, and so are their connections: the server is for all tests."""
    yield opened
    await opened.close()
    await settled(server, ws=0, sse=0)


async def settled(server: Server, **connections: int) -> None:
    """Waits until the server has so many connections."""
    async with asyncio.timeout(10):
        while {name: (await server.connections())[name] for name in connections} != connections:
            await asyncio.sleep(0.05)


async def test_tabs_share_one_stream(browser: Browser, server: Server) -> None:
    tabs = [await browser.tab() for _ in range(3)]
    for number, tab in enumerate(tabs):
        await tab.start(server, topics=["all", f"own{number}"], **SSE)
    await settled(server, sse=1)
    await server.publish("all", 1)
    for number in range(3):
        await server.publish(f"own{number}", f"for {number}")
    await server.publish("all", 2)
    for number, tab in enumerate(tabs):
        await tab.has(1, f"for {number}", 2)
        assert await tab.page.evaluate("bus.publish('elsewhere', 1)")
        assert await tab.page.evaluate("bus.echo([1])") == [1]
    assert (await server.connections())["sse"] == 1


@pytest.mark.parametrize("end", ["closed", "crashed"])
async def test_another_tab_takes_over_and_nothing_is_lost(browser: Browser, server: Server, end: str) -> None:
    leader, *others = [await browser.tab() for _ in range(3)]
    for tab in (leader, *others):
        await tab.start(server, topics=["t"], **SSE)
    flow = asyncio.create_task(server.publish("t", *range(200), every=0.01))
    await leader.page.wait_for_function("seen.length > 20")
    if end == "closed":
        await leader.page.close()
    else:
        await browser.crash(leader)
    await flow
    for tab in others:
        await tab.has(*range(200))
        stats = await tab.stats()
        assert (stats["lost"], stats["duplicated"], stats["reconnects"]) == (0, 0, 0)
    await settled(server, sse=1)


async def test_topics_of_a_tab_that_crashed_are_forgotten(browser: Browser, server: Server) -> None:
    leader, doomed, late = [await browser.tab() for _ in range(3)]
    streams: list[set[str]] = []

    def look(request: Any) -> None:
        url = urlsplit(request.url)
        if url.path == "/sse":
            streams.append(set(parse_qs(url.query)["topics"][0].split(",")) & {"a", "b", "c"})

    async def asked_for(*topics: str) -> None:
        async with asyncio.timeout(10):
            while not streams or streams[-1] != set(topics):
                await asyncio.sleep(0.05)

    leader.page.on("request", look)
    await leader.start(server, topics=["a"], **SSE)
    await doomed.start(server, topics=["b"], **SSE)
    await asked_for("a", "b")
    await browser.crash(doomed)
    await late.start(server, topics=["c"], **SSE)
    await asked_for("a", "c")


async def test_tab_that_comes_later_gets_what_it_missed(browser: Browser, server: Server) -> None:
    early = await browser.tab()
    await early.start(server, topics=["t"], **SSE)
    await server.publish("t", 1, 2, 3)
    await early.has(1, 2, 3)
    cursor = await early.page.evaluate("bus.cursor")
    await server.publish("t", 4, 5)
    await early.has(1, 2, 3, 4, 5)
    back = await browser.tab()
    await back.start(server, topics=["t", "u"], cursor=cursor, **SSE)
    last = await browser.tab()
    await last.start(server, topics=["t"], last=1, **SSE)
    stranger = await browser.tab()
    await stranger.start(server, topics=["u"], cursor="other-7", **SSE)
    await server.publish("t", 6)
    await server.publish("u", 7)
    await back.has(4, 5, 6, 7)
    await last.has(5, 6)
    await stranger.has("gap epoch", 7)
    await early.has(1, 2, 3, 4, 5, 6)
    await settled(server, sse=1)


async def test_shared_stream_outlives_a_restart(browser: Browser, server: Server) -> None:
    tabs = [await browser.tab() for _ in range(2)]
    for tab in tabs:
        await tab.start(server, topics=["t"], **SSE)
    await server.publish("t", 1)
    for tab in tabs:
        await tab.has(1)
    await server.stop()
    await server.start()
    for tab in tabs:
        await tab.has(1, "gap epoch")
    await settled(server, sse=1)
    await server.publish("t", 2)
    for tab in tabs:
        await tab.has(1, "gap epoch", 2)


async def test_tab_with_topics_the_server_refuses_spoils_nothing(browser: Browser, server: Server) -> None:
    good = await browser.tab()
    await good.start(server, topics=["t"], **SSE)
    greedy = await browser.tab()
    with pytest.raises(Exception, match="bad_request"):
        await greedy.start(server, topics=[f"t{n}" for n in range(600)], **SSE)
    await server.publish("t", 1)
    await good.has(1)


async def test_sse_by_the_browsers_own_eventsource(browser: Browser, server: Server) -> None:
    tab = await browser.tab()
    await tab.start(server, topics=["t"], sse="eventsource", share=False, **SSE)
    await server.publish("t", 1)
    await tab.has(1)
    await tab.page.evaluate("bus.subscribe('u')")
    await server.publish("u", 2)
    await tab.has(1, 2)


@pytest.mark.parametrize("way", ["ws", "sse", "poll"])
async def test_way_back_to_a_page_goes_on_at_its_cursor(browser: Browser, server: Server, way: str) -> None:
    tab = await browser.tab()
    await tab.start(server, topics=["t"], transports=[way])
    await server.publish("t", 1)
    await tab.has(1)
    await tab.page.goto("about:blank")
    await settled(server, **{way: 0})
    await server.publish("t", 2, 3)
    await tab.page.go_back(wait_until="commit")
    await tab.page.wait_for_function("window.restored")
    await tab.has(1, 2, 3)
    await server.publish("t", 4)
    await tab.has(1, 2, 3, 4)
    stats = await tab.stats()
    assert (stats["lost"], stats["duplicated"]) == (0, 0)


async def test_network_that_goes_and_comes_back(browser: Browser, server: Server) -> None:
    tab = await browser.tab()
    await tab.start(server, topics=["t"])
    await tab.page.wait_for_function("bus.transport === 'ws'")
    switch = await browser.network(tab)
    await switch(False)
    await tab.page.wait_for_function("events.includes('pause')")
    await settled(server, ws=0, sse=0)
    await server.publish("t", 1)
    await switch(True)
    await tab.has(1)
    assert await tab.page.evaluate("bus.transport") == "ws"
    assert "quarantine" not in await tab.page.evaluate("events")


async def test_reload_goes_on_from_a_stored_cursor(browser: Browser, server: Server) -> None:
    tab = await browser.tab()
    await tab.start(server, topics=["t"])
    await server.publish("t", 1)
    await tab.has(1)
    await tab.page.evaluate("addEventListener('pagehide', () => sessionStorage.setItem('cursor', bus.cursor))")
    await tab.page.evaluate("location.reload()")
    await tab.page.wait_for_function("window.ready && !window.bus")
    await server.publish("t", 2, 3)
    await tab.start(server, topics=["t"], cursor=await tab.page.evaluate("sessionStorage.getItem('cursor')"))
    await tab.has(2, 3)
