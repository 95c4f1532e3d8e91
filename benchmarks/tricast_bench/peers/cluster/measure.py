"""One sample after the other: in each round all cases take their turn with a load, each freshly started."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from tricast_bench.peers.cluster.cases import Case, Running, started
from tricast_bench.peers.compiled import compiled
from tricast_bench.peers.load import Load, loading
from tricast_bench.peers.measure import ATTEMPTS, FOREIGN_MAX, REST, SETTLE, job_of, turned
from tricast_bench.peers.tree import CoreTimes, used_since
from tricast_bench.peers.workloads import Workload
from tricast_bench.servers import Cores, Unusable, allow_files

WARM_UP = 0.3


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """One case under one load. CPU is in microseconds for each message that was published, of all nodes together and of
    the engine; latencies in milliseconds, from when a publish was due. What is not known is None.
    """

    round: int
    load: str
    case: str
    node_us: float | None = None
    engine_us: float | None = None
    published_per_second: float | None = None
    delivered_per_second: float | None = None
    p50: float | None = None
    p99: float | None = None
    complete: bool = True
    void: str | None = None
    failed: str | None = None


def measure(
    cases: Sequence[Case], loads: Sequence[Workload], rounds: int, seconds: float, cores: Cores
) -> Iterator[Sample]:
    """One process and what it needs has a core; two workers have both, and share one with the load. Pins this process.

    Raises Unusable where nothing can be measured at all.
    """
    allow_files(max(load.connections for load in loads) + 300)
    compiled("generator")
    os.sched_setaffinity(0, {cores.generator})
    for number in range(1, rounds + 1):
        for load in loads:
            for case in turned(cases, number - 1):
                yield _measured(number, load, case, seconds, cores)


def _measured(number: int, load: Workload, case: Case, seconds: float, cores: Cores) -> Sample:
    where = f"{cores.generator},{cores.server}" if case.workers > 1 else str(cores.server)
    try:
        with started(case, where) as running, loading(job_of(load, running.peer, running.port), cores.generator) as on:
            on.wait(SETTLE)
            for _ in range(ATTEMPTS):
                on.sample(rate=load.rate, seconds=WARM_UP, window=load.window)
                on.wait(REST)
                sample = _sample(number, load, case, on, running, seconds, cores)
                if sample.void is None or not sample.complete:
                    break
            return sample
    except (Unusable, TimeoutError) as error:
        return Sample(round=number, load=load.name, case=case.name, failed=str(error))


def _sample(
    number: int, load: Workload, case: Case, on: Load, running: Running, seconds: float, cores: Cores
) -> Sample:
    both = (cores.server, cores.generator)
    times = [CoreTimes.read(core) for core in both]
    nodes, engine = running.cpu()
    outcome = on.sample(rate=load.rate, seconds=seconds, window=load.window)
    on.wait(REST)
    nodes_after, engine_after = running.cpu()
    spent = [CoreTimes.read(core).since(before) for core, before in zip(both, times, strict=True)]
    node_cpu, engine_cpu = used_since(nodes, nodes_after), used_since(engine, engine_after)
    foreign = sum(core.processes for core in spent) - node_cpu - engine_cpu - outcome.cpu
    disturbed = max(foreign, *(core.stolen for core in spent)) > FOREIGN_MAX * outcome.elapsed
    if not outcome.delivered:
        said = f"nothing arrived; the publisher was told: {outcome.said or 'nothing'}"
        return Sample(round=number, load=load.name, case=case.name, failed=said)
    return Sample(
        round=number,
        load=load.name,
        case=case.name,
        node_us=node_cpu / outcome.published / 1e3,
        engine_us=engine_cpu / outcome.published / 1e3,
        published_per_second=outcome.published / outcome.elapsed * 1e9,
        delivered_per_second=outcome.delivered / outcome.elapsed * 1e9,
        p50=outcome.latency["p50"] / 1e3,
        p99=outcome.latency["p99"] / 1e3,
        complete=not outcome.missing and not outcome.duplicates,
        void=f"other processes, or the host, took over {FOREIGN_MAX:.0%} of a core" if disturbed else None,
    )
