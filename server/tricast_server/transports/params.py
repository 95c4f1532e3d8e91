"""What the query of `/ws`, `/sse` and `/poll` asks for, checked. Polls ask the same again and again: that is kept."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache

from aiohttp import web
from yarl import URL

from tricast.errors import BadRequest
from tricast.wire.commands import topic_list
from tricast.wire.cursor import DEFAULT_TOPIC, is_name
from tricast_server.bus.view import View
from tricast_server.framing import Format, format_named
from tricast_server.settings import Settings

LAST_MAX = 1000
WAIT_MAX = 55.0
WAIT_DEFAULT = 25.0
LIMIT_MAX = 1000
LIMIT_DEFAULT = 500
KEPT = 1024
"""Different queries whose meaning is kept."""
KEPT_LENGTH = 1024
"""Characters of a query that may be kept: with the number above, a megabyte or two at most."""
_KNOWN = frozenset(("v", "topics", "last", "format", "client", "echo", "wait", "limit"))
_CURSOR = "cursor="


@dataclass(frozen=True, slots=True, kw_only=True)
class Params:
    """All but the cursor, the same in every poll of a client. `view` is that of somebody with nothing hidden.

    `format_given`: by the query, or by what goes before it.
    """

    view: View
    last: int
    format: Format
    format_given: bool
    client: str | None
    echo: bool
    wait: float
    limit: int

    @property
    def topics(self) -> tuple[str, ...]:
        return self.view.topics


def params_of(request: web.Request, settings: Settings, *, format: str | None = None) -> tuple[Params, str | None]:
    """What the query says, and the cursor as it was given. Unknown parameters are ignored. Raises BadRequest.

    `format` is what the subprotocol asked for.
    """
    cursor, rest = _without_cursor(request.rel_url.raw_query_string)
    read = _params if len(rest) <= KEPT_LENGTH else _params.__wrapped__
    return read(rest, format, settings.max_topics), cursor


def _without_cursor(query: str) -> tuple[str | None, str]:
    """The cursor, and what else in the query, still percent-encoded, means something here. Tokens are not in it."""
    cursor = None
    kept = []
    for pair in query.split("&"):
        name = pair.partition("=")[0]
        if name in _KNOWN:
            kept.append(pair)
        elif cursor is None and name == "cursor":
            text = pair.removeprefix(_CURSOR)
            cursor = _parsed(pair)["cursor"] if "%" in text or "+" in text else text
        elif "%" in name:  # a known name, perhaps, in a spelling of its own
            for spelled, value in _parsed(pair).items():
                if spelled in _KNOWN:
                    kept.append(URL.build(query={spelled: value}).raw_query_string)
                elif spelled == "cursor" and cursor is None:
                    cursor = value
    return cursor, "&".join(kept)


def _parsed(query: str) -> Mapping[str, str]:
    return URL.build(query_string=query, encoded=True).query


@lru_cache(KEPT)
def _params(query: str, format: str | None, max_topics: int) -> Params:
    given = _parsed(query)
    check_version(given)
    topics = topic_list([t for t in given.get("topics", DEFAULT_TOPIC).split(",") if t])
    if len(topics) > max_topics:
        raise BadRequest(f"too many topics: the limit is {max_topics}")
    return Params(
        view=View(topics),
        last=int(number(given, "last", 0, LAST_MAX, whole=True)),
        format=format_named(format or given.get("format", "json")),
        format_given=format is not None or "format" in given,
        client=client_of(given),
        echo=given.get("echo", "1") != "0",
        wait=number(given, "wait", WAIT_DEFAULT, WAIT_MAX),
        limit=max(1, int(number(given, "limit", LIMIT_DEFAULT, LIMIT_MAX, whole=True))),
    )


def check_version(query: Mapping[str, str]) -> None:
    """Raises BadRequest where the client speaks another version."""
    if query.get("v", "1") != "1":
        raise BadRequest("this server speaks v=1")


def client_of(query: Mapping[str, str]) -> str | None:
    """The client's own id. Raises BadRequest."""
    client = query.get("client")
    if client is not None and not is_name(client):
        raise BadRequest("client is 1 to 64 characters of A-Za-z0-9_-")
    return client


def new_client() -> str:
    """An id for a client that has none."""
    return f"c{os.urandom(8).hex()}"


def number(query: Mapping[str, str], name: str, default: float, most: float, *, whole: bool = False) -> float:
    """A parameter from 0 to `most`. Raises BadRequest."""
    text = query.get(name)
    if text is None:
        return default
    try:
        value = int(text) if whole else float(text)
    except ValueError:
        value = -1
    if not 0 <= value <= most:  # also not a number
        raise BadRequest(f"{name} is a {'whole ' if whole else ''}number from 0 to {most:.0f}")
    return value
