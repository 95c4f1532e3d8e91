"""The formats: what the payload of a frame says."""

from __future__ import annotations

from abc import ABC, abstractmethod

from tricast.errors import BadRequest
from tricast.wire import json, protobuf, text
from tricast.wire.commands import is_command
from tricast.wire.messages import Frame, JsonValue
from tricast_server.bus.log import Entry


class Format(ABC):
    """One spelling of frames and commands. What it makes is text where it is a `str`, binary where it is `bytes`."""

    name: str

    @abstractmethod
    def entry(self, entry: Entry, cursor: str) -> str | bytes:
        """A message."""

    @abstractmethod
    def frame(self, frame: Frame) -> str | bytes | None:
        """Any frame, or None where this format does not show it."""

    def command(self, payload: str | bytes) -> JsonValue:
        """What came in one WebSocket frame, for `command_of` to check. Raises BadRequest."""
        if isinstance(payload, bytes):
            raise BadRequest("this format has no binary frames")
        return json.loads(payload)


class JsonFormat(Format):
    name = "json"

    def entry(self, entry: Entry, cursor: str) -> str:
        return json.message_text(
            topic=entry.topic,
            cursor=cursor,
            data=entry.data,
            id=entry.id,
            event=entry.event,
            sender=entry.sender,
            subject=entry.subject,
            ts=entry.ts,
        )

    def frame(self, frame: Frame) -> str:
        return json.encode(frame)


class TextFormat(Format):
    name = "text"

    def entry(self, entry: Entry, cursor: str) -> str:
        data = entry.data
        if isinstance(data, str) and not data.startswith('"'):
            return data  # JSON that is no string stands as it is
        return text.data_text(json.loads(data) if isinstance(data, str) else data)

    def frame(self, frame: Frame) -> str | None:
        return text.encode(frame)

    def line(self, entry: Entry, cursor: str) -> str:
        """The message on one line: JSON where its text has line breaks."""
        line = self.entry(entry, cursor)
        return line if isinstance(entry.data, bytes) or line.splitlines() in ([], [line]) else entry.data

    def command(self, payload: str | bytes) -> JsonValue:
        """What is no command is published as it is."""
        try:
            value = super().command(payload)
        except BadRequest:
            if isinstance(payload, bytes):
                raise
            value = None
        return value if is_command(value) else {"action": "publish", "data": payload}


class ProtobufFormat(Format):
    name = "protobuf"

    def entry(self, entry: Entry, cursor: str) -> bytes:
        return protobuf.message_bytes(
            topic=entry.topic,
            cursor=cursor,
            data=entry.data,
            id=entry.id,
            event=entry.event,
            sender=entry.sender,
            subject=entry.subject,
            ts=entry.ts,
        )

    def frame(self, frame: Frame) -> bytes:
        return protobuf.encode(frame)

    def command(self, payload: str | bytes) -> JsonValue:
        if isinstance(payload, str):
            raise BadRequest("this format has no text frames")
        return protobuf.command_members(payload)


JSON = JsonFormat()
TEXT = TextFormat()
PROTOBUF = ProtobufFormat()
FORMATS: dict[str, Format] = {format.name: format for format in (JSON, TEXT, PROTOBUF)}


def format_named(name: str) -> Format:
    """Raises BadRequest."""
    found = FORMATS.get(name)
    if found is None:
        raise BadRequest(f"format is one of {', '.join(FORMATS)}")
    return found


def format_told_in(name: str | None) -> Format:
    """The format of a refusal in a stream, where this one was asked for, if any: JSON where another cannot say it."""
    return PROTOBUF if name == PROTOBUF.name else JSON
