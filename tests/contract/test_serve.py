"""`tricast serve` as whoever runs it sees it: options, TRICAST_* variables, and what it says when it cannot start."""

from __future__ import annotations

import re
import socket
import subprocess
from dataclasses import fields
from pathlib import Path

import pytest
import typer
from tests.helpers import COMMAND, HOST, clean_environment, fetch, serving, unused_port
from tests.helpers_clients import Http, reader, websocket
from typer.testing import CliRunner, Result

from tricast_server import Settings
from tricast_server.cli import register

# Not settings of the bus, or spelt in the singular as they may be given several times.
NAMES = {"allow_origins": "allow-origin", "allow_hosts": "allow-host", "trusted_proxies": "trusted-proxy"}


def run_here(*arguments: str) -> Result:
    """The command in this process, for what ends before a server starts: the imports take seconds."""
    app = typer.Typer()
    app.callback()(lambda: None)
    register(app)
    return CliRunner().invoke(app, arguments, env=clean_environment())


@pytest.fixture(scope="module")
def help_text() -> str:
    result = run_here("serve", "--help")
    assert result.exit_code == 0
    return result.output


@pytest.mark.parametrize("name", ["host", "port", *(field.name for field in fields(Settings))])
def test_every_setting_has_an_option_and_a_variable(help_text: str, name: str) -> None:
    option = NAMES.get(name, name.replace("_", "-"))
    assert re.search(rf"--{option}\b", help_text)
    assert f"TRICAST_{option.upper().replace('-', '_')}" in help_text


async def test_variables_set_what_no_option_does() -> None:
    port = unused_port()
    variables = {
        "TRICAST_HEARTBEAT": "7.5",
        "TRICAST_NODE": "from-variable",
        "TRICAST_RETENTION_COUNT": "2",
        "TRICAST_ALLOW_ORIGIN": "https://one.example https://two.example",
        "TRICAST_ALLOW_HOST": "good.example",
    }
    with serving("--node", "from-option", env=variables, port=port) as server:
        async with websocket(server) as socket, Http(server) as http:
            assert (socket.hello["heartbeat"], socket.hello["node"]) == (7.5, "from-option")
            await http.publish("a", 1, 2, 3)
            async with reader("poll", server, "a", cursor="earliest") as subscriber:
                assert await subscriber.data(2) == [2, 3]
            for origin in ("https://one.example", "https://two.example"):
                assert (await http.get("/poll", headers={"Origin": origin})).status == 200
            assert (await http.get("/poll", headers={"Origin": "https://x.example"})).status == 403
            for host in ("good.example", "localhost"):
                assert (await http.get("/poll", headers={"Host": host})).status == 200
            assert (await http.get("/poll", headers={"Host": "x.example"})).status == 403


def test_port_0_takes_a_free_one_and_says_which() -> None:
    command: list[str | Path] = [COMMAND, "serve", "--port", "0"]
    with subprocess.Popen(command, env=clean_environment(), stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        try:
            line = process.stderr.readline()
            found = re.search(r"http://127\.0\.0\.1:(\d+)", line)
            assert found, line
            assert fetch(f"http://{HOST}:{found[1]}/healthz")[0] == 200
        finally:
            process.terminate()
            process.wait(10)
    assert process.returncode == 0


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["--heartbeat", "0"], "heartbeat"),
        (["--max-message", "600000"], "max-message"),
        (["--retention-age", "60"], "dedupe-window"),
        (["--port", "70000"], "--port"),
        (["--nonsense"], "--nonsense"),
    ],
    ids=str,
)
def test_settings_that_do_not_go_together_are_refused_with_the_reason(arguments: list[str], reason: str) -> None:
    result = run_here("serve", "--port", "0", *arguments)
    assert result.exit_code == 2
    assert reason in result.output


def test_a_port_that_is_taken_is_told_without_a_traceback() -> None:
    with socket.create_server((HOST, unused_port())) as listener:
        port = listener.getsockname()[1]
        command: list[str | Path] = [COMMAND, "serve", "--port", str(port)]
        done = subprocess.run(command, env=clean_environment(), capture_output=True, text=True, timeout=30)
    assert done.returncode == 1
    assert str(port) in done.stderr
    assert "--port" in done.stderr
    assert "Traceback" not in done.stderr
