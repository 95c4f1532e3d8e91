"""The certificate of `wss://` and `https://`: TLS 1.2 or later, read anew without a restart."""

from __future__ import annotations

import ssl
import tempfile
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

SELF_SIGNED_DAYS = 30
LOCAL_NAMES = ("localhost", "127.0.0.1", "::1")


class CertificateError(ValueError):
    """A certificate or its key cannot be used; the message says which, and why."""


@dataclass(frozen=True, slots=True)
class Certificate:
    """What a listener shows its clients. `context` is what listens with it; `reload` changes that one."""

    context: ssl.SSLContext
    cert: Path | None = None
    key: Path | None = None

    @classmethod
    def read(cls, cert: Path, key: Path | None = None) -> Certificate:
        """From PEM files; without `key` it is in the same file. Raises CertificateError."""
        certificate = cls(_context(), cert, key or cert)
        certificate.reload()
        return certificate

    def reload(self) -> None:
        """Reads the files anew, for connections from now on. Raises CertificateError, and then keeps what it had."""
        if self.cert is None or self.key is None:
            return
        _load(_context(), self.cert, self.key)  # a pair that does not fit would leave the one in use half changed
        _load(self.context, self.cert, self.key)


def self_signed(host: str) -> Certificate:
    """For trying it out: for `host` and this machine's own names. Nothing of it stays on disk."""
    key = ec.generate_private_key(ec.SECP256R1())
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    with tempfile.TemporaryDirectory(prefix="tricast-") as folder:  # 0700; the ssl module reads only files
        path = Path(folder) / "self-signed.pem"
        path.touch(mode=0o600)
        path.write_bytes(pem + _sign(key, {host, *LOCAL_NAMES}).public_bytes(Encoding.PEM))
        context = _context()
        _load(context, path, path)
    return Certificate(context)


def _sign(key: ec.EllipticCurvePrivateKey, names: set[str]) -> x509.Certificate:
    now = datetime.now(UTC)
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "tricast, self-signed")])
    return (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(minutes=5))
        .not_valid_after(now + timedelta(days=SELF_SIGNED_DAYS))
        .add_extension(x509.SubjectAlternativeName([_general_name(name) for name in sorted(names)]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, hashes.SHA256())
    )


def _general_name(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ip_address(name))
    except ValueError:
        return x509.DNSName(name)


def _context() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_alpn_protocols(["http/1.1"])
    return context


def _load(context: ssl.SSLContext, cert: Path, key: Path) -> None:
    for path, wanted in ((cert, b"CERTIFICATE"), (key, b"PRIVATE KEY")):
        try:
            text = path.read_bytes()
        except OSError as error:
            raise CertificateError(f"cannot read {path}: {error.strerror}") from None
        if wanted not in text:
            raise CertificateError(f"{path} has no {wanted.decode().lower()} in PEM format")
    try:
        context.load_cert_chain(cert, key, password=_no_password)
    except ssl.SSLError as error:
        if error.reason == "KEY_VALUES_MISMATCH":
            raise CertificateError(f"the key in {key} is not that of the certificate in {cert}") from None
        raise CertificateError(f"cannot use {cert} with {key}: {error.reason or error}") from None


def _no_password() -> str:
    """Else OpenSSL would ask for one at the terminal."""
    raise CertificateError("the key is encrypted; a server has nobody to ask for its password")
