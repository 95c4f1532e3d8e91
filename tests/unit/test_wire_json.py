"""The json format beyond the shared vectors: what I-JSON refuses, how deep it goes, that all goes around."""

from __future__ import annotations

import json as stdlib_json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tricast.errors import BadRequest, ProtocolError
from tricast.wire import json
from tricast.wire.messages import NO_DATA, Echo, Gap, Message, Ping, Publish, Reply, Subscribe

texts = st.text(st.characters(exclude_categories=["Cs"]))
whole = st.integers(-(2**53), 2**53)
scalars = st.none() | st.booleans() | whole | st.floats(allow_nan=False, allow_infinity=False) | texts
values = st.recursive(scalars, lambda inner: st.lists(inner) | st.dictionaries(texts, inner), max_leaves=20)


@given(values)
def test_a_value_goes_around(value: Any) -> None:
    assert json.loads(json.dumps(value)) == value
    assert json.loads(json.dumps(value).encode()) == value


@given(values | st.binary(), texts, st.none() | texts)
def test_a_message_goes_around(data: Any, event: str, sender: str | None) -> None:
    message = Message(topic="a", cursor="e-1", event=event, data=data, sender=sender, ts=1.5)
    assert json.decode(json.encode(message)) == message


@given(values | st.binary(), st.none() | texts, st.none() | texts)
def test_a_message_around_encoded_data_is_the_same(data: Any, event: str | None, subject: str | None) -> None:
    text = json.message_text(
        topic="a",
        cursor="e-1",
        data=data if isinstance(data, bytes) else json.dumps(data),
        id="m-1",
        event=event,
        sender="c",
        subject=subject,
        ts=1795295808.123456,
    )
    expected = Message(
        topic="a",
        cursor="e-1",
        id="m-1",
        event=event,
        data=data,
        sender="c",
        subject=subject,
        ts=1795295808.123456,
    )
    assert json.decode(text) == expected


def test_output_is_compact_and_not_escaped() -> None:
    assert json.dumps({"a": [1, "é😀"]}) == '{"a":[1,"é😀"]}'


@pytest.mark.parametrize(
    "value",
    [float("nan"), float("inf"), "\ud800", {"\udfff": 1}, {1, 2}, pytest.param(object(), id="object"), b"bytes"],
    ids=repr,
)
def test_what_json_cannot_carry_is_refused(value: Any) -> None:
    with pytest.raises(BadRequest):
        json.dumps(value)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "NaN",
        "[Infinity]",
        "-Infinity",
        '{"a":1,"a":2}',
        "1 2",
        "'a'",
        b"\xff",
        b'"\xed\xa0\x80"',
        "[" * 99_999,
    ],
    ids=lambda text: repr(text[:20]),
)
def test_what_is_no_json_is_refused(text: str | bytes) -> None:
    with pytest.raises(BadRequest):
        json.loads(text)


def nested(depth: int) -> Any:
    value: Any = []
    for _ in range(depth - 1):
        value = [value]
    return value


def test_depth_has_a_limit() -> None:
    json.dumps(nested(64))
    json.dumps([[1]] * 100)
    with pytest.raises(BadRequest, match="64"):
        json.dumps(nested(65))
    with pytest.raises(BadRequest, match="64"):
        json.dumps(nested(100_000))


def test_the_limit_is_that_of_the_data_whatever_is_around_it() -> None:
    publish = Publish(topic="a", data=nested(64))
    assert json.loads(json.encode_commands([publish, publish]))[1]["data"] == nested(64)
    assert json.loads(json.encode(publish))["data"] == nested(64)


def test_a_server_that_nests_without_end_breaks_the_contract() -> None:
    with pytest.raises(ProtocolError):
        json.decode("[" * 100_000)


def test_width_has_none() -> None:
    json.dumps([{"a": []}] * 1000)


def test_so_have_arrays_and_objects_in_number() -> None:
    most = json.CONTAINERS_MAX
    assert len(json.loads(f"[{','.join(['[]'] * (most - 1))}]")) == most - 1
    for inner in ("[]", "{}"):
        with pytest.raises(BadRequest, match="over 65536 arrays and objects"):
            json.loads(f"[{','.join([inner] * most)}]")


@pytest.mark.parametrize("text", ["[" * 100_000, '\\"[' * 30_000, "\\\\"])
def test_brackets_within_a_text_are_none(text: str) -> None:
    quoted = f'"{text}{"{" * 100_000}"'
    assert json.loads(quoted) == stdlib_json.loads(quoted)


def test_but_for_those_between_so_many_quotes_that_telling_would_take_long() -> None:
    with pytest.raises(BadRequest, match="over 65536 arrays and objects"):
        json.loads('["' + '\\"[' * 150_000 + '"]')


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ('{"a":1,"b":2}', '{ "b": 2.0, "a": 1e0 }'),
        ('"é"', '"\\u00e9"'),
        ("[0.5]", "[5e-1]"),
        ("[1.0]", "[1]"),
    ],
)
def test_texts_that_mean_the_same_have_one_spelling(one: str, other: str) -> None:
    assert json.canonical(one) == json.canonical(other)


@pytest.mark.parametrize(("one", "other"), [("1", '"1"'), ("[1,2]", "[2,1]"), ("null", "false"), ("1", "1.5")])
def test_texts_that_mean_something_else_differ(one: str, other: str) -> None:
    assert json.canonical(one) != json.canonical(other)


def test_absent_members_are_left_out_and_none_is_data() -> None:
    assert json.to_members(Reply(action="ping")) == {"type": "reply", "action": "ping"}
    assert json.to_members(Reply(action="echo", data=None)) == {"type": "reply", "action": "echo", "data": None}
    assert json.to_members(Echo()) == {"action": "echo"}
    decoded = json.decode('{"type":"reply","action":"ping"}')
    assert isinstance(decoded, Reply)
    assert decoded.data is NO_DATA


def test_sender_and_subject_have_other_names_on_the_wire() -> None:
    members = json.to_members(Message(topic="a", cursor="e-1", data=1, sender="c", subject="alice"))
    assert (members["from"], members["sub"]) == ("c", "alice")
    assert "sender" not in members


def test_topics_are_tuples_here_and_lists_there() -> None:
    gap = Gap(topics=("a", "b"), cursor="e-9", reason="slow")
    assert json.to_members(gap)["topics"] == ["a", "b"]
    assert json.decode(json.encode(gap)) == gap


def test_the_body_of_send_is_one_object_or_an_array() -> None:
    assert stdlib_json.loads(json.encode_commands([Ping(ref="1")])) == {"action": "ping", "delay": 0.0, "ref": "1"}
    both = stdlib_json.loads(json.encode_commands([Publish(topic="a", data=b"\0"), Subscribe(topics=("b",))]))
    assert both == [
        {"action": "publish", "topic": "a", "data_b64": "AA=="},
        {"action": "subscribe", "topics": ["b"]},
    ]


def test_data_that_json_cannot_carry_is_refused_before_it_is_sent() -> None:
    with pytest.raises(BadRequest):
        json.encode(Publish(topic="a", data=float("nan")))
