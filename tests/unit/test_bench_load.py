"""The schedule and what a message carries; what subscribers heard of it, and the account of all that was sent."""

from __future__ import annotations

import json
import zlib
from itertools import islice

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tricast.wire.messages import Gap, Message
from tricast_bench.contents import Content, binary, text
from tricast_bench.load import MARK, Stamp, offsets, payload, stamp_of
from tricast_bench.recorder import Account, Recorder, Tally, histogram, merged, percentiles
from tricast_bench.scenarios import KNEE
from tricast_bench.users.tcp import to_monotonic

SECOND = 1_000_000_000


def message(number: int, intended: int = 0, sender: str = "s") -> Message:
    return Message(topic="t", cursor=f"e-{number}", data=payload(Stamp(sender, number, intended), 64))


def gap() -> Gap:
    return Gap(topics=("t",), cursor="e-0", reason="slow")


SENDERS = st.text("abc019-", min_size=1, max_size=20)


@given(SENDERS, st.integers(0, 2**40), st.integers(0, 2**63), st.integers(64, 2000))
def test_a_stamp_comes_back_from_a_payload_of_the_size_asked_for(sender: str, number: int, at: int, size: int) -> None:
    made = payload(Stamp(sender, number, at), size)
    assert stamp_of(made) == Stamp(sender, number, at)
    assert len(made) == max(size, len(f"{sender} {number} {at}|"))


@pytest.mark.parametrize("content", ["text", "binary"])
@pytest.mark.parametrize("size", [128, 1024, 16384])
def test_records_and_bytes_have_their_size_and_their_stamp_too(content: Content, size: int) -> None:
    for number in (0, 9, 12345):
        stamp = Stamp("12345678-abcdef01", number, 47_123_456_789_012)
        data = payload(stamp, size, content)
        assert stamp_of(data) == stamp
        assert len(data if isinstance(data, bytes) else json.dumps(data, separators=(",", ":"))) == size


def test_records_compress_as_records_do_and_random_bytes_do_not() -> None:
    assert json.loads(text(1024, seed=1)) != json.loads(text(1024, seed=2))
    assert text(1024, seed=1) == text(1024, seed=1)
    for size, least, most in ((128, 0.7, 1.0), (1024, 0.35, 0.6), (16384, 0.2, 0.4)):
        assert len(text(size)) == len(binary(size)) == size
        assert least < len(zlib.compress(text(size).encode())) / size < most
        assert len(zlib.compress(binary(size))) >= size


@pytest.mark.parametrize("data", [None, 1, {}, {"stamp": 1}, "", "hello", "a b c", b"s 1|", "s 1", "s 1 2 "])
def test_what_others_publish_has_no_stamp(data: object) -> None:
    assert stamp_of(data) is None


@given(SENDERS, st.integers(0, 2**40), st.integers(0, 2**63), st.integers(64, 2000))
def test_the_mark_is_in_each_payload_once(sender: str, number: int, at: int, size: int) -> None:
    assert str(payload(Stamp(sender, number, at), size)).count(MARK) == 1


def test_the_mark_is_no_length_of_a_message_that_is_counted_by_it() -> None:
    """In the header of a WebSocket frame stands the length, whose low byte must not be the mark."""
    [size] = {case.parameters["size"] for case in KNEE.cases}
    assert isinstance(size, int)
    assert ord(MARK) not in {(size + envelope) & 0xFF for envelope in range(100, 240)}


def test_a_fixed_schedule_does_not_drift() -> None:
    assert list(islice(offsets(3.0), 0, 301, 150)) == [0, 50 * SECOND, 100 * SECOND]


def test_a_poisson_schedule_has_the_rate_and_the_seed_repeats_it() -> None:
    first = list(islice(offsets(100.0, "poisson", seed=1), 5000))
    assert first == list(islice(offsets(100.0, "poisson", seed=1), 5000))
    assert first != list(islice(offsets(100.0, "poisson", seed=2), 5000))
    assert first[-1] / SECOND == pytest.approx(50, rel=0.1)
    assert first == sorted(first)


def test_no_rate_is_no_message() -> None:
    assert list(offsets(0.0)) == []


