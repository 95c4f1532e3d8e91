"""What decides for several workers, without any: when to start again, who accepts where, what their figures come to."""

from __future__ import annotations

import asyncio
import json
import socket
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.parser import text_string_to_metric_families
from tests.helpers import HOST, unused_port

from tricast_server import Settings, setup
from tricast_server.cluster import engine, gather, home
from tricast_server.cluster.backoff import Backoff
from tricast_server.cluster.errors import CannotStart
from tricast_server.cluster.gather import merged, total
from tricast_server.cluster.home import Home
from tricast_server.cluster.ports import open_ports, shares
from tricast_server.cluster.worker import Doors, settings_of
from tricast_server.hosting import CannotListen, connections_of, runner_of
from tricast_server.metrics import rendered


class Life:
    """Something that comes up and ends, on a clock of its own."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.backoff = Backoff(first=0.1, cap=5.0, steady=10.0)

    def runs(self, seconds: float) -> float:
        """How long the wait is after that."""
        self.backoff.up(self.now)
        self.now += seconds
        return self.backoff.down(self.now)


def test_what_ran_well_is_started_again_at_once() -> None:
    life = Life()
    assert [life.runs(3600), life.runs(10), life.runs(11)] == [0, 0, 0]


def test_what_ends_early_waits_twice_as_long_each_time_up_to_a_limit() -> None:
    life = Life()
    assert [life.runs(1) for _ in range(9)] == [0, 0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 5.0, 5.0]


def test_waits_begin_anew_after_it_ran_well() -> None:
    life = Life()
    waits = [life.runs(9.9) for _ in range(5)]
    assert waits[-1] == 0.8
    assert [life.runs(10.1), life.runs(0), life.runs(0)] == [0, 0.1, 0.2]


def test_what_does_not_come_up_waits_as_what_ends_early() -> None:
    backoff = Backoff(first=0.1, cap=5.0, steady=10.0)
    assert [backoff.down(now) for now in (0, 100, 200, 300)] == [0, 0.1, 0.2, 0.4]


@pytest.mark.parametrize(
    ("ready", "expected"),
    [
        ([True, True], [{0}, {1}]),
        ([False, True], [set(), {0, 1}]),
        ([True, False, False, True], [{0}, set(), set(), {1, 2, 3}]),
        ([True, False, False], [{0, 1, 2}, set(), set()]),
        ([False, False], [set(), set()]),
    ],
)
def test_the_next_worker_accepts_where_one_is_missing(ready: list[bool], expected: list[set[int]]) -> None:
    assert shares(ready) == expected


def test_places_share_one_port_that_nobody_else_gets() -> None:
    places, port = open_ports(HOST, 0, 3)
    try:
        assert {one.getsockname() for place in places for one in place} == {(HOST, port)}
        with pytest.raises(CannotListen, match=str(port)):
            open_ports(HOST, port, 1)
    finally:
        for one in [one for place in places for one in place]:
            one.close()
    places, _ = open_ports(HOST, port, 1)  # and nothing of the failed attempt holds it
    places[0][0].close()


def test_a_name_of_two_addresses_is_listened_on_at_both() -> None:
    port = unused_port()
    places, _ = open_ports("localhost", port, 2)
    try:
        wanted = {info[4] for info in socket.getaddrinfo("localhost", port, type=socket.SOCK_STREAM)}
        for place in places:
            assert {one.getsockname() for one in place} == wanted
    finally:
        for one in [one for place in places for one in place]:
            one.close()


def test_settings_arrive_at_a_worker_as_they_were() -> None:
    settings = Settings(allow_origins=("https://a.example",), public_url="https://b.example", heartbeat=3, node="n")
    assert settings_of(json.loads(json.dumps(asdict(settings)))) == settings


def test_workers_share_what_connections_that_are_spread_over_them_take() -> None:
    whole = Settings(public=True, max_connections=10, connect_rate=6.0, connect_burst=5)
    part = whole.shared_by(4)
    assert (part.max_connections, part.connect_rate, part.connect_burst) == (3, 1.5, 2)
    for name in ("max_connections_per_address", "publish_rate", "publish_burst", "max_lag", "max_memory"):
        assert getattr(part, name) == getattr(whole, name)
    assert Settings(public=True).shared_by(4).max_connections == 2500
    none = Settings(node="n")
    assert none.shared_by(4) == none


async def test_what_costs_much_is_made_once_for_all_who_ask(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gather, "FRESH", 0.3)
    made: list[int] = []

    async def make() -> int:
        made.append(len(made))
        await asyncio.sleep(0.05)
        return made[-1]

    shared = gather.Shared(make)
    gives_up, *others = (asyncio.create_task(shared.get()) for _ in range(5))
    await asyncio.sleep(0)
    gives_up.cancel()
    assert await asyncio.gather(*others) == [0, 0, 0, 0]
    assert await shared.get() == 0
    await asyncio.sleep(0.4)
    assert await shared.get() == 1
    await shared.close()


async def test_doors_that_are_closed_as_they_open_stay_closed() -> None:
    app = web.Application()
    service, runner = setup(app, "", settings=Settings()), runner_of(app)
    await runner.setup()
    ports, port = open_ports(HOST, 0, 2)
    doors = Doors([[one.detach() for one in place] for place in ports], None)
    doors.open(connections_of(runner, service))
    opening = asyncio.create_task(doors.set((0, 1)))
    for _ in range(2):
        await asyncio.sleep(0)
        assert not opening.done()
    await doors.close()
    await opening
    with pytest.raises(ConnectionRefusedError):
        await asyncio.open_connection(HOST, port)
    await runner.cleanup()
    doors.forget()


async def test_whatever_an_engine_says_the_service_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It breaks off in its greeting, and writes a line that is longer than a reader's buffer."""
    monkeypatch.setenv("TRICAST_TOKEN_SECRET", "s" * 40)
    program = tmp_path / "engine"
    program.write_text(ENGINE.format(python=sys.executable, folder=tmp_path))
    program.chmod(0o700)
    monkeypatch.setattr(engine, "find_program", lambda: str(program))
    one = await asyncio.to_thread(engine.Engine, tmp_path / "data")
    try:
        async with asyncio.timeout(20):
            await one.start()
    finally:
        await one.stop()
    variables = json.loads((tmp_path / "environment").read_text())
    assert "PATH" in variables
    assert "TRICAST_TOKEN_SECRET" not in variables


