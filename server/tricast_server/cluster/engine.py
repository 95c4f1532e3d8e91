"""The log's engine, where nobody runs one for us: `nats-server` on the loopback interface, with its data in a folder.

Whoever wants to read or write the log there needs a secret, which only the workers are told.
"""

from __future__ import annotations

import asyncio
import contextlib
import importlib.util
import json
import logging
import os
import re
import secrets
import shutil
import signal
import sys
from collections import deque
from pathlib import Path

from tricast_server.bus.tasks import end_task
from tricast_server.cluster import guard
from tricast_server.cluster.backoff import Backoff
from tricast_server.cluster.errors import CannotStart
from tricast_server.cluster.home import LOOPBACK, Home

log = logging.getLogger(__name__)

PROGRAM = "nats-server"
START_TIMEOUT = 60.0
"""Seconds to read what the folder holds."""
STOP_TIMEOUT = guard.STOP_TIMEOUT + 2.0
SYNC_INTERVAL = "1s"
"""What a power cut can cost of a log that is to be kept. The engine's own default is two minutes."""
PAYLOAD_MAX = 2 * 2**20
ENVIRONMENT = (
    *("PATH", "HOME", "USER", "TMPDIR", "LANG", "LC_ALL", "TZ", "LD_LIBRARY_PATH"),
    *("GOMAXPROCS", "GOMEMLIMIT", "GOGC", "GODEBUG"),  # how much of the machine the engine may take
)
"""What the engine is given of ours."""
_SAID = re.compile(r"\[\d+\] \[(\w+)\] (.*)")
RETRY_MAX = 5.0
_LAST_WORDS = 5
LAST_WORDS_TIMEOUT = 2.0


def find_program() -> str:
    """Where nats-server is: beside this Python, or on the PATH. Raises CannotStart."""
    beside = Path(sys.executable).with_name(PROGRAM)
    program = str(beside) if beside.exists() else shutil.which(PROGRAM)
    if program is None or importlib.util.find_spec("nats") is None:
        raise CannotStart(
            f"--workers and --data-dir keep the log in {PROGRAM}, which is not installed: "
            "pip install 'tricast[cluster]'. Or --backplane names an engine that runs elsewhere"
        )
    return program


