"""Who is told when something comes: members that are written the same bytes, found by topic."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Sequence
from typing import Generic, Protocol, TypeAlias, TypeVar

from tricast_server.bus.log import Entry
from tricast_server.bus.meters import Flow
from tricast_server.bus.view import Framing, Identity, Slice, View

PARKED_CHECK = 5.0


class Parked:
    """A poll that waits for the next message of its view, until `ends` on the loop's clock.

    `gone` tells whether its client has left.
    """

    __slots__ = ("__weakref__", "_ends", "_gone", "_woken")

    def __init__(self, loop: asyncio.AbstractEventLoop, ends: float, gone: Callable[[], bool]) -> None:
        self._ends = ends
        self._gone = gone
        self._woken: asyncio.Future[Slice | None] | None = loop.create_future()

    async def wait(self) -> Slice | None:
        """Once; see `wake`. Nothing of it is kept afterwards, though the timer comes round later."""
        assert self._woken is not None
        try:
            return await self._woken
        finally:
            self._woken = None
            self._gone = bool

    def wake(self, part: Slice | None = None) -> None:
        """`part` is what there is to read from its cursor on, where that is known."""
        if self._woken is not None and not self._woken.done():
            self._woken.set_result(part)

    def first_look(self, now: float) -> float:
        return min(self._ends, now + PARKED_CHECK)

    def beat(self, now: float) -> float | None:
        if self._woken is None or self._woken.done():
            return None
        if now >= self._ends or self._gone():
            self.wake()
            return None
        return self.first_look(now)


class Wire(Protocol):
    """What the flush needs of a connection's transport: that of asyncio has it."""

    def is_closing(self) -> bool: ...

    def get_write_buffer_size(self) -> int: ...

    def write(self, data: bytes, /) -> object: ...


_Key: TypeAlias = tuple[frozenset[str], str, Identity | None]
Member = TypeVar("Member")


class Audience(Generic[Member]):
    """Members that are told the same: same topics, same framing, nobody or the same one hidden.

    Each with the transport that the flush may write to by itself. `last_write`: when it last did so; `flow` counts it.
    """

    __slots__ = ("flow", "framing", "key", "last_write", "members", "view")

    flow: Flow

    def __init__(self, key: _Key, view: View, framing: Framing | None) -> None:
        self.key = key
        self.view = view
        self.framing = framing
        self.members: dict[Member, Wire | None] = {}
        self.last_write = 0.0


class Audiences(Generic[Member]):
    """All audiences of one kind of member. One without members is forgotten, and costs nothing."""

    def __init__(self) -> None:
        self._by_key: dict[_Key, Audience[Member]] = {}
        self._by_topic: dict[str, dict[Audience[Member], None]] = {}

    def add(
        self, member: Member, view: View, framing: Framing | None = None, transport: Wire | None = None
    ) -> Audience[Member]:
        key = _key(view, framing)
        audience = self._by_key.get(key)
        if audience is None:
            audience = self._by_key[key] = Audience(key, view, framing)
            for topic in view.topics:
                self._by_topic.setdefault(topic, {})[audience] = None
        audience.members[member] = transport
        return audience

    def remove(self, member: Member, audience: Audience[Member]) -> None:
        audience.members.pop(member, None)
        if audience.members or self._by_key.get(audience.key) is not audience:
            return
        del self._by_key[audience.key]
        for topic in audience.view.topics:
            others = self._by_topic[topic]
            del others[audience]
            if not others:
                del self._by_topic[topic]

    def members(self) -> list[Member]:
        return [member for audience in self._by_key.values() for member in audience.members]

    def told(self, entries: Sequence[Entry]) -> Iterator[tuple[Audience[Member], list[Entry]]]:
        """Each audience with what it is shown of `entries`, in log order."""
        told: dict[Audience[Member], list[Entry]] = {}
        for entry in entries:
            for audience in self._by_topic.get(entry.topic, ()):
                told.setdefault(audience, []).append(entry)
        for audience, shown in told.items():
            if audience.view.hidden is not None:
                shown = [entry for entry in shown if audience.view.shows(entry)]
            if shown:
                yield audience, shown


def _key(view: View, framing: Framing | None) -> _Key:
    return (frozenset(view.topics), framing.name if framing is not None else "", view.hidden)
