"""Requests and responses: immutable, headers in order, body as bytes (RFC 3261 section 7).

Typed fields (`message.via`, `message.from_`, ...) are read at first use and kept. One that is missing or broken raises
`RemoteProtocolError` with the status that answers it; `parser.validate` asks for all mandatory ones at once.
Content-Length is framing and no header of a message: the reader checks it and takes it out, the writer puts it last.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Any, Final, Generic, Self, TypeVar, overload

from offhook.errors import LocalProtocolError, RemoteProtocolError
from offhook.sip.grammar import (
    MAX_VALUES,
    check_token,
    check_value,
    excerpt,
    fail,
    parse_delta_seconds,
    parse_uint,
    split_commas,
)
from offhook.sip.headers.auth import AuthValue
from offhook.sip.headers.cseq import CSeq
from offhook.sip.headers.media_type import MediaType
from offhook.sip.headers.name_addr import NameAddr, check_tag
from offhook.sip.headers.names import KEYS, LISTS, header_key
from offhook.sip.headers.rack import RAck, parse_rseq
from offhook.sip.headers.reason import Reason
from offhook.sip.headers.replaces import Replaces
from offhook.sip.headers.session_id import SessionId
from offhook.sip.headers.via import Via
from offhook.sip.multipart import Part, split_multipart
from offhook.sip.readable import readable
from offhook.sip.status import reason_phrase
from offhook.sip.uri import Uri

SIP_VERSION: Final = "SIP/2.0"

METHODS: Final = frozenset({
    "INVITE", "ACK", "BYE", "CANCEL", "OPTIONS", "REGISTER", "PRACK", "SUBSCRIBE", "NOTIFY", "PUBLISH", "INFO", "REFER",
    "MESSAGE", "UPDATE",
})  # fmt: skip
"""Methods that an RFC defines; another one is answered 501, one of these that is not served 405."""

_DIALOG_FORMING: Final = frozenset({"INVITE", "SUBSCRIBE", "REFER"})

T = TypeVar("T")


class _Lazy(Generic[T]):
    """A read-only attribute that is computed at first use and then kept in the instance's `__dict__`."""

    def __init__(self, compute: Callable[[Any], T]) -> None:
        self._compute = compute
        self.__doc__ = compute.__doc__

    def __set_name__(self, owner: type, name: str) -> None:
        self._name = name

    @overload
    def __get__(self, instance: None, owner: type) -> Self: ...
    @overload
    def __get__(self, instance: object, owner: type) -> T: ...
    def __get__(self, instance: object | None, owner: type) -> Self | T:
        if instance is None:
            return self
        value = self._compute(instance)
        instance.__dict__[self._name] = value
        return value


