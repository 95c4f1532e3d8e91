"""The floor: floor.c, one write() for each delivery and nothing else. No server that sends to each can cost less."""

from __future__ import annotations

from tricast_bench.peers.compiled import compiled, compiler_missing, compiler_version
from tricast_bench.peers.peer import Peer, Publishing, Speech, Step


def _opening(target: str, echo: bytes = b"") -> Speech:
    return Speech(steps=(Step(target=target),), echo=echo)


PEER = Peer(
    name="floor",
    command=lambda port: [compiled("floor"), str(port)],
    needs=compiler_missing,
    version=compiler_version,
    subscribe={"ws": _opening("/ws"), "sse": _opening("/sse"), "echo": _opening("/echo", b"{payload}")},
    publish=Publishing(over=_opening("/publish")),
    said="the payload alone, without envelope, topic or cursor; nothing is kept, checked or limited",
)
