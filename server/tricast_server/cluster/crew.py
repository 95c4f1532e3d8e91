"""The workers: one for each place, another when one has ended, and new ones for old.

A *place* is a set of listening sockets and the worker that accepts on them. Whatever happens to a worker its sockets
stay open, and until another has come, the next place's worker accepts on them too: no connection is refused, and none
has to wait.
"""

from __future__ import annotations

import asyncio
import logging
import signal
import socket
from collections.abc import Callable, Coroutine, Sequence
from typing import Any

from tricast_server.bus.tasks import end_task
from tricast_server.cluster.backoff import Backoff
from tricast_server.cluster.child import Child
from tricast_server.cluster.errors import CannotStart
from tricast_server.cluster.gather import LEAVING, WORKER_TIMEOUT, Answer
from tricast_server.cluster.ports import shares
from tricast_server.cluster.waiting import first_of

log = logging.getLogger(__name__)

READY_TIMEOUT = 90.0
"""Seconds to load the log."""
DRAIN_SLACK = 5.0
"""Seconds beyond the drain's own after which a worker is killed."""
HURRY_TIMEOUT = 3.0


class Place:
    """See the module."""

    def __init__(self, number: int) -> None:
        self.name = str(number + 1)
        self.worker: Child | None = None
        """It is ready, and has not begun to leave."""
        self.state = "starting"
        self.restarts = 0
        self.backoff = Backoff()
        self.wanted = asyncio.Event()
        """A new worker, for the one that is there."""
        self.renewal: asyncio.Future[bool] | None = None