class Headers:
    """An immutable, ordered multimap of header fields: (canonical name, raw value) pairs.

    Names are looked up without case and in compact form too. What is added here is checked: a name that is no token or
    a value with CR, LF, NUL or another bare control character raises LocalProtocolError.
    """

    __slots__ = ("_fields", "_index")
    _fields: tuple[tuple[str, str], ...]
    _index: dict[str, list[str]] | None

    def __init__(self, fields: "Iterable[tuple[str, str]] | Headers" = ()) -> None:
        self._fields = fields._fields if isinstance(fields, Headers) else tuple(_checked(n, v) for n, v in fields)
        self._index = None

    @classmethod
    def from_wire(cls, fields: Iterable[tuple[str, str]], index: dict[str, list[str]] | None = None) -> "Headers":
        """Wrap fields that the parser has already checked, names canonical."""
        headers = cls.__new__(cls)
        headers._fields = tuple(fields)
        headers._index = index
        return headers

    def _lines(self, name: str) -> list[str]:
        index = self._index
        if index is None:
            index = {}
            for have, value in self._fields:
                key = KEYS.get(have) or header_key(have)
                if key in index:
                    index[key].append(value)
                else:
                    index[key] = [value]
            self._index = index
        return index.get(KEYS.get(name) or header_key(name)) or []

    def get(self, name: str) -> str | None:
        """Return the first line's raw value, None if absent."""
        lines = self._lines(name)
        return lines[0] if lines else None

    def get_all(self, name: str) -> tuple[str, ...]:
        """Return the raw value of every line of `name`, in order."""
        return tuple(self._lines(name))

    def single(self, name: str) -> str | None:
        """Return the value of a field that may stand once, None if absent; twice raises RemoteProtocolError (400)."""
        lines = self._lines(name)
        if len(lines) > 1:
            fail(f"{header_key(name)} more than once")
        return lines[0] if lines else None

    def counts(self) -> dict[str, int]:
        """Return how many lines each name has: known names canonical, others in lower case."""
        if self._index is None:
            self._lines("")
        assert self._index is not None, "just built"
        return {key: len(lines) for key, lines in self._index.items()}

    def values(self, name: str) -> tuple[str, ...]:
        """Return every value of `name` over all lines, split at commas where the field is a list.

        An empty element is refused with 400 unless the whole line is empty, more than MAX_VALUES with 513.
        """
        lines = self._lines(name)
        if header_key(name) not in LISTS:
            return tuple(lines)
        if len(lines) == 1 and "," not in lines[0]:
            return (lines[0],) if lines[0] else ()
        found: list[str] = []
        for line in lines:
            if not line:
                continue
            pieces = split_commas(line)
            if "" in pieces:
                fail(f"empty value in {header_key(name)}")
            found += pieces
            if len(found) > MAX_VALUES:
                fail(f"too many values of {header_key(name)}", 513)
        return tuple(found)

    def replacing(self, name: str, *values: str) -> "Headers":
        """Set `name` to `values`, one line each, where it first stood or at the end; with none it is removed."""
        new = [_checked(name, value) for value in values]
        key = header_key(name)
        fields: list[tuple[str, str]] = []
        placed = False
        for field in self._fields:
            if header_key(field[0]) != key:
                fields.append(field)
            elif not placed:
                fields += new
                placed = True
        if not placed:
            fields += new
        return self.from_wire(fields)

    def adding(self, name: str, *values: str) -> "Headers":
        """Append lines at the end."""
        return self.from_wire((*self._fields, *(_checked(name, value) for value in values)))

    def without(self, name: str) -> "Headers":
        """Remove every line of `name`."""
        key = header_key(name)
        return self.from_wire(field for field in self._fields if header_key(field[0]) != key)

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and bool(self._lines(name))

    def __iter__(self) -> Iterator[tuple[str, str]]:
        """Yield (name, raw value) in order."""
        return iter(self._fields)

    def __len__(self) -> int:
        return len(self._fields)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Headers) and self._fields == other._fields

    def __hash__(self) -> int:
        return hash(self._fields)

    def __repr__(self) -> str:
        return f"Headers({list(self._fields)!r})"


def _checked(name: str, value: str) -> tuple[str, str]:
    known = KEYS.get(name)
    if known is None:
        check_token(name, "header name")
        key = header_key(name)
        known = name if key == name.lower() else key
    return known, check_value(value, f"value of {known}").strip(" \t")