class Engine:
    """See the module. `run` after `start`, on one event loop; `stop` after both. Blocks where it is made, see Home.

    `url` is for `--backplane`, and has the secret in it; `address` is for showing.
    """

    def __init__(self, data_dir: Path | None) -> None:
        self._program = find_program()
        self.home = Home(data_dir)
        secret = secrets.token_hex(16)
        self.address = f"{LOOPBACK}:{self.home.port.number}"
        self.url = f"nats://{secret}@{self.address}"
        self.restarts = 0
        self.up = False
        settings = {
            "listen": self.address,
            "server_name": "tricast",
            "authorization": {"token": secret},
            "max_payload": PAYLOAD_MAX,
            "logtime": False,
            "jetstream": {
                "store_dir": str(self.home.folder / "data"),
                **({} if self.home.temporary else {"sync_interval": SYNC_INTERVAL}),
            },
        }
        self._config = self.home.write("engine.conf", json.dumps(settings, indent=2))
        self._process: asyncio.subprocess.Process | None = None
        self._pid = 0
        self._transport: asyncio.ReadTransport | None = None
        self._listener: asyncio.Task[None] | None = None
        self._last_words: deque[str] = deque(maxlen=_LAST_WORDS)

    async def start(self) -> None:
        """Returns when it serves what the folder holds. Raises CannotStart."""
        self._last_words.clear()
        self._pid = 0
        folder = str(self.home.folder) if self.home.temporary else ""
        ours, theirs = os.pipe()
        output, self._transport = await _reading(ours)
        try:
            self._process = process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-I", "-S", guard.__file__, folder),
                *(self._program, "-c", str(self._config)),
                stdin=asyncio.subprocess.PIPE,
                stdout=theirs,  # not asyncio's own pipe: it would hold the guard's end back until the engine's
                env=_environment(),
                pass_fds=(self.home.lock,),
                start_new_session=True,  # a Ctrl-C is for the supervisor alone
            )
        finally:
            os.close(theirs)
        self._pid = int(await output.readline() or "0")
        self._listener = asyncio.create_task(self._listen(output))
        try:
            async with asyncio.timeout(START_TIMEOUT):
                while not await self._answers():
                    if process.returncode is not None:
                        await asyncio.wait((self._listener,), timeout=LAST_WORDS_TIMEOUT)
                        raise CannotStart(f"{PROGRAM} ended: {self._said()}")
                    await asyncio.sleep(0.01)
        except TimeoutError:
            raise CannotStart(f"{PROGRAM} did not begin to serve within {START_TIMEOUT:g} s: {self._said()}") from None
        self.up = True

    async def run(self) -> None:
        """Starts it again whenever it ends, with the same data in the same place. Until cancelled."""
        backoff = Backoff(cap=RETRY_MAX)
        clock = asyncio.get_running_loop().time
        while True:
            if self.up:
                backoff.up(clock())
                assert self._process is not None
                await self._process.wait()
            await self._end()
            wait = backoff.down(clock())
            log.warning("the engine ended; publishes are refused until it is back (again in %g s)", wait)
            await asyncio.sleep(wait)
            self.restarts += 1
            try:
                await self.start()
                log.info("the engine is back")
            except (CannotStart, OSError) as error:
                log.warning("%s", error)

    async def stop(self) -> None:
        """Ends it, and removes what was temporary. Idempotent."""
        process = self._process
        if process is not None and process.returncode is None and process.stdin is not None:
            process.stdin.close()
            try:
                async with asyncio.timeout(STOP_TIMEOUT):
                    await process.wait()
            except TimeoutError:
                log.warning("the engine does not end, and is killed")
        await self._end()
        await asyncio.to_thread(self.home.leave)

    async def _end(self) -> None:
        """Whatever is left of it: two engines on one folder would spoil it."""
        self.up = False
        process, self._process = self._process, None
        if process is not None and process.returncode is None:
            process.kill()
            await process.wait()
        if process is not None and process.returncode is not None and process.returncode < 0 and self._pid:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self._pid, signal.SIGKILL)  # its guard was killed, so nobody ends it but us
        if self._listener is not None:
            await asyncio.wait((self._listener,), timeout=LAST_WORDS_TIMEOUT)  # the engine's end is that of its output
            await end_task(self._listener)
            self._listener = None
        if self._transport is not None:
            self._transport.close()
            self._transport = None

    async def _answers(self) -> bool:
        """Whether it serves by now. It listens only after it has read its data."""
        try:
            reader, writer = await asyncio.open_connection(LOOPBACK, self.home.port.number)
        except OSError:
            return False
        try:
            async with asyncio.timeout(1.0):
                head, _, info = (await reader.readline()).partition(b" ")
            return head == b"INFO" and bool(json.loads(info).get("jetstream"))
        except (OSError, TimeoutError, ValueError):  # nothing yet, or half a line as it ends
            return False
        finally:
            writer.close()

    async def _listen(self, output: asyncio.StreamReader) -> None:
        while True:
            try:
                line = await output.readline()
            except ValueError:  # longer than the reader's buffer, which has dropped it
                continue
            if not line:
                return
            text = line.decode(errors="replace").strip()
            known = _SAID.fullmatch(text)
            self._last_words.append(known[2] if known else text)
            if known and known[1] in ("WRN", "ERR", "FTL"):
                log.warning("engine: %s", known[2])

    def _said(self) -> str:
        return "; ".join(self._last_words) or "it said nothing"


def _environment() -> dict[str, str]:
    """Not all of ours, which may have secrets in it."""
    return {name: os.environ[name] for name in ENVIRONMENT if name in os.environ}


async def _reading(pipe: int) -> tuple[asyncio.StreamReader, asyncio.ReadTransport]:
    reader = asyncio.StreamReader()
    transport, _ = await asyncio.get_running_loop().connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(reader), os.fdopen(pipe, "rb")
    )
    return reader, transport
