"""Whom a certificate speaks for: SIP domain identities, found and compared as RFC 5922 section 7 says."""

import ipaddress
import re
from dataclasses import dataclass

_DOMAIN = re.compile(r"(?=.{1,253}\Z)(?:[A-Za-z0-9_](?:[A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?\.)*"
                     r"[A-Za-z0-9_](?:[A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?")  # fmt: skip


@dataclass(frozen=True, slots=True)
class CertificateNames:
    """The names in a certificate as they stand there: of subjectAltName by kind, and the subject's common names.

    `has_alternative_name` says whether there is a subjectAltName at all, with whatever in it.
    """

    uris: tuple[str, ...] = ()
    dns: tuple[str, ...] = ()
    addresses: tuple[str, ...] = ()
    common_names: tuple[str, ...] = ()
    has_alternative_name: bool = False

    @property
    def identities(self) -> tuple[str, ...]:
        """The SIP domains that it speaks for (RFC 5922 7.1), in lower case; none is a certificate of no use to SIP.

        `sip:` URIs without a user; if there is none, DNS names; a common name only where subjectAltName is missing.
        What is no whole domain name (a wildcard, a name with NUL in it, an address) speaks for nobody.
        """
        found = [domain for uri in self.uris if (domain := _sip_domain(uri)) is not None]
        if not found:
            found = [domain for name in self.dns if (domain := _domain(name)) is not None]
        if not found and not self.has_alternative_name:
            found = [domain for name in self.common_names if (domain := _domain(name)) is not None]
        return tuple(dict.fromkeys(found))

    def proves(self, host: str) -> bool:
        """Whether it speaks for a host: a domain by its identities, an IP address only by an address in it.

        Whole names are compared, without case; no suffix, no wildcard (RFC 5922 7.2).
        """
        address = _address(host)
        if address is not None:
            return any(_address(mine) == address for mine in self.addresses)
        return host.lower().rstrip(".") in self.identities

    def __str__(self) -> str:
        """What a person is told that it is for: a few of its names, printable."""
        names = self.identities or (*self.dns, *self.addresses, *self.uris, *self.common_names)
        shown = ", ".join(_shown(name) for name in names[:3])
        return f"{shown} and {len(names) - 3} more" if len(names) > 3 else shown or "nobody"


def _sip_domain(uri: str) -> str | None:
    scheme, colon, rest = uri.partition(":")
    if not colon or scheme.lower() != "sip" or "@" in rest:
        return None
    return _domain(rest.partition(";")[0].partition("?")[0].partition(":")[0])


def _domain(name: str) -> str | None:
    plain = name.removesuffix(".")
    if _DOMAIN.fullmatch(plain) is None or _address(plain) is not None or plain.rpartition(".")[2].isdigit():
        return None
    return plain.lower()


def _address(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(text)
    except ValueError:
        return None


def _shown(name: str) -> str:
    return "".join(c if c.isprintable() else "?" for c in name[:80])
