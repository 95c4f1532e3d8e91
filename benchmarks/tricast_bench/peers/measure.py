"""One sample after the other: in each round every load is put on every server in turn, each freshly started."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal, TypeVar

from tricast_bench.peers.compiled import compiled
from tricast_bench.peers.job import Job
from tricast_bench.peers.load import Load, Outcome, loading
from tricast_bench.peers.peer import Peer
from tricast_bench.peers.tree import CoreTimes, Tree, serving, used_since
from tricast_bench.peers.workloads import Workload
from tricast_bench.servers import Cores, Unusable, allow_files, waited_of

T = TypeVar("T")

SETTLE = 0.25
"""Seconds that new connections are left alone, so that all polls are parked."""
REST = 0.05
"""Seconds after a sample before the CPU is read, in which polls are repeated."""
REST_POLLS = 100
"""Where there are more polls, it is longer in proportion."""
HOLD = 1.0
"""Seconds that idle connections are held before the memory is read."""
FIRST_CONNECTIONS = 50
"""Opened and closed before memory is read the first time, so that what comes with the first ones is not counted."""
Metric = Literal["us_per_delivery", "deliveries_per_second", "p50", "p99", "kib_per_connection"]
"""What `Measured` has."""
ATTEMPTS = 2
FOREIGN_MAX = 0.1
GENERATOR_SHARE_MAX = 0.8


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What to measure. `seconds` is one sample, `warm_up` before each is dropped."""

    rounds: int
    seconds: float
    warm_up: float
    peers: tuple[Peer, ...]
    workloads: tuple[Workload, ...]

    @property
    def samples(self) -> int:
        pairs = ((w, p) for w in self.workloads for p in self.peers)
        return self.rounds * sum(w.speech(p) is not None for w, p in pairs)


@dataclass(frozen=True, slots=True, kw_only=True)
class Loaded:
    """What a load made of a server. Times are in nanoseconds, of the sample and what is left over right after it.

    `foreign` is what other processes took of the server's core, `stolen` what the host took of that one or of the
    load's, whichever is more; they are known to the kernel's tick. `server_waited` is how long threads of the server
    were ready and did not run.
    """

    outcome: Outcome
    server_cpu: int
    server_waited: int
    generator_waited: int
    foreign: int
    stolen: int

    @property
    def disturbed(self) -> bool:
        """Whether something else took the server's core or the load's."""
        return max(self.foreign, self.generator_waited, self.stolen) > FOREIGN_MAX * self.outcome.elapsed

    @property
    def generator_share(self) -> float:
        return self.outcome.cpu / self.outcome.elapsed

    @property
    def void(self) -> str | None:
        """Why this says nothing about the server, if so."""
        return f"other processes, or the host, took over {FOREIGN_MAX:.0%} of a core" if self.disturbed else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """One sample and where it belongs; what is not known is None. `failed` is what the server did instead.

    `us_per_delivery` is CPU of the server, latencies are in milliseconds, from when a publish was due. `complete` is
    whether each subscriber got every message once.
    """

    round: int
    workload: str
    peer: str
    us_per_delivery: float | None = None
    deliveries_per_second: float | None = None
    p50: float | None = None
    p99: float | None = None
    kib_per_connection: float | None = None
    complete: bool = True
    generator_share: float | None = None
    void: str | None = None
    failed: str | None = None
    raw: dict[str, Any] | None = None

    @property
    def limited(self) -> bool:
        """Whether the load had no core to spare: then a faster one would have found more deliveries, and sooner."""
        return self.generator_share is not None and self.generator_share > GENERATOR_SHARE_MAX

    def value(self, metric: Metric) -> float | None:
        """None where it is not known, the sample is void, or the server failed."""
        found: float | None = None if self.void or self.failed else getattr(self, metric)
        return found


def measure(plan: Plan, cores: Cores) -> Iterator[Measured]:
    """Each sample as it is taken. Pins this process. Raises Unusable where nothing can be measured at all."""
    allow_files(max(w.connections for w in plan.workloads) + FIRST_CONNECTIONS + 200)
    compiled("generator")
    os.sched_setaffinity(0, {cores.generator})
    for number in range(1, plan.rounds + 1):
        for workload in plan.workloads:
            for peer in turned(plan.peers, number - 1):
                if workload.speech(peer) is not None:
                    yield _measured(number, workload, peer, plan, cores)


