"""Which pages may ask: Origin and Host (RFC 6454, RFC 9110 7.2), and the CORS answers that go with it."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from types import MappingProxyType
from urllib.parse import urlsplit

from aiohttp import web

from tricast.errors import Forbidden
from tricast_server.settings import Settings

EXPOSED = "Tricast-Cursor, Retry-After"
ANY = "*"
NO_PAGE: Mapping[str, str] = MappingProxyType({"Vary": "Origin", "X-Content-Type-Options": "nosniff"})
"""The headers for a client that names no origin."""
CORS: web.RequestKey[Mapping[str, str]] = web.RequestKey("tricast_cors", Mapping)
"""What `cors_headers` said for this request."""


def check_host(request: web.Request, settings: Settings) -> None:
    """A name that is not ours is a page that had its own name point here (DNS rebinding). Raises Forbidden."""
    authority = request.host
    if not _is_served(authority, settings.allow_hosts, settings.public_url):
        name = host_of(authority)[:64]
        raise _foreign(f"this host name is not served here: {name!a}; --allow-host names those that are", "host")


@lru_cache(256)
def _is_served(authority: str, allowed: tuple[str, ...], public_url: str | None) -> bool:
    if ANY in allowed:
        return True
    host = host_of(authority)
    return bool(host) and (host in allowed or (public_url is not None and host == host_of(_authority(public_url))))


def check_origin(request: web.Request, settings: Settings) -> None:
    """No Origin is no browser. Raises Forbidden for a foreign one; `null` is foreign."""
    origin = request.headers.get("Origin")
    if origin is not None and not (_is_own(request, origin, settings) or _is_allowed(origin, settings)):
        reason = f"pages of {origin[:128]!a} may not use this server; --allow-origin names those that may"
        raise _foreign(reason, "origin")


def cors_headers(request: web.Request, settings: Settings) -> Mapping[str, str]:
    """Headers for an answer to this request, whatever it says."""
    origin = request.headers.get("Origin")
    if origin is None or not _is_allowed(origin, settings):
        return NO_PAGE
    return {**NO_PAGE, "Access-Control-Allow-Origin": origin, "Access-Control-Expose-Headers": EXPOSED}


def vary(request: web.Request, name: str) -> None:
    """This header of the request, too, decides what its answer is (RFC 9110, 12.5.5)."""
    headers = request[CORS]
    names = f"{headers['Vary']}, {name}"
    request[CORS] = {**headers, "Vary": names} if "Access-Control-Allow-Origin" in headers else _no_page(names)


@lru_cache(8)
def _no_page(names: str) -> Mapping[str, str]:
    """One for all, so that the answers made with it can be shared."""
    return MappingProxyType({**NO_PAGE, "Vary": names})


def preflight_headers(request: web.Request, settings: Settings) -> dict[str, str]:
    """The answer to OPTIONS (WHATWG Fetch, 3.2.2)."""
    headers = dict(cors_headers(request, settings))
    if "Access-Control-Allow-Origin" in headers:
        headers["Access-Control-Allow-Methods"] = "GET, POST"
        headers["Access-Control-Allow-Headers"] = "Authorization, Content-Type, Last-Event-ID"
        headers["Access-Control-Max-Age"] = "600"
    return headers


def _foreign(message: str, reason: str) -> Forbidden:
    error = Forbidden(message)
    error.reason = reason
    return error


def _is_own(request: web.Request, origin: str, settings: Settings) -> bool:
    if settings.public_url is not None:
        return origin == settings.public_url.rstrip("/")
    # The scheme is not compared: behind a proxy that ends TLS this server sees http.
    return _authority(origin) == request.host


def _is_allowed(origin: str, settings: Settings) -> bool:
    return origin != "null" and (origin in settings.allow_origins or ANY in settings.allow_origins)


def _authority(url: str) -> str:
    try:
        return urlsplit(url).netloc
    except ValueError:
        return ""


def host_of(authority: str) -> str:
    """The name without its port; an IPv6 address keeps its brackets."""
    host, colon, port = authority.rpartition(":")
    return (host if colon and port.isdigit() else authority).lower()
