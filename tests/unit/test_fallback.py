"""The rules of the fallback, one by one, on a clock that the tests turn."""

from __future__ import annotations

import itertools
import os
import random
from collections.abc import Iterator

import pytest
from tests.unit.fallback_clock import ALL, Clock, record, recorded

from tricast.wire.messages import TransportName


@pytest.fixture(autouse=True)
def as_recorded(request: pytest.FixtureRequest) -> Iterator[None]:
    """What happens in each test is a case that clients in other languages are held to as well."""
    Clock.made.clear()
    yield
    name = request.node.name.removeprefix("test_").replace("_", " ")
    made = {name if i == 0 else f"{name} ({i + 1})": clock.case for i, clock in enumerate(Clock.made)}
    cases = recorded()
    if os.environ.get("TRICAST_RECORD_VECTORS"):
        record({**cases, **made})
        return
    for name, case in made.items():
        assert cases.get(name) == {"name": name, **case}, "where the change is meant, `make vectors` records it"


def carried(transport: TransportName = "ws", *transports: TransportName, **policy: float) -> Clock:
    """A race in which this one carries, and the better ones have failed."""
    clock = Clock(*transports, **policy)
    clock.begin()
    for better in ALL[: ALL.index(transport)]:
        clock.tell("failed", better)
    clock.works(transport)
    assert clock.race.carrier == transport
    return clock


# The head start


def test_the_best_starts_and_the_others_follow_by_a_quarter_of_a_second() -> None:
    clock = Clock()
    assert clock.begin() == ["open ws"]
    assert clock.until(4) == [(0.25, "open sse"), (0.5, "open poll")]


def test_the_next_one_starts_at_once_when_one_fails() -> None:
    clock = Clock()
    clock.begin()
    clock.now = 0.03
    assert clock.tell("failed", "ws") == ["open sse"]
    assert clock.until(0.5) == [(0.28, "open poll")]


@pytest.mark.parametrize(("rtt", "stagger"), [(0.001, 0.1), (0.05, 0.2), (0.25, 1.0), (2.0, 1.0)])
def test_the_head_start_follows_the_round_trip(rtt: float, stagger: float) -> None:
    clock = carried()
    clock.tell("proven", "ws", rtt)
    clock.now = 100.0
    assert clock.tell("lost", "ws", 100.0) == ["open ws"]
    assert clock.until(102)[:2] == [(round(100 + stagger, 3), "open sse"), (round(100 + 2 * stagger, 3), "open poll")]


def test_one_transport_is_forced() -> None:
    clock = Clock("poll")
    assert clock.begin() == ["open poll"]
    assert clock.until(100) == []
    assert clock.tell("failed", "poll") == ["check"]


def test_what_worked_before_starts_first_and_better_ones_are_tried_later() -> None:
    clock = Clock()
    assert clock.begin("sse", 60.0) == ["open sse"]
    assert clock.tell("hello", "sse") == ["prove sse", "carry sse"]
    clock.tell("proven", "sse", 0.01)
    assert clock.until(10) == [(5.0, "open ws")]


def test_what_worked_long_ago_has_to_show_it_again() -> None:
    clock = Clock()
    clock.begin("sse", 3000.0)
    assert clock.tell("hello", "sse") == ["prove sse"]


# What works


def test_hello_alone_is_not_enough() -> None:
    clock = Clock()
    clock.begin()
    assert clock.tell("hello", "ws") == ["prove ws"]
    assert clock.race.carrier is None
    assert clock.tell("proven", "ws", 0.01) == ["carry ws"]
    assert clock.uplink == "ok"
    assert clock.race.next_time() is None, "there is nothing better to look for"


def test_a_better_one_takes_over_before_the_old_one_is_closed() -> None:
    clock = Clock()
    clock.begin()
    clock.until(0.6)
    assert clock.works("sse") == ["prove sse", "carry sse", "close poll"]
    assert clock.works("ws") == ["prove ws", "carry ws", "close sse"]


def test_a_worse_one_that_works_later_does_not() -> None:
    clock = Clock()
    clock.begin()
    clock.until(0.3)
    clock.tell("hello", "sse")
    clock.works("ws")
    assert clock.race.carrier == "ws"
    assert clock.tell("proven", "sse", 0.01) == [], "it was closed"


