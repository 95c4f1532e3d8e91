"""From which address a request came: the peer's, or the one that a proxy which is trusted says it speaks for.

Anybody can send `X-Forwarded-For`. So the chain is walked from its end: the last entry was written by the peer, and
counts if the peer is trusted; the one before it counts if the last is trusted too; and so on. Where an entry is no
address (RFC 7239, 6.2 and 6.3: `unknown`, or an identifier that a proxy made up, perhaps anew for each request), the
proxy that wrote it is as far as anybody can tell, and its own address counts.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from functools import lru_cache
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import TypeAlias

from aiohttp import web

Address: TypeAlias = IPv4Address | IPv6Address
Network: TypeAlias = IPv4Network | IPv6Network

UNIX = "unix"
"""Stands for the other end of a Unix domain socket, which has no address."""
X_FORWARDED_FOR, FORWARDED = "x-forwarded-for", "forwarded"
HEADERS = (X_FORWARDED_FOR, FORWARDED)
SITE_PREFIX = 64
"""Bits of an IPv6 address that tell one customer from another: the rest is the customer's to choose."""

_ADDRESS: web.RequestKey[str] = web.RequestKey("tricast_address", str)
_NAMED: web.RequestKey[bool] = web.RequestKey("tricast_address_named", bool)
# One pair of an element (RFC 7239, 4), and what may stand after it.
_PAIR = re.compile(r"""[ \t]*([!#$%&'*+.^_`|~\w-]+)=("(?:[^"\\]|\\.)*"|[^\s";,=]*)[ \t]*(?:;|$)""", re.ASCII)


class Addresses:
    """Whose address counts. `trusted` are networks (CIDR) or "unix"; `header` is the one that these proxies write.

    Only one of the two headers is read: proxies pass on the other one as the client sent it. Raises ValueError.
    """

    def __init__(self, trusted: Iterable[str] = (), header: str = X_FORWARDED_FOR) -> None:
        names = tuple(trusted)
        self._trusts_unix = UNIX in names
        self._networks = tuple(network_of(name) for name in names if name != UNIX)
        self._header = header
        self._trusts = lru_cache(4096)(self._is_trusted)

    def of(self, request: web.Request) -> str:
        """The address of the client, "unix" where it came through a Unix domain socket. Kept with the request."""
        known = request.get(_ADDRESS)
        if known is None:
            known = request[_ADDRESS] = self._of(request)
        return known

    def key(self, request: web.Request) -> str | None:
        """What its client is counted as: see `limit_key`."""
        return limit_key(self.of(request), named=request[_NAMED])

    def undeclared(self, request: web.Request) -> bool:
        """Whether the peer says for whom it asks, and is not believed."""
        return any(name in request.headers for name in HEADERS) and not self._trusts(request.remote or UNIX)

    def _of(self, request: web.Request) -> str:
        peer = request.remote or UNIX
        named = None
        if (self._networks or self._trusts_unix) and self._trusts(peer):
            named = self.named(peer, request.headers.getall(self._header, ()))
        request[_NAMED] = named is not None
        return named or peer

    def named(self, peer: str, lines: Iterable[str]) -> str | None:
        """The client's address, by what `lines`, all headers of that name, say of a `peer`; None where they name none,
        or nobody believes this peer.
        """
        entries = _forwarded(lines) if self._header == FORWARDED else _x_forwarded_for(lines)
        named: str | None = None
        while self._trusts(named or peer):
            before = next(entries, None)
            if before is None:
                break
            named = str(before)
        return named

    def _is_trusted(self, address: str) -> bool:
        if address == UNIX:
            return self._trusts_unix
        parsed = parse(address)
        return parsed is not None and any(parsed in network for network in self._networks)


def address_of(request: web.Request) -> str | None:
    """What `Addresses.of` has found for this request; else its peer's address."""
    return request.get(_ADDRESS) or request.remote


def network_of(text: str) -> Network:
    """Raises ValueError."""
    try:
        return ip_network(text, strict=False)
    except ValueError:
        raise ValueError(f"{text!a} is no network: write 10.0.0.0/8, fd00::/8, one address, or {UNIX}") from None


@lru_cache(4096)
def parse(text: str) -> Address | None:
    """An address, without port, brackets and zone; an IPv4 address that is written as IPv6 is itself."""
    if text.startswith("["):
        text, _, port = text[1:].partition("]")
        if port and not (port.startswith(":") and port[1:].isdecimal()):
            return None
    elif text.count(":") == 1:
        text, _, port = text.partition(":")
        if not port.isdecimal():
            return None
    try:
        address = ip_address(text.partition("%")[0])
    except ValueError:
        return None
    return getattr(address, "ipv4_mapped", None) or address


@lru_cache(4096)
def limit_key(address: str, *, named: bool = False) -> str | None:
    """What an address is counted as by the limits per address: of IPv6 its network. None where it is not limited.

    That is this machine itself, also over a Unix domain socket: it is either not a stranger or a proxy that nobody
    declared, whose clients must not be taken for one. Not so where a header `named` the address: anybody inside a
    network that is trusted can write that.
    """
    parsed = parse(address)
    if parsed is None or (parsed.is_loopback and not named):
        return None
    if isinstance(parsed, IPv6Address):
        return str(ip_network((parsed, SITE_PREFIX), strict=False))
    return str(parsed)


def _x_forwarded_for(lines: Iterable[str]) -> Iterator[Address | None]:
    for line in reversed(list(lines)):
        end = len(line)
        while end >= 0:
            start = line.rfind(",", 0, end)
            entry = line[start + 1 : end].strip()
            if entry:
                yield parse(entry)
            end = start


def _forwarded(lines: Iterable[str]) -> Iterator[Address | None]:
    for line in reversed(list(lines)):
        for element in _elements(line):
            if element.strip():
                yield _for(element)


def _elements(line: str) -> Iterator[str]:
    """The elements of a list, from its end: a quote that a client left open must not swallow what a proxy appended."""
    end, quoted = len(line), False
    for at in range(len(line) - 1, -1, -1):
        if line[at] == '"' and not (quoted and _is_escaped(line, at)):
            quoted = not quoted
        elif line[at] == "," and not quoted:
            yield line[at + 1 : end]
            end = at
    yield line[:end]


def _is_escaped(line: str, at: int) -> bool:
    before = line[:at]
    return (len(before) - len(before.rstrip("\\"))) % 2 == 1


def _for(element: str) -> Address | None:
    """What its `for` says; None where that is no address, or the element is not spelled as one."""
    found: str | None = None
    at = 0
    while at < len(element):
        pair = _PAIR.match(element, at)
        if pair is None:
            return None
        if pair[1].lower() == "for":
            found = pair[2]
        at = pair.end()
    if found is None:
        return None
    if found.startswith('"'):
        return parse(re.sub(r"\\(.)", r"\1", found[1:-1]))
    return parse(found)
