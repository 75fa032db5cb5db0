"""Certificates that are good, and bad in each of the usual ways."""

from __future__ import annotations

import datetime as dt
import ipaddress
import ssl
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

if TYPE_CHECKING:
    from pathlib import Path

_DAY: Final = dt.timedelta(days=1)


@dataclass
class Authority:
    """Signs certificates; `file` is its own, for clients to trust."""

    folder: Path

    def __post_init__(self) -> None:
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = _name("an authority of ours")
        own = self._build(self._name, self._key, days=1, host=None)
        self.file = self.folder / "authority.pem"
        self.file.write_bytes(own.public_bytes(serialization.Encoding.PEM))

    def server(self, *, host: str = "localhost", days: int = 1) -> ssl.SSLContext:
        """For a server at `host`; the certificate ends in so many days, or has ended."""
        key = ec.generate_private_key(ec.SECP256R1())
        return self._context(key, self._build(_name(host), key, days=days, host=host))

    def self_signed(self) -> ssl.SSLContext:
        """For a server that vouches for itself."""
        other = Authority.__new__(Authority)
        other._key = ec.generate_private_key(ec.SECP256R1())
        other._name, other.folder = _name("localhost"), self.folder
        return other._context(
            other._key, other._build(other._name, other._key, days=1, host="localhost")
        )

    def _context(self, key: Any, certificate: x509.Certificate) -> ssl.SSLContext:
        file = self.folder / "server.pem"
        form = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8
        file.write_bytes(
            key.private_bytes(*form, serialization.NoEncryption())
            + certificate.public_bytes(serialization.Encoding.PEM)
        )
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(file)
        return context

    def _build(self, subject: x509.Name, key: Any, *, days: int, host: str | None) -> Any:
        end = dt.datetime.now(dt.UTC) + days * _DAY
        builder = (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self._name)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(end - 2 * _DAY)
            .not_valid_after(end)
            .add_extension(x509.BasicConstraints(ca=host is None, path_length=None), critical=True)
        )
        if host:
            names = x509.SubjectAlternativeName([_place(host)])
            builder = builder.add_extension(names, critical=False)
        return builder.sign(self._key, hashes.SHA256())


def _place(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        return x509.DNSName(host)


def _name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])
