"""Runs the engine, and ends it when whoever started this is gone, however that came about.

    python -I -S guard.py FOLDER COMMAND...

The end of its standard input is the sign: the engine is told to stop, and FOLDER ("" for none) is removed. First it
writes the engine's process id as a line; whatever the engine says comes after it. It ends as the engine does.
A program of its own, with nothing but the standard library, so that it is small and starts in no time.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import threading

STOP_TIMEOUT = 5.0


def main(folder: str, *command: str) -> int:
    engine = subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stderr=subprocess.STDOUT,
        close_fds=False,  # what this inherited besides, the lock on the data, is for the engine to hold, too
        preexec_fn=_introduce,  # no thread runs yet
    )
    asked = threading.Event()

    def watch() -> None:
        while os.read(0, 4096):
            pass
        asked.set()
        engine.terminate()
        try:
            engine.wait(STOP_TIMEOUT)
        except subprocess.TimeoutExpired:
            engine.kill()

    threading.Thread(target=watch, daemon=True).start()
    status = engine.wait()
    if asked.is_set() and folder:
        shutil.rmtree(folder, ignore_errors=True)
    return 128 - status if status < 0 else status


def _introduce() -> None:
    """In the engine's process before it is the engine, so that nothing which that says can come first."""
    os.write(1, b"%d\n" % os.getpid())


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
