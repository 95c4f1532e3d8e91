"""What is for everybody only on one's own machine."""

from __future__ import annotations

import ipaddress
import socket

from aiohttp import web

from tricast_server.guard.authorise import Access, allow_all, bearer_token
from tricast_server.service import Service

FORWARDED = ("Forwarded", "X-Forwarded-For", "X-Real-IP", "Via")
"""Headers by which a proxy says that somebody else asks."""
UNGUARDED = (
    "{host} can be reached from other machines, and anyone there could read and publish everything.\n"
    "Either ask for tokens, which are made with a secret of yours. Say this, then start the server again:\n"
    '    export TRICAST_TOKEN_SECRET="$(openssl rand -base64 32)"\n'
    "With the same secret, this makes one that holds for an hour, for `tricast sub`, `tricast pub` and others:\n"
    "    export TRICAST_TOKEN=\"$(tricast token --sub me --subscribe '**' --publish '**')\"\n"
    "Or say that it is meant to be open to all: --public (TRICAST_PUBLIC=1).\n"
    "Either way, say what others call it: --allow-host bus.example.com, or its address.\n"
    "Behind a proxy on this machine: --host 127.0.0.1. Without tokens, whoever it lets in may do everything, too."
)


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach a server that listens there. Blocks where a name has to be looked up."""
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        pass
    try:
        found = {address[4][0] for address in socket.getaddrinfo(host or None, 0, flags=socket.AI_PASSIVE)}
    except OSError:
        return False
    return all(ipaddress.ip_address(str(address).partition("%")[0]).is_loopback for address in found)


async def check_private(request: web.Request, service: Service) -> None:
    """For `/stats` and `/metrics`: where it is asked who comes, by token or by the application's own `authorise`, it is
    asked here too, without topics, except from this machine without a proxy. Raises Unauthorized, Forbidden.
    """
    if service.authorise is allow_all or _is_here(request):
        return
    access = Access(what="subscribe", topics=(), client="", token=bearer_token(request), request=request)
    await service.admit(access)


def _is_here(request: web.Request) -> bool:
    peer = request.transport.get_extra_info("peername") if request.transport is not None else None
    if not isinstance(peer, tuple) or any(name in request.headers for name in FORWARDED):
        return False
    return ipaddress.ip_address(str(peer[0]).partition("%")[0]).is_loopback
