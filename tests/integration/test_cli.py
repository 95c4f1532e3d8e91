"""The `tricast` command as a person or a script meets it."""

from __future__ import annotations

import base64
import http.server
import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.helpers import HOST, Process, clean_environment, serving, unused_port
from typer.testing import CliRunner, Result

from tricast.cli import app

COMMAND = [sys.executable, "-m", "tricast.cli"]
TIMEOUT = 30.0

# All of them talk to one server. A command may print while its event loop runs: it does nothing else.
pytestmark = [pytest.mark.xdist_group("cli"), pytest.mark.may_block("prints")]


@pytest.fixture(scope="module")
def server() -> Iterator[Process]:
    with serving() as process:
        yield process


@pytest.fixture
def environment(server: Process, tmp_path: Path) -> dict[str, str]:
    """Ours, with the server's address, and a place of its own for what the client remembers."""
    return {**clean_environment(), "TRICAST_URL": server.url, "XDG_CACHE_HOME": str(tmp_path)}


def tricast(*args: str, env: dict[str, str], stdin: bytes = b"") -> Result:
    """In this process: starting Python and importing everything takes longer than most of these tests."""
    return CliRunner().invoke(app, args, input=stdin, env=env)


def lines(*args: str, env: dict[str, str]) -> list[dict[str, Any]]:
    """What `sub --json` prints."""
    done = tricast("sub", "--json", *args, env=env)
    assert done.exit_code == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


def publish(topic: str, *args: str, env: dict[str, str], stdin: bytes = b"") -> str:
    done = tricast("pub", topic, *args, env=env, stdin=stdin)
    assert (done.exit_code, done.stderr) == (0, "")
    return done.stdout.strip()


def test_what_is_published_is_printed(environment: dict[str, str]) -> None:
    at = publish("cli.a", '{"n": [1, "é"]}', "--event", "e", "--id", "m-1", env=environment)
    assert publish("cli.a", '{"n": [1, "é"]}', "--event", "e", "--id", "m-1", env=environment) == at
    publish("cli.a", "just words", "--transport", "poll", env=environment)
    publish("cli.a", "-", env=environment, stdin=b"from stdin\n")
    publish("cli.a", "-", env=environment, stdin=b"\xff\x00")
    printed = lines("cli.a", "--cursor", "earliest", "--count", "4", env=environment)
    assert [m.get("data", m.get("data_b64")) for m in printed] == [
        {"n": [1, "é"]},
        "just words",
        "from stdin",
        "/wA=",
    ]
    assert (printed[0]["cursor"], printed[0]["event"], printed[0]["id"]) == (at, "e", "m-1")


@pytest.mark.parametrize("form", ["json", "protobuf"])
def test_bytes_go_as_they_are(form: str, environment: dict[str, str], tmp_path: Path) -> None:
    topic, file = f"cli.bytes.{form}", tmp_path / "number.json"
    file.write_bytes(b"17\n")
    publish(topic, "-", "--bytes", "--format", form, env=environment, stdin=b'{"looks": "like JSON"}\n')
    publish(topic, str(file), "--bytes", "--format", form, env=environment)
    publish(topic, str(file), "--format", form, env=environment)
    args = (topic, "--cursor", "earliest", "--count", "3", "--format", form)
    printed = lines(*args, env=environment)
    assert [base64.b64decode(m["data_b64"]) for m in printed[:2]] == [b'{"looks": "like JSON"}\n', b"17\n"]
    assert printed[2]["data"] == str(file), "without --bytes, DATA is what is published"
    assert "  (3 bytes) 31 37 0a\n" in tricast("sub", *args, env=environment).stdout
    assert tricast("echo", "--format", form, "--count", "1", env=environment).exit_code == 0


@pytest.mark.parametrize("transport", ["auto", "ws", "sse", "poll"])
def test_any_transport_and_the_last_messages(transport: str, environment: dict[str, str]) -> None:
    for n in range(3):
        publish(f"cli.{transport}", str(n), env=environment)
    args = (f"cli.{transport}", "--transport", transport, "--last", "2", "--count", "2")
    assert [message["data"] for message in lines(*args, env=environment)] == [1, 2]


def test_for_people_a_message_is_a_line_and_harmless(environment: dict[str, str]) -> None:
    at = publish("cli.b", '{"a":"\\u001b[31mred"}', env=environment)
    publish("cli.b", "\x1b]0;title\x07 [bold]é", env=environment)
    done = tricast("sub", "cli.b", "--cursor", "earliest", "--count", "2", env=environment)
    first, second = done.stdout.splitlines()
    assert first == f'cli.b {at}  {{"a": "\\u001b[31mred"}}'
    assert second.endswith('"\\u001b]0;title\\u0007 [bold]é"')
    assert "\x1b" not in done.stdout + done.stderr


def test_a_loss_is_said(environment: dict[str, str]) -> None:
    publish("cli.c", "1", env=environment)
    args = ("cli.c", "--cursor", "other-1", "--count", "1")
    process = subprocess.Popen([*COMMAND, "sub", *args], env=environment, stderr=subprocess.PIPE, text=True)
    assert process.stderr is not None
    with process:
        assert "listening to cli.c" in process.stderr.readline()
        assert "may have lost messages of cli.c" in process.stderr.readline()
        publish("cli.c", "2", env=environment)
        assert process.wait(TIMEOUT) == 0


