"""Schemas of answers that are no frames."""

from __future__ import annotations

from typing import Any

from tricast.wire.commands import COMMANDS_MAX
from tricast_server.describe.parts import TEXT, Part
from tricast_server.describe.schema import Schema, ref
from tricast_server.tally import TRANSPORTS

_COUNT: Schema = {"type": "integer", "minimum": 0}


def _object(members: dict[str, Any], optional: tuple[str, ...] = ()) -> Schema:
    return {"type": "object", "properties": members, "required": [name for name in members if name not in optional]}


def status(word: str) -> Schema:
    return _object({"status": {"const": word}})


COMMANDS: Schema = {
    "oneOf": [ref("Command"), {"type": "array", "items": ref("Command"), "minItems": 1, "maxItems": COMMANDS_MAX}]
}
REPLIES: Schema = {"oneOf": [ref("Reply"), {"type": "array", "items": ref("Answer")}]}

NO_PAGE: Part = {"description": "No such path.", "content": {"text/plain": {"schema": TEXT}}}

SCHEMAS: dict[str, Schema] = {
    "Stats": _object(
        {
            "node": TEXT,
            "uptime": {"type": "number", "minimum": 0, "description": "Seconds."},
            "draining": {"type": "boolean"},
            "backplane": _object({"engine": TEXT, "up": {"type": "boolean"}}),
            "connections": _object(dict.fromkeys(TRANSPORTS, _COUNT)),
            "topics": _COUNT,
            "messages": _object({"published": _COUNT, "kept": _COUNT, "delivered": _COUNT}),
            "bytes": _object({"kept": _COUNT, "delivered": _COUNT}),
            "refusals": {"type": "object", "additionalProperties": _COUNT, "description": "By the reason."},
            "cursor": ref("Cursor"),
            "process": _object(
                {
                    "cpu": {"type": "number", "description": "Seconds."},
                    "memory": {**_COUNT, "description": "Bytes that are resident."},
                    "files": {**_COUNT, "description": "Open descriptors."},
                },
                optional=("memory", "files"),
            ),
        }
    ),
    "Canary": _object(
        {
            "type": {"const": "canary"},
            "seq": _COUNT,
            "n": _COUNT,
            "sent": {"type": "number", "description": "The server's clock, seconds since 1970."},
            "seen": {"type": "object", "description": "How the request looked from here; in the first frame."},
            "pad": TEXT,
        },
        optional=("seen", "pad"),
    ),
    "CanaryEcho": _object({"type": {"const": "canary-echo"}, "data": TEXT}),
}
