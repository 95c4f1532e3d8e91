"""The cases of the protobuf format that clients in all languages share: tests/vectors/protobuf.json."""

from __future__ import annotations

import base64
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.unit import protobuf_cases
from tests.unit.protobuf_cases import Case

from tricast.errors import CommandError, ProtocolError
from tricast.wire import json, protobuf
from tricast.wire.commands import command_of
from tricast.wire.messages import Command, Frame, JsonValue

ROOT = Path(__file__).resolve().parents[2]
if os.environ.get("TRICAST_RECORD_VECTORS"):
    protobuf_cases.record()
RECORDED = protobuf_cases.recorded()


def cases(group: str) -> Callable[[Callable[..., None]], Callable[..., None]]:
    names = [case["name"] for case in RECORDED[group]]
    assert len(set(names)) == len(names), "two cases of one name"
    return pytest.mark.parametrize("case", RECORDED[group], ids=names)


def payload(case: Case) -> bytes:
    return base64.b64decode(case["base64"])


def members(value: Frame | Command | None) -> dict[str, Any] | None:
    return None if value is None else json.to_members(value)


def fails(case: Case, decode: Callable[[bytes], object]) -> bool:
    """Whether it has to; then it has done so."""
    if "error" in case:
        with pytest.raises((ProtocolError, CommandError)) as caught:
            decode(payload(case))
        assert caught.value.code == case["error"]
    return "error" in case


def meaning(value: JsonValue) -> dict[str, Any] | None:
    """What a server makes of one of several commands."""
    try:
        return members(command_of(value))
    except CommandError as error:
        return {"error": error.code}


def test_the_cases_are_what_makes_them() -> None:
    assert protobuf_cases.made() == RECORDED, "where the change is meant, `make vectors` records it"


@cases("cases")
def test_frame(case: Case) -> None:
    if fails(case, protobuf.decode):
        return
    frame = protobuf.decode(payload(case))
    assert frame == protobuf.decode(case["base64"]), "as the data of an event"
    if "ignored" in case:
        assert frame is None
        return
    assert members(frame) == case["frame"]
    assert frame is not None
    assert protobuf.decode(protobuf.encode(frame)) == frame
    assert "read_only" in case or protobuf.encode(frame) == payload(case)


@cases("batches")
def test_batch(case: Case) -> None:
    if fails(case, protobuf.decode_batch):
        return
    batch = protobuf.decode_batch(payload(case))
    assert batch.cursor == case["cursor"]
    assert [members(frame) for frame in batch.frames] == case["frames"]
    assert members(batch.hello) == case.get("hello")
    assert members(batch.bye) == case.get("bye")
    frames = [protobuf.batched(protobuf.encode(frame)) for frame in batch.frames]
    written = protobuf.encode_batch(batch.cursor, batch.hello, batch.bye) + b"".join(frames)
    assert protobuf.decode_batch(written) == batch


@cases("commands")
def test_command(case: Case) -> None:
    if fails(case, lambda payload: command_of(protobuf.command_members(payload))):
        return
    command = command_of(protobuf.command_members(payload(case)))
    assert members(command) == case["command"]
    assert command_of(protobuf.command_members(protobuf.encode(command))) == command
    assert "read_only" in case or protobuf.encode(command) == payload(case)


@cases("sends")
def test_commands_of_one_body(case: Case) -> None:
    if fails(case, protobuf.commands_members):
        return
    values = protobuf.commands_members(payload(case))
    assert [meaning(value) for value in values] == case["commands"]
    assert "read_only" in case or protobuf.encode_commands([command_of(value) for value in values]) == payload(case)


@cases("answers")
def test_answers(case: Case) -> None:
    if not fails(case, protobuf.decode_answers):
        assert [members(frame) for frame in protobuf.decode_answers(payload(case))] == case["frames"]


BY_PROTOC = {
    ("Frame", "cases", "message with every member"): r"""message {
  topic: "lobby"
  cursor: "k3f9-18"
  id: "m-1"
  event: "chat-message"
  json: "{\"n\":[1,2.5,null,true]}"
  sender: "c1"
  subject: "alice"
  ts: 1795295808.123
}
""",
    ("Frame", "cases", "bytes"): r"""message {
  topic: "a"
  cursor: "e-1"
  bytes: "\000\001\002\377"
}
""",
    ("Frame", "cases", "no bytes"): 'message {\n  topic: "a"\n  cursor: "e-1"\n  bytes: ""\n}\n',
    ("Frame", "cases", "reply to a publish"): """reply {
  action: "publish"
  ref: "7"
  at: "k3f9-18"
  duplicate: false
}
""",
    ("Frame", "cases", "reply to an echo of null"): 'reply {\n  action: "echo"\n  ref: "1"\n  json: "null"\n}\n',
    ("Frame", "cases", "reply to a ping, without data"): 'reply {\n  action: "ping"\n}\n',
    ("Batch", "batches", "messages and a gap in order, and a type of a later version"): """cursor: "e-9"
messages {
  message {
    topic: "a"
    cursor: "e-5"
    json: "1"
  }
}
messages {
  gap {
    topics: "b"
    after: "e-4"
    cursor: "e-9"
    reason: "expired"
    exact: true
  }
}
""",
    ("Command", "commands", "ping"): 'ping {\n}\nref: "2"\n',
    ("Commands", "sends", "several"): r"""commands {
  ping {
  }
}
commands {
  publish {
    topic: "a"
    bytes: "\000\377"
  }
}
""",
    ("Answers", "answers", "one"): """frames {
  reply {
    action: "publish"
    ref: "1"
    at: "e-7"
    duplicate: false
  }
}
""",
}


@pytest.mark.parametrize(("kind", "group", "name"), BY_PROTOC)
def test_another_reader_sees_the_same(kind: str, group: str, name: str) -> None:
    """The compiler's own reader, so that nothing of ours is on both sides."""
    (case,) = (case for case in RECORDED[group] if case["name"] == name)
    done = subprocess.run(
        [sys.executable, "-m", "grpc_tools.protoc", f"--decode=tricast.v1.{kind}", "-Iproto", "proto/tricast.proto"],
        cwd=ROOT,
        input=payload(case),
        capture_output=True,
        check=True,
    )
    assert done.stdout.decode() == BY_PROTOC[kind, group, name]
