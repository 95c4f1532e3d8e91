"""`GET /metrics`: what was done to the server is what it says, and nothing that a client makes up becomes a series."""

from __future__ import annotations

import asyncio
import json
import re

import pytest
from prometheus_client.parser import text_string_to_metric_families
from tests.helpers import Node, eventually, running
from tests.helpers_clients import Answer, Http, publish, reader, websocket
from tests.helpers_raw import RawStream

import tricast
from tricast.errors import Unauthorized
from tricast_bench.middlebox import PRESETS, Middlebox
from tricast_server import Access
from tricast_server.metrics import FAMILIES

KIB = 2**10


class Scrape:
    """One answer of `/metrics`."""

    def __init__(self, answer: Answer) -> None:
        assert answer.status == 200
        assert answer.headers["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8"
        self.text = answer.text
        self.families = {family.name: family for family in text_string_to_metric_families(answer.text)}
        self._values = {
            (sample.name, *sorted(sample.labels.items())): sample.value
            for family in self.families.values()
            for sample in family.samples
        }

    def value(self, name: str, **labels: str) -> float:
        return self._values[name, *sorted(labels.items())]

    def series(self, name: str) -> int:
        return sum(key[0] == name for key in self._values)


async def scrape(server: Node) -> Scrape:
    async with Http(server) as http:
        return Scrape(await http.get("/metrics"))


async def test_every_family_is_there_from_the_start_and_nothing_else_of_ours(server: Node) -> None:
    seen = await scrape(server)
    assert {name for name in seen.families if name.startswith("tricast_")} == {family.name for family in FAMILIES}
    for family in FAMILIES:
        found = seen.families[family.name]
        assert (found.type, found.documentation) == (family.kind, family.help)
        assert found.samples
        for sample in found.samples:
            assert set(sample.labels) - {"le"} == set(family.labels)


async def test_names_and_help_follow_the_conventions() -> None:
    for family in FAMILIES:
        assert re.fullmatch(r"tricast(_[a-z]+)+", family.name)
        assert not family.name.endswith("_total"), "that is added"
        assert family.kind != "histogram" or family.name.endswith("_seconds")
        assert family.help[0].isupper() or family.help[0].isdigit()
        assert family.help.endswith(".")


async def test_the_process_is_there_too(server: Node) -> None:
    seen = await scrape(server)
    assert seen.value("process_resident_memory_bytes") > 2**20
    assert seen.value("process_open_fds") > 3
    assert "python_gc_collections" in seen.families


async def test_connections_are_counted_while_open_and_when_opened(server: Node) -> None:
    async with reader("ws", server, "a"), reader("ws", server, "a"), reader("sse", server, "a"):
        seen = await scrape(server)
        assert [seen.value("tricast_connections", transport=name) for name in ("ws", "sse", "poll")] == [2, 1, 0]
    await eventually(lambda: not any(server.service.connections.values()))
    async with Http(server) as http:
        await http.poll("a")
        await http.poll("a")
    seen = await scrape(server)
    assert [seen.value("tricast_connections", transport=name) for name in ("ws", "sse", "poll")] == [0, 0, 0]
    opened = [seen.value("tricast_connections_opened_total", transport=name) for name in ("ws", "sse", "poll")]
    assert opened == [2, 1, 2]


async def test_messages_and_bytes_in_and_out(server: Node, http: Http) -> None:
    async with reader("ws", server, "a") as one, reader("ws", server, "a") as two, reader("sse", server, "a") as three:
        await http.publish("a", "é", "é")
        async with websocket(server, "b") as sender:
            await sender.ask(action="publish", topic="a", data=1)
        await server.service.publish("a", b"123")
        for subscriber in (one, two, three):
            await subscriber.messages(4)
    seen = await scrape(server)
    for source, messages, size in (("http", 2, 8), ("ws", 1, 1), ("app", 1, 3)):
        assert seen.value("tricast_received_messages_total", source=source) == messages
        assert seen.value("tricast_received_bytes_total", source=source) == size
    assert seen.value("tricast_sent_messages_total", transport="ws") == 8
    assert seen.value("tricast_sent_messages_total", transport="sse") == 4
    assert seen.value("tricast_sent_bytes_total", transport="ws") > 8 * 50
    assert seen.value("tricast_appended_messages_total") == seen.value("tricast_log_messages") == 4
    assert seen.value("tricast_flush_seconds_count") == seen.value("tricast_delivery_lag_seconds_count") > 0
    assert 0 < seen.value("tricast_flush_seconds_sum") < seen.value("tricast_delivery_lag_seconds_sum") + 1
    assert seen.value("tricast_append_seconds_count") == 4


async def test_a_lag_is_that_of_the_oldest_message_of_a_flush() -> None:
    async with running(flush_interval=0.2) as server, reader("ws", server, "a") as subscriber:
        await server.service.publish("a", 1)
        await asyncio.sleep(0.1)
        await server.service.publish("a", 2)
        await subscriber.messages(2)
        seen = await scrape(server)
        assert seen.value("tricast_delivery_lag_seconds_count") == 1
        assert seen.value("tricast_delivery_lag_seconds_sum") >= 0.19
        assert seen.value("tricast_delivery_lag_seconds_bucket", le="0.1") == 0


async def test_what_became_of_publishes(server: Node, http: Http) -> None:
    await http.send(publish("a", 1, id="m"))
    await http.send(publish("a", 1, id="m"))
    for command, status in ((publish("a", 2, id="m"), 409), (publish("a", "x" * 300_000), 413)):
        assert (await http.request("POST", "/send", body=json.dumps(command))).status == status
    seen = await scrape(server)
    outcomes = {name: seen.value("tricast_publishes_total", outcome=name) for name in ("ok", "duplicate", "conflict")}
    assert outcomes == {"ok": 1, "duplicate": 1, "conflict": 1}
    assert seen.value("tricast_publishes_total", outcome="too_large") == 1
    assert seen.value("tricast_received_messages_total", source="http") == 1


async def test_refusals_on_every_transport(server: Node, http: Http) -> None:
    for path in ("/poll?v=2", "/sse?v=2"):
        assert (await http.get(path)).status == 400
    assert (await http.get("/poll", headers={"Origin": "https://x.example"})).status == 403
    async with websocket(server, v=2) as refused:
        assert await refused.close_code() == 4400
    seen = await scrape(server)
    assert seen.value("tricast_refusals_total", reason="bad_request") == 3
    assert seen.value("tricast_refusals_total", reason="origin") == 1


async def test_gaps_and_slow_readers() -> None:
    async with running(write_buffer=64 * KIB, retention_count=20) as server, Http(server) as http:
        async with RawStream("sse", server, "topics=a"):
            await http.publish("a", *["x" * 50_000] * 300)
            seen = await scrape(server)
            assert seen.value("tricast_slow_readers_total", transport="sse") == 1
            assert seen.value("tricast_slow_readers_total", transport="ws") == 0
        await http.poll("a", cursor="other-1")
        await http.poll("a", cursor=f"{server.service.bus.log.epoch}-1")
        seen = await scrape(server)
    assert seen.value("tricast_gaps_total", reason="epoch") == 1
    assert seen.value("tricast_gaps_total", reason="expired") == 1


async def test_why_clients_fell_back_is_one_of_few_words(server: Node, http: Http) -> None:
    before = (await scrape(server)).series("tricast_fallbacks_total")
    for why in ("ws:refused", "ws%3Arefused", "ws:made-up", "made-up:refused", "a" * 500, "%00"):
        assert (await http.get(f"/poll?why={why}")).status == 200
    seen = await scrape(server)
    assert seen.value("tricast_fallbacks_total", transport="ws", reason="refused") == 2
    assert seen.value("tricast_fallbacks_total", transport="ws", reason="other") == 1
    assert seen.value("tricast_fallbacks_total", transport="other", reason="other") == 3
    assert seen.series("tricast_fallbacks_total") == before + 1


async def test_a_client_tells_why_it_fell_back(server: Node) -> None:
    """Where WebSockets are refused, and where they are swallowed."""
    patient, hasty = tricast.Policy(stagger=20.0), tricast.Policy(stagger=0.05)
    for preset, policy, reason in (
        ("corporate-proxy-no-upgrade", patient, "refused"),
        ("websocket-blackhole", hasty, "slow"),
    ):
        async with Middlebox(upstream=server.url, faults=PRESETS[preset].faults) as box:
            async with tricast.connect(box.url, topics=["a"], transports=["ws", "sse"], policy=policy) as bus:
                assert bus.transport == "sse"
        seen = await scrape(server)
        assert seen.value("tricast_fallbacks_total", transport="ws", reason=reason) == 1
    assert seen.value("tricast_fallbacks_total", transport="ws", reason="refused") == 1


async def test_services_do_not_share_their_numbers(server: Node, http: Http) -> None:
    async with running() as other, Http(other) as others:
        await others.publish("a", 1)
        assert (await scrape(other)).value("tricast_log_messages") == 1
        assert (await scrape(server)).value("tricast_log_messages") == 0


async def test_no_topic_and_no_client_is_named(server: Node, http: Http) -> None:
    await http.send(publish("a-secret-topic", 1), client="a-secret-client")
    async with reader("poll", server, "a-secret-topic", client="a-secret-client"):
        assert "secret" not in (await scrape(server)).text


async def by_token(access: Access) -> str | None:
    if access.token is None:
        raise Unauthorized("who are you?")
    return access.token


@pytest.mark.parametrize("path", ["/stats", "/metrics"])
async def test_where_an_application_asks_who_comes_it_is_asked_here_too(path: str) -> None:
    through = {"X-Forwarded-For": "192.0.2.1"}
    async with running(authorise=by_token) as server, Http(server) as http:
        assert (await http.get(path, headers=through)).status == 401
        assert (await http.get(path, headers={**through, "Authorization": "Bearer anna"})).status == 200
        assert (await http.get(path)).status == 200


async def test_what_strangers_complain_of_is_not_counted() -> None:
    async with running(authorise=by_token) as server, Http(server) as http:
        assert (await http.get("/poll?why=ws-silent")).status == 401
        before = server.service.tally.fallbacks.copy()
        assert (await http.get("/poll?why=ws-silent&token=anna")).status == 200
        assert not before
        assert server.service.tally.fallbacks.total() == 1
