"""As much of an HTTP/1.1 client as the load needs, on one gevent socket (RFC 9112)."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

from tricast_bench.users.tcp import Target, Wire, connect, counted, receive

READ = 64 * 2**10
HEAD_MAX = 64 * 2**10


class BadAnswer(Exception):
    """A response that is no HTTP/1.1, or has another status than 200; the text says which."""


class Ended(ConnectionError):
    """The server has closed the connection."""


class Connection:
    """Opens itself with the first request, and anew where the server has closed it in between."""

    def __init__(self, target: Target, receive_buffer: int | None = None) -> None:
        self.requests = 0
        self.at = 0
        """When the newest bytes had come: nanoseconds of the monotonic clock."""
        self.zipped = False
        """Whether the body of the last answer is as gzip made it."""
        self._target = target
        self._receive_buffer = receive_buffer
        self._socket: Any = None
        self._data = b""
        self._closed_before = Wire()

    def request(
        self, method: str, path: str, body: bytes = b"", timeout: float | None = None, headers: str = ""
    ) -> bytes:
        """The body of the answer. `headers` are more lines, each with its end.

        Raises BadAnswer, OSError, TimeoutError.
        """
        head = self._ask(method, path, body, timeout, headers)
        self.zipped = head.get(b"content-encoding") == b"gzip"
        if b"chunked" in head.get(b"transfer-encoding", b""):
            return b"".join(self._chunks())
        size = int(head.get(b"content-length", b"0"))
        while len(self._data) < size:
            self._fill()
        answer, self._data = self._data[:size], self._data[size:]
        if head.get(b"connection", b"").lower() == b"close":
            self.close()
        return answer

    def stream(self, path: str, timeout: float) -> Iterator[bytes]:
        """The pieces of a body as they come, until it ends; `timeout` in seconds of silence. Raises as `request`."""
        head = self._ask("GET", path, b"", timeout)
        if b"chunked" in head.get(b"transfer-encoding", b""):
            yield from self._chunks()
            return
        while True:  # as a proxy that speaks HTTP/1.0 has it: until the connection ends
            if self._data:
                yield self._data
            self._data = b""
            try:
                self._fill()
            except Ended:
                return

    def counted(self) -> Wire:
        """Of this and the sockets that it had before."""
        now = counted(self._socket) if self._socket is not None else Wire()
        return Wire(self._closed_before.up + now.up, self._closed_before.down + now.down, self.requests)

    def close(self) -> None:
        if self._socket is not None:
            with contextlib.suppress(OSError):
                self._closed_before = self._closed_before + counted(self._socket)
            self._socket.close()
            self._socket = None
        self._data = b""

    def _ask(self, method: str, path: str, body: bytes, timeout: float | None, headers: str = "") -> dict[bytes, bytes]:
        lines = f"{method} {self._target.path}{path} HTTP/1.1\r\nHost: {self._target.authority}\r\n{headers}"
        if method == "POST":
            lines += f"Content-Length: {len(body)}\r\n"
        request = lines.encode() + b"\r\n" + body
        used_before = self._socket is not None
        try:
            return self._exchange(request, timeout)
        except ConnectionError:
            self.close()
            if not used_before:
                raise
        return self._exchange(request, timeout)  # it had been left idle for too long

    def _exchange(self, request: bytes, timeout: float | None) -> dict[bytes, bytes]:
        if self._socket is None:
            self._socket = connect(self._target, self._receive_buffer)
        self._socket.settimeout(timeout)
        self.requests += 1
        self._socket.sendall(request)
        while (end := self._data.find(b"\r\n\r\n")) < 0:
            if len(self._data) > HEAD_MAX:
                raise BadAnswer("the headers of an answer do not end")
            self._fill()
        first, *lines = self._data[:end].split(b"\r\n")
        self._data = self._data[end + 4 :]
        if first.split(b" ", 2)[1:2] != [b"200"]:
            raise BadAnswer(first.decode(errors="replace"))
        pairs = (line.partition(b":") for line in lines)
        return {name.lower(): value.strip() for name, _, value in pairs}

    def _chunks(self) -> Iterator[bytes]:
        """All whole chunks that are there make one piece."""
        while True:
            piece, ended = self._whole_chunks()
            if piece:
                yield piece
            if ended:
                return
            self._fill()

    def _whole_chunks(self) -> tuple[bytes, bool]:
        data, at, pieces = self._data, 0, []
        ended = False
        while not ended and (line_end := data.find(b"\r\n", at)) >= 0:
            size = int(data[at:line_end].partition(b";")[0], 16)
            start = line_end + 2
            if len(data) < start + size + 2:
                break
            ended = size == 0  # trailers are not sent to those who do not ask
            pieces.append(data[start : start + size])
            at = start + size + 2
        self._data = data[at:]
        return b"".join(pieces), ended

    def _fill(self) -> None:
        """Raises Ended."""
        data, self.at = receive(self._socket, READ)
        if not data:
            raise Ended("the connection ended in an answer")
        self._data = self._data + data if self._data else data
