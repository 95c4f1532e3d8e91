"""nchan, a module of nginx that has pub/sub over all three transports; one worker, started from a file of its own.

On Debian: apt install nginx libnginx-mod-nchan. WebSocket messages and events carry the payload as it is. A poll says
what came last; the first says nothing and gets what comes next. Echo is a channel for each connection, which it
publishes to and subscribes to at once.
"""

from __future__ import annotations

import shutil
from pathlib import Path

from tricast_bench.peers.installed import ADVICE, directory, said_by
from tricast_bench.peers.peer import Capture, Peer, Publishing, Speech, Step

MODULE = Path("/usr/lib/nginx/modules/ngx_nchan_module.so")
DAEMONS = "/usr/local/sbin:/usr/sbin:/sbin"
"""Not on the PATH of ordinary users."""

CONFIG = """\
daemon off;
master_process off;
pid {directory}/pid;
error_log stderr error;
load_module {module};
events {{ worker_connections 16384; }}
http {{
    access_log off;
    client_body_temp_path {directory}/body;
    proxy_temp_path {directory}/proxy;
    fastcgi_temp_path {directory}/fastcgi;
    uwsgi_temp_path {directory}/uwsgi;
    scgi_temp_path {directory}/scgi;
    tcp_nodelay on;
    keepalive_requests 1000000000;
    nchan_shared_memory_size 128M;
    nchan_message_buffer_length 100;
    nchan_message_timeout 30s;
    server {{
        listen 127.0.0.1:{port} backlog=1024;
        nchan_websocket_ping_interval 20;
        nchan_eventsource_ping_interval 20;
        nchan_longpoll_multipart_response raw;
        nchan_subscriber_compound_etag_message_id on;
        nchan_subscriber_first_message newest;
        location = /ws {{ nchan_subscriber websocket; nchan_channel_id bench; }}
        location = /sse {{ nchan_subscriber eventsource; nchan_channel_id bench; }}
        location = /poll {{ nchan_subscriber longpoll; nchan_channel_id bench; }}
        location = /publish {{ nchan_publisher websocket; nchan_channel_id bench; }}
        location ~ ^/echo/([0-9]+)$ {{ nchan_pubsub websocket; nchan_channel_id echo$1; }}
    }}
}}
"""


def _nginx() -> str | None:
    return shutil.which("nginx") or shutil.which("nginx", path=DAEMONS)


def _needs() -> str | None:
    if _nginx() is None:
        return f"nginx is not installed: {ADVICE}"
    if not MODULE.exists():
        return f"nginx has no module nchan (on Debian: libnginx-mod-nchan): {ADVICE}"
    return None


def _command(port: int) -> list[str]:
    place = directory("nchan")
    config = place / "nginx.conf"
    config.write_text(CONFIG.format(directory=place, module=MODULE, port=port))
    return [_nginx() or "nginx", "-e", str(place / "error.log"), "-c", str(config), "-p", str(place)]


def _version() -> str:
    nginx = said_by(_nginx() or "nginx", "-v", pattern=r"nginx/(\S+)")
    nchan = said_by("dpkg-query", "-W", "-f=${Version}", "libnginx-mod-nchan", pattern=r"^(?:\d+:)?([^+\-\s]+)")
    return f"nchan {nchan}, nginx {nginx}"


PEER = Peer(
    name="nchan",
    command=_command,
    needs=_needs,
    version=_version,
    subscribe={
        "ws": Speech(steps=(Step(target="/ws"),)),
        "sse": Speech(steps=(Step(target="/sse", headers={"Accept": "text/event-stream"}),)),
        "poll": Speech(
            steps=(
                Step(
                    target="/poll?last_event_id={last}",
                    captures=(Capture(name="last", after=b"\nEtag: ", until=b"\r\n"),),
                ),
            )
        ),
        "echo": Speech(steps=(Step(target="/echo/{connection}"),), echo=b"{payload}"),
    },
    publish=Publishing(over=Speech(steps=(Step(target="/publish"),)), answer=b"queued messages: "),
    said=(
        "In C, with one worker and no master. A poll gets all that is waiting "
        "(`nchan_longpoll_multipart_response raw`; by default one message), the last 100 messages of a channel are "
        "kept (by default 10), and a connection is kept for any number of requests (by default 1000)."
    ),
)
