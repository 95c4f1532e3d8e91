"""From arrival times to the name of the fault, and from faults to advice. No clock but the table's own."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from dataclasses import replace

import pytest

from tricast.probe import Arrival, Finding, Observation, Report, Uplink, Verdict
from tricast.probe.diagnosis import alone, diagnose, with_endurance, with_uplink
from tricast.wire.messages import TransportName

N, INTERVAL, RTT = 30, 0.1, 0.02
SKEW = 1_795_295_808.0
"""The server's clock at the client's 0."""
END = N * INTERVAL

Way = Callable[[float], float]
"""When what was sent so many seconds after the start arrives."""


def stream(way: Way, *, transport: TransportName = "ws", opened: float | None = RTT, n: int = N) -> Observation:
    arrivals = tuple(Arrival(seq, SKEW + seq * INTERVAL, way(seq * INTERVAL)) for seq in range(n))
    return Observation(
        transport=transport,
        n=N,
        interval=INTERVAL,
        started=0.0,
        opened=opened,
        ended=max([END + RTT, *(arrival.arrived for arrival in arrivals)]),
        end="ended",
        arrivals=arrivals,
    )


def prompt(sent: float) -> float:
    return sent + RTT


def held(sent: float) -> float:
    return END + RTT


def late(sent: float) -> float:
    return min(sent + INTERVAL, END - INTERVAL) + RTT


def every(period: float) -> Way:
    return lambda sent: min((int(sent / period + 1e-9) + 1) * period, END) + RTT


def jittery(way: Way, most: float, seed: int) -> Way:
    """Up to `most` seconds later; what was sent first still comes first."""
    luck, last = random.Random(seed), [0.0]

    def jittered(sent: float) -> float:
        last[0] = max(last[0], way(sent) + luck.random() * most)
        return last[0]

    return jittered


def stalled(sent: float) -> float:
    return max(sent, 1.5 if sent >= 0.8 else 0.0) + RTT


def nothing(transport: TransportName, **more: object) -> Observation:
    empty = Observation(transport=transport, n=N, interval=INTERVAL, started=0.0, ended=5.5, end="deadline")
    return replace(empty, **more)  # type: ignore[arg-type]  # fields of many types


CASES: dict[str, tuple[Observation, Verdict]] = {
    "clean": (stream(prompt), Verdict.clean),
    "far away": (stream(lambda sent: sent + 0.9, opened=0.9), Verdict.clean),
    "one stall": (stream(stalled), Verdict.clean),
    "held, headers too": (stream(held, opened=END + RTT), Verdict.buffered),
    "held, headers came": (stream(held, transport="sse"), Verdict.buffered),
    "late by one": (stream(late, transport="sse"), Verdict.late_by_one),
    "late by one, last one never": (
        replace(stream(lambda sent: sent + INTERVAL + RTT, n=N - 1), end="deadline", ended=5.5),
        Verdict.late_by_one,
    ),
    "batches of 150 ms": (stream(every(0.15)), Verdict.batched),
    "batches of 205 ms": (stream(every(0.205)), Verdict.batched),
    "batches of 1 s": (stream(every(1.0)), Verdict.batched),
    "cut": (replace(stream(prompt, n=12), end="failed", ended=1.2), Verdict.cut),
    "falls silent": (replace(stream(prompt, n=12), end="deadline", ended=5.5), Verdict.cut),
    "cut at once": (nothing("ws", opened=RTT, end="closed", ended=0.1), Verdict.cut),
    "one way": (replace(stream(prompt), echo_sent=True), Verdict.uplink_blocked),
    "both ways": (replace(stream(prompt), echo_sent=True, echoed=RTT), Verdict.clean),
    "refused": (nothing("ws", status=403, end="failed", ended=0.1), Verdict.refused),
    "closed": (nothing("sse", end="failed", error="Server disconnected", ended=0.1), Verdict.refused),
    "swallowed": (nothing("ws"), Verdict.no_answer),
    "nobody there": (nothing("poll", end="unreachable", error="no route", ended=0.1), Verdict.unreachable),
    "silent": (nothing("ws", opened=RTT), Verdict.silent),
    "silent to its end": (nothing("ws", opened=RTT, end="closed", ended=END), Verdict.silent),
    "headers only": (nothing("sse", opened=RTT), Verdict.headers_only),
    "polls": (stream(prompt, transport="poll"), Verdict.clean),
    "a poll is cut": (replace(stream(prompt, transport="poll", n=3), end="failed", ended=2.0), Verdict.cut),
}


@pytest.mark.parametrize("name", CASES)
def test_every_fault_has_its_name(name: str) -> None:
    seen, verdict = CASES[name]
    finding = diagnose(seen)
    assert finding.verdict is verdict, finding.detail
    assert finding.detail[0] == finding.detail[0].upper()
    assert finding.detail.endswith(".")


@pytest.mark.parametrize("seed", range(40))
@pytest.mark.parametrize(
    ("way", "most", "verdict"),
    [
        (prompt, 0.05, Verdict.clean),
        (prompt, 0.2, Verdict.clean),
        (prompt, 0.6, Verdict.clean),
        (late, 0.03, Verdict.late_by_one),
        (held, 0.2, Verdict.buffered),
        (every(0.4), 0.02, Verdict.batched),
    ],
    ids=["little", "much", "most", "late by one", "held", "batched"],
)
def test_jitter_neither_makes_a_fault_nor_hides_one(way: Way, most: float, verdict: Verdict, seed: int) -> None:
    finding = diagnose(stream(jittery(way, most, seed)))
    assert finding.verdict is verdict, finding.detail


def test_figures_do_not_depend_on_the_clocks() -> None:
    figures = diagnose(stream(lambda sent: sent + RTT + (0.03 if sent > 1 else 0.0))).figures
    assert figures.opened == figures.first_frame == pytest.approx(RTT)
    assert (figures.delay_median, figures.delay_max) == pytest.approx((0.03, 0.03), abs=1e-5)
    assert (figures.frames, figures.expected) == (N, N)


@pytest.mark.parametrize("period", [0.15, 0.205, 0.5])
def test_the_period_of_batches(period: float) -> None:
    found = diagnose(stream(every(period))).period
    assert found == pytest.approx(period, rel=0.05)


def test_an_uplink_that_is_blocked_spoils_what_sends_by_post() -> None:
    blocked = Uplink(verdict=Verdict.uplink_blocked, detail="POST /send was not answered.")
    ws, sse = diagnose(stream(prompt)), diagnose(stream(prompt, transport="sse"))
    assert with_uplink(ws, blocked) == ws
    assert with_uplink(sse, blocked).verdict is Verdict.uplink_blocked
    held_back = diagnose(stream(held, transport="sse"))
    assert with_uplink(held_back, blocked) == held_back
    own = Uplink(verdict=Verdict.refused, detail="the server wants a token", status=401, own_word=True)
    assert with_uplink(sse, own) == sse
    assert alone(blocked).verdict is Verdict.no_answer


def long_run(transport: TransportName, n: int, interval: float, *, cut: float | None = None) -> Observation:
    times = [seq * interval for seq in range(n) if cut is None or seq * interval < cut]
    return Observation(
        transport=transport,
        n=n,
        interval=interval,
        started=0.0,
        opened=0.0,
        ended=n * interval if cut is None else cut,
        end="ended" if cut is None else "failed",
        arrivals=tuple(Arrival(seq, SKEW + at, at) for seq, at in enumerate(times)),
    )


def test_a_long_run_tells_cuts_in_traffic_from_cuts_in_silence() -> None:
    quick = diagnose(stream(prompt))
    whole = with_endurance(quick, long_run("ws", 35, 2.0), long_run("ws", 2, 60.0))
    assert (whole.verdict, whole.idle_passed, whole.idle_cut, whole.cut_after) == (Verdict.clean, 60.0, None, None)

    silence = with_endurance(quick, long_run("ws", 35, 2.0), long_run("ws", 2, 60.0, cut=10.0))
    assert (silence.verdict, silence.idle_cut, silence.cut_after) == (Verdict.clean, 10.0, None)
    assert "silent connection is cut after 10.0 s" in silence.detail

    traffic = with_endurance(quick, long_run("ws", 35, 2.0, cut=16.0), long_run("ws", 2, 60.0, cut=16.0))
    assert (traffic.verdict, traffic.cut_after) == (Verdict.cut, 16.0)
    assert "silent connection" not in traffic.detail


def report(uplink: Uplink | None = None, /, **seen: Observation) -> Report:
    findings: dict[TransportName, Finding] = {"ws": diagnose(nothing("ws", end="unreachable", error="refused"))}
    findings.update({name: diagnose(observation) for name, observation in seen.items()})  # type: ignore[misc]  # names are str
    return Report(url="http://h:80", authority="h:80", at=0.0, took=1.0, findings=findings, uplink=uplink)


def test_the_best_that_works_is_recommended_first() -> None:
    found = report(ws=stream(late), sse=stream(every(0.2), transport="sse"), poll=stream(prompt, transport="poll"))
    assert [choice.transport for choice in found.order] == ["poll", "sse", "ws"]
    assert found.works
    assert found.heartbeat == 5.0
    same = report(ws=stream(prompt), sse=stream(prompt, transport="sse"))
    assert [choice.transport for choice in same.order] == ["ws", "sse"]
    assert (same.heartbeat, same.poll_wait, same.advice) == (15.0, 25.0, ())


def test_waits_keep_below_what_is_cut() -> None:
    ws, poll = diagnose(stream(prompt)), diagnose(stream(prompt, transport="poll"))
    idle = with_endurance(ws, long_run("ws", 35, 2.0), long_run("ws", 2, 60.0, cut=10.0))
    held = replace(long_run("poll", 1, 55.0, cut=15.0), arrivals=())
    found = replace(report(), findings={"ws": idle, "poll": with_endurance(poll, None, held)})
    assert found.heartbeat == 4.0
    assert found.poll_wait == 12.0
    assert any("10 s of silence" in line for line in found.advice)


@pytest.mark.parametrize(
    ("way", "seen", "words"),
    [
        ("ws", nothing("ws", status=400, end="failed"), "proxy_set_header Upgrade"),
        ("ws", nothing("ws", status=403, end="failed"), "CONNECT to h:80"),
        ("ws", nothing("ws", status=407, end="failed"), "login"),
        ("ws", nothing("ws", opened=RTT), "inspection"),
        ("sse", stream(held, transport="sse"), "proxy_buffering off"),
        ("sse", stream(late, transport="sse"), "antivirus"),
        ("sse", stream(every(0.2), transport="sse"), "http-no-delay"),
        ("sse", nothing("sse", status=404, end="ended"), "status 404"),
        ("poll", nothing("poll"), "/poll are not answered"),
        ("sse", replace(stream(prompt, transport="sse"), seen={"http": "1.0"}), "proxy_http_version 1.1"),
    ],
)
def test_advice_says_what_to_change(way: str, seen: Observation, words: str) -> None:
    assert any(words in line for line in report(**{way: seen}).advice)


def test_a_server_that_is_away_is_said_plainly() -> None:
    found = report()
    assert not found.reachable
    assert not found.works
    (line,) = found.advice
    assert "No connection to h:80" in line


def test_the_report_is_json() -> None:
    uplink = Uplink(verdict=Verdict.clean, detail="it arrives.", round_trip=0.0123456789)
    members = json.loads(json.dumps(report(uplink, ws=stream(prompt)).to_json()))
    assert members["format"] == 1
    assert members["transports"]["ws"]["verdict"] == "clean"
    assert members["transports"]["ws"]["latency"]["opened"] == RTT
    assert members["uplink"] == {"verdict": "clean", "detail": "it arrives.", "status": None, "round_trip": 0.01235}
    assert members["order"][0]["transport"] == "ws"
