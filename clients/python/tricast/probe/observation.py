"""What was seen of one transport, before anybody judges it. No I/O; all times in seconds."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Literal, NamedTuple

from tricast.wire.messages import TransportName

End = Literal["ended", "closed", "failed", "unreachable", "deadline"]
"""How it came to its end: as the server ends it; closed without a word; with an error; no connection was made; or
nothing happened until the patience was over."""


class Arrival(NamedTuple):
    """Frame `seq` left at `sent` by the server's clock and came at `arrived` by ours. The clocks need not agree."""

    seq: int
    sent: float
    arrived: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Observation:
    """One run of `/canary/*`: `n` frames were asked for, `interval` seconds apart.

    `started`, `opened` and `ended` are of the clock of `Arrival.arrived`. `opened` is when the headers came (for a
    WebSocket: the 101), None if they never did; `status` is that of an answer that was no success. `echoed` says after
    how many seconds a text came back that was sent as the first frame came, None if it never did; `echo_sent`
    whether one was sent at all. (For polls `echoed` is the quickest answer, without the time that it was held.)
    `answered_by` is what the answer's headers say of who wrote it.
    """

    transport: TransportName
    n: int
    interval: float
    started: float
    ended: float
    end: End
    opened: float | None = None
    status: int | None = None
    arrivals: tuple[Arrival, ...] = ()
    echo_sent: bool = False
    echoed: float | None = None
    error: str = ""
    answered_by: str = ""
    seen: dict[str, Any] | None = None

    @property
    def complete(self) -> bool:
        return len(self.arrivals) >= self.n


class Verdict(StrEnum):
    """What is wrong with a transport."""

    clean = "clean"
    batched = "batched"
    cut = "cut"
    late_by_one = "late_by_one"
    uplink_blocked = "uplink_blocked"
    buffered = "buffered"
    headers_only = "headers_only"
    silent = "silent"
    refused = "refused"
    no_answer = "no_answer"
    unreachable = "unreachable"

    @property
    def usable(self) -> bool:
        """Whether messages get through at all."""
        return self in USABLE

    @property
    def words(self) -> str:
        return WORDS[self]


USABLE = (Verdict.clean, Verdict.batched, Verdict.cut, Verdict.late_by_one, Verdict.uplink_blocked)
"""The best first."""

WORDS = {
    Verdict.clean: "clean",
    Verdict.batched: "batched",
    Verdict.cut: "cut off",
    Verdict.late_by_one: "late by one",
    Verdict.uplink_blocked: "uplink blocked",
    Verdict.buffered: "buffered until close",
    Verdict.headers_only: "headers only",
    Verdict.silent: "opened but silent",
    Verdict.refused: "refused",
    Verdict.no_answer: "no answer",
    Verdict.unreachable: "unreachable",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """Seconds; None where it did not come to that.

    `opened`, `first_frame`: since the request was made. `delay_median`, `delay_max`: how much longer than the
    quickest thing a frame was on its way. `round_trip`: there and back of something that was sent.
    """

    frames: int = 0
    expected: int = 0
    opened: float | None = None
    first_frame: float | None = None
    delay_median: float | None = None
    delay_max: float | None = None
    round_trip: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One transport judged. `detail` is a sentence for people.

    `status`: of the answer that refused. `period`: seconds from batch to batch. `cut_after`: seconds it lived.
    `idle_cut`: seconds of silence (for `poll`: of waiting for an answer) after which it was cut; `idle_passed`:
    seconds of it that were seen to pass; both None where that was not measured. `seen`: how the request looked to the
    server.
    """

    transport: TransportName
    verdict: Verdict
    detail: str
    figures: Figures = Figures()
    status: int | None = None
    period: float | None = None
    cut_after: float | None = None
    idle_cut: float | None = None
    idle_passed: float | None = None
    seen: dict[str, Any] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Uplink:
    """Whether `POST /send` arrives. `own_word` says that it was the server itself which refused."""

    verdict: Verdict
    detail: str
    status: int | None = None
    round_trip: float | None = None
    own_word: bool = False

    @property
    def blocked(self) -> bool:
        """Whether something in between keeps it back."""
        return self.verdict is not Verdict.clean and not self.own_word
