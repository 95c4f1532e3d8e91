"""The `protobuf` format: what stands on the wire, what is taken, and that it is the same bus as in JSON.

The generated classes of proto/tricast.proto read and write here, as those of any other client would.
"""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from tests.helpers import Node, Server, running
from tests.helpers_clients import (
    FORMATS,
    TRANSPORTS,
    WIRES,
    Frame,
    Http,
    SSEReader,
    event_stream,
    publish,
    reader,
    readers,
)
from tests.helpers_clients import websocket as websocket_reader
from tests.helpers_protobuf import CONTENT_TYPE, answers_of, batch_of, command_bytes, commands_bytes, frame_of
from websockets.asyncio.client import ClientConnection
from websockets.asyncio.client import connect as connect_websocket
from websockets.typing import Subprotocol

from tricast.wire import tricast_pb2 as pb
from tricast_server.bus.log import Entry
from tricast_server.framing import JSON, PROTOBUF, Format

IN_PROTOBUF = {"Content-Type": CONTENT_TYPE}
JSON_TYPE = "application/json; charset=utf-8"
BYTES = bytes(range(256))
BYTES_B64 = base64.b64encode(BYTES).decode()
UNKNOWN_FIELD = b"\xfa\x07\x04late"
"""Number 127, of a later version."""


@asynccontextmanager
async def websocket(server: Server, query: str = "", *protocols: str) -> AsyncIterator[ClientConnection]:
    """PyPI's `websockets`, with what comes as it came."""
    url = f"ws://{server.authority}/ws?{query}"
    subprotocols = [Subprotocol(name) for name in protocols] or None
    async with connect_websocket(url, subprotocols=subprotocols, proxy=None, close_timeout=1.0) as socket:
        yield socket


async def received(socket: ClientConnection) -> Frame:
    """The next frame but heartbeats, which must be a binary one."""
    return frame_of(await payload_of(socket))


async def payload_of(socket: ClientConnection) -> bytes:
    async with asyncio.timeout(5):
        while True:
            payload = await socket.recv()
            assert isinstance(payload, bytes), payload
            if frame_of(payload)["type"] != "heartbeat":
                return payload


async def asked(socket: ClientConnection, payload: str | bytes) -> Frame:
    await socket.send(payload)
    return await received(socket)


# What is sent


@pytest.mark.parametrize(
    ("query", "protocols"),
    [
        ("topics=a&format=protobuf", ()),
        ("topics=a", ("tricast.v1.protobuf",)),
        ("topics=a&format=json", ("tricast.v1.protobuf",)),
        ("topics=a&format=text", ("other", "tricast.v1.protobuf", "tricast.v1.json")),
    ],
    ids=["query", "subprotocol", "subprotocol wins", "the first that is known"],
)
@pytest.mark.filterwarnings("ignore::UserWarning")
async def test_websocket_frames_are_binary_and_hold_one_frame_each(
    server: Node, http: Http, query: str, protocols: tuple[str, ...]
) -> None:
    async with websocket(server, query, *protocols) as socket:
        assert socket.subprotocol == ("tricast.v1.protobuf" if protocols else None)
        hello = await received(socket)
        assert (hello["type"], hello["transport"], hello["topics"]) == ("hello", "ws", ["a"])
        await http.send(publish("a", {"n": [1, "é"]}, id="m-1", event="e"), client="me")
        message = await received(socket)
        assert message.pop("ts") > 0
        assert message == {
            "type": "message",
            "topic": "a",
            "cursor": message["cursor"],
            "id": "m-1",
            "event": "e",
            "data": {"n": [1, "é"]},
            "from": "me",
        }


async def test_the_json_subprotocol_wins_over_protobuf_in_the_query(server: Node) -> None:
    async with websocket(server, "format=protobuf", "tricast.v1.json") as socket:
        assert json.loads(await socket.recv())["type"] == "hello"


