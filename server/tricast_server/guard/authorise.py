"""The hook by which an application says who may do what."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from typing import Literal, TypeAlias

from aiohttp import web

from tricast.wire.cursor import is_inbox


@dataclass(frozen=True, slots=True, kw_only=True)
class Access:
    """What somebody asks for. `topics` are those to listen to or to publish to, without inboxes: who knows the name of
    one may use it.

    `token` is the bearer token from the `Authorization` header or the `token` query, or None. `client` is a claim.
    """

    what: Literal["subscribe", "publish"]
    topics: tuple[str, ...]
    client: str
    token: str | None
    request: web.Request


Authorise: TypeAlias = Callable[[Access], Awaitable[str | None]]
"""Returns the subject (who it is, for `sub` and dedupe), or None for nobody in particular.

Raises `tricast.errors.Unauthorized` or `Forbidden` to refuse. Asked at every connect, subscribe, `/send` and publish.
"""


def without_inboxes(topics: Iterable[str]) -> tuple[str, ...]:
    return tuple(topic for topic in topics if not is_inbox(topic))


async def allow_all(access: Access) -> str | None:
    return None


def bearer_token(request: web.Request) -> str | None:
    """RFC 6750, 2.1 and 2.3."""
    scheme, _, token = request.headers.get("Authorization", "").partition(" ")
    if scheme.lower() == "bearer" and token.strip():
        return token.strip()
    query = request.rel_url.raw_query_string
    return request.query.get("token") if "token=" in query or "%" in query else None