def test_hello_is_enough_where_the_last_echo_is_recent() -> None:
    clock = carried()
    clock.now = 100.0
    assert clock.tell("lost", "ws", 100.0) == ["open ws"]
    assert clock.tell("hello", "ws") == ["prove ws", "carry ws"]


def test_but_not_after_a_cut() -> None:
    clock = carried()
    clock.now = 5.0
    clock.tell("lost", "ws", 5.0)
    assert clock.tell("hello", "ws") == ["prove ws"]


# The uplink


def test_without_an_echo_messages_come_first_and_soon_it_is_said_that_none_can_be_sent() -> None:
    clock = Clock()
    clock.begin()
    clock.tell("failed", "ws")
    clock.now = 0.2
    clock.tell("hello", "sse")
    assert clock.until(1.1) == [(0.25, "open poll")]
    clock.tell("hello", "poll")
    assert clock.until(2) == [(1.2, "carry sse")]
    assert clock.uplink == "unknown"
    clock.until(3.2)
    assert clock.uplink == "blocked"


def test_it_is_said_at_once_where_all_are_refused() -> None:
    clock = Clock()
    clock.begin()
    clock.tell("failed", "ws")
    clock.tell("hello", "sse")
    assert clock.tell("unproven", "sse", "403") == ["open poll"]
    clock.tell("hello", "poll")
    assert clock.tell("unproven", "poll", "403") == ["carry sse", "close poll"]
    assert clock.uplink == "blocked"


def test_a_worse_one_that_can_send_takes_over_from_one_that_cannot() -> None:
    clock = Clock()
    clock.begin()
    clock.tell("hello", "ws")
    clock.until(1)
    assert clock.race.carrier == "ws"
    clock.tell("hello", "sse")
    assert clock.tell("proven", "sse", 0.01) == ["carry sse", "close ws", "close poll"]
    assert clock.uplink == "ok"


def test_the_uplink_is_tried_again_with_growing_pauses() -> None:
    clock = Clock("sse")
    clock.begin()
    clock.tell("hello", "sse")
    assert clock.tell("unproven", "sse", "403") == ["carry sse"]
    assert clock.until(60) == [(5.0, "prove sse"), (15.0, "prove sse"), (35.0, "prove sse"), (55.0, "prove sse")]
    clock.tell("proven", "sse", 0.01)
    assert clock.uplink == "ok"


def test_a_command_without_an_answer_raises_doubt_and_the_others_are_asked() -> None:
    clock = carried()
    clock.now = 50.0
    assert clock.tell("doubt", "ws") == ["prove ws"]
    assert clock.uplink == "unknown"
    assert clock.until(50.15) == [(50.1, "open sse")]
    assert clock.works("sse") == ["prove sse", "carry sse", "close ws"]


def test_a_doubt_that_was_wrong_leaves_all_as_it_was() -> None:
    clock = carried()
    clock.tell("doubt", "ws")
    clock.until(0.15)
    assert clock.tell("proven", "ws", 0.01) == ["close sse"]
    assert clock.uplink == "ok"


def test_trust_that_was_wrong_is_taken_back() -> None:
    clock = carried()
    clock.now = 100.0
    clock.tell("lost", "ws", 100.0)
    clock.tell("hello", "ws")
    assert clock.uplink == "ok"
    clock.now = 103.0
    assert clock.tell("unproven", "ws") == ["open sse"]
    assert clock.uplink == "unknown"


# Losses


def test_a_good_link_that_is_lost_is_tried_again_first() -> None:
    clock = carried("sse")
    clock.now = 100.0
    assert clock.tell("lost", "sse", 100.0) == ["open sse"]
    assert clock.until(100.3) == [(100.1, "open poll"), (100.2, "open ws")]


def test_two_early_deaths_put_it_in_quarantine_once_another_works() -> None:
    clock = carried()
    clock.now = 10.0
    assert clock.tell("lost", "ws", 10.0) == ["open ws"]
    clock.works("ws")
    clock.now = 20.0
    assert clock.tell("lost", "ws", 10.0) == ["open sse"], "it was cut twice"
    assert not clock.race.is_quarantined("ws", clock.now)
    clock.works("sse")
    assert clock.noted("quarantine") == ["ws"]
    assert clock.until(200) == [(80.0, "open ws")], "a minute"


