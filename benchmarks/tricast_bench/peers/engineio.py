"""How Socket.IO is spoken: its packets, protocol 5, in those of Engine.IO, protocol 4.

`0` opens, `2` asks whether one lives and `3` answers, `4` is a message; in that `0` connects, `2` is an event and `3`
the answer to one.
"""

from __future__ import annotations

from tricast_bench.peers.peer import Capture, Publishing, Speech, Step, Transport

_WEBSOCKET = (Step(target="/socket.io/?EIO=4&transport=websocket"),)
_HEARTBEAT = ((b"2", b"3"),)
_SESSION = "/socket.io/?EIO=4&transport=polling&sid={sid}&t={n}"

SUBSCRIBE: dict[Transport, Speech] = {
    "ws": Speech(steps=_WEBSOCKET, first=(b"40",), ready=b"40{", answers=_HEARTBEAT),
    "poll": Speech(
        steps=(
            Step(
                target="/socket.io/?EIO=4&transport=polling&t={n}",
                captures=(Capture(name="sid", after=b'"sid":"', until=b'"'),),
            ),
            Step(method="POST", target=_SESSION, headers={"Content-Type": "text/plain;charset=UTF-8"}, body=b"40"),
            Step(target=_SESSION),
            Step(target=_SESSION),
        ),
    ),
    "echo": Speech(steps=_WEBSOCKET, first=(b"40",), ready=b"40{", answers=_HEARTBEAT, echo=b'42["echo","{payload}"]'),
}

PUBLISH = Publishing(
    over=Speech(steps=_WEBSOCKET, first=(b"40/publish,",), ready=b"40/publish,{", answers=_HEARTBEAT),
    message=b'42/publish,1["publish","{payload}"]',
    answer=b"43/publish,1[",
)
"""In a namespace of its own, so that who publishes is not a subscriber too. The `1` asks for an answer."""