async def test_absent_fields_are_absent_and_data_is_json_or_bytes(server: Node, http: Http) -> None:
    async with websocket(server, "topics=a&format=protobuf") as socket:
        await socket.recv()
        await http.send(publish("a", None), {"action": "publish", "topic": "a", "data_b64": ""})
        null, empty = [pb.Frame.FromString(await payload_of(socket)).message for _ in range(2)]
        assert (null.WhichOneof("data"), null.json) == ("json", "null")
        assert (empty.WhichOneof("data"), empty.bytes) == ("bytes", b"")
        for message in (null, empty):
            assert not any(message.HasField(name) for name in ("id", "event", "subject"))


def lines_of(stream: SSEReader) -> list[list[str]]:
    """Hello, the message that comes next, and a heartbeat."""
    blocks = [block.split("\n") for block in bytes(stream.raw).decode().split("\n\n")[:-1]]
    beats = [lines for lines in blocks if "event: heartbeat" in lines]
    return [*(lines for lines in blocks if lines not in beats), beats[-1]]


async def test_events_hold_one_line_of_base64_with_names_ids_and_retry_as_in_json(server: Node, http: Http) -> None:
    async with event_stream(server, "a", format="protobuf") as events, event_stream(server, "a") as in_json:
        await http.publish("a", "x" * 3000)
        for stream in (events, in_json):
            await stream.next("message")
            await stream.next("heartbeat")
        blocks, same = lines_of(events), lines_of(in_json)
    assert len(blocks) == len(same) == 3
    for lines, other in zip(blocks, same, strict=True):
        assert [line for line in lines if line[:5] != "data:"] == [line for line in other if line[:5] != "data:"]
        (data,) = (line.removeprefix("data: ") for line in lines if line[:5] == "data:")
        assert f"id: {frame_of(base64.b64decode(data, validate=True))['cursor']}" in lines
    assert events.response.headers["Content-Type"] == in_json.response.headers["Content-Type"]


async def test_an_answer_to_a_poll_is_one_batch(server: Node, http: Http) -> None:
    await http.publish("a", 1)
    answer = await http.get("/poll?topics=a&format=protobuf&last=1&client=me")
    assert (answer.status, answer.headers["Content-Type"]) == (200, CONTENT_TYPE)
    assert answer.headers["Cache-Control"] == "no-store"
    batch = batch_of(answer.body)
    assert (batch["hello"]["transport"], batch["hello"]["client"]) == ("poll", "me")
    assert [message["data"] for message in batch["messages"]] == [1]
    assert answer.headers["Tricast-Cursor"] == batch["cursor"]
    answer = await http.get(f"/poll?topics=a&format=protobuf&cursor={batch['cursor']}&wait=0")
    assert batch_of(answer.body) == {"cursor": batch["cursor"], "messages": []}


@pytest.mark.parametrize("transport", TRANSPORTS)
async def test_a_gap_is_the_same_in_both_formats(transport: str) -> None:
    async with running(retention_count=3) as server, Http(server) as http:
        places = await http.publish("a", *range(9))
        for cursor in ("other-7", places[0]):
            async with (
                reader(transport, server, "a", cursor=cursor) as in_json,
                reader(transport, server, "a", cursor=cursor, format="protobuf") as in_protobuf,
            ):
                gap = await in_json.next("gap")
                assert await in_protobuf.next("gap") == gap
                assert gap["reason"] == ("epoch" if cursor == "other-7" else "expired")


# Accept


@pytest.mark.parametrize(
    ("accept", "is_protobuf"),
    [
        (CONTENT_TYPE, True),
        ("Application/X-Protobuf; q=0.5, application/json;q=0.4", True),
        ("application/x-protobuf;q=0.5, application/json", False),
        ("application/x-protobuf, application/json", False),
        ("text/html, application/x-protobuf;v=1", True),
        ("application/x-protobuf;q=0, */*", False),
        ("application/x-protobuf;q=much", False),
        ("application/*, */*", False),
        ("application/json", False),
        ("", False),
    ],
)
async def test_a_poll_that_names_no_format_goes_by_accept(http: Http, accept: str, is_protobuf: bool) -> None:
    answer = await http.get("/poll?wait=0", headers={"Accept": accept})
    assert answer.headers["Content-Type"] == (CONTENT_TYPE if is_protobuf else JSON_TYPE)
    assert answer.headers["Vary"] == ("Origin, Accept" if is_protobuf else "Origin")
    assert answer.batch["hello"]["transport"] == "poll"


