"""The fallback in random networks, on a simulated clock: never two carriers, never stuck, never in a hurry."""

from __future__ import annotations

import heapq
import itertools
import random
from bisect import bisect_left
from collections.abc import Callable
from dataclasses import dataclass, replace

from hypothesis import given, settings
from hypothesis import strategies as st

from tricast.fallback import Carry, CheckOnline, Close, Note, Open, Prove, Race
from tricast.wire.messages import TransportName

ALL: tuple[TransportName, ...] = ("ws", "sse", "poll")
CONNECT_TIMEOUT = 5.0
PROOF_TIMEOUT = 3.0
HEALTHZ_TIMEOUT = 3.0
OPENS_PER_MINUTE = 60


@dataclass(frozen=True)
class Path:
    """What the network does with one transport. `cut_after`: seconds that a link lives."""

    connects: str = "ok"  # ok | refused | silent
    uplink: bool = True
    rtt: float = 0.02
    cut_after: float | None = None
    refuses_after: float = 0.01

    @property
    def steady(self) -> bool:
        return self.connects == "ok" and self.uplink and self.cut_after is None


@dataclass(frozen=True)
class Network:
    paths: dict[TransportName, Path]
    online: bool = True


class World:
    """Plays a network to a race, checks what holds at any time, and counts."""

    def __init__(self, network: Network, seed: int, transports: tuple[TransportName, ...] = ALL) -> None:
        self.network = network
        self.now = 0.0
        self.race = Race(transports, jitter=random.Random(seed).random)
        self.links: dict[TransportName, int] = {}
        self.carrier: TransportName | None = None
        self.since = 0.0
        self.opened: list[tuple[float, TransportName]] = []
        self.checks: list[float] = []
        self.switches: list[float] = []
        self._events: list[tuple[float, int, Callable[[], None]]] = []
        self._numbers = itertools.count()
        self._do(self.race.begin(0.0))

    def run(self, until: float) -> None:
        steps = 0
        while True:
            steps += 1
            assert steps < 200_000, "it spins"
            due = self.race.next_time()
            event = self._events[0][0] if self._events else None
            when = min((at for at in (due, event) if at is not None), default=None)
            if when is None or when > until:
                break
            self.now = max(self.now, when)
            if event is not None and event <= self.now:
                heapq.heappop(self._events)[2]()
            else:
                self._do(self.race.on_time(self.now))
                after = self.race.next_time()
                assert after is None or after > self.now, "what is due was not done"
        self.now = until

    def change(self, network: Network) -> None:
        """Links that the new network would not let live are cut."""
        self.network = network
        for name in list(self.links):
            path = network.paths[name]
            if not network.online or path.connects != "ok":
                self._at(0.05, name, lambda name=name: self._end(name))  # type: ignore[misc]  # lambda
            elif not path.uplink:
                self._at(0.1, name, lambda name=name: self._do(self.race.on_doubt(name, self.now)))  # type: ignore[misc]  # lambda
            if path.cut_after is not None:
                self._at(path.cut_after, name, lambda name=name: self._end(name))  # type: ignore[misc]  # lambda

    def _at(self, delay: float, name: TransportName | None, event: Callable[[], None]) -> None:
        link = None if name is None else self.links.get(name)

        def happen() -> None:
            if name is None or self.links.get(name) == link:
                event()

        heapq.heappush(self._events, (self.now + delay, next(self._numbers), happen))

    def _do(self, actions: list[object] | list[Open | Prove | Carry | Close | CheckOnline | Note]) -> None:
        for action in actions:
            match action:
                case Open(name):
                    self._open(name)
                case Prove(name):
                    path = self.network.paths[name]
                    if path.uplink and self.network.online:
                        self._at(path.rtt, name, lambda name=name: self._do(self.race.on_proven(name, self.now, 0.02)))  # type: ignore[misc]  # lambda
                    else:
                        self._at(
                            PROOF_TIMEOUT,
                            name,
                            lambda name=name: self._do(self.race.on_unproven(name, self.now)),  # type: ignore[misc]  # lambda
                        )
                case Carry(name):
                    assert name in self.links, "it carries on a link that is open"
                    if self.carrier != name:
                        self.switches.append(self.now)
                    self.carrier, self.since = name, self.now
                case Close(name):
                    assert name != self.carrier or self.race.carrier != name
                    del self.links[name]
                    if self.carrier == name:
                        self.carrier = None
                case CheckOnline():
                    assert not self.links, "nothing is open when it asks"
                    self.checks.append(self.now)
                    online = self.network.online
                    self._at(
                        0.05 if online else HEALTHZ_TIMEOUT,
                        None,
                        lambda online=online: self._do(self.race.on_online(self.now, online)),  # type: ignore[misc]  # lambda
                    )
        assert self.race.carrier == self.carrier, "one carrier, and both know which"
        assert self.carrier is not None or self.links or self.race.next_time() is not None or self._events, "stuck"

    def _open(self, name: TransportName) -> None:
        if self.race.is_quarantined(name, self.now):
            assert self.race.uplink != "ok", "there is something better than what is in quarantine"
        assert name != self.carrier
        self.opened.append((self.now, name))
        self.links[name] = next(self._numbers)
        path = self.network.paths[name]
        if not self.network.online or path.connects == "refused":
            self._at(path.refuses_after, name, lambda: self._end(name))
        elif path.connects == "silent":
            self._at(CONNECT_TIMEOUT, name, lambda: self._end(name))
        else:
            self._at(path.rtt, name, lambda: self._do(self.race.on_hello(name, self.now)))
            if path.cut_after is not None:
                self._at(path.rtt + path.cut_after, name, lambda: self._end(name))

    def _end(self, name: TransportName) -> None:
        del self.links[name]
        if self.carrier == name:
            self.carrier = None
            self._do(self.race.on_lost(name, self.now, self.now - self.since))
        else:
            self._do(self.race.on_failed(name, self.now))

    def opened_within(self, seconds: float) -> int:
        """The most that were opened in any such time."""
        times = [when for when, _ in self.opened]
        return max((bisect_left(times, start + seconds) - index for index, start in enumerate(times)), default=0)


