"""This project's server, as it comes and with its flush timed to 10 ms."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from importlib import metadata

from tricast_bench.peers.peer import Capture, Peer, Publishing, Speech, Step, Transport
from tricast_bench.servers import program

TOPIC = "bench"
FLUSH_INTERVAL = "0.01"
HELLO = b'"type":"hello"'
NOBODY = "_inbox.nobodynobodynobodynobody"
"""What the publisher and the echoes subscribe to, so that they hear nothing of what is published."""
KEPT_AGE, KEPT_BYTES = 86_400, 2**30
CURSOR = Capture(name="cursor", after=b'"cursor":"', until=b'"')


def _websocket(topic: str, echo: bytes = b"") -> Speech:
    return Speech(steps=(Step(target=f"/ws?topics={topic}"),), ready=HELLO, echo=echo)


def _subscribe(topics: str) -> Mapping[Transport, Speech]:
    poll = f"/poll?topics={topics}&n={{connection}}-{{n}}"
    steps = (Step(target=poll, captures=(CURSOR,)), Step(target=f"{poll}&cursor={{cursor}}", captures=(CURSOR,)))
    return {
        "ws": _websocket(topics),
        "sse": Speech(steps=(Step(target=f"/sse?topics={topics}"),), ready=HELLO),
        "poll": Speech(steps=steps),
    }


def _publish(topic: str) -> Publishing:
    message = '{"action":"publish","topic":"' + topic + '","data":"{payload}"}'
    return Publishing(over=_websocket(NOBODY), message=message.encode(), answer=b'"type":"reply"')


PUBLISH = _publish(TOPIC)
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
        subscribe={**_subscribe(TOPIC), "echo": _websocket(NOBODY, ECHO)},
        publish=PUBLISH,
    ),
    Peer(
        name="tricast-10ms",
        command=lambda port: [*_command(port), "--flush-interval", FLUSH_INTERVAL],
        needs=lambda: None,
        version=_version,
        subscribe={name: _subscribe(TOPIC)[name] for name in ("ws", "sse")},
        publish=PUBLISH,
        said=f"--flush-interval {FLUSH_INTERVAL}: messages are collected for 10 ms",
    ),
)


def over_topics(*, all_of_them: bool = False) -> Peer:
    """As it comes, with a load of several topics: each connection subscribes to its own, or to all."""
    subscribe = _subscribe("{topics}" if all_of_them else "t{topic}")
    return replace(PEERS[0], name="tricast-topics", subscribe=subscribe, publish=_publish("t{topic}"))


def keeping(count: int) -> Peer:
    """Retains so many messages of the topic, however old, as long as they fit."""
    options = ["--retention-count", str(count), "--retention-age", str(KEPT_AGE), "--retention-bytes", str(KEPT_BYTES)]
    return replace(PEERS[0], name=f"tricast-keeps-{count}", command=lambda port: [*_command(port), *options])
