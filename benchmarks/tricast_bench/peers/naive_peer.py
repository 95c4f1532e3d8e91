"""The loops that one writes first with aiohttp and aiohttp-sse, which naive.py is. It comes with the benchmarks."""

from __future__ import annotations

import platform
import sys
from importlib.metadata import version

from tricast_bench.peers.peer import Peer, Publishing, Speech, Step


def _command(port: int) -> list[str]:
    return [sys.executable, "-m", "tricast_bench.peers.naive", "--port", str(port)]


def _version() -> str:
    return f"aiohttp {version('aiohttp')}, aiohttp-sse {version('aiohttp-sse')}, Python {platform.python_version()}"


PEER = Peer(
    name="naive",
    command=_command,
    needs=lambda: None,
    version=_version,
    subscribe={
        "ws": Speech(steps=(Step(target="/ws"),)),
        "sse": Speech(steps=(Step(target="/sse", headers={"Accept": "text/event-stream"}),)),
    },
    publish=Publishing(
        over=Speech(steps=(Step(target="/publish"),)),
        message=b'{"action":"publish","topic":"bench","data":"{payload}"}',
        answer=b'{"type":"reply"',
    ),
    said="On asyncio's own event loop; messages have tricast's shape and size.",
)
