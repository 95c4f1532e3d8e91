"""The TypeScript client speaks protobuf in a browser: bytes come over every transport, and beside tabs with JSON."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest
from tests.browser.driving import PATIENCE, chromium
from tests.browser.js_pages import CLIENT, PAGE, bundle, serving
from tests.browser.serving import Server

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.xdist_group("browser")]

WAYS: list[dict[str, Any]] = [
    {"transports": ["ws"]},
    {"transports": ["sse"], "share": False},
    {"transports": ["sse"], "share": False, "sse": "eventsource"},
    {"transports": ["sse"]},  # these two share a stream
    {"transports": ["sse"], "format": None},  # JSON
    {"transports": ["poll"]},
]
START = """async ([url, options]) => {
  const { protobuf } = await import("/client.js");
  const format = options.format === null ? undefined : protobuf;
  await start(url, { ...options, format, topics: ["t"] });
}"""
ECHO = "async () => [...(await bus.echo(Uint8Array.of(0, 255)))]"
SEEN = "seen.map((data) => (data instanceof Uint8Array ? { bytes: [...data] } : data))"


async def test_bytes_come_over_every_transport(tmp_path: Path) -> None:
    entry = tmp_path / "entry.ts"
    modules = {"*": "src/index.ts", "{ protobuf }": "src/wire/protobuf.ts"}
    entry.write_text("".join(f'export {names} from "{CLIENT / file}";\n' for names, file in modules.items()))
    await bundle(str(entry), tmp_path / "client.js")
    shutil.copy(PAGE, tmp_path)
    async with serving(tmp_path) as origin, chromium() as browser:
        server = Server(tmp_path, "--allow-origin", origin)
        await server.start()
        context = await browser.new_context()
        context.set_default_timeout(PATIENCE)
        try:
            pages = []
            for options in WAYS:
                page = await context.new_page()
                await page.goto(f"{origin}/js_page.html")
                await page.wait_for_function("window.ready")
                await page.evaluate(START, [server.url, options])
                pages.append(page)
            for number, page in enumerate(pages):
                await page.evaluate("n => bus.publish('t', Uint8Array.of(n, 255))", number)
                assert await page.evaluate(ECHO) == [0, 255]
            await server.publish("t", {"a": [1]})
            expected = [*({"bytes": [number, 255]} for number in range(len(WAYS))), {"a": [1]}]
            for page in pages:
                await page.wait_for_function("n => seen.length >= n", arg=len(expected))
                assert await page.evaluate(SEEN) == expected
            assert (await server.connections())["sse"] == 3
        finally:
            await context.close()
            await server.stop()
