"""Why a TLS handshake came to nothing: a closed list, and how what OpenSSL says is read as one of it."""

import re
import ssl
from dataclasses import dataclass
from enum import Enum
from typing import Literal

from offhook.sip.effects import Address

Direction = Literal["in", "out"]


@dataclass(frozen=True, slots=True)
class _Cause:
    slug: str
    text: str
    hint: str


class TlsCause(Enum):
    """One way in which TLS fails. The slug is its name in metrics, logs and among the refusals (there with `tls_`)."""

    PLAIN_SIP = _Cause(
        "plain_sip", "SIP without TLS came to the TLS port",
        "set the peer's transport to TLS, or send it to a udp:// or tcp:// listener",
    )  # fmt: skip
    PLAIN_HTTP = _Cause(
        "plain_http", "HTTP came where TLS is spoken", "a browser, a scanner or a health check; none of them speaks SIP"
    )
    NOT_TLS = _Cause("not_tls", "something that is not TLS came where TLS is spoken", "the port is for SIP over TLS")
    TLS_ON_PLAIN_PORT = _Cause(
        "on_plain_port", "TLS came to a tcp:// port",
        "set the peer's port to that of a tls:// listener (5061 unless set otherwise)",
    )  # fmt: skip
    NOTHING_SENT = _Cause(
        "nothing_sent", "the connection was opened, and nothing came on it",
        "a health check or a scanner; a SIP peer begins with its ClientHello",
    )  # fmt: skip
    TIMEOUT = _Cause(
        "timeout", "the handshake was begun and not finished in time",
        "packets get lost on the way (MTU?), or the peer is overloaded",
    )  # fmt: skip
    CLOSED = _Cause(
        "closed", "the peer closed the connection in the middle of the handshake",
        "it does not say why: look into its own log for our certificate",
    )  # fmt: skip
    OLD_VERSION = _Cause(
        "old_version", "no TLS version is common to both sides",
        "update the peer to TLS 1.2 or later; sip.tls_min_version says what is the least here",
    )  # fmt: skip
    NO_COMMON_CIPHER = _Cause(
        "no_common_cipher", "no cipher suite is common to both sides",
        "let the peer offer ECDHE with AES-GCM or ChaCha20",
    )  # fmt: skip
    CERTIFICATE_MISSING = _Cause(
        "certificate_missing", "the peer showed no certificate",
        'give the peer a client certificate, or set sip.tls_client_certificate = "optional"',
    )  # fmt: skip
    CERTIFICATE_EXPIRED = _Cause(
        "certificate_expired", "the peer's certificate has expired", "have the peer renew its certificate"
    )
    CERTIFICATE_NOT_YET_VALID = _Cause(
        "certificate_not_yet_valid", "the peer's certificate is not valid yet", "compare the clocks of both machines"
    )
    UNKNOWN_ISSUER = _Cause(
        "unknown_issuer", "the peer's certificate was issued by nobody that we trust",
        "put the certificate of its CA into sip.tls_ca; if it is known, the peer leaves out the one in between",
    )  # fmt: skip
    WRONG_NAME = _Cause(
        "wrong_name", "the peer's certificate is for another name",
        "use the name in its certificate, or have it issued for the name in use (RFC 5922: no wildcards)",
    )  # fmt: skip
    WRONG_PURPOSE = _Cause(
        "wrong_purpose", "the peer's certificate is not made for this side of TLS",
        "a client's needs the extended key usage clientAuth, a server's serverAuth",
    )  # fmt: skip
    BAD_CERTIFICATE = _Cause(
        "bad_certificate", "the peer's certificate can't be used", "have it issued anew; the detail says what is wrong"
    )
    OUR_CERTIFICATE_REFUSED = _Cause(
        "our_certificate_refused", "the peer does not accept our certificate",
        "it must trust the CA of sip.tls_certificate, whose chain must be whole, and find the name that it dials in it",
    )  # fmt: skip
    OUR_CERTIFICATE_MISSING = _Cause(
        "our_certificate_missing", "the peer wants a client certificate of us",
        "set tls_client_certificate of the trunk, or sip.tls_certificate, to one that it accepts",
    )  # fmt: skip
    PEER_ALERT = _Cause("peer_alert", "the peer broke off the handshake", "the detail holds its word for it")
    RENEGOTIATION = _Cause(
        "renegotiation", "the peer wanted to renegotiate, which is refused", "switch off renegotiation at the peer"
    )
    RECORD_FLOOD = _Cause(
        "record_flood", "the peer sent many records with next to nothing in them",
        "an attack, or a peer that writes byte by byte",
    )  # fmt: skip
    TOO_LARGE = _Cause(
        "too_large", "the peer's part of the handshake is too large", "its certificate chain is far too long"
    )
    TOO_MANY = _Cause(
        "too_many", "the source has too many unfinished handshakes",
        "it opens connections faster than it finishes handshakes",
    )  # fmt: skip
    OVERLOADED = _Cause(
        "overloaded", "more handshakes were begun than may be made",
        "too many peers connect at once; sources in a trunk's allow go first",
    )  # fmt: skip
    PROTOCOL_ERROR = _Cause(
        "protocol_error", "the peer broke the rules of TLS", "the detail holds what OpenSSL says to it"
    )

    @property
    def slug(self) -> str:
        """The stable name."""
        return self.value.slug

    @property
    def text(self) -> str:
        """What happened, in words."""
        return self.value.text

    @property
    def hint(self) -> str:
        """What to change."""
        return self.value.hint


