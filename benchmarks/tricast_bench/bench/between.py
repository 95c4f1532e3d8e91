"""What may stand between the load and the server: a middlebox with a delay, or nginx. Each in a process of its own."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

from tricast_bench.scenarios import Case
from tricast_bench.servers import HOST, START_TIMEOUT, STEP, Peer, Unusable, free_port, program, running

NGINX = """
daemon off; master_process off; pid {folder}/pid; error_log {folder}/error.log;
events {{ worker_connections 4096; }}
http {{
  access_log off;
  client_body_temp_path {folder}/t1; proxy_temp_path {folder}/t2; fastcgi_temp_path {folder}/t3;
  uwsgi_temp_path {folder}/t4; scgi_temp_path {folder}/t5;
  upstream bus {{ server {server}; keepalive 200; }}
  map $http_upgrade $connection_header {{ default upgrade; "" ""; }}
  server {{
    listen {host}:{port};
    location / {{
      proxy_pass http://bus;
      proxy_http_version 1.1;
      proxy_set_header Upgrade $http_upgrade;
      proxy_set_header Connection $connection_header;
      proxy_set_header Host $http_host;
      proxy_read_timeout 300s;
    }}
  }}
}}
"""


def nginx() -> str | None:
    """The program, where it is installed; daemons are often not on the path of users."""
    return shutil.which("nginx", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin")


def missing(case: Case, *, target: bool) -> str | None:
    """Why a case cannot be measured here, if so."""
    if case.through == "nginx" and nginx() is None:
        return "nginx is not installed"
    if target and case.through is not None:
        return "--target is measured as it is, with nothing put before it"
    return None


@contextlib.contextmanager
def between(case: Case, url: str, core: int) -> Iterator[str]:
    """The URL that the load goes to. Raises Unusable."""
    if case.through is None:
        yield url
    elif case.through == "middlebox":
        with _middlebox(url, core, float(case.parameters.get("delay_ms") or 0)) as address:
            yield address
    else:
        with _nginx(url, core) as address:
            yield address


@contextlib.contextmanager
def _middlebox(url: str, core: int, delay_ms: float) -> Iterator[str]:
    control = free_port()

    def command(port: int) -> list[str]:
        listen = ["--listen", f"{HOST}:{port}", "--upstream", url, "--control", str(control)]
        return [program("tricast"), "middlebox", *listen]

    with running(Peer("middlebox", command, {}), core) as box:
        request = urllib.request.Request(
            f"http://{HOST}:{control}/faults",
            json.dumps({"delay_ms": delay_ms}).encode(),
            {"Content-Type": "application/json"},
            method="PUT",
        )
        _ask(request)
        yield f"http://{HOST}:{box.port}"


def _ask(request: urllib.request.Request) -> None:
    """Tries until the control port listens, which it may do after the other. Raises Unusable."""
    deadline = time.monotonic() + START_TIMEOUT
    while True:
        try:
            with urllib.request.urlopen(request, timeout=10):
                return
        except urllib.error.URLError as error:
            if time.monotonic() > deadline or not isinstance(error.reason, ConnectionRefusedError):
                raise Unusable(f"the middlebox takes no faults: {error}") from None
        time.sleep(STEP)


@contextlib.contextmanager
def _nginx(url: str, core: int) -> Iterator[str]:
    with tempfile.TemporaryDirectory(prefix="tricast-nginx-") as folder:

        def command(port: int) -> list[str]:
            text = NGINX.format(folder=folder, host=HOST, port=port, server=url.removeprefix("http://"))
            Path(folder, "conf").write_text(text, encoding="utf-8")
            return [nginx() or "nginx", "-e", f"{folder}/error.log", "-c", f"{folder}/conf", "-p", folder]

        with running(Peer("nginx", command, {}), core) as proxy:
            yield f"http://{HOST}:{proxy.port}"
