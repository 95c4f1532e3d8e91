"""Waiting for the first of several events."""

from __future__ import annotations

import asyncio

from tricast_server.bus.tasks import end_task


async def first_of(*events: asyncio.Event, timeout: float | None = None) -> bool:
    """Whether any was set within `timeout` seconds. Cancelling is safe."""
    tasks = [asyncio.create_task(event.wait()) for event in events]
    try:
        done, _ = await asyncio.wait(tasks, timeout=timeout, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            await end_task(task)
    return bool(done)
