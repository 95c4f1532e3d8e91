"""What a client has tried and seen, for people and for tests."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, TypeAlias

from tricast.wire.messages import TransportName

RECORDS_KEPT = 1000

What: TypeAlias = Literal["try", "up", "failed", "lost", "bye", "refused", "wait", "reopen"]


@dataclass(frozen=True, slots=True)
class Record:
    """`t` is in seconds since connect; `detail` is for people."""

    t: float
    transport: TransportName
    what: What
    detail: str = ""

    def __str__(self) -> str:
        return f"{self.t:8.3f} s  {self.transport:4}  {self.what:7}  {self.detail}".rstrip()


class Timeline:
    """The last records, oldest first. `now` is a monotonic clock in seconds."""

    def __init__(self, now: Callable[[], float]) -> None:
        self._now = now
        self._start = now()
        self._records: deque[Record] = deque(maxlen=RECORDS_KEPT)

    @property
    def elapsed(self) -> float:
        return self._now() - self._start

    @property
    def records(self) -> list[Record]:
        return list(self._records)

    def note(self, transport: TransportName, what: What, detail: object = "") -> None:
        self._records.append(Record(round(self.elapsed, 6), transport, what, str(detail)))

    def __str__(self) -> str:
        return "\n".join(map(str, self._records))


@dataclass(frozen=True, slots=True, kw_only=True)
class Stats:
    """Numbers since connect. `time_to_first`: seconds until the first transport worked, None before that.

    `reconnects`: links that came up after one was lost; `switches`: those of them on another transport.
    """

    received: int
    duplicates_dropped: int
    gaps: int
    reconnects: int
    switches: int
    time_to_first: float | None
