"""The `json` format: I-JSON in (RFC 7493), compact UTF-8 JSON out. Absent optional fields are left out, not null."""

from __future__ import annotations

import base64
import binascii
import json
import re
from collections.abc import Callable, Sequence
from dataclasses import fields
from typing import Any, Final

from tricast.errors import BadRequest, ProtocolError
from tricast.wire.messages import (
    FRAMES,
    NO_DATA,
    Batch,
    Bye,
    Command,
    Frame,
    Gap,
    Hello,
    JsonValue,
    Message,
)

NAME: Final = "json"
CONTENT_TYPE: Final = "application/json"
DEPTH_MAX = 64
CONTAINERS_MAX = 65_536
"""Arrays and objects in one text: each takes some microseconds and hundreds of bytes, out of three characters."""

_STRING = re.compile(r'"[^"\\]*(?:\\.[^"\\]*)*(?:"|\\?\Z)', re.DOTALL)
"""Also one without an end: so it matches at each quote, and takes no longer than the text is."""
_member_names: dict[type[Any], tuple[tuple[str, str], ...]] = {}
_TEXTS = frozenset({"topic", "cursor", "at", "code", "action"})
WIRE_NAMES = {"sender": "from", "subject": "sub"}
"""Members that are called otherwise in JSON than the fields here."""


def _no_constant(name: str) -> Any:
    raise ValueError(f"{name} is not JSON")


def _unique_members(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise ValueError("an object has two members of one name")
    return members


_encoder = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), allow_nan=False)
_strict = json.JSONDecoder(parse_constant=_no_constant, object_pairs_hook=_unique_members)


def dumps(value: JsonValue) -> str:
    """Compact JSON. Raises BadRequest for what I-JSON cannot carry: NaN, infinities, lone surrogates, depth over 64."""
    text = _dumps(value)
    check_depth(text, value)
    return text


def _dumps(value: JsonValue) -> str:
    return _encoded(_encoder.encode, value)


def _encoded(encode: Callable[[Any], str], value: JsonValue) -> str:
    """What `encode` makes of `value`. Raises BadRequest."""
    try:
        text = encode(value)
        if not text.isascii():
            text.encode()
    except RecursionError:
        raise BadRequest(f"data is nested over {DEPTH_MAX} deep") from None
    except (TypeError, ValueError) as error:
        raise BadRequest(f"data is no I-JSON value: {error}") from None
    return text


def loads(text: str | bytes) -> JsonValue:
    """One I-JSON value (RFC 7493). Raises BadRequest with what is wrong with it."""
    try:
        if isinstance(text, bytes):
            text = text.decode()
        if len(text) > CONTAINERS_MAX and _containers(text) > CONTAINERS_MAX:
            raise BadRequest(f"over {CONTAINERS_MAX} arrays and objects")
        return _strict.decode(text)
    except RecursionError:
        raise BadRequest("nested too deep") from None
    except ValueError as error:  # bad UTF-8, bad JSON, NaN, repeated members, numbers of thousands of digits
        raise BadRequest(f"not JSON: {error}") from None


def _containers(text: str) -> int:
    """How many arrays and objects it may have. Brackets in its strings do not count, unless that takes long to tell."""
    count = text.count("[") + text.count("{")
    if count > CONTAINERS_MAX and text.count('"') + text.count("\\") <= 2 * CONTAINERS_MAX:
        text = _STRING.sub("", text)
        count = text.count("[") + text.count("{")
    return count


class JsonText(str):
    """JSON that is still to be read."""


def check_depth(text: str, value: JsonValue, limit: int = DEPTH_MAX) -> None:
    """Raises BadRequest where `value`, whose JSON is `text`, is nested deeper than `limit`."""
    if not isinstance(value, dict | list | tuple) or text.count("[") + text.count("{") <= limit:
        return
    level: list[Any] = [value]
    for _ in range(limit):
        level = [
            child
            for node in level
            for child in (node.values() if isinstance(node, dict) else node)
            if isinstance(child, dict | list | tuple)
        ]
        if not level:
            return
    raise BadRequest(f"data is nested over {limit} deep")


def canonical(text: str) -> str:
    """One spelling for JSON texts that mean the same value: members sorted, 1.0 and 1e0 as 1."""

    def number(digits: str) -> int | float:
        value = float(digits)
        return int(value) if value.is_integer() else value

    return json.dumps(json.loads(text, parse_float=number), sort_keys=True, separators=(",", ":"))


def _members(cls: type[Any]) -> tuple[tuple[str, str], ...]:
    """Pairs of the field's name here and on the wire."""
    names = _member_names.get(cls)
    if names is None:
        names = tuple((f.name, WIRE_NAMES.get(f.name, f.name)) for f in fields(cls))
        _member_names[cls] = names
    return names


def _data_member(name: str, value: JsonValue | bytes) -> tuple[str, JsonValue]:
    if isinstance(value, bytes):
        return "data_b64", base64.b64encode(value).decode()
    return name, value


