"""What the benchmark says about other servers is so: each understands what it is told, and all arrives once."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest
from tests.helpers import missing

from tricast_bench.peers import installed
from tricast_bench.peers.compiled import compiler_missing
from tricast_bench.peers.job import Job
from tricast_bench.peers.load import loading
from tricast_bench.peers.peer import Peer
from tricast_bench.peers.registry import BY_NAME, PEERS
from tricast_bench.peers.tree import serving

CONNECTIONS = 5
PAYLOAD = 128
RATE = 100.0
SECONDS = 0.1
OWN = ("tricast", "floor", "naive")
OTHERS = tuple(peer for peer in PEERS if not peer.name.startswith(OWN))


@pytest.mark.parametrize("peer", OTHERS, ids=lambda peer: peer.name)
def test_all_messages_arrive_once_over_each_transport(peer: Peer) -> None:
    if lacking := compiler_missing() or peer.needs():
        missing(lacking)
    assert "?" not in peer.version()
    with serving(peer, max(os.sched_getaffinity(0))) as (_, port):
        for transport, speech in peer.subscribe.items():
            echo = transport == "echo"
            job = Job(
                port=port,
                transport=transport,
                subscribe=speech,
                publish=None if echo else peer.publish,
                connections=CONNECTIONS,
                payload=PAYLOAD,
            )
            with loading(job) as load:
                outcome = load.sample(rate=0 if echo else RATE, seconds=SECONDS)
            assert outcome.published >= CONNECTIONS, transport
            assert outcome.delivered == outcome.published * (1 if echo else CONNECTIONS), transport
            assert (outcome.missing, outcome.duplicates, outcome.stale) == (0, 0, 0), transport
            assert echo or bool(outcome.answered) == bool(peer.publish.answer), outcome.said


@pytest.mark.parametrize("name", ["node-ws", "socketio", "picows", "nats"])
def test_what_is_not_installed_says_how_to_get_it(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(installed, "ENVIRONMENT", tmp_path)
    monkeypatch.setattr(installed, "NODE_PACKAGES", tmp_path)
    monkeypatch.setattr(shutil, "which", lambda _: "/usr/bin/node")
    assert "scripts/get-peers.sh" in (BY_NAME[name].needs() or "")
