"""From an address to a client of redis-py, for one server, Sentinel or Cluster.

    redis://[[user]:password@]host[:port][/db]                      rediss:// with TLS, unix:///path?db=0 for a socket
    redis+sentinel://[[user]:password@]host[:port],.../service[/db]  asks the Sentinels named who is the master
    redis+cluster://[[user]:password@]host[:port]                   learns the nodes from the one that is named

Options of redis-py may follow as a query, as `?ssl_ca_certs=/path`; with Sentinel and Cluster, `+tls` takes the place
of the s: `redis+cluster+tls://`. Nothing here opens a connection. No client retries on its own: to append twice is
not the same as once.
"""

from __future__ import annotations

from typing import Any, Final, Protocol, cast
from urllib.parse import parse_qsl, unquote, urlsplit

from redis.asyncio import Redis
from redis.asyncio.cluster import RedisCluster
from redis.asyncio.retry import Retry
from redis.asyncio.sentinel import Sentinel
from redis.backoff import NoBackoff

CONNECT_TIMEOUT: Final = 1.5
SOCKET_TIMEOUT: Final = 4.0
"""The last resort: every command has a shorter one of its own."""
SENTINEL_PORT: Final = 26379


class Client(Protocol):
    """What the backplane uses of redis-py."""

    async def execute_command(self, *args: Any, **options: Any) -> Any: ...

    def set_response_callback(self, command: str, callback: Any) -> None: ...

    async def aclose(self) -> None: ...


def client_of(url: str) -> Client:
    """Raises ValueError for an address that is none."""
    scheme, _, rest = url.partition("://")
    kind, *options = scheme.removeprefix("redis+").split("+")
    if scheme in ("redis", "rediss", "unix"):
        client: Any = Redis.from_url(url, **_settings())
    elif scheme.startswith("redis+") and kind in ("sentinel", "cluster") and options in ([], ["tls"]):
        tls = bool(options)
        if kind == "cluster":
            client = RedisCluster.from_url(f"redis{'s' if tls else ''}://{rest}", **_settings())
        else:
            client = _behind_sentinels(rest, tls)
    else:
        raise ValueError(f"not an address of Redis: {scheme}://")
    # Replies as they came: what redis-py makes of them is a dictionary per entry.
    client.set_response_callback("XREAD", _as_it_came)
    return cast("Client", client)


async def close(client: Client) -> None:
    """Its connections, and those to the Sentinels, which redis-py leaves open. Raises as redis-py does."""
    await client.aclose()
    pool = getattr(client, "connection_pool", None)  # a Cluster has none
    manager = getattr(pool, "sentinel_manager", None)
    for sentinel in manager.sentinels if manager is not None else ():
        await sentinel.aclose()


def _as_it_came(reply: Any, **options: Any) -> Any:
    return reply


def _settings() -> dict[str, Any]:
    return {
        "protocol": 2,
        "decode_responses": False,
        "driver_info": None,  # its version is read from a file, and needs commands of its own
        "socket_timeout": SOCKET_TIMEOUT,
        "socket_connect_timeout": CONNECT_TIMEOUT,
        "retry": Retry(NoBackoff(), 0),
    }


def _behind_sentinels(rest: str, tls: bool) -> Any:
    parts = urlsplit(f"//{rest}")
    credentials, _, hosts = parts.netloc.rpartition("@")
    user, _, password = credentials.partition(":")
    service, _, db = parts.path.strip("/").partition("/")
    if not service:
        raise ValueError("redis+sentinel:// needs the name of the service: redis+sentinel://host:26379/service")
    sentinels = []
    for host in hosts.split(","):
        place = urlsplit(f"//{host}")  # raises ValueError for a port that is none
        if not place.hostname:
            raise ValueError("redis+sentinel:// needs the addresses of the Sentinels, with commas between them")
        sentinels.append((place.hostname, place.port or SENTINEL_PORT))
    common = {**_settings(), "ssl": tls}
    sentinel = cast("Any", Sentinel)(sentinels, sentinel_kwargs=common, **common)  # it has no types
    more: dict[str, Any] = dict(parse_qsl(parts.query))
    if password:
        more["password"] = unquote(password)
    if user:
        more["username"] = unquote(user)
    return sentinel.master_for(service, db=int(db or 0), **more)
