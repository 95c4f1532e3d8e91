"""JSON Web Tokens (RFC 7519) as an application's `Authorise`: who it is, until when, and for which topics."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import jwt

from tricast.errors import Forbidden, Unauthorized
from tricast_server.guard.authorise import Access, Grant
from tricast_server.guard.keys import Key, KeyRing
from tricast_server.guard.leases import Leases
from tricast_server.guard.patterns import Patterns
from tricast_server.settings import Settings

TOKEN_MAX = 8192
"""Characters."""
SUBJECT_MAX = 256
TIME_MAX = 2.0**40
"""Seconds since 1970: what is later is no time."""
KNOWN_MAX = 4096
"""Tokens that need not be verified again: every poll and every publish brings one."""
WANTED = (
    "a token is wanted: as Authorization: Bearer, as WebSocket subprotocol tricast.token.*, or as token in the query"
)

_REASONS: tuple[tuple[type[jwt.PyJWTError], str], ...] = (
    (jwt.ImmatureSignatureError, "the token is not valid yet"),
    (jwt.InvalidAudienceError, "the token is for another audience"),
    (jwt.InvalidIssuerError, "the token is of another issuer"),
    (jwt.InvalidSignatureError, "the token's signature is wrong"),
    (jwt.MissingRequiredClaimError, "the token lacks a claim that is wanted here"),
)


@dataclass(frozen=True, slots=True)
class Rights:
    """What a token says. A claim that is missing allows nothing."""

    grant: Grant
    subscribe: Patterns
    publish: Patterns


class Tokens:
    """An `Authorise` by the tokens that the settings describe. `start` before use, `close` after.

    The algorithm is decided by the key, never by the token: HS256 goes with the shared secret alone, a public key with
    the algorithm of its kind alone (RFC 8725, 3.1).
    """

    def __init__(self, settings: Settings, leases: Leases) -> None:
        self._settings = settings
        self._leases = leases
        secret = settings.token_secret
        self._secret = None if secret is None else secret.encode()
        self._known: dict[str, Rights] = {}
        self._ring: KeyRing | None = None
        if settings.token_keys is not None:
            self._ring = KeyRing(settings.token_keys, every=settings.token_keys_refresh, on_change=self._keys_changed)

    async def start(self) -> None:
        """Raises ValueError where the file of keys has none."""
        if self._ring is not None:
            await self._ring.start()

    async def close(self) -> None:
        """Idempotent."""
        if self._ring is not None:
            await self._ring.close()

    async def __call__(self, access: Access) -> Grant:
        """Raises Unauthorized, Forbidden; Unavailable where the keys cannot be read."""
        token = access.token
        if token is None:
            raise Unauthorized(WANTED)
        rights = self._known.get(token)
        if rights is None:
            rights = await self._rights(token)
            self._remember(token, rights)
        rights.grant.check()
        patterns = rights.subscribe if access.what == "subscribe" else rights.publish
        for topic in access.topics:
            if not patterns.allows(topic):
                raise Forbidden(f"this token does not let its bearer {access.what} to {topic}")
        return rights.grant

    def _remember(self, token: str, rights: Rights) -> None:
        if len(self._known) >= KNOWN_MAX:
            self._known.clear()
        self._known[token] = rights

    def _keys_changed(self) -> None:
        self._known.clear()
        self._leases.review()

    async def _rights(self, token: str) -> Rights:
        if len(token) > TOKEN_MAX:
            raise Unauthorized(f"the token is longer than {TOKEN_MAX} characters")
        try:
            header = jwt.get_unverified_header(token)
        except (jwt.PyJWTError, ValueError):  # of text that is not Unicode, too
            raise Unauthorized("that is no JSON Web Token") from None
        algorithm, id = header.get("alg"), header.get("kid")
        if algorithm == "HS256" and self._secret is not None:
            return self._read(token, self._secret, algorithm)
        if self._ring is None or not isinstance(algorithm, str):
            raise Unauthorized("the token is not signed as is wanted here")
        keys = await self._ring.find(algorithm, id if isinstance(id, str) else None)
        if not keys:
            raise Unauthorized("the token's key is not known here")
        for key in keys[:-1]:
            try:
                return self._read(token, key, algorithm)
            except _WrongSignature:
                continue
        return self._read(token, keys[-1], algorithm)

    def _read(self, token: str, key: Key | bytes, algorithm: str) -> Rights:
        """Raises Unauthorized with the reason, which never holds anything of the token."""
        settings = self._settings
        own = algorithm if isinstance(key, bytes) else key.algorithm
        try:
            claims = jwt.decode(
                token,
                key if isinstance(key, bytes) else key.public,
                algorithms=[own],
                audience=settings.token_audience,
                issuer=settings.token_issuer,
                leeway=settings.token_leeway,
                options={"verify_exp": False},  # that is watched as long as the connection lives, see Grant
            )
        except jwt.PyJWTError as error:
            kind = _WrongSignature if isinstance(error, jwt.InvalidSignatureError) else Unauthorized
            reasons = (reason for known, reason in _REASONS if isinstance(error, known))
            raise kind(next(reasons, "the token is not valid")) from None
        except (ValueError, TypeError, OverflowError, RecursionError):
            raise Unauthorized("the token is not valid") from None
        return self._rights_in(claims, None if isinstance(key, bytes) else key)

    def _rights_in(self, claims: Mapping[str, Any], key: Key | None) -> Rights:
        subject = claims.get("sub")
        if subject is not None and not _is_subject(subject):
            raise Unauthorized(f"the token's sub is no text of 1 to {SUBJECT_MAX} characters")
        grant = Grant(
            subject=subject,
            expires=self._expiry(claims.get("exp")),
            revoked=None if key is None else lambda: key.revoked,
        )
        return Rights(grant, _patterns(claims, "subscribe"), _patterns(claims, "publish"))

    def _expiry(self, exp: Any) -> float | None:
        if exp is None and self._settings.token_without_exp:
            return None
        if isinstance(exp, bool) or not isinstance(exp, int | float) or not 0 <= exp <= TIME_MAX:
            raise Unauthorized("the token does not say when it expires")
        return float(exp) + self._settings.token_leeway


class _WrongSignature(Unauthorized):
    """By this key; another one may fit."""


def _patterns(claims: Mapping[str, Any], name: str) -> Patterns:
    value = claims.get(name)
    try:
        if value is None:
            return Patterns()
        if not isinstance(value, list) or not all(isinstance(pattern, str) for pattern in value):
            raise ValueError("it is no list of patterns")
        return Patterns(value)
    except ValueError:
        raise Unauthorized(f"the token's {name} is no list of topic patterns") from None


def _is_subject(value: Any) -> bool:
    if not isinstance(value, str) or not 1 <= len(value) <= SUBJECT_MAX:
        return False
    return not any("\ud800" <= character <= "\udfff" for character in value)
