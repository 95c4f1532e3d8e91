"""Real proxies in front of a real server: what each does to each transport is named, and the client gets through."""

from __future__ import annotations

import asyncio
import base64
import contextlib

import aiohttp
import pytest
from tests.helpers import HOST, running, unused_port
from tests.proxies.cases import CASES, Case
from tests.proxies.measure import PROXY_NAMES, TOPIC, Measured, measure, measure_apart
from tests.proxies.start import Place, proxied, said
from yarl import URL

from tricast.probe import Verdict


@pytest.mark.parametrize("case", CASES, ids=[case.id for case in CASES])
async def test_what_passes_is_named_and_the_client_gets_through(case: Case, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in PROXY_NAMES:
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
    await check(case)


async def test_no_proxy_is_honoured() -> None:
    env = {"http_proxy": f"http://{HOST}:{unused_port()}", "no_proxy": f"localhost,{HOST}"}
    async with running() as node:
        await node.service.publish(TOPIC, "first")
        seen = await measure_apart(node.url, env)
    assert seen.proxy is None
    assert set(seen.verdicts) == {Verdict.clean}
    assert seen.lands_on == "ws"


async def check(case: Case, rounds: int = 1) -> Measured:
    """Fails unless the case's proxy does what is expected of it. A machine that stalls looks like a proxy that holds
    or cuts, so an unexpected verdict is asked for once more; nothing else is.
    """
    async with proxied(case) as place:
        await place.node.service.publish(TOPIC, "first")
        seen = await measured(case, place, rounds)
        if seen.verdicts != case.expected:
            seen = await measured(case, place, rounds)
        assert seen.verdicts == case.expected, f"{seen.report}\n{said(place.folder)}"
        assert seen.lands_on == case.lands_on, seen.report
        _, sse, *_ = case.expected
        if seen.streams is not None:
            assert seen.streams is sse.usable, "whoever takes compression gets something else"
        if case.way == "reverse":
            assert seen.proxy is None
            assert await forwarded(place) == case.forwarded
            assert await page_may_send(place) is case.page
            assert await compresses(place) is case.compresses
        else:
            assert seen.proxy == place.proxy_url
            assert_it_went_through(case, place)
            assert await browsers_websocket(place) == case.browser
        return seen


async def measured(case: Case, place: Place, rounds: int) -> Measured:
    if case.way == "reverse":
        return await measure(place.url, rounds)
    return await measure_apart(place.url, place.env, rounds)


async def forwarded(place: Place) -> str:
    headers = {"X-Forwarded-For": "192.0.2.1"}
    async with aiohttp.ClientSession() as http:
        async with http.get(f"{place.url}/canary/poll?interval=0.01&n=1", headers=headers) as response:
            lines = (await response.json())["seen"]["headers"].get("X-Forwarded-For", [])
    return {
        (): "nothing",
        ("192.0.2.1",): "as sent",
        (f"192.0.2.1, {HOST}",): "appended",
        ("192.0.2.1", HOST): "added",
        (HOST,): "replaced",
    }[tuple(lines)]


async def page_may_send(place: Place) -> bool:
    """With a POST, as with a WebSocket, a browser says from where the page came."""
    headers = {"Origin": place.url}
    async with aiohttp.ClientSession() as http:
        async with http.post(f"{place.url}/send", json={"action": "echo", "data": 1}, headers=headers) as response:
            assert response.status in (200, 403)
            return response.status == 200


async def compresses(place: Place) -> bool:
    """What is to be compressed, unlike SSE. Else that SSE is not would say nothing."""
    async with aiohttp.ClientSession() as http:
        async with http.get(f"{place.url}/stats", headers={"Accept-Encoding": "gzip"}) as response:
            return response.headers.get("Content-Encoding") == "gzip"


async def browsers_websocket(place: Place) -> int:
    """The last status that a browser sees: to a proxy it says CONNECT for each WebSocket, also for ws://."""
    url, proxy = URL(place.url), URL(place.proxy_url)
    reader, writer = await asyncio.open_connection(proxy.host, proxy.port)
    with contextlib.closing(writer):
        writer.write(f"CONNECT {url.authority} HTTP/1.1\r\nHost: {url.authority}\r\n\r\n".encode())
        status = await status_of(reader)
        if status == 200 and url.scheme == "http":
            writer.write(websocket_request(url.authority))
            status = await status_of(reader)
        return status


async def status_of(reader: asyncio.StreamReader) -> int:
    async with asyncio.timeout(5):
        head = await reader.readuntil(b"\r\n\r\n")
    return int(head.split()[1])


def websocket_request(authority: str) -> bytes:
    key = base64.b64encode(bytes(16)).decode()
    lines = ("GET /canary/ws HTTP/1.1", f"Host: {authority}", "Connection: Upgrade", "Upgrade: websocket")
    return "\r\n".join((*lines, "Sec-WebSocket-Version: 13", f"Sec-WebSocket-Key: {key}", "", "")).encode()


def assert_it_went_through(case: Case, place: Place) -> None:
    log = (place.folder / "access.log").read_text()
    authority = place.url.partition("//")[2]
    if case.way == "tunnel":
        assert f"CONNECT {authority}" in log
        assert ("TCP_DENIED/403" in log) is (case.lands_on is None)
    else:
        for path in ("/canary/ws", "/canary/sse", "/canary/poll", "/send", "/sse"):
            assert f"{place.url}{path}" in log
