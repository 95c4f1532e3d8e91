"""The middlebox's control API and its command, before a real server."""

from __future__ import annotations

import json
import re
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from typing import Any

import aiohttp
import pytest
import typer
from tests.helpers import HOST, Node, clean_environment, fetch, running, unused_port
from tests.helpers_clients import READERS, Ended, Reader, readers
from typer.testing import CliRunner, Result

from tricast_bench.cli import register
from tricast_bench.middlebox import KINDS, PRESETS, Control, Faults, Middlebox

COMMAND = [sys.executable, "-m", "tricast.cli", "middlebox"]


@pytest.fixture
async def node() -> AsyncIterator[Node]:
    async with running() as node:
        yield node


@pytest.fixture
async def box(node: Node) -> AsyncIterator[Middlebox]:
    async with Middlebox(upstream=node.url) as box:
        yield box


class Api:
    """Calls of a control API."""

    def __init__(self, url: str, client: aiohttp.ClientSession) -> None:
        self.url = url
        self._client = client

    async def __call__(self, method: str, path: str, status: int = 200, **options: Any) -> Any:
        async with self._client.request(method, self.url + path, **options) as response:
            assert response.status == status, await response.text()
            self.headers = response.headers
            return await response.json() if response.content_type == "application/json" else None


@pytest.fixture
async def api(box: Middlebox) -> AsyncIterator[Api]:
    async with Control(box) as control, aiohttp.ClientSession() as client:
        yield Api(control.url, client)


async def test_the_state(api: Api, box: Middlebox, node: Node) -> None:
    state = await api("GET", "/")
    assert (state["url"], state["upstream"], state["preset"], state["faults"]) == (box.url, node.url, "clean", {})
    assert state["counters"]["connections"] == 0
    assert set(state["counters"]["kinds"]) == set(KINDS)
    assert set(state["presets"]) == set(PRESETS)
    assert state["presets"]["post-eater"] == {"about": PRESETS["post-eater"].about, "faults": {"eat_post": True}}


async def test_faults_are_replaced_merged_and_deleted(api: Api, box: Middlebox) -> None:
    state = await api("PUT", "/faults", json={"delay_ms": 5, "cut_after": {"sse": 9}})
    assert state["faults"] == {"delay_ms": 5, "cut_after": {"sse": 9}}
    assert state["preset"] is None
    assert box.faults == Faults(delay_ms=5, cut_after={"sse": 9})
    state = await api("PATCH", "/faults", json={"delay_ms": None, "eat_post": True})
    assert state["faults"] == {"eat_post": True, "cut_after": {"sse": 9}}
    state = await api("PUT", "/faults", json={"eat_post": True})
    assert state["preset"] == "post-eater"
    state = await api("DELETE", "/faults")
    assert state["preset"] == "clean"
    state = await api("POST", "/presets/train")
    assert (state["preset"], box.faults) == ("train", PRESETS["train"].faults)


@pytest.mark.parametrize(
    ("method", "path", "body", "status", "said"),
    [
        ("PUT", "/faults", '{"explode": true}', 400, "no such fault: 'explode'"),
        ("PATCH", "/faults", '{"delay_ms": -1}', 400, "delay_ms is a number that is not negative, not -1"),
        ("PATCH", "/faults", '{"delay_ms": NaN}', 400, "not nan"),
        ("PUT", "/faults", "[]", 400, "a JSON object"),
        ("PATCH", "/faults", "[1]", 400, "a JSON object"),
        ("PUT", "/faults", "{", 400, "Expecting"),
        ("PUT", "/faults", b"\xff", 400, "utf-8"),
        ("POST", "/presets/none-such", "", 404, "no such preset"),
        ("POST", "/cut?kind=tcp", "", 400, "no such kind"),
        ("GET", "/elsewhere", "", 404, "Not Found"),
        ("POST", "/faults", "", 405, "Method Not Allowed"),
    ],
)
async def test_what_is_wrong_is_said(
    api: Api, box: Middlebox, method: str, path: str, body: str | bytes, status: int, said: str
) -> None:
    box.set(Faults(delay_ms=1.0))
    assert said in (await api(method, path, status, data=body))["error"]
    assert box.faults == Faults(delay_ms=1.0)


async def test_cut_and_counters(api: Api, box: Middlebox, node: Node) -> None:
    async with through(box) as streams:
        state = await api("GET", "/")
        assert state["counters"]["kinds"]["ws"]["open"] == state["counters"]["kinds"]["sse"]["open"] == 1
        assert (await api("POST", "/cut?kind=ws"))["cut"] == 1
        with pytest.raises(Ended):
            await streams["ws"].next()
        state = await api("POST", "/cut")
        assert state["cut"] >= 1
        assert state["counters"]["kinds"]["sse"]["cut"] == 1


