"""How something grows is told from noisy figures, and the document says it between its marks alone."""

from __future__ import annotations

import math
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from tricast_bench.peers.growth.doc import section, write
from tricast_bench.peers.growth.figures import in_one_connection, medians, ratio, topics, values
from tricast_bench.peers.growth.fit import fit
from tricast_bench.peers.growth.measure import Sample
from tricast_bench.peers.growth.points import FEW, FULL, MANY, ONE, QUICK, SPREAD, SWEEPS, Metric, points
from tricast_bench.peers.measure import job_of
from tricast_bench.servers import Unusable

NS = (10, 100, 1_000, 5_000, 10_000)
RAW: dict[str, Any] = {
    "started": "2026-11-22T00:00:00Z",
    "environment": {"cpu": "a CPU", "kernel": "Linux", "python": "CPython"},
    "rounds": {"rounds": 3, "seconds": 1.2, "warm_up": 0.5},
}
GROWS: dict[str, Callable[[float], float]] = {
    "a constant": lambda n: 40.0,
    "log n": lambda n: 5 + 9 * math.log(n),
    "n": lambda n: 40 + 9 * n,
    "n log n": lambda n: 40 + 2 * n * math.log(n),
    "faster than n log n": lambda n: 40 + 0.01 * n * n,
}


@pytest.mark.parametrize("name", GROWS)
@pytest.mark.parametrize("seed", range(5))
def test_the_shape_is_found_through_noise(name: str, seed: int) -> None:
    chance = random.Random(seed)
    noisy: dict[float, list[float]] = {n: [GROWS[name](n) * chance.uniform(0.96, 1.04) for _ in range(3)] for n in NS}
    found = fit(noisy)
    assert found is not None
    assert found.shape.name == name
    assert found.shape.faster is (name in ("n log n", "faster than n log n"))
    assert found.error < 0.1


def test_what_is_linear_with_a_fixed_cost_is_not_said_to_grow_faster() -> None:
    found = fit({n: [100 + 8.0 * n] for n in NS})
    assert found is not None
    assert (found.shape.name, round(found.fixed), round(found.each)) == ("n", 100, 8)
    assert found.exponent == pytest.approx(1.0, abs=0.02)


def test_two_points_say_nothing_of_growth() -> None:
    assert fit({10: [1.0], 100: [10.0], 1000: []}) is None


def sample(number: int, series: str, x: float, value: float | None, **more: Any) -> Sample:
    given: dict[str, Any] = {"sweep": "topics", "metric": "us_per_delivery"} | more
    return Sample(round=number, series=series, x=x, value=value, **given)


def swept(sweep: str, series: str, metric: Metric, cost: Callable[[float], float], *xs: float) -> list[Sample]:
    return [sample(number, series, x, cost(x), sweep=sweep, metric=metric) for number in (1, 2, 3) for x in xs]


def of_topics(costs: dict[tuple[str, int], float], connections: int = 10_000) -> list[Sample]:
    raw = {"connections": connections}
    return [
        sample(number, name, x, cost * number, raw=raw) for number in (1, 2, 3) for (name, x), cost in costs.items()
    ]


def test_ratios_are_of_the_same_round() -> None:
    samples = [sample(1, SPREAD, 20, 12.0), sample(2, SPREAD, 20, 60.0), sample(1, SPREAD, 1, 10.0)]
    samples += [sample(2, SPREAD, 1, 40.0), sample(3, SPREAD, 1, 1.0)]
    assert ratio(samples, (SPREAD, 20), (SPREAD, 1)) == pytest.approx((1.2 + 1.5) / 2)


def test_topics_are_compared_with_one_topic_and_with_as_few_readers() -> None:
    [one] = topics(of_topics({(SPREAD, 1): 10.0, (SPREAD, 2_000): 40.0, (FEW, 2_000): 32.0}))
    assert (one.count, one.readers, one.to_one, one.to_few) == (2_000, 5, 4.0, 1.25)
    count, connections, more = in_one_connection(of_topics({(ONE, 1): 10.0, (MANY, 200): 11.0}, 500))
    assert (count, connections) == (200, 500)
    assert more == pytest.approx(1.1)


def test_void_failed_and_incomplete_samples_are_left_out_and_named() -> None:
    samples = [
        sample(1, SPREAD, 1, 10.0),
        sample(2, SPREAD, 1, 99.0, void="others were there"),
        sample(3, SPREAD, 1, 98.0, complete=False),
        sample(4, SPREAD, 1, None, failed="it ended"),
    ]
    assert values(samples, "topics", SPREAD, "us_per_delivery") == {1: [10.0]}
    said = section(RAW, samples)
    assert all(words in said for words in ("others were there", "it ended", "not everything was delivered"))


