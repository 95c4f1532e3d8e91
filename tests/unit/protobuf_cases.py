"""How tests/vectors/protobuf.json is made: from the cases of the json format, and by hand where JSON has no such case.

What is made by hand is put together field by field, as readers must not depend on how our encoder writes.
"""

from __future__ import annotations

import base64
import json
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tricast.wire import json as wire_json
from tricast.wire import protobuf
from tricast.wire.commands import command_of
from tricast.wire.messages import Error, Reply

Case = dict[str, Any]

VECTORS = Path(__file__).resolve().parents[1] / "vectors"
FILE = VECTORS / "protobuf.json"
ABOUT = (
    "The protobuf format, proto/tricast.proto. `base64` is the payload. What it means is written as in frames.json and "
    "commands.json: the members of the json format, bytes as data_b64, and equal numbers are the same. "
    "`cases`: one Frame each, with `frame`, or `ignored`: a type of a later version. "
    "`batches`: a Batch each, with `cursor`, `frames`, `hello` and `bye`. "
    "`commands`: one Command each, with `command`. "
    "`sends`: a Commands each, with `commands`, in order: what each means, or the code of its error. "
    "`answers`: an Answers each, with `frames`; null is a frame of a later version. "
    "`error`: the code of what is wrong with the payload. All of them have to be read. "
    "Written again, the meaning has to be the same; the bytes too, where fields go in order of their numbers and data "
    "is compact JSON. `read_only`: nobody would write it like this, so this is only to be read."
)


def field(number: int, value: str | bytes | float | bool) -> bytes:
    """One field of a message (Protocol Buffers, Encoding): what is a float here is a double there."""
    if isinstance(value, float):
        return varint(number << 3 | 1) + struct.pack("<d", value)
    if isinstance(value, int):
        return varint(number << 3) + varint(value)
    raw = value.encode() if isinstance(value, str) else value
    return varint(number << 3 | 2) + varint(len(raw)) + raw


def varint(number: int) -> bytes:
    low, rest = number & 0x7F, number >> 7
    return bytes([low | 0x80]) + varint(rest) if rest else bytes([low])


def heartbeat(cursor: str = "e-1", more: bytes = b"") -> bytes:
    return field(4, field(1, cursor) + more)


def message(data: bytes, topic: str = "a", cursor: str = "e-1") -> bytes:
    return field(2, field(1, topic) + field(2, cursor) + data)


WEATHER = field(14, field(1, "fine"))
"""A frame or an action of a later version."""


def made() -> dict[str, list[Case]]:
    return {
        "cases": [*frames_of_json(), *frames()],
        "batches": [*batches_of_json(), *batches()],
        "commands": [*commands_of_json(), *commands()],
        "sends": list(sends()),
        "answers": list(answers()),
    }


def recorded() -> dict[str, list[Case]]:
    content = json.loads(FILE.read_text())
    return {group: cases for group, cases in content.items() if group != "about"}


def record() -> None:
    """Writes the file: one case a line, so that a change can be read as a difference."""
    groups = [
        f'  "{group}": [\n' + ",\n".join(f"    {json.dumps(case)}" for case in cases) + "\n  ]"
        for group, cases in made().items()
    ]
    FILE.write_text(f'{{\n  "about": {json.dumps(ABOUT)},\n' + ",\n".join(groups) + "\n}\n")


def case(name: str, payload: bytes, **meaning: Any) -> Case:
    return {"name": name, "base64": base64.b64encode(payload).decode(), **meaning}


def of_json(file: str, group: str) -> Iterator[tuple[str, Case]]:
    """Name and meaning of the cases of the json format that mean something, each meaning once."""
    seen: list[Case] = []
    for one in json.loads((VECTORS / file).read_text())[group]:
        meaning = {name: one[name] for name in one if name not in ("name", "text", "value")}
        if meaning not in seen and not {"error", "ignored"} & set(meaning):
            seen.append(meaning)
            yield one["name"], meaning


def frames_of_json() -> Iterator[Case]:
    for name, meaning in of_json("frames.json", "cases"):
        frame = wire_json.frame_of(meaning["frame"])
        assert frame is not None
        yield case(name, protobuf.encode(frame), **meaning)


