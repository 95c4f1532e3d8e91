"""From arrival times to the name of the fault. No I/O and no clock; all times in seconds."""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import pairwise
from statistics import median

from tricast.probe.observation import Figures, Finding, Observation, Uplink, Verdict

HEARTBEAT = 15.0
"""Seconds after which a server sends something of its own: silence that is cut later than that is harmless."""

_NAMES = {"ws": "the WebSocket", "sse": "the event stream", "poll": "the poll"}

# As shares of the interval between frames.
_TOGETHER = 0.3  # frames nearer to one another than this came at once
_BATCH_LEAST = 1.3  # batches nearer to one another than this are not told from jitter
_LATE = (0.6, 1.5)  # a frame so late came when the next one was sent
# Of what is looked at, so much has to fit: a stall or two do not hide a pattern, and jitter does not make one.
_MOST = 0.75
_REGULAR = 0.2
"""How far the distance of two batches may be from the usual one, as a share of it."""


def diagnose(seen: Observation) -> Finding:
    """The one fault that explains what was seen best; the worst comes first."""
    finding = _without_frames(seen) if not seen.arrivals else _with_frames(seen, _Times.of(seen))
    return replace(finding, figures=_figures(seen), seen=seen.seen)


@dataclass(frozen=True, slots=True)
class _Times:
    """When frames were sent and came, and `lags`: how much longer than the quickest thing each was on its way."""

    sent: list[float]
    arrived: list[float]
    lags: list[float]

    @classmethod
    def of(cls, seen: Observation) -> _Times:
        arrivals = sorted(seen.arrivals)
        sent = [arrival.sent for arrival in arrivals]
        arrived = [arrival.arrived for arrival in arrivals]
        ways = [there - here for here, there in zip(sent, arrived, strict=True)]
        if seen.opened is not None and seen.transport != "poll" and arrivals[0].seq == 0:
            # The headers leave together with the first frame. They tell apart "always late" and "far away".
            ways.append(seen.opened - sent[0])
        quickest = min(ways)
        return cls(sent, arrived, [way - quickest for way in ways[: len(sent)]])

    @property
    def span(self) -> float:
        return self.sent[-1] - self.sent[0]


def _without_frames(seen: Observation) -> Finding:
    name, waited = _NAMES[seen.transport], seen.ended - seen.started
    if seen.status is not None:
        by = f" (the answer says: {seen.answered_by})" if seen.answered_by else ""
        more = f": {seen.error}" if seen.error else ""
        detail = f"{name} was refused with HTTP status {seen.status}{by}{more}."
        if seen.transport == "ws" and seen.status == 400:
            detail += " So answers a server that got the request without its upgrade: something took that out."
        return _finding(seen, Verdict.refused, detail, status=seen.status)
    if seen.end == "unreachable":
        return _finding(seen, Verdict.unreachable, f"no connection could be made: {seen.error}.")
    if seen.opened is None and seen.end == "deadline":
        return _finding(seen, Verdict.no_answer, f"nothing at all came back within {waited:.1f} s.")
    if seen.opened is None:
        more = f" ({seen.error})" if seen.error else ""
        return _finding(
            seen, Verdict.refused, f"the connection was closed without an answer after {waited:.1f} s{more}."
        )
    lived = seen.ended - seen.opened
    if seen.end != "deadline" and lived < seen.n * seen.interval / 2:
        return _cut(seen, lived, f"{name} opened and ended after {lived:.1f} s before anything had come through.")
    if seen.transport == "ws":
        return _finding(seen, Verdict.silent, f"the WebSocket opened, then nothing came through it for {lived:.1f} s.")
    detail = f"the headers of {name} came, but nothing of its body in {lived:.1f} s."
    return _finding(seen, Verdict.headers_only, detail)


def _with_frames(seen: Observation, times: _Times) -> Finding:
    if seen.transport == "poll":
        return _polls(seen, times)
    if _is_held(seen, times):
        early = seen.opened is not None and times.arrived[0] - seen.opened > times.span / 2
        headers = "its headers came at once" if early else "even its headers"
        detail = (
            f"everything that the server sent over {times.span:.1f} s came at one moment, when the stream ended; "
            f"{headers}{', its content did not' if early else ' came only then'}."
        )
        return _finding(seen, Verdict.buffered, detail)
    if _is_late(seen, times):
        detail = (
            "each message comes only when the next one is sent: the last one is missing until then. "
            f"Messages {seen.interval:.2g} s apart were {median(times.lags):.2g} s late."
        )
        return _finding(seen, Verdict.late_by_one, detail)
    if not seen.complete:
        return _broken(seen, times)
    if (period := _period(seen, times)) is not None:
        detail = f"messages come in batches, about every {period * 1000:.0f} ms."
        return _finding(seen, Verdict.batched, detail, period=period)
    if seen.echo_sent and seen.echoed is None:
        detail = "the server's messages come through, but nothing that is sent arrives there."
        return _finding(seen, Verdict.uplink_blocked, detail)
    return _finding(seen, Verdict.clean, _clean(seen, times))


def _polls(seen: Observation, times: _Times) -> Finding:
    if seen.complete:
        return _finding(seen, Verdict.clean, _clean(seen, times))
    why = seen.error or "no answer in time"
    detail = f"{len(seen.arrivals)} of {seen.n} polls were answered, then one failed: {why}."
    return _cut(seen, seen.ended - times.arrived[-1], detail)


def _clean(seen: Observation, times: _Times) -> str:
    what = "polls were answered" if seen.transport == "poll" else "frames came"
    return f"all {seen.n} {what} in time, at most {max(times.lags) * 1000:.0f} ms later than the quickest."


