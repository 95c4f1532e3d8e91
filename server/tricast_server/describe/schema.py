"""JSON Schema (2020-12) of frames, commands and errors, from their dataclasses.

It says what this server sends, and the plain form of what it takes: it also ignores members it does not know, and
takes `action` in any case.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import MISSING, fields
from types import NoneType, UnionType
from typing import Any, get_args, get_type_hints

from tricast.errors import COMMAND_ERRORS
from tricast.wire.commands import EVENT_MAX, PING_DELAY_MAX, REF_MAX
from tricast.wire.cursor import CURSOR_PATTERN, INBOX_PATTERN, INBOX_PREFIX, NAME_PATTERN, TOPIC_MAX, TOPIC_PATTERN
from tricast.wire.json import WIRE_NAMES
from tricast.wire.messages import (
    NO_DATA,
    PROTOCOL,
    Bye,
    Echo,
    Error,
    Gap,
    GapReason,
    Heartbeat,
    Hello,
    Message,
    Ping,
    Publish,
    Refresh,
    Reply,
    Subscribe,
    TransportName,
    Unsubscribe,
)

Schema = dict[str, Any]

FRAMES = (Hello, Message, Gap, Heartbeat, Reply, Error, Bye)
COMMANDS = (Publish, Echo, Ping, Subscribe, Unsubscribe, Refresh)

_NOT_AN_INBOX = f"(?!{INBOX_PREFIX.replace('.', '[.]')})"
_BASE64 = "(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?"

WORDS: Mapping[str, Schema] = {
    "Topic": {
        "type": "string",
        "description": "Segments joined by single dots; an inbox is known to whoever made its name.",
        "maxLength": TOPIC_MAX,
        "pattern": f"^(?:{_NOT_AN_INBOX}{TOPIC_PATTERN}|{INBOX_PATTERN})$",
        "examples": ["lobby"],
    },
    "Inbox": {
        "type": "string",
        "description": "A topic that is private because nobody can guess its name.",
        "maxLength": TOPIC_MAX,
        "pattern": f"^{INBOX_PATTERN}$",
    },
    "Cursor": {
        "type": "string",
        "description": "<epoch>-<offset>: everything up to here.",
        "pattern": f"^{CURSOR_PATTERN}$",
        "examples": ["k3f9-17"],
    },
    "Name": {"type": "string", "description": "Of a client or a message.", "pattern": f"^{NAME_PATTERN}$"},
    "Data": {"description": "Any I-JSON value (RFC 7493), nested 64 deep at most."},
    "DataBase64": {"type": "string", "description": "Bytes, in place of data.", "pattern": f"^{_BASE64}$"},
}


def ref(name: str) -> Schema:
    return {"$ref": f"#/components/schemas/{name}"}


_SECONDS: Schema = {"type": "number", "minimum": 0}
_TOPICS: Schema = {"type": "array", "items": ref("Topic")}
_TEXT: Schema = {"type": "string"}

# What a field's type does not say. `Class.field` goes before `field`.
_REFINED: Mapping[str, Schema] = {
    "action": {"enum": [command.action for command in COMMANDS]},
    "after": ref("Cursor"),
    "at": {**ref("Cursor"), "description": "Where it was appended. Not a position to resume from."},
    "client": ref("Name"),
    "code": {"type": "string", "description": "Stable; later versions may have more.", "examples": [*COMMAND_ERRORS]},
    "cursor": ref("Cursor"),
    "data": ref("Data"),
    "dedupe_window": {**_SECONDS, "description": "Seconds in which a publish with the same id takes effect once."},
    "delay": {**_SECONDS, "maximum": PING_DELAY_MAX, "description": "Seconds. Over 0 it needs a WebSocket."},
    "event": {"type": "string", "maxLength": EVENT_MAX},
    "heartbeat": {**_SECONDS, "description": "Seconds of silence after which a heartbeat comes."},
    "id": ref("Name"),
    "protocol": {"const": PROTOCOL},
    "Gap.reason": {"enum": [*get_args(GapReason)]},
    "reconnect_after": {**_SECONDS, "description": "Seconds."},
    "ref": {"type": "string", "maxLength": REF_MAX, "description": "Comes back with the answer."},
    "reply_to": ref("Inbox"),
    "retry_after": {**_SECONDS, "description": "Seconds."},
    "sender": {**ref("Name"), "description": "The client that published it. The server sets it."},
    "subject": {"type": "string", "description": "Who published it, where an application authorises."},
    "topic": ref("Topic"),
    "Publish.topic": {**ref("Topic"), "description": "Else it is the first topic of the connection."},
    "Subscribe.topics": {**_TOPICS, "minItems": 1},
    "Unsubscribe.topics": {**_TOPICS, "minItems": 1},
    "transport": {"enum": [*get_args(TransportName)]},
    "ts": {"type": "number", "description": "The server's clock at the append, seconds since 1970."},
}
_PLAIN: Mapping[Any, Schema] = {
    str: _TEXT,
    int: {"type": "integer"},
    float: {"type": "number"},
    bool: {"type": "boolean"},
}


def of(cls: type[Any]) -> Schema:
    """A frame or a command."""
    kind = getattr(cls, "type", None)
    tag = ("type", kind) if isinstance(kind, str) else ("action", cls.action)
    properties: Schema = {tag[0]: {"const": tag[1]}}
    required = [tag[0]]
    schema: Schema = {"type": "object", "properties": properties, "required": required}
    hints = get_type_hints(cls)
    for field in fields(cls):
        name = WIRE_NAMES.get(field.name, field.name)
        properties[name] = _member(cls, field.name, hints[field.name])
        if field.name == "data":
            properties["data_b64"] = ref("DataBase64")
            either: list[Schema] = [{"required": ["data"]}, {"required": ["data_b64"]}]
            schema.update(
                {"not": {"required": ["data", "data_b64"]}} if field.default is NO_DATA else {"oneOf": either}
            )
        elif field.default is MISSING or field.name == "protocol":
            required.append(name)
    return schema


def _member(cls: type[Any], name: str, hint: Any) -> Schema:
    for key in (f"{cls.__name__}.{name}", name):
        if key in _REFINED:
            return _REFINED[key]
    kinds = get_args(hint) if isinstance(hint, UnionType) else (hint,)
    (kind,) = (kind for kind in kinds if kind is not NoneType)
    return _TOPICS if kind == tuple[str, ...] else _PLAIN[kind]


BATCH: Schema = {
    "type": "object",
    "description": "The answer to a poll: messages and gaps in order.",
    "properties": {
        "cursor": ref("Cursor"),
        "messages": {"type": "array", "items": {"oneOf": [ref("Message"), ref("Gap")]}},
        "hello": ref("Hello"),
        "bye": ref("Bye"),
    },
    "required": ["cursor", "messages"],
}

SHORT_PUBLISH: Schema = {
    "type": "object",
    "description": "The short form of publish: payload goes to the connection's first topic.",
    "properties": {"event": _REFINED["event"], "payload": ref("Data"), "id": ref("Name"), "ref": _REFINED["ref"]},
    "required": ["event"],
    "not": {"required": ["action"]},
}


def components() -> dict[str, Schema]:
    """By name, as `#/components/schemas/NAME`."""
    named = {cls.__name__: of(cls) for cls in (*FRAMES, *COMMANDS)}
    return {
        **WORDS,
        **named,
        "Batch": BATCH,
        "ShortPublish": SHORT_PUBLISH,
        "Frame": {"oneOf": [ref(cls.__name__) for cls in FRAMES]},
        "Command": {"oneOf": [*(ref(cls.__name__) for cls in COMMANDS), ref("ShortPublish")]},
        "Answer": {"oneOf": [ref("Reply"), ref("Error")]},
    }
