"""The table of the time to the first message beside other clients, and the hub that SignalR's client meets."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest
from aiohttp.test_utils import TestClient, TestServer
from aiohttp.web import Application, Request

from tricast_bench.document import write
from tricast_bench.fallback import hub
from tricast_bench.fallback.beside import NETWORKS, table
from tricast_bench.fallback.peers import CLIENTS, Connect
from tricast_bench.fallback.trials import CONNECTS
from tricast_bench.servers import Unusable

HANDSHAKE = '{"protocol":"json","version":1}\x1e'
Client = TestClient[Request, Application]


@pytest.fixture
async def client() -> AsyncIterator[Client]:
    async with TestClient(TestServer(hub.Hub().app())) as client:
        yield client


async def token_of(client: Client) -> str:
    async with client.post("/hub/negotiate?negotiateVersion=1") as response:
        answer = await response.json()
    names = [offer["transport"] for offer in answer["availableTransports"]]
    assert names == ["WebSockets", "ServerSentEvents", "LongPolling"]
    assert answer["connectionToken"] != answer["connectionId"]
    return str(answer["connectionToken"])


async def send(client: Client, token: str, text: str) -> int:
    async with client.post(f"/hub?id={token}", data=text) as response:
        return response.status


def records(text: str) -> list[dict[str, object]]:
    assert text.endswith("\x1e")
    return [json.loads(record) for record in text.split("\x1e")[:-1]]


def is_first(record: dict[str, object], transport: str) -> bool:
    return record == {"type": 1, "target": "message", "arguments": [transport]}


async def test_the_hub_over_websocket(client: Client) -> None:
    async with client.ws_connect(f"/hub?id={await token_of(client)}") as socket:
        await socket.send_str(HANDSHAKE)
        got: list[dict[str, object]] = []
        while len(got) < 3:
            got += records(await socket.receive_str(timeout=5))
        assert got[0] == {}
        assert is_first(got[1], "WebSockets")
        await socket.send_str('{"type":6}\x1e{"type":7}\x1e')
        async with asyncio.timeout(5):
            while (await socket.receive()).type is aiohttp.WSMsgType.TEXT:
                pass


async def test_the_hub_over_server_sent_events(client: Client) -> None:
    token = await token_of(client)
    async with client.get(f"/hub?id={token}", headers={"Accept": "text/event-stream"}) as response:
        assert response.content_type == "text/event-stream"
        assert await send(client, token, HANDSHAKE) == 200
        got: list[dict[str, object]] = []
        async with asyncio.timeout(5):
            while len(got) < 2:
                line = (await response.content.readline()).decode()
                got += records(line.removeprefix("data: ").rstrip("\r\n")) if line.startswith("data") else []
    assert got[0] == {}
    assert is_first(got[1], "ServerSentEvents")


async def test_the_hub_over_long_polling(client: Client) -> None:
    token = await token_of(client)

    async def poll() -> tuple[int, str]:
        async with client.get(f"/hub?id={token}") as response:
            return response.status, await response.text()

    async with asyncio.timeout(5):
        assert await poll() == (200, "")
        (older,), (newer,) = await asyncio.wait(
            {asyncio.create_task(poll()) for _ in range(2)}, return_when=asyncio.FIRST_COMPLETED
        )
        assert older.result() == (204, "")
        assert await send(client, token, HANDSHAKE) == 200
        status, text = await newer
        assert (status, records(text)[0]) == (200, {})
        assert is_first(records((await poll())[1])[0], "LongPolling")
    async with client.delete(f"/hub?id={token}") as response:
        assert response.status == 202
    assert (await poll())[0] == 404


async def test_the_hub_ends_a_connection_without_a_handshake(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hub, "HANDSHAKE_TIMEOUT", 0.05)
    async with client.ws_connect(f"/hub?id={await token_of(client)}") as socket:
        assert records(await socket.receive_str(timeout=5)) == [{"error": "Handshake was canceled."}]
        assert (await socket.receive(timeout=5)).type is aiohttp.WSMsgType.CLOSE


async def test_the_hub_refuses_what_it_does_not_know(client: Client) -> None:
    for path, status in (("/hub", 400), ("/hub?id=nobody", 404)):
        async with client.get(path) as response:
            assert response.status == status
    assert await send(client, await token_of(client), '{"protocol":"messagepack","version":1}\x1e') == 400


def test_a_cell_tells_transport_median_range_and_what_never_came() -> None:
    one, two = list(CLIENTS)[:2]
    took = [(0.020, "ws"), (0.010, "ws"), (0.0304, "ws"), (None, None)]
    connects = [Connect("clean", one, seconds, on, None) for seconds, on in took]
    connects += [Connect("clean", two, None, None, "timeout")] * 2
    line = table(connects).splitlines()[-1]
    assert line.startswith("| clean | ws 20 (10 to 30); never in 1 of 4 | never |")


def test_the_networks_are_those_of_our_own_table() -> None:
    assert set(NETWORKS) <= set(CONNECTS)


def test_the_table_goes_between_the_marks(tmp_path: Path) -> None:
    document = tmp_path / "page.md"
    document.write_text("before\n\n<!-- first -->\nold\n<!-- /first -->\n\nbehind\n", encoding="utf-8")
    for text in (r"new \1", "newer"):
        write(document, "first", text)
        assert (
            document.read_text(encoding="utf-8") == f"before\n\n<!-- first -->\n\n{text}\n\n<!-- /first -->\n\nbehind\n"
        )
    document.write_text("no marks\n", encoding="utf-8")
    with pytest.raises(Unusable):
        write(document, "first", "new")
