"""From an address to a backplane: what is refused, and why."""

from __future__ import annotations

import sys

import pytest

from tricast_server.backplane.base import KEPT_COUNT
from tricast_server.backplane.engines import backplane_of, retention_of
from tricast_server.backplane.memory import MemoryBackplane
from tricast_server.settings import Settings


def test_memory_needs_no_address() -> None:
    assert isinstance(backplane_of("memory", Settings()), MemoryBackplane)


@pytest.mark.parametrize("url", ["", "memory://", "http://secret", "secret", "redis", "redis+ring://secret"])
def test_what_is_no_backplane_is_refused_without_repeating_it(url: str) -> None:
    with pytest.raises(ValueError, match="backplane") as refused:
        backplane_of(url, Settings())
    assert "secret" not in str(refused.value)


def test_an_engine_whose_package_is_missing_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in sys.modules if name.startswith("tricast_server.backplane.redis")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "redis.asyncio", None)
    with pytest.raises(ValueError, match=r"pip install 'tricast\[cluster\]'"):
        backplane_of("redis://localhost", Settings())


def test_an_engine_keeps_over_all_topics_what_a_node_keeps_of_one() -> None:
    assert retention_of(Settings()).count == KEPT_COUNT
    assert retention_of(Settings(retention_count=2 * KEPT_COUNT)).count == 2 * KEPT_COUNT
    assert retention_of(Settings(retention_age=300.0)).age == 300.0
