"""Socket.IO on Node: the most used bus that falls back to polling. scripts/get-peers.sh installs it.

How it is spoken is in engineio.py; the payload is the one argument of an event.
"""

from __future__ import annotations

from tricast_bench.peers import engineio
from tricast_bench.peers.installed import in_node, needs_node, version_in_node
from tricast_bench.peers.peer import Peer

PEER = Peer(
    name="socketio",
    command=in_node("socketio.mjs"),
    needs=needs_node("socket.io"),
    version=version_in_node("socket.io"),
    subscribe=engineio.SUBSCRIBE,
    publish=engineio.PUBLISH,
    said=(
        "As npm installs it, without optional native parts. Pings every 20 s (by default 25), and time without end to "
        "answer them, as the load does not when it polls. Responses are never compressed (by default from 1 KiB on)."
    ),
)
