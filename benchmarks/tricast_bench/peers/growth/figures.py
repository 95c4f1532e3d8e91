"""Samples of all rounds to figures: by series and x, ratios within rounds, and what a reader has to know of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

from tricast_bench.peers.growth.fit import Fit, Values, fit
from tricast_bench.peers.growth.measure import Sample
from tricast_bench.peers.growth.points import FEW, MANY, ONE, SPREAD, TRANSPORTS, Metric

TOPICS_GOAL = 1.5
"""Many topics may cost so many times what one topic with all the connections costs."""
REASON_MAX = 200


@dataclass(frozen=True, slots=True)
class Growing:
    """A series whose growth is judged: what the figures are, or with `times` what they are times n."""

    sweep: str
    series: str
    metric: Metric
    subject: str
    over: str
    times: bool = False


GROWING = (
    *(
        Growing(
            "subscribers", name, "us_per_delivery", f"the cost of a publish over {called}", "subscribers", times=True
        )
        for name, called in zip(TRANSPORTS, ("WebSocket", "SSE", "long polling"), strict=True)
    ),
    Growing("retained", "ws", "us_per_delivery", "the cost of a delivery", "messages kept"),
    Growing("retained", "ws", "us_catch_up", "the time to catch up", "messages", times=True),
    Growing("size", "ws", "us_per_delivery", "the cost of a delivery", "bytes"),
    *(
        Growing("memory", name, "kib_per_connection", f"the memory for {called}", "connections", times=True)
        for name, called in zip(TRANSPORTS, ("WebSocket", "SSE", "long polling"), strict=True)
    ),
)


def values(samples: Sequence[Sample], sweep: str, series: str, metric: Metric) -> Values:
    """To each x the figures of the rounds that may be used."""
    found: dict[float, list[float]] = {}
    for sample in samples:
        if (sample.sweep, sample.series, sample.metric) == (sweep, series, metric) and usable(sample):
            assert sample.value is not None
            found.setdefault(sample.x, []).append(sample.value)
    return dict(sorted(found.items()))


def medians(samples: Sequence[Sample], sweep: str, series: str, metric: Metric) -> dict[float, float]:
    return {x: median(found) for x, found in values(samples, sweep, series, metric).items()}


def usable(sample: Sample) -> bool:
    return sample.value is not None and not sample.void and not sample.failed and sample.complete


def growth(samples: Sequence[Sample], of: Growing) -> Fit | None:
    found = values(samples, of.sweep, of.series, of.metric)
    return fit({x: [value * x for value in rounds] for x, rounds in found.items()} if of.times else found)


def ratio(samples: Sequence[Sample], over: tuple[str, float], under: tuple[str, float]) -> float | None:
    """Median of the ratios within a round, of two points of the topics."""
    by_round = {
        (sample.series, sample.x, sample.round): sample.value
        for sample in samples
        if sample.sweep == "topics" and usable(sample)
    }
    found = []
    for number in sorted({sample.round for sample in samples}):
        above, below = by_round.get((*over, number)), by_round.get((*under, number))
        if above and below:
            found.append(above / below)
    return median(found) if found else None


@dataclass(frozen=True, slots=True)
class Topics:
    """Beside one topic that all connections read: `to_one`. Beside one topic with as many readers as each has here and
    no other connections: `to_few`, in which the readers that share a publish are no fewer."""

    count: int
    readers: int
    to_one: float | None
    to_few: float | None


def topics(samples: Sequence[Sample]) -> list[Topics]:
    counts = [int(x) for x in medians(samples, "topics", SPREAD, "us_per_delivery") if x > 1]
    return [
        Topics(
            count,
            _connections(samples, SPREAD) // count,
            ratio(samples, (SPREAD, count), (SPREAD, 1)),
            ratio(samples, (SPREAD, count), (FEW, count)),
        )
        for count in counts
    ]


def in_one_connection(samples: Sequence[Sample]) -> tuple[int, int, float | None]:
    """How many topics, on how many connections, and what they cost beside one topic."""
    count = max((int(sample.x) for sample in samples if sample.series == MANY), default=0)
    return count, _connections(samples, MANY), ratio(samples, (MANY, count), (ONE, 1))


def _connections(samples: Sequence[Sample], series: str) -> int:
    """As the raw figures say."""
    return max((int((s.raw or {}).get("connections", 0)) for s in samples if s.series == series), default=0)


def notes(samples: Sequence[Sample]) -> list[str]:
    """What was left out, and why."""
    said = []
    for sample in samples:
        where = f"{sample.sweep}, {sample.series}, {sample.x:,.0f}, round {sample.round}"
        if sample.failed:
            said.append(f"failed: {where}: {' '.join(sample.failed.split())[:REASON_MAX]}")
        elif not sample.complete:
            said.append(f"left out: {where}: not everything was delivered once")
    void = [sample for sample in samples if sample.void]
    if void:
        said.append(f"void: {len(void)} of {len(samples)} samples are left out, as {void[0].void}")
    return said
