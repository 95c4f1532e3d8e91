"""The asyncio face of the bus.

async with tricast.connect("http://127.0.0.1:8080", topics=["t"]) as bus:
    await bus.publish("t", {"n": 1})
    async for message in bus:
        print(message.topic, message.data)
"""

from __future__ import annotations

import asyncio
import secrets
import uuid
from collections.abc import Iterable, Sequence
from types import TracebackType
from typing import Literal, Self

from yarl import URL

from tricast.echoes import Echoes
from tricast.errors import BusClosed, ConnectFailed, ConnectionLost, GapError
from tricast.fallback import Policy, Race, Uplink
from tricast.keeper import Keeper
from tricast.mailbox import Mailbox
from tricast.memory import Store
from tricast.publish import Publication
from tricast.session import Session
from tricast.timeline import Record, Stats, Timeline
from tricast.token import Token
from tricast.transports import LINKS, Target
from tricast.transports.base import Answer
from tricast.wire.commands import topic_list
from tricast.wire.cursor import DEFAULT_TOPIC, INBOX_PREFIX, is_name
from tricast.wire.formats import FormatName, codec_named
from tricast.wire.messages import (
    Echo,
    Gap,
    JsonValue,
    Message,
    Publish,
    Subscribe,
    TransportName,
    Unsubscribe,
)

OnGap = Literal["yield", "raise"]

BUFFER = 1000


def connect(
    url: str,
    topics: Iterable[str] = (DEFAULT_TOPIC,),
    *,
    transports: Sequence[TransportName] = tuple(LINKS),
    cursor: str | None = None,
    last: int = 0,
    token: Token | None = None,
    client: str | None = None,
    echo: bool = True,
    format: FormatName = "json",
    compress: bool = False,
    on_gap: OnGap = "yield",
    open_timeout: float = 15.0,
    buffer: int = BUFFER,
    store: Store | None = None,
    policy: Policy | None = None,
) -> Bus:
    """A bus to enter with `async with`, which connects.

    `topics` may be empty, where it is only to publish. `transports`: the best one first; they race with a head start
    for the better ones, and one alone is forced. `cursor`: resume after it
    ("earliest": from the oldest kept); without one, from `last` messages of each topic before now. `client`: the own
    name, which others see as `sender`; made up if None. `token`: a bearer token, or a function or coroutine function
    that gives one for each request; it is asked again where one expires or is refused, and the stream goes on at its
    cursor. `echo` False: not to be sent the own messages. `format`: how all of this travels; in "protobuf" bytes go as
    they are, where in "json" they are base64. `compress` is about WebSocket alone: whether to compress in both
    directions, what is published as well as what comes, if the server agrees to it (RFC 7692). Where False, answers to
    polls still come in gzip from a server that compresses; an event stream never is compressed. `on_gap`: whether a
    loss is yielded as a `Gap` among the messages or raised as `GapError`; iterating on then goes on behind it.
    `buffer`: how many messages wait for the consumer before no more are read. `store` remembers what worked from one
    connect to the next; `policy` holds the times of the fallback. Times are in seconds. Raises ValueError or
    BadRequest for what cannot be meant.
    """
    names = tuple(dict.fromkeys(transports))
    if not names or not set(names) <= set(LINKS):
        raise ValueError(f"transports is a list of {', '.join(LINKS)}")
    if client is not None and not is_name(client):
        raise ValueError("client is 1 to 64 characters of A-Za-z0-9_-")
    if isinstance(topics, str):
        raise ValueError("topics is a list of names, not one name")
    target = Target(
        url=base_url(url),
        client=client or secrets.token_hex(8),
        token=token,
        echo=echo,
        codec=codec_named(format),
        compress=compress,
    )
    # 128 random bits: whoever knows its name can read an inbox.
    inbox = INBOX_PREFIX + secrets.token_urlsafe(16)
    session = Session((*topics, inbox), cursor, last)
    return Bus(
        target,
        session,
        Race(names, policy),
        inbox=inbox,
        on_gap=on_gap,
        open_timeout=open_timeout,
        buffer=buffer,
        # What was forced says nothing about what is best.
        store=store if len(names) > 1 else None,
    )


def base_url(text: str) -> URL:
    """The http(s) URL under which a server's endpoints are. Raises ValueError."""
    url = URL(text if "://" in text else f"http://{text}")
    scheme = {"ws": "http", "wss": "https"}.get(url.scheme, url.scheme)
    if scheme not in ("http", "https") or not url.host:
        raise ValueError(f"{text!r} is no address of a server; one looks like http://127.0.0.1:8080")
    return url.with_scheme(scheme)


