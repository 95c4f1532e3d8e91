"""`GET /asyncapi.json`: what the streams carry, each frame and each command a message (AsyncAPI 3.0)."""

from __future__ import annotations

from importlib.metadata import version
from typing import Any

from tricast_server.describe import answers
from tricast_server.describe.parts import POLLER, SUBSCRIBER, Part
from tricast_server.describe.schema import COMMANDS, FRAMES, Schema, components, ref
from tricast_server.transports.websocket import PROTOCOLS

ABOUT = (
    "The same frames on every transport. A cursor stands for everything up to it, whatever the topics; messages come "
    "once and in order, or a gap says that they will not. The contract in words is docs/protocol.md, HTTP is in "
    "openapi.json. In the format protobuf, frames and commands are the messages of these names in proto/tricast.proto."
)
_SENT = (*(frame.__name__ for frame in FRAMES),)
_TAKEN = (*(command.__name__ for command in COMMANDS), "ShortPublish")
_STREAM_ONLY = ("Reply",)
"""Answers come where commands went."""


def asyncapi(host: str, prefix: str = "") -> dict[str, Any]:
    """The document, for a service that is mounted under `prefix` and seen as `host` (with its port)."""
    messages = {name: _message(name) for name in (*_SENT, *_TAKEN, "Batch", "Canary")}
    events = tuple(name for name in _SENT if name not in _STREAM_ONLY)
    channels = {
        "ws": _channel(
            "/ws",
            "Both ways. One frame is one of these: text, or binary in protobuf.",
            (*_SENT, *_TAKEN),
            "ws",
            bindings=_websocket(),
        ),
        "sse": _channel(
            "/sse",
            "Down. A message has no event name, `error` is called `failure`, the others have their type's. Protobuf is "
            "base64 here.",
            events,
            "http",
        ),
        "poll": _channel("/poll", "Down. Every answer is a batch.", ("Batch",), "http"),
        "send": _channel("/send", "Up, for those who listen by events or polls.", _TAKEN, "http"),
        "canary": _channel("/canary/ws", "Down: timed frames.", ("Canary",), "ws"),
    }
    operations = {
        "listenOnWebSocket": _operation("send", "ws", _SENT),
        "commandOnWebSocket": _operation("receive", "ws", _TAKEN),
        "listenToEvents": _operation("send", "sse", events),
        "listenByPolling": _operation("send", "poll", ("Batch",), bindings=_get()),
        "command": _operation("receive", "send", _TAKEN, bindings={"http": {"method": "POST"}}),
        "timedFrames": _operation("send", "canary", ("Canary",)),
    }
    return {
        "asyncapi": "3.0.0",
        "info": {"title": "tricast", "version": version("tricast"), "description": ABOUT, "license": {"name": "MIT"}},
        "defaultContentType": "application/json",
        "servers": {
            "ws": {"host": host, "pathname": prefix or "/", "protocol": "ws"},
            "http": {"host": host, "pathname": prefix or "/", "protocol": "http"},
        },
        "channels": channels,
        "operations": operations,
        "components": {"messages": messages, "schemas": {**components(), **answers.SCHEMAS}},
    }


def _message(name: str) -> Part:
    return {"name": name, "title": name, "payload": ref(name)}


def _channel(address: str, description: str, names: tuple[str, ...], server: str, **more: Any) -> Part:
    return {
        "address": address,
        "description": description,
        "servers": [{"$ref": f"#/servers/{server}"}],
        "messages": {name: {"$ref": f"#/components/messages/{name}"} for name in names},
        **more,
    }


def _operation(action: str, channel: str, names: tuple[str, ...], **more: Any) -> Part:
    """`action` as the server sees it."""
    return {
        "action": action,
        "channel": {"$ref": f"#/channels/{channel}"},
        "messages": [{"$ref": f"#/channels/{channel}/messages/{name}"} for name in names],
        **more,
    }


def _query(*parameters: Part) -> Schema:
    """Query parameters as a schema, as the bindings want them."""
    properties = {part["name"]: {"description": part["description"], **part["schema"]} for part in parameters}
    return {"type": "object", "properties": properties}


def _websocket() -> Part:
    protocol = {"description": "One of these, perhaps, and a token.", "type": "string", "examples": [*PROTOCOLS]}
    headers: Schema = {"type": "object", "properties": {"Sec-WebSocket-Protocol": protocol}}
    return {"ws": {"method": "GET", "query": _query(*SUBSCRIBER), "headers": headers}}


def _get() -> Part:
    return {"http": {"method": "GET", "query": _query(*SUBSCRIBER, *POLLER)}}
