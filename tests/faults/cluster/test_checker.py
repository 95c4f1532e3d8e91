"""The checker finds every kind of wrong that it is there for, in logs made by hand, and none in a good one."""

from __future__ import annotations

import itertools
from typing import Any

import pytest
from tests.faults.cluster.checker import Verdict, check


class Logs:
    """Of a run. Time goes on by a second with each line that has one."""

    def __init__(self) -> None:
        self.lines: list[dict[str, Any]] = []
        self._clock = itertools.count(1)

    def add(self, did: str, client: str, **line: Any) -> None:
        t = {} if did == "got" else {"t": float(next(self._clock))}
        self.lines.append({"did": did, "client": client, **line, **t})

    def published(self, id: str, at: str | None, topic: str = "a") -> None:
        """Tried, and acknowledged if there is a place."""
        self.add("try", "p", topic=topic, id=id, data=f"data of {id}")
        if at is not None:
            self.add("ack", "p", id=id, at=at)

    def begin(self, client: str, cursor: str = "e1-0", *topics: str) -> None:
        self.add("begin", client, topics=topics or ["a"], cursor=cursor)

    def got(self, client: str, cursor: str, id: str, topic: str = "a", **more: Any) -> None:
        self.add("got", client, **{"topic": topic, "cursor": cursor, "id": id, "data": f"data of {id}", **more})

    def gap(self, client: str, cursor: str, *topics: str, reason: str = "epoch") -> None:
        self.add("gap", client, topics=topics or ["a"], cursor=cursor, reason=reason)

    def end(self, client: str, cursor: str, *, stays: bool = True) -> None:
        self.add("end", client, cursor=cursor, stays=stays)

    def verdict(self) -> Verdict:
        return check(self.lines)

    def problems(self) -> set[str]:
        return set(self.verdict().problems)


@pytest.fixture
def logs() -> Logs:
    """Two readers, three messages: all of it as it has to be, but for the ends."""
    logs = Logs()
    for client in ("x", "y"):
        logs.begin(client)
    for n in (1, 2, 3):
        logs.published(f"m{n}", f"e1-{n}")
    for n in (1, 2, 3):
        logs.got("x", f"e1-{n}", f"m{n}")
    return logs


def finish(logs: Logs, *numbers: int) -> None:
    """What the second reader gets."""
    for n in numbers:
        logs.got("y", f"e1-{n}", f"m{n}")
    logs.end("x", "e1-3")
    logs.end("y", "e1-3")


def test_a_good_run_has_no_problems(logs: Logs) -> None:
    finish(logs, 1, 2, 3)
    verdict = logs.verdict()
    assert not verdict.problems
    assert verdict.counts["deliveries owed"] == 6
    assert verdict.counts["of these in gaps"] == 0
    assert verdict.epochs == ["e1"]


@pytest.mark.parametrize("missing", [1, 2])
def test_a_message_that_was_lost(logs: Logs, missing: int) -> None:
    finish(logs, *({1, 2, 3} - {missing}))
    (text,) = logs.verdict().problems["lost"]
    assert text == f"y was not given e1-{missing} of a"


def test_the_last_message_lost(logs: Logs) -> None:
    finish(logs, 1, 2)
    assert logs.problems() == {"lost", "ends apart"}


def test_a_loss_of_which_another_client_was_told(logs: Logs) -> None:
    logs.gap("x", "e1-3", reason="slow")
    finish(logs, 1, 3)
    assert logs.problems() == {"lost"}


def test_a_gap_covers_what_was_not_given(logs: Logs) -> None:
    logs.got("y", "e1-1", "m1")
    logs.gap("y", "e1-2", reason="expired")
    finish(logs, 3)
    verdict = logs.verdict()
    assert not verdict.problems
    assert verdict.counts["of these in gaps"] == 1


def test_a_gap_of_another_topic_covers_nothing(logs: Logs) -> None:
    logs.begin("y", "e1-0", "a", "b")
    logs.got("y", "e1-1", "m1")
    logs.gap("y", "e1-2", "b", reason="expired")
    finish(logs, 3)
    assert logs.problems() == {"lost"}


def test_a_gap_of_a_new_epoch_that_is_none(logs: Logs) -> None:
    logs.gap("x", "e1-3")
    finish(logs, 1, 2, 3)
    assert logs.problems() == {"needless gap"}


def test_a_gap_does_not_excuse_what_later_messages_have_passed_over(logs: Logs) -> None:
    logs.got("y", "e1-2", "m2")
    logs.gap("y", "e1-2", reason="expired")
    finish(logs, 3)
    assert logs.verdict().problems == {"lost": ["y was not given e1-1 of a"]}


@pytest.mark.parametrize("numbers", [(1, 1, 2, 3), (1, 2, 3, 1), (1, 2, 3, 3)])
def test_a_message_given_twice(logs: Logs, numbers: tuple[int, ...]) -> None:
    finish(logs, *numbers)
    assert "delivered twice" in logs.problems()


def test_messages_in_another_order(logs: Logs) -> None:
    finish(logs, 2, 1, 3)
    assert "out of order" in logs.problems()


