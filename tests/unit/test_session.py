"""What the Session adds in Python to the cases of tests/vectors/session.json: arguments, versions, joining, parts."""

from __future__ import annotations

import pytest

from tricast.errors import BadRequest, ProtocolError
from tricast.session import Request, Session, Stream, parts
from tricast.wire.cursor import Cursor
from tricast.wire.messages import Batch, Bye, Gap, Heartbeat, Hello, Message, Reply


def hello(cursor: str) -> Hello:
    return Hello(transport="ws", client="c", cursor=cursor, heartbeat=15, dedupe_window=120, topics=("a",), node="n")


def message(cursor: str, topic: str = "a") -> Message:
    return Message(topic=topic, cursor=cursor, data=cursor)


def gap(cursor: str, reason: str = "epoch") -> Gap:
    return Gap(topics=("a",), cursor=cursor, reason=reason, exact=False)


def subscribed(cursor: str, *topics: str) -> Reply:
    return Reply(action="subscribe", cursor=cursor, topics=topics)


def opened(session: Session, at: str) -> Stream:
    stream = session.open()
    stream.receive(hello(at))
    return stream


@pytest.mark.parametrize(
    ("request_", "query"),
    [
        (Request(("a",)), {"topics": "a"}),
        (Request(("b", "a"), "e-5"), {"topics": "b,a", "cursor": "e-5"}),
        (Request(("a",), None, 3), {"topics": "a", "last": "3"}),
        (Request(("a",), "e-5", 3), {"topics": "a", "cursor": "e-5"}),
        (Request(("a",), ""), {"topics": "a", "cursor": ""}),
    ],
)
def test_a_request_as_a_query(request_: Request, query: dict[str, str]) -> None:
    assert request_.query() == query


@pytest.mark.parametrize("topics", [[], ["a/b"], ["a", ""], ["_inbox.short"]], ids=repr)
def test_what_are_no_topics_is_refused(topics: list[str]) -> None:
    with pytest.raises(BadRequest):
        Session(topics)
    session = Session(["a"])
    with pytest.raises(BadRequest):
        session.subscribe(topics)
    assert session.topics == ("a",)


def test_the_version_changes_with_the_topics_only() -> None:
    session = Session(["a"])
    versions = [session.version]
    for change, topics in (
        (session.subscribe, ["a"]),
        (session.subscribe, ["b"]),
        (session.unsubscribe, ["c"]),
        (session.unsubscribe, ["a"]),
    ):
        change(topics)
        versions.append(session.version)
    assert versions == [0, 0, 1, 1, 2]
    assert session.topics == ("b",)


def test_a_stream_keeps_what_it_was_opened_with() -> None:
    session = Session(["a"], "e-5")
    stream = session.open()
    session.subscribe(["b"])
    stream.receive(message("e-6"))
    assert stream.request == Request(("a",), "e-5")
    assert stream.version == session.version - 1


def test_a_stream_without_frames_changes_nothing() -> None:
    session = Session(["a"])
    session.open()
    assert session.cursor is None
    assert session.request == Request(("a",))


@pytest.mark.parametrize("cursor", ["e-5", "e-9223372036854775807"])
def test_a_cursor_is_known_before_any_hello(cursor: str) -> None:
    assert Session(["a"], cursor).cursor == Cursor.parse(cursor)


@pytest.mark.parametrize("cursor", ["earliest", "", "e-", "e-9223372036854775808", "e 5"])
def test_what_is_no_cursor_is_left_to_the_server(cursor: str) -> None:
    session = Session(["a"], cursor)
    assert session.cursor is None
    assert session.request.cursor == cursor


def test_a_stream_joins_with_its_hello() -> None:
    session = Session(["a"])
    stream = session.open()
    assert not stream.joined
    stream.receive(hello("e-5"))
    assert stream.joined


def test_a_stream_that_began_further_on_joins_when_the_session_is_there() -> None:
    session = Session(["a"])
    first, second = session.open(), session.open()
    first.receive(hello("e-5"))
    second.receive(hello("e-6"))
    assert (first.joined, second.joined) == (True, False)
    first.receive(Heartbeat(cursor="e-6"))
    assert (first.joined, second.joined) == (True, True)


def test_a_stream_of_an_epoch_that_was_left_is_not_joined() -> None:
    session = Session(["a"], "e-5")
    first, second = opened(session, "e-5"), opened(session, "e-5")
    first.receive(gap("f-1"))
    assert (first.joined, second.joined) == (True, False)
    second.receive(gap("f-1"))
    assert (first.joined, second.joined) == (True, True)


def test_a_stream_that_lacks_a_topic_is_not_joined() -> None:
    session = Session(["a"], "e-5")
    first, second = opened(session, "e-5"), opened(session, "e-5")
    session.subscribe(["b"])
    assert (first.joined, second.joined) == (True, True)
    first.receive(subscribed("e-5", "a", "b"))
    assert (first.joined, second.joined) == (True, False)
    session.unsubscribe(["b"])
    assert (first.joined, second.joined) == (True, True)


def test_a_stream_that_is_not_joined_yet_does_not_shut_out_the_one_that_is() -> None:
    session = Session(["a"])
    first = session.open()
    session.subscribe(["b"])
    second = session.open()
    first.receive(hello("e-5"))
    second.receive(hello("e-7"))
    assert (first.joined, second.joined) == (True, False)
    assert first.receive(message("e-6")) == [message("e-6")]
    first.receive(Heartbeat(cursor="e-7"))
    assert second.receive(message("e-8", "b")) == [message("e-8", "b")]
    assert (first.joined, second.joined) == (False, True)


def test_a_subscription_cut_off_by_the_epoch_holds_in_the_next_one() -> None:
    session = Session(["a"], "e-5")
    stream = opened(session, "e-5")
    session.subscribe(["b"])
    stream.receive(gap("f-0"))
    stream.receive(subscribed("f-2", "a", "b"))
    assert stream.joined
    assert stream.receive(message("f-3", "b")) == [message("f-3", "b")]


def test_a_broken_frame_changes_nothing() -> None:
    session = Session(["a"], "e-5")
    stream = opened(session, "e-5")
    before = session.cursor
    with pytest.raises(ProtocolError, match="no cursor"):
        stream.receive(message("six"))
    assert session.cursor == before
    assert stream.receive(message("e-6")) == [message("e-6")]


def test_the_parts_of_a_batch() -> None:
    bye = Bye(reason="drain", reconnect_after=1.0)
    frames = (message("e-6"), gap("e-7", "expired"))
    assert list(parts(Batch(cursor="e-5"))) == [Heartbeat(cursor="e-5")]
    assert list(parts(Batch(cursor="e-9", frames=frames, hello=hello("e-5"), bye=bye))) == [
        hello("e-5"),
        *frames,
        Heartbeat(cursor="e-9"),
        bye,
    ]
