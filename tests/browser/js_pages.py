"""The TypeScript client for a page: bundled, and served from an origin of its own."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from aiohttp import web
from tests.browser.serving import unused_port
from tests.helpers import ROOT, missing

CLIENT = ROOT / "clients/js"
PAGE = Path(__file__).with_name("js_page.html")


async def bundle(entry: str, file: Path) -> None:
    """`entry`, a module of clients/js, with all that it imports."""
    if not (CLIENT / "node_modules/vite").is_dir():
        missing("what clients/js is built with: npm ci")
    node = shutil.which("node") or missing("node")
    command = [node, "scripts/bundle.mjs", entry, str(file)]
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(*command, cwd=CLIENT, stdout=pipe, stderr=asyncio.subprocess.STDOUT)
    output, _ = await process.communicate()
    assert process.returncode == 0, output.decode()


@asynccontextmanager
async def serving(folder: Path) -> AsyncIterator[str]:
    """The URL of what is in a folder."""
    app = web.Application()
    app.router.add_static("/", folder)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=1.0)
    await runner.setup()
    port = unused_port()
    await web.TCPSite(runner, "127.0.0.1", port).start()
    yield f"http://127.0.0.1:{port}"
    await runner.cleanup()
