"""The protobuf format beyond the shared vectors: all goes around, and whatever bytes arrive, nothing else than the
errors of the contract comes out.
"""

from __future__ import annotations

import base64
import os
import subprocess
import sys
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from tests.unit.protobuf_cases import field

from tricast.errors import BadRequest, CommandError, ProtocolError
from tricast.wire import json, protobuf
from tricast.wire.commands import COMMANDS_MAX, command_of
from tricast.wire.formats import NAMES, Codec, codec_named
from tricast.wire.messages import (
    NO_DATA,
    Batch,
    Bye,
    Command,
    Echo,
    Error,
    Frame,
    Gap,
    Heartbeat,
    Hello,
    Message,
    Ping,
    Publish,
    Refresh,
    Reply,
    Subscribe,
    Unsubscribe,
)

texts = st.text(max_size=20)
names = st.from_regex(r"[A-Za-z0-9_:-]{1,9}", fullmatch=True)
cursors = st.from_regex(r"[a-z0-9]{1,9}-[0-9]{1,18}", fullmatch=True)
seconds = st.floats(0, 1e9)
json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.floats(allow_nan=False, allow_infinity=False) | texts,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(texts, inner, max_size=4),
    max_leaves=8,
)
data = json_values | st.binary(max_size=40)
topics = st.lists(names, min_size=1, max_size=3, unique=True).map(tuple)
hellos = st.builds(
    Hello,
    protocol=st.integers(0, 2**32 - 1),
    transport=texts,
    client=texts,
    cursor=cursors,
    heartbeat=seconds,
    dedupe_window=seconds,
    topics=topics,
    node=texts,
)
messages = st.builds(
    Message,
    topic=names,
    cursor=cursors,
    id=st.none() | texts,
    event=st.none() | texts,
    data=data,
    sender=st.none() | texts,
    subject=st.none() | texts,
    ts=st.none() | seconds,
)
gaps = st.builds(Gap, topics=topics, after=st.none() | texts, cursor=cursors, reason=texts, exact=st.booleans())
replies = st.builds(
    Reply,
    action=names,
    ref=st.none() | texts,
    at=st.none() | texts,
    duplicate=st.none() | st.booleans(),
    data=st.just(NO_DATA) | data,
) | st.builds(Reply, action=names, cursor=cursors, topics=topics)
errors = st.builds(Error, code=names, message=texts, ref=st.none() | texts, retry_after=st.none() | seconds)
byes = st.builds(Bye, reason=texts, reconnect_after=seconds)
frames = hellos | messages | gaps | st.builds(Heartbeat, cursor=cursors) | replies | errors | byes
batches = st.builds(
    Batch,
    cursor=cursors,
    frames=st.lists(messages | gaps, max_size=3).map(tuple),
    hello=st.none() | hellos,
    bye=st.none() | byes,
)
refs = st.none() | texts
commands = (
    st.builds(
        Publish, topic=st.none() | names, event=st.none() | texts, id=st.none() | st.just("m-1"), data=data, ref=refs
    )
    | st.builds(
        Echo, data=st.just(NO_DATA) | data, reply_to=st.none() | st.just("_inbox.abcdefghijklmnopqrstuv"), ref=refs
    )
    | st.builds(Ping, delay=st.floats(0, 30), ref=refs)
    | st.builds(Subscribe, topics=topics, ref=refs)
    | st.builds(Unsubscribe, topics=topics, ref=refs)
    | st.builds(Refresh, token=texts.filter(bool), ref=refs)
)

FEW = settings(max_examples=30)
"""Where what is within is tested by itself."""


def batch_bytes(batch: Batch) -> bytes:
    frames = [protobuf.batched(protobuf.encode(frame)) for frame in batch.frames]
    return protobuf.encode_batch(batch.cursor, batch.hello, batch.bye) + b"".join(frames)


@given(frames)
def test_a_frame_goes_around_and_means_the_same_as_in_json(frame: Frame) -> None:
    raw = protobuf.encode(frame)
    assert protobuf.decode(raw) == frame
    assert protobuf.decode(base64.b64encode(raw).decode()) == frame
    assert json.decode(json.encode(frame)) == frame


