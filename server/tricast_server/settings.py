"""Everything that can be set, with its default. `tricast serve` has an option and a TRICAST_* variable for each."""

from __future__ import annotations

import secrets
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from tricast_server.bus.log import Retention

MESSAGE_LIMIT = 500 * 2**10
"""The most that `max_message` may be: a line of an event stream must stay under 512 KiB."""


def _node_name() -> str:
    return f"n{secrets.token_hex(3)}"


LOG, CONNECTIONS, ASKING = "The log", "Connections", "Who may ask"
"""Headings over the options."""


def _setting(default: Any, help: str, panel: str, option: str | None = None) -> Any:
    """A field with what its option says. `option` is that one's name, where it is not the field's."""
    metadata = {"help": help, "panel": panel, "option": option}
    if callable(default):
        return field(default_factory=default, metadata=metadata)
    return field(default=default, metadata=metadata)


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Times in seconds, sizes in bytes. Raises ValueError with the reason where values do not go together."""

    backplane: str = _setting(
        "memory",
        "Where the log is: memory for one process, or what several nodes share: redis://host:6379/0, nats://host. "
        "Best given as a variable if it holds a password.",
        LOG,
    )
    retention_count: int = _setting(1000, "Messages kept per topic, for those who come back.", LOG)
    retention_age: float = _setting(600.0, "Seconds a message is kept.", LOG)
    retention_bytes: int = _setting(64 * 2**20, "Bytes kept over all topics; the oldest go first.", LOG)
    dedupe_window: float = _setting(120.0, "Seconds in which a publish with the same id takes effect once.", LOG)
    node: str = _setting(_node_name, "This node's name in hello and /stats; else one is made up.", LOG)
    heartbeat: float = _setting(15.0, "Seconds of silence after which a heartbeat is sent.", CONNECTIONS)
    drain_timeout: float = _setting(10.0, "Seconds that clients have to fetch the rest after SIGTERM.", CONNECTIONS)
    flush_interval: float = _setting(
        0.0, "Seconds to collect messages before they are written: less CPU, more latency.", CONNECTIONS
    )
    max_message: int = _setting(256 * 2**10, "Bytes of one message's data as JSON, 512000 at most.", CONNECTIONS)
    max_body: int = _setting(4 * 2**20, "Bytes of one POST.", CONNECTIONS)
    max_topics: int = _setting(500, "Topics of one connection.", CONNECTIONS)
    write_buffer: int = _setting(
        256 * 2**10, "Bytes that may wait in memory for a client that reads slowly.", CONNECTIONS
    )
    allow_origins: tuple[str, ...] = _setting(
        (), "Another origin whose pages may connect, as https://example.com; '*' for any.", ASKING, "allow-origin"
    )
    allow_hosts: tuple[str, ...] = _setting(
        ("localhost", "127.0.0.1", "[::1]"),
        "A host name served here besides localhost; '*' for any. Wanted behind a public name.",
        ASKING,
        "allow-host",
    )
    public_url: str | None = _setting(
        None, "Where browsers see this server, if a proxy rewrites the Host header.", ASKING
    )

    def __post_init__(self) -> None:
        set_ = object.__setattr__  # spelled as browsers spell them: an origin has no path, names are lower-case
        set_(self, "allow_origins", tuple(origin.rstrip("/").lower() for origin in self.allow_origins))
        set_(self, "allow_hosts", tuple(host.lower() for host in self.allow_hosts))
        if self.public_url is not None:
            parts = urlsplit(self.public_url)
            if parts.scheme not in ("http", "https") or not parts.netloc:
                raise ValueError("public-url is an address as https://example.com")
            set_(self, "public_url", f"{parts.scheme}://{parts.netloc.lower()}")
        checks = {
            "heartbeat must be 0.1 s or more": self.heartbeat >= 0.1,
            "drain-timeout must be 0 or more": self.drain_timeout >= 0,
            "flush-interval must be 0 to 1 s": 0 <= self.flush_interval <= 1,
            "retention-count must be 1 or more": self.retention_count >= 1,
            "retention-bytes must be 64 KiB or more": self.retention_bytes >= 2**16,
            "dedupe-window must be over 0": self.dedupe_window > 0,
            "retention-age must not be shorter than dedupe-window, or a retried publish could meet a forgotten log": (
                self.retention_age >= self.dedupe_window
            ),
            f"max-message must be 1 to {MESSAGE_LIMIT}": 1 <= self.max_message <= MESSAGE_LIMIT,
            "max-body must not be less than max-message": self.max_body >= self.max_message,
            "max-topics must be 1 to 1000": 1 <= self.max_topics <= 1000,
        }
        for reason, good in checks.items():
            if not good:
                raise ValueError(reason)

    @property
    def retention(self) -> Retention:
        return Retention(count=self.retention_count, age=self.retention_age, size=self.retention_bytes)
