"""What stands in X.509 certificates: names, validity, and whether a chain is in order."""

import ssl
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TypeVar

from cryptography import x509
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from offhook.sip.identity import CertificateNames

T = TypeVar("T")

MAX_CHAIN = 20


@dataclass(frozen=True, slots=True)
class Certificate:
    """One certificate: whom it speaks for, how long, and on which sides of TLS it may be shown."""

    names: CertificateNames
    not_before: datetime
    not_after: datetime
    subject: str
    issuer: str
    for_server: bool = True
    for_client: bool = True
    is_self_issued: bool = False

    def days_left(self, at: datetime) -> int:
        """Whole days until it expires; negative once it has."""
        return (self.not_after - at).days


def names_in(der: bytes) -> CertificateNames:
    """The names in a certificate as it was received. ValueError if they can't be read."""
    return _read(der, _names)


def read_chain(pem: bytes) -> tuple[Certificate, ...]:
    """The certificates of a PEM file in their order. ValueError if one can't be read, or there is none."""
    blocks: list[bytes] = []
    text = pem.decode("ascii", "replace")
    begin, end = "-----BEGIN CERTIFICATE-----", "-----END CERTIFICATE-----"
    while (at := text.find(begin)) >= 0 and (stop := text.find(end, at)) >= 0:
        blocks.append(ssl.PEM_cert_to_DER_cert(text[at : stop + len(end)]))
        text = text[stop + len(end) :]
        if len(blocks) > MAX_CHAIN:
            break
    if not blocks:
        raise ValueError("there is no certificate in it")
    return tuple(_read(der, _certificate) for der in blocks)


def _read(der: bytes, what: Callable[[x509.Certificate], T]) -> T:
    with warnings.catch_warnings():
        # Certificates that break a rule which does not matter here (a serial number of 0) are warned of.
        warnings.simplefilter("ignore")
        try:
            return what(x509.load_der_x509_certificate(der))
        except Exception as error:
            # The library has an exception of its own for each way in which a certificate may be wrong.
            raise ValueError(str(error)) from error


def _certificate(found: x509.Certificate) -> Certificate:
    usage = _extended_usage(found)
    return Certificate(
        names=_names(found),
        not_before=found.not_valid_before_utc,
        not_after=found.not_valid_after_utc,
        subject=found.subject.rfc4514_string(),
        issuer=found.issuer.rfc4514_string(),
        for_server=usage is None or ExtendedKeyUsageOID.SERVER_AUTH in usage,
        for_client=usage is None or ExtendedKeyUsageOID.CLIENT_AUTH in usage,
        is_self_issued=found.subject == found.issuer,
    )


def _names(found: x509.Certificate) -> CertificateNames:
    common = tuple(str(attribute.value) for attribute in found.subject.get_attributes_for_oid(NameOID.COMMON_NAME))
    try:
        alternative = found.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return CertificateNames(common_names=common)
    return CertificateNames(
        uris=tuple(alternative.get_values_for_type(x509.UniformResourceIdentifier)),
        dns=tuple(alternative.get_values_for_type(x509.DNSName)),
        addresses=tuple(str(address) for address in alternative.get_values_for_type(x509.IPAddress)),
        common_names=common,
        has_alternative_name=True,
    )


def _extended_usage(found: x509.Certificate) -> x509.ExtendedKeyUsage | None:
    try:
        usage = found.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    except (x509.ExtensionNotFound, ValueError):
        return None
    return None if ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE in usage else usage


def now_utc() -> datetime:
    """The wall clock."""
    return datetime.now(UTC)