@FEW
@given(messages, texts | st.none())
def test_a_message_around_data_that_is_encoded_already(message: Message, event: str | None) -> None:
    values: dict[str, Any] = {name: getattr(message, name) for name in ("topic", "cursor", "id", "sender", "subject")}
    encoded = message.data if isinstance(message.data, bytes) else json.dumps(message.data)
    raw = protobuf.message_bytes(**values, data=encoded, event=event, ts=1.5)
    assert protobuf.decode(raw) == Message(**values, data=message.data, event=event, ts=1.5)


@FEW
@given(batches)
def test_a_batch_goes_around(batch: Batch) -> None:
    assert protobuf.decode_batch(batch_bytes(batch)) == batch


@FEW
@given(st.lists(replies | errors, max_size=4))
def test_answers_go_around(answers: list[Reply | Error]) -> None:
    assert protobuf.decode_answers(protobuf.encode_answers(answers)) == answers


@given(commands)
def test_a_command_goes_around(command: Command) -> None:
    assert command_of(protobuf.command_members(protobuf.encode(command))) == command


@FEW
@given(st.lists(commands, min_size=1, max_size=4))
def test_several_commands_go_around(several: list[Command]) -> None:
    values = protobuf.commands_members(protobuf.encode_commands(several))
    assert [command_of(value) for value in values] == several


@pytest.mark.parametrize("size", [0, 1, 127, 128, 16_383, 16_384, 100_000, 2_097_152])
def test_bytes_of_every_length(size: int) -> None:
    message = Message(topic="a", cursor="e-1", data=bytes(size))
    assert protobuf.decode(protobuf.encode(message)) == message
    batch = Batch(cursor="e-1", frames=(message, message))
    assert protobuf.decode_batch(batch_bytes(batch)) == batch


@pytest.mark.parametrize("codec", [codec_named(name) for name in NAMES], ids=NAMES)
@pytest.mark.parametrize(
    "wrong", [float("nan"), "\ud800", {1: 2, "\ud800": 3}, {"a": object()}, [[]] * 3 + [float("inf")]]
)
def test_what_no_format_can_carry_is_refused(codec: Codec, wrong: Any) -> None:
    with pytest.raises(BadRequest):
        codec.encode(Publish(topic="a", data=wrong))
    with pytest.raises(BadRequest):
        codec.encode_commands([Ping(), Publish(topic="a", data=wrong)])


@pytest.mark.parametrize("codec", [codec_named(name) for name in NAMES], ids=NAMES)
@pytest.mark.parametrize(
    "command",
    [
        Publish(topic="a", data=1, event="\ud800"),
        Ping(ref="\ud800"),
        Subscribe(topics=("a", "\ud800")),
        Refresh(token="\udfff"),
    ],
)
def test_nor_can_any_carry_half_a_character(codec: Codec, command: Command) -> None:
    with pytest.raises(BadRequest):
        codec.encode(command)
    with pytest.raises(BadRequest):
        codec.encode_commands([command])


def test_there_is_an_end_to_the_commands_of_one_body() -> None:
    assert len(protobuf.commands_members(protobuf.encode_commands([Ping()] * COMMANDS_MAX))) == COMMANDS_MAX
    with pytest.raises(BadRequest):
        protobuf.commands_members(protobuf.encode_commands([Ping()] * (COMMANDS_MAX + 1)))


@pytest.mark.parametrize("text", ["", "AAE*", "AAE", "é", "\ud800", '{"type":"heartbeat"}', "IgUKA2UtMQ\n=="])
def test_an_event_that_is_not_base64(text: str) -> None:
    if text:
        with pytest.raises(ProtocolError):
            protobuf.decode(text)
    else:
        assert protobuf.decode(text) is None, "nothing is a frame of a later version"


def test_no_such_format() -> None:
    with pytest.raises(ValueError, match="json, protobuf"):
        codec_named("xml")  # type: ignore[arg-type]


def test_who_speaks_json_does_not_load_protobuf() -> None:
    """It takes as long as half of the client."""
    code = "import sys, tricast; tricast.connect('http://a'); print('google.protobuf' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"


