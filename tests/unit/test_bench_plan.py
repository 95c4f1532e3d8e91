"""Which runs are made, when a run is void, where the knee is, and what a comparison says."""

from __future__ import annotations

import io
from dataclasses import replace

import pytest
from rich.console import Console
from tests.unit.test_bench_results import RESULTS, RUN

from tricast_bench.bench.axes import Axes
from tricast_bench.bench.compare import compare, faults, table
from tricast_bench.bench.job import Answer, Job, Measured
from tricast_bench.bench.judge import Knee, carried, grows, knees, void
from tricast_bench.bench.meter import Usage
from tricast_bench.bench.plan import plan, transports_of
from tricast_bench.bench.session import Asked
from tricast_bench.bench.show import notes, shown, tables
from tricast_bench.fallback.trials import CONNECTS
from tricast_bench.results import TRANSPORTS, Metrics, Results, Run
from tricast_bench.scenarios import BROADCAST, FALLBACK, FORMATS, IDLE, MIXED, SCENARIOS
from tricast_bench.titles import TITLES

SECOND = 1_000_000_000


def usage(**values: int) -> Usage:
    return replace(Usage(at=0, cpu=0, memory=0, files=0, waited=0, own_cpu=0, own_waited=0), **values)


def runs(p50s: list[float], **changes: object) -> tuple[Run, ...]:
    each = [replace(RUN, repeat=n, order=n, metrics=replace(RUN.metrics, p50_ms=p50)) for n, p50 in enumerate(p50s, 1)]
    return tuple(replace(run, **changes) for run in each)  # type: ignore[arg-type]  # fields of many types


def results(*all_runs: Run) -> Results:
    return replace(RESULTS, runs=all_runs)


def test_each_round_has_every_case_on_every_transport_once_in_another_order() -> None:
    planned = plan([BROADCAST, MIXED], TRANSPORTS, 3, seed=1, quick=False)
    assert len(planned) == 3 * (3 * 3 + 1)
    rounds = [[(one.case, one.transport) for one in planned if one.repeat == number] for number in (1, 2, 3)]
    assert {len(round_) for round_ in rounds} == {10}
    assert rounds[0] != rounds[1]
    assert all(sorted(map(repr, round_)) == sorted(map(repr, rounds[0])) for round_ in rounds)
    assert planned == plan([BROADCAST, MIXED], TRANSPORTS, 3, seed=1, quick=False)


def test_a_quick_plan_has_fewer_cases_but_all_of_what_has_no_quick_one() -> None:
    assert len(plan([BROADCAST], ("ws",), 1, 0, quick=True)) == len(BROADCAST.quick)
    assert len(plan([MIXED], ("ws",), 1, 0, quick=True)) == len(MIXED.cases)


def test_a_job_has_the_parameters_of_its_case() -> None:
    [one] = plan([IDLE], ("sse",), 1, seed=4, quick=False)
    job = one.job("http://front", "http://direct", 7, ("ws", "sse"), seed=4)
    assert (job.kind, job.clients, job.more, job.pid, job.seed) == ("idle", {"sse": 100}, 400, 7, 5)
    assert Job.of_line(job.line()) == job
    [mixed] = plan([MIXED], ("ws", "sse"), 1, seed=0, quick=False)
    assert mixed.job("", "", None, ("ws", "sse"), 0).clients == {"ws": 45, "sse": 45}


def test_an_answer_comes_back_from_its_line() -> None:
    measured = Measured(
        transport="ws", seconds=1.0, void=None, metrics=Metrics(p50_ms=1.0), series=((0.0, 1.0, 1.0, 3),)
    )
    answer = Answer(measured=(measured,))
    assert Answer.of_line(answer.line()) == answer


def test_scenarios_ask_for_what_there_is() -> None:
    assert {case.parameters["network"] for case in FALLBACK.cases} <= CONNECTS.keys()
    for scenario in SCENARIOS.values():
        assert set(scenario.columns) <= TITLES.keys()


@pytest.mark.parametrize(("text", "names"), [("ws,sse,poll", TRANSPORTS), ("poll, ws", ("ws", "poll"))])
def test_transports_are_a_list(text: str, names: tuple[str, ...]) -> None:
    assert transports_of(text) == names


@pytest.mark.parametrize("text", ["", "ws,tcp", ","])
def test_unknown_transports_are_refused(text: str) -> None:
    with pytest.raises(ValueError, match="transports are some of"):
        transports_of(text)


