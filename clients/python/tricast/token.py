"""The bearer token that goes with every request, and where it comes from."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Awaitable, Callable
from typing import TypeAlias

from tricast.errors import ConnectFailed

Token: TypeAlias = str | Callable[[], str | Awaitable[str | None] | None]
"""A token, or what gives one for each request: a function, which must not block, or a coroutine function."""


async def fetch(token: Token | None, timeout: float) -> str | None:
    """Raises ConnectFailed where none comes within `timeout` seconds: it is asked for again. Cancelling is safe."""
    if token is None or isinstance(token, str):
        return token
    try:
        async with asyncio.timeout(timeout):
            given = token()
            return await given if inspect.isawaitable(given) else given
    except TimeoutError:
        raise ConnectFailed(f"no token came within {timeout:g} s") from None
    except Exception as error:  # whoever gives out tokens may be away for a while, as a server may
        raise ConnectFailed(f"no token came: {type(error).__name__}: {error}") from error


def renews(token: Token | None) -> bool:
    """Whether another one can be had."""
    return token is not None and not isinstance(token, str)