paths = st.builds(
    Path,
    connects=st.sampled_from(["ok", "ok", "refused", "silent"]),
    uplink=st.sampled_from([True, True, False]),
    rtt=st.sampled_from([0.001, 0.02, 0.3]),
    cut_after=st.sampled_from([None, None, 0.0, 0.5, 10.0, 60.0]),
    refuses_after=st.sampled_from([0.001, 0.2]),
)
networks = st.builds(
    Network,
    paths=st.fixed_dictionaries(dict.fromkeys(ALL, paths)),
    online=st.sampled_from([True, True, True, False]),
)
steady_networks = networks.map(lambda network: replace(network, online=True)).filter(
    lambda network: any(path.steady for path in network.paths.values())
)
seeds = st.integers(0, 10)


@settings(max_examples=100, deadline=None)
@given(st.lists(st.tuples(networks, st.floats(0.1, 100)), max_size=6), steady_networks, seeds)
def test_it_ends_up_with_the_best_that_is_steady(
    before: list[tuple[Network, float]], network: Network, seed: int
) -> None:
    """Whatever happened before, within the longest pauses; and it does not flap."""
    world = World(before[0][0] if before else network, seed)
    for earlier, seconds in before:
        world.change(earlier)
        world.run(world.now + seconds)
    world.change(network)
    start = world.now
    world.run(start + 60)
    steady = [name for name in ALL if network.paths[name].steady]
    cut = [name for name in ALL if network.paths[name].connects == "ok" and network.paths[name].cut_after is not None]
    if not cut:
        if world.carrier not in steady:
            world.run(start + 80)  # a cut from before the change may just have come
        assert world.carrier in steady
        assert world.race.uplink == "ok"
        world.run(start + 3600 + 600)
        assert world.carrier == steady[0]
    world.run(start + 4200)
    assert world.carrier is not None
    assert world.opened_within(60) <= OPENS_PER_MINUTE


@settings(max_examples=100, deadline=None)
@given(networks, seeds)
def test_the_attempts_of_a_minute_are_bounded(network: Network, seed: int) -> None:
    world = World(network, seed)
    world.run(600)
    assert world.opened_within(60) <= OPENS_PER_MINUTE
    assert len(world.checks) <= 60


@settings(max_examples=50, deadline=None)
@given(st.sampled_from([2.0, 5.0, 10.0, 16.0, 25.0]), seeds)
def test_a_network_that_cuts_websockets_settles_within_a_minute(cut_after: float, seed: int) -> None:
    world = World(Network({"ws": Path(cut_after=cut_after), "sse": Path(), "poll": Path()}), seed)
    world.run(60)
    assert world.carrier == "sse"
    assert world.switches[-1] <= 60
    calm = len(world.switches)
    world.run(3600)
    assert len(world.switches) - calm <= 14, "two for each quarantine, and these double"


@settings(max_examples=50, deadline=None)
@given(seeds, st.floats(1, 100))
def test_a_server_that_was_down_finds_its_clients_spread_out_and_none_demoted(seed: int, up: float) -> None:
    network = Network(dict.fromkeys(ALL, Path()))
    world = World(network, seed)
    world.run(up)
    world.change(replace(network, online=False))
    world.run(up + 20)
    assert world.carrier is None
    world.change(network)
    world.run(up + 20 + 19)
    assert world.carrier == "ws"
    assert not world.race.is_quarantined("ws", world.now)


def test_clients_come_back_one_by_one() -> None:
    network = Network(dict.fromkeys(ALL, Path()))
    back = []
    for seed in range(100):
        world = World(network, seed)
        world.run(60)
        world.change(replace(network, online=False))
        world.run(80)
        world.change(network)
        world.run(100)
        back.append(world.switches[-1])
    assert max(back) - min(back) > 3
    assert max(sum(1 for other in back if start <= other < start + 1) for start in back) < 60
