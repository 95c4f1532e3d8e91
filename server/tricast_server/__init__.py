"""The server: one bus over WebSocket, Server-Sent Events and long polling, for `tricast serve` or your application."""

from tricast_server.app import setup
from tricast_server.guard.authorise import Access, Authorise, Grant
from tricast_server.service import Service
from tricast_server.settings import Settings

__all__ = ["Access", "Authorise", "Grant", "Service", "Settings", "setup"]
