"""The overview of one node."""

from __future__ import annotations

import asyncio
from typing import Any

from tricast_server import metrics
from tricast_server.overview import Overview
from tricast_server.service import Service
from tricast_server.usage import usage


class Alone(Overview):
    """One node's own figures."""

    def __init__(self, service: Service) -> None:
        self._service = service

    async def stats(self) -> dict[str, Any]:
        process = await asyncio.to_thread(usage)
        return {**self._service.stats(), "process": process}

    async def metrics(self) -> str:
        return (await asyncio.to_thread(metrics.render, self._service)).decode()
