"""The public keys that tokens may be signed with: a JSON Web Key Set (RFC 7517) or PEM, from a file or an address.

They change: an issuer adds one, signs with it, and takes the old one away. So they are read again every few minutes,
and when a token names a key that is not known: at once, or after a few seconds where that was done a moment ago.
"""

from __future__ import annotations

import asyncio
import json
import logging
import math
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_public_key
from jwt import PyJWK
from jwt.exceptions import PyJWTError
from yarl import URL

from tricast.errors import Unavailable
from tricast_server.bus.tasks import end_task

log = logging.getLogger(__name__)

FETCH_TIMEOUT = 5.0
SIZE_MAX = 2**20
"""Bytes of a key set."""
RETRY = 10.0
"""Seconds until keys that could not be read are read again."""
LOOK_AGAIN = 5.0
"""Seconds between two readings that unknown keys bring about: anyone can make a token that names one."""
WAITING_MAX = 256
"""Requests that wait for such a reading at the same time."""
ALGORITHMS = ("RS256", "ES256", "EdDSA")
RSA_BITS_MIN = 2048
_PEM = re.compile(r"-----BEGIN ([A-Z ]+)-----.*?-----END \1-----", re.DOTALL)


@dataclass(slots=True, eq=False)
class Key:
    """One public key, for one algorithm only. `id` is its `kid`, None where it has none."""

    algorithm: str
    public: Any
    id: str | None
    der: bytes
    revoked: bool = False