class Crew:
    """`start`, then `run` until that is cancelled, then `end`; on one event loop.

    `orders` are what every worker is told, `drain_timeout` what it is given to leave, `more` what is to be told with
    the figures of all.
    """

    def __init__(
        self,
        ports: Sequence[Sequence[socket.socket]],
        orders: Callable[[str], dict[str, Any]],
        drain_timeout: float,
        more: Callable[[], dict[str, Any]],
    ) -> None:
        self._ports = ports
        self._orders = orders
        self._patience = drain_timeout + DRAIN_SLACK
        self._more = more
        self._places = [Place(number) for number in range(len(ports))]
        self._children: set[Child] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._ending = False

    async def start(self) -> None:
        """Returns when all serve. Raises CannotStart."""
        tasks = [asyncio.create_task(self._bring(place)) for place in self._places]
        try:
            for place, task in zip(self._places, tasks, strict=True):
                self._seat(place, await task)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)  # one reason is enough

    async def run(self) -> None:
        """Fills every place again whose worker has ended."""
        async with asyncio.TaskGroup() as group:
            for place in self._places:
                group.create_task(self._keep(place))

    async def renew(self) -> bool:
        """A new worker in each place, one after the other. False where one does not come up: the rest stay as they are.

        A worker that is replaced goes when its clients have what they are owed. Not while another such call goes on.
        """
        for place in self._places:
            place.renewal = asyncio.get_running_loop().create_future()
            place.wanted.set()
            if not await place.renewal:
                return False
        return True

    async def end(self, hurry: asyncio.Event) -> None:
        """Has all of them drain; with `hurry` it ends at once. No worker is left."""
        self._ending = True
        for child in self._children:
            child.signal(signal.SIGTERM)
        await self._all_ended(self._patience, hurry)
        if hurry.is_set():
            for child in self._children:
                child.signal(signal.SIGTERM)
            await self._all_ended(HURRY_TIMEOUT, asyncio.Event())
        for child in list(self._children):
            await child.aclose()
        for task in list(self._tasks):
            await asyncio.wait((task,))

    async def _all_ended(self, timeout: float, hurry: asyncio.Event) -> None:
        all_ended = asyncio.Event()

        async def wait() -> None:
            for child in list(self._children):
                await child.ended.wait()
            all_ended.set()

        self._spawn(wait())
        await first_of(all_ended, hurry, timeout=timeout)

    # One place

    async def _keep(self, place: Place) -> None:
        while True:
            worker = place.worker
            if worker is not None:
                await first_of(worker.leaving, place.wanted)
                if worker.leaving.is_set():
                    self._lost(place, worker)
                    await self._pause(place)
            renewal, place.renewal = place.renewal, None
            place.wanted.clear()
            fresh = await self._replace(place)
            if renewal is not None and not renewal.done():
                renewal.set_result(fresh)
            if place.worker is None:
                await self._pause(place)

    async def _replace(self, place: Place) -> bool:
        """A new worker takes the place, and the old one, if there is one, leaves. False where none comes up, or the
        new one is gone before the old one.
        """
        try:
            worker = await self._bring(place)
        except CannotStart as error:
            log.warning("worker %s does not come up: %s", place.name, error)
            return False
        old = place.worker
        self._seat(place, worker)
        if old is not None:
            old.signal(signal.SIGTERM)
            self._spawn(self._part(old))
            await first_of(old.ended, worker.leaving)
        return not worker.leaving.is_set()

    async def _watch(self, place: Place, worker: Child) -> None:
        """At once, whatever else goes on in that place: a new worker, that is to replace this one, may need long."""
        await worker.leaving.wait()
        self._lost(place, worker)

    def _lost(self, place: Place, worker: Child) -> None:
        """It has ended, or somebody else has told it to. Not where another one has taken its place already."""
        if place.worker is not worker or self._ending:
            return
        place.worker = None
        place.state = "starting"
        self._share()
        place.restarts += 1
        self._spawn(self._part(worker))
        if worker.ended.is_set():
            log.warning("worker %s %s; another one takes its place", place.name, worker.how_it_ended)
        else:
            log.info("worker %s leaves; another one takes its place", place.name)

    async def _pause(self, place: Place) -> None:
        """As long as it should be before the next start."""
        place.state = "waiting"
        wait = place.backoff.down(asyncio.get_running_loop().time())
        if wait:
            log.info("worker %s is started in %g s", place.name, wait)
            await first_of(place.wanted, timeout=wait)
        place.state = "starting"

    async def _bring(self, place: Place) -> Child:
        """A worker that could serve. Raises CannotStart."""
        child = Child(place.name, self._on_ask)
        self._children.add(child)
        try:
            await child.start(self._orders(place.name), self._ports)
            if not await first_of(child.ready, child.ended, timeout=READY_TIMEOUT):
                raise CannotStart(f"it was not ready within {READY_TIMEOUT:g} s")
            if not child.ready.is_set():
                raise CannotStart(child.failure or f"it {child.how_it_ended}")
        except BaseException as error:
            await child.aclose()
            self._children.discard(child)
            if isinstance(error, OSError):
                raise CannotStart(str(error)) from error
            raise
        return child

    def _seat(self, place: Place, worker: Child) -> None:
        place.worker = worker
        place.state = "serving"
        place.backoff.up(asyncio.get_running_loop().time())
        self._share()
        self._spawn(self._watch(place, worker))

    def _share(self) -> None:
        """Tells each on whose sockets it is to accept."""
        for place, share in zip(self._places, shares([p.worker is not None for p in self._places]), strict=True):
            if place.worker is not None:
                place.worker.listen(share)

    async def _part(self, worker: Child) -> None:
        """Returns when a worker that leaves is gone."""
        if not await first_of(worker.ended, timeout=self._patience):
            log.warning("worker %s does not end, and is killed", worker.name)
        await worker.aclose()
        self._children.discard(worker)

    # What the figures of all are asked for

    async def figures(self) -> list[Answer]:
        """Of every place, and of those that are leaving. Who does not answer in time says nothing."""
        sitting = {place.worker for place in self._places}
        leaving = [child for child in self._children - sitting if child.ready.is_set() and not child.ended.is_set()]
        answers: list[tuple[Answer, Child | None]] = [
            (
                {
                    "worker": place.name,
                    "pid": place.worker.pid if place.worker is not None else None,
                    "state": place.state,
                    "restarts": place.restarts,
                },
                place.worker,
            )
            for place in self._places
        ]
        answers += [({"worker": child.name, "pid": child.pid, "state": LEAVING}, child) for child in leaving]
        tasks = {asyncio.create_task(child.figures()): answer for answer, child in answers if child is not None}
        done: set[asyncio.Task[dict[str, Any] | None]] = set()
        if tasks:
            done, late = await asyncio.wait(tasks, timeout=WORKER_TIMEOUT)
            for task in late:
                await end_task(task)
        for task in done:
            tasks[task].update(task.result() or {})
        return [answer for answer, _ in answers]

    def _on_ask(self, asker: Child, number: int) -> None:
        async def answer() -> None:
            asker.told(number, {"workers": await self.figures(), **self._more()})

        self._spawn(answer())

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        """Work that ends by itself, with the workers at the latest."""
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
