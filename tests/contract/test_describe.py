"""`/openapi.json` and `/asyncapi.json`: valid by their own rules, of all routes, and true of what is sent and taken."""

from __future__ import annotations

import json
from collections.abc import Iterator
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from jsonschema import Draft7Validator, Draft202012Validator
from openapi_spec_validator import validate
from openapi_spec_validator.validation.exceptions import OpenAPIValidationError
from tests.helpers import ROOT, Node, missing, running
from tests.helpers_clients import Http, event_stream, publish, reader, websocket

from tricast_server import Settings, setup
from tricast_server.describe.asyncapi import asyncapi
from tricast_server.describe.openapi import openapi

ASYNCAPI_RULES = ROOT / "tests/foreign/node_modules/@asyncapi/specs/schemas/3.0.0.json"
"""AsyncAPI's own schema, from the npm package of its makers (Apache-2.0)."""
VECTORS = ROOT / "tests/vectors"

SCHEMAS = openapi(Settings())["components"]["schemas"]

Case = dict[str, Any]


def cases(file: str, group: str = "cases") -> list[Any]:
    return [pytest.param(case, id=case["name"]) for case in json.loads((VECTORS / file).read_text())[group]]


def validator(name: str) -> Draft202012Validator:
    return Draft202012Validator({"$ref": f"#/components/schemas/{name}", "components": {"schemas": SCHEMAS}})


def is_valid(name: str, value: object) -> bool:
    return bool(validator(name).is_valid(value))


# The documents


def test_openapi_is_valid() -> None:
    validate(openapi(Settings()))
    validate(openapi(Settings(), "/rt"))


def test_the_validator_would_see_what_is_wrong() -> None:
    document = openapi(Settings())
    del document["paths"]["/poll"]["get"]["responses"]["200"]["description"]
    with pytest.raises(OpenAPIValidationError):
        validate(document)


def test_asyncapi_is_valid_and_what_is_wrong_would_be_seen() -> None:
    if not ASYNCAPI_RULES.exists():
        missing(f"{ASYNCAPI_RULES}, which `make tools` brings")
    rules = Draft7Validator(json.loads(ASYNCAPI_RULES.read_text()))
    document = asyncapi("localhost:8080", "/rt")
    assert not list(rules.iter_errors(document))
    broken = deepcopy(document)
    broken["operations"]["command"]["action"] = "shout"
    assert not rules.is_valid(broken)
    broken = deepcopy(document)
    broken["channels"]["ws"]["messages"]["Hello"] = {"payload": {"type": "unheard-of"}}
    assert not rules.is_valid(broken)


def references(node: object) -> Iterator[str]:
    if isinstance(node, dict):
        if isinstance(node.get("$ref"), str):
            yield node["$ref"]
        for child in node.values():
            yield from references(child)
    elif isinstance(node, list):
        for child in node:
            yield from references(child)


@pytest.mark.parametrize("document", [openapi(Settings()), asyncapi("localhost")], ids=["openapi", "asyncapi"])
def test_references_lead_somewhere(document: dict[str, Any]) -> None:
    found = set(references(document))
    assert len(found) > 20
    for reference in found:
        node: Any = document
        for part in reference.removeprefix("#/").split("/"):
            node = node[part]


# The routes


def routes(app: web.Application) -> set[tuple[str, str]]:
    return {
        (route.method.lower(), route.resource.canonical) for route in app.router.routes() if route.resource is not None
    }


def test_every_route_is_described_and_nothing_else() -> None:
    app = web.Application()
    setup(app, "")
    described = {(method, path) for path, methods in openapi(Settings())["paths"].items() for method in methods}
    assert routes(app) == described


async def test_they_are_served_where_the_bus_is_mounted() -> None:
    async with running(prefix="/rt", max_message=1234) as server, Http(server) as http:
        document = (await http.get("/rt/openapi.json")).json
        assert document["servers"] == [{"url": "/rt"}]
        assert "1234 bytes" in json.dumps(document)
        document = (await http.get("/rt/asyncapi.json")).json
        assert {server["pathname"] for server in document["servers"].values()} == {"/rt"}
        assert document["servers"]["ws"]["host"] == server.authority


# What frames and commands are


