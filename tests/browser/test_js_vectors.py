"""The cases that clients in all languages share, with the TypeScript client in a real browser."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest
from tests.browser.js_pages import bundle, serving
from tests.helpers import ROOT

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.xdist_group("browser")]

RUN = """async () => {
  const { FILES, casesOf } = await import("/vectors.js");
  const failures = [];
  let count = 0;
  for (const file of FILES) {
    for (const [name, run] of casesOf(file, await (await fetch(`/vectors/${file}`)).json())) {
      count += 1;
      try { run(); } catch (error) { failures.push(`${file}: ${name}: ${error}`); }
    }
  }
  return { count, failures };
}"""


async def test_all_cases_hold_in_chromium(chrome: Any, tmp_path: Path) -> None:
    await bundle("test/vectors.ts", tmp_path / "vectors.js")
    shutil.copytree(ROOT / "tests/vectors", tmp_path / "vectors")
    (tmp_path / "index.html").write_text("<!doctype html><title>vectors</title>")
    async with serving(tmp_path) as url:
        page = await chrome.new_page()
        await page.goto(f"{url}/index.html")
        result = await page.evaluate(RUN)
        await page.context.close()
    assert result["failures"] == []
    assert result["count"] > 200