@pytest.mark.parametrize(
    "origin", ["http://localhost:8080", "http://127.0.0.1:5173", "http://[::1]", "https://localhost"]
)
async def test_pages_of_this_machine_may_call(api: Api, origin: str) -> None:
    headers = {"Origin": origin}
    await api("OPTIONS", "/faults", 204, headers={**headers, "Access-Control-Request-Method": "PATCH"})
    assert api.headers["Access-Control-Allow-Origin"] == origin
    assert "PATCH" in api.headers["Access-Control-Allow-Methods"]
    assert api.headers["Access-Control-Allow-Headers"] == "Content-Type"
    await api("PATCH", "/faults", headers=headers, json={})
    assert api.headers["Access-Control-Allow-Origin"] == origin
    assert api.headers["Vary"] == "Origin"
    await api("PATCH", "/faults", 400, headers=headers, json=[])
    assert api.headers["Access-Control-Allow-Origin"] == origin


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "https://example.com"},
        {"Origin": "http://localhost.example.com"},
        {"Origin": "null"},
        {"Origin": "http://[bad"},
        {"Host": "rebound.example.com"},
    ],
)
async def test_other_pages_may_not(api: Api, box: Middlebox, headers: dict[str, str]) -> None:
    await api("POST", "/presets/dead-wifi", 403, headers=headers)
    assert "Access-Control-Allow-Origin" not in api.headers
    assert box.faults == Faults()


async def test_a_port_in_use(box: Middlebox) -> None:
    with pytest.raises(OSError):
        async with Control(box, box.address[1]):
            pass


# Before the real server


class Through(Node):
    """The real server, as it is reached through a middlebox."""


def through(box: Middlebox, **params: Any) -> Any:
    return readers(Through(port=box.address[1], service=None), **params)  # type: ignore[arg-type]  # no node behind it


def before(box: Middlebox, kind: str) -> Reader:
    return READERS[kind](Through(port=box.address[1], service=None), {}, None)  # type: ignore[arg-type]  # no node behind it


async def test_streams_of_the_real_server_pass(box: Middlebox, node: Node) -> None:
    async with through(box) as streams:
        await node.service.publish("lobby", "x")
        for stream in streams.values():
            assert (await stream.next("message"))["data"] == "x"


async def test_the_real_server_is_not_held_by_nginx(box: Middlebox) -> None:
    box.preset("nginx-default")
    async with before(box, "sse"), before(box, "poll"):
        pass
    async with aiohttp.ClientSession() as client:
        with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
            await client.ws_connect(f"{box.url}/ws")
    assert refused.value.status == 400


# The command


@contextmanager
def command(*options: str) -> Iterator[tuple[str, str]]:
    """A middlebox as a process, and where it and its control API listen."""
    process = subprocess.Popen(
        [*COMMAND, "--listen", f"{HOST}:0", "--control", "0", *options],
        env=clean_environment(),
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout is not None
        said = process.stdout.readline()
        box, _, control = re.findall(r"http://[\d.:]+", said)
        yield box, control
        process.terminate()
        assert process.wait(10) == 0
    finally:
        process.kill()
        process.communicate()


@pytest.mark.may_block("it reads what a process says")
def test_the_command_serves_until_it_is_told_to_end() -> None:
    upstream = f"http://{HOST}:{unused_port()}"
    with command("--upstream", upstream, "--preset", "train") as (box, control):
        status, body = fetch(control)
        state = json.loads(body)
        assert (status, state["url"], state["upstream"], state["preset"]) == (200, box, upstream, "train")
        assert fetch(f"{box}/poll")[0] == 502


def run(*options: str) -> Result:
    app = typer.Typer()
    app.callback()(lambda: None)
    register(app)
    return CliRunner(env={"TERMINAL_WIDTH": "200", "COLUMNS": "200"}).invoke(app, ["middlebox", *options])


def test_the_command_lists_its_presets() -> None:
    listed = run("--list-presets").stdout
    lines = [line.split(maxsplit=1) for line in listed.splitlines()]
    assert lines == [[name, preset.about] for name, preset in PRESETS.items()]
    shown = run("--help").stdout
    for name, preset in PRESETS.items():
        assert re.search(rf"{name} +{re.escape(preset.about)}", shown)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--preset", "none-such"], "no such preset: none-such"),
        (["--listen", "0.0.0.0:0"], "--public"),
        (["--listen", "8081"], "HOST:PORT"),
        (["--listen", "127.0.0.1:99999"], "HOST:PORT"),
        (["--upstream", "localhost:8080"], "http://HOST:PORT"),
    ],
)
def test_what_the_command_does_not_take(options: list[str], said: str) -> None:
    done = run(*options)
    assert done.exit_code == 2
    assert said in done.stderr


def test_the_command_says_that_a_port_is_in_use() -> None:
    with socket.create_server((HOST, 0)) as taken:
        port = taken.getsockname()[1]
        for options in (["--listen", f"{HOST}:{port}", "--control", "0"], ["--control", str(port)]):
            done = run("--listen", f"{HOST}:0", *options)
            assert done.exit_code == 1
            assert "Cannot listen" in done.stderr
