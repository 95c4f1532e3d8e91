"""The balancers as they are shipped in `deploy/`, started in front of nodes: only addresses, ports, paths and users of
their configurations are replaced.
"""

from __future__ import annotations

import contextlib
import datetime
import grp
import ipaddress
import os
import pwd
import secrets
import shutil
import signal
import socket
import ssl
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from tests.helpers import HOST, ROOT, START_TIMEOUT, missing, until, unused_port
from tests.proxies.daemons import HAPROXY, NGINX
from tests.proxies.start import folder_for_anybody

DEPLOY = ROOT / "deploy"
EDGES = ("nginx", "haproxy")
NODES = ("tricast-1", "tricast-2", "tricast-3")
"""As the configurations name them."""


@dataclass(frozen=True, kw_only=True)
class Edge:
    """A balancer that serves. `output` is what it has written, access log and all; `pid` leads its process group."""

    name: str
    port: int
    plain_port: int
    folder: Path
    pid: int = 0

    @property
    def url(self) -> str:
        return f"https://{HOST}:{self.port}"

    @property
    def certificate(self) -> Path:
        return self.folder / "tls.pem"

    @property
    def output(self) -> str:
        return "".join(path.read_text() for path in sorted(self.folder.glob("*.log")))

    def trust(self) -> ssl.SSLContext:
        return ssl.create_default_context(cafile=str(self.certificate))


@contextmanager
def edge(name: str, nodes: Mapping[str, int]) -> Iterator[Edge]:
    """The balancer of this name in front of these ports. Skips the test where it is not installed."""
    with folder_for_anybody() as folder:
        started = Edge(name=name, port=unused_port(), plain_port=unused_port(), folder=folder)
        write_certificate(started.certificate)
        command = command_of(started, nodes)
        with (folder / "output.log").open("wb") as output:
            process = subprocess.Popen(
                command,
                cwd=folder,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                **as_nobody(),
            )
        try:
            _wait_until_it_listens(process, started)
            yield replace(started, pid=process.pid)
        finally:
            with contextlib.suppress(ProcessLookupError):  # it could not start
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def command_of(started: Edge, nodes: Mapping[str, int]) -> list[str]:
    """Writes the configuration, and says what runs it."""
    conf = started.folder / "conf"
    text = configuration(started, nodes)
    conf.write_text(text)
    conf.chmod(0o644)
    if started.name == "nginx":
        # What is decided before it reads the file, or is the package's own business.
        directives = f"daemon off; pid {started.folder}/pid;"
        return [program("nginx"), "-e", f"{started.folder}/start.log", "-c", str(conf), "-g", directives]
    return [program("haproxy"), "-db", "-f", str(conf)]


def program(name: str) -> str:
    """Its path. Skips the test where it is not installed."""
    found = {"nginx": NGINX, "haproxy": HAPROXY}[name].program
    if found is None:
        missing(f"{name} (scripts/get-apt-packages.sh installs it)")
    return found


def configuration(started: Edge, nodes: Mapping[str, int]) -> str:
    """The shipped file with our places in it."""
    places = {"/etc/tricast/tls.pem": str(started.certificate)}
    places |= {f" {name}:8080": f" {HOST}:{port}" for name, port in nodes.items()}
    if started.name == "nginx":
        text = (DEPLOY / "nginx.conf").read_text()
        kinds = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
        temporary = " ".join(f"{kind}_temp_path {started.folder}/{kind};" for kind in kinds)
        places |= {
            "listen 80;": f"listen {HOST}:{started.plain_port};",
            "listen 443 ": f"listen {HOST}:{started.port} ",
            "/var/log/nginx/": f"{started.folder}/",
            "\nhttp {": f"\nhttp {{ {temporary}",
        }
    else:
        text = (DEPLOY / "haproxy.cfg").read_text()
        user = as_nobody().get("user", os.geteuid())
        group = as_nobody().get("group", os.getegid())
        places |= {
            "bind :80\n": f"bind {HOST}:{started.plain_port}\n",
            "bind :443 ": f"bind {HOST}:{started.port} ",
            "user haproxy": f"user {pwd.getpwuid(user).pw_name}",
            "group haproxy": f"group {grp.getgrgid(group).gr_name}",
        }
    for shipped, ours in places.items():
        assert shipped in text, f"{shipped!r} is not in the configuration of {started.name}"
        text = text.replace(shipped, ours)
    return text


def as_nobody() -> dict[str, Any]:
    """Whom to be, as arguments of Popen: where we are root, the daemon is not."""
    if os.geteuid() != 0:
        return {}
    nobody = pwd.getpwnam("nobody")
    return {"user": nobody.pw_uid, "group": nobody.pw_gid, "extra_groups": []}


def _wait_until_it_listens(process: subprocess.Popen[bytes], started: Edge) -> None:
    def listens() -> bool:
        assert process.poll() is None, f"ended with {process.returncode}:\n{started.output}"
        try:
            socket.create_connection((HOST, started.port), timeout=1).close()
        except OSError:
            return False
        return True

    until(listens, timeout=START_TIMEOUT, step=0.02)


def write_certificate(path: Path) -> None:
    """One for our address that signs itself, with its key, for today."""
    key = ec.generate_private_key(ec.SECP256R1())
    # Another name for each, as OpenSSL finds a trusted certificate by its name.
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, f"edge {secrets.token_hex(8)}")])
    now = datetime.datetime.now(datetime.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(hours=1))
        .not_valid_after(now + datetime.timedelta(hours=23))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address(HOST))]), critical=False)
        .sign(key, hashes.SHA256())
    )
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    path.write_bytes(certificate.public_bytes(serialization.Encoding.PEM) + private)


def curl(started: Edge, *arguments: str) -> Sequence[str]:
    """What runs curl against this balancer, with its certificate trusted. Skips the test where it is not there."""
    found = shutil.which("curl")
    if found is None:
        missing("curl")
    return (found, "--silent", "--show-error", "--no-buffer", "--cacert", str(started.certificate), *arguments)
