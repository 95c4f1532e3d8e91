"""What holds for all tests: nothing of ours blocks the event loop, whatever the test is about."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from blockbuster import blockbuster_ctx

# Before anything imports them, so that their assertions explain themselves too.
pytest.register_assert_rewrite("tests.helpers", "tests.helpers_clients")

OWN_MODULES = ("tricast", "tricast_server")


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "may_block(reason): the test's own use of our modules blocks the event loop")


@pytest.fixture(autouse=True)
def no_blocking_call(request: pytest.FixtureRequest) -> Iterator[None]:
    """A blocking call below a frame of ours raises while an event loop runs: sockets, files, sleeps, locks."""
    if request.node.get_closest_marker("may_block"):
        yield
        return
    with blockbuster_ctx(list(OWN_MODULES)):
        yield
