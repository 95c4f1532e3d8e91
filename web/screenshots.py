"""Screenshots of the pages, each in an interesting state, light and dark, for a desk and a phone.

Usage: python web/screenshots.py [DIRECTORY]   (default: docs/images)
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import socket
import sys
import tempfile
import urllib.request
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Literal

from playwright.async_api import Page, async_playwright, expect

ROOT = Path(__file__).resolve().parents[1]
BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
BROWSER_ARGS = ["--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--no-first-run"]
SIZES = {"desktop": (1280, 860), "phone": (390, 844)}
SCHEMES: tuple[Literal["light", "dark"], ...] = ("light", "dark")
READY = 20.0


def free_ports(n: int) -> list[int]:
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in range(n)]
        return [each.getsockname()[1] for each in sockets]


@contextlib.asynccontextmanager
async def demo() -> AsyncIterator[str]:
    """`tricast demo` until the end of the block; the address of its pages."""
    page, bus, control = free_ports(3)
    command = [str(Path(sys.executable).with_name("tricast")), "demo"]
    command += ["--port", str(page), "--bus-port", str(bus), "--control-port", str(control)]
    environment = {name: value for name, value in os.environ.items() if not name.startswith("TRICAST_")}
    with tempfile.TemporaryFile() as log:
        process = await asyncio.create_subprocess_exec(*command, env=environment, stdout=log, stderr=log)
        try:
            await answers(f"http://127.0.0.1:{page}/healthz", process)
            yield f"http://127.0.0.1:{page}/"
        finally:
            if process.returncode is None:
                process.terminate()
                await process.wait()


async def answers(url: str, process: asyncio.subprocess.Process) -> None:
    async with asyncio.timeout(READY):
        while True:
            if process.returncode is not None:
                raise SystemExit("tricast demo did not start")
            with contextlib.suppress(OSError):
                await asyncio.to_thread(urllib.request.urlopen, url)
                return
            await asyncio.sleep(0.1)


async def live(page: Page, url: str) -> None:
    """Traffic flows, transports were switched, and the network was broken and healed."""
    await page.goto(f"{url}?flow=20")
    state = page.locator("#state")
    await expect(state).to_have_text("WebSocket carries")
    await asyncio.sleep(9)
    for mode, seconds in (("sse", 8), ("poll", 8), ("auto", 7)):
        await page.check(f"input[name=mode][value={mode}]")
        await asyncio.sleep(seconds)
    await page.get_by_role("button", name="Refuse WebSocket").click()
    await expect(state).to_have_text("Server-Sent Events carries")
    await asyncio.sleep(6)
    await page.get_by_role("button", name="Buffer streams").click()
    await expect(state).to_have_text("Long polling carries")
    for text in ("Hello from the long poll", "The WebSocket is refused, and nothing was lost"):
        await page.fill("#text", text)
        await page.press("#text", "Enter")
        await asyncio.sleep(0.6)
    await page.check("input[name=rate][value='5']")
    await asyncio.sleep(4)


async def race(page: Page, url: str) -> None:
    """A race that has finished."""
    await page.goto(f"{url}race.html")
    await page.select_option("#length", "10")
    await page.click("#start")
    await expect(page.locator("#status")).to_contain_text("Done", timeout=30_000)


async def check(page: Page, url: str) -> None:
    """A network with a fault, judged."""
    await page.goto(f"{url}check.html")
    await page.select_option("#preset", "nginx-default")
    await page.select_option("#preset", "body-buffering-proxy")
    await page.click("#start")
    await expect(page.locator("#status")).to_contain_text("Checked in", timeout=20_000)


async def take(page: Page, name: str, directory: Path) -> None:
    """The state that the page is in, in all looks."""
    for size, (width, height) in SIZES.items():
        await page.set_viewport_size({"width": width, "height": height})
        for scheme in SCHEMES:
            await page.mouse.move(1, 1)
            await page.emulate_media(color_scheme=scheme)
            await asyncio.sleep(0.5)
            await page.screenshot(path=directory / f"{name}-{size}-{scheme}.png", full_page=True)


async def main(directory: Path) -> None:
    browser_path = next((path for name in BROWSERS if (path := shutil.which(name))), None)
    if browser_path is None:
        raise SystemExit("there is no Chromium on the PATH: make tools")
    async with demo() as url, async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=browser_path, args=BROWSER_ARGS)
        for drive in (live, race, check):
            width, height = SIZES["desktop"]
            page = await browser.new_page(viewport={"width": width, "height": height}, device_scale_factor=1)
            page.set_default_timeout(20_000)
            await drive(page, url)
            await take(page, drive.__name__, directory)
            await page.request.delete(await control_of(page, url))
            await page.close()
        await browser.close()


async def control_of(page: Page, url: str) -> str:
    settings = await (await page.request.get(f"{url}page.json")).json()
    return f"http://127.0.0.1:{settings['middlebox']['control']}/faults"


if __name__ == "__main__":
    target = Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT / "docs" / "images"
    target.mkdir(parents=True, exist_ok=True)
    asyncio.run(main(target))
    print(f"{len(list(target.glob('*.png')))} pictures in {target}")
