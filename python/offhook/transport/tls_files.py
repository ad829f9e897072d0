"""The files of TLS (certificate, key, CAs): read, made into contexts, checked for what will go wrong with them."""

import ssl
import stat
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path
from typing import Literal

from offhook.errors import OffhookError
from offhook.transport.certificate import Certificate, read_chain

ClientCertificate = Literal["off", "optional", "required"]
MinVersion = Literal["1.2", "1.3"]

CIPHERS = "ECDHE+AESGCM:ECDHE+CHACHA20:@SECLEVEL=2"
"""Forward secrecy and authenticated encryption alone, keys of 112 bits of strength at least; TLS 1.3 has only such."""

WARN_DAYS = 14
MAX_FILE_BYTES = 1 << 20

_VERSIONS = {"1.2": ssl.TLSVersion.TLSv1_2, "1.3": ssl.TLSVersion.TLSv1_3}
_VERIFY: dict[ClientCertificate, ssl.VerifyMode] = {
    "off": ssl.CERT_NONE,
    "optional": ssl.CERT_OPTIONAL,
    "required": ssl.CERT_REQUIRED,
}


@dataclass(frozen=True, slots=True)
class TlsIdentity:
    """Whom we are to one peer alone: the trunk's name, and the files of the certificate that it is shown."""

    name: str
    certificate: Path
    key: Path | None = None


@dataclass(frozen=True, slots=True)
class TlsSettings:
    """What TLS is made of. Without `key` it stands in the file of `certificate`; without `ca` the system's are trusted.

    Without `certificate` nothing can be listened for, and peers that we dial are shown none.
    """

    certificate: Path | None = None
    key: Path | None = None
    ca: Path | None = None
    client_certificate: ClientCertificate = "off"
    min_version: MinVersion = "1.2"
    identities: tuple[TlsIdentity, ...] = ()

    @property
    def files(self) -> tuple[Path, ...]:
        """The files that are read."""
        own = (self.certificate, self.key, self.ca)
        others = (path for identity in self.identities for path in (identity.certificate, identity.key))
        return tuple(path for path in (*own, *others) if path is not None)


@dataclass(frozen=True, slots=True)
class TlsProblem:
    """What is wrong with a file. `setting` is the one that names it, such as `tls_key`: of `trunk`, else of `sip`."""

    setting: str
    message: str
    hint: str = ""
    trunk: str | None = None

    @property
    def path(self) -> str:
        """The setting with its table."""
        return f"sip.{self.setting}" if self.trunk is None else f"trunk.{self.trunk}.{self.setting}"

    def __str__(self) -> str:
        return f"{self.path}: {self.message}{f' ({self.hint})' if self.hint else ''}"


class TlsFileError(OffhookError):
    """TLS can't be had with these files."""

    code = "tls_file"

    def __init__(self, problem: TlsProblem) -> None:
        super().__init__(f"{problem.path}: {problem.message}", hint=problem.hint)
        self.problem = problem


@dataclass(frozen=True, slots=True)
class TlsContexts:
    """What handshakes are made with: as server (None without a certificate), as client, and the chain that we show."""

    server: ssl.SSLContext | None
    client: ssl.SSLContext
    chain: tuple[Certificate, ...] = ()
    identities: Mapping[str, "IdentityContext"] = field(default_factory=dict)

    @property
    def own(self) -> Certificate | None:
        """Our own certificate."""
        return self.chain[0] if self.chain else None


@dataclass(frozen=True, slots=True)
class IdentityContext:
    """What connections to one trunk are made with, and the certificate that it is shown."""

    client: ssl.SSLContext
    own: Certificate


