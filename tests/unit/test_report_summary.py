"""From results to the numbers of the comparison, and to the words of the guide."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

import pytest
from tests.helpers import ROOT
from tests.helpers_report import run, sample

from tricast_bench.report import guide, words
from tricast_bench.report.cases import cases, reference
from tricast_bench.report.facts import PROXIES_ALL, PROXIES_PASSED
from tricast_bench.report.phrases import fit
from tricast_bench.report.summary import Summary, compared, summarise
from tricast_bench.results import TRANSPORTS, Metrics, Results, Run, Settings, Transport
from tricast_bench.stats import Estimate

ECHO = {"subscribers": 10, "rate": 100.0, "size": 64, "own_topics": True}
BROADCAST = {"subscribers": 100, "rate": 20.0, "size": 128}


@pytest.fixture(scope="module")
def summary() -> Summary:
    return summarise(sample())


def results(*runs: Run) -> Results:
    settings = Settings(quick=False, repeat=5, seed=1, transports=("ws", "sse", "poll"))
    return Results(started="", seconds=1.0, command=(), environment={}, settings=settings, runs=runs)


def broadcasts(costs: Mapping[Transport, float], p99s: Mapping[Transport, float], rounds: int = 5) -> Iterator[Run]:
    """What a delivery cost, and how late it was; a little more in each round."""
    for repeat in range(1, rounds + 1):
        for name, cost in costs.items():
            metrics = Metrics(server_cpu_us_per_delivery=cost + repeat / 100, p99_ms=p99s[name], p50_ms=1.0)
            yield run("broadcast", name, repeat, parameters=BROADCAST, metrics=metrics)


def sentences(said: Results, question: str) -> str:
    return next(" ".join(one.sentences) for one in guide.advice(summarise(said)) if question in one.question)


@pytest.mark.parametrize(
    ("first", "second", "verdict"),
    [
        ([10.0, 11.0, 12.0], [20.0, 22.0, 24.0], "worse"),
        ([10.0, 11.0, 12.0], [11.0, 10.0, 13.0], "no difference"),
        ([10.0, 11.0], [20.0, 22.0], "too few runs"),
        ([0.0, 0.0, 0.0], [0.0, 0.0, 0.0], "no difference"),
        ([0.0, 0.0, 0.0], [1.0, 1.0, 1.0], "worse"),
    ],
)
def test_the_others_are_compared_with_the_best_in_paired_rounds(
    first: list[float], second: list[float], verdict: str
) -> None:
    cells = compared({"ws": dict(enumerate(first)), "sse": dict(enumerate(second))})
    first_is = "least" if verdict == "too few runs" else "best"
    assert (cells["ws"].verdict, cells["sse"].verdict) == (first_is, verdict)


def test_a_drift_over_the_rounds_does_not_hide_a_difference() -> None:
    drift = {1: 10.0, 2: 20.0, 3: 40.0, 4: 80.0}
    cells = compared({"ws": drift, "sse": {repeat: 1.2 * value for repeat, value in drift.items()}})
    assert cells["sse"].verdict == "worse"
    assert cells["sse"].factor is not None
    assert cells["sse"].factor.value == pytest.approx(1.2)


def test_where_more_is_better_the_factor_says_how_many_times_less() -> None:
    cells = compared({"ws": {1: 10.0, 2: 11.0, 3: 12.0}, "sse": {1: 30.0, 2: 33.0, 3: 36.0}}, more_is_better=True)
    assert cells["sse"].verdict == "best"
    assert cells["ws"].factor is not None
    assert cells["ws"].factor.value == pytest.approx(3.0)


def test_one_alone_is_not_the_best_of_anything() -> None:
    assert compared({"ws": {1: 1.0}, "sse": {}})["ws"].verdict == "alone"
    assert compared({}) == {}


def test_void_runs_are_in_no_number() -> None:
    good = run("echo", "ws", 1, parameters=ECHO, metrics=Metrics(p50_ms=1.0))
    bad = run("echo", "ws", 2, parameters=ECHO, metrics=Metrics(p50_ms=900.0), void="too busy")
    [case] = cases(results(good, bad))
    assert case.values("ws", "p50_ms") == {1: 1.0}
    row = summarise(results(bad)).row("echo.p50")
    assert row.cells == {}
    assert row.is_void("ws")
    assert not row.is_void("sse")


def test_the_case_of_a_quick_run_stands_for_its_scenario(summary: Summary) -> None:
    case = reference(summary.of("broadcast"))
    assert case is not None
    assert case.number("subscribers") == 100
    assert reference([]) is None


def test_a_case_with_all_transports_stands_before_one_with_fewer() -> None:
    other = {**BROADCAST, "subscribers": 10}
    alone = run("broadcast", "ws", parameters=BROADCAST, metrics=Metrics(p50_ms=1.0))
    both = [run("broadcast", name, parameters=other, metrics=Metrics(p50_ms=1.0)) for name in ("ws", "sse")]
    case = summarise(results(alone, *both)).row("broadcast.p50").case
    assert case is not None
    assert case.number("subscribers") == 10


def test_what_was_not_measured_has_no_cells_and_no_sentences() -> None:
    empty = summarise(results())
    assert [row.cells for group in empty.groups for row in group.rows] == [{}] * 15
    unanswered = {one.run for one in guide.advice(empty) if not one.sentences}
    assert unanswered == {"broadcast", "echo", "delay", "idle", "knee"}
    assert guide.answer(empty) == ["No broadcast was measured, so there is no word here on what a message costs."]


def test_the_answer_names_the_cheapest_by_how_much_and_where_it_does_not_matter() -> None:
    said = results(*broadcasts({"ws": 10.0, "sse": 10.0, "poll": 40.0}, {"ws": 5.0, "sse": 5.0, "poll": 6.0}))
    [answer] = guide.answer(summarise(said))
    assert answer.startswith(
        "A delivery to one of many costs the server 10.0 µs of CPU over WebSocket; over SSE 10.0 µs"
    )
    assert "no difference" in answer
    assert "over long polling 40.0 µs, 3.99 times as much (3.99–4.00)" in answer
    cheapest = sentences(said, "cheapest")
    assert "is 30 µs for each delivery: up to 3,300 deliveries a second it is less than 10% of a core" in cheapest


def test_a_small_difference_is_told_and_does_not_decide() -> None:
    said = results(*broadcasts({"ws": 10.0, "sse": 11.0}, {"ws": 5.0, "sse": 5.0}))
    assert "1.10 times as much (1.10–1.10), measurable but below the 1.25" in sentences(said, "cheapest")
    assert sentences(said, "one way").startswith("WebSocket or SSE: as quick as a person can tell")
    assert "take SSE" in sentences(said, "one way")


def test_a_cost_that_matters_decides() -> None:
    said = results(*broadcasts({"ws": 10.0, "sse": 20.0, "poll": 40.0}, {"ws": 5.0, "sse": 5.0, "poll": 5.0}))
    assert sentences(said, "one way").startswith("WebSocket: as quick as a person can tell, and cheaper than others")
    assert "take SSE" not in sentences(said, "one way")


def test_one_that_alone_is_quick_is_chosen_for_that() -> None:
    said = results(*broadcasts({"ws": 10.0, "poll": 5.0}, {"ws": 5.0, "poll": 90.0}))
    assert sentences(said, "one way").startswith("WebSocket: the others are slower by 10 ms or more (100 clients")


def test_what_is_slower_than_a_person_overlooks_is_left_out_even_if_it_is_cheap() -> None:
    made = summarise(
        results(*broadcasts({"ws": 10.0, "sse": 10.0, "poll": 5.0}, {"ws": 5.0, "sse": 6.0, "poll": 90.0}))
    )
    assert fit(made.row("broadcast.p99"), made.row("broadcast.cpu")) == ["ws", "sse"]
    assert "up to 85 ms apart, more than the 10 ms" in " ".join(
        sentence for one in guide.advice(made) for sentence in one.sentences
    )


def test_two_rounds_are_too_few_to_tell() -> None:
    said = results(*broadcasts({"ws": 10.0, "sse": 20.0}, {"ws": 5.0, "sse": 5.0}, rounds=2))
    assert "too few rounds with both to tell them apart" in sentences(said, "cheapest")
    assert "No difference" not in sentences(said, "cheapest")
    assert "as far as so few rounds tell" in sentences(said, "one way")


def knee(transport: Transport, repeat: int, rate: float, p99: float, void: str | None = None) -> Run:
    parameters = {"subscribers": 100, "objective": 0.1, "rate": rate}
    metrics = Metrics(p99_ms=p99, offered_per_second=rate, delivered_per_second=100 * rate, lost=0)
    return run("knee", transport, repeat, parameters=parameters, metrics=metrics, void=void)


def test_a_search_that_the_load_ended_says_at_least() -> None:
    runs = []
    for repeat in (1, 2, 3):
        runs += [knee("ws", repeat, 10.0, 5.0), knee("ws", repeat, 20.0, 5.0), knee("ws", repeat, 30.0, 500.0)]
        runs += [knee("sse", repeat, 10.0, 5.0), knee("sse", repeat, 20.0, 5.0, "the load took 90% of its core")]
        runs += [knee("poll", repeat, 10.0, 5.0, "the load took 90% of its core")]
    row = summarise(results(*runs)).row("knee.most")
    assert {name: (cell.value.value, cell.verdict, cell.at_least) for name, cell in row.cells.items()} == {
        "ws": (2000.0, "best", False),
        "sse": (1000.0, "open", True),
    }
    assert row.is_void("poll")
    assert "at least 1,000 deliveries a second over SSE" in sentences(results(*runs), "carry")


def test_the_guide_of_a_whole_run(summary: Summary) -> None:
    said = {one.question: " ".join(one.sentences) for one in guide.advice(summary)}
    assert all(said.values())
    assert "its requests from 0.980 to" in said["When does long polling become expensive?"]
    assert "several messages, so it is answers that cost" in said["When does long polling become expensive?"]
    assert "With 50 ms of round trip" in said["What where the server is far away?"]
    assert "10,000 of them take" in said["What for many connections at rest?"]
    assert "steps of 1.50 times" in said["How much does one server carry?"]
    assert (
        "531" in said["What behind hostile proxies?"]
        or "534 ms (websocket-blackhole" in said["What behind hostile proxies?"]
    )
    assert said["Was anything lost?"].startswith("No: of ")
    assert "told of by a gap" in said["Was anything lost?"]
    assert not any("nan" in text.lower().split() or "None" in text for text in said.values())


def test_lost_messages_are_called_a_fault() -> None:
    one = run("echo", "ws", parameters=ECHO, metrics=Metrics(p99_ms=1.0, delivered=99, lost=1, duplicated=2))
    assert sentences(results(one), "lost") == "Yes: of 99 deliveries, 1 lost and 2 doubled. That is a fault."


def test_what_is_missing_beyond_the_knee_is_no_fault() -> None:
    far = run("knee", "ws", parameters={"rate": 999.0}, metrics=Metrics(p99_ms=9000.0, delivered=99, lost=1))
    assert sentences(results(far), "lost") == "No run counted its messages."


def test_proxies_passed_are_those_of_the_document() -> None:
    text = (ROOT / "docs/proxies.md").read_text(encoding="utf-8")
    rows = [
        [cell.strip() for cell in line.strip("|").split("|")] for line in text.splitlines() if line.startswith("| ")
    ]
    proxies = [row for row in rows if len(row) >= 8 and row[0] != "proxy" and not row[0].startswith("-")]
    assert len(proxies) == PROXIES_ALL
    for column, transport in enumerate(TRANSPORTS, start=2):
        assert sum(row[column] == "clean" for row in proxies) == PROXIES_PASSED[transport]
    assert re.search(r"Measured (\S+) by", text)


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (0.0, "0"),
        (-0.0, "0"),
        (0.0123, "0.0123"),
        (0.5, "0.500"),
        (9.994, "9.99"),
        (52.0, "52"),
        (52.34, "52.3"),
        (-3.5, "−3.50"),
        (38_400.0, "38,400"),
    ],
)
def test_numbers_have_three_digits(value: float, said: str) -> None:
    assert words.number(value) == said


def test_an_interval_has_no_more_decimals_than_it_needs() -> None:
    assert words.interval(Estimate(7.8, 7.18, 1301.18, 5)) == "7.18–1,301"
    assert words.interval(Estimate(0.992, 0.942, 1.031, 5)) == "0.942–1.03"
    assert words.interval(Estimate(12.0, 11.72, 12.31, 5)) == "11.7–12.3"
    assert words.interval(Estimate(0.0, 0.0, 0.25, 5)) == "0–0.250"


def test_a_case_is_told_by_its_parameters() -> None:
    assert words.case_in_words(ECHO) == "10 clients, 100/s, 64 B, there and back"
    assert words.case_in_words({**BROADCAST, "through": "nginx"}) == "100 clients, 20/s, 128 B, nginx"
    assert words.case_in_words({}) == ""
