"""Requests for an upgrade (RFC 9110, 7.8): what stands behind one is frames, or nothing that anybody should read."""

from __future__ import annotations

from aiohttp import web

from tricast.errors import BadRequest


def check_no_body(request: web.Request) -> None:
    """Raises BadRequest where a body is announced, as readers differ on whether frames begin before or behind it."""
    if "Transfer-Encoding" in request.headers or request.headers.get("Content-Length", "0") != "0":
        raise BadRequest("an upgrade has no body")


def end_if_upgrade(request: web.Request, response: web.Response) -> web.Response:
    """A refusal that also ends the connection where an upgrade was asked for: a proxy that overlooks the status takes
    what comes next for frames, and lets pass what would be requests here.
    """
    if "Upgrade" in request.headers:
        response.force_close()
    return response
