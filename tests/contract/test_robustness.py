"""What a stranger may send, and what an application may get wrong, without anybody else being the worse for it."""

from __future__ import annotations

import asyncio
import json
import time
import urllib.request

import aiohttp
import pytest
from tests.helpers import Server, running, serving
from tests.helpers_raw import connect, request_head, upgrade_head

from tricast.errors import BadRequest
from tricast_server import Access


async def whoever(access: Access) -> str | None:
    """A hook that trusts what it is sent."""
    return access.token


async def test_a_subject_that_is_not_unicode_is_refused_and_harms_nobody() -> None:
    async with running(authorise=whoever) as node, aiohttp.ClientSession() as http:
        async with http.ws_connect(f"{node.url}/ws?topics=a") as ws:
            await ws.receive_json()
            body = b'{"action":"publish","topic":"a","data":1}'
            answer = await raw_request(node, b"POST", b"/send", body, b"Authorization: Bearer \xff")
            assert b" 400 " in answer.splitlines()[0]
            await node.service.publish("a", "next")
            assert (await ws.receive_json())["data"] == "next"
        with pytest.raises(BadRequest):
            await node.service.publish("a", 1, event="\ud800")


async def test_a_header_that_is_not_utf_8_spoils_no_stream() -> None:
    async with running() as node:
        answer = await raw_request(node, b"GET", b"/canary/sse?n=1", b"", b"Via: \xff")
    assert answer.count(b"HTTP/1.1 ") == 1
    assert rb"\\udcff" in answer


@pytest.mark.parametrize(
    "header", [b"Content-Type: text/plain; charset=undefined", b"Content-Type: text/plain; charset=utf-8"]
)
async def test_a_body_that_is_not_what_it_says_is_the_senders_mistake(header: bytes) -> None:
    async with running() as node:
        answer = await raw_request(node, b"POST", b"/topics/a", b"\xff\xfe no gzip", header)
    assert b" 400 " in answer.splitlines()[0]


async def test_no_host_is_no_host_of_ours() -> None:
    async with running() as node:
        reader, writer = await asyncio.open_connection("127.0.0.1", node.port)
        writer.write(b"GET /stats HTTP/1.1\r\nHost:\r\nOrigin: null\r\nConnection: close\r\n\r\n")
        assert b" 403 " in (await reader.read()).splitlines()[0]
        writer.close()


async def test_own_messages_are_passed_over_quickly() -> None:
    """Cost in proportion to what is passed over, not to that times the topics."""
    topics = [f"t{i}" for i in range(100)]
    async with running(retention_count=1000) as node, aiohttp.ClientSession() as http:
        for i in range(4000):
            await node.service.publish(topics[i % 100], i, sender="me")
        await node.service.publish("t0", "yours", sender="you")
        query = f"topics={','.join(topics)}&cursor=earliest&client=me&echo=0&limit=1&wait=0"
        start = time.monotonic()
        async with http.get(f"{node.url}/poll?{query}") as response:
            answer = await response.json()
        assert time.monotonic() - start < 5
        assert [m["data"] for m in answer["messages"]] == ["yours"]


async def test_an_answer_to_a_poll_is_of_bytes_not_characters() -> None:
    async with running() as node, aiohttp.ClientSession() as http:
        for _ in range(10):
            await node.service.publish("a", "語" * 80_000)
        async with http.get(f"{node.url}/poll?topics=a&cursor=earliest&wait=0") as response:
            assert len(await response.read()) < 2**20 + 2**18


@pytest.mark.parametrize("path", ["/ws", "/sse"])
def test_who_reads_slowly_is_drained_to_the_bye(path: str) -> None:
    """Longer than any closing handshake waits, and within the drain's own time."""
    with serving("--drain-timeout", "20") as server, connect(server, receive_buffer=2**15) as client:
        target = f"{path}?topics=big&cursor=earliest"
        client.sendall(upgrade_head(server, target) if path == "/ws" else request_head(server, target))
        for _ in range(30):
            batch = [{"action": "publish", "topic": "big", "data": "x" * 10_000}] * 10
            request = urllib.request.Request(f"{server.url}/send", json.dumps(batch).encode())
            with urllib.request.urlopen(request, timeout=5) as answer:
                assert answer.status == 200
        server.terminate()
        client.settimeout(5)
        received = bytearray()
        while piece := client.recv(2**16):
            received += piece
            time.sleep(len(piece) / 600_000)
        assert received.count(b'"type":"message"') == 300
        assert received.count(b'"type":"bye"') == 1
        assert server.wait() == 0


async def raw_request(server: Server, method: bytes, path: bytes, body: bytes, *headers: bytes) -> bytes:
    """The whole answer, head and body. No client of ours or anybody's would send some of these headers."""
    lines = [b"%b %b HTTP/1.1" % (method, path), b"Host: " + server.authority.encode(), *headers]
    lines += [b"Content-Length: %d" % len(body), b"Connection: close", b"", body]
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    writer.write(b"\r\n".join(lines))
    async with asyncio.timeout(5):
        answer = await reader.read()
    writer.close()
    return answer
