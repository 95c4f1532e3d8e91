"""What browsers are told to keep a page from: foreign scripts, foreign frames, names in a Referer, plain HTTP."""

from __future__ import annotations

from aiohttp import web

from tricast_server.guard.origin import host_of

# Where a page connects to is the user's choice: the bus may have another address than the page, as in the demo.
CONTENT_SECURITY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src *; img-src 'self' data:; "
    "font-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'"
)
PAGE = {
    "Content-Security-Policy": CONTENT_SECURITY,
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}
SECURE_FOR = 365 * 86400
"""Seconds that a browser keeps to TLS (RFC 6797, 6.1.1)."""
_LOCAL = ("localhost", "127.0.0.1", "[::1]")


def page_headers(request: web.Request) -> dict[str, str]:
    """For a page or what it consists of. Strict-Transport-Security only where this server ends TLS, and never for
    `localhost`: that would keep every other server on this machine from plain HTTP.
    """
    if not request.secure or host_of(request.host) in _LOCAL:
        return PAGE
    return {**PAGE, "Strict-Transport-Security": f"max-age={SECURE_FOR}"}