def test_quarantines_double() -> None:
    clock = carried()
    for until in (10.0, 20.0):
        clock.now = until
        clock.tell("lost", "ws", 10.0)
        clock.works("ws" if until == 10.0 else "sse")
    ends = []
    for _ in range(8):
        ((start, _),) = clock.until(clock.now + 4000)[:1]
        clock.now = start
        clock.works("ws")
        clock.now += 10
        lost_at = clock.now
        clock.tell("lost", "ws", 10.0)
        clock.works("sse")
        due = clock.race.next_time()
        assert due is not None
        ends.append(round(due - lost_at))
    assert ends == [120, 240, 480, 960, 1920, 3600, 3600, 3600]


def test_regular_cuts_count_and_irregular_ends_do_not() -> None:
    clock = carried()
    for age in (60.0, 61.0, 60.5):
        clock.now += age
        clock.tell("lost", "ws", age)
        if clock.race.carrier is None and not clock.tell("hello", "ws"):
            break
        clock.tell("proven", "ws", 0.01)
    clock.works("sse")
    assert clock.noted("quarantine") == ["ws"]

    clock = carried()
    for age in (60.0, 90.0, 200.0, 40.0, 900.0):
        clock.now += age
        assert clock.tell("lost", "ws", age) == ["open ws"]
        clock.works("ws")
    assert clock.noted("quarantine") == []


def test_stalls_count() -> None:
    clock = carried()
    for _ in range(2):
        clock.now += 1000
        clock.tell("lost", "ws", 1000.0, stalled=True)
        clock.works("ws")
        clock.now += 200
        clock.tell("lost", "ws", 200.0, stalled=True)
        clock.works("sse")
        break
    assert clock.noted("quarantine") == ["ws"]


def test_strikes_fade() -> None:
    clock = carried()
    for _ in range(5):
        clock.now += 25
        assert clock.tell("lost", "ws", 25.0)[0] == "open ws"
        clock.works("ws")
        clock.now += 2000
        clock.tell("lost", "ws", 2000.0)
        clock.works("ws")
    assert clock.noted("quarantine") == []


def test_what_the_server_announced_counts_against_nobody_and_is_waited_for() -> None:
    clock = carried()
    for _ in range(3):
        clock.now += 20
        start = clock.now
        assert clock.tell("lost", "ws", 20.0, bye=True, retry_after=1.7) == []
        assert clock.until(start + 1.75) == [(round(start + 1.7, 3), "open ws")]
        clock.works("ws")
    assert clock.noted("quarantine") == []


def test_a_loss_counts_only_if_something_works_soon_afterwards() -> None:
    clock = carried()
    for _ in range(4):
        clock.now += 10
        clock.tell("lost", "ws", 10.0)
        clock.now += 11
        clock.works("ws")
    assert clock.noted("quarantine") == []


# Offline


def test_where_nothing_answers_nothing_is_held_against_anyone() -> None:
    clock = carried()
    for _ in range(4):
        clock.now += 10
        clock.tell("lost", "ws", 10.0)
        clock.tell("failed", "ws")
        clock.tell("failed", "sse")
        assert clock.tell("failed", "poll") == ["check"]
        clock.tell("online", False)
        clock.until(clock.now + 0.3)
        clock.works("ws")
    assert clock.noted("quarantine") == []
    assert clock.noted("offline") == [None] * 4


def test_the_pauses_double_up_to_a_limit() -> None:
    clock = Clock("ws")
    clock.begin()
    pauses = []
    for _ in range(9):
        assert clock.tell("failed", "ws") == ["check"]
        start = clock.now
        clock.tell("online", False)
        ((end, _),) = clock.until(clock.now + 20)
        pauses.append(end - start)
        clock.now = end
    assert pauses == pytest.approx([0.1875, 0.375, 0.75, 1.5, 3.0, 6.0, 11.25, 11.25, 11.25], abs=0.01)


def test_a_server_that_is_there_confirms_the_loss() -> None:
    clock = carried("ws", "ws")
    for _ in range(2):
        clock.now += 10
        clock.tell("lost", "ws", 10.0)
        clock.until(clock.now + 1)
        clock.tell("failed", "ws")
        clock.tell("online", True)
        clock.until(clock.now + 1)
        clock.works("ws")
    assert clock.noted("quarantine") == ["ws"]
    assert clock.race.carrier == "ws", "there is nothing else"


