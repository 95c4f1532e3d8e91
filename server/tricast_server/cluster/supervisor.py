"""What runs when there are several workers, or a log of our own to keep: the port, the engine and the crew, as one."""

from __future__ import annotations

import asyncio
import logging
import socket
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from tricast_server.bus.tasks import end_task
from tricast_server.cluster.crew import Crew
from tricast_server.cluster.engine import PROGRAM, Engine
from tricast_server.cluster.ports import open_ports
from tricast_server.cluster.signals import Signals
from tricast_server.hosting import url_of
from tricast_server.logs import LogFormat, LogLevel
from tricast_server.settings import Settings

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What to run. `own_engine`: whether the log is in an engine of our own, in `data_dir` or a temporary folder.
    `tls` names the files of a certificate and its key, which each worker reads; `log` is the format and the level.
    """

    host: str
    port: int
    workers: int
    settings: Settings
    own_engine: bool
    data_dir: Path | None = None
    tls: tuple[str, str] | None = None
    log: tuple[LogFormat, LogLevel] = ("console", "info")


class Supervisor:
    """See the module. `run` it once."""

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self._settings = plan.settings
        self._ports: list[list[socket.socket]] = []
        self._engine: Engine | None = None
        self._crew: Crew | None = None

    async def run(self) -> None:
        """Until SIGTERM or SIGINT; then all clients have got the rest, and nothing is left.

        Raises CannotListen, CannotStart.
        """
        signals = Signals()
        working, stopping = asyncio.create_task(self._work(signals)), asyncio.create_task(signals.stop.wait())
        try:
            await asyncio.wait((working, stopping), return_when=asyncio.FIRST_COMPLETED)
            await end_task(stopping)
            await end_task(working)
        finally:
            await self._end(signals)

    async def _work(self, signals: Signals) -> None:
        plan = self._plan
        self._ports, port = open_ports(plan.host, plan.port, plan.workers)
        if plan.own_engine:
            self._engine = Engine(plan.data_dir)
            self._settings = replace(plan.settings, backplane=self._engine.url)
            await self._engine.start()
            self._tell_of(self._engine)
        self._crew = crew = Crew(self._ports, self._orders, plan.settings.drain_timeout, self._about_engine)
        await crew.start()
        several = plan.workers > 1
        log.info(
            "tricast serves on %s with %d %s (Ctrl-C ends it, SIGHUP brings new ones%s)",
            url_of(plan.host, port, tls=plan.tls is not None),
            plan.workers,
            "workers" if several else "worker",
            ", one after the other" if several else "",
        )
        async with asyncio.TaskGroup() as group:
            group.create_task(crew.run())
            group.create_task(self._renewals(crew, signals.renew))
            if self._engine is not None:
                group.create_task(self._engine.run())

    async def _renewals(self, crew: Crew, wanted: asyncio.Event) -> None:
        while True:
            await wanted.wait()
            wanted.clear()
            log.info("new workers come for the old ones")
            if await crew.renew():
                log.info("all workers are new")
            else:
                log.warning("a new worker does not come up; those that serve stay")

    async def _end(self, signals: Signals) -> None:
        for place in self._ports:
            for one in place:
                one.close()
        if signals.stop.is_set():
            log.info(
                "draining: clients get the rest and a bye, %g s at most; a second signal ends it at once",
                self._settings.drain_timeout,
            )
        if self._crew is not None:
            await self._crew.end(signals.hurry)
        if self._engine is not None:
            await self._engine.stop()

    def _tell_of(self, engine: Engine) -> None:
        home = engine.home
        log.info(
            "the log is kept by %s on %s, in %s%s",
            PROGRAM,
            engine.address,
            home.folder,
            " (temporary: gone when this ends; --data-dir keeps it)" if home.temporary else "",
        )

    def _orders(self, name: str) -> dict[str, Any]:
        settings = replace(self._settings.shared_by(self._plan.workers), node=f"{self._settings.node}-{name}")
        return {"settings": asdict(settings), "tls": self._plan.tls, "log": self._plan.log}

    def _about_engine(self) -> dict[str, Any]:
        engine = self._engine
        if engine is None:
            return {}
        return {"engine": {"program": PROGRAM, "up": engine.up, "restarts": engine.restarts}}