@pytest.mark.parametrize("spelled", ["format=json", "f%6Frmat=json"])
async def test_the_query_goes_before_accept(http: Http, spelled: str) -> None:
    answer = await http.get(f"/poll?wait=0&{spelled}", headers={"Accept": CONTENT_TYPE})
    assert (answer.headers["Content-Type"], answer.headers["Vary"]) == (JSON_TYPE, "Origin")


async def test_accept_also_decides_where_an_origin_is_allowed() -> None:
    page = {"Origin": "https://page.example", "Accept": CONTENT_TYPE}
    async with running(allow_origins=("https://page.example",)) as server, Http(server) as http:
        cursor = await http.now("a")
        answer = await http.get(f"/poll?topics=a&wait=0&cursor={cursor}", headers=page)
        assert answer.is_protobuf
        assert answer.headers["Vary"] == "Origin, Accept"
        assert answer.headers["Access-Control-Allow-Origin"] == "https://page.example"
        asked = {**page, "Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "content-type"}
        answer = await http.request("OPTIONS", "/send", headers=asked)
        assert "Content-Type" in answer.headers["Access-Control-Allow-Headers"]


async def test_an_error_status_brings_json_in_every_format(http: Http) -> None:
    for path in ("/poll?format=protobuf&topics=a..b", "/sse?format=protobuf&topics=a..b"):
        answer = await http.get(path, headers={"Accept": CONTENT_TYPE})
        assert (answer.status, answer.headers["Content-Type"]) == (400, "application/json; charset=utf-8")
        assert answer.json["code"] == "bad_request"


@pytest.mark.parametrize(("query", "protocols"), [("format=protobuf", ()), ("", ("tricast.v1.protobuf",))])
async def test_a_websocket_is_refused_in_the_format_it_asked_for(
    server: Node, query: str, protocols: tuple[str, ...]
) -> None:
    async with websocket(server, f"topics=a..b&{query}", *protocols) as socket:
        error = await received(socket)
        assert (error["type"], error["code"]) == ("error", "bad_request")
        await socket.wait_closed()
    assert (socket.close_code, socket.close_reason) == (4400, "bad_request")


# Commands over WebSocket


async def test_every_command_over_a_websocket(server: Node, http: Http) -> None:
    async with websocket_reader(server, "a", format="protobuf", client="me") as socket:
        reply = await socket.ask(action="publish", topic="b", data={"n": 1}, id="m", event="e", ref="1")
        assert reply == {"type": "reply", "action": "publish", "ref": "1", "at": reply["at"], "duplicate": False}
        reply = await socket.ask(action="publish", topic="b", data={"n": 1}, id="m", event="e")
        assert (reply["duplicate"], "ref" in reply) == (True, False)
        assert (await socket.ask(action="publish", topic="b", data={"n": 2}, id="m", event="e"))["code"] == "conflict"
        for data in ({"data": [1, None, "é"]}, {"data_b64": BYTES_B64}, {}):
            assert await socket.ask(action="echo", ref="2", **data) == {
                "type": "reply",
                "action": "echo",
                "ref": "2",
                **data,
            }
        assert await socket.ask(action="ping", ref="3") == {"type": "reply", "action": "ping", "ref": "3"}
        assert (await socket.ask(action="ping", delay=0.05, ref="4"))["ref"] == "4"
        reply = await socket.ask(action="subscribe", topics=["b", "c"], ref="5")
        assert (reply["ref"], reply["topics"], reply["cursor"]) == ("5", ["a", "b", "c"], await http.now())
        assert (await socket.ask(action="unsubscribe", topics=["a", "b", "c"]))["topics"] == []
        assert (await socket.ask(action="refresh", token="new", ref="6"))["ref"] == "6"
    last = (await http.poll("b", last=1))["messages"]
    assert [(message["data"], message["from"]) for message in last] == [({"n": 1}, "me")]


async def test_echo_through_the_bus(server: Node) -> None:
    inbox = "_inbox." + "p" * 22
    async with websocket_reader(server, inbox, format="protobuf") as socket:
        await socket.send(action="echo", data_b64=BYTES_B64, reply_to=inbox)
        message = await socket.next("message")
        assert (message["event"], message["data_b64"]) == ("echo", BYTES_B64)


WRONG: list[tuple[str, str | bytes, str]] = [
    ("a text frame", '{"action":"ping"}', "bad_request"),
    ("no protobuf", b"\xff\xff\xff", "bad_request"),
    ("JSON", b'{"action":"ping"}', "bad_request"),
    ("cut", command_bytes(publish("a", "x" * 100))[:-1], "bad_request"),
    ("no UTF-8", b"\x0a\x05\x22\x03\xff\xfe\xfd", "bad_request"),
    ("nothing", b"", "unknown_action"),
    ("of a later version", UNKNOWN_FIELD, "unknown_action"),
    ("no data", pb.Command(publish=pb.Publish(topic="a")).SerializeToString(), "bad_request"),
    ("a bad topic", command_bytes(publish("a..b", 1)), "bad_request"),
    ("an empty topic", command_bytes(publish("", 1)), "bad_request"),
    ("no topics", pb.Command(subscribe=pb.Subscribe()).SerializeToString(), "bad_request"),
    ("endless topics", command_bytes({"action": "subscribe", "topics": ["a"] * 100_000}), "bad_request"),
    ("a bad id", command_bytes(publish("a", 1, id="no name")), "bad_request"),
    ("an endless delay", command_bytes({"action": "ping", "delay": float("inf")}), "bad_request"),
    ("no delay", command_bytes({"action": "ping", "delay": float("nan")}), "bad_request"),
    ("too much", command_bytes(publish("a", "x" * 300_000)), "too_large"),
    *(
        (f"{text[:9]}...", command_bytes({"action": "publish", "topic": "a", "json": text}), "bad_request")
        for text in ("", "{", "NaN", '{"a":1,"a":2}', '"\\ud800"', "[" * 65 + "]" * 65, "[" * 100_000)
    ),
]


@pytest.mark.parametrize(("payload", "code"), [pytest.param(*case[1:], id=case[0]) for case in WRONG])
async def test_what_is_wrong_is_answered_and_the_connection_goes_on(
    server: Node, http: Http, payload: str | bytes, code: str
) -> None:
    async with websocket(server, "topics=a&format=protobuf") as socket:
        await socket.recv()
        error = await asked(socket, payload)
        assert (error["type"], error["code"]) == ("error", code)
        assert (await asked(socket, command_bytes({"action": "ping", "ref": "1"})))["ref"] == "1"
    assert (await http.poll("a", cursor="earliest"))["messages"] == []


async def test_an_error_has_the_ref_of_its_command(server: Node) -> None:
    async with websocket(server, "format=protobuf") as socket:
        await socket.recv()
        for command in (pb.Command(ref="7"), pb.Command(ref="7", publish=pb.Publish(json="nope"))):
            assert (await asked(socket, command.SerializeToString()))["ref"] == "7"


async def test_unknown_fields_are_ignored(server: Node) -> None:
    async with websocket(server, "topics=a&format=protobuf") as socket:
        await socket.recv()
        within = pb.Publish.FromString(pb.Publish(topic="b", json="1").SerializeToString() + UNKNOWN_FIELD)
        reply = await asked(socket, pb.Command(publish=within, ref="1").SerializeToString() + UNKNOWN_FIELD)
        assert (reply["type"], reply["ref"]) == ("reply", "1")


@pytest.mark.parametrize("format", ["json", "text"])
async def test_a_binary_frame_on_a_connection_of_text_is_answered_as_ever(server: Node, format: str) -> None:
    async with websocket_reader(server, "a", format=format) as socket:
        await socket.connection.send(command_bytes({"action": "ping"}))
        assert "this format has no binary frames" in str(await socket.next("error", "text"))
        await socket.send_text('{"action":"ping","ref":"1"}')
        assert await socket.next("reply", "text") in (
            {"type": "reply", "action": "ping", "ref": "1"},
            {"type": "text", "data": "PONG"},
        )


async def test_a_frame_over_the_limit_ends_the_connection(server: Node) -> None:
    async with websocket(server, "format=protobuf") as socket:
        await socket.send(bytes(2 * 2**20))
        await asyncio.wait_for(socket.wait_closed(), 5)
    assert socket.close_code == 1009


# POST /send


def ping(ref: str) -> Frame:
    return {"action": "ping", "ref": ref}


async def test_one_command_mirrors_its_outcome_in_the_status(http: Http) -> None:
    answer = await http.post_send(commands_bytes([ping("1")]), headers=IN_PROTOBUF)
    assert (answer.status, answer.headers["Content-Type"]) == (200, CONTENT_TYPE)
    assert answer.headers["Cache-Control"] == "no-store"
    assert answers_of(answer.body) == [{"type": "reply", "action": "ping", "ref": "1"}]
    answer = await http.post_send(commands_bytes([publish("a..b", 1, ref="2")]), headers=IN_PROTOBUF)
    assert (answer.status, answer.headers["Content-Type"]) == (400, JSON_TYPE)
    assert (answer.json["code"], answer.json["ref"]) == ("bad_request", "2")


async def test_several_are_answered_200_in_order(http: Http) -> None:
    commands: list[dict[str, Any]] = [ping("1"), {"action": "fly", "ref": "2"}, publish("a", 1, ref="3"), ping("4")]
    answer = await http.post_send(commands_bytes(commands), headers=IN_PROTOBUF, client="me")
    answers = answers_of(answer.body)
    assert [frame["ref"] for frame in answers] == ["1", "2", "3", "4"]
    assert [frame["type"] for frame in answers] == ["reply", "error", "reply", "reply"]
    (message,) = (await http.poll("a", last=1))["messages"]
    assert (message["cursor"], message["from"]) == (answers[2]["at"], "me")


@pytest.mark.parametrize("several", [False, True])
@pytest.mark.parametrize(
    ("sent", "accept", "got"),
    [
        ("protobuf", "", "protobuf"),
        ("protobuf", "*/*", "protobuf"),
        ("protobuf", "application/json", "json"),
        ("json", "application/x-protobuf", "protobuf"),
        ("json", "*/*", "json"),
        ("json", "application/x-protobuf;q=0", "json"),
        ("json", "application/x-protobuf, application/json", "json"),
        ("json", "application/json;q=0.1, application/x-protobuf;q=0.2", "protobuf"),
        ("protobuf", "application/x-protobuf, application/json", "protobuf"),
        ("protobuf", "application/json, application/x-protobuf;q=0.9", "json"),
    ],
)
async def test_the_answer_is_of_the_bodys_format_or_what_accept_names(
    http: Http, sent: str, accept: str, got: str, several: bool
) -> None:
    commands = [ping("1"), ping("2")] if several else [ping("1")]
    if sent == "protobuf":
        body, headers = commands_bytes(commands), {**IN_PROTOBUF, "Accept": accept}
    else:
        body, headers = json.dumps(commands if several else commands[0]).encode(), {"Accept": accept}
    answer = await http.post_send(body, headers=headers)
    assert answer.is_protobuf == (got == "protobuf")
    assert [reply["ref"] for reply in answer.replies] == (["1", "2"] if several else ["1"])
    if got == "json":
        assert isinstance(answer.json, list) == several


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"\xff\xff",
        b'{"action":"ping"}',
        commands_bytes([ping("1")])[:-1],
        b"\x0a\x00" * 101,
        b"\x0a\x00" * 400_000,
    ],
    ids=["none", "garbage", "JSON", "cut", "101", "400,000"],
)
async def test_a_body_that_is_none_is_answered_400(http: Http, body: bytes) -> None:
    answer = await http.post_send(body, headers={**IN_PROTOBUF, "Accept": CONTENT_TYPE})
    assert (answer.status, answer.json["code"]) == (400, "bad_request")


