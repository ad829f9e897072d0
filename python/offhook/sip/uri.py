"""SIP, SIPS and tel URIs, and any other URI kept as it came (RFC 3261 section 19.1, RFC 3966)."""

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final, Literal

from offhook.errors import LocalProtocolError
from offhook.sip.grammar import (
    MAX_PARAMS,
    Params,
    check_host,
    excerpt,
    fail,
    join_host_port,
    split_host_port,
)

_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.\-]*")
_FORBIDDEN = re.compile(r'[\x00-\x20\x7f"<>]')
_ESCAPE = re.compile(r"%[0-9A-Fa-f]{2}")
_HIGH = re.compile("[^\x00-\x7f]+")
_VISUAL = re.compile(r"[-.()]")
_GLOBAL_NUMBER = re.compile(r"\+[0-9]+")
_LOCAL_NUMBER = re.compile(r"[0-9A-Fa-f*#]+")

_UNRESERVED: Final = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_.!~*'()"
_SAFE_USER: Final = frozenset((_UNRESERVED + "&=+$,;?/").encode())
_SAFE_PASSWORD: Final = frozenset((_UNRESERVED + "&=+$,").encode())
_SAFE_PARAM: Final = frozenset((_UNRESERVED + "[]/:&+$").encode())
_SAFE_HEADER: Final = frozenset((_UNRESERVED + "[]/?:+$").encode())

_NEVER_IGNORED: Final = ("transport", "user", "ttl", "method", "maddr")


def escape(text: str, safe: frozenset[int]) -> str:
    """Write `text` as UTF-8 with every byte outside `safe` as %XX."""
    raw = text.encode("utf-8", "surrogateescape")
    return "".join(chr(byte) if byte in safe else f"%{byte:02X}" for byte in raw)


def unescape(text: str) -> str:
    """Decode %XX once, never twice. Bytes that are no UTF-8 come back as surrogates; a bad escape is refused."""
    if "%" not in text:
        return text
    if text.count("%") != len(_ESCAPE.findall(text)):
        fail(f"bad % escape: {excerpt(text)}")
    raw = bytearray()
    position = 0
    data = text.encode("utf-8", "surrogateescape")
    while (at := data.find(b"%", position)) >= 0:
        raw += data[position:at]
        raw.append(int(data[at + 1 : at + 3], 16))
        position = at + 3
    raw += data[position:]
    return raw.decode("utf-8", "surrogateescape")


def _comparable(text: str) -> str:
    """Normal form for comparison: escapes of unreserved characters decoded, the others in capitals (19.1.4)."""

    def normal(match: re.Match[str]) -> str:
        character = chr(int(match[0][1:], 16))
        return character if character in _UNRESERVED else match[0].upper()

    text = _HIGH.sub(lambda match: escape(match[0], frozenset()), text)
    return _ESCAPE.sub(normal, text)


class UriParams(Params):
    """The `;name=value` parameters of a URI: names and values %-escaped on the wire, plain here."""

    __slots__ = ()

    @staticmethod
    def _encode_name(name: str) -> str:
        if not name:
            raise LocalProtocolError("URI parameter without a name")
        return escape(name, _SAFE_PARAM)

    @staticmethod
    def _decode_name(name: str) -> str:
        return unescape(name)

    @staticmethod
    def _encode(value: str) -> str:
        return escape(value, _SAFE_PARAM)

    @staticmethod
    def _decode(value: str) -> str:
        return unescape(value)


NO_URI_PARAMS: Final = UriParams()