class MessageBase:
    """What requests and responses share: the typed header fields."""

    headers: Headers
    body: bytes

    @_Lazy
    def vias(self) -> tuple[Via, ...]:
        """Every Via from the top down; at least one, else RemoteProtocolError."""
        values = self.headers.values("Via")
        if not values:
            fail("no Via")
        return tuple(Via.parse(value) for value in values)

    @_Lazy
    def via(self) -> Via:
        """The topmost Via."""
        return self.vias[0]

    @_Lazy
    def from_(self) -> NameAddr:
        """From; its tag may be absent (RFC 2543)."""
        return check_tag(NameAddr.parse(self._required("From")), "From")

    @_Lazy
    def to(self) -> NameAddr:
        """To."""
        return check_tag(NameAddr.parse(self._required("To")), "To")

    @_Lazy
    def has_to_tag(self) -> bool:
        """Whether To carries a tag, so that a request belongs to a dialog; not so where To can't be read."""
        try:
            return self.to.tag is not None
        except RemoteProtocolError:
            return False

    @_Lazy
    def call_id(self) -> str:
        """Call-ID, compared byte for byte."""
        value = self._required("Call-ID")
        if " " in value or "\t" in value:
            fail("blank in Call-ID")
        return value

    @_Lazy
    def cseq(self) -> CSeq:
        """CSeq."""
        return CSeq.parse(self._required("CSeq"))

    @_Lazy
    def max_forwards(self) -> int | None:
        """Max-Forwards, None if absent. More than 255 is taken as 255."""
        value = self.headers.single("Max-Forwards")
        return None if value is None else min(parse_delta_seconds(value, "Max-Forwards"), 255)

    @_Lazy
    def contacts(self) -> tuple[NameAddr, ...]:
        """Every Contact; `*` gives none, and is refused outside REGISTER."""
        if self.has_wildcard_contact:
            return ()
        return self._addresses("Contact")

    @_Lazy
    def has_wildcard_contact(self) -> bool:
        """Whether Contact is `*` (RFC 3261 section 10.2.2); only REGISTER may say so, and nothing beside it."""
        lines = self.headers.get_all("Contact")
        if "*" not in lines:
            return False
        if len(lines) != 1 or not isinstance(self, Request) or self.method != "REGISTER":
            fail("Contact: * has no meaning here")
        return True

    @_Lazy
    def routes(self) -> tuple[NameAddr, ...]:
        """Every Route, in order."""
        return self._addresses("Route")

    @_Lazy
    def record_routes(self) -> tuple[NameAddr, ...]:
        """Every Record-Route, in the order of the message."""
        return self._addresses("Record-Route")

    @_Lazy
    def refer_to(self) -> NameAddr | None:
        """Refer-To (RFC 3515), None if absent."""
        value = self.headers.single("Refer-To")
        return None if value is None else NameAddr.parse(value)

    @_Lazy
    def replaces(self) -> Replaces | None:
        """Replaces (RFC 3891), None if absent."""
        value = self.headers.single("Replaces")
        return None if value is None else Replaces.parse(value)

    @_Lazy
    def rseq(self) -> int | None:
        """RSeq (RFC 3262), None if absent."""
        value = self.headers.single("RSeq")
        return None if value is None else parse_rseq(value)

    @_Lazy
    def rack(self) -> RAck | None:
        """RAck (RFC 3262), None if absent."""
        value = self.headers.single("RAck")
        return None if value is None else RAck.parse(value)

    @_Lazy
    def reasons(self) -> tuple[Reason, ...]:
        """Every readable Reason (RFC 3326), 8 at most. One that can't be read is left out: none decides anything."""
        return readable(self.headers, "Reason", Reason.parse, 8)

    @_Lazy
    def session_id(self) -> SessionId | None:
        """Session-ID (RFC 7989), None if there is none that can be read."""
        return next(iter(readable(self.headers, "Session-ID", SessionId.parse, 1)), None)

    @_Lazy
    def content_type(self) -> MediaType | None:
        """Content-Type, None if absent."""
        value = self.headers.single("Content-Type")
        return None if value is None else MediaType.parse(value)

    @_Lazy
    def accept(self) -> tuple[MediaType, ...] | None:
        """Accept, None if absent; an empty one gives `()`, which accepts nothing (RFC 3261 section 20.1)."""
        if "Accept" not in self.headers:
            return None
        return tuple(MediaType.parse(value) for value in self.headers.values("Accept"))

    def accepts(self, media_type: str) -> bool:
        """Tell whether the peer takes `media_type` (lower case) in an answer; without Accept only `application/sdp`."""
        ranges = self.accept
        if ranges is None:
            return media_type == "application/sdp"
        return any(media_range.covers(media_type) for media_range in ranges)

    @_Lazy
    def require(self) -> tuple[str, ...]:
        """Option tags of Require, in lower case."""
        return tuple(map(str.lower, self._tokens("Require")))

    @_Lazy
    def supported(self) -> tuple[str, ...]:
        """Option tags of Supported, in lower case."""
        return tuple(map(str.lower, self._tokens("Supported")))

    @_Lazy
    def unsupported(self) -> tuple[str, ...]:
        """Option tags of Unsupported, in lower case."""
        return tuple(map(str.lower, self._tokens("Unsupported")))

    @_Lazy
    def allow(self) -> tuple[str, ...]:
        """Methods of Allow as written; methods have case."""
        return self._tokens("Allow")

    @_Lazy
    def expires(self) -> int | None:
        """Expires in seconds, None if absent; more than 32 bits is taken as the largest."""
        value = self.headers.single("Expires")
        return None if value is None else parse_delta_seconds(value, "Expires")

    @_Lazy
    def authorizations(self) -> tuple[AuthValue, ...]:
        """Every Authorization; broken ones raise RemoteProtocolError."""
        return tuple(AuthValue.parse(value) for value in self.headers.get_all("Authorization"))

    @_Lazy
    def parts(self) -> tuple[Part, ...]:
        """The parts of a multipart body, or the whole body as the only part; `()` without one (RFC 2046 5.1)."""
        if not self.body:
            return ()
        media_type = self.content_type
        if media_type is None or media_type.type != "multipart":
            return (Part(media_type, self.headers.get("Content-Disposition") or "", self.body),)
        return split_multipart(self.body, media_type.params.get("boundary") or "")

    @_Lazy
    def sdp(self) -> bytes | None:
        """The `application/sdp` body, alone or as the first such part of a multipart; None if there is none."""
        return next((p.body for p in self.parts if p.media_type and p.media_type.name == "application/sdp"), None)

    def _required(self, name: str) -> str:
        value = self.headers.single(name)
        if not value:
            fail(f"no {name}")
        return value

    def _addresses(self, name: str) -> tuple[NameAddr, ...]:
        return tuple(NameAddr.parse(value) for value in self.headers.values(name))

    def _tokens(self, name: str) -> tuple[str, ...]:
        """Values of a list of tokens; empty elements mean nothing and are left out."""
        lines = self.headers.get_all(name)
        if sum(line.count(",") for line in lines) >= MAX_VALUES:
            fail(f"too many values of {name}", 513)
        return tuple(value for line in lines for piece in line.split(",") if (value := piece.strip(" \t")))

    def _head(self, start_line: str) -> bytes:
        lines = [start_line]
        lines += [f"{name}: {value}" for name, value in self.headers if name != "Content-Length"]
        lines.append(f"Content-Length: {len(self.body)}\r\n\r\n")
        return "\r\n".join(lines).encode("utf-8", "surrogateescape")


