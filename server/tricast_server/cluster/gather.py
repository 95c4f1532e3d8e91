"""One `/stats` and one `/metrics` for all workers, whichever of them is asked.

That one asks the supervisor, which knows them all and asks each. Who does not answer in time is named as such.
"""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Callable, Coroutine, Iterable, Iterator, Mapping, Sequence
from typing import Any, Generic, TypeVar

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.parser import text_string_to_metric_families

from tricast.wire.cursor import Cursor
from tricast_server import metrics
from tricast_server.alone import Alone
from tricast_server.bus.tasks import end_task
from tricast_server.cluster.channel import Channel
from tricast_server.overview import Overview

WORKER_TIMEOUT = 1.0
SUPERVISOR_TIMEOUT = 2.0
FRESH = 1.0
"""Seconds for which an answer is given again: to make one costs every worker something, and anybody may ask."""
LEAVING = "leaving"

Answer = dict[str, Any]
"""What the supervisor says of one worker: worker, pid, state, restarts; and where it answered its stats and metrics."""


T = TypeVar("T")


class Shared(Generic[T]):
    """What `find` finds, for all who ask until FRESH seconds later; it runs once at a time."""

    def __init__(self, find: Callable[[], Coroutine[Any, Any, T]]) -> None:
        self._find = find
        self._finding: asyncio.Task[T] | None = None
        self._until = 0.0

    async def get(self) -> T:
        """Raises what `find` raises. Cancelling one of those who ask leaves it to the others."""
        if self._finding is None or (self._finding.done() and asyncio.get_running_loop().time() >= self._until):
            self._finding = asyncio.create_task(self._found())
        return await asyncio.shield(self._finding)

    async def close(self) -> None:
        if self._finding is not None and not self._finding.done():
            await end_task(self._finding)

    async def _found(self) -> T:
        found = await self._find()
        self._until = asyncio.get_running_loop().time() + FRESH
        return found


class Together(Overview):
    """The figures of all workers, with their totals, which are up to FRESH seconds old. `close` when nobody asks."""

    def __init__(self, name: str, own: Alone, channel: Channel) -> None:
        self._name = name
        self._own = own
        self._channel = channel
        self._numbers = itertools.count(1)
        self._asked: dict[int, asyncio.Future[dict[str, Any]]] = {}
        self._stats = Shared(self._new_stats)
        self._metrics = Shared(self._new_metrics)

    def told(self, number: int, answer: dict[str, Any]) -> None:
        """The supervisor's answer has come: the workers', and what it says besides."""
        future = self._asked.get(number)
        if future is not None and not future.done():
            future.set_result(answer)

    async def stats(self) -> dict[str, Any]:
        return await self._stats.get()

    async def metrics(self) -> str:
        return await self._metrics.get()

    async def close(self) -> None:
        await self._stats.close()
        await self._metrics.close()

    async def _new_stats(self) -> dict[str, Any]:
        answer = await self._ask()
        workers = answer.pop("workers")
        return {**total(workers, await self._own.stats()), **answer}

    async def _new_metrics(self) -> str:
        workers = (await self._ask())["workers"]
        return await asyncio.to_thread(merged, workers)  # to read and write all that text takes a while

    async def _ask(self) -> dict[str, Any]:
        number = next(self._numbers)
        future: asyncio.Future[dict[str, Any]] = asyncio.get_running_loop().create_future()
        self._asked[number] = future
        self._channel.say(say="ask", number=number)
        try:
            async with asyncio.timeout(SUPERVISOR_TIMEOUT):
                return await future
        except TimeoutError:  # it is going away, or stands still: then we know of ourselves alone
            own = {"worker": self._name, **await figures(self._own)}
            return {"workers": [own, {"worker": "others", "state": "unknown"}]}
        finally:
            del self._asked[number]


async def figures(own: Alone) -> Answer:
    """What a worker says of itself."""
    return {"stats": await own.stats(), "metrics": await own.metrics()}


def total(answers: Sequence[Answer], own: Mapping[str, Any]) -> dict[str, Any]:
    """The stats of all. What every worker has of the one log is not added up: the most that any has counts.

    `own`: of the worker that was asked, for what is the same for all.
    """
    known: list[dict[str, Any]] = [answer["stats"] for answer in answers if "stats" in answer] or [dict(own)]

    def summed(group: str) -> dict[str, Any]:
        names = dict.fromkeys(name for stats in known for name in stats[group])
        return {name: round(sum(stats[group].get(name, 0) for stats in known), 6) for name in names}

    def most(group: str, name: str) -> Any:
        return max(stats[group][name] for stats in known)

    sizes, messages = summed("bytes"), summed("messages")
    return {
        **own,
        "uptime": max(stats["uptime"] for stats in known),
        "draining": all(stats["draining"] for stats in known),
        "backplane": {**own["backplane"], "up": all(stats["backplane"]["up"] for stats in known)},
        "connections": summed("connections"),
        "topics": max(stats["topics"] for stats in known),
        "messages": {**messages, "published": most("messages", "published"), "kept": most("messages", "kept")},
        "bytes": {**sizes, "kept": most("bytes", "kept")},
        "cursor": _furthest([str(stats["cursor"]) for stats in known], str(own["cursor"])),
        "process": summed("process"),
        "refusals": summed("refusals"),
        "workers": [_shown(answer) for answer in answers],
    }


def merged(answers: Sequence[Answer]) -> str:
    """The metrics of all with a label that says whose, each family once. A worker that leaves is no more counted:
    the one that took its place is.
    """
    return metrics.rendered(_families(answers))


def _families(answers: Sequence[Answer]) -> Iterator[Metric]:
    up = GaugeMetricFamily("tricast_worker_up", "Whether this worker serves and answers.", labels=["worker"])
    restarts = CounterMetricFamily("tricast_worker_restarts", "How often it was started again.", labels=["worker"])
    families: dict[str, Metric] = {}
    for answer in answers:
        if answer.get("state") == LEAVING:
            continue
        worker = answer["worker"]
        up.add_metric([worker], "metrics" in answer)
        restarts.add_metric([worker], answer.get("restarts", 0))
        for family in text_string_to_metric_families(answer.get("metrics", "")):
            first = families.setdefault(family.name, Metric(family.name, family.documentation, family.type))
            first.samples += _labelled(family, worker)
    yield up
    yield restarts
    yield from families.values()


def _labelled(family: Metric, worker: str) -> Iterable[Any]:
    return [sample._replace(labels={**sample.labels, "worker": worker}) for sample in family.samples]


def _shown(answer: Answer) -> dict[str, Any]:
    stats = answer.get("stats", {})
    rest = {name: value for name, value in answer.items() if name not in ("stats", "metrics")}
    return {**rest, "answered": "stats" in answer, **stats}


def _furthest(cursors: Sequence[str], own: str) -> str:
    """Of the epoch that the asked worker is in."""
    mine = Cursor.parse(own)
    others = [cursor for text in cursors if (cursor := Cursor.parse(text)) is not None]
    return (
        own if mine is None else str(max((c for c in (mine, *others) if c.epoch == mine.epoch), key=lambda c: c.offset))
    )
