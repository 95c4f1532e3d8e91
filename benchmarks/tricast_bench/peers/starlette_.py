"""Starlette under uvicorn with all its extras, events by sse-starlette: one `send` per client and message.

scripts/get-peers.sh installs it. WebSocket messages and events carry the payload as it is.
"""

from __future__ import annotations

from tricast_bench.peers.installed import in_python, needs_python, versions_in_python
from tricast_bench.peers.peer import Peer, Publishing, Speech, Step

_PACKAGES = ("starlette", "sse-starlette", "uvicorn", "uvloop", "httptools", "websockets")

PEER = Peer(
    name="starlette",
    command=in_python("starlette_.py"),
    needs=needs_python(*_PACKAGES),
    version=versions_in_python(*_PACKAGES),
    subscribe={
        "ws": Speech(steps=(Step(target="/ws"),)),
        "sse": Speech(steps=(Step(target="/sse", headers={"Accept": "text/event-stream"}),)),
        "echo": Speech(steps=(Step(target="/echo"),), echo=b"{payload}"),
    },
    publish=Publishing(over=Speech(steps=(Step(target="/publish"),)), answer=b"ok"),
    said="On uvloop, with httptools and websockets; compression is off (by default on). Events are pinged every 20 s.",
)
