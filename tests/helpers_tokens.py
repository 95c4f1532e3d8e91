"""Tokens of every kind, the keys they are signed with, and an issuer that publishes these and changes them."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import cache
from typing import Any

import jwt
from aiohttp import web
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat
from jwt.algorithms import ECAlgorithm, OKPAlgorithm, RSAAlgorithm
from tests.helpers import HOST

SECRET = "a secret of thirty-two bytes, or more"
ALL = {"subscribe": ["**"], "publish": ["**"]}
ALGORITHMS = ("RS256", "ES256", "EdDSA")


@dataclass(frozen=True, kw_only=True)
class Pair:
    """A private key, and its public half as it is published."""

    private: Any
    algorithm: str
    kid: str

    @property
    def jwk(self) -> dict[str, Any]:
        kinds: dict[str, Any] = {"RS256": RSAAlgorithm, "ES256": ECAlgorithm, "EdDSA": OKPAlgorithm}
        kind = kinds[self.algorithm]
        public = kind.to_jwk(self.private.public_key(), as_dict=True)
        return {**public, "kid": self.kid, "use": "sig", "alg": self.algorithm}

    @property
    def public_pem(self) -> str:
        return str(self.private.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode())

    @property
    def private_pem(self) -> str:
        return str(self.private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode())

    def token(self, **claims: Any) -> str:
        return jwt.encode(claims_of(claims), self.private, algorithm=self.algorithm, headers={"kid": self.kid})


@cache
def pair(algorithm: str, kid: str) -> Pair:
    """The same one for the same names: to make a key takes its time."""
    private: Any
    if algorithm == "RS256":
        private = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    elif algorithm == "ES256":
        private = ec.generate_private_key(ec.SECP256R1())
    else:
        private = ed25519.Ed25519PrivateKey.generate()
    return Pair(private=private, algorithm=algorithm, kid=kid)


def claims_of(claims: dict[str, Any]) -> dict[str, Any]:
    """What is wanted of every token, unless it says otherwise; None leaves a claim out. `life` is in seconds."""
    life = claims.pop("life", 60.0)
    full = {"sub": "anna", "exp": time.time() + life, **ALL, **claims}
    return {name: value for name, value in full.items() if value is not None}


def token(**claims: Any) -> str:
    """By the shared secret."""
    return jwt.encode(claims_of(claims), SECRET, algorithm="HS256")


@dataclass
class Issuer:
    """What it answers with; it counts how often it was asked."""

    keys: list[Pair] = field(default_factory=list)
    status: int = 200
    body: str | None = None
    location: str | None = None
    asked: int = 0
    url: str = ""

    async def answer(self, request: web.Request) -> web.Response:
        self.asked += 1
        if self.location is not None:
            return web.Response(status=self.status, headers={"Location": self.location})
        if self.body is not None:
            return web.Response(text=self.body, status=self.status)
        return web.json_response({"keys": [key.jwk for key in self.keys]}, status=self.status)


@asynccontextmanager
async def issuing(*keys: Pair) -> AsyncIterator[Issuer]:
    issuer = Issuer(list(keys))
    app = web.Application()
    app.router.add_get("/jwks.json", issuer.answer)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    try:
        await web.TCPSite(runner, HOST, 0).start()
        issuer.url = f"http://{HOST}:{runner.addresses[0][1]}/jwks.json"
        yield issuer
    finally:
        await runner.cleanup()