def turned(peers: Sequence[T], by: int) -> list[T]:
    """Each round another one begins."""
    by %= len(peers)
    return [*peers[by:], *peers[:by]]


def _measured(number: int, workload: Workload, peer: Peer, plan: Plan, cores: Cores) -> Measured:
    try:
        with serving(peer, cores.server) as (tree, port):
            if workload.idle:
                kib = _idle(tree, port, workload, peer, cores)
                return Measured(round=number, workload=workload.name, peer=peer.name, kib_per_connection=kib)
            with loading(job_of(workload, peer, port), cores.generator) as load:
                loaded = put_on(load, tree, workload, plan, cores)
    except (Unusable, TimeoutError) as error:
        return Measured(round=number, workload=workload.name, peer=peer.name, failed=str(error))
    return _as_measured(number, workload, peer, loaded)


def _as_measured(number: int, workload: Workload, peer: Peer, loaded: Loaded) -> Measured:
    outcome = loaded.outcome
    if not outcome.delivered:
        failed = f"nothing arrived; the publisher was told: {outcome.said or 'nothing'}"
        return Measured(round=number, workload=workload.name, peer=peer.name, failed=failed, raw=asdict(loaded))
    return Measured(
        round=number,
        workload=workload.name,
        peer=peer.name,
        us_per_delivery=loaded.server_cpu / outcome.delivered / 1e3,
        deliveries_per_second=outcome.delivered / outcome.elapsed * 1e9,
        p50=outcome.latency["p50"] / 1e3,
        p99=outcome.latency["p99"] / 1e3,
        complete=not outcome.missing and not outcome.duplicates,
        generator_share=loaded.generator_share,
        void=loaded.void,
        raw=asdict(loaded),
    )


def job_of(workload: Workload, peer: Peer, port: int, connections: int | None = None) -> Job:
    """What the load is told, for all connections of the workload or for so many."""
    speech = workload.speech(peer)
    assert speech is not None
    return Job(
        port=port,
        transport=workload.transport,
        subscribe=speech,
        publish=peer.publish if workload.publishes else None,
        connections=connections or workload.connections,
        payload=workload.payload,
        topics=workload.topics,
        per_connection=workload.per_connection,
    )


def put_on(load: Load, tree: Tree, workload: Workload, plan: Plan, cores: Cores) -> Loaded:
    """One sample after its warm-up, taken again where something else disturbed it. Raises Refused."""
    load.wait(SETTLE)
    for _ in range(ATTEMPTS):
        load.sample(rate=workload.rate, seconds=plan.warm_up, window=workload.window)
        load.wait(_rest(workload))
        loaded = _sample(load, tree, workload, plan, cores)
        if not loaded.disturbed or loaded.outcome.missing:  # what is late would come during the next one
            break
    return loaded


def _sample(load: Load, tree: Tree, workload: Workload, plan: Plan, cores: Cores) -> Loaded:
    at_server, at_load = CoreTimes.read(cores.server), CoreTimes.read(cores.generator)
    server_waited, generator_waited, server_cpu = tree.waited(), waited_of(load.pid), tree.cpu()
    outcome = load.sample(rate=workload.rate, seconds=plan.seconds, window=workload.window)
    load.wait(_rest(workload))
    used = used_since(server_cpu, tree.cpu())
    core = CoreTimes.read(cores.server).since(at_server)
    return Loaded(
        outcome=outcome,
        server_cpu=used,
        server_waited=tree.waited() - server_waited,
        generator_waited=waited_of(load.pid) - generator_waited,
        foreign=max(0, core.processes - used),
        stolen=max(core.stolen, CoreTimes.read(cores.generator).since(at_load).stolen),
    )


def _rest(workload: Workload) -> float:
    return REST * max(1.0, workload.connections / REST_POLLS) if workload.transport == "poll" else REST


def _idle(tree: Tree, port: int, workload: Workload, peer: Peer, cores: Cores) -> float:
    """KiB of the server's memory for each connection. What the kernel holds for a socket is not in it."""
    with loading(job_of(workload, peer, port, FIRST_CONNECTIONS), cores.generator) as load:
        load.wait(SETTLE)
    time.sleep(SETTLE)
    before = tree.memory()
    with loading(job_of(workload, peer, port), cores.generator) as load:
        load.wait(HOLD)
        return (tree.memory() - before) / workload.connections / 1024
