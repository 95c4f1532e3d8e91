"""The load for all servers counts each delivery once, times it from when it was due, and keeps to the RFCs."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.helpers import missing

from tricast_bench.peers import floor, tricast
from tricast_bench.peers.compiled import compiled, compiler_missing
from tricast_bench.peers.formats.cases import READERS, Case, Readers, Variant, job_of, server
from tricast_bench.peers.growth.measure import Rounds, catch_up, measure
from tricast_bench.peers.growth.points import Sizes, points
from tricast_bench.peers.job import Job
from tricast_bench.peers.load import Outcome, Refused, loading
from tricast_bench.peers.peer import Capture, Peer, Publishing, Speech, Step, Transport
from tricast_bench.peers.tree import CoreTimes, Tree, lives, serving, used_since
from tricast_bench.servers import Cores, Unusable

CORE = max(os.sched_getaffinity(0))
TRICAST, TRICAST_10MS = tricast.PEERS
MESSAGES = 20
RATE = 100.0
SUBSCRIBERS = 7
UPGRADED = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n"
EVENTS = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n"


@pytest.fixture(autouse=True, scope="module")
def generator() -> str:
    if (reason := compiler_missing()) is not None:
        missing(reason)
    return compiled("generator")


shares_servers = pytest.mark.xdist_group("bench-peers")
Ports = Callable[[Peer], int]


@pytest.fixture(scope="module")
def port_of() -> Iterator[Ports]:
    """Where a peer serves, from when it is first asked for until all these tests are over."""
    ports: dict[object, int] = {}
    with contextlib.ExitStack() as stack:

        def started(peer: Peer) -> int:
            if peer.command not in ports:
                ports[peer.command] = stack.enter_context(serving(peer, CORE))[1]
            return ports[peer.command]

        yield started


def job(port: int, transport: Transport, speech: Speech, publish: Publishing | None, *, connections: int) -> Job:
    return Job(port=port, transport=transport, subscribe=speech, publish=publish, connections=connections, payload=128)


def put_on(
    port: int, peer: Peer, transport: Transport, *, rate: float = 0.0, window: int = 0, seconds: float = 0.2
) -> Outcome:
    """The second of two samples on the same connections."""
    publish = None if transport == "echo" else peer.publish
    told = job(port, transport, peer.subscribe[transport], publish, connections=SUBSCRIBERS)
    with loading(told) as load:
        load.wait(0.1)
        load.sample(rate=rate, seconds=seconds, window=window)
        load.wait(0.05)
        return load.sample(rate=rate, seconds=seconds, window=window)


@shares_servers
@pytest.mark.parametrize(
    ("peer", "transport"),
    [(peer, name) for peer in (floor.PEER, TRICAST, TRICAST_10MS) for name in peer.subscribe if name != "echo"],
    ids=lambda value: value if isinstance(value, str) else value.name,
)
def test_each_subscriber_gets_each_message_once(port_of: Ports, peer: Peer, transport: Transport) -> None:
    outcome = put_on(port_of(peer), peer, transport, rate=RATE, seconds=MESSAGES / RATE)
    assert (outcome.published, outcome.planned) == (MESSAGES, MESSAGES)
    assert outcome.delivered == MESSAGES * SUBSCRIBERS
    assert (outcome.missing, outcome.duplicates, outcome.stale) == (0, 0, 0)
    assert outcome.elapsed >= MESSAGES / RATE * 1e9
    assert 0 < outcome.latency["p50"] <= outcome.latency["p99"] <= outcome.latency["max"] < 10e6
    assert outcome.bytes > outcome.delivered * 128


@shares_servers
@pytest.mark.parametrize("window", [1, 8])
@pytest.mark.parametrize("peer", [floor.PEER, TRICAST], ids=lambda peer: peer.name)
def test_with_a_window_nothing_is_missing_either(port_of: Ports, peer: Peer, window: int) -> None:
    outcome = put_on(port_of(peer), peer, "ws", window=window)
    assert outcome.published >= window
    assert outcome.delivered == outcome.published * SUBSCRIBERS
    assert (outcome.missing, outcome.duplicates, outcome.planned) == (0, 0, 0)


@shares_servers
@pytest.mark.parametrize("peer", [floor.PEER, TRICAST], ids=lambda peer: peer.name)
def test_every_echo_comes_back(port_of: Ports, peer: Peer) -> None:
    outcome = put_on(port_of(peer), peer, "echo")
    assert outcome.delivered == outcome.published >= SUBSCRIBERS
    assert (outcome.missing, outcome.duplicates) == (0, 0)


TOPICS = 4
OVER = 2 * TOPICS


@shares_servers
@pytest.mark.parametrize("all_of_them", [False, True], ids=["one each", "all in one"])
@pytest.mark.parametrize("transport", ["ws", "sse", "poll"])
def test_a_message_comes_to_the_subscribers_of_its_topic_alone(
    port_of: Ports, transport: Transport, all_of_them: bool
) -> None:
    peer = tricast.over_topics(all_of_them=all_of_them)
    told = job(port_of(peer), transport, peer.subscribe[transport], peer.publish, connections=OVER)
    with loading(replace(told, topics=TOPICS, per_connection=TOPICS if all_of_them else 1)) as load:
        load.wait(0.2)
        load.sample(rate=RATE, seconds=3 / RATE)  # so that the next does not begin with the first topic
        load.wait(0.1)
        outcome = load.sample(rate=RATE, seconds=MESSAGES / RATE)
        load.wait(0.1)
    assert outcome.published == MESSAGES
    assert outcome.delivered == MESSAGES * (OVER if all_of_them else OVER // TOPICS)
    assert (outcome.missing, outcome.duplicates, outcome.stale) == (0, 0, 0)


@shares_servers
def test_a_message_of_another_topic_is_one_too_many(port_of: Ports) -> None:
    told = job(port_of(floor.PEER), "ws", floor.PEER.subscribe["ws"], floor.PEER.publish, connections=OVER)
    with loading(replace(told, topics=TOPICS)) as load:
        load.wait(0.1)
        outcome = load.sample(rate=RATE, seconds=MESSAGES / RATE)
    assert outcome.delivered == MESSAGES * OVER // TOPICS
    assert outcome.duplicates > MESSAGES * (OVER - OVER // TOPICS) // 2  # who hears it last ends the sample


@shares_servers
@pytest.mark.parametrize("payload", [32, 65_535, 100_000])
def test_messages_may_be_as_small_as_their_mark_and_larger_than_two_bytes_say(port_of: Ports, payload: int) -> None:
    told = job(port_of(TRICAST), "ws", TRICAST.subscribe["ws"], TRICAST.publish, connections=3)
    with loading(replace(told, payload=payload)) as load:
        load.wait(0.1)
        outcome = load.sample(rate=50.0, seconds=0.2)
    assert (outcome.published, outcome.delivered, outcome.duplicates) == (10, 30, 0)
    assert outcome.bytes > 30 * payload


def test_what_is_compressed_or_binary_is_counted_by_its_order() -> None:
    """In each format, on one server: bytes in frames, in base64 and in answers, then texts that become shorter."""
    few = [replace(one, count=SUBSCRIBERS, rate=20.0, window=0) for one in READERS if one.name != "one"]
    lengths: dict[tuple[str, Variant], float] = {}
    with serving(server(compress=True), CORE) as (_tree, port):
        for readers in few:
            case = Case(readers=readers, content="text", size=4096)
            for variant in [one for one in case.variants() if one.compress or one.format == "protobuf"]:
                outcome = _in_order(job_of(case, variant, port), readers)
                lengths[readers.name, variant] = outcome.bytes / outcome.delivered
    for (name, variant), length in lengths.items():
        assert (length < 3000) is variant.compress, (name, variant)
        assert (length > 5400) is (name == "sse"), "base64 is a third longer"


def _in_order(told: Job, readers: Readers) -> Outcome:
    with loading(told) as load:
        load.wait(0.1)
        load.sample(rate=readers.rate, seconds=0.1)
        load.wait(0.1)
        outcome = load.sample(rate=readers.rate, seconds=0.2)
    assert outcome.delivered == 4 * SUBSCRIBERS
    assert (outcome.missing, outcome.duplicates, outcome.stale) == (0, 0, 0)
    assert 0 < outcome.latency["p50"] < 10e6
    return outcome


def test_whoever_catches_up_gets_all_that_was_kept() -> None:
    peer, count = tricast.keeping(3_000), 3_000
    with serving(peer, CORE) as (_tree, port):
        with loading(job(port, "ws", peer.subscribe["ws"], peer.publish, connections=1)) as load:
            assert load.opening > 0
            assert load.sample(rate=30_000.0, seconds=0.1, window=64).delivered == count
        assert 0 < catch_up(port, count) < 30
        with pytest.raises(Unusable, match="3000 of 3001"):
            catch_up(port, count + 1, timeout=1.0)


@shares_servers
def test_tricast_confirms_each_publish(port_of: Ports) -> None:
    outcome = put_on(port_of(TRICAST), TRICAST, "ws", rate=RATE, seconds=MESSAGES / RATE)
    assert outcome.answered in (MESSAGES - 1, MESSAGES)  # the last may still be on its way


@given(st.lists(st.integers(0, 60_000_000_000), min_size=1, max_size=300))
@settings(max_examples=30, deadline=None)
def test_percentiles_are_right_to_one_percent(values: list[int]) -> None:
    done = subprocess.run(
        [compiled("generator"), "histogram"],
        input=" ".join(map(str, values)),
        capture_output=True,
        text=True,
        timeout=10,
    )
    found = json.loads(done.stdout)["latency"]
    ordered = sorted(values)
    for name, share in (("p50", 0.5), ("p90", 0.9), ("p99", 0.99), ("p99.9", 0.999)):
        rank = max(1, -int(-share * len(values) // 1))
        assert found[name] * 1e3 == pytest.approx(ordered[rank - 1], rel=0.01, abs=6)
    assert found["max"] * 1e3 == pytest.approx(ordered[-1], abs=6)


Served = Callable[[socket.socket, bytes], None]


@contextlib.contextmanager
def scripted(serve: Served) -> Iterator[int]:
    """A server for one connection after the other, in threads: `serve` gets each with its request."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        threads: list[threading.Thread] = []

        def one(connection: socket.socket) -> None:
            with connection, contextlib.suppress(OSError):
                connection.settimeout(30.0)
                request = b""
                while b"\r\n\r\n" not in request and (data := connection.recv(4096)):
                    request += data
                serve(connection, request)

        def accept() -> None:
            with contextlib.suppress(OSError):
                while True:
                    threads.append(threading.Thread(target=one, args=(listener.accept()[0],)))
                    threads[-1].start()

        acceptor = threading.Thread(target=accept)
        acceptor.start()
        try:
            yield listener.getsockname()[1]
        finally:
            listener.shutdown(socket.SHUT_RDWR)
            for thread in (acceptor, *threads):
                thread.join(30.0)


