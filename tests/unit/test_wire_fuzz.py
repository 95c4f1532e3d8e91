"""Whatever bytes arrive, a parser answers with a value or with the error of its contract, and with nothing else."""

from __future__ import annotations

import json as stdlib_json
from typing import Any

from hypothesis import example, given
from hypothesis import strategies as st

from tricast.errors import COMMAND_ERRORS, CommandError, ProtocolError
from tricast.wire import json
from tricast.wire.commands import command_of, is_command, ref_of
from tricast.wire.cursor import CURSOR_MAX, OFFSET_LIMIT, Cursor, is_name, is_topic
from tricast.wire.messages import Batch, Echo, Ping, Publish, Refresh, Subscribe, Unsubscribe
from tricast.wire.sse import Parser
from tricast_server.transports.commands import payload_of

LIMIT = 1000
texts = st.text(st.characters(), max_size=20)  # with lone surrogates
scalars = st.none() | st.booleans() | st.integers() | st.floats() | texts
values = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(texts, inner, max_size=4), max_leaves=8
)
names = st.sampled_from(["a", "a.b", "", ".", "a..b", "_inbox.0123456789abcdefghijkl", "_inbox.a", "x" * 129, "é"])
actions = st.sampled_from(["publish", "ECHO", "ping", "Subscribe", "unsubscribe", "refresh", "İ", "", "publish "])
commands = st.fixed_dictionaries(
    {},
    optional={
        "action": actions | values,
        "event": texts | values,
        "payload": values,
        "topic": names | values,
        "topics": st.lists(names, max_size=3) | names | values,
        "data": values,
        "data_b64": st.sampled_from(["", "AA==", "AA", "A", "\u0661", "!!!!"]) | values,
        "id": st.sampled_from(["m-1", "", "x" * 65, "a b"]) | values,
        "ref": texts | values,
        "reply_to": names | values,
        "delay": st.sampled_from([0, -0.0, 30, 30.1, 10**400, True, float("nan")]) | values,
        "token": texts | values,
    },
)
members = ("topic", "cursor", "topics", "data", "data_b64", "code", "message", "action", "reason", "heartbeat")
frames = st.fixed_dictionaries(
    {"type": st.sampled_from(["hello", "message", "gap", "heartbeat", "reply", "error", "bye", "new"]) | values},
    optional=dict.fromkeys(members, values | texts),
)
batches = st.fixed_dictionaries(
    {}, optional={"cursor": texts | values, "messages": st.lists(frames | values) | values, "hello": frames | values}
)


@st.composite
def spoilt(draw: st.DrawFn, objects: st.SearchStrategy[Any]) -> bytes:
    """JSON text, whole or with some bytes replaced, cut out or put in."""
    data = bytearray(stdlib_json.dumps(draw(objects), ensure_ascii=draw(st.booleans())).encode(errors="surrogatepass"))
    for _ in range(draw(st.integers(0, 3))):
        at = draw(st.integers(0, len(data)))
        data[at : at + draw(st.integers(0, 3))] = draw(
            st.binary(max_size=3) | st.sampled_from([b'"', b"{", b"NaN", b"\\u"])
        )
    return bytes(data)


def carried_out(data: bytes) -> str:
    """What a server makes of a command: the code of its error, or nothing."""
    try:
        value = json.loads(data)
    except CommandError as error:
        return error.code
    ref = ref_of(value)
    assert ref is None or len(ref.encode()) < 2000
    try:
        command = command_of(value)
        assert isinstance(command, Publish | Echo | Ping | Subscribe | Unsubscribe | Refresh)
        assert is_command(value)
        if isinstance(command, Publish | Echo) and command.data is not ...:
            payload = payload_of(command.data, LIMIT)
            assert len(payload if isinstance(payload, bytes) else payload.encode()) <= LIMIT
    except CommandError as error:
        return error.code
    again = command_of(json.loads(json.encode(command)))
    assert again == command
    return ""


@given(st.binary() | spoilt(commands) | spoilt(st.lists(commands, max_size=2)) | spoilt(values))
@example(b"[" * 100_000)
@example(b'{"action":' * 2000)
@example(b"1" * 5000)
@example(b'{"action":"publish","data":1e999}')
@example(b'{"action":"ping","delay":1e999}')
@example(b'{"action":"ping","ref":"\\ud800"}')
@example(b'{"action":"publish","data":"\\ud800"}')
@example(b'{"action":"publish","event":"\\ud800","data":1}')
@example(b"\xff\xfe{}")
def test_a_command_is_one_or_has_a_code(data: bytes) -> None:
    assert carried_out(data) in ("", *COMMAND_ERRORS)


@given(st.text(st.characters(), max_size=60) | st.from_regex(r"[A-Za-z0-9]{0,34}-[0-9]{0,21}", fullmatch=True))
@example("a-٣")
@example("a-1\n")
@example("a-9223372036854775808")
def test_a_cursor_is_one_or_none(text: str) -> None:
    cursor = Cursor.parse(text)
    if cursor is not None:
        assert len(text) <= CURSOR_MAX
        assert text.isascii()
        assert 0 <= cursor.offset < OFFSET_LIMIT
        assert Cursor.parse(str(cursor)) == cursor


@given(texts)
def test_a_name_has_nothing_in_it_that_means_something_elsewhere(text: str) -> None:
    """Topics and ids stand in JSON, in keys of Redis and subjects of NATS, unescaped."""
    if is_topic(text) or is_name(text):
        assert text.isascii()
        assert not set(text) & set('"\\{}*> \r\n\0')


@given(st.binary() | spoilt(frames))
def test_what_a_server_sends_is_a_frame_or_an_error(data: bytes) -> None:
    try:
        frame = json.decode(data)
    except ProtocolError:
        return
    if frame is not None:
        assert frame.type in ("hello", "message", "gap", "heartbeat", "reply", "error", "bye")


@given(st.binary() | spoilt(batches))
def test_so_is_what_it_answers_to_a_poll(data: bytes) -> None:
    try:
        batch = json.decode_batch(data)
    except ProtocolError:
        return
    assert isinstance(batch, Batch)


@given(st.lists(st.binary(max_size=80) | st.sampled_from([b"data: ", b"\n", b"\r", b"x" * 200]), max_size=30))
def test_an_event_stream_is_parsed_or_too_long(chunks: list[bytes]) -> None:
    parser, events = Parser(limit=LIMIT), []
    try:
        for chunk in chunks:
            events += parser.feed(chunk)
    except ValueError:
        assert sum(map(len, chunks)) > LIMIT
    for event in events:
        assert "\0" not in event.id
