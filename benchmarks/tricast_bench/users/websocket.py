"""A WebSocket on a gevent socket, by the sans-I/O protocol of `websockets`. Both ways."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, ClassVar

import gevent
from gevent import lock
from websockets.client import ClientProtocol
from websockets.exceptions import InvalidHandshake
from websockets.extensions.permessage_deflate import ClientPerMessageDeflateFactory
from websockets.frames import Frame as WireFrame
from websockets.frames import Opcode
from websockets.http11 import Response
from websockets.uri import parse_uri

from tricast.session import Request
from tricast.wire.messages import Batch, Command, Frame, TransportName
from tricast_bench.users.base import PLAIN, Link, Tongue
from tricast_bench.users.http import BadAnswer, Ended
from tricast_bench.users.tcp import Target, Wire, connect, counted, receive

READ = 64 * 2**10
MESSAGES = (Opcode.TEXT, Opcode.BINARY)
SILENCE = 60.0
"""Seconds; the server pings four times in this."""


class WebSocketLink(Link):
    name: ClassVar[TransportName] = "ws"
    _socket: Any = None
    _protocol: ClientProtocol

    def __init__(self, target: Target, client: str, receive_buffer: int | None = None, tongue: Tongue = PLAIN) -> None:
        super().__init__(target, client, receive_buffer, tongue)
        self._writing = lock.BoundedSemaphore()

    def frames(self, request: Request) -> Iterator[Frame | Batch]:
        uri = f"ws://{self.target.authority}{self.target.path}{self.path('ws', request)}"
        offers = [ClientPerMessageDeflateFactory()] if self.tongue.compress else None
        self._protocol = protocol = ClientProtocol(parse_uri(uri), extensions=offers, max_size=None)
        self._socket = receiver = connect(self.target, self.receive_buffer)
        receiver.settimeout(SILENCE)
        protocol.send_request(protocol.connect())
        self._flush()
        decode = self.tongue.decoder.frame
        while True:
            data, self.at = receive(receiver, READ)
            if not data:
                break
            protocol.receive_data(data)
            for event in protocol.events_received():
                if isinstance(event, WireFrame):
                    if event.opcode in MESSAGES and (frame := decode(bytes(event.data))) is not None:
                        yield frame
                elif isinstance(event, Response):
                    _check(protocol)
            self._flush()
            if self.pause:
                gevent.sleep(self.pause)
        _check(protocol)
        raise Ended(f"closed with {protocol.close_code}")

    def send(self, commands: Sequence[Command]) -> None:
        if self._socket is None:
            raise Ended("there is no connection")
        for command in commands:
            payload = self.tongue.codec.encode(command)
            if isinstance(payload, str):
                self._protocol.send_text(payload.encode())
            else:
                self._protocol.send_binary(payload)
        self._flush()

    def _flush(self) -> None:
        """One greenlet at a time, so that frames do not mingle where the kernel takes only a part."""
        with self._writing:
            if data := b"".join(self._protocol.data_to_send()):
                self._socket.sendall(data)

    def counted(self) -> Wire:
        return counted(self._socket) if self._socket is not None else Wire()

    def close(self) -> None:
        if self._socket is not None:
            self._socket.close()
            self._socket = None


def _check(protocol: ClientProtocol) -> None:
    """Raises BadAnswer where the handshake failed."""
    error = protocol.handshake_exc
    if error is not None:
        raise BadAnswer(str(error) if isinstance(error, InvalidHandshake) else f"the upgrade failed: {error}")
