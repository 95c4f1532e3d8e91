"""What subscribers heard: latency from the intended send time, and an account of every message that was sent."""

from __future__ import annotations

import operator
from array import array
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import astuple, dataclass
from statistics import median

from hdrh.histogram import HdrHistogram

from tricast.wire.messages import Gap, Message
from tricast_bench.load import stamp_of

HIGHEST_US = 600_000_000
DIGITS = 3
BIN = 0.5
"""Seconds of one row of a series."""
NS = 1_000_000_000


class Recorder:
    """Latencies of what was meant to be sent at or after `start` (monotonic, ns); before that is the warm-up.

    `start` is not known until all clients are connected: nothing counts before it is set.
    """

    def __init__(self, tell: Callable[[float], None] | None = None) -> None:
        self.start: int | None = None
        self.tell = tell
        """Told each latency in milliseconds."""
        self.last = 0
        self.intended = array("q")
        self.latencies = array("q")
        self._spread: dict[tuple[str, int], tuple[int, int]] = {}

    def restart(self, start: int | None) -> None:
        """Forgets what it has."""
        self.start, self.last = start, 0
        del self.intended[:], self.latencies[:]
        self._spread.clear()

    def add(self, sender: str, number: int, intended: int, at: int) -> None:
        if self.start is None or intended < self.start:
            return
        self.intended.append(intended)
        self.latencies.append(at - intended)
        if self.tell is not None:
            self.tell((at - intended) / 1e6)
        self.last = max(self.last, at)
        key = sender, number
        first, last = self._spread.get(key, (at, at))
        self._spread[key] = min(first, at), max(last, at)

    def take(self, other: Recorder) -> None:
        """Adds what another one has heard."""
        self.start = other.start if self.start is None else self.start
        self.last = max(self.last, other.last)
        self.intended += other.intended
        self.latencies += other.latencies
        for key, (first, last) in other._spread.items():
            before = self._spread.get(key, (first, last))
            self._spread[key] = min(first, before[0]), max(last, before[1])

    @property
    def spread(self) -> float | None:
        """Seconds from the first subscriber that had a message to the last, the median over messages."""
        return median(last - first for first, last in self._spread.values()) / 1e9 if self._spread else None

    def series(self) -> list[tuple[float, float, float, int]]:
        """See `Run.series`."""
        bins: dict[int, array[int]] = {}
        for intended, latency in zip(self.intended, self.latencies, strict=True):
            bins.setdefault(int((intended - (self.start or 0)) / NS / BIN), array("q")).append(latency)
        rows = []
        for number, latencies in sorted(bins.items()):
            p50, p99 = percentiles(latencies, (0.5, 0.99)) or (0.0, 0.0)
            rows.append((number * BIN, round(p50, 3), round(p99, 3), len(latencies)))
        return rows


class Account:
    """What one subscriber must get of each sender's 0, 1, 2, ...: everything once and in order, or a gap that says so.

    Numbers count from the first that is heard, or from 0 if `from_zero`. Latency is recorded of senders whose name
    begins with `host`: the clocks of others are not ours.
    """

    def __init__(self, recorder: Recorder, *, host: str = "", from_zero: bool = True) -> None:
        self.heard = self.duplicated = self.reordered = 0
        self.gaps: dict[str, set[int]] = {}
        self.lost: dict[str, set[int]] = {}
        self._recorder = recorder
        self._host = host
        self._from_zero = from_zero
        self._next: dict[str, int] = {}
        self._told = False

    def hear(self, item: Message | Gap, at: int) -> None:
        if isinstance(item, Gap):
            self._told = True
            return
        stamp = stamp_of(item.data)
        if stamp is None:
            return
        sender, number = stamp.sender, stamp.number
        expected = self._next.get(sender, 0 if self._from_zero else number)
        if number > expected:
            self._miss(sender, range(expected, number))
        elif number < expected and not self._late(sender, number):
            self.duplicated += 1
            return
        self._told = False
        self._next[sender] = max(expected, number + 1)
        self.heard += 1
        if sender.startswith(self._host):
            self._recorder.add(sender, number, stamp.intended, at)

    def finish(self, sent: Mapping[str, int]) -> None:
        """After the last: what of `sent` (sender to how many) is still missing, with a gap at the end or without."""
        for sender, count in sent.items():
            self._miss(sender, range(self._next.get(sender, 0), count))
            self._next[sender] = count

    def complete(self, sent: Mapping[str, int]) -> bool:
        """Whether the last of each sender has come."""
        return all(self._next.get(sender, 0) >= count for sender, count in sent.items())

    def _miss(self, sender: str, numbers: Iterable[int]) -> None:
        where = self.gaps if self._told else self.lost
        where.setdefault(sender, set()).update(numbers)

    def _late(self, sender: str, number: int) -> bool:
        for missing in (self.lost.get(sender, set()), self.gaps.get(sender, set())):
            if number in missing:
                missing.remove(number)
                self.reordered += 1
                return True
        return False


@dataclass(frozen=True, slots=True)
class Tally:
    """What is wrong with the accounts of some subscribers, in deliveries."""

    lost: int = 0
    gaps: int = 0
    duplicated: int = 0
    reordered: int = 0

    def __add__(self, other: Tally) -> Tally:
        return Tally(*map(operator.add, astuple(self), astuple(other)))

    def __sub__(self, other: Tally) -> Tally:
        return Tally(*map(operator.sub, astuple(self), astuple(other)))

    def as_list(self) -> list[int]:
        return list(astuple(self))

    @classmethod
    def of(cls, accounts: Iterable[Account], first: Mapping[str, int]) -> Tally:
        """Missing ones count from the `first` number of each sender on."""
        all_of = list(accounts)
        return cls(
            lost=sum(_missing(account.lost, first) for account in all_of),
            gaps=sum(_missing(account.gaps, first) for account in all_of),
            duplicated=sum(account.duplicated for account in all_of),
            reordered=sum(account.reordered for account in all_of),
        )


def _missing(numbers: Mapping[str, set[int]], first: Mapping[str, int]) -> int:
    return sum(number >= first.get(sender, 0) for sender, some in numbers.items() for number in some)


def merged(recorders: Iterable[Recorder]) -> Recorder:
    """One that has heard what these have, from now on apart from them."""
    everyone = Recorder()
    for recorder in recorders:
        everyone.take(recorder)
    return everyone


def percentiles(latencies: Iterable[int], shares: Sequence[float]) -> list[float] | None:
    """Nearest rank, in milliseconds, of nanoseconds."""
    ranked = sorted(latencies)
    if not ranked:
        return None
    return [ranked[min(len(ranked) - 1, max(0, -int(-share * len(ranked) // 1) - 1))] / 1e6 for share in shares]


def histogram(latencies: Iterable[int] = ()) -> HdrHistogram:
    """Of nanoseconds, in microseconds, three digits; what is over ten minutes counts as ten minutes."""
    made = HdrHistogram(1, HIGHEST_US, DIGITS)
    for value, count in Counter(min(HIGHEST_US, max(1, latency // 1000)) for latency in latencies).items():
        made.record_value(value, count)
    return made


def encoded(of: HdrHistogram) -> str:
    """Base64."""
    text: bytes = of.encode()
    return text.decode()
