"""What a signal means to `tricast serve`: to its supervisor, or to one process alone."""

from __future__ import annotations

import asyncio
import os
import signal


class Signals:
    """From now on in place of what they did before. `stop`: SIGTERM or SIGINT; `hurry`: another one; `renew`: SIGHUP.

    A terminal that is closed sends SIGHUP too. Where there was one and is none any more, it means stop, unless SIGHUP
    was ignored at first, as `nohup` has it.
    """

    def __init__(self) -> None:
        self.stop = asyncio.Event()
        self.hurry = asyncio.Event()
        self.renew = asyncio.Event()
        self._had_terminal = signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN and _has_terminal()
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._end)
        loop.add_signal_handler(signal.SIGHUP, self._hang_up)

    def _end(self) -> None:
        (self.hurry if self.stop.is_set() else self.stop).set()

    def _hang_up(self) -> None:
        if self._had_terminal and not _has_terminal():
            self.stop.set()
        else:
            self.renew.set()


def _has_terminal() -> bool:
    try:
        os.close(os.open("/dev/tty", os.O_RDWR | os.O_NOCTTY))
    except OSError:
        return False
    return True
