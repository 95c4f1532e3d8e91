"""`GET /openapi.json`: every route, what it takes and what it answers (OpenAPI 3.1)."""

from __future__ import annotations

from importlib.metadata import version
from typing import Any

from tricast.errors import (
    BadRequest,
    Conflict,
    Forbidden,
    RateLimited,
    TooLarge,
    TooMany,
    Unauthorized,
    Unavailable,
    UnknownAction,
)
from tricast.wire.commands import COMMANDS_MAX, EVENT_MAX
from tricast_server.describe import answers
from tricast_server.describe.parts import (
    CANARY,
    CLIENT,
    CURSOR,
    LAST_EVENT_ID,
    NO_STORE,
    POLLER,
    SUBSCRIBER,
    TEXT,
    VERSION,
    Part,
    errors,
    json_answer,
    json_body,
    protobuf_body,
    query,
)
from tricast_server.describe.schema import components, ref
from tricast_server.settings import Settings

ABOUT = (
    "One echo and broadcast message bus over WebSocket, Server-Sent Events and long polling. What the streams carry is "
    "in asyncapi.json; the contract in words is docs/protocol.md. Unknown query parameters and members are ignored. "
    "An error status brings a JSON object in every format."
)
_PASSING = (TooMany, RateLimited, Unavailable)
_ENTERING = (BadRequest, Unauthorized, Forbidden)
_COMMANDING = (BadRequest, UnknownAction, Unauthorized, Forbidden, Conflict, TooLarge, *_PASSING)
_FOREIGN = errors(Forbidden)
_ANYONE: list[Part] = [{}, {"bearer": []}, {"query": []}]
_PREFLIGHT: Part = {
    "summary": "What pages of other origins may send (CORS)",
    "tags": ["pages"],
    "responses": {"204": {"description": "In its headers, for origins on the allow-list."}, **_FOREIGN},
}


def openapi(settings: Settings, prefix: str = "") -> dict[str, Any]:
    """The document, for a service that is mounted under `prefix`."""
    return {
        "openapi": "3.1.0",
        "info": {"title": "tricast", "version": version("tricast"), "description": ABOUT, "license": {"name": "MIT"}},
        "servers": [{"url": prefix or "/"}],
        "security": _ANYONE,
        "tags": [
            {"name": "bus", "description": "Listening and publishing."},
            {"name": "operation", "description": "For whoever runs it."},
            {"name": "canary", "description": "Timed frames, to find out what lies between."},
            {"name": "pages", "description": "For browsers."},
        ],
        "paths": {**_bus(settings), **_operation(), **_canary(), **_pages()},
        "components": {
            "schemas": {**components(), **answers.SCHEMAS},
            "securitySchemes": {
                "bearer": {"type": "http", "scheme": "bearer"},
                "query": {
                    "type": "apiKey",
                    "in": "query",
                    "name": "token",
                    "description": "Where headers cannot be set. Query strings are never logged.",
                },
            },
        },
    }


def _get(summary: str, tag: str, responses: Part, *parameters: Part, head: bool = False) -> Part:
    """A path with a GET; `head`: HEAD answers the same without a body (RFC 9110, 9.3.2)."""
    path: Part = {"get": {"summary": summary, "tags": [tag], "parameters": [*parameters], "responses": responses}}
    if head:
        bare = {
            status: {key: answer[key] for key in answer if key != "content"} for status, answer in responses.items()
        }
        path["head"] = {**path["get"], "summary": f"{summary}: the head alone", "responses": bare}
    return path


