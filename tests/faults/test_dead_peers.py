"""Peers that vanish without a word are found and let go; those that live, however silent, are not."""

from __future__ import annotations

import asyncio
import json
import shutil
import subprocess
import sys
from pathlib import Path

from tests.helpers import ROOT, eventually, missing, running
from tests.helpers_clients import Http, reader, websocket
from tests.helpers_raw import RawStream

HEARTBEAT = 0.5
PING_EVERY = 4.0
"""The server pings at its heartbeat, but never more often than this, and waits half as long for the pong."""
UNPLUGGED = Path(__file__).with_name("unplugged.py")


async def test_a_websocket_that_answers_no_ping_is_ended_and_one_that_does_stays() -> None:
    clock = asyncio.get_running_loop()
    async with running(heartbeat=HEARTBEAT) as server:
        async with RawStream("ws", server, mute=True) as dead, websocket(server) as living:
            started = clock.time()
            await dead.ended()
            assert PING_EVERY < clock.time() - started < 2 * PING_EVERY
            await eventually(lambda: server.service.stats()["connections"]["ws"] == 1)
            assert (await living.ask(action="echo", data="alive"))["data"] == "alive"


async def test_an_event_stream_that_takes_nothing_is_given_up_and_may_resume() -> None:
    """The kernel gives up what stays unacknowledged for two heartbeats."""
    async with running(heartbeat=2 * HEARTBEAT) as server, Http(server) as http:
        async with RawStream("sse", server, "topics=a") as stuck, reader("sse", server, "a") as living:
            hello = await stuck.next()
            reading = asyncio.create_task(living.messages(200, timeout=20))
            places = await http.publish("a", *[[n, "x" * 50_000] for n in range(200)])
            assert [message["cursor"] for message in await reading] == places
            await eventually(lambda: server.service.stats()["connections"]["sse"] == 1, timeout=15)
            async with reader("sse", server, "a", cursor=hello["cursor"]) as again:
                assert [message["cursor"] for message in await again.messages(200)] == places
            await http.publish("a", "fence")
            assert await living.data(1) == ["fence"]


def test_an_event_stream_whose_cable_is_pulled_is_ended() -> None:
    """In a network namespace of its own, as nothing else makes acknowledgements stay away."""
    unshare = shutil.which("unshare") or missing("unshare, of util-linux")
    if not shutil.which("ip"):
        missing("ip, of iproute2")
    # Killed, it takes all processes of the namespace with it.
    namespace = [unshare, "--map-root-user", "--net", "--pid", "--fork", "--kill-child"]
    if subprocess.run([*namespace, "ip", "link", "set", "lo", "up"], capture_output=True).returncode:
        missing("the right to make a network namespace")
    command = [*namespace, sys.executable, str(UNPLUGGED), str(HEARTBEAT)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=40)
    assert done.returncode == 0, done.stdout + done.stderr
    seen = json.loads(done.stdout)
    assert seen["before"] == {"ws": 0, "sse": 2, "poll": 0}
    assert seen["after"] == {"ws": 0, "sse": 1, "poll": 0}
    assert 1.5 * HEARTBEAT < seen["seconds"] < 10 * HEARTBEAT
    assert seen["living"].startswith("event: heartbeat")
