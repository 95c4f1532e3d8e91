"""Everything that can be set, with its default. `tricast serve` has an option and a TRICAST_* variable for each."""

from __future__ import annotations

import secrets
from dataclasses import dataclass, field, replace
from ipaddress import ip_address
from math import ceil
from typing import Any
from urllib.parse import urlsplit

from tricast_server.bus.log import Retention
from tricast_server.guard.addresses import HEADERS as PROXY_HEADERS
from tricast_server.guard.addresses import UNIX, X_FORWARDED_FOR, network_of

MESSAGE_LIMIT = 500 * 2**10
"""The most that `max_message` may be: a line of an event stream must stay under 512 KiB."""


def _node_name() -> str:
    return f"n{secrets.token_hex(3)}"


SECRET_MIN = 32
"""Bytes of a secret for HS256 (RFC 7518, 3.2)."""
LOG, CONNECTIONS, ASKING = "The log", "Connections", "Who may ask"
TOKENS = "Who may ask: tokens"
LIMITS = "How much"
"""Headings over the options."""


PUBLIC: dict[str, float] = {
    "max_connections": 10_000,
    "max_connections_per_address": 200,
    "connect_rate": 20.0,
    "publish_rate": 100.0,
    "max_lag": 1.0,
}
"""What the limits are that were not given, with `--public`. Else there are none."""


def _in_the_clear(source: str) -> bool:
    """Whether it is an address that is asked without TLS, and not on this machine."""
    parts = urlsplit(source)
    if parts.scheme != "http" or parts.hostname == "localhost":
        return False
    try:
        return not ip_address(parts.hostname or "").is_loopback
    except ValueError:
        return True