class Bus:
    """A subscription that survives its connections, and a way to publish. Made by `connect`; for one event loop.

    Iterating yields every message of the topics once and in order, or a gap that says what was lost. It ends when
    the bus is closed, and raises what the server refused with for good. A slow consumer holds the server back;
    nothing is dropped here.
    """

    def __init__(
        self,
        target: Target,
        session: Session,
        race: Race,
        *,
        inbox: str,
        on_gap: OnGap,
        open_timeout: float,
        buffer: int,
        store: Store | None,
    ) -> None:
        self._target = target
        self._session = session
        self._race = race
        self._store = store
        self._on_gap = on_gap
        self._open_timeout = open_timeout
        self._mailbox = Mailbox(buffer)
        self._inbox = inbox
        self._echoes = Echoes(inbox)
        self._changing = asyncio.Lock()
        self._keeper_: Keeper | None = None
        self._task: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        """Returns when a transport carries: its hello and an echo have come, or where no echo does, its hello alone.

        Raises ConnectFailed, with the timeline as its text, where none does within `open_timeout`, and at once the
        CommandError with which the server refuses.
        """
        if self._keeper_ is not None:
            raise BusClosed("a bus can be entered once")
        timeline = Timeline(asyncio.get_running_loop().time)
        self._keeper_ = Keeper(
            self._target,
            self._session,
            self._race,
            self._mailbox,
            timeline,
            inbox=self._inbox,
            on_inbox=self._echoes.take,
            store=self._store,
        )
        self._task = asyncio.create_task(self._keeper_.run(), name="tricast")
        try:
            async with asyncio.timeout(self._open_timeout):
                await self._keeper_.up()
        except TimeoutError:
            await self.close()
            text = f"nothing worked within {self._open_timeout:g} s at {self._target.url}\n{timeline}"
            raise ConnectFailed(text) from None
        except BaseException:
            await self.close()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Ends the connection and all that waits on this bus. Idempotent."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])
        self._echoes.end(BusClosed("the bus was closed"))

    # Where it is

    @property
    def transport(self) -> TransportName | None:
        """The transport of the link that carries, or did last."""
        return self._keeper.transport

    @property
    def uplink(self) -> Uplink:
        """Whether anything can be sent from here: "blocked" where messages come, but none get out."""
        return self._keeper.uplink

    @property
    def client(self) -> str:
        """The name that others see as `sender`."""
        return self._target.client

    @property
    def topics(self) -> tuple[str, ...]:
        return tuple(topic for topic in self._session.topics if topic != self._inbox)

    @property
    def cursor(self) -> str | None:
        """All that stands up to here was yielded by the iterator: another bus may go on from it and misses nothing.

        In particular it is not past what still waits to be iterated. None only before the first hello.
        """
        position = self._mailbox.position(self._session.cursor)
        return None if position is None else str(position)

    @property
    def timeline(self) -> list[Record]:
        """What was tried and seen, oldest first; at most 1000 records."""
        return self._keeper.timeline.records

    @property
    def stats(self) -> Stats:
        keeper = self._keeper
        return Stats(
            received=keeper.delivery.received,
            lost=keeper.delivery.lost,
            duplicated=keeper.delivery.duplicated,
            duplicates_dropped=self._session.counts.duplicates_dropped,
            gaps=keeper.delivery.gaps,
            reconnects=keeper.reconnects,
            switches=keeper.switches,
            time_to_first=keeper.time_to_first,
        )

    # What it does

    async def publish(
        self,
        topic: str,
        data: JsonValue | bytes,
        *,
        event: str | None = None,
        id: str | None = None,
        timeout: float = 30.0,
    ) -> str:
        """Appends a message to a topic, once however often it has to be sent. Returns the cursor where it stands.

        `id` (made up if None) names the publish: the same one again has no further effect within the server's dedupe
        window. Raises OutcomeUnknown where nobody can tell whether it took effect, else the server's CommandError;
        ConnectFailed or UplinkBlocked where it could not be sent, BusClosed. When cancelled, the outcome is unknown.
        """
        (topic,) = topic_list([topic])
        command = Publish(topic=topic, data=data, event=event, id=id or uuid.uuid4().hex)
        return await Publication(self._keeper, command).carry_out(timeout)

    async def echo(self, data: JsonValue | bytes, *, timeout: float = 10.0) -> JsonValue | bytes:
        """`data`, once it has gone up, through the bus and down again on the transport of now.

        It comes behind what waits to be read, so someone has to iterate. Raises UplinkBlocked where nothing can be
        sent, another TransportError where it does not come back in time, or the server's CommandError. Cancelling is
        safe.
        """
        try:
            async with asyncio.timeout(timeout):
                return await self._echoes.send(self._send_echo, data)
        except TimeoutError:
            raise ConnectionLost(f"no echo came back within {timeout:g} s") from None

    async def _send_echo(self, command: Echo) -> Answer:
        return await self._keeper.send(await self._keeper.sending(), command)

    async def subscribe(self, *topics: str, timeout: float = 30.0) -> None:
        """Returns when messages of these topics, from a cursor reached meanwhile, are on their way.

        Raises the CommandError that refused them; all is then as before. Raises ConnectFailed where no transport
        works for so long, and as when cancelled, the topics are still asked for as soon as one does.
        """
        await self._change(Subscribe(topics=topic_list(topics)), timeout)

    async def unsubscribe(self, *topics: str, timeout: float = 30.0) -> None:
        """No more messages of these topics are taken; those that wait to be iterated still come.

        Raises as `subscribe`.
        """
        await self._change(Unsubscribe(topics=topic_list(topics)), timeout)

    async def _change(self, command: Subscribe | Unsubscribe, timeout: float) -> None:
        try:
            async with asyncio.timeout(timeout), self._changing:
                await self._keeper.change_topics(command)
        except TimeoutError:
            raise ConnectFailed(f"no transport has worked for {timeout:g} s") from None

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Message | Gap:
        try:
            item = await self._mailbox.get()
        except BusClosed:
            raise StopAsyncIteration from None
        if isinstance(item, Gap) and self._on_gap == "raise":
            raise GapError(item)
        return item

    @property
    def _keeper(self) -> Keeper:
        if self._keeper_ is None:
            raise BusClosed("the bus was not entered: use `async with`")
        return self._keeper_
