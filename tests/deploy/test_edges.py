"""The balancers as shipped, in front of three nodes on one Redis: every transport, no affinity, nothing lost."""

from __future__ import annotations

import asyncio
import json
import os
import re
import sys
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Any

import aiohttp
import pytest
from tests.browser.driving import chromium
from tests.contract import engines
from tests.deploy.edge import EDGES, NODES, Edge, curl, edge
from tests.deploy.followers import COPIES
from tests.helpers import HOST, ROOT, Process, clean_environment, eventually, serving, unused_port
from tests.helpers_clients import EventParser, Frame, publish
from websockets.asyncio.client import connect as connect_websocket
from websockets.typing import Origin

from tricast.transports import LINKS

TIMEOUT = 10.0
FORGED = "203.0.113.7"
ELSEWHERE = "127.0.0.2"
"""A client's address, other than the balancer's."""
SECRET = "token-that-nobody-may-log"

pytestmark = pytest.mark.xdist_group("deploy")


@dataclass(frozen=True, kw_only=True)
class Site:
    """All that is there."""

    redis: engines.Server
    nodes: dict[str, Process]
    edges: dict[str, Edge]


@pytest.fixture(scope="module")
def site() -> Iterator[Site]:
    """One for all tests. They need two of the nodes: one of them takes the last away."""
    with ExitStack() as stack:
        redis = stack.enter_context(engines.engine("redis"))
        ports = {name: unused_port() for name in NODES}
        options = ("--backplane", redis.url, "--drain-timeout", "3", "--trusted-proxy", HOST, "--log-level", "debug")
        nodes = {
            name: stack.enter_context(serving("--node", name, *options, port=port)) for name, port in ports.items()
        }
        edges = {name: stack.enter_context(edge(name, ports)) for name in EDGES}
        yield Site(redis=redis, nodes=nodes, edges=edges)


@pytest.fixture(params=EDGES)
def balancer(site: Site, request: pytest.FixtureRequest) -> Edge:
    return site.edges[request.param]


class Client:
    """One HTTP client, which trusts the balancer's certificate."""

    def __init__(self, balancer: Edge) -> None:
        self.session = aiohttp.ClientSession(balancer.url, connector=aiohttp.TCPConnector(ssl=balancer.trust()))

    async def get(self, path: str, **more: Any) -> tuple[int, Any]:
        async with asyncio.timeout(TIMEOUT), self.session.get(path, **more) as response:
            return response.status, await response.json(content_type=None)

    async def send(self, command: Frame) -> tuple[int, Any]:
        async with asyncio.timeout(TIMEOUT), self.session.post("/send", json=command) as response:
            return response.status, await response.json()

    async def publish(self, topic: str, data: object) -> None:
        status, answer = await self.send(publish(topic, data))
        assert status == 200, answer


@asynccontextmanager
async def client_of(balancer: Edge) -> AsyncIterator[Client]:
    client = Client(balancer)
    try:
        yield client
    finally:
        await client.session.close()


def asked(balancer: Edge, path: str) -> list[str]:
    """The nodes that its log names with this path, by their addresses or names."""
    return re.findall(rf" {re.escape(path)} HTTP.* (?:\S+/)?((?:[\d.]+:\d+)|tricast-\d)\b", balancer.output)


async def test_a_websocket_is_upgraded(balancer: Edge) -> None:
    url = f"{balancer.url.replace('https', 'wss')}/ws?topics=upgraded"
    async with connect_websocket(url, ssl=balancer.trust(), origin=Origin(balancer.url), proxy=None) as websocket:
        assert json.loads(await websocket.recv())["transport"] == "ws"
        await websocket.send(json.dumps(publish("upgraded", "over TLS", ref="1")))
        frames = [json.loads(await websocket.recv()) for _ in range(2)]
        assert {frame["type"] for frame in frames} == {"reply", "message"}


async def test_an_event_stream_comes_over_http2_and_at_once(balancer: Edge) -> None:
    async with client_of(balancer) as client, events(balancer, "/sse?topics=streamed") as stream:
        head, body = stream
        assert head.startswith("HTTP/2 200")
        assert "content-type: text/event-stream" in head.lower()
        assert json.loads((await anext(body)).data)["type"] == "hello"
        took = []
        for number in range(5):
            started = time.perf_counter()
            await client.publish("streamed", number)
            assert json.loads((await anext(body)).data)["data"] == number
            took.append(time.perf_counter() - started)
        # Where a balancer collects, each takes 0.2 s.
        assert min(took) < 0.15