async def test_a_body_over_the_limit_is_answered_413() -> None:
    async with running(max_message=1000, max_body=2000) as server, Http(server) as http:
        answer = await http.post_send(bytes(2001), headers=IN_PROTOBUF)
    assert (answer.status, answer.json["code"]) == (413, "too_large")


async def test_a_hundred_commands_are_taken(http: Http) -> None:
    answer = await http.post_send(commands_bytes([ping(str(n)) for n in range(100)]), headers=IN_PROTOBUF)
    assert len(answers_of(answer.body)) == 100


async def test_a_publish_of_the_body_takes_protobuf_for_bytes(http: Http) -> None:
    body = command_bytes(ping("1"))
    answer = await http.request("POST", "/topics/a", body=body, headers=IN_PROTOBUF)
    assert answer.status == 200
    (message,) = (await http.poll("a", last=1))["messages"]
    assert base64.b64decode(message["data_b64"]) == body


# One bus


AWKWARD: list[Frame] = [
    {"data": {"x": "\u2028 \r\n \0 \U0001f600"}},
    {"data": ""},
    {"data": "line\nline"},
    {"data": None},
    {"data": 2**53},
    {"data_b64": BYTES_B64},
    {"data_b64": ""},
    {"data": "x" * 70_000},
]


async def test_one_topic_in_both_formats_is_one_log(server: Node, http: Http) -> None:
    """Published and read in JSON and in protobuf on every transport, and in text."""
    async with (
        readers(server, "a", wires=WIRES) as subscribers,
        websocket_reader(server, "a", format="text") as in_text,
    ):
        for number, data in enumerate(AWKWARD):
            command = {"action": "publish", "topic": "a", "id": f"m{number}", "event": "é", **data}
            await http.send(command, framing=FORMATS[number % 2], client="me")
            reply = await http.send(command, framing=FORMATS[(number + 1) % 2], client="me")
            assert reply["duplicate"], "the same message in another format"
        seen = {name: await subscriber.messages(len(AWKWARD)) for name, subscriber in subscribers.items()}
        texts = [(await in_text.next("text"))["data"] for _ in range(len(AWKWARD))]
    assert [{key: value for key, value in m.items() if key.startswith("data")} for m in seen["ws"]] == AWKWARD
    for name, messages in seen.items():
        assert messages == seen["ws"], name
    assert (texts[1], texts[5], texts[6]) == ("", BYTES_B64, "")


