"""What the bus counts of itself: plain numbers, bumped once per flush or per connection, never per delivery."""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from collections.abc import Mapping, Sequence

QUICK = (0.00005, 0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0)
"""Bounds for what takes microseconds, in seconds."""
SLOW = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
"""Bounds for what may take a network, in seconds."""


class Histogram:
    """Counts of values up to each of `bounds`; the last count is of what is larger than all of them."""

    __slots__ = ("bounds", "counts", "sum")

    def __init__(self, bounds: Sequence[float]) -> None:
        self.bounds = tuple(bounds)
        self.counts = [0] * (len(bounds) + 1)
        self.sum = 0.0

    def observe(self, value: float) -> None:
        self.counts[bisect_left(self.bounds, value)] += 1
        self.sum += value


class Flow:
    """Messages (gaps among them) that were written to subscribers, and their bytes."""

    __slots__ = ("messages", "size")

    def __init__(self) -> None:
        self.messages = 0
        self.size = 0


class Meters:
    """Since the bus began.

    `flows` by framing; `slow`: how often a subscription left the live set as its connection did not take a write, by
    framing; `gaps` by reason. In seconds: `lag` from a
    message's `ts` until the flush had written it to all who are live; `flush` and `append`, what these took;
    `loop_lag`, how late the event loop was.
    """

    __slots__ = ("append", "flows", "flush", "gaps", "lag", "loop_lag", "slow")

    def __init__(self) -> None:
        self.flows: dict[str, Flow] = {}
        self.gaps: Counter[str] = Counter()
        self.slow: Counter[str] = Counter()
        self.flush = Histogram(QUICK)
        self.lag = Histogram(SLOW)
        self.append = Histogram(SLOW)
        self.loop_lag = Histogram(SLOW)

    def flow(self, framing: str) -> Flow:
        """The one of this framing."""
        flow = self.flows.get(framing)
        if flow is None:
            flow = self.flows[framing] = Flow()
        return flow

    @property
    def messages(self) -> dict[str, int]:
        return {framing: flow.messages for framing, flow in self.flows.copy().items()}

    @property
    def size(self) -> dict[str, int]:
        return {framing: flow.size for framing, flow in self.flows.copy().items()}


def by_transport(counts: Mapping[str, int]) -> Counter[str]:
    """Counts by framing, as `sse.json.chunked`, added up by transport. May be called from another thread."""
    sums: Counter[str] = Counter()
    for framing, count in dict(counts).items():
        sums[framing.partition(".")[0]] += count
    return sums
