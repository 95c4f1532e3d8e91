"""Which transport to open, prove, carry with and close, and when. Sans-I/O: told what happened and the time.

The transports race with a head start for the better ones. One *works* when its hello has come and an echo too (where
the last echo is recent, hello is enough to begin with). The first that works carries; a better one that works later
takes over, and only then is the old one closed. Where nothing can be sent, the best that brings a hello carries.

A loss is first only a suspicion: see `lanes`. When everything fails, `CheckOnline` tells whether the server can be
reached at all; where it cannot, nothing is held against any transport.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence

from tricast.actions import Action, Carry, CheckOnline, Close, Note, Open, Prove
from tricast.lanes import Lane, Pauses, Policy
from tricast.rounds import Round
from tricast.track import Track
from tricast.uplink import Uplink, UplinkSearch
from tricast.wire.messages import TransportName

__all__ = ["Action", "Carry", "CheckOnline", "Close", "Note", "Open", "Policy", "Prove", "Race", "Uplink"]


class Race:
    """See the module. Times are in seconds of any clock that does not go back; `jitter` gives numbers from 0 to 1.

    Every event returns what to do, in order; the actions have no outcome other than the events they lead to.
    Events of a transport that is not open are ignored. `next_time` says when to call `on_time` if nothing happens.
    """

    def __init__(
        self,
        transports: Sequence[TransportName],
        policy: Policy | None = None,
        *,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        self.policy = policy or Policy()
        names = tuple(dict.fromkeys(transports))
        self._lanes = {name: Lane(name, rank, self.policy, jitter) for rank, name in enumerate(names)}
        self._pauses = Pauses(self.policy, jitter)
        self._track = Track(self._lanes, self._pauses)
        self._round = Round(tuple(self._lanes.values()), self.policy)
        self._search = UplinkSearch(self._track, self.policy, jitter)
        # Of this round: whether the server itself has said no, whether it is being asked.
        self._answered = False
        self._checking = False

    @property
    def transports(self) -> tuple[TransportName, ...]:
        """The best first."""
        return tuple(self._lanes)

    @property
    def carrier(self) -> TransportName | None:
        carrier = self._track.carrier
        return None if carrier is None else carrier.name

    @property
    def uplink(self) -> Uplink:
        """Whether what is sent arrives, as far as is known."""
        carrier = self._track.carrier
        if carrier is not None and carrier.proven:
            return "ok"
        return "blocked" if carrier is not None and self._search.blocked else "unknown"

    def is_quarantined(self, transport: TransportName, now: float) -> bool:
        return self._lanes[transport].is_quarantined(now)

    # What happens

    def begin(self, now: float, remembered: TransportName | None = None, age: float = 0.0) -> list[Action]:
        """`remembered`: what worked `age` seconds ago starts first."""
        first = None if remembered is None else self._lanes.get(remembered)
        if first is not None:
            first.proven_at = now - age
        self._start_round(now, first)
        return self._act(now)

    def on_hello(self, transport: TransportName, now: float) -> list[Action]:
        lane = self._lanes[transport]
        if lane.state != "opening":
            return []
        lane.state = "greeted"
        self._track.actions.append(Prove(transport))
        if self._track.carrier is None and lane.is_trusted(now):
            lane.proven = True
            self._works(lane, now, "its hello came, and it worked a while ago")
        elif self._search.since is None and not self._search.is_settled:
            self._search.begin(now)
        return self._act(now)

    def on_proven(self, transport: TransportName, now: float, rtt: float | None = None) -> list[Action]:
        """An echo came back after `rtt` seconds (None: the server has answered, which is as good)."""
        lane = self._lanes[transport]
        if not lane.is_greeted:
            return []
        if rtt is not None:
            self._round.adapt(rtt)
        if not lane.proven and lane is self._track.carrier:
            self._track.actions.append(Note(transport, "uplink", "ok"))
        lane.is_proven_by_echo(now)
        self._works(lane, now, "hello and echo came")
        return self._act(now)

    def on_unproven(self, transport: TransportName, now: float, why: str = "") -> list[Action]:
        """No echo came in time, or what was sent was refused on its way."""
        lane = self._lanes[transport]
        if not lane.is_greeted:
            return []
        lane.muted = True
        if lane is self._track.carrier:
            if lane.proven:
                self._seek_uplink(lane, now)
        elif self._search.is_settled:
            self._track.fails(lane, now)
            self._track.close(lane, why or "no echo came back")
        return self._act(now)

    def on_doubt(self, transport: TransportName, now: float) -> list[Action]:
        """A command got no answer on the link that carries."""
        lane = self._lanes[transport]
        if lane is not self._track.carrier or not lane.proven:
            return []
        self._seek_uplink(lane, now)
        self._track.actions.append(Prove(transport))
        return self._act(now)

    def on_failed(
        self, transport: TransportName, now: float, *, retry_after: float | None = None, answered: bool = False
    ) -> list[Action]:
        """A link that did not carry has ended. `answered`: by the server's own word, so the network is all right."""
        lane = self._lanes[transport]
        if not lane.is_open:
            return []
        if lane is self._track.carrier:
            return self.on_lost(transport, now, 0.0, retry_after=retry_after)
        self._answered = self._answered or answered
        lane.defer(now, retry_after)
        self._track.fails(lane, now)
        self._round.hurry(now)
        return self._act(now)

    def on_lost(
        self,
        transport: TransportName,
        now: float,
        lived: float,
        *,
        retry_after: float | None = None,
        bye: bool = False,
        stalled: bool = False,
    ) -> list[Action]:
        """The link that carried has ended after `lived` seconds. `bye`: as the server had announced; `stalled`: it
        was silent for too long.
        """
        lane = self._lanes[transport]
        if lane is not self._track.carrier:
            return self.on_failed(transport, now, retry_after=retry_after)
        lane.is_lost(now, lived, blameless=bye, stalled=stalled)
        self._track.carrier = None
        self._search.end()
        fresh = [other.name for other in self._lanes.values() if not other.is_doubtful(now)]
        wait = self._pauses.after_loss(transport, lived, fresh)
        for other in self._lanes.values() if bye else [lane]:
            other.defer(now, retry_after)
        # What was good until now is first tried again, unless it has been cut twice.
        if wait or all(other.not_before > now for other in self._lanes.values()):
            self._wait(now, wait)
        else:
            self._start_round(now, lane)
        return self._act(now)

    def on_stale(self, transport: TransportName, now: float, why: str = "") -> list[Action]:
        """The link cannot go on as it is, by no fault of its own: it has other topics than are asked for, or begins
        past the cursor. It is opened anew.
        """
        lane = self._lanes[transport]
        if not lane.is_open:
            return []
        if lane is self._track.carrier:
            self._track.carrier = None
            self._search.end()
            self._round.stand_by(now, [other for other in self._lanes.values() if other is not lane])
        self._track.open(lane, now, why)
        return self._act(now)

    def on_topics(self, now: float) -> list[Action]:
        """Other topics are asked for: what is open beside the carrier is opened anew."""
        for lane in self._track.candidates():
            self._track.open(lane, now, "with other topics")
        return self._act(now)

    def on_withdrawn(self, transport: TransportName, now: float) -> list[Action]:
        """A candidate was given up by no fault of its own; it is tried again later."""
        lane = self._lanes[transport]
        if lane.is_open and lane is not self._track.carrier:
            self._track.fails(lane, now)
        return self._act(now)

    def on_online(self, now: float, online: bool) -> list[Action]:
        """The answer to `CheckOnline`."""
        self._checking = False
        if online:
            self._track.actions.append(Note(None, "online", "the server can be reached, but no transport gets through"))
            self._track.confirm(now)
        else:
            self._track.actions.append(Note(None, "offline", "nothing answers, not even /healthz"))
            self._track.acquit()
        self._rest(now)
        return self._act(now)

    def on_time(self, now: float) -> list[Action]:
        if self._round.begins_at is not None and now >= self._round.begins_at:
            self._start_round(now)
        due = [lane for lane, when in self._probes() if now >= when]
        self._search.on_time(now)
        for lane in due:
            self._track.open(lane, now, "to see whether it works by now")
        return self._act(now)

    def next_time(self) -> float | None:
        """When to call `on_time`; None while only an event can change anything."""
        times = [when for _, when in self._probes()]
        times += self._search.times()
        if (when := self._round.next_time()) is not None:
            times.append(when)
        return min(times, default=None)

    # The round

    def _act(self, now: float) -> list[Action]:
        """What is due by now, and all that came of the event."""
        self._search.end_unless_greeted()
        while (lane := self._round.take(now, self._search.since)) is not None:
            self._track.open(lane, now)
        self._search.settle(now, waiting=bool(self._round.waiting))
        pending = self._checking or self._round.next_time() is not None
        if not pending and all(not lane.is_open for lane in self._lanes.values()):
            self._round_over(now)
        actions, self._track.actions = self._track.actions, []
        return actions

    def _start_round(self, now: float, first: Lane | None = None) -> None:
        self._answered = False
        self._track.failed = []
        self._round.start(now, first)

    def _round_over(self, now: float) -> None:
        if self._answered:
            self._rest(now)
        else:
            self._checking = True
            self._track.actions.append(CheckOnline())

    def _rest(self, now: float) -> None:
        self._wait(now, self._pauses.next())

    def _wait(self, now: float, wait: float) -> None:
        """Until some transport may be tried again, and `wait` at least."""
        allowed = min(lane.not_before for lane in self._lanes.values())
        until = max(now + wait, allowed)
        self._round.wait_until(until)
        self._track.actions.append(Note(None, "wait", f"{until - now:.2f} s"))

    # Who carries

    def _works(self, lane: Lane, now: float, why: str) -> None:
        self._track.confirm(now)
        carrier = self._track.carrier
        if carrier is None or not carrier.proven or lane.rank < carrier.rank:
            self._track.carry(lane, now, why)
            carrier = lane
        elif lane is not carrier:
            self._track.close(lane, "another one works")
        self._calm(carrier, now)

    def _calm(self, carrier: Lane, now: float) -> None:
        """The carrier works in both directions: what is worse is not needed."""
        self._round.stop()
        self._search.end()
        for lane in self._track.candidates():
            if lane.rank > carrier.rank:
                self._track.close(lane, f"{carrier.name} works")
                lane.plan_probe(now)

    def _probes(self) -> list[tuple[Lane, float]]:
        """What is worth a try beside the carrier, and when. Where nothing can be sent, also what is in quarantine."""
        carrier = self._track.carrier
        if carrier is None:
            return []
        idle = [lane for lane in self._lanes.values() if not lane.is_open and lane not in self._round.waiting]
        if not carrier.proven:
            # Whenever the carrier's own uplink is asked again, so are the others'.
            return [
                (lane, min(lane.probe_at, self._search.again_at) if self._search.blocked else lane.probe_at)
                for lane in idle
            ]
        return [(lane, max(lane.probe_at, lane.quarantined_until)) for lane in idle if lane.rank < carrier.rank]

    def _seek_uplink(self, lane: Lane, now: float) -> None:
        """The carrier goes on bringing messages, while the others are asked whether they can send."""
        lane.proven, lane.proven_at = False, None
        self._search.begin(now)
        self._round.stand_by(now, self._lanes.values(), at_once=lane.muted)
