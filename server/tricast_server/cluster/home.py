"""Where an engine of ours has its data, and how nobody else gets at them: a private folder, locked, and a secret."""

from __future__ import annotations

import fcntl
import os
import shutil
import socket
import sys
import tempfile
import time
from pathlib import Path

from tricast_server.cluster.errors import CannotStart

LOOPBACK = "127.0.0.1"
LOCK_TIMEOUT = 3.0
"""Seconds that an engine has to end whose supervisor is gone."""


class Home:
    """A folder that is locked for as long as this or the engine lives, `temporary` where it goes with them.

    Blocks for LOCK_TIMEOUT where somebody else has it. Raises CannotStart.
    """

    def __init__(self, data_dir: Path | None) -> None:
        self.temporary = data_dir is None
        try:
            self.folder = Path(tempfile.mkdtemp(prefix="tricast-")) if data_dir is None else data_dir.absolute()
            self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            self.lock = os.open(self.folder / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise CannotStart(f"no place for the log in {data_dir}: {error.strerror or error}") from error
        try:
            self._take_lock()
            self.port = Port()
        except BaseException:
            os.close(self.lock)
            raise

    def write(self, name: str, text: str) -> Path:
        """A file that only this user can read."""
        path = self.folder / name
        path.touch(mode=0o600)
        path.write_text(text)
        return path

    def leave(self) -> None:
        """Idempotent."""
        if self.lock >= 0:
            os.close(self.lock)
            self.lock = -1
            self.port.close()
            if self.temporary:
                shutil.rmtree(self.folder, ignore_errors=True)

    def _take_lock(self) -> None:
        until = time.monotonic() + LOCK_TIMEOUT
        while True:
            try:
                fcntl.flock(self.lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                return
            except BlockingIOError:
                if time.monotonic() > until:
                    raise CannotStart(f"another tricast serve keeps its log in {self.folder}") from None
                time.sleep(0.05)


class Port:
    """A free port of the loopback interface that stays ours while the engine is down.

    On Linux a socket that is bound and does not listen keeps everybody off but who says SO_REUSEADDR, as Go's do.
    """

    def __init__(self) -> None:
        self._holder = socket.socket()
        self._holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self._holder.bind((LOOPBACK, 0))
        self.number: int = self._holder.getsockname()[1]
        if sys.platform != "linux":
            self._holder.close()

    def close(self) -> None:
        self._holder.close()
