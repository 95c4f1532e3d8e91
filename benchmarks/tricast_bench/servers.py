"""Servers under test: started in a process of their own, pinned to a core, their CPU time read from the kernel."""

from __future__ import annotations

import contextlib
import os
import resource
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO

HOST = "127.0.0.1"
START_TIMEOUT = 15.0
STOP_TIMEOUT = 3.0
STEP = 0.02


class Unusable(Exception):
    """This machine, or a server, does not allow the measurement; the text says why."""


@dataclass(frozen=True, slots=True)
class Peer:
    """A server to measure. `command` makes its command line for a port; `paths` says where it has what."""

    name: str
    command: Callable[[int], list[str]]
    paths: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Server:
    """A peer that runs."""

    peer: Peer
    port: int
    pid: int

    def cpu(self) -> int:
        return cpu_of(self.pid)

    def waited(self) -> int:
        return waited_of(self.pid)


def cpu_of(pid: int) -> int:
    """Nanoseconds of CPU that all threads of the process have used, user and system, by the kernel's accounting.

    This is the clock of clock_getcpuclockid(3). What the process sends over the loopback is delivered to the
    receiving socket on the sender's CPU time, so that is in here too.
    """
    return time.clock_gettime_ns((~pid << 3) | 2)


def waited_of(pid: int) -> int:
    """Nanoseconds that its threads could have run and did not, as something else had the core. 0 where not known."""
    with contextlib.suppress(OSError):
        tasks = Path(f"/proc/{pid}/task").iterdir()
        return sum(int((task / "schedstat").read_text().split()[1]) for task in tasks)
    return 0


@dataclass(frozen=True, slots=True)
class Cores:
    """One for the server, another for the load."""

    server: int
    generator: int

    @classmethod
    def choose(cls) -> Cores:
        """The last and the first that this process may use. Raises Unusable where there are not two."""
        if not hasattr(os, "sched_setaffinity"):
            raise Unusable("this needs Linux: a process is to be pinned to a core")
        cores = sorted(os.sched_getaffinity(0))
        if len(cores) < 2:
            raise Unusable("this needs two cores: one for the server, one for the load")
        return cls(server=cores[-1], generator=cores[0])


def allow_files(count: int) -> None:
    """Raises the soft limit of open files, for this process and its children. Raises Unusable."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft >= count:
        return
    if hard < count:
        raise Unusable(f"this needs {count} open files, and the limit is {hard} (ulimit -Hn)")
    resource.setrlimit(resource.RLIMIT_NOFILE, (count, hard))


@contextlib.contextmanager
def running(peer: Peer, core: int) -> Iterator[Server]:
    """The peer, from when it accepts connections, on this core alone. Raises Unusable."""
    port = free_port()
    command = peer.command(port)
    with tempfile.TemporaryFile() as output:
        try:
            process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=output, stderr=output)
        except OSError as error:
            raise Unusable(f"{command[0]} does not start: {error.strerror}") from None
        try:
            os.sched_setaffinity(process.pid, {core})
            wait_for(process, port, output)
            yield Server(peer, port, process.pid)
        finally:
            process.terminate()
            try:
                process.wait(STOP_TIMEOUT)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def program(name: str) -> str:
    """A program of this Python's environment, or one on the path. Raises Unusable."""
    beside = Path(sys.executable).with_name(name)
    found = str(beside) if beside.exists() else shutil.which(name)
    if found is None:
        raise Unusable(f"{name} is not installed")
    return found


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        port: int = probe.getsockname()[1]
        return port


def wait_for(process: subprocess.Popen[bytes], port: int, output: IO[bytes]) -> None:
    """Until it accepts connections. Raises Unusable with what it said."""
    deadline = time.monotonic() + START_TIMEOUT
    while time.monotonic() < deadline and process.poll() is None:
        with contextlib.suppress(OSError), socket.create_connection((HOST, port), timeout=1.0):
            return
        time.sleep(STEP)
    output.seek(0)
    said = output.read().decode(errors="replace").strip()[-2000:]
    raise Unusable(f"the server does not listen within {START_TIMEOUT:g} s; it said: {said or 'nothing'}")
