"""From what was counted in a run to its metrics."""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from statistics import median

from tricast.wire.messages import TransportName
from tricast_bench.bench.job import Job, Measured
from tricast_bench.bench.judge import void
from tricast_bench.bench.meter import Usage
from tricast_bench.recorder import Recorder, Tally, encoded, histogram, merged, percentiles
from tricast_bench.results import Metrics, Transport
from tricast_bench.users.tcp import Wire

SHARES = (0.5, 0.9, 0.99, 0.999, 1.0)


@dataclass(frozen=True, slots=True)
class Part:
    """What the subscribers of one transport counted. `unheard` deliveries are those without a latency.

    `wire` is not of those subscribers that only count.
    """

    transport: TransportName
    recorder: Recorder
    unheard: int
    bulk: int
    """Deliveries to subscribers that only count."""
    tally: Tally
    wire: Wire
    firsts: tuple[float, ...]
    """Seconds to hello, or to the first message."""


@dataclass(frozen=True, slots=True)
class Window:
    """What was counted of the server and the load, in one stretch of time."""

    job: Job
    before: Usage
    after: Usage
    lags: array[int]
    failed: str | None
    """Why the run is no good, if something is known already."""

    def measured(self, parts: Sequence[Part]) -> list[Measured]:
        """One for each part; and before them, where there are several, one for all."""
        if len(parts) == 1:
            return [self._of(parts[0], parts[0].transport, alone=True)]
        everyone = Part(
            parts[0].transport,
            merged([part.recorder for part in parts]),
            sum(part.unheard for part in parts),
            sum(part.bulk for part in parts),
            sum((part.tally for part in parts), Tally()),
            sum((part.wire for part in parts), Wire()),
            tuple(first for part in parts for first in part.firsts),
        )
        each = [self._of(part, part.transport, alone=False) for part in parts]
        return [self._of(everyone, "mixed", alone=True), *each]

    def _of(self, part: Part, transport: Transport, *, alone: bool) -> Measured:
        """What the server used counts only for those who had it `alone`."""
        recorder, job = part.recorder, self.job
        p50, p90, p99, p999, most = shares(recorder.latencies)
        whole = len(recorder.latencies) + part.unheard
        delivered = whole + part.bulk
        lag = lag_p99(self.lags)
        elapsed = (max(recorder.last, self.before.at + 1) - self.before.at) / 1e9
        metrics = Metrics(
            p50_ms=p50,
            p90_ms=p90,
            p99_ms=p99,
            p999_ms=p999,
            max_ms=most,
            offered_per_second=job.rate,
            delivered=delivered,
            delivered_per_second=delivered / max(elapsed, job.seconds),
            lost=part.tally.lost,
            gaps=part.tally.gaps,
            duplicated=part.tally.duplicated,
            reordered=part.tally.reordered,
            server_cpu_us_per_delivery=cpu_per(self.before, self.after, delivered) if alone else None,
            server_memory=self.after.memory if alone else None,
            server_files=self.after.files if alone else None,
            bytes_up_per_message=per(part.wire.up, whole),
            bytes_down_per_message=per(part.wire.down, whole),
            requests_per_message=per(part.wire.requests, whole),
            time_to_first_ms=milliseconds(part.firsts),
            spread_ms=None if job.own_topics or recorder.spread is None else 1e3 * recorder.spread,
            generator_cpu=self.before.own_share(self.after),
            schedule_lag_p99_ms=lag,
        )
        return Measured(
            transport=transport,
            seconds=job.seconds,
            void=self.failed or void(self.before, self.after, lag, p99, shared=job.shared),
            metrics=metrics,
            histogram=encoded(histogram(recorder.latencies)),
            series=tuple(recorder.series()),
        )


def shares(latencies: Iterable[int]) -> list[float | None]:
    """p50, p90, p99, p99.9 and the greatest, in milliseconds."""
    found = percentiles(latencies, SHARES)
    return list(found) if found else [None for _ in SHARES]


def lag_p99(lags: array[int]) -> float | None:
    """Milliseconds."""
    found = percentiles(lags, (0.99,))
    return found[0] if found else None


def cpu_per(before: Usage, after: Usage, count: int) -> float | None:
    """Microseconds of the server's CPU for each of so many."""
    if before.cpu is None or after.cpu is None or not count:
        return None
    return (after.cpu - before.cpu) / 1e3 / count


def per(amount: float, count: int) -> float | None:
    return amount / count if count else None


def milliseconds(seconds: Sequence[float]) -> float | None:
    """The median."""
    return 1e3 * median(seconds) if seconds else None
