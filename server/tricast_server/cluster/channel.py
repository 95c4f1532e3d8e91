"""What supervisor and worker say to each other: lines of JSON over a socket pair.

The end of one is the end of the file for the other: however a supervisor dies, its workers notice.
"""

from __future__ import annotations

import asyncio
import json
import socket
from typing import Any

LINE_MAX = 2**24


class Channel:
    """One end. Made on the event loop that uses it."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    @classmethod
    async def over(cls, sock: socket.socket) -> Channel:
        return cls(*await asyncio.open_unix_connection(sock=sock, limit=LINE_MAX))

    def say(self, **what: Any) -> None:
        """Never waits: the lines are few, and whoever does not read them is waited for elsewhere."""
        if not self._writer.is_closing():
            self._writer.write(json.dumps(what).encode() + b"\n")

    async def heard(self) -> dict[str, Any] | None:
        """What the other says next; None where it is gone. Cancelling loses nothing."""
        try:
            line = await self._reader.readline()
        except ConnectionError:
            return None
        if not line.endswith(b"\n"):
            return None
        said: dict[str, Any] = json.loads(line)
        return said

    async def flushed(self) -> None:
        """Returns when what was said is on its way, or the other is gone."""
        try:
            await self._writer.drain()
        except ConnectionError:
            return

    def close(self) -> None:
        self._writer.close()
