"""`ws` on Node, as it is used first: one `send` per client and message. scripts/get-peers.sh installs it.

WebSocket messages carry the payload as it is.
"""

from __future__ import annotations

from tricast_bench.peers.installed import in_node, needs_node, version_in_node
from tricast_bench.peers.peer import Peer, Publishing, Speech, Step

PEER = Peer(
    name="node-ws",
    command=in_node("node_ws.mjs"),
    needs=needs_node("ws"),
    version=version_in_node("ws"),
    subscribe={
        "ws": Speech(steps=(Step(target="/ws"),)),
        "echo": Speech(steps=(Step(target="/echo"),), echo=b"{payload}"),
    },
    publish=Publishing(over=Speech(steps=(Step(target="/publish"),)), answer=b"ok"),
    said="As npm installs it, without its optional native parts.",
)