def test_the_server_may_ask_to_wait() -> None:
    clock = Clock("ws")
    clock.begin()
    assert clock.tell("failed", "ws", retry_after=7.0, answered=True) == [], "it need not be asked whether it is there"
    assert clock.until(10) == [(7.0, "open ws")]


def test_a_link_that_dies_at_once_again_and_again_is_not_opened_as_fast() -> None:
    clock = carried("ws", "ws")
    opened = 0
    while clock.now < 60:
        done = clock.tell("lost", "ws", 0.0)
        if not done:
            done = [action for _, action in clock.until(clock.race.next_time() or 0)]
        assert done == ["open ws"]
        opened += 1
        clock.works("ws")
    assert 8 <= opened <= 12


# Better ones again


def test_a_better_one_is_tried_with_growing_pauses() -> None:
    clock = carried("sse")
    starts = []
    for _ in range(8):
        ((start, action),) = clock.until(clock.now + 400)[:1]
        assert action == "open ws"
        starts.append(start)
        clock.now = start
        assert clock.tell("failed", "ws") == []
    gaps = [round(after - before) for before, after in itertools.pairwise(starts)]
    assert starts[0] == 10.0, "it had failed once"
    assert gaps == [20, 40, 80, 160, 300, 300, 300]


def test_one_that_answers_but_cannot_send_is_closed_again() -> None:
    clock = carried("sse")
    clock.until(10)
    assert clock.tell("hello", "ws") == ["prove ws"]
    assert clock.tell("unproven", "ws", "no echo") == ["close ws"]
    assert clock.race.carrier == "sse"


def test_other_topics_open_the_candidate_anew() -> None:
    clock = carried("sse")
    clock.until(10)
    clock.tell("hello", "ws")
    assert clock.tell("topics") == ["open ws"]
    assert clock.works("ws") == ["prove ws", "carry ws", "close sse"]


def test_a_carrier_that_is_opened_anew_carries_again_at_its_hello() -> None:
    clock = carried("sse")
    clock.now = 3.0
    assert clock.tell("stale", "sse", "with other topics") == ["open sse"]
    assert clock.race.carrier is None
    assert clock.tell("hello", "sse") == ["prove sse", "carry sse"]


def test_events_of_what_is_not_open_are_ignored() -> None:
    clock = carried()
    for event in ("hello", "proven", "unproven", "failed", "stale", "doubt", "withdrawn"):
        assert clock.tell(event, "poll") == []
    assert clock.tell("lost", "poll", 3.0) == []
    assert clock.race.carrier == "ws"


# Whatever happens


@pytest.mark.parametrize("seed", range(24))
def test_anything_at_all(seed: int) -> None:
    """No rule of its own: it shows whether clients in other languages follow the same ones in every corner."""
    chance = random.Random(seed)
    clock = Clock(*ALL[: chance.choice((2, 3, 3, 3))])
    clock.begin(*chance.choice(((), (), ("sse", 60.0), ("sse", 2000.0))))
    for _ in range(30):
        transport = chance.choice(clock.race.transports)
        lived = round(chance.choice((0.5, 10.0, 10.0, 60.0, 700.0)) * chance.uniform(0.95, 1.05), 3)
        match chance.randrange(11):
            case 0 | 1 | 2:
                clock.works(transport, round(chance.uniform(0.001, 0.4), 3))
            case 3:
                clock.tell("hello", transport)
            case 4:
                clock.tell("unproven", transport, "no echo")
            case 5:
                clock.tell("failed", transport, answered=chance.random() < 0.2)
            case 6:
                retry_after = chance.choice((None, None, 2.0))
                clock.tell("lost", transport, lived, retry_after=retry_after, stalled=chance.random() < 0.2)
            case 7:
                clock.tell("lost", transport, lived, retry_after=1.5, bye=True)
            case 8:
                clock.tell(chance.choice(("stale", "doubt", "withdrawn")), transport)
            case 9:
                clock.tell("topics")
            case _:
                asked = [step for step in clock.case["steps"] if "check" in step["do"] or step["event"] == "online"]
                if asked and asked[-1]["event"] != "online":
                    clock.tell("online", chance.random() < 0.5)
        clock.until(clock.now + chance.choice((0.0, 0.05, 0.3, 2.0, 30.0)))
    assert clock.race.carrier in (*ALL, None)
