"""The contract of a transport, and the client around it: a session that lives on when its connection ends."""

from __future__ import annotations

import functools
import gzip
import itertools
import secrets
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar
from urllib.parse import urlencode

import gevent
from gevent import event, queue

from tricast.errors import ProtocolError
from tricast.session import Request, Session
from tricast.wire.formats import Codec, FormatName, codec_named
from tricast.wire.messages import (
    Batch,
    Bye,
    Command,
    Error,
    Frame,
    Gap,
    Hello,
    JsonValue,
    Message,
    Publish,
    TransportName,
)
from tricast_bench.users.http import BadAnswer
from tricast_bench.users.tcp import Target, Wire

RETRY = 0.1
AT_ONCE = 100
"""Commands that one POST may carry."""
CUT = (OSError, BadAnswer, ProtocolError)
"""What ends a connection and not the client."""

# Many subscribers get the same bytes, and frames do not change: what one client made of them serves the others too.
REMEMBERED = 64
unzipped: Callable[[bytes], bytes] = functools.lru_cache(maxsize=REMEMBERED)(gzip.decompress)


@dataclass(frozen=True, slots=True)
class Decoder:
    """Of one format, with a memory."""

    frame: Callable[[bytes | str], Frame | None]
    batch: Callable[[bytes], Batch]


@functools.cache
def decoder_of(format: FormatName) -> Decoder:
    codec, remember = codec_named(format), functools.lru_cache(maxsize=REMEMBERED)
    return Decoder(remember(codec.decode), remember(codec.decode_batch))


@dataclass(frozen=True, slots=True, kw_only=True)
class Tongue:
    """In which format a client speaks and listens, and whether it offers to take what is compressed."""

    format: FormatName = "json"
    compress: bool = False

    @property
    def codec(self) -> Codec:
        return codec_named(self.format)

    @property
    def decoder(self) -> Decoder:
        return decoder_of(self.format)


PLAIN = Tongue()


class Refused(OSError):
    """The server does not let this client in."""


class Link(ABC):
    """One connection, with a second one for what goes up where the transport has one direction only.

    Every method but `close` and `counted` blocks its greenlet, and raises what is in `CUT` where the connection ends.
    `at` is when the bytes of the newest frame had reached the socket, in nanoseconds of the monotonic clock.
    """

    name: ClassVar[TransportName]

    def __init__(self, target: Target, client: str, receive_buffer: int | None = None, tongue: Tongue = PLAIN) -> None:
        self.target = target
        self.client = client
        self.tongue = tongue
        self.receive_buffer = receive_buffer
        self.at = 0
        self.pause = 0.0
        """Seconds to wait before each read: a slow reader."""

    @abstractmethod
    def frames(self, request: Request) -> Iterator[Frame | Batch]:
        """Connects, then what comes, beginning with hello. Ends where the server ended it in order."""

    @abstractmethod
    def send(self, commands: Sequence[Command]) -> None:
        """Hands them to the kernel (and waits for the answer, where there is one), in order."""

    @abstractmethod
    def counted(self) -> Wire: ...

    @abstractmethod
    def close(self) -> None: ...

    def path(self, endpoint: str, request: Request, **more: str) -> str:
        if self.tongue.format != "json":
            more["format"] = self.tongue.format
        return f"/{endpoint}?" + urlencode({**request.query(), "client": self.client, **more})


class Client:
    """A subscriber that may publish. `hear` gets what the session lets through, and when its bytes had come.

    `run` in a greenlet; `ready` is set with the first hello. `first` is the seconds from the connect until then, or
    until the first message where `last` messages of before were asked for.
    """

    _ids = itertools.count()

    def __init__(
        self,
        link: type[Link],
        target: Target,
        topics: tuple[str, ...],
        hear: Callable[[Message | Gap, int], None],
        *,
        last: int = 0,
        receive_buffer: int | None = None,
        tongue: Tongue = PLAIN,
    ) -> None:
        self.id = f"b{next(self._ids)}-{secrets.token_hex(4)}"
        self.link = link(target, self.id, receive_buffer, tongue)
        self.session = Session(topics, last=last)
        self.ready = event.AsyncResult()
        self.first: float | None = None
        self.ticks = 0
        """Frames and answers that brought no message: heartbeats, and polls that ran out."""
        self.reconnects = 0
        self.cut: str | None = None
        """Why the last connection ended, where it was not in order."""
        self.failed: str | None = None
        """What the server answered a publish with, where that was no success."""
        self._hear = hear
        self._outbox: Any = None
        self._sending: Any = None
        self._wants_message = last > 0
        self._started = 0
        self._closed = False

    def run(self) -> None:
        """Until it is killed, or refused at the first connect; `ready` then raises the reason."""
        try:
            while not self._closed:
                try:
                    self._listen()
                except CUT as error:
                    if not self.ready.ready():
                        raise Refused(f"{self.link.name}: {self.failed or error}") from None
                    self.cut = str(error)
                self.link.close()
                if self._closed:
                    return
                self.reconnects += 1
                gevent.sleep(RETRY)
        except Refused as error:
            self.ready.set_exception(error)
        finally:
            self.close()

    def publish(self, topic: str, data: JsonValue | bytes, id: str) -> None:
        """Puts it on its way, and does not block. Answers are read and not looked at, unless they are errors."""
        if self._outbox is None:
            self._outbox = queue.Queue()
            self._sending = gevent.spawn(self._send)
        self._outbox.put(Publish(topic=topic, data=data, id=id))

    def close(self) -> None:
        """Ends `run`, and what sends."""
        self._closed = True
        if self._sending is not None:
            self._sending.kill(block=False)
        self.link.close()

    def _listen(self) -> None:
        stream = self.session.open()
        self._started = time.monotonic_ns()
        for frame in self.link.frames(stream.request):
            items = stream.receive(frame)
            at = self.link.at
            for item in items:
                self._hear(item, at)
            self._note(frame, bool(items), at)
            if isinstance(frame, Bye):
                return

    def _note(self, frame: Frame | Batch, heard: bool, at: int) -> None:
        if isinstance(frame, Error):
            self.failed = f"{frame.code}: {frame.message}"
        hello = isinstance(frame, Hello) or (isinstance(frame, Batch) and frame.hello is not None)
        self.ticks += not heard and not hello
        if self.first is None and (heard if self._wants_message else hello):
            self.first = (at - self._started) / 1e9
        if hello and not self.ready.ready():
            self.ready.set(None)

    def _send(self) -> None:
        while True:
            commands = [self._outbox.get()]
            while len(commands) < AT_ONCE and not self._outbox.empty():
                commands.append(self._outbox.get())
            self._send_these(commands)

    def _send_these(self, commands: Sequence[Command]) -> None:
        """Again and again while there is no connection: their ids make that safe."""
        while True:
            try:
                self.link.send(commands)
            except BadAnswer as error:
                self.failed = str(error)
            except CUT:
                gevent.sleep(RETRY)
                continue
            return
