"""This project's server, as it comes and with its flush timed to 10 ms."""

from __future__ import annotations

from importlib import metadata

from tricast_bench.peers.peer import Capture, Peer, Publishing, Speech, Step
from tricast_bench.servers import program

TOPIC = "bench"
FLUSH_INTERVAL = "0.01"
HELLO = b'"type":"hello"'
NOBODY = "_inbox.nobodynobodynobodynobody"
"""What the publisher and the echoes subscribe to, so that they hear nothing of what is published."""
CURSOR = Capture(name="cursor", after=b'"cursor":"', until=b'"')


def _websocket(topic: str, echo: bytes = b"") -> Speech:
    return Speech(steps=(Step(target=f"/ws?topics={topic}"),), ready=HELLO, echo=echo)


EVENTS = Speech(steps=(Step(target=f"/sse?topics={TOPIC}"),), ready=HELLO)
POLL = Speech(
    steps=(
        Step(target=f"/poll?topics={TOPIC}&n={{connection}}-{{n}}", captures=(CURSOR,)),
        Step(target=f"/poll?topics={TOPIC}&cursor={{cursor}}&n={{connection}}-{{n}}", captures=(CURSOR,)),
    )
)
PUBLISH = Publishing(
    over=_websocket(NOBODY),
    message=b'{"action":"publish","topic":"bench","data":"{payload}"}',
    answer=b'"type":"reply"',
)
ECHO = b'{"action":"echo","data":"{payload}"}'


def _command(port: int) -> list[str]:
    return [program("tricast"), "serve", "--port", str(port)]


def _version() -> str:
    return metadata.version("tricast")


PEERS = (
    Peer(
        name="tricast",
        command=_command,
        needs=lambda: None,
        version=_version,
        subscribe={"ws": _websocket(TOPIC), "sse": EVENTS, "poll": POLL, "echo": _websocket(NOBODY, ECHO)},
        publish=PUBLISH,
    ),
    Peer(
        name="tricast-10ms",
        command=lambda port: [*_command(port), "--flush-interval", FLUSH_INTERVAL],
        needs=lambda: None,
        version=_version,
        subscribe={"ws": _websocket(TOPIC), "sse": EVENTS},
        publish=PUBLISH,
        said=f"--flush-interval {FLUSH_INTERVAL}: messages are collected for 10 ms",
    ),
)