async def test_a_browser_has_all_three_over_http2(site: Site) -> None:
    """One connection to a balancer for all, but for the WebSocket through nginx, which knows no RFC 8441."""
    async with chromium() as browser:
        for balancer, sockets in ((site.edges["nginx"], "HTTP/1.1 101"), (site.edges["haproxy"], "HTTP/2.0 101")):
            page = await browser.new_page(ignore_https_errors=True)
            await page.goto(f"{balancer.url}/healthz")
            assert await page.evaluate(IN_A_BROWSER) == ["sse", "ws", "poll", "sent", "h2", "h2", "h2"]
            await page.close()
            async with asyncio.timeout(TIMEOUT):
                while sockets not in balancer.output.replace('" ', " "):
                    await asyncio.sleep(0.02)


IN_A_BROWSER = """async () => {
    const stream = new EventSource("/sse?topics=page");
    const socket = new WebSocket(location.origin.replace("http", "ws") + "/ws?topics=page");
    const first = (target, name) => new Promise((resolve, reject) => {
        target.addEventListener(name, (event) => resolve(JSON.parse(event.data)), { once: true });
        target.addEventListener("error", () => reject(new Error(`${name} failed`)));
    });
    const hellos = [first(stream, "hello"), first(socket, "message"), fetch("/poll?n=1").then((r) => r.json())];
    const [sse, ws, poll] = await Promise.all(hellos);
    const message = first(stream, "message");
    socket.send(JSON.stringify({ action: "publish", topic: "page", data: "sent" }));
    const { data } = await message;
    stream.close();
    socket.close();
    const seen = () => ["/", "/sse?", "/poll?"].map((path) => performance.getEntries().find(
        (entry) => entry.nextHopProtocol && entry.name.startsWith(location.origin + path))?.nextHopProtocol);
    while (seen().includes(undefined)) await new Promise((resolve) => setTimeout(resolve, 20));
    return [sse.transport, ws.transport, poll.hello.transport, data, ...seen()];
}"""


@asynccontextmanager
async def events(balancer: Edge, path: str) -> AsyncIterator[tuple[str, AsyncIterator[Any]]]:
    """The head of a response over HTTP/2, and the events of its stream."""
    command = curl(balancer, "--http2", "--include", f"{balancer.url}{path}")
    process = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE)
    assert process.stdout is not None
    reader = process.stdout

    async def parsed() -> AsyncIterator[Any]:
        parser = EventParser()
        while chunk := await asyncio.wait_for(reader.read(2**16), TIMEOUT):
            for event in parser.feed(chunk):
                yield event

    try:
        head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), TIMEOUT)
        yield head.decode(), parsed()
    finally:
        process.kill()
        await process.communicate()


async def test_polls_of_one_client_reach_several_nodes_and_lose_nothing(balancer: Edge) -> None:
    before = len(asked(balancer, "/poll"))
    async with client_of(balancer) as client:
        cursor = (await client.get("/poll?topics=turns&n=0"))[1]["cursor"]
        heard: list[Any] = []
        for turn in range(20):
            await client.publish("turns", turn)
            status, answer = await client.get(f"/poll?topics=turns&wait=5&cursor={cursor}&n={turn + 1}")
            assert status == 200, answer
            heard += [frame["data"] for frame in answer["messages"]]
            cursor = answer["cursor"]
        assert heard == list(range(20))
    await eventually(lambda: len(asked(balancer, "/poll")) >= before + 21)
    assert len(set(asked(balancer, "/poll")[before:])) >= 2


async def test_a_node_is_told_the_true_address_of_a_client_and_nothing_that_it_claims(balancer: Edge) -> None:
    claims = [("X-Forwarded-For", FORGED), ("X-Forwarded-For", HOST), ("Forwarded", f"for={FORGED}")]
    path = "/canary/poll?interval=0.01&n=1"
    async with client_of(balancer) as client:
        _, over_http1 = await client.get(path, headers=claims)
    arguments = [part for name, value in claims for part in ("--header", f"{name}: {value}")]
    process = await asyncio.create_subprocess_exec(
        *curl(balancer, "--http2", *arguments, f"{balancer.url}{path}"), stdout=asyncio.subprocess.PIPE
    )
    async with asyncio.timeout(TIMEOUT):
        output, _ = await process.communicate()
    for answer in (over_http1, json.loads(output)):
        headers = {name.lower(): values for name, values in answer["seen"]["headers"].items()}
        assert headers["x-forwarded-for"] == [HOST]
        assert FORGED not in json.dumps(headers)


