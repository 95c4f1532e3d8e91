"""The `protobuf` format: the same frames and commands as in JSON, as proto/tricast.proto has them.

Data is JSON text within, or bytes as they are. Readers ignore fields that they do not know.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Sequence
from dataclasses import fields
from typing import Any, Final, TypeVar

from google.protobuf.message import DecodeError
from google.protobuf.message import Message as PbMessage

from tricast.errors import BadRequest, ProtocolError
from tricast.wire import json
from tricast.wire import tricast_pb2 as pb
from tricast.wire.commands import COMMANDS_MAX
from tricast.wire.messages import (
    FRAMES,
    NO_DATA,
    Batch,
    Bye,
    Command,
    Error,
    Frame,
    Gap,
    Hello,
    JsonValue,
    Message,
    Reply,
)

NAME: Final = "protobuf"
CONTENT_TYPE: Final = "application/x-protobuf"

_NEEDED = frozenset({"topic", "cursor", "code", "action"})
"""Texts that readers rely on. Protobuf knows no fields that must be there: an empty one is absent."""
_NOT_PROTOBUF = (DecodeError, UnicodeDecodeError)
"""The latter where protobuf runs without its C library: for a text that is not UTF-8."""
_field_names: dict[type[Any], tuple[str, ...]] = {}
Parsed = TypeVar("Parsed", bound=PbMessage)


def encode(value: Frame | Command) -> bytes:
    """A frame or a command. Raises BadRequest where its data is no I-JSON value."""
    return (_frame_to_pb(value) if isinstance(value, Frame) else _command_to_pb(value)).SerializeToString()


def encode_commands(commands: Sequence[Command]) -> bytes:
    """The body of `POST /send`. Raises BadRequest."""
    return pb.Commands(commands=map(_command_to_pb, commands)).SerializeToString()


def encode_answers(answers: Sequence[Reply | Error]) -> bytes:
    """What `POST /send` is answered with."""
    return pb.Answers(frames=map(_frame_to_pb, answers)).SerializeToString()


def encode_batch(cursor: str, hello: Hello | None = None, bye: Bye | None = None) -> bytes:
    """The answer to a poll but for its messages, which `batched` gives; the order of all these does not matter."""
    batch = pb.Batch(cursor=cursor)
    for member, value in ((batch.hello, hello), (batch.bye, bye)):
        if value is not None:
            _fill(member, value)
    return batch.SerializeToString()


def batched(frame: bytes) -> bytes:
    """An encoded frame as one of the messages of a batch."""
    return b"\x12" + _varint(len(frame)) + frame


def message_bytes(
    *,
    topic: str,
    cursor: str,
    data: str | bytes,
    id: str | None,
    event: str | None,
    sender: str | None,
    subject: str | None,
    ts: float,
) -> bytes:
    """A message frame around `data` that is JSON text already, or bytes."""
    as_json, as_bytes = (None, data) if isinstance(data, bytes) else (data, None)
    return pb.Frame(
        message=pb.Message(
            topic=topic,
            cursor=cursor,
            id=id,
            event=event,
            json=as_json,
            bytes=as_bytes,
            sender=sender,
            subject=subject,
            ts=round(ts, 6),  # as in JSON, so that it is the same message
        )
    ).SerializeToString()


def decode(payload: str | bytes) -> Frame | None:
    """The frame in `payload`, which is base64 where it is a text; None for a type that this version does not know.

    Raises ProtocolError.
    """
    return _decode_text(payload) if isinstance(payload, str) else _frame_of(_parsed(pb.Frame(), payload))


def _decode_text(text: str) -> Frame | None:
    if text.startswith("{"):  # as a server without this format says so; no base64 begins like this
        frame = json.decode(text)
        if isinstance(frame, Error):
            return frame
        raise ProtocolError("the server sent JSON where protobuf was asked for")
    try:
        return decode(base64.b64decode(text, validate=True))
    except (ValueError, binascii.Error):
        raise ProtocolError("the server sent what is not base64") from None


def decode_batch(body: bytes) -> Batch:
    """The answer to a poll. Frames of unknown types are left out. Raises ProtocolError."""
    batch = _parsed(pb.Batch(), body)
    if not batch.cursor:
        raise ProtocolError("the answer to a poll has no cursor")
    frames = tuple(frame for frame in map(_frame_of, batch.messages) if isinstance(frame, Message | Gap))
    return Batch(
        cursor=batch.cursor,
        frames=frames,
        hello=_value_of(Hello, batch.hello) if batch.HasField("hello") else None,
        bye=_value_of(Bye, batch.bye) if batch.HasField("bye") else None,
    )


def decode_answers(body: bytes) -> list[Frame | None]:
    """What `POST /send` was answered with. Raises ProtocolError."""
    return [_frame_of(frame) for frame in _parsed(pb.Answers(), body).frames]


def command_members(payload: bytes) -> JsonValue:
    """A command as the object that it is in JSON, for `command_of` to check; its data is JsonText, or bytes.

    Raises BadRequest.
    """
    return _members_of(_command_parsed(pb.Command(), payload))


def commands_members(body: bytes) -> list[JsonValue]:
    """The commands in the body of `POST /send`. Raises BadRequest, also where they are too many."""
    commands = _command_parsed(pb.Commands(), body).commands
    if len(commands) > COMMANDS_MAX:  # before they become objects, as an empty one has but two bytes
        raise BadRequest(f"{len(commands)} commands: the limit is {COMMANDS_MAX}")
    return [_members_of(command) for command in commands]


def _frame_to_pb(value: Frame) -> pb.Frame:
    frame = pb.Frame()
    _fill(getattr(frame, value.type), value)
    return frame


def _command_to_pb(value: Command) -> pb.Command:
    command = pb.Command()
    if value.ref is not None:
        _set(command, "ref", value.ref)
    _fill(getattr(command, value.action), value)
    return command


def _fill(message: Any, value: Any) -> None:
    message.SetInParent()  # also where it stays empty, it is there
    names = message.DESCRIPTOR.fields_by_name
    for name in _names(type(value)):
        member = getattr(value, name)
        if name == "data":
            if isinstance(member, bytes):
                message.bytes = member
            elif member is not NO_DATA:
                message.json = json.dumps(member)
        elif name not in names or member is None:
            continue  # a command's ref stands beside it
        else:
            _set(message, name, member)


def _set(message: Any, name: str, member: Any) -> None:
    try:
        if isinstance(member, tuple):
            getattr(message, name).extend(member)
        else:
            setattr(message, name, member)
    except (TypeError, ValueError) as error:  # a lone surrogate, for one
        raise BadRequest(f"{name} cannot be sent: {error}") from None


def _parsed(message: Parsed, payload: bytes) -> Parsed:
    try:
        message.ParseFromString(payload)
    except _NOT_PROTOBUF as error:
        raise ProtocolError(f"the server sent what is not protobuf: {error}") from None
    return message


def _command_parsed(message: Parsed, payload: bytes) -> Parsed:
    try:
        message.ParseFromString(payload)
    except _NOT_PROTOBUF:
        raise BadRequest(f"not protobuf: a {message.DESCRIPTOR.name} is expected") from None
    return message


def _frame_of(frame: pb.Frame) -> Frame | None:
    kind = frame.WhichOneof("frame")
    return None if kind is None else _value_of(FRAMES[kind], getattr(frame, kind))


Value = TypeVar("Value", bound=Frame)


def _value_of(cls: type[Value], message: Any) -> Value:
    """Raises ProtocolError where something is missing or its data is not JSON."""
    values: dict[str, Any] = {}
    for name in _names(cls):
        if name == "data":
            kind = message.WhichOneof("data")
            if kind is not None:
                values[name] = message.bytes if kind == "bytes" else json.loads_from_server(message.json)
        elif name == "topics":
            if cls is not Reply or message.HasField("cursor"):
                values[name] = tuple(message.topics)
        elif not message.DESCRIPTOR.fields_by_name[name].has_presence or message.HasField(name):
            values[name] = value = getattr(message, name)
            if value == "" and name in _NEEDED:
                raise ProtocolError(f"a {cls.type} frame is not whole: it has no {name}")
    try:
        return cls(**values)
    except TypeError as error:
        raise ProtocolError(f"a {cls.type} frame is not whole: {error}") from None


def _members_of(command: pb.Command) -> JsonValue:
    """One without an action, of a later version perhaps, is of an unknown one."""
    kind = command.WhichOneof("action")
    members: dict[str, Any] = {"action": kind or "unknown"}
    if command.HasField("ref"):
        members["ref"] = command.ref
    if kind is not None:
        for field, value in getattr(command, kind).ListFields():
            if field.name == "json":
                members["data"] = json.JsonText(value)
            elif field.name == "bytes":
                members["data"] = value
            else:
                members[field.name] = list(value) if field.is_repeated else value
    return members


def _names(cls: type[Any]) -> tuple[str, ...]:
    names = _field_names.get(cls)
    if names is None:
        names = _field_names[cls] = tuple(field.name for field in fields(cls))
    return names


def _varint(number: int) -> bytes:
    """Base 128 (Protocol Buffers, Encoding)."""
    out = bytearray()
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    out.append(number)
    return bytes(out)
