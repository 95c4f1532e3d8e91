"""The `protobuf` format as plain clients speak it: by the generated classes of proto/tricast.proto, and nothing else.

Both ways it stands as the objects that JSON has, so that one test can say what has to come in either format.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Iterable
from typing import Any, Final

from google.protobuf.message import Message

from tricast.wire import tricast_pb2 as pb

CONTENT_TYPE: Final = "application/x-protobuf"
JSON_NAMES: Final = {"sender": "from", "subject": "sub"}


def frame_of(payload: bytes) -> dict[str, Any]:
    return _frame_members(pb.Frame.FromString(payload))


def event_frame(data: str) -> dict[str, Any]:
    """The frame in an event's data: one line of padded base64."""
    return frame_of(base64.b64decode(data, validate=True))


def batch_of(body: bytes) -> dict[str, Any]:
    """The answer to a poll."""
    batch = pb.Batch.FromString(body)
    members: dict[str, Any] = {"cursor": batch.cursor, "messages": [_frame_members(frame) for frame in batch.messages]}
    if batch.HasField("hello"):
        members["hello"] = _members(batch.hello)
    if batch.HasField("bye"):
        members["bye"] = _members(batch.bye)
    return members


def answers_of(body: bytes) -> list[dict[str, Any]]:
    return [_frame_members(frame) for frame in pb.Answers.FromString(body).frames]


def command_bytes(command: dict[str, Any]) -> bytes:
    """One whose action the schema does not have is a command without any.

    In place of `data` there may be `json`, a text that need not be JSON. Raises what the generated classes raise for
    what cannot be said in protobuf.
    """
    return _command(command).SerializeToString()


def commands_bytes(commands: Iterable[dict[str, Any]]) -> bytes:
    return pb.Commands(commands=map(_command, commands)).SerializeToString()


def _frame_members(frame: pb.Frame) -> dict[str, Any]:
    kind = frame.WhichOneof("frame")
    assert kind is not None, "a frame of no type"
    return {"type": kind, **_members(getattr(frame, kind))}


def _members(message: Message) -> dict[str, Any]:
    members: dict[str, Any] = {}
    for field in message.DESCRIPTOR.fields:
        if field.has_presence and not message.HasField(field.name):
            continue
        value = getattr(message, field.name)
        if field.name == "json":
            members["data"] = json.loads(value)
        elif field.name == "bytes":
            members["data_b64"] = base64.b64encode(value).decode()
        else:
            members[JSON_NAMES.get(field.name, field.name)] = list(value) if field.is_repeated else value
    if isinstance(message, pb.Gap):
        members.setdefault("exact", True)
    if isinstance(message, pb.Reply) and "cursor" not in members:
        assert not members.pop("topics"), "topics and no cursor"
    return members


def _command(command: dict[str, Any]) -> pb.Command:
    members = dict(command)
    action = members.pop("action")
    message = pb.Command(ref=members.pop("ref", None))
    if action not in message.DESCRIPTOR.fields_by_name:
        return message
    value = getattr(message, action)
    value.SetInParent()  # also where it stays empty
    for name, member in members.items():
        if name == "data":
            value.json = json.dumps(member)
        elif name == "data_b64":
            value.bytes = base64.b64decode(member)
        elif isinstance(member, list):
            getattr(value, name).extend(member)
        else:
            setattr(value, name, member)
    return message