def load(settings: TlsSettings) -> TlsContexts:
    """Read the files and make the contexts; raises `TlsFileError` with the first thing that makes that impossible.

    It reads from the disk, and with the system's CAs it takes some 40 ms.
    """
    chain = _chain(settings.certificate) if settings.certificate is not None else ()
    client = _client(settings)
    server = None
    if settings.certificate is not None:
        server = _context(ssl.PROTOCOL_TLS_SERVER, settings)
        # No resumption: connections last long, and each one is judged by the certificates of its own time.
        server.options |= ssl.OP_NO_TICKET
        server.num_tickets = 0
        server.verify_mode = _VERIFY[settings.client_certificate]
        _load_own(server, settings)
        if chain[0].for_client:
            _load_own(client, settings)
        if settings.client_certificate != "off":
            _trust(server, settings, ssl.Purpose.CLIENT_AUTH)
    return TlsContexts(server, client, chain, {one.name: _identity(settings, one) for one in settings.identities})


def _client(settings: TlsSettings) -> ssl.SSLContext:
    client = _context(ssl.PROTOCOL_TLS_CLIENT, settings)
    # Names are compared by RFC 5922 once the handshake is done; the rules of the web are others.
    client.check_hostname = False
    _trust(client, settings, ssl.Purpose.SERVER_AUTH)
    return client


def _identity(settings: TlsSettings, identity: TlsIdentity) -> IdentityContext:
    client = _client(settings)
    try:
        own = _chain(identity.certificate, "tls_client_certificate")[0]
        _load_pair(client, identity.certificate, identity.key, "tls_client_certificate", "tls_client_key")
    except TlsFileError as error:
        raise TlsFileError(replace(error.problem, trunk=identity.name)) from error
    if not own.for_client:
        hint = "have it issued with clientAuth in its extended key usage"
        message = f"the certificate of {own.names} is not made for clients"
        raise TlsFileError(TlsProblem("tls_client_certificate", message, hint, identity.name))
    return IdentityContext(client, own)


def warnings(settings: TlsSettings, contexts: TlsContexts, at: datetime) -> Iterator[TlsProblem]:
    """What works, but not for long or not for everybody."""
    own = contexts.own
    if own is not None:
        yield from _validity("tls_certificate", own, at)
        if not own.names.identities and not own.names.addresses:
            yield TlsProblem(
                "tls_certificate",
                f"it speaks for no SIP domain (RFC 5922): {own.names}",
                "have it issued with subjectAltName DNS:your.sip.domain; wildcards are no domain to SIP",
            )
        if not own.for_server:
            yield TlsProblem("tls_certificate", "it is not made for servers (extended key usage)")
        for index, (below, above) in enumerate(zip(contexts.chain, contexts.chain[1:], strict=False)):
            if below.issuer != above.subject:
                yield TlsProblem(
                    "tls_certificate",
                    f"the chain is out of order: certificate {index + 2} in it is not the issuer of certificate "
                    f"{index + 1}",
                    "our own first, then the one that issued it, and so on",
                )
                break
        for above in contexts.chain[1:]:
            yield from _validity("tls_certificate", above, at)
        key = settings.key or settings.certificate
        setting = "tls_key" if settings.key is not None else "tls_certificate"
        if key is not None and key.stat().st_mode & stat.S_IROTH:
            yield TlsProblem(setting, f"the key in {key} can be read by every user", f"chmod o-r {key}")
    for identity in settings.identities:
        shown = contexts.identities[identity.name].own
        for problem in _validity("tls_client_certificate", shown, at):
            yield replace(problem, trunk=identity.name)
    if settings.ca is not None:
        for trusted in _chain(settings.ca, "tls_ca"):
            yield from _validity("tls_ca", trusted, at)


def _validity(setting: str, certificate: Certificate, at: datetime) -> Iterator[TlsProblem]:
    days, who = certificate.days_left(at), certificate.names
    if at >= certificate.not_after:
        message = f"the certificate of {who} expired on {certificate.not_after:%Y-%m-%d}"
        yield TlsProblem(setting, message, "peers refuse it; renew it")
    elif at < certificate.not_before:
        yield TlsProblem(setting, f"the certificate of {who} is not valid before {certificate.not_before:%Y-%m-%d}")
    elif days < WARN_DAYS:
        yield TlsProblem(
            setting,
            f"the certificate of {who} expires in {days} days, on {certificate.not_after:%Y-%m-%d}",
            "renew it; new files are taken while calls go on",
        )


