"""How each proxy is started: one configuration file in a directory of its own, on one port, by nobody in particular.

In the configurations `@{...}` are the places to fill in (nginx has `$` for itself). `@{lines}` is what a case adds:
the lines that a user would write.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass, field
from string import Template
from textwrap import dedent, indent

SBIN = "/usr/local/sbin:/usr/sbin:/sbin"
"""Where Debian keeps daemons. It is not on the PATH of ordinary users."""


class Conf(Template):
    delimiter = "@"


@dataclass(frozen=True, kw_only=True)
class Daemon:
    """`binary` with `arguments`, reading `conf`. `version` and `pattern`: how to ask for its version. `farewell`: how
    many seconds it needs to tidy up at its end, 0 where nothing is left behind.
    """

    name: str
    binary: str
    arguments: tuple[str, ...]
    conf: str
    version: str
    pattern: str
    env: Mapping[str, str] = field(default_factory=dict)
    farewell: float = 0.0

    @property
    def program(self) -> str | None:
        """Its path, None where it is not installed."""
        return shutil.which(self.binary, path=f"{os.environ.get('PATH', '')}:{SBIN}")

    def installed(self) -> str:
        """The version that is installed here."""
        assert self.program is not None
        done = subprocess.run([self.program, self.version], capture_output=True, text=True, timeout=10)
        found = re.search(self.pattern, done.stdout + done.stderr)
        assert found is not None, done
        return found[1]


def fill(text: str, lines: str, places: Mapping[str, object]) -> str:
    """`text` with its places filled, those of `lines` too."""
    whole = dedent(text).lstrip().replace("@{lines}", indent(dedent(lines).strip(), "    ").lstrip())
    return Conf(whole).substitute(places)


NGINX = Daemon(
    name="nginx",
    binary="nginx",
    arguments=("-e", "@{dir}/error.log", "-c", "@{dir}/conf", "-p", "@{dir}"),
    version="-v",
    pattern=r"nginx/([\d.]+)",
    conf="""
        daemon off;
        master_process off;
        pid @{dir}/pid;
        events {}
        http {
            access_log off;
            client_body_temp_path @{dir}/body;
            proxy_temp_path @{dir}/proxy;
            fastcgi_temp_path @{dir}/fastcgi;
            uwsgi_temp_path @{dir}/uwsgi;
            scgi_temp_path @{dir}/scgi;
            server {
                listen @{listen};
                location / {
                    @{lines}
                }
            }
        }
        """,
)

HAPROXY = Daemon(
    name="HAProxy",
    binary="haproxy",
    arguments=("-db", "-f", "@{dir}/conf"),
    version="-v",
    pattern=r"version ([\d.]+)",
    # The timeouts are those of Debian's own file.
    conf="""
        defaults
            mode http
            timeout connect 5s
            timeout client 50s
            timeout server 50s
            @{lines}
        frontend proxy
            bind @{listen}
            default_backend tricast
        backend tricast
            server tricast @{server}
        """,
)

APACHE = Daemon(
    name="Apache",
    binary="apache2",
    arguments=("-d", "@{dir}", "-f", "@{dir}/conf", "-D", "FOREGROUND"),
    version="-v",
    pattern=r"Apache/([\d.]+)",
    conf="""
        ServerName localhost
        Listen @{listen}
        PidFile @{dir}/pid
        DefaultRuntimeDir @{dir}
        ErrorLog @{dir}/error.log
        LoadModule mpm_event_module /usr/lib/apache2/modules/mod_mpm_event.so
        LoadModule authz_core_module /usr/lib/apache2/modules/mod_authz_core.so
        LoadModule proxy_module /usr/lib/apache2/modules/mod_proxy.so
        LoadModule proxy_http_module /usr/lib/apache2/modules/mod_proxy_http.so
        @{lines}
        """,
)

SQUID = Daemon(
    name="Squid",
    binary="squid",
    # A name of its own: Squids of one name share memory, and end one another.
    arguments=("-N", "-f", "@{dir}/conf", "-n", "tricast@{port}"),
    version="-v",
    pattern=r"Version ([\d.]+)",
    farewell=5.0,  # it takes one; its shared memory stays in /dev/shm else
    conf="""
        pid_filename none
        access_log stdio:@{dir}/access.log
        cache_log @{dir}/cache.log
        netdb_filename none
        pinger_enable off
        coredump_dir @{dir}
        visible_hostname localhost
        shutdown_lifetime 0 seconds
        @{lines}
        """,
)

VARNISH = Daemon(
    name="Varnish",
    binary="varnishd",
    arguments=(
        *("-F", "-n", "@{dir}/varnish", "-f", "@{dir}/conf", "-a", "@{listen}"),
        *("-s", "malloc,16m", "-j", "none", "-T", "none"),
    ),
    version="-V",
    pattern=r"varnish-([\d.]+)",
    conf="""
        vcl 4.1;
        backend default {
            .host = "@{host}";
            .port = "@{server_port}";
        }
        @{lines}
        """,
)

CADDY = Daemon(
    name="Caddy",
    binary="caddy",
    arguments=("run", "--config", "@{dir}/conf", "--adapter", "caddyfile"),
    env={"HOME": "@{dir}"},
    version="version",
    pattern=r"v?([\d.]+)",
    conf="""
        {
            admin off
        }
        http://:@{port} {
            bind @{host}
            @{lines}
        }
        """,
)

LIGHTTPD = Daemon(
    name="lighttpd",
    binary="lighttpd",
    arguments=("-D", "-f", "@{dir}/conf"),
    version="-v",
    pattern=r"lighttpd/([\d.]+)",
    conf="""
        server.document-root = "@{dir}"
        server.errorlog = "@{dir}/error.log"
        server.bind = "@{host}"
        server.port = @{port}
        server.modules = ("mod_proxy")
        @{lines}
        """,
)
