"""One echo and broadcast message bus over WebSocket, Server-Sent Events and long polling: the client.

import tricast

async with tricast.connect("http://127.0.0.1:8080", topics=["t"]) as bus:
    await bus.publish("t", {"n": 1})
    async for message in bus:
        print(message.topic, message.data)
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from tricast.errors import (
    BadRequest,
    BusClosed,
    CommandError,
    Conflict,
    ConnectFailed,
    ConnectionLost,
    Forbidden,
    GapError,
    OutcomeUnknown,
    ProtocolError,
    RateLimited,
    TooLarge,
    TooMany,
    TransportError,
    TricastError,
    Unauthorized,
    Unavailable,
    UnknownAction,
    UplinkBlocked,
)
from tricast.wire.messages import Gap, Message

if TYPE_CHECKING:
    from tricast.client import Bus, connect
    from tricast.lanes import Policy
    from tricast.memory import FileStore, Memory, Store
    from tricast.timeline import Record, Stats

    __version__: str

_LATE = {
    "Bus": "client",
    "FileStore": "memory",
    "Memory": "memory",
    "Policy": "lanes",
    "Record": "timeline",
    "Stats": "timeline",
    "Store": "memory",
    "connect": "client",
}
"""What costs time to import, and the module that has it."""

__all__ = [
    "BadRequest",
    "Bus",
    "BusClosed",
    "CommandError",
    "Conflict",
    "ConnectFailed",
    "ConnectionLost",
    "FileStore",
    "Forbidden",
    "Gap",
    "GapError",
    "Memory",
    "Message",
    "OutcomeUnknown",
    "Policy",
    "ProtocolError",
    "RateLimited",
    "Record",
    "Stats",
    "Store",
    "TooLarge",
    "TooMany",
    "TransportError",
    "TricastError",
    "Unauthorized",
    "Unavailable",
    "UnknownAction",
    "UplinkBlocked",
    "__version__",
    "connect",
]


def __getattr__(name: str) -> Any:
    """What costs time to import (aiohttp, the package's metadata) waits until it is asked for: the server, which needs
    only `tricast.wire`, and every start of the command are the quicker for it.
    """
    if name in _LATE:
        value: Any = getattr(import_module(f"tricast.{_LATE[name]}"), name)
    elif name == "__version__":
        value = _version()
    else:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    globals()[name] = value
    return value


def _version() -> str:
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version("tricast")
    except PackageNotFoundError:  # read from a checkout that was not installed
        return "0+unknown"