def messages_of(connection: socket.socket) -> Iterator[tuple[int, bytes, bytes]]:
    """Opcode, key and text of each frame of a client, which has to be masked. Ends with the connection."""
    data = b""
    while True:
        while len(data) < 2 or len(data) < 6 + (data[1] & 127) + (2 if data[1] & 127 == 126 else 0):
            more = connection.recv(65536)
            if not more:
                return
            data += more
        assert data[1] & 0x80
        size, at = data[1] & 127, 2
        if size == 126:
            size, at = int.from_bytes(data[2:4], "big"), 4
            while len(data) < at + 4 + size:
                data += connection.recv(65536)
        key, text = data[at : at + 4], data[at + 4 : at + 4 + size]
        yield data[0] & 15, key, bytes(byte ^ key[i & 3] for i, byte in enumerate(text))
        data = data[at + 4 + size :]


def frame(text: bytes, opcode: int = 1) -> bytes:
    return bytes([0x80 | opcode, *([len(text)] if len(text) < 126 else [126, len(text) >> 8, len(text) & 255])]) + text


WS = Speech(steps=(Step(target="/ws"),))
SSE = Speech(steps=(Step(target="/sse"),))


def test_marks_are_found_across_reads_and_a_message_that_comes_twice_is_a_duplicate() -> None:
    streams: list[socket.socket] = []

    def serve(connection: socket.socket, request: bytes) -> None:
        if request.startswith(b"GET /sse"):
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            connection.sendall(EVENTS)
            streams.append(connection)
            connection.recv(1)  # until the end
            return
        connection.sendall(UPGRADED)
        for _opcode, _key, text in messages_of(connection):
            event = b"data: ~~T~" + text + b"\n\n"
            for at in range(0, len(event), 5):
                streams[0].sendall(event[at : at + 5])
                time.sleep(0.0005)
            streams[0].sendall(event[:60])
            streams[0].sendall(event[60:])

    with scripted(serve) as port, loading(job(port, "sse", SSE, Publishing(over=WS), connections=1)) as load:
        outcome = load.sample(rate=10.0, seconds=0.3)
        load.wait(0.2)
    assert (outcome.published, outcome.delivered, outcome.missing) == (3, 3, 0)
    assert outcome.duplicates in (2, 3)  # the last may come after the end


