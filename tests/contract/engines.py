"""Servers of engines for the contract suite, and what its tests hear and say.

A new engine is a file `engine_<name>.py` beside this one with a class `Server`, derived from the one here.
"""

from __future__ import annotations

import asyncio
import importlib
import os
import shutil
import signal
import subprocess
import tempfile
import time
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from tests.helpers import missing, unused_port

from tricast.wire.cursor import Cursor
from tricast_server.backplane.base import Backplane, EpochStarted, Publication, Receipt, Record
from tricast_server.bus.log import Entry, Retention

START_TIMEOUT = 10.0


class Tail:
    """What a tail was given, batch after batch."""

    def __init__(self) -> None:
        self.records: list[Record] = []
        self.place = Cursor("", 0)

    def __call__(self, records: Sequence[Record]) -> None:
        assert records
        asyncio.get_running_loop()
        self.records += records
        for record in records:
            self.place = record.at if isinstance(record, EpochStarted) else Cursor(self.place.epoch, record.offset)

    @property
    def entries(self) -> list[Entry]:
        return [record for record in self.records if isinstance(record, Entry)]

    @property
    def offsets(self) -> list[int]:
        return [entry.offset for entry in self.entries]

    @property
    def starts(self) -> list[Cursor]:
        return [record.at for record in self.records if isinstance(record, EpochStarted)]

    async def reaches(self, offset: int, timeout: float = 5) -> None:
        """Within one epoch."""
        async with asyncio.timeout(timeout):
            while not self.offsets or self.offsets[-1] < offset:
                await asyncio.sleep(0.005)

    async def reaches_place(self, at: Cursor, timeout: float = 5) -> None:
        """In the epoch of `at`, whatever came before: offsets of another may be higher."""
        async with asyncio.timeout(timeout):
            while self.place.epoch != at.epoch or self.place.offset < at.offset:
                await asyncio.sleep(0.005)


async def append(backplane: Backplane, topic: str = "a", data: str | bytes = "1", **more: Any) -> Receipt:
    return await backplane.append(Publication(topic=topic, data=data, **more))


class Server(ABC):
    """A server of an engine on a free port, unprivileged, with its data in a folder of its own.

    Not `durable`: it keeps nothing beyond its own life. Everything here blocks, for milliseconds.
    """

    program: str
    """What has to be on the PATH."""

    def __init__(self, folder: Path, *, durable: bool) -> None:
        self.folder = folder
        self.durable = durable
        self.port = unused_port()
        self._process: subprocess.Popen[bytes] | None = None

    @property
    @abstractmethod
    def url(self) -> str:
        """For `--backplane`."""

    @abstractmethod
    def command(self) -> list[str]:
        """What starts it, with its data in `folder / "data"`."""

    @abstractmethod
    def answers(self) -> bool:
        """Whether it serves by now. May raise OSError where it does not."""

    @abstractmethod
    def backplane(self, *, retention: Retention | None = None, dedupe_window: float = 120.0) -> Backplane:
        """A new node's, all on one log. `retention.count` counts over all topics."""

    def start(self) -> None:
        """Returns when it serves what it has kept, on the port it always has."""
        assert self._process is None
        (self.folder / "data").mkdir(exist_ok=True)
        log_file = self.folder / "log"
        with log_file.open("ab") as log:
            self._process = subprocess.Popen(self.command(), cwd=self.folder, stdout=log, stderr=log)
        deadline = time.monotonic() + START_TIMEOUT
        while not self._serves():
            if self._process.poll() is not None or time.monotonic() > deadline:
                pytest.fail(f"{self.program} did not start:\n{log_file.read_text()}")
            time.sleep(0.005)

    def _serves(self) -> bool:
        try:
            return self.answers()
        except OSError:
            return False

    def kill(self) -> None:
        """As a power cut ends it. Idempotent."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def wipe(self) -> None:
        """Kills it and removes all that it has kept."""
        self.kill()
        shutil.rmtree(self.folder / "data", ignore_errors=True)

    def save(self) -> None:
        """Puts aside what it has kept. It is dead meanwhile."""
        assert self._process is None
        shutil.rmtree(self.folder / "saved", ignore_errors=True)
        shutil.copytree(self.folder / "data", self.folder / "saved")

    def roll_back(self) -> None:
        """Kills it and gives it back what was put aside."""
        self.wipe()
        shutil.copytree(self.folder / "saved", self.folder / "data")

    def pause(self) -> None:
        """It keeps its connections and says nothing, until `resume`."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)
        os.waitpid(self._process.pid, os.WUNTRACED)  # until all of its threads stand still

    def resume(self) -> None:
        assert self._process is not None
        self._process.send_signal(signal.SIGCONT)


def server_classes() -> dict[str, type[Server]]:
    """Of every engine, by name."""
    classes: dict[str, type[Server]] = {}
    for file in sorted(Path(__file__).parent.glob("engine_*.py")):
        classes[file.stem.removeprefix("engine_")] = importlib.import_module(f"tests.contract.{file.stem}").Server
    return classes


@contextmanager
def engine(name: str, *, durable: bool = True) -> Iterator[Server]:
    """A server that serves. Skips the test where the program is not there."""
    cls = server_classes()[name]
    if shutil.which(cls.program) is None:
        missing(cls.program)
    with tempfile.TemporaryDirectory(prefix=f"tricast-{name}-") as folder:
        server = cls(Path(folder), durable=durable)
        try:
            server.start()
            yield server
        finally:
            server.kill()
