"""The `text` format, for people and line-based scripts: only the data, without the promise of the other formats."""

from __future__ import annotations

import base64

from tricast.wire import json
from tricast.wire.messages import NO_DATA, Error, Frame, Hello, JsonValue, Message, Reply


def data_text(data: JsonValue | bytes) -> str:
    """Strings as they are, bytes as base64, other values as JSON."""
    if isinstance(data, str):
        return data
    if isinstance(data, bytes):
        return base64.b64encode(data).decode()
    return json.dumps(data)


def encode(frame: Frame) -> str | None:
    """The line for a frame, or None for what this format does not show. A message's data may span lines."""
    match frame:
        case Hello():
            return f"Welcome to tricast. You are {frame.client}, listening to {', '.join(frame.topics)}."
        case Message():
            return data_text(frame.data)
        case Reply(action="echo"):
            return f"Server heard: {'' if frame.data is NO_DATA else data_text(frame.data)}"
        case Reply(action="ping"):
            return "PONG"
        case Error():
            return f"error: {frame.code}: {frame.message}"
    return None
