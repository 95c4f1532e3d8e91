"""picows, WebSocket in Cython, on uvloop: one `send` per client and message. scripts/get-peers.sh installs it.

WebSocket messages carry the payload as it is.
"""

from __future__ import annotations

from tricast_bench.peers.installed import in_python, needs_python, versions_in_python
from tricast_bench.peers.peer import Peer, Publishing, Speech, Step

PEER = Peer(
    name="picows",
    command=in_python("picows_.py"),
    needs=needs_python("picows", "uvloop"),
    version=versions_in_python("picows", "aiofastnet", "uvloop"),
    subscribe={
        "ws": Speech(steps=(Step(target="/ws"),)),
        "echo": Speech(steps=(Step(target="/echo"),), echo=b"{payload}"),
    },
    publish=Publishing(over=Speech(steps=(Step(target="/publish"),)), answer=b"ok"),
    said="On uvloop, with the sockets of aiofastnet, which it installs; pings are on (by default off).",
)
