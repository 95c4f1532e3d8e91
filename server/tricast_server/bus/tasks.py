"""Ending tasks."""

from __future__ import annotations

import asyncio
from typing import Any


async def end_task(task: asyncio.Task[Any]) -> None:
    """Cancels `task` and returns when it has ended. Raises what it raised, but not its own cancellation.

    Unlike `await task` under a suppressed CancelledError, the caller's own cancellation is not swallowed.
    """
    task.cancel()
    await asyncio.wait((task,))
    if not task.cancelled() and (error := task.exception()) is not None:
        raise error
