"""Thin carriers of one contract (`base.Link`). A further transport is one module here and one line below."""

from __future__ import annotations

from tricast.transports.base import Link, Target
from tricast.transports.longpoll import LongPollLink
from tricast.transports.sse import SSELink
from tricast.transports.websocket import WebSocketLink
from tricast.wire.messages import TransportName

__all__ = ["LINKS", "Link", "Target"]

LINKS: dict[TransportName, type[Link]] = {link.name: link for link in (WebSocketLink, SSELink, LongPollLink)}
"""In the order in which they are tried by default."""
