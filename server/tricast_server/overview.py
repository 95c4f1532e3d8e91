"""Who answers `/stats` and `/metrics`: a node for itself, or where there are several workers, each for all."""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any

from tricast_server import metrics
from tricast_server.usage import usage

if TYPE_CHECKING:
    from tricast_server.service import Service


class Overview(ABC):
    """Both have a deadline of their own."""

    @abstractmethod
    async def stats(self) -> dict[str, Any]:
        """For `/stats`. No topic names."""

    @abstractmethod
    async def metrics(self) -> str:
        """For `/metrics`, as `metrics.CONTENT_TYPE` says."""


class Alone(Overview):
    """One node's own figures."""

    def __init__(self, service: Service) -> None:
        self._service = service

    async def stats(self) -> dict[str, Any]:
        process = await asyncio.to_thread(usage)
        return {**self._service.stats(), "process": process}

    async def metrics(self) -> str:
        return (await asyncio.to_thread(metrics.render, self._service)).decode()