def _setting(default: Any, help: str, panel: str, option: str | None = None, *, secret: bool = False) -> Any:
    """A field with what its option says. `option` is that one's name, where it is not the field's. A `secret` does
    not show where the settings are printed.
    """
    metadata = {"help": help, "panel": panel, "option": option}
    if callable(default):
        return field(default_factory=default, metadata=metadata)
    return field(default=default, metadata=metadata, repr=not secret)


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
    compress: bool = _setting(
        False,
        "Compress messages for WebSockets that offer it, and the answers to polls that take gzip: fewer bytes, more "
        "CPU. Not where what is secret stands beside what others choose.",
        CONNECTIONS,
    )
    slow_readers: str = _setting(
        "gap",
        "What becomes of who reads so slowly that the log lets go what it has not read: gap (it is told so), or "
        "disconnect (close code 4002).",
        CONNECTIONS,
    )
    header_timeout: float = _setting(20.0, "Seconds for the whole head of a request.", LIMITS)
    body_timeout: float = _setting(30.0, "Seconds for the whole body of a POST.", LIMITS)
    send_timeout: float = _setting(
        30.0, "Seconds that a client may take nothing of what was sent; twice the heartbeat if that is more.", LIMITS
    )
    public: bool = _setting(
        False,
        "For the open internet: may listen there without asking for tokens, and the limits below that are not given "
        "have sane values instead of none.",
        LIMITS,
    )
    max_connections: int | None = _setting(
        None, "WebSockets, event streams and polls that wait, in all; 0 for no limit. With --public 10000.", LIMITS
    )
    max_connections_per_address: int | None = _setting(
        None, "The same from one address (IPv6: one /64), loopback excepted. With --public 200.", LIMITS
    )
    connect_rate: float | None = _setting(
        None, "Connects per second from one address, and of one subject; 0 for no limit. With --public 20.", LIMITS
    )
    connect_burst: int | None = _setting(None, "How many of these at once; else as many as in 10 s.", LIMITS)
    publish_rate: float | None = _setting(
        None, "Publishes per second from one address, and of one subject; 0 for no limit. With --public 100.", LIMITS
    )
    publish_burst: int | None = _setting(None, "How many of these at once; else as many as in 10 s.", LIMITS)
    max_lag: float | None = _setting(
        None,
        "Seconds that the event loop may be late before new connections are turned away; 0 for no limit. "
        "With --public 1.",
        LIMITS,
    )
    max_memory: int = _setting(
        0, "Bytes of memory of the process above which new connections are turned away; 0 for no limit.", LIMITS
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

    trusted_proxies: tuple[str, ...] = _setting(
        (),
        "A proxy that is believed when it says for whom it asks: an address or network as 10.0.0.0/8, or unix for "
        "a Unix domain socket.",
        ASKING,
        "trusted-proxy",
    )
    proxy_header: str = _setting(
        X_FORWARDED_FOR,
        f"The header in which trusted proxies say so: {' or '.join(PROXY_HEADERS)}. The other one is not read.",
        ASKING,
    )

    token_secret: str | None = _setting(
        None,
        "Take only those with a JSON Web Token that was signed with this secret (HS256, 32 bytes or more). Best given "
        "as a variable: others on this machine can read a command line.",
        TOKENS,
        secret=True,
    )
    token_keys: str | None = _setting(
        None,
        "Take only those with a token by one of these public keys (RS256, ES256, EdDSA): a JSON Web Key Set as file "
        "or https address, or a PEM file.",
        TOKENS,
    )
    token_keys_refresh: float = _setting(300.0, "Seconds until the keys are read again.", TOKENS)
    token_audience: str | None = _setting(None, "Take only tokens with this aud.", TOKENS)
    token_issuer: str | None = _setting(None, "Take only tokens with this iss.", TOKENS)
    token_leeway: float = _setting(10.0, "Seconds that the clocks of issuer and server may differ.", TOKENS)
    token_without_exp: bool = _setting(False, "Take tokens that never expire, too.", TOKENS)

    def __post_init__(self) -> None:
        for name, value in PUBLIC.items():
            if getattr(self, name) is None:
                object.__setattr__(self, name, type(value)(value if self.public else 0))
        set_ = object.__setattr__  # spelled as browsers spell them: an origin has no path, names are lower-case
        set_(self, "allow_origins", tuple(origin.rstrip("/").lower() for origin in self.allow_origins))
        set_(self, "allow_hosts", tuple(host.lower() for host in self.allow_hosts))
        if self.public_url is not None:
            parts = urlsplit(self.public_url)
            if parts.scheme not in ("http", "https") or not parts.netloc:
                raise ValueError("public-url is an address as https://example.com")
            set_(self, "public_url", f"{parts.scheme}://{parts.netloc.lower()}")
        for proxy in self.trusted_proxies:
            if proxy != UNIX:
                network_of(proxy)
        limits = (*PUBLIC, "max_memory", "connect_burst", "publish_burst")
        checks = {
            "token-keys is a file or an https address; http is for this machine alone, as anybody on the way could put "
            "in keys of their own": self.token_keys is None or not _in_the_clear(self.token_keys),
            "no limit may be negative": all((getattr(self, name) or 0) >= 0 for name in limits),
            "header-timeout, body-timeout and send-timeout must be over 0": (
                min(self.header_timeout, self.body_timeout, self.send_timeout) > 0
            ),
            "slow-readers is gap or disconnect": self.slow_readers in ("gap", "disconnect"),
            f"proxy-header is {' or '.join(PROXY_HEADERS)}": self.proxy_header in PROXY_HEADERS,
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
            f"token-secret must have {SECRET_MIN} bytes or more; `openssl rand -base64 32` makes one": (
                self.token_secret is None or len(self.token_secret.encode()) >= SECRET_MIN
            ),
            "token-secret is a shared secret; a key in PEM is for token-keys": "-----BEGIN"
            not in (self.token_secret or ""),
            "token-keys-refresh must be 0.1 s or more": self.token_keys_refresh >= 0.1,
            "token-leeway must be 0 to 300 s": 0 <= self.token_leeway <= 300,
        }
        for reason, good in checks.items():
            if not good:
                raise ValueError(reason)

    def shared_by(self, processes: int) -> Settings:
        """Of each of so many processes on one port: what one address opens and what all hold is spread over them.

        Not what one connection can reach, which is with one of them: the publishes per second. Nor the connections of
        one address: where they are few, chance gives one process more of them than the others.
        """

        def part(value: int | None) -> int | None:
            return value and ceil(value / processes)  # 0 and None are no limit, and no part of one is

        return replace(
            self,
            max_connections=part(self.max_connections),
            connect_rate=self.connect_rate and self.connect_rate / processes,
            connect_burst=part(self.connect_burst),
        )

    @property
    def wants_tokens(self) -> bool:
        return self.token_secret is not None or self.token_keys is not None

    @property
    def retention(self) -> Retention:
        return Retention(count=self.retention_count, age=self.retention_age, size=self.retention_bytes)
