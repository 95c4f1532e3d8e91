"""Every backplane by its address. Another engine is one function and its line in ENGINES.

Engines' packages are imported only where they are asked for: they are an extra.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

from tricast_server.backplane.base import KEPT_COUNT, Backplane
from tricast_server.backplane.memory import MemoryBackplane
from tricast_server.bus.log import Retention

if TYPE_CHECKING:
    from tricast_server.settings import Settings

MEMORY = "memory"


def backplane_of(url: str, settings: Settings) -> Backplane:
    """What `url` names: `memory`, or an engine's address. Opens no connection. Raises ValueError with the reason."""
    scheme = url.partition("://")[0]
    opener = ENGINES.get(scheme.partition("+")[0])
    if opener is None:
        # Not the address: there may be a password in it.
        raise ValueError(f"backplane must be memory or an address that begins with one of {', '.join(SCHEMES)}")
    try:
        return opener(url, settings)
    except ModuleNotFoundError as error:
        raise ValueError(
            f"backplane {scheme}:// needs the package {error.name}: pip install 'tricast[cluster]'"
        ) from error
    except ValueError as error:
        raise ValueError(f"backplane: {error}") from error


def retention_of(settings: Settings) -> Retention:
    """What an engine keeps. A node's own log is per topic; its age and its bytes are the same."""
    return replace(settings.retention, count=max(KEPT_COUNT, settings.retention_count))


def _memory(url: str, settings: Settings) -> Backplane:
    if url != MEMORY:
        raise ValueError("memory has no address")
    return MemoryBackplane(dedupe_window=settings.dedupe_window)


def _redis(url: str, settings: Settings) -> Backplane:
    from tricast_server.backplane.redis import RedisBackplane

    return RedisBackplane(url, retention=retention_of(settings), dedupe_window=settings.dedupe_window)


def _nats(url: str, settings: Settings) -> Backplane:
    from tricast_server.backplane.nats import NatsBackplane

    return NatsBackplane(url, retention=retention_of(settings), dedupe_window=settings.dedupe_window)


ENGINES: dict[str, Callable[[str, Settings], Backplane]] = {
    MEMORY: _memory,
    "redis": _redis,
    "rediss": _redis,
    "unix": _redis,
    "nats": _nats,
    "tls": _nats,
}
SCHEMES = [f"{name}://" for name in ENGINES if name != MEMORY]
