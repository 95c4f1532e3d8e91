"""POST /topics/{topic}: the body as it is, for `curl` and webhooks."""

from __future__ import annotations

import asyncio
import base64
import shutil

import pytest
from tests.helpers import Node, missing
from tests.helpers_clients import Answer, Http, reader

JSON = "application/json"


async def post(http: Http, body: str | bytes, kind: str | None, *, topic: str = "hook", query: str = "") -> Answer:
    headers = {"Content-Type": kind} if kind else {}
    return await http.request("POST", f"/topics/{topic}{query}", body=body, headers=headers)


@pytest.mark.parametrize(
    ("kind", "body", "data"),
    [
        (JSON, b'{"k":1}', {"k": 1}),
        ("application/json; charset=utf-8", b'"\xc3\xa9"', "\u00e9"),
        ("application/vnd.api+json", b"[1]", [1]),
        (JSON, b"null", None),
        ("text/plain", "words \u00e9\n".encode(), "words \u00e9\n"),
        ("text/plain; charset=iso-8859-1", b"\xe9", "\u00e9"),
        ("text/csv", b"a,b\r\n1,2\r\n", "a,b\r\n1,2\r\n"),
        ("text/plain", b'{"k":1}', '{"k":1}'),
        ("text/plain", b"", ""),
        ("application/x-www-form-urlencoded", b"a=1&b=%20", "a=1&b=%20"),
    ],
    ids=str,
)
async def test_json_and_text_by_the_content_type(
    server: Node, http: Http, wire: str, kind: str, body: bytes, data: object
) -> None:
    async with reader(wire, server, "hook") as subscriber:
        answer = await post(http, body, kind, query="?event=e&id=i-1&client=poster")
        assert answer.status == 200, answer
        message = await subscriber.next("message")
    assert (message["data"], message["event"], message["id"], message["from"]) == (data, "e", "i-1", "poster")
    assert answer.json == {"type": "reply", "action": "publish", "at": message["cursor"], "duplicate": False}


@pytest.mark.parametrize("kind", ["application/octet-stream", "image/png"])
@pytest.mark.parametrize("body", [b"\0\xff\n", b""], ids=str)
async def test_anything_else_goes_as_bytes(server: Node, http: Http, wire: str, kind: str, body: bytes) -> None:
    async with reader(wire, server, "hook") as subscriber:
        assert (await post(http, body, kind)).status == 200
        message = await subscriber.next("message")
    assert base64.b64decode(message["data_b64"]) == body
    assert "data" not in message


@pytest.mark.parametrize(
    ("kind", "body"),
    [(JSON, b"{"), (JSON, b""), (JSON, b"NaN"), ("text/plain", b"\xff"), ("text/plain; charset=nonsense", b"x")],
    ids=str,
)
async def test_a_body_that_is_not_what_it_says_is_a_bad_request(http: Http, kind: str, body: bytes) -> None:
    answer = await post(http, body, kind)
    assert (answer.status, answer.json["code"]) == (400, "bad_request")


@pytest.mark.parametrize("query", ["?id=a%20b", "?client=a%20b", "?v=2"])
async def test_a_bad_query_is_a_bad_request(http: Http, query: str) -> None:
    answer = await post(http, "1", JSON, query=query)
    assert (answer.status, answer.json["code"]) == (400, "bad_request")


@pytest.mark.parametrize("topic", ["a%2Fb", "a..b", "_inbox.short", "x" * 129, "%0A"])
async def test_a_bad_topic_is_a_bad_request(http: Http, topic: str) -> None:
    answer = await post(http, "1", JSON, topic=topic)
    assert (answer.status, answer.json["code"]) == (400, "bad_request")


async def test_an_id_dedupes_and_conflicts(http: Http) -> None:
    first, again, other = [await post(http, body, JSON, query="?id=same") for body in ("1", "1.0", "2")]
    assert (first.json["duplicate"], again.json["duplicate"]) == (False, True)
    assert first.json["at"] == again.json["at"]
    assert (other.status, other.json["code"]) == (409, "conflict")


async def test_a_large_body_is_too_large(server: Node, http: Http) -> None:
    most = server.service.settings.max_message
    assert (await post(http, "x" * (most - 2), "text/plain")).status == 200
    for kind in ("text/plain", "application/octet-stream"):
        answer = await post(http, b"x" * most, kind)
        assert (answer.status, answer.json["code"]) == (413, "too_large")


@pytest.mark.parametrize("origin", ["https://evil.example", "null"])
async def test_a_foreign_origin_is_refused(http: Http, origin: str) -> None:
    headers = {"Origin": origin, "Content-Type": "text/plain"}
    answer = await http.request("POST", "/topics/hook", body="x", headers=headers)
    assert (answer.status, answer.json["code"]) == (403, "forbidden")
    assert (await http.poll("hook", cursor="earliest"))["messages"] == []


async def test_curl_publishes_and_reads_without_options(server: Node) -> None:
    """What a person types first."""
    assert await curl("-d", "hello there", f"{server.url}/topics/lobby")
    assert await curl(f"{server.url}/poll?format=text&cursor=earliest") == "hello there\n"


async def curl(*arguments: str) -> str:
    command = shutil.which("curl") or missing("curl")
    process = await asyncio.create_subprocess_exec(command, "-sf", *arguments, stdout=asyncio.subprocess.PIPE)
    output, _ = await process.communicate()
    assert process.returncode == 0
    return output.decode()
