"""Everything that can be set, with its default. `tricast serve` has an option and a TRICAST_* variable for each."""

from __future__ import annotations

import secrets
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from tricast_server.bus.log import Retention

MESSAGE_LIMIT = 500 * 2**10
"""The most that `max_message` may be: a line of an event stream must stay under 512 KiB."""


def _node_name() -> str:
    return f"n{secrets.token_hex(3)}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Times in seconds, sizes in bytes. Raises ValueError with the reason where values do not go together."""

    node: str = field(default_factory=_node_name)
    backplane: str = "memory"
    retention_count: int = 1000
    retention_age: float = 600.0
    retention_bytes: int = 64 * 2**20
    dedupe_window: float = 120.0
    heartbeat: float = 15.0
    drain_timeout: float = 10.0
    flush_interval: float = 0.0
    max_message: int = 256 * 2**10
    max_body: int = 4 * 2**20
    max_topics: int = 500
    write_buffer: int = 256 * 2**10
    allow_origins: tuple[str, ...] = ()
    allow_hosts: tuple[str, ...] = ("localhost", "127.0.0.1", "[::1]")
    public_url: str | None = None

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
