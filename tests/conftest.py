"""What holds for all tests: nothing of ours blocks the event loop, whatever the test is about."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from blockbuster import BlockBuster, blockbuster_ctx

# Before anything imports them, so that their assertions explain themselves too.
pytest.register_assert_rewrite("tests.helpers", "tests.helpers_clients", "tests.helpers_foreign", "tests.helpers_raw")

OWN_MODULES = ("tricast", "tricast_server")


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "may_block(reason): the test's own use of our modules blocks the event loop")


@pytest.fixture(scope="session")
def watch() -> Iterator[BlockBuster]:
    """A blocking call below a frame of ours raises while an event loop runs: sockets, files, sleeps, locks."""
    with blockbuster_ctx(list(OWN_MODULES)) as watch:
        yield watch


@pytest.fixture(autouse=True)
def no_blocking_call(request: pytest.FixtureRequest, watch: BlockBuster) -> Iterator[None]:
    if not request.node.get_closest_marker("may_block"):
        yield
        return
    watch.deactivate()
    yield
    watch.activate()
