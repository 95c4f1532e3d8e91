"""`text/event-stream` (WHATWG HTML, 9.2.6): build and parse, no I/O."""

from __future__ import annotations

import codecs
import re
from dataclasses import dataclass

_LINE_END = re.compile(r"\r\n|\r|\n")


@dataclass(frozen=True, slots=True)
class Event:
    """One dispatched event. `id` is the last id seen so far (the browser's `lastEventId`); `retry` in milliseconds."""

    data: str
    event: str = "message"
    id: str = ""
    retry: int | None = None


def build(data: str | None, *, id: str | None, event: str | None = None, retry: int | None = None) -> str:
    """One event, LF only, ending with a blank line. Line breaks in `data` become lines of their own.

    With `data` None the block moves the last event id and dispatches nothing.
    """
    lines = []
    if event is not None:
        lines.append(f"event: {event}\n")
    if retry is not None:
        lines.append(f"retry: {retry}\n")
    if id is not None:
        lines.append(f"id: {id}\n")
    if data is not None:
        lines.extend(f"data: {line}\n" for line in _LINE_END.split(data))
    lines.append("\n")
    return "".join(lines)


class Parser:
    """Bytes in, events out; keeps what is not whole yet. `retry` and `last_id` are the stream's current values.

    `limit` is the most characters one event may hold before ValueError is raised.
    """

    def __init__(self, limit: int = 4 * 2**20) -> None:
        self.last_id = ""
        self.retry: int | None = None
        self._limit = limit
        self._utf8 = codecs.getincrementaldecoder("utf-8")(errors="replace")
        self._rest = ""
        self._started = False
        self._id: str | None = None
        self._event = ""
        self._data: list[str] = []
        self._size = 0

    def feed(self, chunk: bytes) -> list[Event]:
        """The events that `chunk` completes."""
        text = self._rest + self._utf8.decode(chunk)
        if not self._started and text:
            text, self._started = text.removeprefix("\ufeff"), True
        held = "\r" if text.endswith("\r") else ""  # it may be the first half of a CRLF
        lines = _LINE_END.split(text[: len(text) - len(held)])
        self._rest = lines.pop() + held
        if len(self._rest) + self._size > self._limit:
            raise ValueError("an event is longer than the parser allows")
        return [event for line in lines if (event := self._line(line)) is not None]

    def _line(self, line: str) -> Event | None:
        if not line:
            return self._dispatch()
        field, _, value = line.partition(":")
        value = value.removeprefix(" ")
        if field == "data":
            self._data.append(value)
            self._size += len(value)
        elif field == "event":
            self._event = value
        elif field == "id" and "\0" not in value:
            self._id = value
        elif field == "retry" and value.isascii() and value.isdigit():
            self.retry = int(value)
        return None

    def _dispatch(self) -> Event | None:
        if self._id is not None:
            self.last_id = self._id
        data, event = self._data, self._event
        self._data, self._event, self._id, self._size = [], "", None, 0
        if not data:
            return None
        return Event("\n".join(data), event or "message", self.last_id, self.retry)
