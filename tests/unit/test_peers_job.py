"""What the load is told, in the words that it reads."""

from __future__ import annotations

import pytest

from tricast_bench.contents import binary
from tricast_bench.peers import floor
from tricast_bench.peers.formats.cases import Variant, cases, job_of
from tricast_bench.peers.job import MARK, Job, captured, template
from tricast_bench.peers.peer import Capture, Peer, Publishing, Speech, Step
from tricast_bench.peers.registry import PEERS
from tricast_bench.peers.workloads import WORKLOADS, Workload

SID = Capture(name="sid", after=b'"sid":"', until=b'"')


def job(workload: Workload, peer: Peer) -> Job:
    return Job(
        port=1,
        transport=workload.transport,
        subscribe=peer.subscribe[workload.transport],
        publish=peer.publish if workload.publishes else None,
        connections=2,
        payload=64,
    )


def text_of(line: str) -> str:
    """The head of a step, its variables in brackets."""
    parts = line.split()[1].split(".")
    return "".join(bytes.fromhex(part[1:]).decode() if part[0] == "h" else f"<{part}>" for part in parts)


def test_bytes_are_hexadecimal_and_variables_are_letters_or_numbers() -> None:
    assert template(b"a{payload}{sid}", ("x", "sid")) == "h61.p.v1"
    assert template(b"{n}{connection}{size}", ()) == "n.c.s"
    assert template(b'{"data":{}}', ()) == "h" + b'{"data":{}}'.hex()
    assert template(b"", ()) == "-"


def test_a_variable_that_nothing_captures_is_an_error() -> None:
    with pytest.raises(ValueError, match="sid"):
        template(b"{sid}", ())


def test_a_variable_captured_twice_is_one() -> None:
    speech = Speech(steps=(Step(target="/a", captures=(SID,)), Step(target="/{sid}", captures=(SID,))))
    assert captured(speech) == ("sid",)


def test_only_the_last_request_opens_a_websocket() -> None:
    speech = Speech(steps=(Step(target="/first", captures=(SID,)), Step(target="/ws?sid={sid}")))
    lines = list(Job(port=7, transport="ws", subscribe=speech, publish=None, connections=1, payload=64).lines())
    first, second = (text_of(line) for line in lines if line.startswith("step "))
    assert first == "GET /first HTTP/1.1\r\nHost: 127.0.0.1:7\r\n\r\n"
    assert second.startswith("GET /ws?sid=<v0> HTTP/1.1\r\n")
    assert "\r\nUpgrade: websocket\r\n" in second
    assert "\r\nSec-WebSocket-Key: <k>\r\n" in second
    assert lines[-1] == "go"


def test_a_post_says_how_long_its_body_is() -> None:
    publish = Publishing(post=Step(method="POST", target="/publish"), message=b"{payload}")
    speech = Speech(steps=(Step(target="/sse"),))
    lines = list(Job(port=7, transport="sse", subscribe=speech, publish=publish, connections=1, payload=64).lines())
    events, post = (line for line in lines if line.startswith("step "))
    assert "Content-Length" not in text_of(events)
    assert text_of(post).endswith("\r\nContent-Length: <l>\r\n\r\n")
    assert post.endswith(" p")


def test_a_payload_must_hold_its_mark() -> None:
    speech = Speech(steps=(Step(target="/ws"),))
    with pytest.raises(ValueError, match=str(MARK)):
        list(Job(port=7, transport="ws", subscribe=speech, publish=None, connections=1, payload=MARK).lines())


def test_where_messages_are_compressed_they_are_counted_by_their_order() -> None:
    case = next(case for case in cases() if case.readers.name == "poll" and case.content == "binary")
    lines = list(job_of(case, Variant(format="protobuf", compress=True), 7).lines())
    assert "ordered 1" in lines
    heads = [text_of(line) for line in lines if line.startswith("step ")]
    assert "\r\nAccept-Encoding: gzip\r\n" in heads[1]
    assert "&cursor=<v0>" in heads[1]
    assert all("format=protobuf" in head for head in heads)
    [message] = [line.split()[1] for line in lines if line.startswith("message ")]
    assert binary(case.size).hex() in message


def test_the_floor_is_told_whom_to_publish_to() -> None:
    [workload] = [w for w in WORKLOADS if w.name == "ws-20"]
    assert "publisher ws" in list(job(workload, floor.PEER).lines())


@pytest.mark.parametrize("peer", PEERS, ids=lambda peer: peer.name)
def test_every_server_can_be_spoken_to_in_what_it_knows(peer: Peer) -> None:
    known = [workload for workload in WORKLOADS if workload.speech(peer) is not None]
    assert known
    for workload in known:
        assert list(job(workload, peer).lines())[-1] == "go"
