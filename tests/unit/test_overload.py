"""What is told of a process that has too much memory, and that the watch goes on whatever happens."""

from __future__ import annotations

import pytest
from tests.helpers import eventually

from tricast_server.guard import overload
from tricast_server.guard.overload import Overload


async def test_it_is_told_once_when_it_begins_and_once_when_it_ends(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    memory: int | None = 100
    looks = 0

    def usage() -> dict[str, float | int]:
        nonlocal looks
        looks += 1
        if memory is None:
            raise ValueError("no such file")
        return {"memory": memory}

    async def look() -> str | None:
        seen = looks
        await eventually(lambda: looks > seen + 2)
        return watch.reason(0.0)

    monkeypatch.setattr(overload, "usage", usage)
    monkeypatch.setattr(overload, "MEMORY_STEP", 0.01)
    watch = Overload(0.0, 1000)
    watch.start()
    try:
        assert await look() is None
        memory = 1001
        assert await look() == "memory"
        memory = 990  # too near
        assert await look() == "memory"
        memory = None
        assert await look() == "memory"
        memory = 900
        assert await look() is None
    finally:
        await watch.close()
    assert [record.levelname for record in caplog.records] == ["WARNING", "ERROR", "INFO"]
