"""The middlebox: a listener whose connections all pass through the faults of now."""

from __future__ import annotations

import asyncio
import contextlib
import copy
import ipaddress
import logging
import random
import socket
from types import TracebackType
from typing import Any
from urllib.parse import urlsplit

from tricast_bench.middlebox.connection import Connection, Upstream
from tricast_bench.middlebox.counters import Counters
from tricast_bench.middlebox.faults import Faults, Kind
from tricast_bench.middlebox.live import Live
from tricast_bench.middlebox.pipe import Shared
from tricast_bench.middlebox.presets import PRESETS

BACKLOG = 1024
PAUSE = 0.5
"""Seconds without accepting when there is no file descriptor left."""

log = logging.getLogger(__name__)


class Middlebox:
    """A reverse proxy that misbehaves as it is told: `async with Middlebox(upstream=url) as box: ... box.url`.

    `listen` is host and port, 0 for any; only a loopback address, unless `public`. The `seed` makes the jitter
    repeat. Everything it opened is closed at the end. Raises ValueError, and OSError where it cannot listen.
    """

    def __init__(
        self,
        *,
        upstream: str,
        listen: tuple[str, int] = ("127.0.0.1", 0),
        faults: Faults | None = None,
        public: bool = False,
        seed: int = 0,
    ) -> None:
        if not public and not is_loopback(listen[0]):
            raise ValueError(f"{listen[0]} can be reached from other machines, which has to be asked for (public)")
        self.upstream = upstream
        self._upstream = _parsed(upstream)
        self._listen = listen
        self._shared = Shared(live=Live(faults or Faults()), random=random.Random(seed))
        self._connections: dict[asyncio.Task[None], Connection | None] = {}
        self._reserved: socket.socket | None = None
        self._listener: socket.socket | None = None

    async def __aenter__(self) -> Middlebox:
        loop = asyncio.get_running_loop()
        host, port = self._listen
        family, *_, address = (await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM))[0]
        self._reserved = _bound(family, address)
        self._address: Any = self._reserved.getsockname()
        try:
            self._apply()
        except OSError:
            self._reserved.close()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._stop_listening()
        if self._reserved is not None:
            self._reserved.close()
            self._reserved = None
        for task in self._connections:
            task.cancel()
        await asyncio.gather(*self._connections, return_exceptions=True)

    @property
    def address(self) -> tuple[str, int]:
        """Where it listens."""
        return self._address[0], self._address[1]

    @property
    def url(self) -> str:
        host, port = self.address
        return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"

    @property
    def faults(self) -> Faults:
        """Those of now."""
        return self._shared.live.faults

    @property
    def counters(self) -> Counters:
        """What has passed until now; does not change afterwards."""
        counters = copy.deepcopy(self._shared.counters)
        counters.open = len(self._connections)
        return counters

    def set(self, faults: Faults) -> None:
        """These faults in place of those before, at once and for open connections too. Raises OSError."""
        self._shared.live.set(faults)
        self._apply()

    def preset(self, name: str) -> None:
        """The faults of a preset in place of those before. Raises KeyError."""
        self.set(PRESETS[name].faults)

    def cut(self, kind: Kind | None = None) -> int:
        """Ends the connections on which an exchange of this kind goes on, or all, on both sides; says how many."""
        chosen = [
            (task, connection)
            for task, connection in self._connections.items()
            if kind is None or (connection is not None and kind in connection.kinds)
        ]
        for task, connection in chosen:
            if connection is not None:
                connection.count_cut(kind)
            task.cancel()
        return len(chosen)

    def _apply(self) -> None:
        """What faults do to the listener and to what is open."""
        if self.faults.refuse_all:
            self._stop_listening()
        elif self._listener is None and self._reserved is not None:
            self._start_listening()
        if self.faults.refuse_all or self.faults.close_all:
            self.cut()

    def _start_listening(self) -> None:
        # The socket that only reserves the port does not listen, so both can have it.
        self._listener = _bound(socket.AF_INET6 if len(self._address) == 4 else socket.AF_INET, self._address)
        self._listener.listen(BACKLOG)
        self._accept_from(self._listener)

    def _accept_from(self, listener: socket.socket) -> None:
        if listener is self._listener:
            asyncio.get_running_loop().add_reader(listener, self._accept, listener)

    def _stop_listening(self) -> None:
        if self._listener is not None:
            asyncio.get_running_loop().remove_reader(self._listener)
            self._listener.close()
            self._listener = None

    def _accept(self, listener: socket.socket) -> None:
        try:
            client, _ = listener.accept()
        except (BlockingIOError, ConnectionAbortedError):
            return
        except OSError as error:
            log.warning("the middlebox cannot accept: %s", error)
            loop = asyncio.get_running_loop()
            loop.remove_reader(listener)
            loop.call_later(PAUSE, self._accept_from, listener)
            return
        client.setblocking(False)
        self._shared.counters.connections += 1
        if self.faults.close_all:
            client.close()
            return
        task = asyncio.create_task(self._serve(client))
        self._connections[task] = None
        task.add_done_callback(self._ended)

    async def _serve(self, client: socket.socket) -> None:
        with contextlib.ExitStack() as unused:
            unused.callback(client.close)
            reader, writer = await asyncio.open_connection(sock=client)
            unused.pop_all()
        connection = Connection(self._shared, self._upstream, reader, writer)
        task = asyncio.current_task()
        assert task is not None
        self._connections[task] = connection
        await connection.run()

    def _ended(self, task: asyncio.Task[None]) -> None:
        del self._connections[task]
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("a connection of the middlebox failed", exc_info=error)


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach it."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _parsed(url: str) -> Upstream:
    parts = urlsplit(url)
    if parts.scheme != "http" or not parts.hostname or parts.path not in ("", "/") or parts.query:
        raise ValueError(f"the upstream is http://HOST:PORT and no more than that, not {url}")
    return Upstream(parts.hostname, parts.port or 80)


def _bound(family: int, address: Any) -> socket.socket:
    # Only where the protocol is named does asyncio set TCP_NODELAY on what is accepted.
    made = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        made.setblocking(False)
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        made.bind(address)
    except OSError:
        made.close()
        raise
    return made
