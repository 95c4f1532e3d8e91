"""Ratios are made within a round, and a goal is met, missed or not measured."""

from __future__ import annotations

import io
from typing import Any

import pytest
from rich.console import Console

from tricast_bench.peers import markdown, registry, workloads
from tricast_bench.peers.goals import GOALS, Goal, as_table, check
from tricast_bench.peers.load import Outcome
from tricast_bench.peers.measure import Loaded, Measured, turned
from tricast_bench.peers.report import notes, ratio_in_rounds, tables

CPU = Goal(workload="ws-20", metric="us_per_delivery", limit=0.95, against="nchan")


def sample(number: int, peer: str, us: float | None = None, *, workload: str = "ws-20", **more: Any) -> Measured:
    return Measured(round=number, workload=workload, peer=peer, us_per_delivery=us, **more)


def rounds(peer: str, *values: float, **more: Any) -> list[Measured]:
    return [sample(number, peer, value, **more) for number, value in enumerate(values, 1)]


def test_a_ratio_is_of_samples_of_one_round() -> None:
    samples = rounds("tricast", 9.0, 30.0, 5.0) + rounds("nchan", 10.0, 20.0)
    assert ratio_in_rounds(samples, "ws-20", "us_per_delivery", "tricast", "nchan") == [0.9, 1.5]


@pytest.mark.parametrize(("ours", "met"), [((9.0, 9.0, 30.0), True), ((9.6, 9.6, 1.0), False)])
def test_the_median_of_the_ratios_decides(ours: tuple[float, ...], met: bool) -> None:
    [verdict] = check(rounds("tricast", *ours) + rounds("nchan", 10.0, 10.0, 10.0), [CPU])
    assert verdict.value == pytest.approx(sorted(ours)[1] / 10.0)
    assert verdict.met is met


def test_what_was_void_or_failed_or_left_out_is_not_measured() -> None:
    samples = [*rounds("tricast", 1.0, 1.0), sample(1, "nchan", 10.0, void="x"), sample(2, "nchan", failed="x")]
    for known in (samples, rounds("tricast", 1.0), []):
        [verdict] = check(known, [CPU])
        assert (verdict.value, verdict.met) == (None, None)


def test_more_can_be_better() -> None:
    goal = Goal(workload="ws-20", metric="deliveries_per_second", limit=10.0, against="nchan", at="least")
    peers = {"tricast": 1000.0, "nchan": 99.0}
    samples = [sample(1, name, deliveries_per_second=value) for name, value in peers.items()]
    assert [verdict.met for verdict in check(samples, [goal])] == [True]


def test_a_goal_may_stand_alone() -> None:
    goal = Goal(workload="ws-20", metric="p99", limit=25.0)
    for p99, met in ((25.0, True), (25.1, False)):
        assert [verdict.met for verdict in check([sample(1, "tricast", p99=p99)], [goal])] == [met]


def test_everything_is_delivered_only_if_it_is_in_every_round() -> None:
    goal = Goal(workload="ws-20", metric=None)
    whole, part = sample(1, "tricast", 1.0), sample(2, "tricast", 1.0, complete=False)
    assert [v.met for v in check([whole], [goal])] == [True]
    assert [v.met for v in check([whole, part], [goal])] == [False]
    assert [v.met for v in check([whole, sample(2, "tricast", failed="x")], [goal])] == [False]
    assert [v.met for v in check([], [goal])] == [None]


@pytest.mark.parametrize("what", ["foreign", "stolen", "generator_waited"])
def test_a_sample_is_void_where_something_else_took_a_core(what: str) -> None:
    latency = dict.fromkeys(("p50", "p90", "p99", "p99.9", "max"), 1.0)
    counts = dict.fromkeys(("planned", "missing", "duplicates", "stale", "answered", "bytes", "reads"), 0)
    outcome = Outcome(published=1, delivered=1, elapsed=1000, cpu=900, latency=latency, late=latency, said="", **counts)
    times = {"server_cpu": 900, "server_waited": 900, "generator_waited": 0, "foreign": 0, "stolen": 0}
    assert Loaded(outcome=outcome, **times).void is None
    assert Loaded(outcome=outcome, **times | {what: 100}).void is None
    assert Loaded(outcome=outcome, **times | {what: 101}).void is not None
    assert sample(1, "tricast", 1.0, generator_share=Loaded(outcome=outcome, **times).generator_share).limited


def test_goals_name_what_there_is() -> None:
    for goal in GOALS:
        workload = workloads.BY_NAME[goal.workload]
        for name in filter(None, (goal.peer, goal.against)):
            assert workload.speech(registry.BY_NAME[name]) is not None, str(goal)


def test_names_are_given_once() -> None:
    assert len(registry.BY_NAME) == len(registry.PEERS)
    assert len(workloads.BY_NAME) == len(workloads.WORKLOADS)
    assert set(workloads.QUICK) <= set(workloads.BY_NAME)


def test_each_round_another_server_begins() -> None:
    peers = registry.PEERS[:3]
    assert [turned(peers, by)[0] for by in range(4)] == [peers[0], peers[1], peers[2], peers[0]]


def test_the_tables_show_medians_ratios_and_marks() -> None:
    samples = rounds("tricast", 9.0, 11.0, 10.0) + rounds("nchan", 18.0, 22.0, 20.0, complete=False)
    samples += [sample(1, "node-ws", 1.0, void="noise"), sample(1, "socketio", failed="it does not listen")]
    samples += [sample(1, "floor", 5.0, generator_share=0.9)]
    out = io.StringIO()
    console = Console(file=out, width=100)
    for table in tables(samples, "tricast"):
        console.print(table)
    console.print(as_table(check(samples)))
    lines = [line.split() for line in out.getvalue().splitlines()]
    for row in (["tricast", "10.0"], ["nchan", "20.0*", "2.00×"], ["node-ws", "void"], ["socketio", "failed"]):
        assert row in lines
    assert ["floor", "5.0†", "0.56×"] in lines
    assert ["ws-20", "tricast", "µs", "≤", "0.95", "×", "nchan", "0.50", "met"] in lines
    said = "\n".join(notes(samples, {"nats": "it is not there"}))
    for text in ("nats, as it is not there", "socketio, ws-20, round 1: it does not listen", "1 of 9 samples"):
        assert text in said


def test_the_document_has_the_tables_the_goals_and_where_it_was_made() -> None:
    raw = {
        "started": "2026-01-02T03:04:05Z",
        "environment": {"python": "CPython 3", "kernel": "Linux", "cores": 2, "cpu": "a processor"},
        "plan": {"rounds": 2, "seconds": 1.6},
        "versions": {"tricast": "1", "nchan": "2"},
        "said": {"nchan": "one worker"},
        "left_out": {"nats": "it is not installed"},
    }
    samples = rounds("tricast", 9.0, 9.0) + rounds("nchan", 10.0, 10.0)
    text = markdown.text(raw, samples, "tricast")
    for line in (
        "| tricast | 9.0 |",
        "| nchan | 10.0 (1.11×) |",
        "| ws-20 | tricast | µs ≤ 0.95 × nchan | 0.90 | met |",
        "- not measured: nats, as it is not installed",
        "- nchan: one worker",
    ):
        assert line in text.splitlines()
    assert "on 2 January 2026 in 2 rounds of 1.6 s" in text
