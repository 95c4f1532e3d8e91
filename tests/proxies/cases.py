"""The matrix: each proxy in each configuration, and what it does to each transport.

What is expected here is what was seen; `docs/proxies.md` is written from the same lines.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from tests.proxies.daemons import APACHE, CADDY, HAPROXY, LIGHTTPD, NGINX, SQUID, VARNISH, Daemon

from tricast.probe import Verdict
from tricast.wire.messages import TransportName

Way = Literal["reverse", "forward", "tunnel"]
"""In front of the server; named by http_proxy, with a server on http; or by https_proxy, with a server on https."""
Forwarded = Literal["nothing", "as sent", "appended", "added", "replaced"]
"""What X-Forwarded-For becomes of the line that the client sent: with `added` there are two lines."""


@dataclass(frozen=True, kw_only=True)
class Case:
    """`lines` and then `friendly` go into the daemon's configuration; the latter are the ones to recommend.

    `verdicts` are of WebSocket, SSE, long poll and POST /send; `lands_on` is where the default client ends.

    `page`: whether a page that came through the proxy may send, as the server takes it for one of its own.
    `forwarded`: what becomes of X-Forwarded-For. `compresses`: whether what is no event stream is compressed.
    `browser`: what a browser's WebSocket is answered, by a forward proxy or through it.
    """

    daemon: Daemon
    name: str
    lines: str = ""
    friendly: str = ""
    verdicts: str
    lands_on: TransportName | None
    way: Way = "reverse"
    page: bool = True
    forwarded: Forwarded | None = None
    compresses: bool = False
    browser: int | None = None

    @property
    def id(self) -> str:
        return f"{self.daemon.name}, {self.name}"

    @property
    def text(self) -> str:
        return f"{self.lines.strip()}\n{self.friendly.strip()}".strip()

    @property
    def expected(self) -> list[Verdict]:
        return [Verdict(word) for word in self.verdicts.split()]


CLEAN = "clean clean clean clean"
WITHOUT_UPGRADE = "refused clean clean clean"

NGINX_PASS = "proxy_pass http://@{server};"
NGINX_FRIENDLY = f"""
{NGINX_PASS}
proxy_http_version 1.1;
proxy_set_header Upgrade $http_upgrade;
proxy_set_header Connection "upgrade";
proxy_set_header Host $http_host;
proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
"""
NGINX_GZIP = """
gzip on;
gzip_types *;
gzip_min_length 0;
"""

VARNISH_PIPE = """
sub vcl_recv {
    if (req.http.Upgrade ~ "(?i)websocket") {
        return (pipe);
    }
}
sub vcl_pipe {
    if (req.http.Upgrade) {
        set bereq.http.Upgrade = req.http.Upgrade;
        set bereq.http.Connection = req.http.Connection;
    }
}
"""

SQUID_REVERSE = """
http_port @{listen} accel defaultsite=@{site}
cache_peer @{host} parent @{server_port} 0 no-query originserver
http_access allow all
"""
# As Debian's own file has it, without what is about other protocols.
SQUID_FORWARD = """
http_port @{listen}
acl SSL_ports port 443
acl Safe_ports port 80 443 1025-65535
acl CONNECT method CONNECT
http_access deny !Safe_ports
http_access deny CONNECT !SSL_ports
http_access allow localhost
http_access deny all
"""
SQUID_CONNECT = "acl SSL_ports port @{server_port}"
SQUID_UPGRADE = "http_upgrade_request_protocols websocket allow all"

CADDY_GZIP = """
encode gzip {
    match header Content-Type *
    minimum_length 1
}
reverse_proxy @{server}
"""

LIGHTTPD_PASS = 'proxy.server = ("" => (("host" => "@{host}", "port" => @{server_port})))'

CASES = (
    Case(
        daemon=NGINX,
        name="as shipped",
        lines=NGINX_PASS,
        verdicts=WITHOUT_UPGRADE,
        lands_on="sse",
        page=False,
        forwarded="as sent",
    ),
    Case(
        daemon=NGINX,
        name="X-Accel-Buffering ignored",
        lines=f"{NGINX_PASS}\nproxy_ignore_headers X-Accel-Buffering;",
        verdicts="refused buffered clean clean",
        lands_on="poll",
        page=False,
        forwarded="as sent",
    ),
    Case(
        daemon=NGINX,
        name="gzip for everything",
        lines=NGINX_FRIENDLY + NGINX_GZIP,
        compresses=True,
        verdicts=CLEAN,
        lands_on="ws",
        forwarded="appended",
    ),
    Case(
        daemon=NGINX,
        name="with upgrade",
        friendly=NGINX_FRIENDLY,
        verdicts=CLEAN,
        lands_on="ws",
        forwarded="appended",
    ),
    Case(
        daemon=HAPROXY,
        name="as usual",
        lines="",
        verdicts="clean batched clean clean",
        lands_on="ws",
        forwarded="as sent",
    ),
    Case(
        daemon=HAPROXY,
        name="without delay",
        friendly="option http-no-delay\noption forwardfor",
        verdicts=CLEAN,
        lands_on="ws",
        forwarded="added",
    ),
    Case(
        daemon=APACHE,
        name="mod_proxy_http",
        lines="ProxyPass / http://@{server}/",
        verdicts=WITHOUT_UPGRADE,
        lands_on="sse",
        page=False,
        forwarded="appended",
    ),
    Case(
        daemon=APACHE,
        name="with upgrade",
        friendly="ProxyPreserveHost On\nProxyPass / http://@{server}/ upgrade=websocket",
        verdicts=CLEAN,
        lands_on="ws",
        forwarded="appended",
    ),
    Case(
        daemon=VARNISH,
        name="as shipped",
        lines="",
        verdicts=WITHOUT_UPGRADE,
        lands_on="sse",
        forwarded="appended",
    ),
    Case(
        daemon=VARNISH,
        name="with pipe",
        friendly=VARNISH_PIPE,
        verdicts=CLEAN,
        lands_on="ws",
        forwarded="appended",
    ),
    Case(
        daemon=CADDY,
        name="buffer_responses",
        lines="reverse_proxy @{server} {\n    buffer_responses\n}",
        verdicts="no_answer buffered clean clean",
        lands_on="poll",
        forwarded="replaced",
    ),
    Case(
        daemon=CADDY,
        name="gzip for everything",
        lines=CADDY_GZIP,
        compresses=True,
        verdicts=CLEAN,
        lands_on="ws",
        forwarded="replaced",
    ),
    Case(
        daemon=CADDY,
        name="as usual",
        friendly="reverse_proxy @{server}",
        verdicts=CLEAN,
        lands_on="ws",
        forwarded="replaced",
    ),
    Case(
        daemon=LIGHTTPD,
        name="mod_proxy",
        lines=LIGHTTPD_PASS,
        verdicts="refused buffered clean clean",
        lands_on="poll",
        forwarded="appended",
    ),
    Case(
        daemon=LIGHTTPD,
        name="with upgrade and streams",
        friendly=f'{LIGHTTPD_PASS}\nproxy.header = ("upgrade" => "enable")\nserver.stream-response-body = 1',
        verdicts=CLEAN,
        lands_on="ws",
        forwarded="appended",
    ),
    Case(
        daemon=SQUID,
        name="reverse",
        lines=SQUID_REVERSE,
        verdicts=WITHOUT_UPGRADE,
        lands_on="sse",
        forwarded="appended",
    ),
    Case(
        daemon=SQUID,
        name="reverse, with upgrade",
        friendly=SQUID_REVERSE + SQUID_UPGRADE,
        verdicts=CLEAN,
        lands_on="ws",
        forwarded="appended",
    ),
    Case(
        daemon=SQUID,
        name="forward, server on http",
        lines=SQUID_FORWARD,
        way="forward",
        verdicts=WITHOUT_UPGRADE,
        lands_on="sse",
        browser=403,
    ),
    Case(
        daemon=SQUID,
        name="forward, server on http, CONNECT and upgrade allowed",
        lines=SQUID_FORWARD,
        friendly=f"{SQUID_CONNECT}\n{SQUID_UPGRADE}",
        way="forward",
        verdicts=CLEAN,
        lands_on="ws",
        browser=101,
    ),
    Case(
        daemon=SQUID,
        name="forward, server on https, port not 443",
        lines=SQUID_FORWARD,
        way="tunnel",
        verdicts="refused refused refused uplink_blocked",
        lands_on=None,
        browser=403,
    ),
    Case(
        daemon=SQUID,
        name="forward, server on https, CONNECT allowed",
        lines=SQUID_FORWARD,
        friendly=SQUID_CONNECT,
        way="tunnel",
        verdicts=CLEAN,
        lands_on="ws",
        browser=200,
    ),
)
