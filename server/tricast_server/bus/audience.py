"""Who is told when something comes: members that are written the same bytes, found by topic."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Iterator, Sequence
from typing import Protocol, TypeAlias

from tricast_server.bus.log import Entry
from tricast_server.bus.view import Framing, Identity, View

PARKED_CHECK = 5.0


class Parked:
    """A poll that waits for the next message of its view. `gone` tells whether its client has left."""

    __slots__ = ("_gone", "_woken", "view")

    def __init__(self, view: View, gone: Callable[[], bool]) -> None:
        self.view = view
        self._gone = gone
        self._woken: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def deliver(self, data: bytes, now: float) -> None:
        self.wake()

    def fall_behind(self) -> None:
        self.wake()

    def fail(self) -> None:
        self.wake()

    def release(self) -> None:
        """It is over; nothing of its request is kept until the timer comes round."""
        self.wake()
        self._gone = bool

    def wake(self) -> None:
        if not self._woken.done():
            self._woken.set_result(None)

    def beat(self, now: float) -> float | None:
        if self._woken.done():
            return None
        if self._gone():
            self.wake()
            return None
        return now + PARKED_CHECK

    async def wait(self, seconds: float) -> None:
        """Returns when something came, the client left or the time is up. Cancelling is safe."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._woken


class Member(Protocol):
    """Who is told by the flush."""

    def deliver(self, data: bytes, now: float) -> None: ...

    def fall_behind(self) -> None: ...

    def fail(self) -> None:
        """What it was to be written could not be made."""


class Wire(Protocol):
    """What the flush needs of a connection's transport: that of asyncio has it."""

    def is_closing(self) -> bool: ...

    def get_write_buffer_size(self) -> int: ...

    def write(self, data: bytes, /) -> object: ...


_Key: TypeAlias = tuple[frozenset[str], str, Identity | None]


class Audience:
    """Members that are written the same bytes: same topics, same framing, nobody or the same one hidden.

    Each with the transport that the flush may write to by itself. `last_write`: when it last did so.
    """

    __slots__ = ("framing", "key", "last_write", "members", "view")

    def __init__(self, key: _Key, view: View, framing: Framing | None) -> None:
        self.key = key
        self.view = view
        self.framing = framing
        self.members: dict[Member, Wire | None] = {}
        self.last_write = 0.0


class Audiences:
    """All audiences of a bus. One without members is forgotten, and costs nothing."""

    def __init__(self) -> None:
        self._by_key: dict[_Key, Audience] = {}
        self._by_topic: dict[str, dict[Audience, None]] = {}

    def add(self, member: Member, view: View, framing: Framing | None, transport: Wire | None = None) -> Audience:
        key = _key(view, framing)
        audience = self._by_key.get(key)
        if audience is None:
            audience = self._by_key[key] = Audience(key, view, framing)
            for topic in view.topics:
                self._by_topic.setdefault(topic, {})[audience] = None
        audience.members[member] = transport
        return audience

    def remove(self, member: Member, view: View, framing: Framing | None) -> None:
        audience = self._by_key[_key(view, framing)]
        audience.members.pop(member, None)
        if audience.members:
            return
        del self._by_key[audience.key]
        for topic in audience.view.topics:
            others = self._by_topic[topic]
            del others[audience]
            if not others:
                del self._by_topic[topic]

    def members(self) -> list[Member]:
        return [member for audience in self._by_key.values() for member in audience.members]

    def told(self, entries: Sequence[Entry]) -> Iterator[tuple[Audience, list[Entry]]]:
        """Each audience with what it is shown of `entries`, in log order."""
        told: dict[Audience, list[Entry]] = {}
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