@dataclass(frozen=True, slots=True)
class SipUri:
    """A `sip:` or `sips:` URI. Parts are plain text (escapes decoded once); `str()` gives the wire form.

    A parsed URI is written back byte for byte; one that is built or changed by `dataclasses.replace` is escaped anew
    and can't break out of its place. `host` holds an IPv6 address without brackets. `==` compares the parts exactly,
    `equivalent` by RFC 3261 section 19.1.4.
    """

    host: str
    port: int | None = None
    user: str | None = None
    password: str | None = field(default=None, repr=False)
    params: UriParams = NO_URI_PARAMS
    headers: tuple[tuple[str, str], ...] = ()
    scheme: Literal["sip", "sips"] = "sip"
    _wire: str | None = field(default=None, init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        check_host(self.host, self.port)
        if self.scheme not in ("sip", "sips"):
            raise LocalProtocolError(f"no SIP scheme: {self.scheme}")
        if self.user == "" or (self.password is not None and self.user is None):
            raise LocalProtocolError("a SIP URI with '@' needs a user")

    @property
    def transport(self) -> str | None:
        """The `transport` parameter in lower case, None if absent."""
        value = self.params.get("transport")
        return value.lower() if value else None

    @property
    def is_loose_router(self) -> bool:
        """Whether `lr` is there (RFC 3261 section 19.1.1)."""
        return "lr" in self.params

    @property
    def is_secure(self) -> bool:
        """Whether the scheme is `sips`."""
        return self.scheme == "sips"

    def header(self, name: str) -> str | None:
        """Return the plain value of a `?name=value` header, None if absent."""
        name = name.lower()
        return next((value for have, value in self.headers if have.lower() == name), None)

    def without_headers(self) -> "SipUri":
        """Return the URI without its `?` part and without `method`, as a Request-URI needs it (section 19.1.5)."""
        if not self.headers and "method" not in self.params:
            return self
        return SipUri(self.host, self.port, self.user, self.password, self.params.without("method"), (), self.scheme)

    def equivalent(self, other: object) -> bool:
        """Compare by RFC 3261 section 19.1.4: user with case, the rest without, one-sided parameters by their rule."""
        if not isinstance(other, SipUri) or self.scheme != other.scheme:
            return False
        if self.port != other.port or self.host.lower() != other.host.lower():
            return False
        if self._userinfo() != other._userinfo():
            return False
        mine = {name.lower(): value for name, value in reversed(list(self.params))}
        theirs = {name.lower(): value for name, value in reversed(list(other.params))}
        for name in mine.keys() & theirs.keys():
            if (mine[name] or "").lower() != (theirs[name] or "").lower():
                return False
        if any((name in mine) != (name in theirs) for name in _NEVER_IGNORED):
            return False
        return sorted((n.lower(), v) for n, v in self.headers) == sorted((n.lower(), v) for n, v in other.headers)

    def _userinfo(self) -> str | None:
        if self.user is None:
            return None
        return _comparable(str(self).partition(":")[2].partition("@")[0])

    def __str__(self) -> str:
        if self._wire is not None:
            return self._wire
        userinfo = ""
        if self.user is not None:
            userinfo = escape(self.user, _SAFE_USER)
            if self.password is not None:
                userinfo += ":" + escape(self.password, _SAFE_PASSWORD)
            userinfo += "@"
        headers = "&".join(f"{escape(n, _SAFE_HEADER)}={escape(v, _SAFE_HEADER)}" for n, v in self.headers)
        return (
            f"{self.scheme}:{userinfo}{join_host_port(self.host, self.port)}{self.params}"
            f"{'?' if headers else ''}{headers}"
        )


@dataclass(frozen=True, slots=True)
class TelUri:
    """A `tel:` URI (RFC 3966). `number` has no visual separators; a global one starts with `+`."""

    number: str
    params: UriParams = NO_URI_PARAMS
    _wire: str | None = field(default=None, init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        if _GLOBAL_NUMBER.fullmatch(self.number) is None and _LOCAL_NUMBER.fullmatch(self.number) is None:
            raise LocalProtocolError(f"no telephone number: {excerpt(self.number)}")

    @property
    def scheme(self) -> Literal["tel"]:
        """Always `tel`."""
        return "tel"

    @property
    def is_global(self) -> bool:
        """Whether the number is global (`+` and country code)."""
        return self.number.startswith("+")

    @property
    def phone_context(self) -> str | None:
        """The domain or global prefix that gives a local number its meaning."""
        return self.params.get("phone-context") or None

    def equivalent(self, other: object) -> bool:
        """Compare by RFC 3966 section 4: digits without separators, parameters in any order and without case."""
        if not isinstance(other, TelUri) or self.number.lower() != other.number.lower():
            return False
        return self._comparable_params() == other._comparable_params()

    def _comparable_params(self) -> dict[str, str]:
        plain = {}
        for name, value in self.params:
            name, value = name.lower(), (value or "").lower()
            if name == "ext" or (name == "phone-context" and value.startswith("+")):
                value = _VISUAL.sub("", value)
            plain[name] = value
        return plain

    def __str__(self) -> str:
        return self._wire if self._wire is not None else f"tel:{self.number}{self.params}"


@dataclass(frozen=True, slots=True)
class OtherUri:
    """A URI of a scheme that offhook does not speak, kept as it came. `scheme` is in lower case."""

    scheme: str
    opaque: str
    _wire: str | None = field(default=None, init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        if _SCHEME.fullmatch(self.scheme) is None or _FORBIDDEN.search(self.opaque) is not None:
            raise LocalProtocolError("this can't be written as a URI")

    def equivalent(self, other: object) -> bool:
        """Compare byte for byte, the scheme without case."""
        return isinstance(other, OtherUri) and (self.scheme, self.opaque) == (other.scheme, other.opaque)

    def __str__(self) -> str:
        return self._wire if self._wire is not None else f"{self.scheme}:{self.opaque}"


Uri = SipUri | TelUri | OtherUri
"""Any URI; match on the class."""

_set = object.__setattr__


def parse_uri(text: str) -> Uri:
    """Parse any URI. Raises RemoteProtocolError where the text is none or breaks its scheme's grammar."""
    if _FORBIDDEN.search(text) is not None:
        fail(f"forbidden character in a URI: {excerpt(text)}")
    scheme, colon, rest = text.partition(":")
    lower = scheme.lower()
    if not colon:
        fail(f"URI without a scheme: {excerpt(text)}")
    if lower == "sip" or lower == "sips":
        return _parse_sip(text, lower, rest)
    if lower == "tel":
        return _parse_tel(text, rest)
    if _SCHEME.fullmatch(scheme) is None or not rest:
        fail(f"URI without a scheme: {excerpt(text)}")
    uri = OtherUri(lower, rest)
    _set(uri, "_wire", text)
    return uri


def parse_sip_uri(text: str) -> SipUri:
    """Parse a URI that must be `sip:` or `sips:`; another scheme is refused with 416."""
    uri = parse_uri(text)
    if not isinstance(uri, SipUri):
        fail(f"not a SIP URI: {excerpt(text)}", 416)
    return uri


def _parse_sip(text: str, scheme: str, rest: str) -> SipUri:
    user: str | None = None
    password: str | None = None
    # The user part may hold ';' and '?', so '@' is looked for first. Of several '@' the first ends the user:
    # what follows must then be a host, or the URI is refused, and nobody can read another host than we do.
    userinfo, at, host_part = rest.partition("@")
    if at:
        user, colon, secret = userinfo.partition(":")
        if not user:
            fail(f"SIP URI without a user before '@': {excerpt(text)}")
        user = unescape(user)
        if colon:
            password = unescape(secret)
    else:
        host_part = rest
    host_part, question, header_part = host_part.partition("?")
    host_part, semicolon, param_part = host_part.partition(";")
    host, port = split_host_port(host_part, "URI")
    uri = SipUri.__new__(SipUri)
    _set(uri, "host", host)
    _set(uri, "port", port)
    _set(uri, "user", user)
    _set(uri, "password", password)
    _set(uri, "params", UriParams.from_wire(_split_params(param_part)) if semicolon else NO_URI_PARAMS)
    _set(uri, "headers", tuple(_split_headers(header_part)) if question else ())
    _set(uri, "scheme", scheme)
    _set(uri, "_wire", text)
    return uri


def _parse_tel(text: str, rest: str) -> TelUri:
    number, semicolon, param_part = rest.partition(";")
    number = _VISUAL.sub("", unescape(number))
    if _GLOBAL_NUMBER.fullmatch(number) is None and _LOCAL_NUMBER.fullmatch(number) is None:
        fail(f"no telephone number: {excerpt(text)}")
    params = UriParams.from_wire(_split_params(param_part)) if semicolon else NO_URI_PARAMS
    uri = TelUri(number, params)
    _set(uri, "_wire", text)
    return uri


def _split_params(text: str) -> Iterable[tuple[str, str | None]]:
    pieces = text.split(";")
    if len(pieces) > MAX_PARAMS:
        fail("too many URI parameters")
    items: list[tuple[str, str | None]] = []
    for piece in pieces:
        name, equals, value = piece.partition("=")
        if not name:
            fail("URI parameter without a name")
        if "%" in piece:
            unescape(name), unescape(value)  # refused here, so that reading a parameter later never fails
        items.append((name, value if equals else None))
    return items


def _split_headers(text: str) -> Iterable[tuple[str, str]]:
    pieces = text.split("&")
    if len(pieces) > MAX_PARAMS:
        fail("too many URI headers")
    for piece in pieces:
        name, _, value = piece.partition("=")
        if not name:
            fail("URI header without a name")
        yield unescape(name), unescape(value)


def sip_uri_from_tel(uri: TelUri, host: str, port: int | None = None) -> SipUri:
    """Write a tel URI as a SIP URI of `host` with `user=phone` (RFC 3261 section 19.1.6)."""
    return SipUri(host, port, uri.number + str(uri.params), None, UriParams({"user": "phone"}))


def user_of(uri: Uri) -> str:
    """Who a URI names: the user of a SIP URI, the number of a `tel:` URI, nobody otherwise."""
    match uri:
        case SipUri():
            return uri.user or ""
        case TelUri():
            return uri.number
        case _:
            return ""
