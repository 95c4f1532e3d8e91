"""What a client asks for when it connects: the query of `/ws`, `/sse` and `/poll`, checked."""

from __future__ import annotations

import asyncio
import secrets
from dataclasses import dataclass

from aiohttp import web

from tricast.errors import BadRequest, Unavailable
from tricast.wire.commands import topic_list
from tricast.wire.cursor import DEFAULT_TOPIC, NO_CURSOR, Cursor, is_name
from tricast_server.bus.bus import Bus
from tricast_server.bus.view import Identity, View
from tricast_server.framing import Format, format_named
from tricast_server.guard.authorise import Access, bearer_token, without_inboxes
from tricast_server.service import Service
from tricast_server.settings import Settings

EARLIEST = "earliest"
LAST_MAX = 1000
WAIT_MAX = 55.0
WAIT_DEFAULT = 25.0
LIMIT_MAX = 1000
LIMIT_DEFAULT = 500
CATCH_UP_TIMEOUT = 5.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Params:
    """`cursor` as it was given: None where none was, or where `last` stands in its place."""

    topics: tuple[str, ...]
    cursor: str | None
    last: int
    format: Format
    client: str
    echo: bool
    wait: float
    limit: int

    @classmethod
    def of(cls, request: web.Request, settings: Settings, *, format: str | None = None) -> Params:
        """Unknown parameters are ignored. `format` is what the subprotocol asked for. Raises BadRequest."""
        query = request.query
        check_version(request)
        topics = topic_list([t for t in query.get("topics", DEFAULT_TOPIC).split(",") if t])
        if len(topics) > settings.max_topics:
            raise BadRequest(f"too many topics: the limit is {settings.max_topics}")
        return cls(
            topics=topics,
            cursor=query.get("cursor"),
            last=int(number(request, "last", 0, LAST_MAX, whole=True)),
            format=format_named(format or query.get("format", "json")),
            client=client_of(request),
            echo=query.get("echo", "1") != "0",
            wait=number(request, "wait", WAIT_DEFAULT, WAIT_MAX),
            limit=max(1, int(number(request, "limit", LIMIT_DEFAULT, LIMIT_MAX, whole=True))),
        )


def check_version(request: web.Request) -> None:
    """Raises BadRequest where the client speaks another version."""
    if request.query.get("v", "1") != "1":
        raise BadRequest("this server speaks v=1")


def client_of(request: web.Request) -> str:
    """The client's own id, or a new one. Raises BadRequest."""
    client = request.query.get("client")
    if client is None:
        return f"c{secrets.token_hex(8)}"
    if not is_name(client):
        raise BadRequest("client is 1 to 64 characters of A-Za-z0-9_-")
    return client


def number(request: web.Request, name: str, default: float, most: float, *, whole: bool = False) -> float:
    """A query parameter from 0 to `most`. Raises BadRequest."""
    text = request.query.get(name)
    if text is None:
        return default
    try:
        value = int(text) if whole else float(text)
    except ValueError:
        value = -1
    if not 0 <= value <= most:  # also not a number
        raise BadRequest(f"{name} is a {'whole ' if whole else ''}number from 0 to {most:.0f}")
    return value


@dataclass(frozen=True, slots=True, kw_only=True)
class Entrance:
    """Somebody who may connect: what they asked for, who they are, and where they begin."""

    params: Params
    token: str | None
    subject: str | None
    view: View
    start: Start


async def enter(
    request: web.Request, service: Service, *, format: str | None = None, cursor: str | None = None
) -> Entrance:
    """What every transport does first. `format` and `cursor` go before those of the query. Raises CommandError."""
    params = Params.of(request, service.settings, format=format)
    token = bearer_token(request)
    access = Access(
        what="subscribe", topics=without_inboxes(params.topics), client=params.client, token=token, request=request
    )
    subject = await service.authorise(access)
    start = await locate(service.bus, params.topics, cursor or params.cursor, params.last)
    hidden = None if params.echo else Identity(params.client, subject)
    return Entrance(params=params, token=token, subject=subject, view=View(params.topics, hidden), start=start)


@dataclass(frozen=True, slots=True)
class Start:
    """Where a subscription begins: `cursor` to read from, `asked` to say in hello."""

    cursor: Cursor
    asked: str


async def locate(bus: Bus, topics: tuple[str, ...], cursor: str | None, last: int) -> Start:
    """From what was asked to a place in the log. `last` counts only where no cursor was given.

    What is no cursor, or lies beyond the engine's end, starts at a cursor of no epoch, so that a gap is told. What is
    ahead of this node but within the engine is waited for. Raises Unavailable where that takes too long.
    """
    log = bus.log
    if cursor is None or cursor == EARLIEST:
        offset = log.head
        if cursor == EARLIEST:
            offset = log.earliest(topics)
        elif last:
            offset = log.before_last(topics, last)
        start = Cursor(log.epoch, offset)
        return Start(start, str(start))
    parsed = Cursor.parse(cursor)
    if parsed is None:
        return Start(NO_CURSOR, str(NO_CURSOR))
    if parsed.epoch == log.epoch and parsed.offset > log.head:
        try:
            async with asyncio.timeout(CATCH_UP_TIMEOUT):
                if parsed.offset > (await bus.backplane.bounds()).end:
                    return Start(NO_CURSOR, str(parsed))
                await bus.reached(parsed)
        except TimeoutError:
            raise Unavailable("this node has not caught up to that cursor", retry_after=1.0) from None
    return Start(parsed, str(parsed))