def test_pings_are_answered_and_each_frame_has_a_key_of_its_own() -> None:
    seen: list[tuple[int, bytes, bytes]] = []

    def serve(connection: socket.socket, _request: bytes) -> None:
        connection.sendall(UPGRADED)
        for opcode, key, text in messages_of(connection):
            seen.append((opcode, key, text))
            if opcode == 1 and text != b"answer":
                whole = frame(b"are you there", 9) + frame(b"2?") + frame(b"back: " + text)
                connection.sendall(whole[:1])
                time.sleep(0.001)
                connection.sendall(whole[1:])

    speech = Speech(steps=(Step(target="/echo"),), echo=b"{payload}", answers=((b"2", b"answer"),))
    with scripted(serve) as port, loading(job(port, "echo", speech, None, connections=1)) as load:
        outcome = load.sample(seconds=0.1)
    assert outcome.delivered == outcome.published > 1
    texts = [text for opcode, _key, text in seen if opcode == 1 and text != b"answer"]
    assert all(len(text) == 128 and text.startswith(b"~T") for text in texts)
    assert (10, b"are you there") in {(opcode, text) for opcode, _key, text in seen}
    assert b"answer" in {text for _opcode, _key, text in seen}
    assert len({key for _opcode, key, _text in seen}) == len(seen)


