"""Certificates for tests: one CA, and whatever it, or nobody, has signed. Made once a run, as keys take their time."""

import functools
import ipaddress
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

NOW = datetime.now(UTC).replace(microsecond=0)
DAY = timedelta(days=1)


@dataclass(frozen=True)
class Issued:
    """A certificate with its key, and the chain that belongs behind it; all of it PEM."""

    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey
    chain: bytes = b""

    @property
    def pem(self) -> bytes:
        return self.certificate.public_bytes(serialization.Encoding.PEM) + self.chain

    @property
    def der(self) -> bytes:
        return self.certificate.public_bytes(serialization.Encoding.DER)

    @property
    def key_pem(self) -> bytes:
        return self.key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )

    def encrypted_key(self, password: bytes) -> bytes:
        return self.key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.BestAvailableEncryption(password),
        )

    def write(self, directory: Path, name: str) -> tuple[Path, Path]:
        """Write NAME.pem and NAME.key, the key for us alone; their paths."""
        certificate, key = directory / f"{name}.pem", directory / f"{name}.key"
        certificate.write_bytes(self.pem)
        key.write_bytes(self.key_pem)
        key.chmod(0o600)
        return certificate, key


def subject(common_name: str | None) -> x509.Name:
    names = [] if common_name is None else [x509.NameAttribute(NameOID.COMMON_NAME, common_name)]
    return x509.Name([x509.NameAttribute(NameOID.ORGANIZATION_NAME, "offhook tests"), *names])


def alternative(
    *, dns: Sequence[str] = (), uris: Sequence[str] = (), addresses: Sequence[str] = ()
) -> x509.SubjectAlternativeName | None:
    """A subjectAltName of these names; None for none."""
    names: list[x509.GeneralName] = [x509.UniformResourceIdentifier(uri) for uri in uris]
    names += [x509.DNSName._init_without_validation(name) for name in dns]
    names += [x509.IPAddress(ipaddress.ip_address(address)) for address in addresses]
    return x509.SubjectAlternativeName(names) if names else None


class Authority:
    """A CA. `issue` makes certificates of every kind, the wrong ones too."""

    def __init__(self, name: str = "offhook test CA", *, parent: "Authority | None" = None) -> None:
        self.key = ec.generate_private_key(ec.SECP256R1())
        self.name = subject(name)
        signer = parent or self
        self.certificate = (
            _builder(self.name, signer.name, self.key, NOW - 30 * DAY, NOW + 3650 * DAY)
            .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
            .sign(signer.key, hashes.SHA256())
        )
        self.pem = self.certificate.public_bytes(serialization.Encoding.PEM)
        self._chain = b"" if parent is None else self.pem

    def issue(
        self,
        *dns: str,
        uris: Sequence[str] = (),
        addresses: Sequence[str] = (),
        common_name: str | None = None,
        begins: datetime = NOW - DAY,
        ends: datetime = NOW + 90 * DAY,
        usage: Sequence[x509.ObjectIdentifier] = (ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH),
        rsa_bits: int | None = None,
    ) -> Issued:
        """A certificate of this CA for these DNS names, URIs and addresses."""
        key: ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey
        key = ec.generate_private_key(ec.SECP256R1()) if rsa_bits is None else rsa.generate_private_key(65537, rsa_bits)
        builder = _builder(subject(common_name), self.name, key, begins, ends)
        names = alternative(dns=dns, uris=uris, addresses=addresses)
        if names is not None:
            builder = builder.add_extension(names, critical=False)
        if usage:
            builder = builder.add_extension(x509.ExtendedKeyUsage(usage), critical=False)
        return Issued(builder.sign(self.key, hashes.SHA256()), key, self._chain)

    def self_signed(self, name: str) -> Issued:
        """As `openssl req -x509` makes it: a server's certificate that is its own CA."""
        builder = _builder(subject(name), subject(name), self.key, NOW - DAY, NOW + 90 * DAY)
        names = alternative(dns=[name])
        assert names is not None
        builder = builder.add_extension(names, critical=False)
        builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        return Issued(builder.sign(self.key, hashes.SHA256()), self.key)


def _builder(
    whose: x509.Name,
    issuer: x509.Name,
    key: ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey,
    begins: datetime,
    ends: datetime,
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(whose)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(begins)
        .not_valid_after(ends)
    )


@functools.cache
def authority() -> Authority:
    """The CA that both sides of a test trust."""
    return Authority()


@functools.cache
def stranger() -> Authority:
    """A CA that nobody trusts."""
    return Authority("somebody else")
