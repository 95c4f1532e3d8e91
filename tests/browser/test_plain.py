"""A page without any library, with the browser's own EventSource and WebSocket, on another origin than the server's."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from aiohttp import web
from tests.browser.conftest import Serve, Show
from tests.browser.serving import unused_port

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.xdist_group("browser-pages")]

PLAIN = Path(__file__).with_name("plain.html")


@pytest.mark.parametrize("allowed", [True, False])
async def test_plain_page_of_another_origin(serve: Serve, show: Show, allowed: bool) -> None:
    """Ten lines with the browser's own EventSource and WebSocket, which hear nothing where they are not allowed."""
    port = unused_port()
    server = await serve("--allow-origin", f"http://127.0.0.1:{port if allowed else port + 1}")
    html = PLAIN.read_text().replace("localhost:8080", f"127.0.0.1:{server.port}")

    async def html_page(request: web.Request) -> web.Response:
        return web.Response(text=html if request.path == "/" else "", content_type="text/html")

    app = web.Application()
    app.router.add_get("/{path:.*}", html_page)  # a browser asks for an icon too
    runner = web.AppRunner(app)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", port).start()
        page = await show(f"http://127.0.0.1:{port}/", noise=not allowed)
        from playwright.async_api import expect

        log = page.page.locator("#log")
        if allowed:
            async with asyncio.timeout(15):
                while await server.connections() != {"ws": 1, "sse": 1, "poll": 0}:
                    await asyncio.sleep(0.05)
            await server.publish("lobby", "to both")
            await expect(log).to_contain_text("sse: to both")
            await expect(log).to_contain_text("ws: to both")
            assert (await log.inner_text()).count("ws: hello") == 1
        else:
            while len(page.complaints) < 2:  # one for each
                await asyncio.sleep(0.05)
            await server.publish("lobby", "to nobody")
            await asyncio.sleep(0.3)
            assert await log.inner_text() == ""
    finally:
        await runner.cleanup()