def test_what_does_not_come_is_missing_and_is_no_error() -> None:
    """It takes as long as the load waits for what is late."""

    def serve(connection: socket.socket, request: bytes) -> None:
        connection.sendall(UPGRADED if b"Upgrade: websocket" in request else EVENTS)
        if b"/ws" in request:
            connection.sendall(frame(b"no"))
        for _ in messages_of(connection):
            pass

    with scripted(serve) as port, loading(job(port, "sse", SSE, Publishing(over=WS), connections=2)) as load:
        outcome = load.sample(rate=20.0, seconds=0.1)
    assert (outcome.published, outcome.delivered, outcome.missing) == (2, 0, 4)


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (b"HTTP/1.1 403 Forbidden\r\nContent-Length: 4\r\n\r\nno!!", "403 Forbidden"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi", "200 OK"),
        (b"", "ends the connection instead of an answer"),
        (UPGRADED + b"\x88\x06\x0f\xa2gone", "4002 gone"),
        (b"SSH-2.0-OpenSSH\r\n\r\n", "no HTTP answer"),
    ],
    ids=["refused", "not upgraded", "ended", "closed", "not HTTP"],
)
def test_an_error_says_what_the_server_said(answer: bytes, said: str) -> None:
    def serve(connection: socket.socket, _request: bytes) -> None:
        connection.sendall(answer)
        time.sleep(0.05)

    speech = Speech(steps=(Step(target="/ws"),), ready=b"never")
    with scripted(serve) as port, pytest.raises(Refused, match=said):
        with loading(job(port, "ws", speech, None, connections=1)):
            pass


