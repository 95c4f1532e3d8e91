"""What worked is remembered per origin, for a while, so that the next connect begins with it."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from tricast.wire.messages import TransportName

TTL = 3600.0
"""Seconds. Networks change; a better transport is looked for anyway, only later."""
ORIGINS_MAX = 100
STORE_TIMEOUT = 0.5
"""Seconds to wait for what is remembered, or to be."""
REMEMBER_AGAIN = 60.0
"""Seconds after which the same is worth saving again."""
NAMES: tuple[TransportName, ...] = ("ws", "sse", "poll")


@dataclass(frozen=True, slots=True)
class Memory:
    """`transport` worked at `at`, in seconds since 1970."""

    transport: TransportName
    at: float

    def age(self, now: float) -> float | None:
        """Seconds; None where it is too old, or from the future."""
        age = now - self.at
        return age if 0 <= age <= TTL else None


class Store(Protocol):
    """Where memories are kept. Both may raise OSError or ValueError, which is no harm: then nothing is remembered."""

    async def load(self, origin: str) -> Memory | None: ...

    async def save(self, origin: str, memory: Memory) -> None: ...


class Recall:
    """What a client remembers of one origin. A store that is slow or fails is as good as none."""

    def __init__(self, store: Store | None, origin: str) -> None:
        self._store = store
        self._origin = origin
        self._last: Memory | None = None
        self._unsaved: Memory | None = None

    async def load(self) -> tuple[TransportName | None, float]:
        """What worked, and how many seconds ago. Cancelling is safe."""
        if self._store is not None:
            with contextlib.suppress(OSError, ValueError):  # OSError includes TimeoutError
                async with asyncio.timeout(STORE_TIMEOUT):
                    self._last = await self._store.load(self._origin)
        age = None if self._last is None else self._last.age(time.time())
        return (None, 0.0) if self._last is None or age is None else (self._last.transport, age)

    def is_news(self, transport: TransportName) -> bool:
        """This one works now. Whether that is to be saved, with `flush`."""
        last, now = self._last, time.time()
        known = last is not None and last.transport == transport and 0 <= now - last.at <= REMEMBER_AGAIN
        if self._store is None or known:
            return False
        self._last = self._unsaved = Memory(transport, now)
        return True

    async def flush(self) -> None:
        """Saves what is not saved yet: when cancelled, call it again."""
        memory = self._unsaved
        if self._store is None or memory is None:
            return
        with contextlib.suppress(OSError, ValueError):
            async with asyncio.timeout(STORE_TIMEOUT):
                await self._store.save(self._origin, memory)
        if self._unsaved is memory:
            self._unsaved = None


class FileStore:
    """A JSON file, by default one of the user's cache directory. It is read and written off the event loop.

    It is replaced as a whole, so readers never see half of it; of two who write at once one may be forgotten.
    """

    def __init__(self, path: Path | None = None) -> None:
        self._path = path

    @property
    def path(self) -> Path:
        """Raises OSError where there is no place for it."""
        return self._path or default_path()

    async def load(self, origin: str) -> Memory | None:
        return await asyncio.to_thread(self._load, origin)

    async def save(self, origin: str, memory: Memory) -> None:
        await asyncio.to_thread(self._save, origin, memory)

    def _load(self, origin: str) -> Memory | None:
        return _memory(self._read().get(origin))

    def _save(self, origin: str, memory: Memory) -> None:
        kept = {name: old for name, value in self._read().items() if (old := _memory(value)) is not None}
        kept[origin] = memory
        latest = sorted(kept.items(), key=lambda item: item[1].at)[-ORIGINS_MAX:]
        values = {name: {"transport": item.transport, "at": round(item.at, 3)} for name, item in latest}
        path = self.path
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        # In the same directory, since a rename is atomic only within one file system.
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=path.name)
        try:
            with os.fdopen(handle, "w", encoding="utf-8") as file:
                json.dump(values, file)
            Path(name).replace(path)
        except BaseException:
            with contextlib.suppress(OSError):
                Path(name).unlink()
            raise

    def _read(self) -> dict[str, Any]:
        try:
            values = json.loads(self.path.read_text(encoding="utf-8"))
        except FileNotFoundError:
            return {}
        except ValueError:  # someone else's, or half of one: it is written anew
            return {}
        return values if isinstance(values, dict) else {}


def default_path() -> Path:
    """Where the XDG base directory specification puts caches."""
    base = os.environ.get("XDG_CACHE_HOME", "")
    try:
        cache = Path(base) if Path(base).is_absolute() else Path.home() / ".cache"
    except RuntimeError as error:  # there is no home
        raise OSError(str(error)) from error
    return cache / "tricast" / "transports.json"


def _memory(value: object) -> Memory | None:
    match value:
        case {"transport": str(transport), "at": int() | float() as at} if 0 <= time.time() - at <= TTL:
            name = next((name for name in NAMES if name == transport), None)
            return None if name is None else Memory(name, float(at))
    return None
