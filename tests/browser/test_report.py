"""report.html from a file, in Chromium: drawn, quiet, offline, in both themes and on a phone."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from tests.browser.driving import Shown
from tests.helpers_report import sample

from tricast_bench.report import write

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.xdist_group("browser-pages")]

DRAWN = """
() => [...document.querySelectorAll("svg")].map(svg => ({
  title: svg.querySelector("title").textContent,
  marks: [...svg.querySelectorAll(".line, .piece")].filter(mark => {
    const box = mark.getBoundingClientRect();
    return box.width + box.height > 1 && getComputedStyle(mark).display !== "none";
  }).length,
  height: svg.getBoundingClientRect().height,
  wrong: svg.outerHTML.match(/NaN|Infinity|undefined/) !== null,
}))
"""
CONTRAST = """
() => {
  const parse = colour => colour.match(/[\\d.]+/g).slice(0, 3).map(Number);
  const light = colour => {
    const [r, g, b] = parse(colour).map(v => v / 255).map(v => v <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const ground = light(getComputedStyle(document.body).backgroundColor);
  const ratio = colour => {
    const [low, high] = [light(colour), ground].sort((a, b) => a - b);
    return (high + 0.05) / (low + 0.05);
  };
  const texts = [...document.querySelectorAll("svg text")].map(node => getComputedStyle(node).fill);
  const selectors = "p, td, th, dt, dd, li, h1, h2, h3, .range";
  const words = [...document.querySelectorAll(selectors)].map(node => getComputedStyle(node).color);
  return Math.min(...texts.map(ratio), ...words.map(ratio));
}
"""
OVERLAPS = """
() => [...document.querySelectorAll("svg")].flatMap(svg => {
  const labels = [...svg.querySelectorAll(".label")].map(node => node.getBoundingClientRect());
  return labels.flatMap((a, i) => labels.slice(i + 1).filter(b =>
    a.left < b.right && b.left < a.right && Math.min(a.bottom, b.bottom) - Math.max(a.top, b.top) > 5));
}).length
"""


class Report(Shown):
    """And what it asked for."""

    def __init__(self, page: Any) -> None:
        super().__init__(page)
        self.asked: list[str] = []
        page.on("request", lambda request: self.asked.append(request.url))


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("report") / "report.html"
    write(sample(), path)
    return path


@pytest_asyncio.fixture(loop_scope="session")
async def report(chrome: Any, path: Path) -> AsyncIterator[Report]:
    shown = Report(await chrome.new_page(viewport={"width": 1200, "height": 900}))
    await shown.page.goto(path.as_uri())
    yield shown
    await shown.page.context.close()
    assert shown.asked == [path.as_uri()]
    shown.complain()


async def test_all_figures_are_drawn(report: Report) -> None:
    drawn = await report.page.evaluate(DRAWN)
    assert len(drawn) == 13
    for figure in drawn:
        assert figure["marks"] >= 3, figure
        assert figure["height"] > 60, figure
        assert not figure["wrong"], figure
    assert await report.page.evaluate(OVERLAPS) == 0


async def test_both_themes_can_be_read(report: Report) -> None:
    grounds = set()
    for scheme in ("light", "dark"):
        await report.page.emulate_media(color_scheme=scheme)
        grounds.add(await report.page.evaluate("getComputedStyle(document.body).backgroundColor"))
        assert await report.page.evaluate(CONTRAST) >= 4.5, scheme
    assert len(grounds) == 2


@pytest.mark.parametrize("width", [320, 390, 768])
async def test_a_phone_is_wide_enough(report: Report, width: int) -> None:
    await report.page.set_viewport_size({"width": width, "height": 800})
    assert await report.page.evaluate("document.documentElement.scrollWidth") <= width
    tables = report.page.locator(".wide")
    assert await tables.count() > 8
    first = await tables.first.evaluate("box => [box.scrollWidth > box.clientWidth, getComputedStyle(box).overflowX]")
    assert first == [width < 700, "auto"]
    sizes = await report.page.evaluate(
        "[...document.querySelectorAll('svg text')].map(text => text.getBoundingClientRect().height)"
    )
    assert min(sizes) >= 8


async def test_the_raw_results_can_be_saved(report: Report, tmp_path: Path) -> None:
    async with report.page.expect_download() as download:
        await report.page.get_by_role("link", name="results.json").click()
    saved = tmp_path / "results.json"
    await (await download.value).save_as(saved)
    assert len(json.loads(saved.read_text())["runs"]) == len(sample().runs)
    report.asked = report.asked[:1]  # the link itself is listed as a request too


async def test_it_prints_within_its_pages(report: Report) -> None:
    await report.page.emulate_media(media="print", color_scheme="dark")
    assert await report.page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    await report.page.set_viewport_size({"width": 670, "height": 900})
    assert await report.page.evaluate("document.documentElement.scrollWidth") <= 700


async def test_an_empty_report_is_one_too(chrome: Any, tmp_path: Path) -> None:
    write(replace(sample(1), runs=()), tmp_path / "empty.html")
    shown = Report(await chrome.new_page())
    await shown.page.goto((tmp_path / "empty.html").as_uri())
    assert await shown.page.locator("figure .none").count() == 6
    await shown.page.context.close()
    shown.complain()