def test_two_clients_that_disagree_about_a_place(logs: Logs) -> None:
    logs.got("y", "e1-1", "m2")
    logs.got("y", "e1-2", "m1")
    finish(logs, 3)
    assert "different orders" in logs.problems()


def test_a_message_that_nobody_published(logs: Logs) -> None:
    logs.got("x", "e1-4", "m4")
    finish(logs, 1, 2, 3)
    assert "from nowhere" in logs.problems()


@pytest.mark.parametrize("change", [{"data": "other"}, {"topic": "b"}])
def test_a_message_that_was_published_otherwise(logs: Logs, change: dict[str, str]) -> None:
    logs.begin("y", "e1-0", "a", "b")
    logs.got("y", "e1-1", "m1", **change)
    finish(logs, 2, 3)
    assert "from nowhere" in logs.problems()


def test_what_was_tried_and_never_acknowledged_may_be_delivered(logs: Logs) -> None:
    logs.published("m4", None)
    logs.got("x", "e1-4", "m4")
    finish(logs, 1, 2, 3)
    assert logs.problems() == {"ends apart"}


def test_a_publish_that_took_effect_twice(logs: Logs) -> None:
    logs.got("x", "e1-4", "m3")
    finish(logs, 1, 2, 3)
    assert "took effect twice" in logs.problems()


def test_a_repeated_publish_that_was_acknowledged_at_two_places(logs: Logs) -> None:
    logs.published("m3", "e1-4")
    finish(logs, 1, 2, 3)
    assert "took effect twice" in logs.problems()


def test_a_repeated_publish_may_take_effect_again_in_another_epoch(logs: Logs) -> None:
    logs.published("m3", "e2-8")
    for client, numbers in (("x", ()), ("y", (1, 2, 3))):
        for n in numbers:
            logs.got(client, f"e1-{n}", f"m{n}")
        logs.gap(client, "e2-7")
        logs.got(client, "e2-8", "m3")
        logs.end(client, "e2-8")
    verdict = logs.verdict()
    assert not verdict.problems
    assert verdict.epochs == ["e1", "e2"]


def test_a_gap_of_a_new_epoch_covers_the_rest_of_the_old_one(logs: Logs) -> None:
    logs.got("y", "e1-1", "m1")
    logs.published("m4", "e2-8")
    for client in ("x", "y"):
        logs.gap(client, "e2-7")
        logs.got(client, "e2-8", "m4")
        logs.end(client, "e2-8")
    verdict = logs.verdict()
    assert not verdict.problems
    assert verdict.counts["of these in gaps"] == 2


def test_another_epoch_without_a_gap(logs: Logs) -> None:
    logs.published("m4", "e2-8")
    logs.got("x", "e2-8", "m4")
    finish(logs, 1, 2, 3)
    assert "silent change of epoch" in logs.problems()


def test_a_client_that_is_taken_back_to_an_epoch(logs: Logs) -> None:
    logs.gap("x", "e2-7")
    logs.gap("x", "e1-3")
    finish(logs, 1, 2, 3)
    assert {"back to an epoch", "different orders"} <= logs.problems()


def test_a_publish_before_one_that_was_acknowledged_before_it_began(logs: Logs) -> None:
    logs.published("m4", "e1-9")
    logs.published("m5", "e1-8")
    for client in ("x", "y"):
        for n in (1, 2, 3) if client == "y" else ():
            logs.got(client, f"e1-{n}", f"m{n}")
        logs.got(client, "e1-8", "m5")
        logs.got(client, "e1-9", "m4")
        logs.end(client, "e1-9")
    assert logs.problems() == {"before its time"}


def test_who_leaves_is_owed_what_stands_before_its_end(logs: Logs) -> None:
    logs.got("y", "e1-1", "m1")
    logs.end("y", "e1-1", stays=False)
    logs.end("x", "e1-3")
    assert not logs.problems()
    logs.end("y", "e1-2", stays=False)
    assert logs.problems() == {"lost"}


def test_who_comes_late_is_owed_what_stands_behind_its_beginning(logs: Logs) -> None:
    logs.begin("late", "e1-2")
    logs.got("late", "e1-3", "m3")
    logs.end("late", "e1-3")
    finish(logs, 1, 2, 3)
    assert not logs.problems()


def test_clients_that_end_apart(logs: Logs) -> None:
    logs.begin("other", "e1-0", "b")
    logs.published("m4", "e1-4", topic="b")
    logs.got("other", "e1-4", "m4", topic="b")
    logs.end("other", "e1-4")
    finish(logs, 1, 2, 3)
    assert logs.problems() == {"ends apart"}


def test_a_client_that_was_not_heard_of_again(logs: Logs) -> None:
    finish(logs, 1, 2, 3)
    logs.begin("z", "e1-3")
    assert logs.problems() == {"no end"}


def test_a_topic_that_was_not_asked_for(logs: Logs) -> None:
    logs.published("m4", "e1-4", topic="b")
    logs.got("x", "e1-4", "m4", topic="b")
    finish(logs, 1, 2, 3)
    assert "not asked for" in logs.problems()