def _context(protocol: int, settings: TlsSettings) -> ssl.SSLContext:
    context = ssl.SSLContext(protocol)
    context.minimum_version = _VERSIONS[settings.min_version]
    context.set_ciphers(CIPHERS)
    context.options |= ssl.OP_NO_RENEGOTIATION | ssl.OP_NO_COMPRESSION
    return context


def _trust(context: ssl.SSLContext, settings: TlsSettings, purpose: ssl.Purpose) -> None:
    if settings.ca is None:
        context.load_default_certs(purpose)
        return
    _chain(settings.ca, "tls_ca")
    # Whoever names a certificate trusts it, be it a root, one below it or the peer's own.
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    try:
        context.load_verify_locations(settings.ca)
    except (OSError, ssl.SSLError) as error:
        raise TlsFileError(TlsProblem("tls_ca", f"{settings.ca} can't be used: {_said(error)}")) from error


def _load_own(context: ssl.SSLContext, settings: TlsSettings) -> None:
    assert settings.certificate is not None, "asked before"
    _load_pair(context, settings.certificate, settings.key, "tls_certificate", "tls_key")


def _load_pair(context: ssl.SSLContext, certificate: Path, key: Path | None, of_it: str, of_key: str) -> None:
    _read(key or certificate, of_key if key else of_it)

    def no_password() -> str:
        raise _Encrypted

    setting, where = (of_key, str(key)) if key else (of_it, f"the key in {certificate}")
    try:
        context.load_cert_chain(certificate, key, password=no_password)
    except _Encrypted:
        raise TlsFileError(
            TlsProblem(setting, f"{where} is encrypted", "openssl pkey -in KEY -out PLAIN, readable to us alone")
        ) from None
    except ssl.SSLError as error:
        if error.reason == "KEY_VALUES_MISMATCH":
            raise TlsFileError(
                TlsProblem(setting, f"{where} does not belong to the certificate in {certificate}")
            ) from error
        if error.reason in ("EE_KEY_TOO_SMALL", "CA_KEY_TOO_SMALL", "CA_MD_TOO_WEAK"):
            message = f"{certificate} is too weak: {_said(error)}"
            raise TlsFileError(
                TlsProblem(of_it, message, "RSA from 2048 bits or ECDSA, signed with SHA-256")
            ) from error
        hint = "PEM with -----BEGIN PRIVATE KEY----- is wanted" + ("" if key else f", or name its file in {of_key}")
        raise TlsFileError(TlsProblem(setting, f"{where} is no private key: {_said(error)}", hint)) from error
    except OSError as error:
        raise TlsFileError(TlsProblem(setting, f"{where} can't be read: {_said(error)}")) from error


class _Encrypted(Exception):
    """OpenSSL asks for a password."""


def _chain(path: Path, setting: str = "tls_certificate") -> tuple[Certificate, ...]:
    try:
        return read_chain(_read(path, setting))
    except ValueError as error:
        hint = "PEM with -----BEGIN CERTIFICATE----- is wanted"
        raise TlsFileError(TlsProblem(setting, f"{path} can't be used: {error}"[:300], hint)) from error


def _read(path: Path, setting: str) -> bytes:
    try:
        with path.open("rb") as file:
            content = file.read(MAX_FILE_BYTES + 1)
    except OSError as error:
        raise TlsFileError(TlsProblem(setting, f"{path} can't be read: {_said(error)}")) from error
    if len(content) > MAX_FILE_BYTES:
        raise TlsFileError(TlsProblem(setting, f"{path} is larger than {MAX_FILE_BYTES} bytes"))
    return content


def _said(error: OSError) -> str:
    if isinstance(error, ssl.SSLError) and error.reason:
        return error.reason.lower().replace("_", " ")
    return error.strerror or str(error)