def test_how_long_a_round_trip_takes(environment: dict[str, str]) -> None:
    done = tricast("echo", "--count", "2", env=environment)
    assert (done.exit_code, done.stderr) == (0, "")
    assert [line.split()[0] for line in done.stdout.splitlines()] == ["ws", "sse", "poll"]
    assert all(float(line.split()[1]) > 0 and " ms" in line for line in done.stdout.splitlines())


def test_the_version(environment: dict[str, str]) -> None:
    done = tricast("version", env=environment)
    assert done.exit_code == 0
    assert done.stdout.strip()


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (["sub", "a/b"], "a/b"),
        (["sub"], "TOPIC"),
        (["sub", "t", "--transport", "pigeon"], "pigeon"),
        (["sub", "t", "--count", "0"], "count"),
        (["pub", "a b", "1"], "a b"),
        (["pub", "t"], "DATA"),
        (["pub", "t", "nowhere.bin", "--bytes"], "nowhere.bin"),
        (["sub", "t", "--format", "xml"], "xml"),
        (["pub", "t", "1", "--url", "ftp://example"], "ftp://example"),
        (["echo", "--count", "x"], "count"),
        (["fly"], "fly"),
    ],
    ids=str,
)
def test_wrong_usage(args: list[str], words: str, environment: dict[str, str]) -> None:
    done = tricast(*args, env=environment)
    assert done.exit_code == 2
    assert words in done.stderr
    assert "Traceback" not in done.stderr


def test_a_cursor_that_is_none(environment: dict[str, str]) -> None:
    done = tricast("sub", "t", "--cursor", "bogus", env=environment)
    assert done.exit_code == 2
    assert "is no cursor" in done.stderr


@pytest.mark.parametrize("args", [["sub", "t"], ["pub", "t", "1"], ["echo", "--transport", "sse"]], ids=str)
def test_where_nobody_listens(args: list[str], environment: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tricast.cli.OPEN_TIMEOUT", 0.5)
    url = f"http://{HOST}:{unused_port()}"
    done = tricast(*args, "--url", url, env=environment)
    assert (done.exit_code, done.stdout) == (1, "")
    assert done.stderr.startswith(f"Error: nothing works at {url}.")
    assert "Connect call failed" in done.stderr
    assert "Traceback" not in done.stderr


def test_where_the_server_answers_but_not_on_this_transport(
    environment: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    class Blocked(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200 if self.path == "/healthz" else 502)
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:
            pass

    monkeypatch.setattr("tricast.cli.OPEN_TIMEOUT", 1.5)
    with http.server.ThreadingHTTPServer((HOST, 0), Blocked) as server:
        threading.Thread(target=server.serve_forever).start()
        url = f"http://{HOST}:{server.server_address[1]}"
        done = tricast("echo", "--transport", "ws", "--url", url, env=environment)
        server.shutdown()
    assert done.exit_code == 1
    assert done.stderr.startswith(f"Error: the server at {url} answers, but not over ws. `tricast probe {url}` says")


def test_what_the_server_finds_wrong(environment: dict[str, str]) -> None:
    publish("cli.d", "1", "--id", "same", env=environment)
    done = tricast("pub", "cli.d", "2", "--id", "same", env=environment)
    assert (done.exit_code, done.stdout) == (1, "")
    assert done.stderr.startswith("Error: the server refused: ")
    assert "conflict" in done.stderr


@pytest.mark.parametrize("stop", [signal.SIGINT], ids=["Ctrl-C"])
def test_ctrl_c_is_quiet(stop: signal.Signals, environment: dict[str, str]) -> None:
    # Where the tests run as a background job SIGINT is ignored, which children inherit: handlers they do not.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    process = subprocess.Popen(
        [*COMMAND, "sub", "t"], env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    signal.signal(signal.SIGINT, before)
    assert process.stderr is not None
    with process:
        assert "listening" in process.stderr.readline()
        process.send_signal(stop)
        out, err = process.communicate(timeout=TIMEOUT)
    assert (process.returncode, out, err) == (130, "", "")


@pytest.mark.parametrize("form", [[], ["--json"]], ids=["for people", "as JSON"])
def test_a_closed_pipe_is_quiet(form: list[str], environment: dict[str, str]) -> None:
    read, write = os.pipe()
    process = subprocess.Popen(
        [*COMMAND, "sub", "cli.e", *form], env=environment, stdout=write, stderr=subprocess.PIPE, text=True
    )
    os.close(write)
    os.close(read)
    assert process.stderr is not None
    with process:
        assert "listening" in process.stderr.readline()
        publish("cli.e", "1", env=environment)
        assert process.wait(TIMEOUT) == 1
        assert process.stderr.read() == ""


def test_help_names_every_command(environment: dict[str, str]) -> None:
    done = subprocess.run([*COMMAND, "--help"], env=environment, capture_output=True, timeout=TIMEOUT, text=True)
    assert done.returncode == 0
    for command in ("sub", "pub", "echo", "version", "serve"):
        assert f" {command} " in done.stdout