def _broken(seen: Observation, times: _Times) -> Finding:
    began = times.arrived[0] if seen.opened is None else seen.opened
    came = f"{len(seen.arrivals)} of {seen.n} frames had come"
    if seen.end == "deadline":
        lived = times.arrived[-1] - began
        detail = f"{_NAMES[seen.transport]} fell silent after {lived:.1f} s without an end; {came}."
    else:
        lived = seen.ended - began
        detail = f"{_NAMES[seen.transport]} was cut after {lived:.1f} s; {came}."
    return _cut(seen, lived, detail)


def _is_held(seen: Observation, times: _Times) -> bool:
    return (
        len(times.sent) >= 3
        and times.span >= 2 * seen.interval
        and times.arrived[-1] - times.arrived[0] <= times.span / 4
    )


def _is_late(seen: Observation, times: _Times) -> bool:
    if len(times.sent) < 4:
        return False
    # The end of the stream sets the last frame free, so that it comes with the one before; or it never comes.
    if seen.complete and times.arrived[-1] - times.arrived[-2] > _TOGETHER * seen.interval:
        return False
    steps = [after - before for before, after in pairwise(times.sent)]
    least, most = _LATE
    fits = [least * step <= lag <= most * step for step, lag in zip(steps, times.lags, strict=False)]
    # A stream that was cut also has a last frame; only if it is as late as the others they are all "late by one".
    return sum(fits) >= _MOST * len(fits) and (seen.complete or seen.n - len(times.sent) == 1)


def _period(seen: Observation, times: _Times) -> float | None:
    """Seconds from batch to batch, None where there are none."""
    starts = [times.arrived[0]]
    for before, after in pairwise(times.arrived):
        if after - before > _TOGETHER * seen.interval:
            starts.append(after)
    gaps = [after - before for before, after in pairwise(starts)]
    if not gaps:
        return None
    usual = median(gaps)
    if usual < _BATCH_LEAST * seen.interval or len(starts) * _BATCH_LEAST > len(times.arrived):
        return None
    # The end of the stream may set the last batch free before its time.
    inner = gaps[:-1] if len(gaps) > 2 else gaps
    regular = [abs(gap / usual - max(1, round(gap / usual))) <= _REGULAR for gap in inner]
    return median(inner) if sum(regular) >= _MOST * len(regular) else None


def _figures(seen: Observation) -> Figures:
    figures = Figures(
        frames=len(seen.arrivals),
        expected=seen.n,
        opened=None if seen.opened is None else seen.opened - seen.started,
        round_trip=seen.echoed,
    )
    if not seen.arrivals:
        return figures
    lags = _Times.of(seen).lags
    first = min(arrival.arrived for arrival in seen.arrivals) - seen.started
    return replace(figures, first_frame=first, delay_median=median(lags), delay_max=max(lags))


def _finding(
    seen: Observation, verdict: Verdict, detail: str, *, status: int | None = None, period: float | None = None
) -> Finding:
    return Finding(transport=seen.transport, verdict=verdict, detail=_sentence(detail), status=status, period=period)


def _cut(seen: Observation, after: float, detail: str) -> Finding:
    return replace(_finding(seen, Verdict.cut, detail), cut_after=after, status=seen.status)


def _sentence(text: str) -> str:
    return text[:1].upper() + text[1:].replace("..", ".")


def with_uplink(finding: Finding, uplink: Uplink) -> Finding:
    """For a transport that sends by POST: one that can only be listened to is no whole one."""
    if finding.transport == "ws" or not finding.verdict.usable or not uplink.blocked:
        return finding
    detail = f"What the server sends comes through, but not what is sent to it: {uplink.detail} {finding.detail}"
    return replace(finding, verdict=Verdict.uplink_blocked, detail=detail)


def alone(uplink: Uplink) -> Uplink:
    """Where nothing passes the other way either, silence is no fault of the uplink."""
    if uplink.verdict is Verdict.uplink_blocked and uplink.status is None:
        return replace(uplink, verdict=Verdict.no_answer)
    return uplink


def with_endurance(finding: Finding, busy: Observation | None, idle: Observation) -> Finding:
    """What a long run adds: `busy` had frames all the time, `idle` one frame, a long silence, then another.

    For long polls there is no busy run, and the idle one is a single poll that was held for long.
    """
    if busy is not None:
        long = diagnose(busy)
        if long.verdict is Verdict.cut:
            figures = replace(finding.figures, frames=long.figures.frames, expected=long.figures.expected)
            detail = f"{long.detail} It is cut in spite of traffic."
            finding = replace(
                finding, verdict=_worse(finding.verdict), detail=detail, cut_after=long.cut_after, figures=figures
            )
    if idle.complete:
        return replace(finding, idle_passed=(idle.n - (idle.transport != "poll")) * idle.interval)
    last = max((arrival.arrived for arrival in idle.arrivals), default=idle.started)
    cut = idle.ended - last
    finding = replace(finding, idle_cut=cut)
    if finding.cut_after is not None and cut >= 0.9 * finding.cut_after:
        return finding  # this is the same cut, not one for silence
    what = "A poll that waits" if finding.transport == "poll" else "A silent connection"
    # Without an end it is not known when it died, only that nothing came through afterwards.
    how = "is dead after" if idle.end == "deadline" else "is cut after"
    return replace(finding, detail=f"{finding.detail} {what} {how} {cut:.1f} s.")


def _worse(verdict: Verdict) -> Verdict:
    return Verdict.cut if verdict in (Verdict.clean, Verdict.batched) else verdict
