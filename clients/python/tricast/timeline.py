"""What a client has tried and seen, for people and for tests."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, TypeAlias

from tricast.wire.messages import TransportName

RECORDS_KEPT = 1000

What: TypeAlias = Literal[
    "try",  # a link is opened
    "reopen",  # the same one anew
    "hello",  # its first frame has come
    "echo",  # and something that was sent came back
    "no echo",
    "up",  # it carries from now on
    "close",  # it is not needed, or not any more
    "failed",  # it ended before it carried
    "lost",  # it ended after that
    "bye",  # the server will end it
    "refused",  # the server will not have it
    "uplink",  # whether what is sent arrives
    "quarantine",  # it was cut too often
    "online",  # the server can be reached, though nothing worked
    "offline",  # it cannot
    "wait",  # before the next round
]


@dataclass(frozen=True, slots=True)
class Record:
    """`t` is in seconds since connect; `transport` None is all of them; `detail` is for people."""

    t: float
    transport: TransportName | None
    what: What
    detail: str = ""

    def __str__(self) -> str:
        return f"{self.t:8.3f} s  {self.transport or 'all':4}  {self.what:10}  {self.detail}".rstrip()


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

    def note(self, transport: TransportName | None, what: What, detail: object = "") -> None:
        self._records.append(Record(round(self.elapsed, 6), transport, what, str(detail)))

    def __str__(self) -> str:
        return "\n".join(map(str, self._records))


@dataclass(frozen=True, slots=True, kw_only=True)
class Stats:
    """Numbers since connect. `time_to_first`: seconds until the first transport worked, None before that.

    `gaps` were delivered; `lost`: those of them that are exact, so that something was lost for certain.
    `duplicates_dropped` never reached you; `duplicated`: messages that did so twice or out of order, which is a defect.
    `reconnects`: links that came up after one was lost; `switches`: how often another transport took over.
    """

    received: int
    lost: int
    duplicated: int
    duplicates_dropped: int
    gaps: int
    reconnects: int
    switches: int
    time_to_first: float | None
