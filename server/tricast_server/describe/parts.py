"""Parameters, answers and bodies that several endpoints share, with the limits of the code."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from tricast.errors import COMMAND_ERRORS, CommandError, TooMany
from tricast.wire import protobuf
from tricast.wire.cursor import DEFAULT_TOPIC
from tricast.wire.messages import PROTOCOL
from tricast_server.canary import COUNT_MAX, SIZE_MAX, TIME_MAX
from tricast_server.describe.schema import Schema, ref
from tricast_server.framing import FORMATS
from tricast_server.transports.params import LAST_MAX, LIMIT_DEFAULT, LIMIT_MAX, WAIT_DEFAULT, WAIT_MAX
from tricast_server.transports.websocket import PROTOCOLS

Part = dict[str, Any]

TEXT: Schema = {"type": "string"}
NO_STORE: Part = {"Cache-Control": {"description": "no-store", "schema": TEXT}}
RETRY_AFTER: Part = {"Retry-After": {"description": "Whole seconds.", "schema": {"type": "integer", "minimum": 0}}}
CURSOR: Part = {"Tricast-Cursor": {"description": "Where the next poll goes on.", "schema": ref("Cursor")}}


def query(name: str, description: str, schema: Schema) -> Part:
    return {"name": name, "in": "query", "description": description, "schema": schema}


def _number(kind: str, most: float, default: float | None = None, least: float = 0) -> Schema:
    schema: Schema = {"type": kind, "minimum": least, "maximum": most}
    return schema if default is None else {**schema, "default": default}


VERSION = query("v", "The version of the contract.", {"const": str(PROTOCOL), "type": "string"})
CLIENT = query("client", "The client's own id; becomes `from` on what it publishes.", ref("Name"))
COUNTER = query("n", "Anything, so that no two polls share a URL: caches would merge them.", TEXT)
SUBSCRIBER: tuple[Part, ...] = (
    VERSION,
    query("topics", "Names, separated by commas.", {"type": "string", "default": DEFAULT_TOPIC}),
    query("cursor", "Resume after this; `earliest` is the oldest kept. Without it: from now on.", TEXT),
    query("last", "Without a cursor: begin with so many kept messages of each topic.", _number("integer", LAST_MAX, 0)),
    query(
        "format",
        f"How frames are spelled. On `/ws` a subprotocol says it too ({', '.join(f'`{name}`' for name in PROTOCOLS)}), "
        f"on `/poll` an `Accept` of `{protobuf.CONTENT_TYPE}`.",
        {"enum": [*FORMATS], "default": "json"},
    ),
    CLIENT,
    query("echo", "0: leave out my own messages.", {"enum": ["0", "1"], "default": "1"}),
    query("why", "What became of another transport before, as `ws:refused`: see docs/fallback.md.", TEXT),
)
POLLER: tuple[Part, ...] = (
    query("wait", "Seconds to hold a poll that has nothing.", _number("number", WAIT_MAX, WAIT_DEFAULT)),
    query("limit", "Most messages of one answer.", _number("integer", LIMIT_MAX, LIMIT_DEFAULT, least=1)),
    COUNTER,
)
LAST_EVENT_ID: Part = {
    "name": "Last-Event-ID",
    "in": "header",
    "description": "A cursor; goes before the one in the query.",
    "schema": TEXT,
}
CANARY: tuple[Part, ...] = (
    query("n", "Frames.", _number("integer", COUNT_MAX, 5)),
    query(
        "interval", f"Seconds between them; n x interval is {TIME_MAX:.0f} at most.", _number("number", TIME_MAX, 0.2)
    ),
    query("size", "Bytes to pad them to.", _number("integer", SIZE_MAX, 0)),
    query("first", "The number of the first one.", _number("integer", COUNT_MAX, 0)),
)


def json_body(schema: Schema) -> Part:
    return {"application/json": {"schema": schema}}


def protobuf_body(message: str) -> Part:
    return {protobuf.CONTENT_TYPE: {"schema": {"description": f"`{message}` of proto/tricast.proto."}}}


def json_answer(description: str, schema: Schema, headers: Part | None = None) -> Part:
    answer: Part = {"description": description, "content": json_body(schema)}
    return {**answer, "headers": headers} if headers else answer


def errors(*kinds: type[CommandError]) -> dict[str, Part]:
    """Answers by status, each an error object with one of these codes."""
    by_status: dict[str, list[str]] = {}
    for kind in kinds:
        by_status.setdefault(str(kind.status), []).append(kind.code)
    return {status: _error(status, codes) for status, codes in sorted(by_status.items())}


def _error(status: str, codes: Iterable[str]) -> Part:
    schema: Schema = {"allOf": [ref("Error"), {"type": "object", "properties": {"code": {"enum": [*codes]}}}]}
    passes = int(status) >= TooMany.status
    return json_answer(f"Error: {', '.join(codes)}.", schema, {**NO_STORE, **RETRY_AFTER} if passes else NO_STORE)


def error_table() -> list[tuple[str, int, bool]]:
    """Code, status, and whether it passes."""
    return [(cls.code, cls.status, cls.retryable) for cls in COMMAND_ERRORS.values()]
