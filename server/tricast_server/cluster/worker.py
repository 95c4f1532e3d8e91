"""One worker: a node that accepts on sockets it inherited, as its supervisor says.

    python -m tricast_server.cluster.worker CHANNEL

CHANNEL is the file descriptor of a socket pair. It goes away as `tricast serve` does alone: on SIGTERM it takes no new
connections, and drains; a second one ends it at once. So does it where its supervisor is gone.
"""

from __future__ import annotations

import asyncio
import logging
import socket
import ssl
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from aiohttp import web

from tricast.errors import Unavailable
from tricast_server import logs
from tricast_server.alone import Alone
from tricast_server.app import setup
from tricast_server.bus.tasks import end_task
from tricast_server.cluster.channel import Channel
from tricast_server.cluster.gather import Together, figures
from tricast_server.cluster.waiting import first_of
from tricast_server.connection import Connections
from tricast_server.hosting import accept, connections_of, drained, new_event_loop, runner_of, stop_signal
from tricast_server.settings import Settings

log = logging.getLogger(__name__)

LINGER = 0.25
"""Seconds in which who was accepted last can ask: a connection of which no request has come is closed without one."""


class Doors:
    """On which of the inherited sockets it accepts. `open` first."""

    def __init__(self, ports: Sequence[Sequence[int]], tls: ssl.SSLContext | None) -> None:
        self._ports = [[socket.socket(fileno=number) for number in place] for place in ports]
        self._tls = tls
        self._connections: Connections | None = None
        self._open: dict[int, list[asyncio.Server]] = {}
        self._closed = False

    def open(self, connections: Connections) -> None:
        self._connections = connections

    async def set(self, places: Iterable[int]) -> None:
        wanted = set(places)
        for place in self._open.keys() - wanted:
            for server in self._open.pop(place):
                server.close()
        if self._connections is not None:
            for place in wanted - self._open.keys():
                await self._accept(self._connections, place)

    async def _accept(self, connections: Connections, place: int) -> None:
        servers = self._open[place] = []
        for one in () if self._closed else self._ports[place]:
            # Of a copy, which the server closes: the socket itself lives as long as anybody has it.
            server = await accept(connections, tls=self._tls, sock=one.dup())
            if self._closed:  # meanwhile: nobody else knows of this one
                server.close()
                return
            servers.append(server)

    async def close(self) -> None:
        """For good, also where `set` goes on."""
        self._closed = True
        await self.set(())
        for place in self._ports:
            for one in place:
                one.close()
        self._ports = []

    def forget(self) -> None:
        """No connection is looked after any more."""
        if self._connections is not None:
            self._connections.close()


class Worker:
    """See the module."""

    def __init__(self, channel: Channel, orders: dict[str, Any]) -> None:
        self._channel = channel
        self._app = web.Application()
        self._service = setup(self._app, "", settings=settings_of(orders["settings"]))
        self._own = Alone(self._service)
        self._together = Together(orders["name"], self._own, channel)
        self._service.overview = self._together
        self._runner = runner_of(self._app)
        self._doors = Doors(orders["ports"], _tls(orders["tls"]))
        self._stop = stop_signal()
        self._leaving = False
        self._answering: set[asyncio.Task[None]] = set()

    async def run(self) -> None:
        """Raises Unavailable and ValueError where it does not come up."""
        listener = asyncio.create_task(self._listen())
        try:
            if await self._comes_up():
                await self._serve()
        finally:
            await end_task(listener)
            await self._together.close()

    async def _comes_up(self) -> bool:
        """False where it was stopped before."""
        starting, stopping = asyncio.create_task(self._runner.setup()), asyncio.create_task(self._stop.wait())
        await asyncio.wait((starting, stopping), return_when=asyncio.FIRST_COMPLETED)
        await end_task(stopping)
        if starting.done():
            starting.result()
            self._doors.open(connections_of(self._runner, self._service))
            return True
        await end_task(starting)
        return False

    async def _serve(self) -> None:
        try:
            self._channel.say(say="ready")
            await self._stop.wait()
            self._leaving = True
            self._channel.say(say="leaving")
            await self._doors.close()
            self._stop.clear()
            await first_of(self._stop, timeout=LINGER)
            await drained(self._service, self._stop)
        finally:
            await self._runner.cleanup()
            self._doors.forget()

    async def _listen(self) -> None:
        """Does what the supervisor says. Its end is a signal to stop."""
        try:
            while (order := await self._channel.heard()) is not None:
                await self._obey(order)
        finally:
            if not self._leaving:
                self._stop.set()

    async def _obey(self, order: dict[str, Any]) -> None:
        match order:
            case {"do": "listen", "places": list(places)}:
                if not self._leaving:
                    await self._doors.set(places)
            case {"do": "tell", "number": int(number)}:
                task = asyncio.create_task(self._tell(number))
                self._answering.add(task)
                task.add_done_callback(self._answering.discard)
            case {"do": "told", "number": int(number), "answer": dict(answer)}:
                self._together.told(number, answer)
            case _:
                log.error("the supervisor wants what nobody understands: %s", order)

    async def _tell(self, number: int) -> None:
        self._channel.say(say="figures", number=number, figures=await figures(self._own))


def _tls(files: Sequence[str] | None) -> ssl.SSLContext | None:
    if files is None:
        return None
    from tricast_server.guard.certificate import Certificate  # it takes cryptography along

    cert, key = files
    return Certificate.read(Path(cert), Path(key)).context


def settings_of(values: dict[str, Any]) -> Settings:
    """What `dataclasses.asdict` made of them, with JSON in between."""
    given: dict[str, Any] = {name: tuple(value) if isinstance(value, list) else value for name, value in values.items()}
    return Settings(**given)


async def main(channel: Channel) -> int:
    """Its exit status."""
    try:
        orders = await channel.heard()
        if orders is None:
            return 0  # the supervisor is gone already
        logs.configure(*orders["log"], worker=orders["name"])
        try:
            await Worker(channel, orders).run()
        except (Unavailable, ValueError) as error:  # no engine; a certificate or keys that are of no use any more
            channel.say(say="failed", reason=str(error))
            await channel.flushed()
            return 1
        return 0
    finally:
        channel.close()


async def _main(number: int) -> int:
    return await main(await Channel.over(socket.socket(fileno=number)))


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=new_event_loop) as runner:
        sys.exit(runner.run(_main(int(sys.argv[1]))))
