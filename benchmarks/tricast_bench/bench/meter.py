"""CPU and memory of the server: from the kernel where it runs here, from its /stats where it does not."""

from __future__ import annotations

import json
import os
import time
from dataclasses import dataclass
from pathlib import Path

from tricast_bench.servers import cpu_of, waited_of
from tricast_bench.users.http import Connection
from tricast_bench.users.tcp import Target

_PAGE = os.sysconf("SC_PAGE_SIZE")


@dataclass(frozen=True, slots=True)
class Usage:
    """At one moment, in nanoseconds, bytes and descriptors. None where nobody says.

    `waited`: ready to run, and had no core.
    """

    at: int
    cpu: int | None
    memory: int | None
    files: int | None
    waited: int
    own_cpu: int
    own_waited: int

    def own_share(self, later: Usage) -> float:
        """Of its core that this process took until `later`."""
        return (later.own_cpu - self.own_cpu) / (later.at - self.at)


class Meter:
    """`pid` None: a server that only its own `/stats` tells of."""

    def __init__(self, pid: int | None, direct: str) -> None:
        self._pid = pid
        self._stats = None if pid is not None else Connection(Target.of(direct))

    def read(self) -> Usage:
        """Raises OSError or BadAnswer where the server cannot be asked."""
        own = os.getpid()
        at, own_cpu = time.monotonic_ns(), time.process_time_ns()
        if self._pid is not None:
            pages = int(Path(f"/proc/{self._pid}/statm").read_text().split()[1])
            cpu, memory, waited = cpu_of(self._pid), pages * _PAGE, waited_of(self._pid)
            files = sum(1 for _ in Path(f"/proc/{self._pid}/fd").iterdir())
            return Usage(at, cpu, memory, files, waited, own_cpu, waited_of(own))
        assert self._stats is not None
        process = json.loads(self._stats.request("GET", "/stats", timeout=10.0)).get("process", {})
        seconds = process.get("cpu")
        used = None if seconds is None else int(seconds * 1e9)
        return Usage(at, used, process.get("memory"), process.get("files"), 0, own_cpu, waited_of(own))