def test_latency_counts_from_the_intended_time_and_after_the_warm_up() -> None:
    recorder = Recorder()
    account = Account(recorder)
    recorder.restart(1000)
    account.hear(message(0, 999), 5000)
    account.hear(message(1, 1000), 2_001_000)
    account.hear(message(2, 1500), 4_001_500)
    assert list(recorder.latencies) == [2_000_000, 4_000_000]
    assert percentiles(recorder.latencies, (0.5, 1.0)) == [2.0, 4.0]
    assert account.heard == 3


def test_messages_of_other_hosts_are_counted_and_have_no_latency() -> None:
    recorder = Recorder()
    recorder.restart(0)
    account = Account(recorder, host="here")
    account.hear(message(0, 5, "there-1"), 10)
    account.hear(message(0, 5, "here-1"), 10)
    assert account.heard == 2
    assert len(recorder.latencies) == 1


def test_a_hole_is_lost_without_a_gap_and_told_of_with_one() -> None:
    account = Account(Recorder())
    for number in (0, 1, 4):
        account.hear(message(number), 1)
    account.hear(gap(), 1)
    account.hear(message(7), 1)
    account.finish({"s": 10})
    assert account.lost == {"s": {2, 3, 8, 9}}
    assert account.gaps == {"s": {5, 6}}
    assert Tally.of([account], {}) == Tally(lost=4, gaps=2)
    assert Tally.of([account], {"s": 6}) == Tally(lost=2, gaps=1)


def test_a_gap_at_the_end_tells_of_the_rest() -> None:
    account = Account(Recorder())
    account.hear(message(0), 1)
    account.hear(gap(), 1)
    account.finish({"s": 3})
    assert (account.lost, account.gaps) == ({}, {"s": {1, 2}})


def test_late_is_out_of_order_and_twice_is_doubled() -> None:
    account = Account(Recorder())
    for number in (0, 2, 1, 1, 2):
        account.hear(message(number), 1)
    account.finish({"s": 3})
    assert (account.heard, account.reordered, account.duplicated) == (3, 1, 2)
    assert Tally.of([account], {}) == Tally(duplicated=2, reordered=1)


@given(st.lists(st.integers(0, 12), max_size=40), st.integers(0, 5))
def test_everything_sent_is_accounted_for(numbers: list[int], told: int) -> None:
    account = Account(Recorder())
    for turn, number in enumerate(numbers):
        if turn == told:
            account.hear(gap(), 1)
        account.hear(message(number), 1)
    account.finish({"s": 13})
    tally = Tally.of([account], {})
    assert account.heard + tally.lost + tally.gaps == 13
    assert account.heard + tally.duplicated == len(numbers)


def test_spread_is_from_the_first_that_has_a_message_to_the_last() -> None:
    recorders = [Recorder(), Recorder()]
    for recorder, at in zip(recorders, (3 * SECOND, 5 * SECOND), strict=True):
        recorder.restart(0)
        Account(recorder).hear(message(0, 0), at)
    assert merged(recorders).spread == 2.0
    assert Recorder().spread is None


def test_a_series_has_a_row_for_each_half_second() -> None:
    recorder = Recorder()
    recorder.restart(SECOND)
    for number, intended in enumerate((1.0, 1.2, 1.7)):
        recorder.add("s", number, int(intended * SECOND), int((intended + 0.004) * SECOND))
    assert recorder.series() == [(0.0, 4.0, 4.0, 2), (0.5, 4.0, 4.0, 1)]


def test_percentiles_are_of_the_nearest_rank() -> None:
    hundred = [number * 1_000_000 for number in range(1, 101)]
    assert percentiles(hundred, (0.0, 0.5, 0.99, 0.999, 1.0)) == [1.0, 50.0, 99.0, 100.0, 100.0]
    assert percentiles([], (0.5,)) is None


def test_a_histogram_has_microseconds() -> None:
    made = histogram([1_500_000, 1_500_000, 10**15])
    assert made.get_total_count() == 3
    assert made.get_value_at_percentile(50) == pytest.approx(1500, rel=0.001)


def test_a_pause_between_two_clocks_makes_nothing_earlier() -> None:
    """The process is put aside for 5 ms after the first reading of the first clock."""
    readings = iter([1_000_000, 6_000_000, 6_001_000, 6_002_000])
    day = iter([105_000_000, 105_001_500])
    assert to_monotonic(104_000_000, lambda: next(readings), lambda: next(day)) == 6_002_000 - 1_001_500


def test_what_has_come_has_come_by_now() -> None:
    assert to_monotonic(2_000, lambda: 500, lambda: 1_000) == 500
