"""A server as a tree of processes on one core, and what the kernel says of it: CPU time, memory, who else was there."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from tricast_bench.peers.peer import Peer
from tricast_bench.servers import STEP, STOP_TIMEOUT, Unusable, cpu_of, free_port, wait_for, waited_of

PROC = Path("/proc")


@dataclass(frozen=True, slots=True)
class Tree:
    """A process and what descends from it."""

    pid: int

    def pids(self) -> list[int]:
        """Those that live."""
        children: dict[int, list[int]] = {}
        for entry in PROC.iterdir():
            if entry.name.isdecimal() and (parent := _parent(int(entry.name))) is not None:
                children.setdefault(parent, []).append(int(entry.name))
        found = [self.pid]
        for pid in found:  # it grows
            found += children.get(pid, [])
        return found

    def cpu(self) -> dict[int, int]:
        """Nanoseconds of CPU of each process that lives."""
        used: dict[int, int] = {}
        for pid in self.pids():
            with contextlib.suppress(OSError):
                used[pid] = cpu_of(pid)
        return used

    def waited(self) -> int:
        """Nanoseconds that threads of it could have run and did not, be it for one another."""
        return sum(waited_of(pid) for pid in self.pids())

    def memory(self) -> int:
        """Bytes: proportional set size, in which what several processes share is counted once."""
        return sum(_proportional(pid) for pid in self.pids())


def used_since(before: Mapping[int, int], after: Mapping[int, int]) -> int:
    """Nanoseconds. A process that has come since began with none; what one that ended took last is not known."""
    return sum(used - before.get(pid, 0) for pid, used in after.items())


@dataclass(frozen=True, slots=True)
class CoreTimes:
    """What a core has spent, in nanoseconds: on processes, and taken by the host. A point in time, or since another.

    Time on processes is what is left of the clock's: the kernel counts that of an idle core, while for a busy one it
    only looks who is there at each tick, and what happens a hundred times a second may always or never be seen.
    """

    processes: int
    stolen: int

    @classmethod
    def read(cls, core: int) -> CoreTimes:
        """Time in interrupts is left out, as it belongs to no process."""
        tick = 1_000_000_000 // os.sysconf("SC_CLK_TCK")
        for line in (PROC / "stat").read_text().splitlines():
            name, *fields = line.split()
            if name == f"cpu{core}":
                _user, _nice, _system, *others, stolen = (int(field) * tick for field in fields[:8])
                return cls(time.monotonic_ns() - sum(others) - stolen, stolen)
        raise Unusable(f"/proc/stat does not know core {core}")

    def since(self, before: CoreTimes) -> CoreTimes:
        return CoreTimes(self.processes - before.processes, self.stolen - before.stolen)


@contextlib.contextmanager
def serving(peer: Peer, cores: int | str) -> Iterator[tuple[Tree, int]]:
    """The peer and its port, from when it accepts connections, all of it on this core alone, or on a list of them as
    taskset takes it. Raises Unusable.
    """
    port = free_port()
    command = peer.command(port)
    with tempfile.TemporaryFile() as output:
        # Through taskset, so that no child is started before the core is set; a session of its own, to end them all.
        command = ["taskset", "--cpu-list", str(cores), *command]
        try:
            process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=output, stderr=output, start_new_session=True
            )
        except OSError as error:
            raise Unusable(f"{command[0]} does not start: {error.strerror}") from None
        try:
            wait_for(process, port, output)
            yield Tree(process.pid), port
        finally:
            _stop(process)


def _stop(process: subprocess.Popen[bytes]) -> None:
    """Asks the process, then ends whatever of its group is left. Returns when all have ended, or soon after."""
    pids = Tree(process.pid).pids()
    process.terminate()
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(STOP_TIMEOUT)
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    deadline = time.monotonic() + STOP_TIMEOUT
    while time.monotonic() < deadline and any(lives(pid) for pid in pids):
        time.sleep(STEP)


def lives(pid: int) -> bool:
    """Whether the process runs, and is not one that has ended and nobody has asked about."""
    with contextlib.suppress(OSError, IndexError):
        return _status(pid)[0] not in "ZX"
    return False


def _status(pid: int) -> list[str]:
    """What follows the name, which is in brackets and may hold anything. Raises OSError."""
    return (PROC / str(pid) / "stat").read_text().rpartition(")")[2].split()


def _parent(pid: int) -> int | None:
    with contextlib.suppress(OSError, IndexError):
        return int(_status(pid)[1])
    return None


def _proportional(pid: int) -> int:
    with contextlib.suppress(OSError):
        for line in (PROC / str(pid) / "smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                return int(line.split()[1]) * 1024
    return 0
