"""All servers that are measured, in the order of the tables. A new one is a module with its `PEER`, and a line here."""

from __future__ import annotations

from tricast_bench.peers import (
    floor,
    naive_peer,
    nats,
    nchan,
    node_ws,
    picows_,
    python_socketio,
    socketio,
    starlette_,
    tricast,
    websockets_broadcast,
)
from tricast_bench.peers.peer import Peer

TRICAST = tricast.PEERS[0]
"""What the others are compared with."""
PEERS: tuple[Peer, ...] = (
    *tricast.PEERS,
    floor.PEER,
    nchan.PEER,
    node_ws.PEER,
    picows_.PEER,
    websockets_broadcast.PEER,
    nats.PEER,
    starlette_.PEER,
    socketio.PEER,
    python_socketio.PEER,
    naive_peer.PEER,
)
BY_NAME = {peer.name: peer for peer in PEERS}
