"""Tokens in a browser, which sets no headers on WebSockets and EventSources: they expire, and nothing is lost."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from tests.browser.driving import PATIENCE
from tests.browser.js_pages import serving
from tests.browser.serving import Server
from tests.helpers_tokens import SECRET, token

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.xdist_group("browser")]

LIFE = 0.8
COUNT = 14
WAYS: list[dict[str, Any]] = [
    {"transports": ["ws"]},
    {"transports": ["sse"], "sse": "fetch", "share": False},
    {"transports": ["sse"], "sse": "eventsource", "share": False},
    {"transports": ["sse"]},  # these two share a stream
    {"transports": ["sse"]},
    {"transports": ["poll"]},
]


class Issuer:
    """Gives the same token as long as it holds."""

    def __init__(self) -> None:
        self._ends = 0.0
        self._token = ""

    def give(self) -> str:
        if time.time() >= self._ends:
            self._ends = time.time() + LIFE
            self._token = token(exp=self._ends)
        return self._token


async def test_nothing_is_lost_while_tokens_come_and_go(chrome: Any, client_js: Path, tmp_path: Path) -> None:
    async with serving(client_js) as origin:
        server = Server(tmp_path, "--allow-origin", origin, "--token-secret", SECRET, "--token-leeway", "0")
        await server.start()
        context = await chrome.new_context()
        context.set_default_timeout(PATIENCE)
        await context.expose_function("giveToken", Issuer().give)
        try:
            pages, urls = [], list[str]()
            for options in WAYS:
                page = await context.new_page()
                page.on("websocket", lambda socket: urls.append(socket.url))
                await page.goto(f"{origin}/js_page.html")
                await page.wait_for_function("window.ready")
                start = "([url, options]) => start(url, {...options, token: () => giveToken()})"
                await page.evaluate(start, [server.url, {"topics": ["a"], **options}])
                pages.append(page)
            await publish(server)
            for page in pages:
                await page.wait_for_function("n => seen.length >= n", arg=COUNT)
                assert await page.evaluate("seen") == list(range(COUNT))
                assert await page.evaluate("bus.stats.reconnects") >= 1
            assert len(urls) >= 2
            assert not [url for url in urls if "token" in url]
        finally:
            await context.close()
            await server.stop()


async def publish(server: Server) -> None:
    async with aiohttp.ClientSession(server.url, headers={"Authorization": f"Bearer {token()}"}) as http:
        for number in range(COUNT):
            async with http.post("/topics/a", json=number) as response:
                response.raise_for_status()
            # In the flow, and once in silence, when every poll is sure to wait.
            await asyncio.sleep(LIFE + 0.3 if number == COUNT // 2 else 2 * LIFE / COUNT)
