"""`tricast token`: a token to try things with. In earnest they come from whoever knows the users."""

from __future__ import annotations

import re
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from tricast_server.guard.patterns import Patterns
from tricast_server.options import option
from tricast_server.settings import SECRET_MIN

PEM = "-----BEGIN"
_UNITS = {"": 1, "s": 1, "m": 60, "h": 3600, "d": 86400}
_DURATION = re.compile(r"([0-9]+(?:\.[0-9]+)?)([smhd]?)")


def token(
    secret: Annotated[
        str | None, option("token-secret", "What the server has as --token-secret.", names=("--secret",))
    ] = None,
    key: Annotated[
        Path | None, typer.Option("--key", help="In place of a secret: a private key in PEM.", show_default=False)
    ] = None,
    kid: Annotated[str | None, typer.Option("--kid", help="The key's name in the server's key set.")] = None,
    sub: Annotated[str | None, typer.Option("--sub", help="Who it is for.")] = None,
    subscribe: Annotated[
        list[str] | None, typer.Option("--subscribe", help="A topic to listen to, chat.* or chat.**; again for more.")
    ] = None,
    publish: Annotated[
        list[str] | None, typer.Option("--publish", help="A topic to publish to, chat.* or chat.**; again for more.")
    ] = None,
    expires: Annotated[str, typer.Option("--expires", help="How long it holds: 90s, 15m, 1h or 7d.")] = "1h",
    audience: Annotated[str | None, option("token-audience", "Its aud.", names=("--audience",))] = None,
    issuer: Annotated[str | None, option("token-issuer", "Its iss.", names=("--issuer",))] = None,
) -> None:
    """Print a token for a server that asks for one."""
    claims: dict[str, Any] = {"exp": time.time() + seconds_of(expires)}
    for name, value in (("sub", sub), ("aud", audience), ("iss", issuer)):
        if value is not None:
            claims[name] = value
    try:
        for name, patterns in (("subscribe", subscribe), ("publish", publish)):
            Patterns(patterns or ())
            claims[name] = patterns or []
        print(sign(claims, _key(secret, key), kid=kid))  # noqa: T201 - that is what it is for
    except ValueError as error:
        raise typer.BadParameter(str(error)) from None


def _key(secret: str | None, file: Path | None) -> str:
    """Raises ValueError."""
    if file is not None:
        try:
            text = file.read_text()
        except (OSError, UnicodeDecodeError) as error:
            raise ValueError(f"{file} cannot be read: {getattr(error, 'strerror', None) or error}") from None
        if PEM not in text:  # what is in it would be taken for a secret
            raise ValueError(f"{file} is no private key in PEM")
        return text
    if secret is None:
        raise ValueError(
            "it has to be signed: set TRICAST_TOKEN_SECRET to the server's secret (or --secret), or give a private "
            "key with --key"
        )
    if len(secret.encode()) < SECRET_MIN:
        raise ValueError(f"a secret has {SECRET_MIN} bytes or more: openssl rand -base64 32")
    return secret


def sign(claims: Mapping[str, Any], key: str, *, kid: str | None = None) -> str:
    """A token by a shared secret, or by a private key in PEM of a kind that is taken here. Raises ValueError."""
    import jwt  # cryptography comes along, and every `tricast` would wait for it

    headers = None if kid is None else {"kid": kid}
    try:
        return jwt.encode(dict(claims), key, algorithm=_algorithm(key), headers=headers)
    except (jwt.PyJWTError, TypeError) as error:
        raise ValueError(str(error)) from None


def _algorithm(key: str) -> str:
    if PEM not in key:
        return "HS256"
    from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    try:
        private = load_pem_private_key(key.encode(), password=None)
    except (ValueError, TypeError):
        raise ValueError("that is no private key, or one that wants a password") from None
    match private:
        case rsa.RSAPrivateKey():
            return "RS256"
        case ec.EllipticCurvePrivateKey(curve=ec.SECP256R1()):
            return "ES256"
        case ed25519.Ed25519PrivateKey():
            return "EdDSA"
    raise ValueError("a private key is for RS256, ES256 (P-256) or EdDSA (Ed25519)")


def seconds_of(text: str) -> float:
    """`90`, `90s`, `15m`, `1h` or `7d`. Raises typer.BadParameter."""
    found = _DURATION.fullmatch(text)
    if found is None:
        raise typer.BadParameter(f"--expires is a time as 90s, 15m, 1h or 7d, not {text!a}")
    return float(found[1]) * _UNITS[found[2]]
