"""Medians, intervals and ratios of runs."""

from __future__ import annotations

import random

import pytest

from tricast_bench.stats import Estimate, estimate, ratio, ratio_unpaired


def test_the_interval_lies_around_the_median_and_is_the_same_each_time() -> None:
    found = estimate([1.0, 2.0, 3.0, 4.0, 100.0])
    assert found.value == 3.0
    assert 1.0 <= found.low < 3.0 < found.high <= 100.0
    assert estimate([1.0, 2.0, 3.0, 4.0, 100.0]) == found


def test_few_runs_have_their_range_in_place_of_an_interval() -> None:
    assert estimate([3.0]) == Estimate(3.0, 3.0, 3.0, 1)
    assert estimate([3.0, 1.0]) == Estimate(2.0, 1.0, 3.0, 2)


def test_no_runs_are_an_error() -> None:
    with pytest.raises(ValueError, match="no values"):
        estimate([])
    with pytest.raises(ValueError, match="no values"):
        ratio_unpaired([1.0], [])
    with pytest.raises(ValueError, match="no values"):
        ratio_unpaired([1.0], [0.0])


def test_pairs_take_out_what_both_have_in_common() -> None:
    slow_and_fast_rounds = [(2.0, 1.0), (20.0, 10.0), (200.0, 100.0)]
    assert ratio(slow_and_fast_rounds) == Estimate(2.0, 2.0, 2.0, 3)


def test_sets_without_pairs_are_compared_by_their_medians() -> None:
    found = ratio_unpaired([20.0, 21.0, 22.0, 19.0], [10.0, 10.5, 9.5, 10.0])
    assert found.value == pytest.approx(2.05)
    assert 1.8 < found.low < found.value < found.high < 2.4
    assert not found.covers(1.0)
    assert ratio_unpaired([9.0, 10.0, 11.0], [9.5, 10.0, 10.5]).covers(1.0)


def test_intervals_cover_the_true_median_about_as_often_as_they_say() -> None:
    chance = random.Random(7)
    hits = sum(estimate([chance.gauss(10, 2) for _ in range(15)], seed).covers(10) for seed in range(60))
    assert hits >= 50