def test_what_was_asked_is_checked() -> None:
    asked = Asked.of(True, ["echo,idle", "knee"], "ws", None, None, 1)
    assert [scenario.name for scenario in asked.scenarios] == ["echo", "idle", "knee"]
    assert {scenario.name for scenario in Asked.of(True, None, "ws", None, None, 1).scenarios} < set(SCENARIOS)
    with pytest.raises(ValueError, match=r"no such scenario: nope; there are echo"):
        Asked.of(False, ["nope"], "ws", None, None, 1)
    with pytest.raises(ValueError, match=r"a target is http://"):
        Asked.of(False, None, "ws", "ftp://x", None, 1)


def test_sse_is_never_compressed_so_that_is_not_measured() -> None:
    planned = plan([FORMATS], TRANSPORTS, 1, seed=1, quick=False)
    compressed = [one.transport for one in planned if one.case.parameters["compress"]]
    assert set(compressed) == {"ws", "poll"}
    assert len(planned) == 2 * 3 * 2 * (2 + 2 + 1)


def test_axes_take_the_place_of_what_a_scenario_has() -> None:
    asked = Asked.of(False, None, "ws", None, None, 1, Axes(format=["protobuf"], size=[1024], content=["text"]))
    assert [scenario.name for scenario in asked.scenarios] == ["formats"]
    assert [(case.parameters["format"], case.parameters["compress"]) for case in asked.scenarios[0].cases] == [
        ("protobuf", False),
        ("protobuf", True),
    ]
    [broadcast] = Asked.of(False, ["broadcast"], "ws", None, None, 1, Axes(compress=[True])).scenarios
    assert all(case.parameters["compress"] is True for case in broadcast.cases)
    assert len(broadcast.cases) == len(BROADCAST.cases)
    [one, *_] = plan([broadcast], ("ws",), 1, 0, quick=False)
    assert one.job("", "", None, ("ws",), 0).compress


def test_what_is_usual_leaves_a_case_as_it_was_so_that_older_results_can_be_compared() -> None:
    usual = Axes(format=["json"], compress=[False], content=["letters"])
    [broadcast] = Asked.of(False, ["broadcast"], "ws", None, None, 1, usual).scenarios
    assert broadcast.cases == BROADCAST.cases


def test_axes_that_nothing_can_be_measured_with_are_refused() -> None:
    for axes, reason in (
        (Axes(format=["xml"]), "formats are json or protobuf, not xml"),  # type: ignore[list-item]
        (Axes(content=["music"]), "contents are letters or text or binary, not music"),  # type: ignore[list-item]
        (Axes(size=[10]), "a payload has 64 bytes at least"),
    ):
        with pytest.raises(ValueError, match=reason):
            Asked.of(False, ["broadcast"], "ws", None, None, 1, axes)
    with pytest.raises(ValueError, match="SSE is never compressed"):
        Asked.of(False, ["broadcast"], "sse", None, None, 1, Axes(compress=[True]))
    with pytest.raises(ValueError, match="idle has no formats"):
        Asked.of(False, ["idle"], "ws", None, None, 1, Axes(format=["protobuf"]))


@pytest.mark.parametrize(
    ("after", "lag", "p99", "reason"),
    [
        ({}, 0.5, 2.0, None),
        ({"own_cpu": 9 * SECOND}, 0.5, 2.0, "the load took 90% of its core"),
        ({"waited": 2 * SECOND}, 0.5, 2.0, "kept the server off its core for 20%"),
        ({"own_waited": 2 * SECOND}, 0.5, 2.0, "kept the load off its core for 20%"),
        ({}, 9.0, 12.0, "the load was late"),
        ({}, 9.0, 40.0, None),
        ({}, 1.9, 2.0, None),
        ({}, None, None, None),
    ],
)
def test_a_run_is_void_where_it_says_nothing_of_the_server(
    after: dict[str, int], lag: float | None, p99: float | None, reason: str | None
) -> None:
    found = void(usage(), usage(at=10 * SECOND, **after), lag, p99)
    assert (found is None) if reason is None else (found is not None and reason in found)


def test_a_server_that_shares_its_core_by_design_may_wait_for_it() -> None:
    assert void(usage(), usage(at=10 * SECOND, waited=5 * SECOND), None, None, shared=True) is None


def test_a_load_is_carried_within_the_objective_with_nothing_lost_and_no_growing_backlog() -> None:
    good = Metrics(p99_ms=50.0, lost=0, gaps=0)
    steady = [(0.0, 3.0, 9.0, 1)] * 6
    assert carried(good, steady, 0.1)
    assert not carried(good, steady, 0.01)
    assert not carried(replace(good, lost=1), steady, 0.1)
    assert not carried(replace(good, gaps=1), steady, 0.1)
    assert not carried(Metrics(), steady, 0.1)
    assert not carried(good, [(0.5 * n, 3.0 + 10 * n, 50.0, 1) for n in range(6)], 0.1)
    assert not grows([5.0])


