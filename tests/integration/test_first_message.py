"""The programs that are measured for their time to the first message, each once without a fault and once with one."""

from __future__ import annotations

import pytest
from tests.helpers import missing

from tricast_bench.fallback.peers import CLIENTS, connect, serving
from tricast_bench.middlebox import Faults

CLEAN = {name: "poll" if name == "Socket.IO" else "ws" for name in CLIENTS}
REFUSED = {name: "poll" if name.startswith("Socket.IO") else "sse" for name in CLIENTS}


@pytest.mark.parametrize("name", CLIENTS)
async def test_a_client_gets_its_first_message(name: str) -> None:
    if lacking := CLIENTS[name].missing():
        missing(lacking)
    async with serving(CLIENTS[name].server) as url:
        for faults, transport in ((Faults(), CLEAN[name]), (Faults(refuse_upgrade=502), REFUSED[name])):
            found = await connect("", faults, name, url, patience=15)
            assert found.transport == transport, found
            assert found.took is not None
            assert 0 < found.took < 15


async def test_a_client_that_gets_nothing_says_so_in_time() -> None:
    async with serving("tricast") as url:
        found = await connect("", Faults(blackhole=True), "tricast, Python", url, patience=1)
    assert (found.took, found.transport) == (None, None)
