"""A worker as its supervisor sees it: a process, and what it says."""

from __future__ import annotations

import asyncio
import itertools
import logging
import signal
import socket
import sys
from collections.abc import Callable, Collection, Sequence
from typing import Any

from tricast_server.bus.tasks import end_task
from tricast_server.cluster.channel import Channel

log = logging.getLogger(__name__)

MODULE = "tricast_server.cluster.worker"
EXIT_TIMEOUT = 5.0
"""Seconds from the end of what it says to its own."""


class Child:
    """One process, from its start to its end. `on_ask` is called with the number of a question about all workers."""

    def __init__(self, name: str, on_ask: Callable[[Child, int], None]) -> None:
        self.name = name
        self.pid: int | None = None
        self.failure = ""
        """Why it did not come up, if it said so."""
        self.ready = asyncio.Event()
        self.leaving = asyncio.Event()
        """It takes no new connections any more, whoever told it so; or it has ended."""
        self.ended = asyncio.Event()
        self._on_ask = on_ask
        self._questions = itertools.count(1)
        self._answers: dict[int, asyncio.Future[dict[str, Any]]] = {}
        self._process: asyncio.subprocess.Process | None = None
        self._channel: Channel | None = None
        self._watching: asyncio.Task[None] | None = None

    async def start(self, orders: dict[str, Any], ports: Sequence[Sequence[socket.socket]]) -> None:
        """`ports`: the listening sockets of all places, which it inherits."""
        ours, theirs = socket.socketpair()
        with theirs:
            files = [[one.fileno() for one in place] for place in ports]
            self._channel = await Channel.over(ours)
            self._process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-P", "-m", MODULE, str(theirs.fileno())),
                stdin=asyncio.subprocess.DEVNULL,
                pass_fds=(theirs.fileno(), *itertools.chain(*files)),
                start_new_session=True,  # a Ctrl-C is for the supervisor alone
            )
        self.pid = self._process.pid
        self._channel.say(do="start", name=self.name, ports=files, **orders)
        self._watching = asyncio.create_task(self._watch(self._process, self._channel))

    def listen(self, places: Collection[int]) -> None:
        """On whose sockets it is to accept, from now on."""
        if self._channel is not None:
            self._channel.say(do="listen", places=sorted(places))

    def signal(self, number: signal.Signals) -> None:
        if self._process is not None and self._process.returncode is None:
            self._process.send_signal(number)

    @property
    def how_it_ended(self) -> str:
        status = self._process.returncode if self._process is not None else None
        if status is not None and status < 0:
            return f"was ended by {signal.Signals(-status).name}"
        return f"ended with status {status}"

    async def figures(self) -> dict[str, Any] | None:
        """Its own stats and metrics; None where it ends before it answers. Cancelling is safe."""
        if self._channel is None or self.ended.is_set():
            return None
        number = next(self._questions)
        future: asyncio.Future[dict[str, Any]] = asyncio.get_running_loop().create_future()
        self._answers[number] = future
        self._channel.say(do="tell", number=number)
        try:
            return await future or None
        finally:
            del self._answers[number]

    def told(self, number: int, answer: dict[str, Any]) -> None:
        """The answer to what it asked."""
        if self._channel is not None:
            self._channel.say(do="told", number=number, answer=answer)

    async def aclose(self) -> None:
        """Kills it if it lives, and returns when it is gone."""
        self.signal(signal.SIGKILL)
        if self._watching is not None:
            await self.ended.wait()
            await end_task(self._watching)
        elif self._channel is not None:
            self._channel.close()

    async def _watch(self, process: asyncio.subprocess.Process, channel: Channel) -> None:
        try:
            while (said := await channel.heard()) is not None:
                self._hear(said)
            try:
                async with asyncio.timeout(EXIT_TIMEOUT):
                    await process.wait()
            except TimeoutError:
                process.kill()
                await process.wait()
        finally:
            channel.close()
            self.leaving.set()
            self.ended.set()
            for future in self._answers.values():
                if not future.done():
                    future.set_result({})

    def _hear(self, said: dict[str, Any]) -> None:
        match said:
            case {"say": "ready"}:
                self.ready.set()
            case {"say": "failed", "reason": str(reason)}:
                self.failure = reason
            case {"say": "leaving"}:
                self.leaving.set()
            case {"say": "figures", "number": int(number), "figures": dict(figures)}:
                future = self._answers.get(number)
                if future is not None and not future.done():
                    future.set_result(figures)
            case {"say": "ask", "number": int(number)}:
                self._on_ask(self, number)
            case _:
                log.error("worker %s says what nobody understands: %s", self.name, said)
