"""A load of several topics: what the generator is told, and what cannot be asked of it."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tricast_bench.peers import tricast
from tricast_bench.peers.job import Job, template


def job(*, all_of_them: bool = False) -> Job:
    peer = tricast.over_topics(all_of_them=all_of_them)
    return Job(
        port=1,
        transport="ws",
        subscribe=peer.subscribe["ws"],
        publish=peer.publish,
        connections=12,
        payload=64,
        topics=4,
        per_connection=4 if all_of_them else 1,
    )


def hexed(text: str) -> str:
    return "h" + text.encode().hex()


def test_a_topic_and_all_topics_are_letters() -> None:
    assert template(b"{topic}.{topics}", ()) == "t.h2e.a"


def test_the_job_says_how_many_topics_there_are() -> None:
    lines = list(job().lines())
    assert {"topics 4", "per_connection 1"} <= set(lines)
    assert {"topics 1", "per_connection 1"} <= set(replace(job(), topics=1).lines())


def test_a_connection_subscribes_to_its_own_topic_or_to_all() -> None:
    own, every = (next(line for line in job(all_of_them=many).lines() if line[:5] == "step ") for many in (False, True))
    assert own.startswith(f"step {hexed('GET /ws?topics=t')}.t.")
    assert every.startswith(f"step {hexed('GET /ws?topics=')}.a.")


def test_a_message_is_for_the_topic_whose_turn_it_is() -> None:
    [message] = [line for line in job().lines() if line.startswith("message ")]
    begin = hexed('{"action":"publish","topic":"t')
    assert message.startswith(f"message {begin}.t.")


@pytest.mark.parametrize("change", [{"topics": 5}, {"topics": 0}, {"per_connection": 2}])
def test_topics_that_do_not_divide_the_connections_are_refused(change: dict[str, int]) -> None:
    with pytest.raises(ValueError, match="topic"):
        list(replace(job(), **change).lines())  # type: ignore[arg-type]  # kwargs


def test_all_topics_need_not_divide_the_connections() -> None:
    assert list(replace(job(all_of_them=True), connections=7).lines())[-1] == "go"


def test_more_is_kept_only_where_it_is_asked_for() -> None:
    command = tricast.keeping(5).command(7)
    assert command[command.index("--retention-count") + 1] == "5"
    assert "--retention-count" not in tricast.PEERS[0].command(7)
