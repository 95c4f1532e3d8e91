"""The network between a node and the engine: a relay that can be cut, and that can hold back what is on its way."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

from tests.helpers import HOST, unused_port

CHUNK = 2**16


class Relay:
    """Listens on `port` and passes everything on to `target`. Made by `relay_to`."""

    def __init__(self, target: int) -> None:
        self.port = unused_port()
        self._target = target
        self._flows = asyncio.Event()
        self._flows.set()
        self._is_cut = False
        self._open: set[asyncio.StreamWriter] = set()
        self._tasks: set[asyncio.Task[None]] = set()

    def cut(self) -> None:
        """All connections are reset, and so is each new one."""
        self._is_cut = True
        for writer in list(self._open):
            writer.transport.abort()

    def hold(self) -> None:
        """Connections stay, new ones are taken, and nothing passes. What comes meanwhile arrives when it is mended."""
        self._flows.clear()

    def mend(self) -> None:
        self._is_cut = False
        self._flows.set()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        self._open.add(writer)
        there = None
        try:
            await self._flows.wait()
            if self._is_cut:
                return
            back, there = await asyncio.open_connection(HOST, self._target)
            self._open.add(there)
            async with asyncio.TaskGroup() as group:
                group.create_task(self._pipe(reader, there))
                group.create_task(self._pipe(back, writer))
        except OSError:
            pass  # the engine is not there, as both will see
        except asyncio.CancelledError:
            pass  # by `close`: asyncio's server would complain of a task that was cancelled
        finally:
            for end in (writer, there):
                if end is not None:
                    self._open.discard(end)
                    end.transport.abort()
            self._tasks.discard(task)

    async def _pipe(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError):
            while data := await reader.read(CHUNK):
                await self._flows.wait()
                writer.write(data)
                await writer.drain()
        await self._flows.wait()
        writer.close()  # what was written still goes; the other direction ends by itself

    async def close(self) -> None:
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)


@asynccontextmanager
async def relay_to(target: int) -> AsyncIterator[Relay]:
    relay = Relay(target)
    server = await asyncio.start_server(relay.serve, HOST, relay.port)
    try:
        yield relay
    finally:
        server.close()
        await relay.close()
        await server.wait_closed()