async def test_a_node_goes_by_the_true_address_of_a_client_and_not_by_a_forged_one(site: Site, balancer: Edge) -> None:
    claims = [("X-Forwarded-For", FORGED), ("X-Forwarded-For", HOST), ("Forwarded", f"for={FORGED}")]
    connector = aiohttp.TCPConnector(ssl=balancer.trust(), local_addr=(ELSEWHERE, 0))
    async with asyncio.timeout(TIMEOUT), aiohttp.ClientSession(balancer.url, connector=connector) as session:
        async with session.ws_connect("/ws?topics=addressed", headers=claims) as websocket:
            node = site.nodes[(await websocket.receive_json())["node"]]
            seen = re.findall(r"connection opened\s+connection=ws-\d+\s+transport=ws\s+address=(\S+)", node.log)
            assert seen[-1] == ELSEWHERE
    assert FORGED not in node.log


async def test_no_token_is_logged(balancer: Edge) -> None:
    async with client_of(balancer) as client:
        for path in ("/poll?topics=a", "/stats?a=1", "/nowhere?a=1", "/metrics?a=1"):
            async with client.session.get(f"{path}&token={SECRET}") as response:
                await response.read()
    await eventually(lambda: " /nowhere " in balancer.output)
    assert SECRET not in balancer.output


async def test_what_is_asked_without_tls_is_sent_to_it(balancer: Edge) -> None:
    url = f"http://{HOST}:{balancer.plain_port}/send?client=c"
    async with aiohttp.ClientSession() as session, session.post(url, data="{}", allow_redirects=False) as response:
        assert response.status == 308  # a POST stays one
        assert response.headers["Location"].startswith(f"https://{HOST}")
        assert response.headers["Location"].endswith("/send?client=c")


async def test_metrics_are_for_those_inside(balancer: Edge) -> None:
    async with client_of(balancer) as client, client.session.get("/metrics") as response:
        assert response.status == 404


async def test_without_the_engine_those_who_read_are_still_served(site: Site) -> None:
    async with client_of(site.edges["nginx"]) as one, client_of(site.edges["haproxy"]) as other:
        await one.publish("kept", 1)
        await asyncio.to_thread(site.redis.kill)
        async with asyncio.timeout(TIMEOUT):
            while " alive/tricast-" not in site.edges["haproxy"].output.splitlines()[-1]:
                assert (await other.get("/stats"))[0] == 200
                await asyncio.sleep(0.1)
        for client in (one, other):
            status, answer = await client.get("/poll?topics=kept&cursor=earliest")
            assert (status, [frame["data"] for frame in answer["messages"]]) == (200, [1])
            status, answer = await client.send(publish("kept", 2))
            assert (status, answer["code"]) == (503, "unavailable")
        await asyncio.to_thread(site.redis.start)
        async with asyncio.timeout(TIMEOUT):
            for client in (one, other):
                while (await client.send(publish("kept", 2, id="two")))[0] != 200:
                    await asyncio.sleep(0.1)


async def test_a_node_that_drains_is_left_and_no_client_sees_an_error(site: Site) -> None:
    """On each transport, behind each balancer, while messages flow; then nobody is sent there any more."""
    leaving = site.nodes[NODES[-1]]
    count = 100
    topic, urls = "drained", [balancer.url for balancer in site.edges.values()]
    certificates = "".join(balancer.certificate.read_text() for balancer in site.edges.values())
    bundle = next(iter(site.edges.values())).folder / "all.pem"
    bundle.write_text(certificates)
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tests.deploy.followers", topic, str(count), *urls),
        cwd=ROOT,
        env={**clean_environment(), "SSL_CERT_FILE": str(bundle), "PYTHONPATH": os.pathsep.join(sys.path)},
        stdout=asyncio.subprocess.PIPE,
    )
    assert process.stdout is not None
    async with asyncio.timeout(50):
        assert await process.stdout.readline() == b"ready\n"
        await asyncio.sleep(0.5)
        assert sum((await asyncio.to_thread(lambda: leaving.connections)).values()) >= 1
        leaving.terminate()
        assert await asyncio.to_thread(leaving.wait) == 0
        seen = json.loads(await process.stdout.read())
        assert await process.wait() == 0
    assert len(seen) == COPIES * len(LINKS) * len(EDGES)
    for who, what in seen.items():
        assert what["heard"] == list(range(count)), (who, what)
        assert (what["transport"], what["lost"]) == (who.partition(" ")[0], 0)
    for balancer in site.edges.values():
        async with client_of(balancer) as client:
            answers = [await client.get("/stats") for _ in range(10)]
        assert {status for status, _ in answers} == {200}
        assert {answer["node"] for _, answer in answers} == set(NODES[:2])
