"""What every transport does first: who comes, what they may hear, and where in the log they begin."""

from __future__ import annotations

import asyncio
from typing import NamedTuple

from aiohttp import web

from tricast.errors import Unavailable
from tricast.wire.cursor import NO_CURSOR, Cursor
from tricast_server.bus.bus import Bus
from tricast_server.bus.view import Identity, View
from tricast_server.guard.authorise import NOBODY, Access, Grant, allow_all, bearer_token, without_inboxes
from tricast_server.service import Service
from tricast_server.transports.params import Params, new_client, params_of

EARLIEST = "earliest"
CATCH_UP_TIMEOUT = 5.0


class Start(NamedTuple):
    """Where a subscription begins: `cursor` to read from, `asked` to say in hello."""

    cursor: Cursor
    asked: Cursor


class Entrance(NamedTuple):
    """Somebody who may connect: what they asked for, who they are, and where they begin.

    `cursor` as it was given: None where none was, or where `last` stands in its place. `goes_on`: it is of this epoch,
    so whoever has it was here before.
    """

    params: Params
    client: str
    cursor: str | None
    token: str | None
    grant: Grant
    view: View
    start: Start
    goes_on: bool


async def enter(
    request: web.Request,
    service: Service,
    *,
    format: str | None = None,
    cursor: str | None = None,
    polls: bool = False,
) -> Entrance:
    """What every transport does first. `format` and `cursor` go before those of the query. Where it `polls`, and does
    not go on with what has been let in, it is a connect, which other transports count themselves. Raises CommandError.
    """
    params, given = params_of(request, service.settings, format=format)
    asked = cursor or given
    known = Cursor.parse(asked) if asked else None
    goes_on = known is not None and known.epoch == service.bus.log.epoch
    if polls and not goes_on:
        service.limits.connect(request)
    client = params.client or new_client()
    token = bearer_token(request)
    grant = NOBODY
    if service.authorise is not allow_all:
        access = Access(
            what="subscribe", topics=without_inboxes(params.topics), client=client, token=token, request=request
        )
        grant = await service.admit(access)
    if "why=" in request.rel_url.raw_query_string and (why := request.query.get("why")):
        service.tally.fell_back(why)
    if polls and not goes_on:
        service.limits.connect_as(grant.subject)
    if known is not None and known.epoch == service.bus.log.epoch and known.offset <= service.bus.log.head:
        start = Start(known, known)
    else:
        start = await locate(service.bus, params.topics, asked, known, params.last)
    view = params.view if params.echo else View(params.topics, Identity(client, grant.subject))
    return Entrance(params, client, asked, token, grant, view, start, goes_on)


async def locate(bus: Bus, topics: tuple[str, ...], cursor: str | None, parsed: Cursor | None, last: int) -> Start:
    """From what was asked, and what it spells if anything, to a place in the log. `last` counts only where no cursor
    was given.

    What is no cursor, or lies beyond the engine's end, starts at a cursor of no epoch, so that a gap is told. What is
    ahead of this node but within the engine is waited for. Raises Unavailable where that takes too long, and where
    only the engine could tell and is away.
    """
    log = bus.log
    if cursor is None or cursor == EARLIEST:
        offset = log.head
        if cursor == EARLIEST:
            offset = log.earliest(topics)
        elif last:
            offset = log.before_last(topics, last)
        start = Cursor(log.epoch, offset)
        return Start(start, start)
    if parsed is None:
        return Start(NO_CURSOR, NO_CURSOR)
    if parsed.epoch != log.epoch or parsed.offset > log.head:
        try:
            async with asyncio.timeout(CATCH_UP_TIMEOUT):
                bounds = await bus.backplane.bounds()
                if parsed.epoch == bounds.epoch:
                    # This node may not have heard yet that the log began anew: a gap would lead back to what is over.
                    await bus.entered(parsed.epoch)
                    if parsed.offset > bounds.end:
                        return Start(NO_CURSOR, parsed)
                await bus.reached(parsed)
        except TimeoutError:
            raise Unavailable("this node has not caught up to that cursor", retry_after=1.0) from None
    return Start(parsed, parsed)