def everything() -> list[Sample]:
    return [
        *swept("subscribers", "ws", "us_per_delivery", lambda n: 8 + 100 / n, *NS),
        *swept("subscribers", "sse", "us_per_delivery", lambda n: n**0.5, *NS),
        *of_topics({(SPREAD, 1): 10.0, (SPREAD, 20): 12.0, (SPREAD, 2_000): 40.0, (FEW, 20): 12.0, (FEW, 2_000): 32.0}),
        *of_topics({(ONE, 1): 10.0, (MANY, 200): 11.0}, 500),
        *swept("retained", "ws", "us_per_delivery", lambda n: 9.0, 1, 1_000, 10_000, 100_000),
        *swept("retained", "ws", "us_catch_up", lambda n: 2.0, 1_000, 10_000, 100_000),
        *swept("size", "ws", "us_per_delivery", lambda n: 9 + n / 2048, *FULL.payloads),
        *(
            one
            for name in ("ws", "sse")
            for one in swept("connects", name, "us_per_connection", lambda n: 250.0, 2_000)
        ),
        *swept("memory", "ws", "kib_per_connection", lambda n: 18.0, *FULL.idle),
    ]


def test_each_sweep_has_a_sentence_made_of_its_numbers() -> None:
    said = section(RAW, everything())
    assert "the cost of a publish over WebSocket grows like n: 445 times as much at 10,000 as at 10" in said
    [sse] = [line for line in said.splitlines() if "a publish over SSE" in line]
    assert "**faster than linearly**" in sse
    assert "the cost of a delivery does not grow" in said
    assert "cost 4.00× what one topic with all of them costs (goal: at most 1.5, missed)" in said
    assert "and 1.25× what one topic with 5 readers alone costs" in said
    assert "200 topics in each of 500 connections" in said
    assert "| WebSocket | 250.0 | 4,000 |" in said


def test_a_range_is_shown_where_the_rounds_differ() -> None:
    said = section(RAW, [sample(number, SPREAD, x, x * number) for number in (1, 2, 3) for x in (1, 20)])
    assert "40.0 (20.0–60.0)" in said


BEGIN, END = "<!-- growth -->", "<!-- /growth -->"


def test_only_what_is_between_the_marks_is_written(tmp_path: Path) -> None:
    document = tmp_path / "performance.md"
    document.write_text(f"# Mine\n\nbefore\n{BEGIN}\nold\n{END}\nafter\n")
    for _ in range(2):
        write(tmp_path, RAW, everything())
        text = document.read_text()
        assert text.startswith(f"# Mine\n\nbefore\n{BEGIN}\n")
        assert text.endswith(f"\n{END}\nafter\n")
        assert "old" not in text
        assert text.count(BEGIN) == text.count(END) == 1
    root = ElementTree.parse(tmp_path / "images" / "growth.svg").getroot()
    charts = root.findall("{http://www.w3.org/2000/svg}svg")
    assert len(charts) == 7  # of long polls nothing was measured
    assert all(float(chart.attrib["width"]) > 0 for chart in charts)


@pytest.mark.parametrize("text", ["", BEGIN, f"{END}\n{BEGIN}", f"{BEGIN}{END}{END}", f"{BEGIN}{BEGIN}{END}"])
def test_without_its_marks_a_document_stays_as_it_is(tmp_path: Path, text: str) -> None:
    (tmp_path / "performance.md").write_text(text)
    with pytest.raises(Unusable):
        write(tmp_path, RAW, [])
    assert (tmp_path / "performance.md").read_text() == text
    assert not (tmp_path / "images").exists()


@pytest.mark.parametrize("sizes", [FULL, QUICK], ids=["full", "quick"])
def test_each_point_is_a_job_and_named_once(sizes: Any) -> None:
    all_points = points(sizes)
    assert {point.sweep for point in all_points} == set(SWEEPS)
    names = [(point.sweep, point.series, point.x) for point in all_points]
    assert len(names) == len(set(names))
    for point in all_points:
        assert list(job_of(point.workload, point.peer, 1).lines())[-1] == "go"
        assert point.workload.idle is (point.kind in ("connects", "memory"))
        assert point.most < 20_000 - 300
        assert list(point.stages) == sorted(set(point.stages))


def test_medians_are_in_the_order_of_n() -> None:
    samples = swept("subscribers", "ws", "us_per_delivery", lambda n: n, 100, 10)
    assert list(medians(samples, "subscribers", "ws", "us_per_delivery").items()) == [(10, 10), (100, 100)]
