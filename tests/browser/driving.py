"""The pages as a user would drive them, in Debian's Chromium."""

from __future__ import annotations

import asyncio
import os
import re
import shutil
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
from tests.browser.serving import Server
from tests.helpers import missing

PATIENCE = 20_000
"""Milliseconds that a page is given for what should take a fraction of them."""
BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
BROWSER_ARGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
NETWORK_NOISE = re.compile(
    r"net::ERR_|blocked by CORS policy|WebSocket connection to '.*' failed|the server responded with a status of [45]"
)
"""What the browser itself says of a server that is away or refuses; a page cannot keep it from that."""
DROPPED = re.compile(r"WebSocket connection to '.*' failed: WebSocket is closed before the connection is established")
"""What Chromium says when a page takes back an attempt that has not opened yet, as a choice made meanwhile demands."""
NAMES = {"ws": "WebSocket", "sse": "Server-Sent Events", "poll": "Long polling"}


@asynccontextmanager
async def chromium(**options: Any) -> AsyncIterator[Any]:
    if not os.environ.get("CI"):
        pytest.importorskip("playwright.async_api", reason="the Python package playwright is missing: make setup")
    from playwright.async_api import async_playwright, expect

    executable = next((path for name in BROWSERS if (path := shutil.which(name))), None)
    if executable is None:
        missing("Chromium: make tools")
    expect.set_options(timeout=PATIENCE)
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=executable, args=BROWSER_ARGS, **options)
        yield browser
        await browser.close()


class Shown:
    """A page. `complaints` is what its console and its scripts reported."""

    def __init__(self, page: Any, noise: bool = False) -> None:
        self.page = page
        self.complaints: list[str] = []
        self._noise = noise
        page.set_default_timeout(PATIENCE)
        page.on("console", self._listen)
        page.on("pageerror", lambda error: self.complaints.append(str(error)))

    def _listen(self, message: Any) -> None:
        if message.type in ("error", "warning") and not DROPPED.search(message.text):
            self.complaints.append(message.text)

    def complain(self) -> None:
        left = [text for text in self.complaints if not (self._noise and NETWORK_NOISE.search(text))]
        assert not left, left

    async def has_text(self, selector: str, text: str | re.Pattern[str]) -> None:
        from playwright.async_api import expect

        await expect(self.page.locator(selector)).to_have_text(text)

    async def press(self, name: str) -> None:
        await self.page.get_by_role("button", name=name, exact=True).click()


class Live(Shown):
    """The page with the bus."""

    async def choose(self, mode: str) -> None:
        await self.page.check(f"input[name=mode][value={mode}]")

    async def carries(self, transport: str) -> None:
        await self.has_text("#state", f"{NAMES[transport]} carries")

    async def flow(self, rate: int) -> None:
        await self.page.check(f"input[name=rate][value='{rate}']")

    async def say(self, text: str) -> None:
        await self.page.fill("#text", text)
        await self.page.press("#text", "Enter")

    async def happened(self, text: str | re.Pattern[str]) -> None:
        from playwright.async_api import expect

        await expect(self.page.locator("#past .row").filter(has_text=text).first).to_be_attached()

    async def data(self) -> list[str]:
        data: list[str] = await self.page.locator("#messages .data").all_text_contents()
        return data

    async def received(self) -> int:
        return int((await self.page.inner_text("#received")).replace(",", ""))

    async def score(self) -> list[str]:
        """Lost, duplicated, reordered."""
        return [await self.page.inner_text(f"#{name}") for name in ("lost", "duplicated", "reordered")]

    async def has_all(self, n: int) -> None:
        """Waits for so many messages, and looks whether each of them came once and in order."""

        async def counted() -> int:
            return n

        await self.keeps_up_with(counted)

    async def keeps_up_with(self, count: Callable[[], Awaitable[int]]) -> None:
        """Waits until the page has as many messages as this says, and stays so; each once and in order.

        A publish that the network cut is sent again seconds later, so the count may still grow.
        """
        calm = 0
        try:
            async with asyncio.timeout(PATIENCE / 1000):
                while calm < 3:
                    await asyncio.sleep(0.2)
                    calm = calm + 1 if await self.received() == await count() else 0
        except TimeoutError:
            pytest.fail(
                f"{await self.received()} of {await count()} messages came; {await self.page.inner_text('#past')}"
            )
        assert await self.score() == ["0", "0", "0"]
        await self.has_text("#gaps", "No gap.")

    async def settle(self, server: Server, topic: str) -> None:
        """Ends the flow; all that stands in the log has to have come, once and in order."""
        await self.flow(0)
        await self.has_text("#achieved", "This page publishes nothing by itself.")

        async def logged() -> int:
            return len(await server.log(topic))

        await self.keeps_up_with(logged)