def test_what_an_answer_held_is_in_the_next_request_and_posts_may_be_chunked() -> None:
    polled: list[bytes] = []
    texts: list[bytes] = []
    came = threading.Condition()

    def grown(beyond: int) -> bool:
        return len(texts) > beyond

    def answers(connection: socket.socket, request: bytes) -> None:
        at = 0
        while request:
            with came:
                polled.append(request.split(b" ")[1])
                if len(polled) > 1:
                    came.wait_for(partial(grown, at), 5.0)
                    body, at = b"".join(texts[at:]), len(texts)
                else:
                    body = b""
            body = b'{"at":"%d"}' % at + body
            chunks = b"".join(b"%x\r\n%s\r\n" % (len(part), part) for part in (body[:3], body[3:]))
            connection.sendall(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + chunks + b"0\r\n\r\n")
            request = connection.recv(4096)

    def serve(connection: socket.socket, request: bytes) -> None:
        if request.startswith(b"GET"):
            return answers(connection, request)
        while request:
            head, _, body = request.partition(b"\r\n\r\n")
            assert b"\r\nContent-Length: 128" in head
            while len(body) < 128:
                body += connection.recv(4096)
            with came:
                texts.append(body[:128])
                came.notify_all()
            connection.sendall(b"HTTP/1.1 202 Accepted\r\nContent-Length: 0\r\n\r\n")
            request = body[128:] or connection.recv(4096)
        return None

    at = Capture(name="at", after=b'"at":"', until=b'"')
    poll = Speech(steps=(Step(target="/first", captures=(at,)), Step(target="/next?after={at}", captures=(at,))))
    publish = Publishing(post=Step(method="POST", target="/publish"))
    with scripted(serve) as port, loading(job(port, "poll", poll, publish, connections=1)) as load:
        outcome = load.sample(rate=20.0, seconds=0.3)
        load.wait(0.1)
        with came:
            texts.append(b"end")
            came.notify_all()
    assert (outcome.published, outcome.delivered, outcome.answered) == (6, 6, 6)
    assert polled[:2] == [b"/first", b"/next?after=0"]
    assert b"/next?after=6" in polled


