"""Servers and a Chromium for all tests in a worker: to start these takes longer than most tests."""

from __future__ import annotations

import random
import shutil
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from tests.browser.driving import Shown, chromium
from tests.browser.js_pages import PAGE, bundle
from tests.browser.serving import DemoServer, Server
from tests.helpers import ROOT, missing

Serve = Callable[..., Awaitable[Server]]
Show = Callable[..., Awaitable[Shown]]


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def chrome() -> AsyncIterator[Any]:
    """One that keeps pages for the way back, which Playwright switches off. Every test has a context of its own."""
    async with chromium(ignore_default_args=["--disable-back-forward-cache"]) as browser:
        yield browser


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def server(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Server]:
    """One with nothing special, for the tests that leave it as it is and have a topic of their own."""
    server = Server(tmp_path_factory.mktemp("server"))
    await server.start()
    yield server
    await server.stop()


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def running_demo(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[DemoServer]:
    demo = DemoServer(tmp_path_factory.mktemp("demo"))
    await demo.start()
    yield demo
    await demo.stop()


@pytest_asyncio.fixture(loop_scope="session")
async def demo(running_demo: DemoServer) -> DemoServer:
    """A network without faults."""
    await running_demo.heal()
    return running_demo


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def client_js(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the TypeScript client, bundled, and a page for it."""
    folder = tmp_path_factory.mktemp("client")
    await bundle("src/index.ts", folder / "client.js")
    shutil.copy(PAGE, folder)
    return folder


@pytest_asyncio.fixture(loop_scope="session")
async def serve(tmp_path: Path) -> AsyncIterator[Serve]:
    """Starts a server with these options, or to be restarted."""
    servers = []

    async def start(*options: str) -> Server:
        servers.append(Server(tmp_path, *options))
        await servers[-1].start()
        return servers[-1]

    yield start
    for server in servers:
        await server.stop()


@pytest_asyncio.fixture(loop_scope="session")
async def show(chrome: Any) -> AsyncIterator[Show]:
    """Opens the page at a URL. Whatever it complained of in the end fails the test, unless `noise` was expected."""
    if not (ROOT / "server/tricast_server/web/index.html").is_file():
        missing("the built pages: make web")
    shown: list[Shown] = []

    async def open_page(url: str, kind: type[Shown] = Shown, *, noise: bool = False, **options: Any) -> Shown:
        page = kind(await chrome.new_page(**options), noise)
        shown.append(page)
        await page.page.goto(url)
        return page

    yield open_page
    for page in shown:
        await page.page.context.close()
    for page in shown:
        page.complain()


@pytest.fixture
def topic() -> str:
    return f"t{random.getrandbits(60):x}"
