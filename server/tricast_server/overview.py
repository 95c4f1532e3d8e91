"""Who answers `/stats` and `/metrics`: a node for itself, or where there are several workers, each for all."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any


class Overview(ABC):
    """Both have a deadline of their own."""

    @abstractmethod
    async def stats(self) -> dict[str, Any]:
        """For `/stats`. No topic names."""

    @abstractmethod
    async def metrics(self) -> str:
        """For `/metrics`, as `metrics.CONTENT_TYPE` says."""
