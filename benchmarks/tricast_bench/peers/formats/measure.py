"""One sample after the other: all variants of a case in turn, on two servers of one core that are new each round."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from tricast.wire.formats import FormatName
from tricast_bench.peers.compiled import compiled
from tricast_bench.peers.formats.cases import Carried, Case, Variant, job_of, server
from tricast_bench.peers.load import Load, loading
from tricast_bench.peers.measure import ATTEMPTS, FOREIGN_MAX, REST, SETTLE, turned
from tricast_bench.peers.tree import CoreTimes, Tree, serving, used_since
from tricast_bench.servers import Cores, Unusable, allow_files

WARM_UP = 0.3
SPARE_FILES = 300


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """One variant of one case. `us` is the server's CPU for each delivery and `bytes` what came over the readers'
    connections for it, with frames and HTTP headers but not those of TCP; latencies are in milliseconds, from when a
    publish was due. What is not known is None.
    """

    round: int
    readers: str
    content: Carried
    size: int
    format: FormatName
    compress: bool
    us: float | None = None
    bytes: float | None = None
    p50: float | None = None
    p99: float | None = None
    complete: bool = True
    void: str | None = None
    failed: str | None = None


@dataclass(frozen=True, slots=True)
class Servers:
    """Both that a round has: they wait side by side, and one of them is measured at a time."""

    plain: tuple[Tree, int]
    compressing: tuple[Tree, int]

    def of(self, variant: Variant) -> tuple[Tree, int]:
        return self.compressing if variant.compress else self.plain


def measure(cases: Sequence[Case], rounds: int, seconds: float, cores: Cores) -> Iterator[Sample]:
    """Each as it is taken. Pins this process. Raises Unusable where nothing can be measured at all."""
    allow_files(max(case.readers.count for case in cases) + SPARE_FILES)
    compiled("generator")
    os.sched_setaffinity(0, {cores.generator})
    for number in range(1, rounds + 1):
        with (
            serving(server(compress=False), cores.server) as plain,
            serving(server(compress=True), cores.server) as compressing,
        ):
            servers = Servers(plain, compressing)
            for case in cases:
                for variant in turned(case.variants(), number - 1):
                    yield _measured(number, case, variant, servers, seconds, cores)


def _measured(number: int, case: Case, variant: Variant, servers: Servers, seconds: float, cores: Cores) -> Sample:
    tree, port = servers.of(variant)
    readers, blank = case.readers, _blank(number, case, variant)
    try:
        with loading(job_of(case, variant, port), cores.generator) as load:
            load.wait(SETTLE)
            for _ in range(ATTEMPTS):
                load.sample(rate=readers.rate, seconds=WARM_UP, window=readers.window)
                load.wait(REST)
                sample = _sample(blank, case, load, tree, seconds, cores)
                if sample.void is None or not sample.complete:
                    break
            return sample
    except (Unusable, TimeoutError) as error:
        return replace(blank, failed=str(error))


def _sample(blank: Sample, case: Case, load: Load, tree: Tree, seconds: float, cores: Cores) -> Sample:
    both = (cores.server, cores.generator)
    times, before = [CoreTimes.read(core) for core in both], tree.cpu()
    outcome = load.sample(rate=case.readers.rate, seconds=seconds, window=case.readers.window)
    load.wait(REST)
    used = used_since(before, tree.cpu())
    spent = [CoreTimes.read(core).since(time) for core, time in zip(both, times, strict=True)]
    foreign = sum(core.processes for core in spent) - used - outcome.cpu
    disturbed = max(foreign, *(core.stolen for core in spent)) > FOREIGN_MAX * outcome.elapsed
    if not outcome.delivered:
        said = f"nothing arrived; the publisher was told: {outcome.said or 'nothing'}"
        return replace(blank, failed=said)
    return replace(
        blank,
        us=used / outcome.delivered / 1e3,
        bytes=outcome.bytes / outcome.delivered,
        p50=outcome.latency["p50"] / 1e3,
        p99=outcome.latency["p99"] / 1e3,
        complete=not outcome.missing and not outcome.duplicates,
        void=f"other processes, or the host, took over {FOREIGN_MAX:.0%} of a core" if disturbed else None,
    )


def _blank(number: int, case: Case, variant: Variant) -> Sample:
    return Sample(
        round=number,
        readers=case.readers.name,
        content=case.content,
        size=case.size,
        format=variant.format,
        compress=variant.compress,
    )