def frames() -> Iterator[Case]:
    beat = {"type": "heartbeat", "cursor": "e-1"}
    least = {"type": "message", "topic": "a", "cursor": "e-1"}
    yield case("an empty text", message(field(5, '""')), frame={**least, "data": ""})
    yield case("JSON with spaces", message(field(5, " [1, 2]\n")), frame={**least, "data": [1, 2]}, read_only=True)
    yield case(
        "numbers that are large",
        message(field(5, "[1e300,-9007199254740991]")),
        read_only=True,
        frame={**least, "data": [1e300, -9007199254740991]},
    )
    yield case("a message of 1970", message(field(5, "0") + field(9, 0.0)), frame={**least, "data": 0, "ts": 0})
    yield case(
        "an empty event is one",
        field(2, field(1, "a") + field(2, "e-1") + field(4, "") + field(5, "0")),
        frame={**least, "data": 0, "event": ""},
    )
    yield case(
        "all 256 bytes",
        message(field(6, bytes(range(256)))),
        frame={**least, "data_b64": base64.b64encode(bytes(range(256))).decode()},
    )
    yield case(
        "reply to an echo of bytes",
        field(5, field(1, "echo") + field(2, "1") + field(8, b"\0\xff")),
        frame={"type": "reply", "ref": "1", "action": "echo", "data_b64": "AP8="},
    )
    yield case(
        "reply to an echo of no bytes",
        field(5, field(1, "echo") + field(8, b"")),
        frame={"type": "reply", "action": "echo", "data_b64": ""},
    )
    yield case(
        "unknown fields are ignored",
        heartbeat(more=field(100, "fine") + field(101, 7) + field(102, 1.5)) + field(200, b"\0"),
        frame=beat,
        read_only=True,
    )
    yield case("a known type beside one of a later version", heartbeat() + WEATHER, frame=beat, read_only=True)
    yield case(
        "of two types the last one counts", field(7, field(1, "drain")) + heartbeat(), frame=beat, read_only=True
    )
    yield case(
        "of JSON and bytes the last one counts",
        message(field(5, "1") + field(6, b"\1")),
        read_only=True,
        frame={**least, "data_b64": "AQ=="},
    )
    yield case(
        "fields in another order",
        field(2, field(5, "1") + field(2, "e-1") + field(1, "a")),
        read_only=True,
        frame={**least, "data": 1},
    )
    yield case("a type of a later version", WEATHER, ignored=True)
    yield case("nothing", b"", ignored=True)
    yield case("a payload that was cut", message(field(5, "12345"))[:-1], error="protocol_error")
    yield case("a length without an end", b"\x12" + b"\xff" * 11, error="protocol_error")
    yield case("JSON", b'{"type":"heartbeat","cursor":"e-1"}', error="protocol_error")
    yield case("data that is no JSON", message(field(5, "{")), error="protocol_error")
    yield case("data that is an empty JSON", message(field(5, "")), error="protocol_error")
    yield case("a message without data", message(b""), error="protocol_error")
    yield case("a message without a topic", field(2, field(2, "e-1") + field(5, "1")), error="protocol_error")
    yield case("a message without a cursor", field(2, field(1, "a") + field(5, "1")), error="protocol_error")
    yield case("a heartbeat without a cursor", field(4, b""), error="protocol_error")
    yield case("an error without a code", field(6, field(2, "no")), error="protocol_error")
    yield case("a reply to no action", field(5, b""), error="protocol_error")


def batches_of_json() -> Iterator[Case]:
    for name, meaning in of_json("frames.json", "batches"):
        parts = [field(1, meaning["cursor"])]
        for members in meaning["frames"]:
            frame = wire_json.frame_of(members)
            assert frame is not None
            parts.append(field(2, protobuf.encode(frame)))
        for number, member in ((3, "hello"), (4, "bye")):
            if member in meaning:
                frame = wire_json.frame_of(meaning[member])
                assert frame is not None
                parts.append(field(number, inner(protobuf.encode(frame))))
        yield case(name, b"".join(parts), **meaning)


def inner(frame: bytes) -> bytes:
    """The Hello or Bye within a Frame, which is short: one byte each for tag and length."""
    assert frame[1] == len(frame) - 2
    return frame[2:]


def batches() -> Iterator[Case]:
    one = {"type": "message", "topic": "a", "cursor": "e-5", "data": 1}
    raw = message(field(5, "1"), cursor="e-5")
    yield case(
        "what is no message and no gap is left out",
        field(1, "e-5") + field(2, WEATHER) + field(2, raw) + field(2, heartbeat()) + field(2, b""),
        cursor="e-5",
        frames=[one],
        read_only=True,
    )
    yield case(
        "unknown fields of a batch",
        field(1, "e-5") + field(2, raw) + field(50, "x"),
        cursor="e-5",
        frames=[one],
        read_only=True,
    )
    yield case(
        "the cursor behind the messages", field(2, raw) + field(1, "e-5"), cursor="e-5", frames=[one], read_only=True
    )
    yield case(
        "bytes in a batch",
        field(1, "e-1") + field(2, message(field(6, b"\xff"))),
        cursor="e-1",
        frames=[{"type": "message", "topic": "a", "cursor": "e-1", "data_b64": "/w=="}],
    )
    yield case("nothing", b"", error="protocol_error")
    yield case("no cursor", field(2, raw), error="protocol_error")
    yield case("a batch that was cut", (field(1, "e-5") + field(2, raw))[:-1], error="protocol_error")
    yield case("a page", b"<html><body>Please log in</body></html>", error="protocol_error")
    yield case("a message that is not whole", field(1, "e-5") + field(2, field(2, b"")), error="protocol_error")


