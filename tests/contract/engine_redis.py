"""redis-server, as the contract suite runs it."""

from __future__ import annotations

import socket

from tests.contract import engines
from tests.helpers import HOST

from tricast_server.backplane.base import Backplane
from tricast_server.backplane.redis import RedisBackplane
from tricast_server.bus.log import Retention


class Server(engines.Server):
    program = "redis-server"

    @property
    def url(self) -> str:
        return f"redis://{HOST}:{self.port}/0"

    def command(self) -> list[str]:
        # With everysec a write waits while a sync is under way, so on a busy disk even SIGKILL loses what was
        # acknowledged: readers are then told of another epoch, which is right, but not what is tested.
        keeping = ["--appendonly", "yes", "--appendfsync", "always"] if self.durable else ["--appendonly", "no"]
        data = str(self.folder / "data")
        return ["redis-server", "--bind", HOST, "--port", str(self.port), "--dir", data, "--save", "", *keeping]

    def answers(self) -> bool:
        with socket.create_connection((HOST, self.port), timeout=1) as connection:
            connection.sendall(b"PING\r\n")
            return connection.recv(16).startswith(b"+PONG")  # an error while it loads what it has kept

    def backplane(self, *, retention: Retention | None = None, dedupe_window: float = 120.0) -> Backplane:
        return RedisBackplane(self.url, retention=retention, dedupe_window=dedupe_window)