async def test_a_cursor_moves_between_formats_and_transports(server: Node, http: Http) -> None:
    cursor = await http.now("a")
    seen: list[object] = []
    for number, wire in enumerate((*WIRES, *reversed(WIRES))):
        await http.send(publish("a", number), framing=FORMATS[number % 2])
        async with reader(wire, server, "a", cursor=cursor) as subscriber:
            (message,) = await subscriber.messages(1)
        seen.append(message["data"])
        cursor = message["cursor"]
    assert seen == list(range(2 * len(WIRES)))


@pytest.fixture
def encoded(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The format of each message that was encoded."""
    calls: list[str] = []

    def spied(kind: type[Format]) -> None:
        encode = kind.entry

        def entry(self: Format, entry: Entry, cursor: str) -> str | bytes:
            calls.append(self.name)
            return encode(self, entry, cursor)

        monkeypatch.setattr(kind, "entry", entry)

    for format in (JSON, PROTOBUF):
        spied(type(format))
    return calls


async def test_a_message_is_encoded_once_for_each_kind_of_connection(
    server: Node, http: Http, encoded: list[str]
) -> None:
    count = 5
    async with readers(server, "a", wires=WIRES) as first, readers(server, "a", wires=WIRES) as second:
        async with readers(server, "a", wires=WIRES) as third:
            await http.publish("a", *range(count))
            for subscribers in (first, second, third):
                for subscriber in subscribers.values():
                    await subscriber.messages(count)
    assert encoded.count("json") == encoded.count("protobuf") == count * len(TRANSPORTS)