def commands_of_json() -> Iterator[Case]:
    for name, meaning in of_json("commands.json", "cases"):
        yield case(name, protobuf.encode(command_of(meaning["command"])), **meaning)


def commands() -> Iterator[Case]:
    one = {"action": "publish", "data": 1}
    yield case("publish no bytes", field(1, field(5, b"")), command={"action": "publish", "data_b64": ""})
    yield case("echo of no bytes", field(2, field(2, b"")), command={"action": "echo", "data_b64": ""})
    yield case("publish an empty text", field(1, field(4, '""')), command={"action": "publish", "data": ""})
    yield case(
        "ping after nothing, in full", field(3, field(1, 0.0)), command={"action": "ping", "delay": 0}, read_only=True
    )
    yield case("JSON with spaces", field(1, field(4, " 1\n")), command=one, read_only=True)
    yield case(
        "unknown fields are ignored",
        field(1, field(4, "1") + field(60, "x")) + field(61, 7),
        command=one,
        read_only=True,
    )
    yield case(
        "a ref that is too long is none",
        field(3, b"") + field(15, "x" * 257),
        read_only=True,
        command={"action": "ping", "delay": 0},
    )
    yield case("an action of a later version", WEATHER + field(15, "7"), error="unknown_action")
    yield case("no action", b"", error="unknown_action")
    yield from wrong_commands()


def wrong_commands() -> Iterator[Case]:
    for name, payload in (
        ("a command that was cut", field(1, field(4, "12345"))[:-1]),
        ("JSON", b'{"action":"ping"}'),
        ("publish without data", field(1, field(1, "a"))),
        ("data that is no JSON", field(1, field(4, "{"))),
        ("data that is an empty JSON", field(1, field(4, ""))),
        ("data that is two values", field(1, field(4, "1 2"))),
        ("data that is NaN", field(1, field(4, "NaN"))),
        ("two members of one name", field(1, field(4, '{"a":1,"a":2}'))),
        ("an empty topic", field(1, field(1, "") + field(4, "1"))),
        ("a topic with a slash", field(1, field(1, "no/slash") + field(4, "1"))),
        ("an empty id", field(1, field(3, "") + field(4, "1"))),
        ("an event that is too long", field(1, field(2, "x" * 257) + field(4, "1"))),
        ("echo to what is no inbox", field(2, field(1, "1") + field(3, "lobby"))),
        ("ping too late", field(3, field(1, 30.5))),
        ("ping before now", field(3, field(1, -1.0))),
        ("ping at no time", field(3, field(1, float("nan")))),
        ("ping never", field(3, field(1, float("inf")))),
        ("subscribe to nothing", field(4, b"")),
        ("unsubscribe from an empty name", field(5, field(1, ""))),
        ("refresh without a token", field(6, b"")),
    ):
        yield case(name, payload, error="bad_request")


def sends() -> Iterator[Case]:
    ping, publish = {"action": "ping", "delay": 0}, {"action": "publish", "topic": "a", "data_b64": "AP8="}
    raw_ping, raw_publish = field(3, b""), field(1, field(1, "a") + field(5, b"\0\xff"))
    yield case("one", field(1, raw_publish), commands=[publish])
    yield case("several", field(1, raw_ping) + field(1, raw_publish), commands=[ping, publish])
    yield case(
        "one of a later version among others",
        field(1, raw_ping) + field(1, WEATHER) + field(1, raw_publish),
        commands=[ping, {"error": "unknown_action"}, publish],
        read_only=True,
    )
    yield case(
        "one that is wrong",
        field(1, field(4, b"")) + field(1, raw_ping),
        read_only=True,
        commands=[{"error": "bad_request"}, ping],
    )
    yield case("a body that was cut", field(1, raw_publish)[:-1], error="bad_request")
    yield case("JSON", b'[{"action":"ping"}]', error="bad_request")


def answers() -> Iterator[Case]:
    reply = Reply(action="publish", ref="1", at="e-7", duplicate=False)
    error = Error(code="rate_limited", message="slow down", ref="2", retry_after=1.5)
    members = [wire_json.to_members(reply), wire_json.to_members(error)]
    raw = [field(1, protobuf.encode(reply)), field(1, protobuf.encode(error))]
    yield case("one", raw[0], frames=members[:1])
    yield case("several", raw[0] + raw[1], frames=members)
    yield case("one of a later version", raw[0] + field(1, WEATHER), frames=[members[0], None], read_only=True)
    yield case("none", b"", frames=[])
    yield case("answers that were cut", raw[0][:-1], error="protocol_error")
    yield case("a page", b"<html>", error="protocol_error")
