"""Whether the server can be reached at all, whatever becomes of streams."""

from __future__ import annotations

import asyncio

import aiohttp

from tricast.transports import Target


async def is_online(target: Target, timeout: float) -> bool:
    """Whether GET /healthz is answered within `timeout` seconds. A gateway's word that the server is down (5xx) is
    no answer. Never raises; cancelling is safe.
    """
    limit = aiohttp.ClientTimeout(total=timeout)
    try:
        async with asyncio.timeout(timeout), aiohttp.ClientSession(timeout=limit, trust_env=True) as http:
            async with http.get(target.url / "healthz", allow_redirects=False) as response:
                return response.status < 500
    except (TimeoutError, aiohttp.ClientError, OSError, ValueError):
        return False
