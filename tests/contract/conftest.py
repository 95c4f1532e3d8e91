"""A server on the test's event loop for each test, and the axes of the suite: transport and format."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from tests.helpers import Node, running
from tests.helpers_clients import FORMATS, TRANSPORTS, WIRES, Http

HEARTBEAT = 0.5


@pytest.fixture
async def server() -> AsyncIterator[Node]:
    async with running(heartbeat=HEARTBEAT, node="n1") as node:
        yield node


@pytest.fixture
async def http(server: Node) -> AsyncIterator[Http]:
    async with Http(server) as client:
        yield client


@pytest.fixture(params=TRANSPORTS)
def transport(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(params=WIRES)
def wire(request: pytest.FixtureRequest) -> str:
    """A transport in one of the formats that the promise holds for: what a stream says is the same on all of these."""
    return str(request.param)


@pytest.fixture(params=FORMATS)
def framing(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(params=["json", "text", "protobuf"])
def format(request: pytest.FixtureRequest) -> str:
    return str(request.param)
