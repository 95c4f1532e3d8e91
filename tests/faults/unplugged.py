"""Run in a network namespace of its own: an event stream whose client's address vanishes, and one that lives on.

Prints what /stats said of connections before and after, and how many seconds the server took to find out.
"""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from tests.helpers import HOST, Process, serving

ADDRESS = "10.111.0.1"
TIMEOUT = 20.0


def ip(*arguments: str) -> None:
    subprocess.run(["ip", *arguments], check=True)


def open_stream(server: Process, address: str) -> socket.socket:
    """An event stream from this address, once its first event has come."""
    client = socket.socket()
    client.bind((address, 0))
    client.settimeout(TIMEOUT)
    client.connect((HOST, server.port))
    client.sendall(f"GET /sse HTTP/1.1\r\nHost: {server.authority}\r\n\r\n".encode())
    seen = b""
    while b"\n\n" not in seen:
        seen += client.recv(4096)
    return client


def main() -> None:
    ip("link", "set", "lo", "up")
    ip("address", "add", f"{ADDRESS}/32", "dev", "lo")
    with serving("--heartbeat", sys.argv[1]) as server:
        living, dead = open_stream(server, HOST), open_stream(server, ADDRESS)
        before = server.connections
        # From here on packets to that address go nowhere: no acknowledgement comes, and no reset.
        ip("route", "flush", "table", "local", ADDRESS)
        ip("route", "add", "blackhole", ADDRESS)
        pulled = time.monotonic()
        while server.connections == before and time.monotonic() - pulled < TIMEOUT:
            time.sleep(0.05)
        seconds = time.monotonic() - pulled
        after = server.connections
        chunk = living.recv(4096).partition(b"\r\n")[2].decode()
        print(json.dumps({"before": before, "after": after, "seconds": seconds, "living": chunk}))
        living.close()
        dead.close()


if __name__ == "__main__":
    main()
