"""Token buckets on a given clock."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tricast_server.guard.buckets import KEYS_MAX, PURGE_AT, Buckets


def test_a_burst_at_once_then_the_rate() -> None:
    buckets = Buckets(rate=10, burst=5)
    assert [buckets.take(("a",), 100.0) for _ in range(5)] == [0] * 5
    assert buckets.take(("a",), 100.0) == pytest.approx(0.1)
    assert buckets.take(("a",), 100.05) == pytest.approx(0.05)
    assert buckets.take(("a",), 100.1) == 0
    assert buckets.take(("a",), 100.1) == pytest.approx(0.1)
    assert buckets.take(("b",), 100.1) == 0
    assert [buckets.take(("a",), 200.0) for _ in range(6)][-2:] == [0, pytest.approx(0.1)]


def test_who_waits_as_told_gets_in() -> None:
    buckets, now = Buckets(rate=3, burst=1), 7.0
    for _ in range(50):
        wait = buckets.take(("a",), now)
        now += wait
        assert buckets.take(("a",), now) == 0 or not wait


def test_one_that_is_refused_takes_from_none() -> None:
    buckets = Buckets(rate=1, burst=2)
    assert buckets.take(("subject", "a"), 0.0) == 0
    assert buckets.take(("subject", "b"), 0.0) == 0
    for _ in range(5):
        assert buckets.take(("subject", "c"), 0.0) == pytest.approx(1.0)
    assert [buckets.take(("c",), 0.0) for _ in range(3)] == [0, 0, pytest.approx(1.0)]


@given(
    st.floats(0.1, 1000),
    st.integers(1, 50),
    st.lists(st.tuples(st.floats(0, 2), st.sampled_from("ab")), max_size=200),
)
def test_never_more_than_burst_and_rate_allow(rate: float, burst: int, steps: list[tuple[float, str]]) -> None:
    buckets, now = Buckets(rate, burst), 0.0
    taken: dict[str, list[float]] = {"a": [], "b": []}
    for pause, key in steps:
        now += pause
        if not buckets.take((key,), now):
            taken[key].append(now)
    for times in taken.values():
        for first, start in enumerate(times):
            for count, end in enumerate(times[first:], 1):
                assert count <= burst + (end - start) * rate + 1e-6


def test_those_that_have_been_idle_are_forgotten() -> None:
    buckets = Buckets(rate=1, burst=3)
    for number in range(PURGE_AT):
        buckets.take((f"early {number}",), 0.0)
    for number in range(PURGE_AT):
        buckets.take((f"late {number}",), 60.0)
    assert len(buckets) <= PURGE_AT


def test_there_are_never_more_than_so_many() -> None:
    buckets = Buckets(rate=0.001, burst=1, keys_max=2000)
    for number in range(10_000):  # each looked at once or twice, not over and over
        assert buckets.take((str(number),), number / 1000) == 0
        assert len(buckets) <= 2001
    assert buckets.take(("9999",), 10.0) > 0
    assert KEYS_MAX >= 10_000


@pytest.mark.parametrize(("rate", "burst"), [(0, 1), (-1, 1), (1, 0.5)])
def test_what_makes_no_sense_is_refused(rate: float, burst: float) -> None:
    with pytest.raises(ValueError, match="rate"):
        Buckets(rate, burst)