@pytest.mark.parametrize("case", cases("frames.json"))
def test_frames(case: Case) -> None:
    """What a server writes fits; what breaks the contract, or is of a later version, does not."""
    if "frame" in case:
        assert is_valid("Frame", case["frame"])
        assert is_valid(case["frame"]["type"].capitalize(), case["frame"])
        return
    try:
        value = json.loads(case["text"])
    except ValueError:
        return
    assert not is_valid("Frame", value)


@pytest.mark.parametrize("case", cases("frames.json", "batches"))
def test_batches(case: Case) -> None:
    try:
        value = json.loads(case["text"])
    except ValueError:
        return
    assert is_valid("Batch", value) == ("error" not in case and case["name"] not in OF_OTHER_VERSIONS)


OF_OTHER_VERSIONS = {"messages and a gap in order, and a type of a later version", "the last poll"}
"""Clients take them; this server sends no such message, and no bye without its type."""
TOLERATED = {"a line end after a topic"}
"""Python's `$` also matches before a line end; that of ECMA 262, which JSON Schema goes by, does not."""


@pytest.mark.parametrize("case", cases("commands.json"))
def test_commands(case: Case) -> None:
    if "command" in case:
        assert is_valid("Command", case["command"])
    elif case["name"] not in TOLERATED:
        assert not is_valid("Command", case["value"])


def test_short_forms_are_commands_too() -> None:
    assert is_valid("Command", {"event": "chat-message", "payload": {"m": 1}})
    assert not is_valid("Command", {"payload": {"m": 1}})


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("Gap", {"type": "gap", "topics": ["a"], "cursor": "e-1", "reason": "tired"}),
        ("Hello", {"type": "hello", "protocol": 2}),
        ("Message", {"type": "message", "topic": "a", "cursor": "e-1", "data": 1, "data_b64": ""}),
        ("Reply", {"type": "reply", "action": "dance"}),
        ("Error", {"type": "error", "code": "conflict"}),
        ("Bye", {"type": "bye", "reason": "drain", "reconnect_after": -1}),
        ("Topic", "a b"),
        ("Inbox", "lobby"),
    ],
)
def test_what_is_broken_does_not_fit(name: str, value: object) -> None:
    assert not is_valid(name, value)


# What is sent


@pytest.mark.parametrize("transport", ["ws", "sse"])
async def test_what_the_server_sends_fits(server: Node, http: Http, transport: str) -> None:
    frames = []
    async with reader(transport, server, "a", cursor="other-7") as subscriber:
        frames.append(subscriber.hello)
        await http.send(publish("a", {"n": 1}, id="m", event="e", ref="7"), client="c1")
        await server.service.publish("a", b"\0")
        frames += await subscriber.log(3)
        frames.append(await subscriber.next("heartbeat"))
    assert [frame["type"] for frame in frames][:4] == ["hello", "gap", "message", "message"]
    for frame in frames:
        validator("Frame").validate(frame)


async def test_what_it_answers_fits(server: Node, http: Http) -> None:
    async with websocket(server, "a") as socket:
        for command in (
            {"action": "echo", "data": None, "ref": "1"},
            {"action": "ping"},
            {"action": "subscribe", "topics": ["b"]},
            {"action": "unsubscribe", "topics": ["b"]},
            publish("a", 1),
        ):
            validator("Command").validate(command)
            validator("Reply").validate(await socket.ask(**command))
        await socket.send(action="fly", ref="2")
        validator("Error").validate(await socket.next("error"))
    async with event_stream(server, "a") as stream:
        validator("Hello").validate(stream.hello)
    for cursor in ("earliest", "other-1"):
        validator("Batch").validate(await http.poll("a", cursor=cursor))
    validator("Stats").validate((await http.get("/stats")).json)
    validator("Canary").validate((await http.get("/canary/poll?interval=0")).json)
    validator("Error").validate((await http.get("/poll?v=2")).json)


def test_docs_name_the_same_paths() -> None:
    """docs/api.md is generated; docs/protocol.md is not."""
    text = (Path(ROOT) / "docs/protocol.md").read_text()
    for path in ("/metrics", "/openapi.json", "/asyncapi.json", "/stats", "/readyz"):
        assert f"`GET {path}`" in text