@dataclass(frozen=True)
class Request(MessageBase):
    """A request. `bytes()` gives the canonical wire form with the true Content-Length."""

    method: str
    request_uri: Uri
    headers: Headers
    body: bytes = b""

    def __post_init__(self) -> None:
        check_token(self.method, "method")

    @property
    def start_line(self) -> str:
        """The Request-Line without its line end."""
        return f"{self.method} {self.request_uri} {SIP_VERSION}"

    def received_from(self, host: str, port: int, *, force_rport: bool = False) -> "Request":
        """Return the request with the top Via stamped with its source (RFC 3261 section 18.2.1, RFC 3581 section 4).

        `host` is an address without brackets; `force_rport` is for peers behind NAT that don't ask.
        """
        stamped = self.via.stamped(host, port, force_rport=force_rport)
        if stamped is self.via:
            return self
        # A line without a value is none: the parser passes it over, too.
        first, *others = filter(None, self.headers.get_all("Via"))
        values = [str(stamped), *split_commas(first)[1:]]
        headers = self.headers.replacing("Via", ", ".join(values), *others)
        request = replace(self, headers=headers)
        request.__dict__["via"] = stamped
        return request

    def response(
        self,
        status: int,
        reason: str | None = None,
        *,
        to_tag: str | None = None,
        headers: Iterable[tuple[str, str]] | Headers = (),
        body: bytes = b"",
        content_type: str | None = None,
    ) -> "Response":
        """Build the response of RFC 3261 section 8.2.6.2, and of 12.1.1 where a dialog may begin.

        Via, From, To, Call-ID and CSeq are copied, Timestamp into a 100, Record-Route into 101-199 and 2xx of INVITE,
        SUBSCRIBE and REFER. `to_tag` is added where To has none, never to a 100. What a broken request
        lacks is left out.
        """
        given = Headers(headers)
        fields: list[tuple[str, str]] = [("Via", value) for value in self.headers.get_all("Via")]
        for name in ("From", "To", "Call-ID", "CSeq"):
            value = self.headers.get(name)
            if not value:
                continue
            if name == "To" and to_tag is not None and status > 100:
                value = self._tagged_to(value, to_tag)
            fields.append((name, value))
        if status == 100:
            fields += [("Timestamp", value) for value in self.headers.get_all("Timestamp")[:1]]
        elif self.method in _DIALOG_FORMING and (status < 200 or status // 100 == 2):
            fields += [("Record-Route", value) for value in self.headers.get_all("Record-Route")]
        fields += given
        if content_type is not None:
            fields.append(_checked("Content-Type", content_type))
        phrase = reason_phrase(status) if reason is None else reason
        response = Response(status, phrase, Headers.from_wire(fields), body)
        # What was read of the request's need not be read again.
        response.__dict__.update((name, self.__dict__[name]) for name in _COPIED if name in self.__dict__)
        return response

    def _tagged_to(self, value: str, to_tag: str) -> str:
        try:
            to = self.to
        except RemoteProtocolError:
            return value
        return value if to.tag else str(to.with_tag(to_tag))

    def __bytes__(self) -> bytes:
        return self._head(self.start_line) + self.body


_COPIED = ("vias", "via", "from_", "call_id", "cseq")
"""What a response has word for word from its request, by the names of what is read of it."""


@dataclass(frozen=True)
class Response(MessageBase):
    """A response. `bytes()` gives the canonical wire form with the true Content-Length."""

    status: int
    reason: str
    headers: Headers
    body: bytes = b""

    def __post_init__(self) -> None:
        if not 100 <= self.status <= 699:
            raise LocalProtocolError(f"status out of range: {self.status}")
        check_value(self.reason, "reason phrase")

    @property
    def start_line(self) -> str:
        """The Status-Line without its line end."""
        return f"{SIP_VERSION} {self.status} {self.reason}"

    @property
    def is_success(self) -> bool:
        """Whether the status is 2xx."""
        return self.status // 100 == 2

    @_Lazy
    def challenges(self) -> tuple[AuthValue, ...]:
        """The challenges of a 401 or 407 in order; broken ones are left out."""
        found = []
        for value in self.headers.get_all("Proxy-Authenticate" if self.status == 407 else "WWW-Authenticate"):
            try:
                found.append(AuthValue.parse(value))
            except RemoteProtocolError:
                continue
        return tuple(found)

    @_Lazy
    def retry_after(self) -> int | None:
        """Retry-After in seconds, None if absent or not below 2**31: nothing may be scheduled from a wild number."""
        value = (self.headers.get("Retry-After") or "").partition(";")[0].partition("(")[0].strip(" \t")
        try:
            return parse_uint(value, 2**31 - 1, "Retry-After")
        except RemoteProtocolError:
            return None

    def __bytes__(self) -> bytes:
        return self._head(self.start_line) + self.body


Message = Request | Response
"""Either kind; match on the class."""


def describe(message: Message) -> str:
    """Say in a few words what a message is, for logs and errors: method or status, and the Call-ID."""
    what = message.method if isinstance(message, Request) else str(message.status)
    return f"{what} {excerpt(message.headers.get('Call-ID') or '')}"
