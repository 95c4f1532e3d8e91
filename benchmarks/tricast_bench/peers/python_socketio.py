"""python-socketio on aiohttp, on asyncio's own event loop as `web.run_app` has it. scripts/get-peers.sh installs it.

How it is spoken is in engineio.py; the payload is the one argument of an event.
"""

from __future__ import annotations

from tricast_bench.peers import engineio
from tricast_bench.peers.installed import in_python, needs_python, versions_in_python
from tricast_bench.peers.peer import Peer

PEER = Peer(
    name="python-socketio",
    command=in_python("python_socketio.py"),
    needs=needs_python("python-socketio", "aiohttp"),
    version=versions_in_python("python-socketio", "aiohttp"),
    subscribe=engineio.SUBSCRIBE,
    publish=engineio.PUBLISH,
    said=(
        "On asyncio's own event loop. Pings every 20 s (by default 25), and time without end to answer them, as the "
        "load does not when it polls. Responses are never compressed (by default from 1 KiB on)."
    ),
)
