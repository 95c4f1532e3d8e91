"""Whether everybody can use the pages: accessibility by axe-core, small screens, themes."""

from __future__ import annotations

import re
from typing import Any

import pytest
from tests.browser.conftest import Serve, Show
from tests.browser.driving import Live, Shown
from tests.browser.serving import DemoServer
from tests.helpers import ROOT, missing

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.xdist_group("browser-pages")]

AXE = ROOT / "web/node_modules/axe-core/axe.min.js"
PAGES = ("", "race.html", "check.html")
RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]


async def audit(page: Shown) -> list[str]:
    """What is wrong, in a line each."""
    if not AXE.is_file():
        missing("axe-core: npm ci --prefix web")
    # The content policy of the page allows no script but its own.
    await page.page.evaluate(AXE.read_text())
    options = {"runOnly": {"type": "tag", "values": RULES}}
    found: dict[str, Any] = await page.page.evaluate("options => axe.run(document, options)", options)
    return [
        f"{violation['id']} ({violation['impact']}): {', '.join(node['html'][:120] for node in violation['nodes'])}"
        for violation in found["violations"]
        if violation["impact"] in ("serious", "critical")
    ]


async def fill(page: Shown, path: str) -> None:
    """Brings a page into a state with something to see."""
    if path == "":
        await page.has_text("#state", "WebSocket carries")
        await page.page.fill("#text", "a word" * 10)
        await page.page.press("#text", "Enter")
        await page.has_text("#sent", re.compile("Back over"))
        await page.press("Refuse WebSocket")
        await page.has_text("#state", "Server-Sent Events carries")
        await page.page.check("#details")
    if path == "race.html":
        await page.page.select_option("#length", "600")
        await page.press("Start")
        await page.has_text("#status", re.compile("^Running: [1-9]"))
        await page.press("Stop")
        await page.has_text("#status", re.compile("^Done"))
    if path == "check.html":
        await page.page.select_option("#preset", "nginx-default")
        await page.press("Check my network")
        await page.has_text("#status", re.compile("^Checked in"))


@pytest.mark.parametrize("path", PAGES)
async def test_everybody_can_use_it(demo: DemoServer, show: Show, path: str) -> None:
    page = await show(f"{demo.url}/{path}", noise=True, color_scheme="light", viewport={"width": 1280, "height": 900})
    assert await audit(page) == []
    await fill(page, path)
    for scheme, width in (("light", 390), ("dark", 1280)):
        await page.page.emulate_media(color_scheme=scheme)
        await page.page.set_viewport_size({"width": width, "height": 900})
        assert await audit(page) == [], (scheme, width)
    for width in (320, 390, 740, 820, 1024):
        await page.page.set_viewport_size({"width": width, "height": 740})
        assert await page.page.evaluate("document.documentElement.scrollWidth") <= width


async def test_long_names_and_words_do_not_widen_a_small_screen(serve: Serve, show: Show) -> None:
    server = await serve("--retention-count", "1")
    topic = f"a{'b' * 60}.c{'d' * 60}"
    page = await show(f"{server.url}/?topic={topic}&via=poll", Live)
    await page.has_text("#state", "Long polling carries")
    await page.page.goto("about:blank")
    await server.publish(topic, "x" * 300, {"key": "y" * 300})
    await page.page.goto(f"{server.url}/?topic={topic}&via=poll")
    await page.has_text("#gaps", "One gap was told of.")
    for width in (320, 390, 740, 820):
        await page.page.set_viewport_size({"width": width, "height": 740})
        assert await page.page.evaluate("document.documentElement.scrollWidth") <= width


async def test_theme_is_chosen_for_all_pages(demo: DemoServer, show: Show) -> None:
    page = await show(f"{demo.url}/", color_scheme="light")
    ground = "getComputedStyle(document.body).backgroundColor"
    light = await page.page.evaluate(ground)
    await page.press("Dark theme")
    dark = await page.page.evaluate(ground)
    assert light != dark
    await page.page.goto(f"{demo.url}/check.html")
    assert await page.page.evaluate(ground) == dark
    await page.press("Dark theme")
    assert await page.page.evaluate(ground) == light


@pytest.mark.parametrize("path", PAGES)
async def test_nothing_moves_while_a_page_loads(demo: DemoServer, show: Show, path: str) -> None:
    page = await show("about:blank")
    await page.page.add_init_script(
        """
        window.shift = 0;
        const add = list => { for (const { value } of list.getEntries()) window.shift += value; };
        new PerformanceObserver(add).observe({ type: "layout-shift", buffered: true });
        """
    )
    await page.page.goto(f"{demo.url}/{path}")
    await page.page.wait_for_timeout(800)
    assert await page.page.evaluate("window.shift") < 0.02