@dataclass(frozen=True, slots=True)
class TlsFailure:
    """A handshake that failed, or a TLS connection that was ended for what the peer did on it.

    `direction` is "out" where we were the client. `detail` is what exactly, empty if the cause says it all.
    """

    direction: Direction
    remote: Address
    cause: TlsCause
    detail: str = ""

    def __str__(self) -> str:
        return f"{self.cause.text}: {self.detail}" if self.detail else self.cause.text


_BY_VERIFY_CODE = {
    2: TlsCause.UNKNOWN_ISSUER,
    9: TlsCause.CERTIFICATE_NOT_YET_VALID,
    10: TlsCause.CERTIFICATE_EXPIRED,
    18: TlsCause.UNKNOWN_ISSUER,
    19: TlsCause.UNKNOWN_ISSUER,
    20: TlsCause.UNKNOWN_ISSUER,
    21: TlsCause.UNKNOWN_ISSUER,
    26: TlsCause.WRONG_PURPOSE,
    27: TlsCause.UNKNOWN_ISSUER,
    62: TlsCause.WRONG_NAME,
    64: TlsCause.WRONG_NAME,
}
"""X509_V_ERR_… of OpenSSL's x509_vfy.h; every other one is a bad certificate."""

_BY_REASON = {
    **dict.fromkeys(
        (
            "UNSUPPORTED_PROTOCOL", "VERSION_TOO_LOW", "WRONG_SSL_VERSION", "UNKNOWN_SSL_VERSION",
            "TLSV1_ALERT_PROTOCOL_VERSION", "INAPPROPRIATE_FALLBACK", "TLSV1_ALERT_INAPPROPRIATE_FALLBACK",
            "NO_PROTOCOLS_AVAILABLE", "UNSUPPORTED_SSL_VERSION",
        ),
        TlsCause.OLD_VERSION,
    ),
    **dict.fromkeys(
        (
            "NO_SHARED_CIPHER", "NO_CIPHERS_AVAILABLE", "NO_SHARED_GROUP", "NO_SUITABLE_KEY_SHARE",
            "NO_SUITABLE_GROUPS", "NO_SHARED_SIGNATURE_ALGORITHMS", "NO_SUITABLE_SIGNATURE_ALGORITHM",
            "SSLV3_ALERT_HANDSHAKE_FAILURE", "TLSV1_ALERT_INSUFFICIENT_SECURITY",
        ),
        TlsCause.NO_COMMON_CIPHER,
    ),
    "PEER_DID_NOT_RETURN_A_CERTIFICATE": TlsCause.CERTIFICATE_MISSING,
    **dict.fromkeys(
        (
            "SSLV3_ALERT_BAD_CERTIFICATE", "SSLV3_ALERT_UNSUPPORTED_CERTIFICATE", "SSLV3_ALERT_CERTIFICATE_REVOKED",
            "SSLV3_ALERT_CERTIFICATE_EXPIRED", "SSLV3_ALERT_CERTIFICATE_UNKNOWN", "TLSV1_ALERT_UNKNOWN_CA",
            "TLSV1_ALERT_ACCESS_DENIED", "TLSV1_BAD_CERTIFICATE_STATUS_RESPONSE", "TLSV1_UNRECOGNIZED_NAME",
        ),
        TlsCause.OUR_CERTIFICATE_REFUSED,
    ),
    **dict.fromkeys(
        ("TLSV13_ALERT_CERTIFICATE_REQUIRED", "SSLV3_ALERT_NO_CERTIFICATE"), TlsCause.OUR_CERTIFICATE_MISSING
    ),
    **dict.fromkeys(("HTTP_REQUEST", "HTTPS_PROXY_REQUEST"), TlsCause.PLAIN_HTTP),
    **dict.fromkeys(("WRONG_VERSION_NUMBER", "UNKNOWN_PROTOCOL"), TlsCause.NOT_TLS),
    **dict.fromkeys(
        ("EXCESSIVE_MESSAGE_SIZE", "LENGTH_TOO_LONG", "DATA_LENGTH_TOO_LONG", "ENCRYPTED_LENGTH_TOO_LONG"),
        TlsCause.TOO_LARGE,
    ),
    **dict.fromkeys(
        (
            "EE_KEY_TOO_SMALL", "CA_KEY_TOO_SMALL", "CA_MD_TOO_WEAK", "CERTIFICATE_VERIFY_FAILED", "BAD_ECPOINT",
            "WRONG_CERTIFICATE_TYPE", "UNKNOWN_CERTIFICATE_TYPE",
        ),
        TlsCause.BAD_CERTIFICATE,
    ),
}  # fmt: skip
"""What `ssl.SSLError.reason` may say, by OpenSSL's own names."""