class KeyRing:
    """`source` is a path or an address, read again after `every` seconds. `on_change` is called where a key
    was taken away. For one event loop; `start` before use, `close` after.
    """

    def __init__(self, source: str, *, every: float, on_change: Callable[[], None]) -> None:
        self._source = source
        self._every = every
        self._on_change = on_change
        self._keys: list[Key] = []
        self._loaded = False
        self._failing = False
        self._look_again_at = 0.0
        self._read_at = -math.inf
        """When the last reading that has ended began."""
        self._was_read = asyncio.Event()
        """Set for a moment whenever one has ended."""
        self._waiting = 0
        self._looking: asyncio.Task[None] | None = None
        self._reading: asyncio.Task[None] | None = None
        self._keeping: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Reads them. Raises ValueError where a file has none; an address may come to answer later."""
        if is_address(self._source):
            await self._read_now()
        else:
            self._take(keys_in(await asyncio.to_thread(read_file, self._source)))
        self._keeping = asyncio.create_task(self._keep(), name="tricast keys")

    async def close(self) -> None:
        """Idempotent."""
        for task in (self._keeping, self._looking, self._reading):
            if task is not None:
                await end_task(task)
        self._keeping = self._looking = self._reading = None

    async def find(self, algorithm: str, id: str | None) -> list[Key]:
        """Those that a token which says so may be signed with; none only after a reading that began after the call.
        Raises Unavailable where that cannot be told, as they could not be read, or too many wait. Cancelling is safe.
        """
        if algorithm not in ALGORITHMS:
            return []
        came = asyncio.get_running_loop().time()
        while not (found := self._known(algorithm, id)) and self._read_at < came:
            if self._waiting >= WAITING_MAX:
                raise Unavailable("too many tokens by unknown keys wait", retry_after=LOOK_AGAIN)
            self._waiting += 1
            try:
                await self._look_again()
            finally:
                self._waiting -= 1
        if not found and (self._failing or not self._loaded):
            raise Unavailable("the keys of tokens cannot be read at the moment", retry_after=RETRY)
        return found

    def _known(self, algorithm: str, id: str | None) -> list[Key]:
        return [key for key in self._keys if key.algorithm == algorithm and (id is None or key.id in (None, id))]

    async def _look_again(self) -> None:
        """Returns after the next reading, or the one under way, that unknown keys or something else brings about."""
        if self._looking is None or self._looking.done():
            self._looking = asyncio.create_task(self._look(), name="tricast keys are looked for")
        await asyncio.shield(self._looking)

    async def _look(self) -> None:
        try:
            async with asyncio.timeout_at(self._look_again_at):
                await self._was_read.wait()
        except TimeoutError:
            self._look_again_at = asyncio.get_running_loop().time() + LOOK_AGAIN
            await self._read_now()

    async def _read_now(self) -> None:
        """Those who ask meanwhile wait for the same reading. Cancelling one of them leaves it to the others."""
        if self._reading is None or self._reading.done():
            self._reading = asyncio.create_task(self._read(), name="tricast keys are read")
        await asyncio.shield(self._reading)

    async def _keep(self) -> None:
        while True:
            await asyncio.sleep(min(self._every, RETRY) if self._failing else self._every)
            await self._read_now()

    async def _read(self) -> None:
        """Where it fails the last keys stay: an issuer that is away must not lock everybody out."""
        began = asyncio.get_running_loop().time()
        try:
            if is_address(self._source):
                text = await _fetch(self._source)
            else:
                text = await asyncio.to_thread(read_file, self._source)
            keys = keys_in(text)
        except (aiohttp.ClientError, OSError, ValueError) as error:
            if not self._failing:
                why = str(error) or type(error).__name__
                log.warning("no keys of tokens from %s, so the last ones stay: %s", name_of(self._source), why)
            self._failing = True
        else:
            if self._failing:
                log.info("keys of tokens can be read from %s again", name_of(self._source))
            self._failing = False
            self._take(keys)
        self._read_at = began
        self._was_read.set()
        self._was_read.clear()

    def _take(self, keys: list[Key]) -> None:
        """Keys that were known stay the same objects: grants ask them whether they were revoked."""
        before = {(key.id, key.der): key for key in self._keys}
        self._keys = [before.pop((key.id, key.der), key) for key in keys]
        self._loaded = True
        for key in before.values():
            key.revoked = True
        if before:
            log.info("%d keys of tokens were taken away", len(before))
            self._on_change()


def is_address(source: str) -> bool:
    return source.lower().startswith(("http://", "https://"))


def name_of(source: str) -> str:
    """For a log: an address without what may be secret in it."""
    return str(URL(source).with_user(None).with_query(None)) if is_address(source) else source


def read_file(path: str) -> str:
    """Blocks. Raises ValueError where it cannot be read."""
    try:
        return Path(path).read_text()
    except (OSError, UnicodeDecodeError) as error:
        raise ValueError(f"{path} cannot be read: {getattr(error, 'strerror', None) or error}") from None


async def _fetch(address: str) -> str:
    """Raises aiohttp.ClientError, OSError, ValueError."""
    timeout = aiohttp.ClientTimeout(total=FETCH_TIMEOUT)
    async with aiohttp.ClientSession(timeout=timeout, trust_env=True) as http:
        # Not wherever it is sent on to: that may be without TLS.
        async with http.get(address, headers={"Accept": "application/json"}, allow_redirects=False) as response:
            if response.status != 200:
                raise ValueError(f"HTTP status {response.status}")
            body = bytearray()
            async for chunk in response.content.iter_any():
                body += chunk
                if len(body) > SIZE_MAX:
                    raise ValueError(f"more than {SIZE_MAX} bytes")
    return body.decode()


def keys_in(text: str) -> list[Key]:
    """The keys that can be used here, each once, of a key set or of PEM.

    Raises ValueError where it is neither, or PEM has none. A set may be empty: then its issuer has taken all keys away.
    """
    return list({(key.id, key.der): key for key in _keys_in(text)}.values())


def _keys_in(text: str) -> list[Key]:
    if "-----BEGIN" in text:
        return _pem_keys(text)
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        raise ValueError("that is neither a JSON Web Key Set nor PEM") from None
    members = value.get("keys") if isinstance(value, dict) else None
    if not isinstance(members, list):
        raise ValueError('that is no JSON Web Key Set: it has no list of "keys"')
    return [key for member in members if (key := _set_key(member)) is not None]


def _pem_keys(text: str) -> list[Key]:
    keys = []
    for block in _PEM.finditer(text):
        if "PRIVATE" in block[1]:
            raise ValueError("that is a private key; its public half is wanted: openssl pkey -in FILE -pubout")
        try:
            key = _key(load_pem_public_key(block[0].encode()), None)
        except (ValueError, UnsupportedAlgorithm):
            key = None
        if key is None:
            raise ValueError("a PEM block is no public key for RS256 (2048 bits or more), ES256 or EdDSA (Ed25519)")
        keys.append(key)
    if not keys:
        raise ValueError("there is no whole PEM block")
    return keys


def _set_key(member: Any) -> Key | None:
    """None for a key that is for something else, or of a kind that is not used here; others may stand beside it."""
    if not isinstance(member, dict) or member.get("use", "sig") != "sig" or member.get("kty") == "oct":
        return None
    id = member.get("kid")
    try:
        # Whatever its `alg`, a key is read as what it is; then the two have to agree.
        jwk = PyJWK.from_dict({name: value for name, value in member.items() if name != "alg"})
        key = _key(jwk.key, id if isinstance(id, str) else None)
    except (PyJWTError, ValueError, TypeError, KeyError, AttributeError, UnsupportedAlgorithm):
        return None
    return key if key is not None and member.get("alg", key.algorithm) == key.algorithm else None


def _key(public: Any, id: str | None) -> Key | None:
    """None where its kind is not used here: one algorithm for each kind, so that a token has no choice."""
    if hasattr(public, "public_key"):
        public = public.public_key()  # a set that gives the private half away
    match public:
        case rsa.RSAPublicKey() if public.key_size >= RSA_BITS_MIN:
            algorithm = "RS256"
        case ec.EllipticCurvePublicKey(curve=ec.SECP256R1()):
            algorithm = "ES256"
        case ed25519.Ed25519PublicKey():
            algorithm = "EdDSA"
        case _:
            return None
    return Key(algorithm, public, id, public.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo))
