"""HAProxy in front of the nodes, without affinity: each request goes to the next node.

It asks /readyz, so a node that drains, is paused, or has lost the engine gets nobody new. Where no node is ready, as
the engine is away, whoever lives still reads to its subscribers and refuses publishes in its own words. Sessions of a
node that is marked down stay (no `on-marked-down shutdown-sessions`): one that drains has messages to give.
"""

from __future__ import annotations

import asyncio
from asyncio.subprocess import Process
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
from tests.faults.cluster.nodes import Node, status
from tests.helpers import HOST, START_TIMEOUT, missing, unused_port
from tests.proxies.daemons import HAPROXY

BY = "X-Node"
"""The header of a response that names the node it came from."""

_CONF = """
global
    maxconn 4000
    nbthread 1
defaults
    mode http
    option http-no-delay
    option redispatch
    retries 3
    timeout connect 2s
    timeout client 60s
    timeout server 60s
    timeout tunnel 1h
    timeout queue 2s
    timeout check 2s
    balance roundrobin
    option httpchk
    default-server inter 500ms fall 2 rise 1
frontend all
    bind {listen}
    # So that WebSockets fail now and then where others work, and clients change transports.
    http-request deny deny_status 403 if {{ path /ws }} {{ rand(100) lt {refused} }}
    use_backend living if {{ nbsrv(ready) lt 1 }}
    default_backend ready
backend ready
    http-check send meth GET uri /readyz ver HTTP/1.1 hdr Host {host}
    http-response set-header {by} %s
    {servers}
backend living
    http-check send meth GET uri /healthz ver HTTP/1.1 hdr Host {host}
    http-response set-header {by} %s
    {servers}
"""


@asynccontextmanager
async def balanced(nodes: Sequence[Node], folder: Path, *, refused: int = 0) -> AsyncIterator[str]:
    """The address of a proxy that has found all `nodes` ready. `refused`: of a hundred WebSockets."""
    program = HAPROXY.program
    if program is None:
        missing("haproxy (scripts/get-apt-packages.sh installs it)")
    port = unused_port()
    servers = "\n    ".join(f"server {node.name} {HOST}:{node.port} check" for node in nodes)
    conf = folder / "haproxy.conf"
    conf.write_text(_CONF.format(listen=f"{HOST}:{port}", host=HOST, by=BY, servers=servers, refused=refused))
    with (folder / "haproxy.log").open("wb") as log:
        process = await asyncio.create_subprocess_exec(program, "-db", "-f", str(conf), stdout=log, stderr=log)
    try:
        await _accepts(process, f"http://{HOST}:{port}", folder)
        yield f"http://{HOST}:{port}"
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


async def _accepts(process: Process, url: str, folder: Path) -> None:
    async with asyncio.timeout(START_TIMEOUT), aiohttp.ClientSession() as http:
        while await status(http, f"{url}/readyz") != 200:
            assert process.returncode is None, (folder / "haproxy.log").read_text()
            await asyncio.sleep(0.05)
