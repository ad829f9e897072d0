"""What a person writes to say whom to call, made a SIP URI."""

import ipaddress
from dataclasses import replace
from typing import Literal

from offhook.errors import OffhookError, RemoteProtocolError
from offhook.sip.headers.name_addr import NameAddr
from offhook.sip.uri import SipUri, parse_uri

Transport = Literal["udp", "tcp", "tls"]

CODECS = ("PCMU", "PCMA", "G722", "opus")
"""What the phone speaks."""

OFFERED = ("PCMU", "PCMA")
"""What it offers unless told otherwise."""


class UsageError(OffhookError):
    """The phone was asked for something that it can't do; `hint` says what to write instead."""

    code = "phone_used_wrongly"


def read_uri(text: str, transport: Transport | None = None) -> SipUri:
    """Read `sip:user@host:port;transport=tcp`, `user@host`, `host:port` or `host`; `transport` wins over the URI's own.

    `sips:` goes by TLS alone. Raises `UsageError` for what is no SIP address, and for the ways that are not spoken
    (WebSocket, `tel:`).
    """
    text = text.strip()
    scheme, colon, _ = text.partition(":")
    written = scheme.lower() if colon else ""
    if written == "tel":
        raise UsageError(
            "a tel: number names no machine that could be called",
            hint=f"write whom to ask for it: sip:{text[4:].partition(';')[0]}@HOST",
        )
    if written not in ("sip", "sips"):
        text = f"sip:{text}"
    try:
        uri = parse_uri(text)
    except RemoteProtocolError as error:
        raise UsageError(f"{text!r} is no SIP address: {error}", hint="write sip:USER@HOST, or HOST:PORT") from error
    assert isinstance(uri, SipUri), "it begins with sip: or sips:"
    named = transport or uri.transport
    if named not in (None, "udp", "tcp", "tls"):
        raise UsageError(f"transport {named} is not built yet", hint="use udp, tcp or tls")
    if uri.is_secure and named not in (None, "tls"):
        raise UsageError(
            f"a sips: call never leaves by {named}", hint="call the sip: address, or leave the transport out"
        )
    uri = uri.without_headers()
    if transport is not None:
        uri = replace(uri, params=uri.params.replacing("transport", transport))
    return uri


def read_from(text: str, host: str) -> NameAddr:
    """Read the caller: a SIP or tel URI, `"Name" <sip:…>`, or only a user name or number, which is put at `host`.

    Raises `UsageError` where it is none of these.
    """
    text = text.strip()
    try:
        if "<" in text:
            return NameAddr.parse(text)
        scheme = text.partition(":")[0].lower()
        if scheme in ("sip", "sips", "tel"):
            return NameAddr(parse_uri(text))
        if "@" in text:
            return NameAddr(parse_uri(f"sip:{text}"))
        return NameAddr(SipUri(host, user=text))
    except OffhookError as error:
        raise UsageError(f"{text!r} can't be the caller: {error}", hint="write a number, or sip:USER@HOST") from error


def read_header(text: str) -> tuple[str, str]:
    """Read `Name: value`. Raises `UsageError` where it is no header, or one that the phone must write itself."""
    name, colon, value = text.partition(":")
    name, value = name.strip(), value.strip()
    if not colon or not name or any(character in name for character in ' \t"<>,;@'):
        raise UsageError(f"{text!r} is no header", hint="write it as 'X-Name: value'")
    if any(character in value for character in "\r\n\0"):
        raise UsageError(f"header {name} has a line end in its value", hint="a header is one line")
    if name.lower() in _OURS:
        raise UsageError(f"header {name} is written by the phone itself", hint="choose another name, such as X-Note")
    return name, value


def read_codecs(text: str) -> tuple[str, ...]:
    """Read `PCMU`, or `PCMA,PCMU`: what is offered, best first; nothing is G.711."""
    spelt = {name.upper(): name for name in CODECS}
    named = (name.strip().upper() for name in text.split(",") if name.strip())
    codecs = tuple(dict.fromkeys(spelt.get(name, name) for name in named))
    unknown = next((name for name in codecs if name not in CODECS), None)
    if unknown is not None:
        raise UsageError(f"codec {unknown} is not spoken", hint=f"choose of {', '.join(CODECS)}")
    return codecs or OFFERED


def read_listen(text: str) -> tuple[str | None, int]:
    """Read `ADDRESS`, `ADDRESS:PORT`, `[V6]:PORT` or `:PORT`: the address (None for any fitting one), the port or 0."""
    host, port = text.strip(), ""
    if host.startswith("[") or host.count(":") == 1:
        host, _, port = host.rpartition(":") if not host.endswith("]") else (host, "", "")
    host = host.strip("[]")
    try:
        if host:
            host = str(ipaddress.ip_address(host))
        number = int(port or 0)
        if not 0 <= number <= 65_535:
            raise ValueError(port)
    except ValueError as error:
        raise UsageError(f"{text!r} is no local address", hint="write 192.0.2.1, 192.0.2.1:5060 or :5060") from error
    if host and ipaddress.ip_address(host).is_unspecified:
        raise UsageError(f"{text!r} is every address", hint="name one, or leave --listen out: the right one is chosen")
    return host or None, number


_OURS = frozenset(
    {
        *("via", "v", "from", "f", "to", "t", "call-id", "i", "cseq", "max-forwards", "contact", "m", "route"),
        *("content-length", "l", "content-type", "c", "content-encoding", "e", "record-route", "require"),
        *("authorization", "proxy-authorization", "proxy-require", "supported", "k", "allow", "user-agent"),
    }
)
