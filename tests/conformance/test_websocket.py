"""RFC 6455, by the cases of the Autobahn test suite, which `kosoku` runs: https://github.com/curioswitch/kosoku."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from aiohttp import WSMsgType, web
from kosoku import FailureError, run_fuzzingclient
from tests.helpers import HOST

from tricast_server import Settings, setup
from tricast_server.hosting import listening
from tricast_server.transports.websocket import BusWebSocket

CONCURRENCY = 4
MESSAGE_MAX = 20 * 2**20
"""The cases send up to 16 MiB at once."""
QUICK = ["1.*", "2.*", "3.*", "4.*", "5.*", "6.*", "7.*", "10.*"]
LARGE = ["9.*"]
DEFLATE = ["12.*", "13.*"]


async def echo(request: web.Request) -> web.StreamResponse:
    """What comes goes back, over the same response as that of `/ws`; compressed only where the query asks for it."""
    response = BusWebSocket(autoclose=False, compress="deflate" in request.query, max_msg_size=MESSAGE_MAX)
    await response.prepare(request)
    while True:
        message = await response.receive()
        if message.type is WSMsgType.TEXT:
            await response.send_str(message.data)
        elif message.type is WSMsgType.BINARY:
            await response.send_bytes(message.data)
        else:
            await response.close()
            return response


@asynccontextmanager
async def echo_server() -> AsyncIterator[str]:
    app = web.Application()
    service = setup(app, "", settings=Settings())
    app.router.add_get("/echo", echo)
    async with listening(app, HOST, 0, service=service) as listener:
        yield listener.url.replace("http", "ws", 1) + "/echo"


async def passed(cases: list[str], query: str = "") -> int:
    """How many cases there were. Fails with what went wrong in which of them."""
    async with echo_server() as url:
        try:
            return len(await run_fuzzingclient(url + query, cases, concurrency=CONCURRENCY))
        except FailureError as error:
            pytest.fail(str(error))


async def test_frames_messages_and_closes() -> None:
    assert await passed(QUICK) == 247


@pytest.mark.timeout(120)
async def test_large_messages() -> None:
    assert await passed(LARGE) == 54


@pytest.mark.timeout(1500)
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # kosoku leaves its data files open
@pytest.mark.skipif("TRICAST_CONFORMANCE" not in os.environ, reason="minutes: make conformance runs it")
async def test_compressed_messages() -> None:
    assert await passed(DEFLATE, "?deflate") == 216
