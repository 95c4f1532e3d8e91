"""The hook by which an application says who may do what, and for how long."""

from __future__ import annotations

import math
import re
import time
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, field
from typing import Literal, TypeAlias
from urllib.parse import unquote

from aiohttp import web

from tricast.errors import CommandError, Unauthorized
from tricast.wire.cursor import is_inbox

TOKEN_PROTOCOL = "tricast.token."
"""A subprotocol that starts so is the token: browsers set no headers on a WebSocket, and URLs end up in logs."""
CHALLENGE: web.RequestKey[str] = web.RequestKey("tricast_challenge", str)
"""What `WWW-Authenticate` says, where this request was refused for want of a token or of its rights."""
EXPIRED = 'Bearer error="invalid_token"'
_JWT = re.compile(r"[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]*")


@dataclass(frozen=True, slots=True, kw_only=True)
class Access:
    """What somebody asks for. `topics` are those to listen to or to publish to, without inboxes: who knows the name of
    one may use it. There may be none: then it is asked whether they may come at all.

    `token` is the bearer token from the `Authorization` header, the subprotocol or the `token` query, or None. `client`
    is a claim.
    """

    what: Literal["subscribe", "publish"]
    topics: tuple[str, ...]
    client: str
    token: str | None = field(repr=False)
    request: web.Request = field(repr=False)  # its text has the query, and so the token


@dataclass(frozen=True, slots=True, kw_only=True)
class Grant:
    """Who it is, and how long what was granted holds. A connection that outlives its grant is ended.

    `expires` is in seconds since 1970, None for never. `revoked` must not block; after something was revoked,
    `Service.leases.review` has all who are connected asked.
    """

    subject: str | None = None
    expires: float | None = None
    revoked: Callable[[], bool] | None = None

    def check(self) -> None:
        """Raises Unauthorized where it holds no longer."""
        if self.expires is not None and time.time() >= self.expires:
            raise Unauthorized("the token has expired")
        if self.revoked is not None and self.revoked():
            raise Unauthorized("the key of this token was taken back")

    @property
    def remaining(self) -> float:
        """Seconds; infinite where it does not expire."""
        return math.inf if self.expires is None else max(0.0, self.expires - time.time())

    @property
    def holds(self) -> bool:
        try:
            self.check()
        except Unauthorized:
            return False
        return True


NOBODY = Grant()
"""For nobody in particular, for ever."""

Authorise: TypeAlias = Callable[[Access], Awaitable[Grant | str | None]]
"""Returns the subject (who it is, for `sub` and dedupe) or None for nobody in particular; or a Grant that says more.

Raises `tricast.errors.Unauthorized` or `Forbidden` to refuse. Asked at every connect, subscribe, `/send` and publish.
"""


def without_inboxes(topics: Iterable[str]) -> tuple[str, ...]:
    return tuple(topic for topic in topics if not is_inbox(topic))


async def allow_all(access: Access) -> str | None:
    return None


def bearer_token(request: web.Request) -> str | None:
    """RFC 6750, 2.1 and 2.3, and between them the subprotocol of a WebSocket."""
    scheme, _, token = request.headers.get("Authorization", "").partition(" ")
    if scheme.lower() == "bearer" and token.strip():
        return token.strip()
    for name in offered_protocols(request):
        if name.startswith(TOKEN_PROTOCOL):
            return unquote(name.removeprefix(TOKEN_PROTOCOL))  # in a JSON Web Token is nothing to unquote
    query = request.rel_url.raw_query_string
    return request.query.get("token") if "token=" in query or "%" in query else None


def offered_protocols(request: web.Request) -> list[str]:
    """The subprotocols that a WebSocket's client offers (RFC 6455, 4.1)."""
    if "Sec-WebSocket-Protocol" not in request.headers:
        return []
    return [name.strip() for line in request.headers.getall("Sec-WebSocket-Protocol") for name in line.split(",")]


def is_like_a_token(protocol: str) -> bool:
    return protocol.startswith(TOKEN_PROTOCOL) or _JWT.fullmatch(protocol) is not None


def challenge(error: CommandError, token: str | None) -> str:
    """RFC 6750, 3: without a token, no word about what is wrong with it."""
    if not isinstance(error, Unauthorized):
        return 'Bearer error="insufficient_scope"'
    return "Bearer" if token is None else EXPIRED
