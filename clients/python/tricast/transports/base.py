"""The contract of a transport, and what all of them need of HTTP."""

from __future__ import annotations

import itertools
import math
from abc import ABC, abstractmethod
from collections.abc import AsyncGenerator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import ClassVar, Literal

import aiohttp
from yarl import URL

from tricast.errors import (
    CommandError,
    ConnectFailed,
    ConnectionLost,
    ProtocolError,
    TooMany,
    TransportError,
    Unavailable,
    UplinkBlocked,
    command_error,
)
from tricast.session import Request
from tricast.token import Token, fetch, renews
from tricast.wire import json
from tricast.wire.formats import Codec
from tricast.wire.messages import (
    PROTOCOL,
    Batch,
    Bye,
    Command,
    Error,
    Frame,
    Hello,
    Reply,
    TransportName,
)

HEARTBEAT = 15.0
"""Seconds, until a hello says otherwise."""
BYE_PATIENCE = 5.0
"""Seconds that a server which said bye may take to end the connection."""

Answer = Reply | CommandError


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """Where to connect, how and as whom. `client` is sent on every link, so that `from` stays. Timeouts in seconds."""

    url: URL
    client: str
    token: Token | None = field(default=None, repr=False)
    echo: bool = True
    codec: Codec = json
    compress: bool = False
    connect_timeout: float = 5.0
    send_timeout: float = 10.0
    counter: Iterator[int] = field(default_factory=lambda: itertools.count(1))

    async def authorization(self) -> dict[str, str]:
        """The header that says who it is (RFC 6750, 2.1), if any. Raises ConnectFailed where no token comes."""
        token = await fetch(self.token, self.connect_timeout)
        return {} if token is None else {"Authorization": f"Bearer {token}"}

    @property
    def renews(self) -> bool:
        """Whether another token can be had when one is refused."""
        return renews(self.token)


class Link(ABC):
    """One connection to the server, for one use, with a connection pool of its own.

    A pool that links share would hand the next link the dead connections of the last one.
    """

    name: ClassVar[TransportName]
    uplink: ClassVar[Literal["stream", "http"]]
    """How commands travel. In the stream, those that change its topics can be sent too; else it is opened anew."""

    def __init__(self, target: Target) -> None:
        self.target = target
        self.heartbeat = HEARTBEAT
        self.reconnect_after: float | None = None
        """Seconds that the server asked to wait before coming back."""
        self.why: str | None = None
        """What became of another transport, as `ws:refused`: told with the first request."""
        self._http: aiohttp.ClientSession | None = None

    @abstractmethod
    def open(self, request: Request) -> AsyncGenerator[Frame | Batch, None]:
        """The frames that the server sends; the first (a hello, or a batch) within `connect_timeout`.

        Reads no further than it is iterated: a slow consumer holds the server back. Ends by raising, never by
        itself: ConnectFailed before the first frame, ConnectionLost after it, ProtocolError, a retryable
        CommandError (with `retry_after`), or another one where the server refuses for good. Close it with
        `aclose()`; cancelling is safe.
        """

    @abstractmethod
    async def send(self, commands: Sequence[Command]) -> list[Answer]:
        """The answers, in order. Raises BadRequest for data that the format cannot carry, ConnectFailed where nothing
        was sent, UplinkBlocked where something in between refused, ConnectionLost where the outcome is unknown.
        When cancelled, the outcome is unknown.
        """

    def release(self) -> None:  # noqa: B027 - nothing waits for the stream where commands travel over HTTP
        """Fails, as ConnectionLost, the commands whose answers come in the stream: nobody reads it for now."""

    async def close(self) -> None:
        """Idempotent. Ends the connections at once."""
        if self._http is not None:
            await self._http.close()

    async def post(self, commands: Sequence[Command]) -> list[Answer]:
        """`send` over HTTP, whatever the link: this also goes while nobody reads its stream."""
        body = self.target.codec.encode_commands(commands)
        response, text = await self._post(body)
        if response.status == 401 and self.target.renews:
            response, text = await self._post(body)  # with another token
        if response.status != 200:
            return [_not_sent(response.status, response.headers, text)] * len(commands)
        return self._answers(text, len(commands))

    def _answers(self, body: bytes, count: int) -> list[Answer]:
        """Raises ConnectionLost for what is no answer: who knows what became of the commands."""
        try:
            answers = [_answer(frame) for frame in self.target.codec.decode_answers(body)]
        except ProtocolError as error:
            raise ConnectionLost(f"POST /send: {error}") from error
        if len(answers) != count:  # nothing at all is protobuf for no answers
            raise ConnectionLost(f"POST /send: {len(answers)} answers to {count} commands")
        return answers

    async def _post(self, body: bytes) -> tuple[aiohttp.ClientResponse, bytes]:
        headers = {"Content-Type": self.target.codec.CONTENT_TYPE, **await self.target.authorization()}
        url = self.url("send", {})
        with network(ConnectionLost, "POST /send"):
            timeout = aiohttp.ClientTimeout(total=self.target.send_timeout, connect=self.target.connect_timeout)
            request = self.http.post(url, data=body, headers=headers, timeout=timeout, allow_redirects=False)
            async with request as response:
                return response, await response.read()

    @property
    def http(self) -> aiohttp.ClientSession:
        if self._http is None:
            # Each use has its own deadline; aiohttp's default of five minutes would end a stream.
            timeout = aiohttp.ClientTimeout(total=None)
            self._http = aiohttp.ClientSession(timeout=timeout, trust_env=True)
        if self._http.closed:
            raise ConnectFailed("the link is closed")
        return self._http

    def url(self, path: str, query: Mapping[str, str]) -> URL:
        own = {"v": str(PROTOCOL), "client": self.target.client}
        if not self.target.echo:
            own["echo"] = "0"
        if self.target.codec is not json:
            own["format"] = self.target.codec.NAME
        if self.why is not None:
            own["why"], self.why = self.why, None
        return (self.target.url / path).with_query({**query, **own})

    @property
    def patience(self) -> float:
        """Seconds of silence after which the connection counts as dead."""
        silence = 2 * self.heartbeat
        return silence if self.reconnect_after is None else min(BYE_PATIENCE, silence)

    def note(self, frame: Frame | Batch | None) -> None:
        """Keep what a frame says about the connection itself."""
        match frame:
            case Batch():
                self.note(frame.hello)
                self.note(frame.bye)
            case Hello(heartbeat=int() | float() as seconds) if 0 < seconds < math.inf:
                self.heartbeat = float(seconds)
            case Bye(reconnect_after=int() | float() as seconds) if 0 <= seconds < math.inf:
                self.reconnect_after = float(seconds)


