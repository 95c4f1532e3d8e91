"""Starts a proxy in front of a server, and ends all of it."""

from __future__ import annotations

import asyncio
import contextlib
import os
import pwd
import shutil
import signal
import ssl
import subprocess
import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.helpers import HOST, START_TIMEOUT, Node, missing, running, unused_port
from tests.proxies.cases import Case
from tests.proxies.daemons import SBIN, Conf, fill

NOBODY = "nobody"


@dataclass(frozen=True, kw_only=True)
class Place:
    """A server with a proxy in front. `url` is what a client is given, `env` what it needs in its environment."""

    url: str
    node: Node
    proxy_url: str
    folder: Path
    env: dict[str, str]


@asynccontextmanager
async def proxied(case: Case) -> AsyncIterator[Place]:
    """The case's proxy once it accepts connections. Without the program, the test is skipped."""
    with folder_for_anybody() as folder:
        async with running() as node, _public(case, node, folder) as (port, certificate):
            async with _proxy(case, port, folder) as proxy_port:
                proxy_url = f"http://{HOST}:{proxy_port}"
                match case.way:
                    case "reverse":
                        url, env = proxy_url, {}
                    case "forward":
                        url, env = f"http://{HOST}:{port}", {"http_proxy": proxy_url}
                    case "tunnel":
                        url = f"https://{HOST}:{port}"
                        env = {"https_proxy": proxy_url, "SSL_CERT_FILE": str(certificate)}
                yield Place(url=url, node=node, proxy_url=proxy_url, folder=folder, env=env)


@contextmanager
def folder_for_anybody() -> Iterator[Path]:
    """A directory for the proxy, who is nobody where we are root: some daemons refuse to be root, or drop it oddly.

    It is in /tmp, since nobody may not enter root's own TMPDIR.
    """
    with tempfile.TemporaryDirectory(prefix="tricast-proxy-", dir="/tmp") as name:
        folder = Path(name)
        if os.geteuid() == 0:
            nobody = pwd.getpwnam(NOBODY)
            os.chown(folder, nobody.pw_uid, nobody.pw_gid)
        yield folder


@asynccontextmanager
async def _proxy(case: Case, server_port: int, folder: Path) -> AsyncIterator[int]:
    """Its port."""
    daemon, port = case.daemon, unused_port()
    if daemon.program is None:
        missing(f"{daemon.binary} (scripts/get-apt-packages.sh installs it)")
    places: dict[str, object] = {
        "dir": folder,
        "host": HOST,
        "site": HOST,
        "port": port,
        "listen": f"{HOST}:{port}",
        "server": f"{HOST}:{server_port}",
        "server_port": server_port,
    }
    process = _started(daemon.program, case, places, folder)
    try:
        await _until_it_accepts(process, port, folder)
        yield port
    finally:
        _end(process, daemon.farewell)


def _started(program: str, case: Case, places: dict[str, object], folder: Path) -> subprocess.Popen[bytes]:
    conf = folder / "conf"
    conf.write_text(fill(case.daemon.conf, case.text, places))
    conf.chmod(0o644)
    env = {"PATH": f"{os.environ['PATH']}:{SBIN}", "TMPDIR": "@{dir}", **case.daemon.env}
    with (folder / "output").open("wb") as output:
        return subprocess.Popen(
            [program, *(Conf(argument).substitute(places) for argument in case.daemon.arguments)],
            cwd=folder,
            env={name: Conf(value).substitute(places) for name, value in env.items()},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            **_as_nobody(),
        )


def _as_nobody() -> dict[str, Any]:
    if os.geteuid() != 0:
        return {}
    nobody = pwd.getpwnam(NOBODY)
    return {"user": nobody.pw_uid, "group": nobody.pw_gid, "extra_groups": []}


async def _until_it_accepts(process: subprocess.Popen[bytes], port: int, folder: Path) -> None:
    deadline = time.monotonic() + START_TIMEOUT
    while True:
        assert process.poll() is None, f"ended with {process.returncode}:\n{said(folder)}"
        try:
            _, writer = await asyncio.open_connection(HOST, port)
        except OSError:
            assert time.monotonic() < deadline, f"does not listen:\n{said(folder)}"
            await asyncio.sleep(0.02)
        else:
            writer.close()
            return


def said(folder: Path) -> str:
    """All that the proxy wrote, and its configuration."""
    names = ("output", "error.log", "cache.log", "access.log", "conf")
    files = [folder / name for name in names]
    return "\n".join(f"--- {path.name}\n{path.read_text(errors='replace')}" for path in files if path.exists())


def _end(process: subprocess.Popen[bytes], farewell: float) -> None:
    """With everything that it started."""
    with contextlib.suppress(subprocess.TimeoutExpired):
        if farewell:
            process.terminate()
            process.wait(farewell)
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


# A server on https, which proxies tunnel to by CONNECT


@asynccontextmanager
async def _public(case: Case, node: Node, folder: Path) -> AsyncIterator[tuple[int, Path | None]]:
    """The port that the proxy talks to, and where it speaks TLS, its certificate."""
    if case.way != "tunnel":
        yield node.port, None
        return
    key, certificate = _certificate(folder)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            there, back = await asyncio.open_connection(HOST, node.port)
            with contextlib.closing(writer), contextlib.closing(back):
                pipes = [asyncio.create_task(_pipe(reader, back)), asyncio.create_task(_pipe(there, writer))]
                await asyncio.wait(pipes, return_when=asyncio.FIRST_COMPLETED)
                for pipe in pipes:
                    pipe.cancel()

    async with await asyncio.start_server(serve, HOST, 0, ssl=context) as server:
        yield server.sockets[0].getsockname()[1], certificate


async def _pipe(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):
        while data := await reader.read(2**16):
            writer.write(data)
            await writer.drain()


def _certificate(folder: Path) -> tuple[Path, Path]:
    openssl = shutil.which("openssl")
    if openssl is None:
        missing("openssl")
    key, certificate = folder / "key.pem", folder / "certificate.pem"
    subprocess.run(
        [
            *(openssl, "req", "-x509", "-nodes", "-days", "1", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"),
            *("-subj", f"/CN={HOST}", "-addext", f"subjectAltName=IP:{HOST}"),
            *("-keyout", str(key), "-out", str(certificate)),
        ],
        check=True,
        capture_output=True,
        timeout=10,
    )
    return key, certificate