def test_without_the_c_library_the_errors_are_the_same() -> None:
    code = r"""
from tricast.errors import BadRequest, ProtocolError
from tricast.wire import protobuf
for decode, error in ((protobuf.decode, ProtocolError), (protobuf.command_members, BadRequest)):
    for payload in (b"\x12\x03\x0a\x01\xff", b"\x12\xff", b"\x0b" * 1000):
        try:
            decode(payload)
        except error:
            print(error.code)
"""
    env = {**os.environ, "PROTOCOL_BUFFERS_PYTHON_IMPLEMENTATION": "python"}
    done = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True)
    assert done.stderr == ""
    assert done.stdout.split() == ["protocol_error"] * 3 + ["bad_request"] * 3


# Whatever bytes arrive


@st.composite
def spoilt(draw: st.DrawFn, whole: st.SearchStrategy[bytes]) -> bytes:
    """A payload, whole or with some bytes replaced, cut out or put in, perhaps with another one behind it."""
    raw = bytearray(draw(whole))
    for _ in range(draw(st.integers(0, 3))):
        at = draw(st.integers(0, len(raw)))
        raw[at : at + draw(st.integers(0, 3))] = draw(st.binary(max_size=3))
    return bytes(raw) + (draw(whole) if draw(st.booleans()) else b"")


@st.composite
def fields(draw: st.DrawFn, depth: int = 3) -> bytes:
    """Fields of any kind within fields, most of them with numbers that mean something."""
    raw = b""
    for _ in range(draw(st.integers(0, 4))):
        inner = fields(depth - 1) if depth else st.binary(max_size=5)
        values = texts | st.floats() | st.integers(0, 2**64 - 1) | st.binary(max_size=5) | inner
        raw += field(draw(st.integers(1, 16) | st.integers(1, 2**29 - 1)), draw(values))
    return raw


anything = st.binary() | fields()
DEEP = b"\x0b" * 10_000
"""Groups within groups."""
HUGE = b"\x0a\xff\xff\xff\xff\x07"
"""A field of two gigabytes."""


@given(anything | spoilt(frames.map(protobuf.encode)))
@example(DEEP)
@example(HUGE)
@example(field(2, field(1, "a") + field(2, "e-1") + field(5, "[" * 100_000)))
@example(field(2, field(1, "a") + field(2, "e-1") + field(5, "1" * 5000)))
@example(field(4, field(1, b"\xff")))
def test_what_a_server_sends_is_a_frame_or_an_error(raw: bytes) -> None:
    try:
        frame = protobuf.decode(raw)
    except ProtocolError:
        return
    assert frame is None or isinstance(frame, Hello | Message | Gap | Heartbeat | Reply | Error | Bye)


@given(texts)
def test_so_is_an_event(text: str) -> None:
    try:
        protobuf.decode(text)
    except ProtocolError:
        return


@FEW
@given(anything | spoilt(batches.map(batch_bytes)))
@example(DEEP)
@example(HUGE)
def test_so_is_the_answer_to_a_poll(raw: bytes) -> None:
    try:
        batch = protobuf.decode_batch(raw)
    except ProtocolError:
        return
    assert batch.cursor
    assert all(isinstance(frame, Message | Gap) for frame in batch.frames)


@FEW
@given(anything | spoilt(st.lists(replies | errors, max_size=3).map(protobuf.encode_answers)))
@example(DEEP)
def test_so_are_answers(raw: bytes) -> None:
    try:
        protobuf.decode_answers(raw)
    except ProtocolError:
        return


@given(anything | spoilt(commands.map(protobuf.encode)))
@example(DEEP)
@example(HUGE)
@example(field(1, field(4, "[" * 100_000)))
@example(field(1, field(4, "1" * 5000)))
@example(field(1, field(4, '"\\ud800"')))
@example(field(1, field(4, "1e999")))
@example(field(3, field(1, float("nan"))))
def test_a_command_is_one_or_has_a_code(raw: bytes) -> None:
    try:
        command = command_of(protobuf.command_members(raw))
        again = protobuf.encode(command)
    except CommandError:
        return
    assert command_of(protobuf.command_members(again)) == command


@FEW
@given(anything | spoilt(st.lists(commands, max_size=3).map(protobuf.encode_commands)))
@example(DEEP)
def test_so_is_each_of_several(raw: bytes) -> None:
    try:
        values = protobuf.commands_members(raw)
    except BadRequest:
        return
    for value in values:
        try:
            command_of(value)
        except CommandError:
            continue