def test_a_poll_goes_on_over_another_connection_where_the_server_closes_each() -> None:
    polls: list[bytes] = []
    waiting = threading.Semaphore(0)
    texts: list[bytes] = []

    def serve(connection: socket.socket, request: bytes) -> None:
        if b"Upgrade: websocket" in request:
            connection.sendall(UPGRADED)
            for _opcode, _key, text in messages_of(connection):
                texts.append(text)
                waiting.release()
            waiting.release()  # so that the last poll ends too
            return
        polls.append(request.split(b" ")[1])
        if b"/poll" in polls[-1]:
            waiting.acquire(timeout=10.0)
        body = b"".join(texts)
        texts.clear()
        connection.sendall(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n" + body)

    poll = Speech(steps=(Step(target="/first"), Step(target="/poll?n={n}")))
    with scripted(serve) as port, loading(job(port, "poll", poll, Publishing(over=WS), connections=1)) as load:
        outcome = load.sample(rate=10.0, seconds=0.5)
    assert (outcome.published, outcome.delivered, outcome.missing) == (5, 5, 0)
    assert len(polls) >= 6
    assert len(set(polls)) == len(polls)


def test_a_server_that_does_not_listen_is_named_with_what_it_said() -> None:
    said = [sys.executable, "-c", "print('no port for you')"]
    peer = Peer(
        name="x", command=lambda _port: said, needs=lambda: None, version=str, subscribe={}, publish=Publishing()
    )
    with pytest.raises(Unusable, match="no port for you"), serving(peer, CORE):
        pass


def test_children_count_and_end_with_the_server() -> None:
    busy = "import time\nwhile time.process_time() < 0.2: pass\ntime.sleep(60)"
    code = f"""
import subprocess, sys, socket
child = subprocess.Popen([sys.executable, "-c", {busy!r}])
with socket.create_server(("127.0.0.1", int(sys.argv[1]))) as s:
    while True: s.accept()[0].close()
"""
    peer = Peer(
        name="x",
        command=lambda port: [sys.executable, "-c", code, str(port)],
        needs=lambda: None,
        version=str,
        subscribe={},
        publish=Publishing(),
    )
    with serving(peer, CORE) as (tree, _port):
        before = dict.fromkeys(tree.pids(), 0)
        deadline = time.monotonic() + 20.0
        while used_since(before, tree.cpu()) < 0.2e9 and time.monotonic() < deadline:
            time.sleep(0.05)
        pids = tree.pids()
        assert len(pids) == 2
        assert used_since(before, tree.cpu()) >= 0.2e9
        assert tree.memory() > Tree(pids[1]).memory() > 1e6
        assert all(os.sched_getaffinity(pid) == {CORE} for pid in pids)
    assert not any(lives(pid) for pid in pids)


def test_a_core_that_is_busy_is_seen_to_be() -> None:
    code = f"import os, time\nos.sched_setaffinity(0, {{{CORE}}})\nwhile time.process_time() < 0.5: pass"
    before, begin = CoreTimes.read(CORE), time.monotonic()
    subprocess.run([sys.executable, "-c", code], check=True, timeout=50)
    times, took = CoreTimes.read(CORE).since(before), time.monotonic() - begin
    assert 0.3e9 < times.processes < (took + 0.1) * 1e9
    assert 0 <= times.stolen < took * 1e9


COMMAND = [sys.executable, "-m", "tricast_bench.peers", "--only", "floor", "--only", "tricast", "--seconds", "0.2"]


def _two_cores() -> None:
    if len(os.sched_getaffinity(0)) < 2:
        missing("a second core")


@pytest.mark.timeout(120)
def test_each_kind_of_point_of_a_sweep_gives_its_figures() -> None:
    _two_cores()
    sizes = Sizes(subscribers=(5,), over=20, topics=(4,), kept=(200,), connects=20, idle=(50, 100))
    sweeps = ("retained", "connects", "memory", "topics")
    chosen = [p for p in points(sizes) if p.sweep in sweeps and p.workload.transport == "ws" and p.series != "many"]
    affinity = os.sched_getaffinity(0)
    try:
        found = [*measure(chosen, Rounds(rounds=1, seconds=0.3, warm_up=0.1), Cores.choose())]
    finally:
        os.sched_setaffinity(0, affinity)
    samples = [sample for of_point in found for sample in of_point]
    assert len(found) == len(chosen)
    assert all(sample.value is not None and sample.value > 0 for sample in samples), samples
    assert {sample.metric for sample in samples} == {
        "us_per_delivery",
        "us_catch_up",
        "us_per_connection",
        "kib_per_connection",
    }
    assert [sample.x for sample in samples if sample.sweep == "memory"] == [50, 100]


@pytest.mark.timeout(120)
def test_the_command_measures_and_keeps_what_it_measured(tmp_path: Path) -> None:
    _two_cores()
    kept = tmp_path / "peers.json"
    command = [*COMMAND, "--rounds", "1", "--workload", "echo", "--json", str(kept)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=100)
    assert done.returncode == 0, done.stdout + done.stderr
    result = json.loads(kept.read_text())
    assert {sample["peer"] for sample in result["samples"]} == {"floor", "tricast"}
    assert all(sample["us_per_delivery"] > 0 for sample in result["samples"])
    assert result["versions"].keys() == {"floor", "tricast"}
    shown = subprocess.run([*COMMAND, "--goals", str(kept)], capture_output=True, text=True, timeout=30)
    assert "no data" in shown.stdout


@pytest.mark.timeout(120)
@pytest.mark.parametrize("sent", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_run_keeps_what_it_has_and_stops_its_servers(tmp_path: Path, sent: signal.Signals) -> None:
    _two_cores()
    kept = tmp_path / "peers.json"
    command = [*COMMAND, "--rounds", "50", "--workload", "echo", "--json", str(kept)]
    environment = os.environ | {"PYTHONUNBUFFERED": "1"}
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as process:
        assert process.stdout is not None
        for line in process.stdout:
            if line.startswith("2/"):
                break
        time.sleep(0.7)
        pids = Tree(process.pid).pids()
        process.send_signal(sent)
        rest = process.communicate(timeout=60)[0]
    assert process.returncode == (130 if sent == signal.SIGINT else 143)
    assert len(json.loads(kept.read_text())["samples"]) >= 2
    assert "echo × 50" in rest
    assert not any(lives(pid) for pid in pids)
