"""https and wss: TLS 1.2 or later, a certificate that is read anew at SIGHUP, and what is said where it cannot be."""

from __future__ import annotations

import asyncio
import datetime
import json
import signal
import socket
import ssl
import subprocess
import tempfile
import urllib.request
import warnings
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import typer
from aiohttp import web
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from tests.helpers import COMMAND, HOST, START_TIMEOUT, STOP_TIMEOUT, clean_environment, until, unused_port
from typer.testing import CliRunner

from tricast_server import Settings, cli, setup
from tricast_server.guard.certificate import Certificate, CertificateError, self_signed
from tricast_server.guard.headers import PAGE
from tricast_server.hosting import listening

NAME = "bus.example"


def make_pair(folder: Path, name: str = "first", *, password: str | None = None) -> tuple[Path, Path]:
    """A certificate for 127.0.0.1, localhost and `NAME`, and its key, as files."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
    names = [x509.DNSName(NAME), x509.DNSName("localhost"), x509.IPAddress(ip_address(HOST))]
    now = datetime.datetime.now(datetime.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .sign(key, hashes.SHA256())
    )
    sealing: serialization.KeySerializationEncryption = serialization.NoEncryption()
    if password is not None:
        sealing = serialization.BestAvailableEncryption(password.encode())
    cert_file, key_file = folder / f"{name}.crt", folder / f"{name}.key"
    cert_file.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    key_file.write_bytes(key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, sealing))
    return cert_file, key_file


def trusting(*certs: Path) -> ssl.SSLContext:
    context = ssl.create_default_context()
    for cert in certs:
        context.load_verify_locations(cert)
    return context


@asynccontextmanager
async def tls_server(pair: tuple[Path, Path] | Certificate, **values: object) -> AsyncIterator[int]:
    """Its port."""
    certificate = pair if isinstance(pair, Certificate) else await asyncio.to_thread(Certificate.read, *pair)
    app = web.Application()
    settings = Settings(drain_timeout=0.1, allow_hosts=(NAME, "localhost"), **values)  # type: ignore[arg-type]
    service = setup(app, "", settings=settings)
    async with listening(app, HOST, 0, service=service, tls=certificate.context) as listener:
        assert listener.url.startswith("https://127.0.0.1:")
        yield int(listener.url.rpartition(":")[2])


async def subject_of(port: int, trusted: ssl.SSLContext) -> str:
    _, writing = await asyncio.open_connection(HOST, port, ssl=trusted)
    subject = writing.get_extra_info("peercert")["subject"]
    writing.close()
    return str(subject[0][0][1])


async def test_every_transport_over_tls(tmp_path: Path) -> None:
    cert, key = make_pair(tmp_path)
    connector = aiohttp.TCPConnector(ssl=trusting(cert))
    async with tls_server((cert, key)) as port, aiohttp.ClientSession(connector=connector) as http:
        url = f"https://localhost:{port}"
        async with http.ws_connect(f"wss://localhost:{port}/ws?topics=a", origin=url) as ws:
            assert (await ws.receive_json())["type"] == "hello"
            async with http.get(f"{url}/sse?topics=a") as stream:
                await stream.content.readuntil(b"\n\n")
                async with http.post(f"{url}/topics/a", data="hi") as answer:
                    assert answer.status == 200
                assert b"hi" in await stream.content.readuntil(b"\n\n")
            assert (await ws.receive_json())["data"] == "hi"
        async with http.get(f"{url}/poll?topics=a&cursor=earliest") as answer:
            assert [message["data"] for message in (await answer.json())["messages"]] == ["hi"]


async def test_nothing_below_1_2(tmp_path: Path) -> None:
    cert, key = make_pair(tmp_path)
    async with tls_server((cert, key)) as port:
        old = trusting(cert)
        old.set_ciphers("DEFAULT:@SECLEVEL=0")
        with warnings.catch_warnings(action="ignore", category=DeprecationWarning):
            old.minimum_version, old.maximum_version = ssl.TLSVersion.TLSv1, ssl.TLSVersion.TLSv1_1
        with pytest.raises((ssl.SSLError, ConnectionError)):
            await asyncio.open_connection(HOST, port, ssl=old)
        for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
            context = trusting(cert)
            context.minimum_version = context.maximum_version = version
            assert await subject_of(port, context) == "first"


async def test_a_handshake_that_does_not_end_is_cut(tmp_path: Path) -> None:
    cert, key = make_pair(tmp_path)
    async with tls_server((cert, key), header_timeout=0.4) as port:
        reading, writing = await asyncio.open_connection(HOST, port)
        writing.write(b"\x16\x03\x01")
        async with asyncio.timeout(10):
            assert await reading.read() == b""
        writing.close()


class TestHeaders:
    async def of(self, port: int, trusted: Path, path: str, host: str) -> Mapping[str, str]:
        async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=trusting(trusted))) as http:
            async with http.get(f"https://127.0.0.1:{port}{path}", headers={"Host": host}) as answer:
                assert answer.status == 200
                return answer.headers

    async def test_browsers_are_told_to_keep_to_tls(self, tmp_path: Path) -> None:
        cert, key = make_pair(tmp_path)
        async with tls_server((cert, key)) as port:
            headers = await self.of(port, cert, "/", NAME)
            assert headers["Strict-Transport-Security"] == "max-age=31536000"
            for name, value in PAGE.items():
                assert headers[name] == value
            headers = await self.of(port, cert, "/", f"localhost:{port}")
            assert "Strict-Transport-Security" not in headers

    async def test_but_not_over_plain_http(self) -> None:
        app = web.Application()
        service = setup(app, "", settings=Settings(drain_timeout=0.1, allow_hosts=(NAME,)))
        async with listening(app, HOST, 0, service=service) as listener, aiohttp.ClientSession() as http:
            async with http.get(f"{listener.url}/", headers={"Host": NAME}) as answer:
                assert "Strict-Transport-Security" not in answer.headers
                assert "frame-ancestors 'none'" in answer.headers["Content-Security-Policy"]
            for path in ("/poll", "/stats", "/healthz", "/nothing"):
                async with http.get(f"{listener.url}{path}") as answer:
                    assert answer.headers.get("X-Content-Type-Options") == "nosniff" or path == "/nothing"


class TestReload:
    @pytest.mark.may_block("it reads two small files, and must not do so while a handshake goes on in another thread")
    async def test_new_connections_see_the_new_one(self, tmp_path: Path) -> None:
        first, second = make_pair(tmp_path), make_pair(tmp_path, "second")
        trusted = trusting(first[0], second[0])
        certificate = Certificate.read(*first)
        async with tls_server(certificate) as port:
            reading, writing = await asyncio.open_connection(HOST, port, ssl=trusted)
            assert await subject_of(port, trusted) == "first"
            first[0].write_bytes(second[0].read_bytes())
            with pytest.raises(CertificateError, match="is not that of the certificate"):
                certificate.reload()  # half of the pair
            assert await subject_of(port, trusted) == "first"
            first[1].write_bytes(second[1].read_bytes())
            certificate.reload()
            assert await subject_of(port, trusted) == "second"
            writing.write(f"GET /healthz HTTP/1.1\r\nHost: {NAME}\r\n\r\n".encode())  # whoever is there stays
            assert b" 200 " in await reading.readuntil(b"\r\n")
            writing.close()

    def test_at_sighup(self, tmp_path: Path) -> None:
        first, second = make_pair(tmp_path), make_pair(tmp_path, "second")
        trusted = trusting(first[0], second[0])
        with tls_process("--tls-cert", str(first[0]), "--tls-key", str(first[1])) as (process, port, log):
            assert seen_by(port, trusted) == "first"
            first[1].unlink()
            process.send_signal(signal.SIGHUP)
            until(lambda: "the certificate stays as it was: cannot read" in log.read_text(), timeout=10)
            for old, new in zip(first, second, strict=True):
                old.write_bytes(new.read_bytes())
            process.send_signal(signal.SIGHUP)
            until(lambda: "the certificate was read anew" in log.read_text(), timeout=10)
            assert seen_by(port, trusted) == "second"


def seen_by(port: int, trusted: ssl.SSLContext) -> str:
    with socket.create_connection((HOST, port), timeout=5) as plain:
        with trusted.wrap_socket(plain, server_hostname="localhost") as secured:
            peer = secured.getpeercert()
    assert peer is not None
    subject: Any = peer["subject"]
    return str(subject[0][0][1])


@contextmanager
def tls_process(*options: str) -> Iterator[tuple[subprocess.Popen[bytes], int, Path]]:
    """A `tricast serve`, its port and its log. It ends with SIGTERM and status 0."""
    port = unused_port()
    with tempfile.TemporaryDirectory(prefix="tricast-test-") as folder:
        log = Path(folder) / "log"
        with log.open("wb") as output:
            process = subprocess.Popen(
                [COMMAND, "serve", "--port", str(port), *options],
                cwd=folder,
                env={**clean_environment(), "TMPDIR": folder},
                stdout=output,
                stderr=subprocess.STDOUT,
            )
        try:
            until(
                lambda: f"https://{HOST}:{port}" in log.read_text() or process.poll() is not None, timeout=START_TIMEOUT
            )
            assert process.poll() is None, log.read_text()
            yield process, port, log
            process.terminate()
            assert process.wait(STOP_TIMEOUT) == 0, log.read_text()
            assert "Traceback" not in log.read_text()
            assert [path.name for path in Path(folder).iterdir()] == ["log"]  # no key was left behind
        finally:
            process.kill()
            process.wait()


def test_a_self_signed_one_is_made_up() -> None:
    with tls_process("--tls-self-signed") as (_, port, _):
        context = ssl.create_default_context()
        with pytest.raises(OSError, match=r"self.signed"):
            urllib.request.urlopen(f"https://localhost:{port}/healthz", timeout=5, context=context)
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        with urllib.request.urlopen(f"https://localhost:{port}/healthz", timeout=5, context=context) as answer:
            assert json.load(answer) == {"status": "ok"}


async def test_a_self_signed_one_is_for_the_names_it_is_asked_for_by() -> None:
    async with tls_server(await asyncio.to_thread(self_signed, "bus.test")) as port:
        pem = ssl.get_server_certificate
        cert = x509.load_pem_x509_certificate((await asyncio.to_thread(pem, (HOST, port))).encode())
    names = cert.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert set(names.get_values_for_type(x509.DNSName)) == {"bus.test", "localhost"}
    assert {str(ip) for ip in names.get_values_for_type(x509.IPAddress)} == {"127.0.0.1", "::1"}


def refused(*options: object) -> str:
    """What `tricast serve` says when it does not start."""
    app = typer.Typer()
    app.callback()(lambda: None)
    cli.register(app)
    result = CliRunner(env={"COLUMNS": "400"}).invoke(app, ["serve", *map(str, options)])
    assert result.exit_code == 2, result.output
    return " ".join(result.output.split())


class TestMistakes:
    def test_they_are_named(self, tmp_path: Path) -> None:
        cert, key = make_pair(tmp_path)
        other, other_key = make_pair(tmp_path, "other")
        missing = tmp_path / "missing.pem"
        sealed_cert, sealed = make_pair(tmp_path, "sealed", password="secret")
        broken = tmp_path / "broken.pem"
        broken.write_text("-----BEGIN CERTIFICATE-----\nnonsense\n-----END CERTIFICATE-----\n")
        assert f"cannot read {missing}: No such file" in refused("--tls-cert", missing, "--tls-key", key)
        assert f"cannot read {missing}: No such file" in refused("--tls-cert", cert, "--tls-key", missing)
        assert f"cannot read {tmp_path}: Is a directory" in refused("--tls-cert", tmp_path)
        assert f"{cert} has no private key in PEM format" in refused("--tls-cert", cert)
        assert f"{key} has no certificate in PEM format" in refused("--tls-cert", key, "--tls-key", cert)
        mismatch = refused("--tls-cert", cert, "--tls-key", other_key)
        assert f"the key in {other_key} is not that of the certificate in {cert}" in mismatch
        assert "the key is encrypted" in refused("--tls-cert", sealed_cert, "--tls-key", sealed)
        assert f"cannot use {broken} with {key}" in refused("--tls-cert", broken, "--tls-key", key)
        assert "--tls-key needs --tls-cert" in refused("--tls-key", key)
        assert "either --tls-cert or --tls-self-signed" in refused("--tls-cert", other, "--tls-self-signed")