def to_members(value: Frame | Command) -> dict[str, JsonValue]:
    """The JSON object for a frame or a command."""
    kind = getattr(value, "type", None)
    # Only frames have a type; what has none is a command, which mypy cannot see through getattr.
    out: dict[str, JsonValue] = {"type": kind} if kind else {"action": value.action}  # type: ignore[union-attr]
    for name, wire_name in _members(type(value)):
        member = getattr(value, name)
        if name == "data":
            if member is not NO_DATA:
                key, member = _data_member(wire_name, member)
                out[key] = member
        elif member is not None:
            out[wire_name] = list(member) if isinstance(member, tuple) else member
    return out


def encode(value: Frame | Command) -> str:
    """A frame or a command as JSON text. Raises BadRequest where its data is no I-JSON value."""
    return _encoded(_object, to_members(value))


def _object(members: dict[str, JsonValue]) -> str:
    """Member by member, as the standard encoder is quick with a text and slow with an object around it."""
    return "{" + ",".join(f'"{name}":{_encoder.encode(member)}' for name, member in members.items()) + "}"


def message_text(
    *,
    topic: str,
    cursor: str,
    data: str | bytes,
    id: str | None,
    event: str | None,
    sender: str | None,
    subject: str | None,
    ts: float,
) -> str:
    """A message frame around `data` that is JSON text already (or bytes): nothing is encoded twice."""
    parts = [f'{{"type":"message","topic":"{topic}","cursor":"{cursor}"']
    if id is not None:
        parts.append(f'"id":"{id}"')
    if event is not None:
        parts.append(f'"event":{_encoder.encode(event)}')
    if isinstance(data, bytes):
        parts.append(f'"data_b64":"{base64.b64encode(data).decode()}"')
    else:
        parts.append(f'"data":{data}')
    if sender is not None:
        parts.append(f'"from":"{sender}"')
    if subject is not None:
        parts.append(f'"sub":{_encoder.encode(subject)}')
    parts.append(f'"ts":{ts:.6f}}}')
    return ",".join(parts)


def decode(text: str | bytes) -> Frame | None:
    """The frame in `text`, or None for a type this version does not know. Raises ProtocolError."""
    return frame_of(loads_from_server(text))


def decode_batch(text: str | bytes) -> Batch:
    """The answer to a poll. Frames of unknown types are left out. Raises ProtocolError."""
    members = loads_from_server(text)
    if not isinstance(members, dict) or not isinstance(members.get("cursor"), str):
        raise ProtocolError("the answer to a poll has no cursor")
    try:
        frames = tuple(
            frame for frame in map(frame_of, members.get("messages") or ()) if isinstance(frame, Message | Gap)
        )
        hello = frame_of({"type": "hello", **members["hello"]}) if members.get("hello") else None
        bye = frame_of({"type": "bye", **members["bye"]}) if members.get("bye") else None
    except TypeError as error:
        raise ProtocolError(f"the answer to a poll is not whole: {error}") from None
    return Batch(
        cursor=members["cursor"],
        frames=frames,
        hello=hello if isinstance(hello, Hello) else None,
        bye=bye if isinstance(bye, Bye) else None,
    )


def frame_of(members: JsonValue) -> Frame | None:
    """The frame that a JSON object spells; None where its type is unknown. Raises ProtocolError."""
    if not isinstance(members, dict) or not isinstance(members.get("type"), str):
        raise ProtocolError("a frame is no object with a type")
    cls = FRAMES.get(members["type"])
    if cls is None:
        return None
    values: dict[str, Any] = {}
    for name, wire_name in _members(cls):
        if name == "data" and "data_b64" in members:
            values["data"] = bytes_of(members["data_b64"])
        elif wire_name in members:
            values[name] = _checked(name, members[wire_name])
    try:
        return cls(**values)
    except TypeError as error:
        raise ProtocolError(f"a {cls.type} frame is not whole: {error}") from None


def _checked(name: str, member: JsonValue) -> JsonValue:
    """What readers rely on without looking: names that can be looked up. Raises ProtocolError."""
    if name == "topics" and member is not None:
        if not isinstance(member, list) or not all(isinstance(topic, str) for topic in member):
            raise ProtocolError("topics are no list of names")
        return tuple(member)
    if name in _TEXTS and not isinstance(member, str | None):
        raise ProtocolError(f"{name} is no text")
    return member


def bytes_of(text: JsonValue) -> bytes:
    """The bytes of a `data_b64` member. Raises ProtocolError."""
    try:
        return base64.b64decode(text, validate=True)
    except (TypeError, ValueError, binascii.Error):
        raise ProtocolError("data_b64 is not base64") from None


def loads_from_server(text: str | bytes) -> JsonValue:
    """One JSON value of a server's. Raises ProtocolError."""
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ProtocolError(f"the server sent what is not JSON: {error}") from None


def encode_commands(commands: Sequence[Command]) -> bytes:
    """The body of `POST /send`: one object, or an array of several. Raises BadRequest."""
    if len(commands) == 1:
        return encode(commands[0]).encode()
    return _dumps([to_members(command) for command in commands]).encode()


def decode_answers(body: bytes) -> list[Frame | None]:
    """What `POST /send` was answered with: one object, or an array. Raises ProtocolError."""
    value = loads_from_server(body)
    return [frame_of(members) for members in (value if isinstance(value, list) else [value])]