_WORDS = re.compile(r"[^ -~]+")


def cause_of(error: ssl.SSLError) -> tuple[TlsCause, str]:
    """Read an error of OpenSSL: its cause, and its own words where they say more than the cause does."""
    if isinstance(error, ssl.SSLCertVerificationError):
        cause = _BY_VERIFY_CODE.get(error.verify_code, TlsCause.BAD_CERTIFICATE)
        told = cause in (TlsCause.CERTIFICATE_EXPIRED, TlsCause.CERTIFICATE_NOT_YET_VALID)
        return cause, "" if told else _words(error.verify_message or "")
    reason = error.reason or ""
    found = _BY_REASON.get(reason)
    if found is None:
        found = TlsCause.PEER_ALERT if "ALERT" in reason else TlsCause.PROTOCOL_ERROR
    return found, _words(reason.lower().replace("_", " ").removeprefix("sslv3 ").removeprefix("tlsv1 "))


def _words(text: str) -> str:
    return _WORDS.sub(" ", text)[:200]


class Speaks(Enum):
    """What the first bytes of a connection are."""

    TLS = "a TLS record of the handshake"
    OLD_TLS = "the ClientHello of SSL 2"
    SIP = "SIP in the clear"
    HTTP = "HTTP in the clear"
    OTHER = "something else"


_HTTP = (b"GET ", b"HEAD ", b"POST ", b"PUT ", b"DELETE ", b"CONNECT ", b"PATCH ", b"PRI ", b"HTTP/")


def first_bytes(data: bytes) -> Speaks:
    """Tell by the first bytes (at least one) what is spoken on a connection."""
    if data[0] == 0x16:
        return Speaks.TLS if data[1:2] in (b"", b"\x03") else Speaks.OTHER
    if data[0] & 0x80 and len(data) > 2 and data[2] == 1:
        return Speaks.OLD_TLS
    if data.startswith(_HTTP):
        return Speaks.HTTP
    if data[:1].isalpha() or data[0] in b"\r\n":
        # Line ends are the keep-alives of SIP.
        return Speaks.SIP
    return Speaks.OTHER


CAUSE_OF_FIRST_BYTES = {
    Speaks.SIP: TlsCause.PLAIN_SIP,
    Speaks.HTTP: TlsCause.PLAIN_HTTP,
    Speaks.OLD_TLS: TlsCause.OLD_VERSION,
    Speaks.OTHER: TlsCause.NOT_TLS,
}
