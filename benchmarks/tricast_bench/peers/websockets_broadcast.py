"""`websockets` with its `broadcast`, on uvloop. scripts/get-peers.sh installs it.

WebSocket messages carry the payload as it is.
"""

from __future__ import annotations

from tricast_bench.peers.installed import in_python, needs_python, versions_in_python
from tricast_bench.peers.peer import Peer, Publishing, Speech, Step

PEER = Peer(
    name="websockets",
    command=in_python("websockets_broadcast.py"),
    needs=needs_python("websockets", "uvloop"),
    version=versions_in_python("websockets", "uvloop"),
    subscribe={
        "ws": Speech(steps=(Step(target="/ws"),)),
        "echo": Speech(steps=(Step(target="/echo"),), echo=b"{payload}"),
    },
    publish=Publishing(over=Speech(steps=(Step(target="/publish"),)), answer=b"ok"),
    said="On uvloop; compression is off (by default on).",
)