ENGINE = """#!{python}
import json, os, socket, sys
open("{folder}/environment", "w").write(json.dumps(list(os.environ)))
print("x" * 200_000, flush=True)
host, port = json.load(open(sys.argv[2]))["listen"].split(":")
with socket.create_server((host, int(port))) as server:
    for answer in (b'INFO {{"jets', b'INFO {{"jetstream": true}}\\n'):
        with server.accept()[0] as connection:
            connection.sendall(answer)
    sys.stdin.read()
"""


def test_a_folder_is_one_supervisors(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(home, "LOCK_TIMEOUT", 0.1)
    first = Home(tmp_path)
    with pytest.raises(CannotStart, match=str(tmp_path)):
        Home(tmp_path)
    first.leave()
    second = Home(tmp_path)
    second.leave()
    assert tmp_path.exists()


def test_a_temporary_folder_is_private_and_goes() -> None:
    place = Home(None)
    assert place.folder.stat().st_mode & 0o777 == 0o700
    assert place.write("secret", "x").stat().st_mode & 0o777 == 0o600
    place.leave()
    assert not place.folder.exists()


def stats(node: str, *, delivered: int, ws: int, cursor: str = "e-7", **more: Any) -> dict[str, Any]:
    return {
        "node": node,
        "uptime": 5.0,
        "draining": False,
        "backplane": {"engine": "nats", "up": True},
        "connections": {"ws": ws, "sse": 1, "poll": 0},
        "topics": 2,
        "messages": {"published": 9, "kept": 4, "delivered": delivered},
        "bytes": {"kept": 400, "delivered": 10 * delivered},
        "cursor": cursor,
        "process": {"cpu": 0.5, "memory": 1000, "files": 10},
        "refusals": {"forbidden": 1},
        **more,
    }


def metrics_of(figures: dict[str, Any]) -> str:
    connections = GaugeMetricFamily("tricast_connections", "Open.", labels=["transport"])
    for transport, count in figures["connections"].items():
        connections.add_metric([transport], count)
    sent = CounterMetricFamily("tricast_sent_messages", "Written.", labels=["transport"])
    sent.add_metric(["ws"], figures["messages"]["delivered"])
    lag = HistogramMetricFamily("tricast_flush_seconds", "Time.", buckets=[("0.1", 1), ("+Inf", 2)], sum_value=0.5)
    return rendered([connections, sent, lag])


def answer(worker: str, figures: dict[str, Any] | None, **more: Any) -> dict[str, Any]:
    said = {} if figures is None else {"stats": figures, "metrics": metrics_of(figures)}
    return {"worker": worker, "pid": 1, "state": "serving", "restarts": 0, **more, **said}


def test_totals_add_up_what_each_does_and_not_what_all_have() -> None:
    one, two = stats("n-1", delivered=3, ws=1, cursor="e-10"), stats("n-2", delivered=4, ws=2, cursor="e-9")
    sum_ = total([answer("1", one), answer("2", two)], two)
    assert sum_["node"] == "n-2"
    assert sum_["connections"] == {"ws": 3, "sse": 2, "poll": 0}
    assert sum_["messages"] == {"published": 9, "kept": 4, "delivered": 7}
    assert sum_["bytes"] == {"kept": 400, "delivered": 70}
    assert sum_["refusals"] == {"forbidden": 2}
    assert sum_["process"] == {"cpu": 1.0, "memory": 2000, "files": 20}
    assert sum_["cursor"] == "e-10"
    assert [(worker["node"], worker["answered"]) for worker in sum_["workers"]] == [("n-1", True), ("n-2", True)]


def test_a_worker_without_an_answer_is_named() -> None:
    one = stats("n-1", delivered=3, ws=1)
    sum_ = total([answer("1", one), answer("2", None, pid=77)], one)
    assert sum_["connections"]["ws"] == 1
    assert sum_["workers"][1] == {"worker": "2", "pid": 77, "state": "serving", "restarts": 0, "answered": False}


def test_metrics_of_all_have_each_family_once_and_a_label_that_says_whose() -> None:
    answers = [
        answer("1", stats("n-1", delivered=3, ws=1)),
        answer("2", stats("n-2", delivered=4, ws=2), restarts=5),
        answer("3", None, state="waiting"),
        answer("2", stats("n-2", delivered=90, ws=9), state="leaving"),
    ]
    text = merged(answers)
    heads = [line for line in text.splitlines() if line.startswith("# TYPE")]
    assert len(heads) == len(set(heads))
    families = {family.name: family for family in text_string_to_metric_families(text)}
    assert len(families) == len(heads)
    values = {
        (sample.name, sample.labels["worker"], sample.labels.get("transport") or sample.labels.get("le")): sample.value
        for family in families.values()
        for sample in family.samples
    }
    assert len(values) == sum(len(family.samples) for family in families.values())
    assert values["tricast_sent_messages_total", "1", "ws"] == 3
    assert values["tricast_sent_messages_total", "2", "ws"] == 4
    assert values["tricast_flush_seconds_bucket", "2", "+Inf"] == 2
    assert values["tricast_connections", "2", "ws"] == 2
    assert [values["tricast_worker_up", worker, None] for worker in "123"] == [1, 1, 0]
    assert values["tricast_worker_restarts_total", "2", None] == 5
    assert families["tricast_sent_messages"].type == "counter"