def _bus(settings: Settings) -> Part:
    data = f"{settings.max_message} bytes as JSON at most"
    upgrade: Part = {"description": "The connection is a WebSocket now: see asyncapi.json."}
    stream: Part = {
        "description": "Events: hello, then messages and what else the contract has. For 429 and 503, one `failure` "
        "event and the end, as browsers never come back after another status.",
        "content": {"text/event-stream": {"schema": TEXT}},
    }
    batch: Part = {
        **json_answer("What there is, in order.", ref("Batch"), {**CURSOR, **NO_STORE}),
    }
    batch["content"] |= {"text/plain": {"schema": TEXT}, **protobuf_body("Batch")}
    outcome = json_answer(
        "The answer, or all of them, in the body's format or what `Accept` names.", answers.REPLIES, NO_STORE
    )
    outcome["content"] |= protobuf_body("Answers")
    websocket = _get(
        "Listen and send over a WebSocket", "bus", {"101": upgrade, **errors(*_ENTERING, *_PASSING)}, *SUBSCRIBER
    )
    sse = _get("Listen by Server-Sent Events", "bus", {"200": stream, **errors(*_ENTERING)}, *SUBSCRIBER, LAST_EVENT_ID)
    poll = _get("Listen by long polling", "bus", {"200": batch, **errors(*_ENTERING, *_PASSING)}, *SUBSCRIBER, *POLLER)
    send: Part = {
        "summary": "Send commands",
        "description": f"One command, whose outcome is the status; or up to {COMMANDS_MAX}, which are carried out and "
        f"answered in order. A body of any other type than application/x-protobuf is read as JSON; {settings.max_body} "
        f"bytes at most; data is {data}.",
        "tags": ["bus"],
        "parameters": [VERSION, query("topics", "The first is where a publish without a topic goes.", TEXT), CLIENT],
        "requestBody": {"required": True, "content": {**json_body(answers.COMMANDS), **protobuf_body("Commands")}},
        "responses": {
            "200": outcome,
            **errors(*_COMMANDING),
        },
    }
    publish: Part = {
        "summary": "Publish the body as it is",
        "description": f"JSON, text or bytes, by its Content-Type; {data}.",
        "tags": ["bus"],
        "parameters": [
            {"name": "topic", "in": "path", "required": True, "schema": ref("Topic")},
            VERSION,
            query("event", "What it is called.", {"type": "string", "maxLength": EVENT_MAX}),
            query("id", "Takes effect once.", ref("Name")),
            CLIENT,
        ],
        "requestBody": {
            "content": {"application/json": {"schema": ref("Data")}, "text/plain": {"schema": TEXT}, "*/*": {}}
        },
        "responses": {
            "200": json_answer("Where it was appended.", ref("Reply"), NO_STORE),
            **errors(*_COMMANDING),
            "404": answers.NO_PAGE,
        },
    }
    topic = publish["parameters"][0]
    return {
        "/ws": websocket,
        "/sse": {**sse, "options": _PREFLIGHT},
        "/poll": {**poll, "options": _PREFLIGHT},
        "/send": {"post": send, "options": _PREFLIGHT},
        "/topics/{topic}": {"post": publish, "options": {**_PREFLIGHT, "parameters": [topic]}},
    }


def _operation() -> Part:
    healthy = json_answer("It lives.", answers.status("ok"), NO_STORE)
    ready = json_answer("New clients are welcome.", answers.status("ready"), NO_STORE)
    stats = json_answer("Numbers. No topic names.", ref("Stats"), NO_STORE)
    metrics: Part = {
        "description": "Prometheus' text format 0.0.4: see docs/monitoring.md.",
        "content": {"text/plain": {"schema": TEXT}},
        "headers": NO_STORE,
    }
    document = json_answer("The document.", {"type": "object"})
    return {
        path: _get(summary, "operation", {"200": answer, **errors(Forbidden, *more)}, head=True)
        for path, summary, answer, more in (
            ("/healthz", "Whether the process lives", healthy, ()),
            ("/readyz", "Whether new clients are welcome", ready, (Unavailable,)),
            ("/stats", "Numbers for people", stats, (Unauthorized,)),
            ("/metrics", "Numbers for Prometheus", metrics, (Unauthorized,)),
            ("/openapi.json", "This description", document, ()),
            ("/asyncapi.json", "What the streams carry (AsyncAPI 3)", document, ()),
        )
    }


def _canary() -> Part:
    frame = json_answer("Frame number `first`, after `interval` seconds.", ref("Canary"), NO_STORE)
    stream: Part = {"description": "The frames, then the end.", "content": {"text/event-stream": {"schema": TEXT}}}
    upgrade: Part = {"description": "The frames, then a close with 1000; texts come back."}
    refused = errors(BadRequest, Forbidden, *_PASSING)
    return {
        "/canary/ws": _get("Timed frames over a WebSocket", "canary", {"101": upgrade, **refused}, *CANARY),
        "/canary/sse": _get("Timed frames as events", "canary", {"200": stream, **refused}, *CANARY),
        "/canary/poll": _get("One timed frame", "canary", {"200": frame, **refused}, *CANARY),
    }


def _pages() -> Part:
    page: Part = {"description": "HTML.", "content": {"text/html": {"schema": TEXT}}}
    file: Part = {"description": "A page, or a file of one.", "content": {"*/*": {}}}
    named: Part = {"name": "file", "in": "path", "required": True, "schema": TEXT}
    settings = json_answer("An object.", {"type": "object"}, NO_STORE)
    return {
        "/": _get("A page to try it with", "pages", {"200": page, **_FOREIGN}, head=True),
        "/page.json": _get(
            "What the pages should know of this server", "pages", {"200": settings, **_FOREIGN}, head=True
        ),
        "/{file}": _get(
            "The other pages and their files",
            "pages",
            {"200": file, **_FOREIGN, "404": answers.NO_PAGE},
            named,
            head=True,
        ),
    }