def step(rate: float, p99: float, void: str | None = None, order: int = 0) -> Run:
    return replace(
        RUN,
        scenario="knee",
        parameters={"rate": rate, "objective": 0.1},
        metrics=Metrics(p99_ms=p99, offered_per_second=rate, delivered_per_second=10 * rate, lost=0, gaps=0),
        series=(),
        void=void,
        order=order,
    )


def test_the_knee_is_the_last_rate_that_was_carried() -> None:
    steps = [step(10, 5), step(20, 50), step(40, 500)]
    assert knees(steps) == [Knee("sse", 1, 20, 200, limited_by_load=False)]
    assert knees(steps[:2]) == [Knee("sse", 1, 20, 200, limited_by_load=True)]
    assert knees([step(10, 500)]) == [Knee("sse", 1, None, None, limited_by_load=False)]
    assert knees([step(10, 5), step(20, 50, void="late")]) == [Knee("sse", 1, 10, 100, limited_by_load=True)]
    again = [step(10, 5), step(20, 50, void="late", order=1), step(20, 50, order=2)]
    assert knees(again) == [Knee("sse", 1, 20, 200, limited_by_load=True)]


def test_a_comparison_says_worse_better_or_no_difference() -> None:
    old = results(*runs([10.0, 10.1, 9.9, 10.0]))
    for p50s, verdict, regression in (
        ([12.0, 12.1, 11.9, 12.0], "worse", True),
        ([10.3, 10.4, 10.3, 10.4], "worse", False),
        ([8.0, 8.1, 7.9, 8.0], "better", False),
        ([9.0, 10.0, 10.2, 11.0], "no difference", False),
        ([20.0, 20.0], "too few runs", False),
    ):
        [found] = compare(old, results(*runs(p50s)))
        assert (found.metric, found.verdict, found.is_regression(0.1)) == ("p50_ms", verdict, regression)
        assert table([found]).row_count == 1


def test_more_is_better_where_it_is() -> None:
    def rates(values: list[float]) -> Results:
        every = [replace(RUN, repeat=n, metrics=Metrics(delivered_per_second=v)) for n, v in enumerate(values)]
        return results(*every)

    [found] = compare(rates([100.0, 101.0, 99.0]), rates([50.0, 51.0, 49.0]))
    assert (found.verdict, found.is_regression(0.1)) == ("worse", True)


def test_void_runs_and_cases_of_one_file_alone_are_not_compared() -> None:
    old = results(*runs([10.0, 10.0, 10.0]))
    assert compare(old, results(*runs([99.0] * 3, void="late"))) == []
    assert compare(old, results(*runs([99.0] * 3, scenario="echo"))) == []


def test_a_new_loss_is_a_fault() -> None:
    lossy = replace(RUN, metrics=replace(RUN.metrics, lost=3))
    assert faults(results(RUN), results(lossy)) == ["broadcast, 100 clients, 20/s, 128 B, sse: 3 lost"]
    assert faults(results(lossy), results(lossy)) == []


def test_a_table_shows_medians_of_valid_runs_and_marks_what_is_only_void() -> None:
    valid = runs([1.0, 2.0, 3.0])
    void_ones = runs([50.0], void="the load was late: its p99 of 3.0 ms is most of the latency's 4.0 ms")
    assert shown([*valid, *void_ones], "p50_ms").startswith("2 (")
    assert shown(void_ones, "p50_ms") == "[dim]~50[/]"
    assert shown(valid, "spread_ms") == "–"
    of = results(*valid, *void_ones)
    assert [shown_table.row_count for shown_table in tables(of, Console(width=250))] == [1]
    assert "  1 x the load was late (…)" in notes(of)
    assert "nginx: not measured, as not installed" in notes(of)


@pytest.mark.parametrize("width", [72, 250])
def test_a_table_cuts_nothing_off_whatever_the_width(width: int) -> None:
    console = Console(width=width, record=True, file=io.StringIO())
    for shown_table in tables(results(*runs([1.25, 2.25, 3.25])), console):
        console.print(shown_table)
    text = console.export_text()
    assert "2.25 (1.25–3.25)" in text
    assert all(TITLES[column] in text for column in BROADCAST.columns)
    assert "…" not in text