@contextmanager
def network(error: type[TransportError], doing: str) -> Iterator[None]:
    """What aiohttp and the system raise, as one of ours. Where no connection was made it is always ConnectFailed."""
    try:
        yield
    except (aiohttp.ClientConnectorError, aiohttp.ClientHttpProxyError, aiohttp.ConnectionTimeoutError) as cause:
        raise ConnectFailed(f"{doing}: {cause}") from cause
    except AssertionError as cause:  # aiohttp's, where its session is closed while it looks for a proxy
        raise ConnectFailed(f"{doing}: the link was closed") from cause
    except TimeoutError:
        raise error(f"{doing}: no answer in time") from None
    except (aiohttp.ClientError, OSError, ValueError) as cause:
        raise error(f"{doing}: {str(cause) or type(cause).__name__}") from cause


def refusal(status: int, headers: Mapping[str, str], body: bytes) -> CommandError | ConnectFailed:
    """What an HTTP answer that is no 200 means; without an error object it is not the server's own word."""
    wait = _retry_after(headers)
    error = error_in(body)
    if error is not None:
        return as_exception(error, wait)
    if status == 429:
        return TooMany(f"HTTP status {status}", retry_after=wait)
    if status == 503:
        return Unavailable(f"HTTP status {status}", retry_after=wait)
    if 300 <= status < 400 and "Location" in headers:
        return ConnectFailed(f"redirected to {headers['Location']}; use that address")
    return ConnectFailed(f"HTTP status {status}, not from a tricast server")


def as_exception(error: Error, retry_after: float | None = None) -> CommandError:
    return command_error(error.code, error.message, retry_after if error.retry_after is None else error.retry_after)


def error_in(body: bytes) -> Error | None:
    """The error object that is this whole body, if it is one. It is JSON whatever the format."""
    try:
        frame = json.decode(body)
    except ProtocolError:
        return None
    return frame if isinstance(frame, Error) else None


def _retry_after(headers: Mapping[str, str]) -> float | None:
    """RFC 9110, 10.2.3; of its two forms only the one that servers of this contract use."""
    text = headers.get("Retry-After", "")
    return float(text) if text.isascii() and text.isdigit() else None


def _not_sent(status: int, headers: Mapping[str, str], body: bytes) -> CommandError:
    """The server's answer to a single command. Raises TransportError where it is not the server's."""
    error = refusal(status, headers, body)
    if isinstance(error, CommandError) and (status != 503 or error_in(body) is not None):
        return error
    if status >= 500:
        raise ConnectionLost(f"POST /send: {error}")  # a gateway may have passed it on
    raise UplinkBlocked(f"POST /send: {error}")


def _answer(frame: Frame | None) -> Answer:
    if isinstance(frame, Error):
        return as_exception(frame)
    if isinstance(frame, Reply):
        return frame
    raise ProtocolError("the answer to a command is neither a reply nor an error")
