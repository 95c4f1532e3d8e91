"""Many clients and one schedule: who listens to what, who sends when, and what became of it."""

from __future__ import annotations

import os
import secrets
import time
from array import array
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import gevent
from gevent import lock

from tricast.wire.messages import TransportName
from tricast_bench.contents import Content
from tricast_bench.load import Stamp, payload
from tricast_bench.recorder import Account, Recorder, Tally
from tricast_bench.users.base import PLAIN, Client, Link, Tongue
from tricast_bench.users.longpoll import LongPollLink
from tricast_bench.users.sse import SSELink
from tricast_bench.users.tcp import Target, Wire
from tricast_bench.users.websocket import WebSocketLink

LINKS: dict[TransportName, type[Link]] = {link.name: link for link in (WebSocketLink, SSELink, LongPollLink)}
TOPIC = "bench"
AT_THE_DOOR = 50
"""Connects at one time: fewer than what waits in a server's backlog."""
COARSE = 0.0013
STEP = 0.00005
SLOW_BUFFER = 16 * 2**10
SLOW_PAUSE = 0.25
"""A slow reader takes what a small buffer holds, four times a second."""


@cache
def host_mark() -> str:
    """Two processes with the same one share a monotonic clock. Of this boot of this machine, as far as it is known."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text()[:8]
    except OSError:
        return f"{os.getpid():08x}"


@dataclass(frozen=True, slots=True)
class Member:
    """A subscriber, and the account of what it got."""

    client: Client
    account: Account
    topic: str
    sender: str

    @property
    def transport(self) -> TransportName:
        return self.client.link.name


class Crowd:
    """Subscribers of one topic with one publisher beside them; or of a topic each, to which each publishes itself.

    The publisher is a WebSocket that hears nothing and is not counted, whatever the subscribers are; it speaks in their
    format, and what it sends is never compressed. `slow` of the members, the first, read slowly and are left out of the
    latencies, but not out of the account.
    """

    def __init__(
        self,
        target: Target,
        *,
        own_topics: bool = False,
        size: int = 64,
        content: Content = "letters",
        tongue: Tongue = PLAIN,
        slow: int = 0,
        last: int = 0,
        poll_wait: float | None = None,
        at_the_door: int = AT_THE_DOOR,
        from_zero: bool = True,
    ) -> None:
        self.members: list[Member] = []
        self.recorders: dict[TransportName, Recorder] = {name: Recorder() for name in LINKS}
        self.unheard: dict[TransportName, Recorder] = {name: Recorder() for name in LINKS}
        """Of the slow readers."""
        self.sent: Counter[str] = Counter()
        self.lag = array("q")
        """Nanoseconds from when a message should have been handed over until it was; without the warm-up."""
        self.first: dict[str, int] = {}
        """The number of each sender's first message after the warm-up."""
        self._begin = 0
        self._target = target
        self._own_topics = own_topics
        self._size = size
        self._content = content
        self._tongue = tongue
        self._slow = slow
        self._last = last
        self._poll_wait = poll_wait
        self._from_zero = from_zero
        self._door = lock.BoundedSemaphore(at_the_door)
        self._mark = f"{host_mark()}-{secrets.token_hex(4)}"  # accounts know it by its beginning
        self._publisher: Client | None = None
        self._left: list[Member] = []

    def join(self, transport: TransportName) -> Member:
        """A new member; `enter` connects it."""
        number = len(self.members) + len(self._left)
        slow = number < self._slow
        topic = f"{TOPIC}.{self._mark}.{number}" if self._own_topics else TOPIC
        recorders = self.unheard if slow else self.recorders
        account = Account(recorders[transport], host=host_mark(), from_zero=self._from_zero)
        client = Client(
            LINKS[transport],
            self._target,
            (topic,),
            account.hear,
            last=self._last,
            receive_buffer=SLOW_BUFFER if slow else None,
            tongue=self._tongue,
        )
        if self._poll_wait is not None and isinstance(client.link, LongPollLink):
            client.link.wait = self._poll_wait
        member = Member(client, account, topic, f"{self._mark}-{number}" if self._own_topics else self._mark)
        self.members.append(member)
        return member

    def enter(self, member: Member) -> None:
        """Connects and listens until the greenlet is killed. Waits at the door before."""
        self._door.acquire()
        member.client.ready.rawlink(lambda _: self._door.release())
        member.client.run()

    def leave(self, member: Member) -> None:
        """Publishes no more, and is not waited for. What its account says is kept."""
        if member in self.members:
            self.members.remove(member)
            self._left.append(member)

    def hire(self) -> None:
        """The publisher, where members do not publish themselves. Idempotent."""
        if self._own_topics or self._publisher is not None:
            return
        # 128 random bits: an inbox that nobody writes to.
        inbox = f"_inbox.{secrets.token_hex(16)}"
        tongue = Tongue(format=self._tongue.format)
        self._publisher = Client(WebSocketLink, self._target, (inbox,), lambda *_: None, tongue=tongue)
        gevent.spawn(self._publisher.run)

    def close(self) -> None:
        """Ends the publisher; members end with their greenlets."""
        if self._publisher is not None:
            self._publisher.close()

    def wait_ready(self, count: int, timeout: float) -> None:
        """Returns when so many have had their hello, and the publisher too. Raises Refused, TimeoutError."""
        self.hire()
        deadline = time.monotonic() + timeout
        while True:
            ready = [
                client for client in (member.client for member in (*self.members, *self._left)) if client.ready.ready()
            ]
            for client in ready:
                client.ready.get()
            if len(ready) >= count:
                break
            if time.monotonic() > deadline:
                raise TimeoutError(f"{len(ready)} of {count} clients are connected after {timeout:g} s")
            gevent.sleep(0.01)
        if self._publisher is not None:
            self._publisher.ready.get(timeout=timeout)

    def play(self, offsets: Iterator[int], start: int, until: int) -> None:
        """Sends at `start` plus each offset, before `until` (monotonic, ns). Falls behind rather than leave out."""
        clock = time.monotonic_ns
        for turn, offset in enumerate(offsets):
            intended = start + offset
            if intended >= until:
                return
            _wait_until(intended)
            if intended >= self._begin:
                self.lag.append(clock() - intended)
            self._publish(turn, intended)

    def publish_one(self) -> None:
        """Now."""
        self._publish(0, time.monotonic_ns())

    @property
    def _clients(self) -> list[Client]:
        """All that may publish."""
        others = [self._publisher] if self._publisher is not None else []
        return [*(member.client for member in self.members), *others]

    def complete(self) -> bool:
        return all(member.account.complete(self._sent_to(member)) for member in self.members)

    def finish(self) -> None:
        """What has not come by now will not come."""
        for member in self.members:
            member.account.finish(self._sent_to(member))

    def hurry(self) -> None:
        """Slow readers may read as they like, so that they come to an end."""
        for member in self.members:
            member.client.link.pause = 0.0

    def dawdle(self) -> None:
        """Slow readers are slow."""
        for member in self.members[: self._slow]:
            member.client.link.pause = SLOW_PAUSE

    def tally(self, transport: TransportName, first: Mapping[str, int]) -> Tally:
        """Of the members on this transport."""
        everyone = (*self.members, *self._left)
        return Tally.of((member.account for member in everyone if member.transport == transport), first)

    def firsts(self, transport: TransportName) -> tuple[float, ...]:
        """Seconds until each had its hello, or its first message; of those that had."""
        clients = [member.client for member in self.members if member.transport == transport]
        return tuple(client.first for client in clients if client.first is not None)

    @property
    def ticks(self) -> int:
        """Heartbeats and empty polls that have come."""
        return sum(member.client.ticks for member in self.members)

    @property
    def failed(self) -> str | None:
        """Why something that was published was refused, or that connections ended."""
        for client in self._clients:
            if client.failed is not None:
                return f"the server refused a message: {client.failed}"
            if client.reconnects:
                return f"a connection ended ({client.cut or 'in order'}), and the client came back"
        return None

    def restart(self, start: int) -> None:
        """From here on: what was meant to be sent at `start` (monotonic, ns) or later is measured."""
        for recorder in (*self.recorders.values(), *self.unheard.values()):
            recorder.restart(start)
        self._begin, self.first = start, dict(self.sent)
        del self.lag[:]
        self.dawdle()

    def wire(self, transport: TransportName | None = None) -> Wire:
        """What passed over the connections of the members until now."""
        of_it = [member for member in self.members if transport in (None, member.transport)]
        return sum((member.client.link.counted() for member in of_it), Wire())

    def _publish(self, turn: int, intended: int) -> None:
        if self._publisher is not None:
            client, topic, sender = self._publisher, TOPIC, self._mark
        elif self.members:
            member = self.members[turn % len(self.members)]
            client, topic, sender = member.client, member.topic, member.sender
        else:
            return
        number = self.sent[sender]
        self.sent[sender] = number + 1
        if intended < self._begin:
            self.first[sender] = number + 1
        data = payload(Stamp(sender, number, intended), self._size, self._content)
        client.publish(topic, data, f"{sender}-{number}")

    def _sent_to(self, member: Member) -> dict[str, int]:
        return {member.sender: self.sent[member.sender]}


def _wait_until(moment: int) -> None:
    """The event loop's timers are late by up to a millisecond, so the last stretch goes in small steps between turns.

    (Where locust has patched `time.sleep`, it is the loop's timers after all.)
    """
    left = (moment - time.monotonic_ns()) / 1e9
    gevent.sleep(max(0.0, left - COARSE))
    while (left := (moment - time.monotonic_ns()) / 1e9) > 0:
        time.sleep(min(left, STEP))
        gevent.sleep(0)
