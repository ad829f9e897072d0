"""Session descriptions: a tolerant, bounded reader and a strict writer (RFC 8866)."""

import ipaddress
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from functools import lru_cache
from typing import Literal

from offhook.errors import LocalProtocolError, RemoteProtocolError

HIGHEST_PORT = 65_535
HIGHEST_PAYLOAD_TYPE = 127
HIGHEST_CLOCK_RATE = 192_000
HIGHEST_CHANNELS = 255
SHORTEST_PTIME_MS = 10
LONGEST_PTIME_MS = 60

_NUMBER = re.compile(r"[0-9]{1,10}")
_TIMING = re.compile(r"[0-9]{1,20} [0-9]{1,20}")
_TOKEN = re.compile(r"[!#-'*+\-.0-9A-Z^-~]+")
_LINE_END = re.compile(rb"\r\n|\n|\r")
# Each call reads the same few addresses and codecs several times. What a peer can make us remember is bounded.
_REMEMBERED = 256
_LONGEST_REMEMBERED = 64


class Direction(StrEnum):
    """Which way the media of one description flows, seen from the side that wrote it (RFC 8866 section 6.7)."""

    SENDRECV = "sendrecv"
    SENDONLY = "sendonly"
    RECVONLY = "recvonly"
    INACTIVE = "inactive"

    @classmethod
    def of(cls, *, send: bool, receive: bool) -> "Direction":
        """Name the direction that sends and receives as told."""
        if send:
            return cls.SENDRECV if receive else cls.SENDONLY
        return cls.RECVONLY if receive else cls.INACTIVE

    @property
    def sends(self) -> bool:
        """Whether the writer of the description sends."""
        return self in (Direction.SENDRECV, Direction.SENDONLY)

    @property
    def receives(self) -> bool:
        """Whether the writer of the description receives."""
        return self in (Direction.SENDRECV, Direction.RECVONLY)

    @property
    def reversed(self) -> "Direction":
        """The same flow, seen from the other side."""
        return Direction.of(send=self.receives, receive=self.sends)


@dataclass(frozen=True, slots=True)
class Limits:
    """What one description may hold. Past a limit it is refused whole, so that no peer chooses our memory."""

    max_bytes: int = 32_768
    max_line_bytes: int = 8_192
    max_media: int = 16
    max_formats: int = 64
    max_attributes: int = 400


DEFAULT_LIMITS = Limits()


@dataclass(frozen=True, slots=True)
class Origin:
    """The o= line (RFC 8866 section 5.2). `session_id` and `version` stay text: peers send more than 64 bits."""

    username: str
    session_id: str
    version: str
    address: str

    def __str__(self) -> str:
        return f"{self.username} {self.session_id} {self.version} IN {_family(self.address)} {self.address}"


UNKNOWN_ORIGIN = Origin("-", "0", "0", "0.0.0.0")  # noqa: S104 (what stands for an o= line that a peer left out)


@dataclass(frozen=True, slots=True)
class Connection:
    """The c= line (RFC 8866 section 5.7) without its multicast suffix. `address` may be a name: see `ip`."""

    address: str

    @property
    def ip(self) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
        """The address, IPv4-mapped IPv6 turned into IPv4; None for a host name, a zone id or anything else."""
        return _ip(self.address) if len(self.address) <= _LONGEST_REMEMBERED else None

    @property
    def family(self) -> Literal[4, 6] | None:
        """The IP version of the address, 4 for IPv4 written as IPv6; None where it is no address."""
        if self.ip is None:
            return None
        return 6 if self.ip.version == 6 else 4

    @property
    def is_unspecified(self) -> bool:
        """Whether it is 0.0.0.0 or ::, which means hold (RFC 3264 section 8.4)."""
        return self.ip is not None and self.ip.is_unspecified

    def __str__(self) -> str:
        return f"IN {_family(self.address)} {self.address}"


@dataclass(frozen=True, slots=True, repr=False)
class Attribute:
    """One a= line; `value` is None for a property attribute such as `sendrecv`.

    `repr` leaves out the keys of `a=crypto`; `str` is what goes on the wire.
    """

    name: str
    value: str | None = None

    def __repr__(self) -> str:
        shown = "'***'" if self.name == "crypto" else repr(self.value)
        return f"Attribute({self.name!r}, {shown})"

    def __str__(self) -> str:
        return self.name if self.value is None else f"{self.name}:{self.value}"


@dataclass(frozen=True, slots=True)
class Encoding:
    """What a payload type stands for: name in upper case, RTP clock rate in Hz, channels."""

    name: str
    clock_rate: int
    channels: int = 1

    def __str__(self) -> str:
        channels = f"/{self.channels}" if self.channels != 1 else ""
        return f"{self.name}/{self.clock_rate}{channels}"


STATIC_PAYLOAD_TYPES: Mapping[int, Encoding] = {
    0: Encoding("PCMU", 8000),
    3: Encoding("GSM", 8000),
    4: Encoding("G723", 8000),
    5: Encoding("DVI4", 8000),
    6: Encoding("DVI4", 16000),
    7: Encoding("LPC", 8000),
    8: Encoding("PCMA", 8000),
    9: Encoding("G722", 8000),
    10: Encoding("L16", 44100, 2),
    11: Encoding("L16", 44100),
    12: Encoding("QCELP", 8000),
    13: Encoding("CN", 8000),
    14: Encoding("MPA", 90000),
    15: Encoding("G728", 8000),
    16: Encoding("DVI4", 11025),
    17: Encoding("DVI4", 22050),
    18: Encoding("G729", 8000),
}
"""Audio payload types that need no rtpmap (RFC 3551 table 4)."""


@dataclass(frozen=True, slots=True)
class MediaDescription:
    """One m= line and the lines that follow it (RFC 8866 section 5.14)."""

    kind: str
    port: int
    protocol: str
    formats: tuple[str, ...]
    connection: Connection | None = None
    attributes: tuple[Attribute, ...] = ()
    bandwidths: tuple[str, ...] = ()
    port_count: int = 1

    def attribute(self, name: str) -> Attribute | None:
        """The first attribute of that name in this media description, or None."""
        return next((attribute for attribute in self.attributes if attribute.name == name), None)

    def values(self, name: str) -> tuple[str, ...]:
        """The texts of all attributes of that name, in order; those without a text are left out."""
        return tuple(item.value for item in self.attributes if item.name == name and item.value is not None)

    @property
    def is_refused(self) -> bool:
        """Whether the line is switched off by port 0 (RFC 3264 section 5.1)."""
        return self.port == 0

    @property
    def payload_types(self) -> tuple[int, ...]:
        """The RTP payload types of the m= line in order, each once; anything out of 0-127 is left out."""
        numbers = (_number(text, HIGHEST_PAYLOAD_TYPE) for text in self.formats)
        return tuple(dict.fromkeys(number for number in numbers if number is not None))

    @property
    def encodings(self) -> dict[int, Encoding]:
        """What each payload type of the m= line stands for, in the order of the line.

        The first rtpmap of a type counts; a static type needs none. A type whose rtpmap is out of range, or says
        something else than RFC 3551 says of that number, stands for nothing, since nobody knows what would be sent.
        """
        stated: dict[int, Encoding | None] = {}
        for attribute in self.attributes:
            if attribute.name == "rtpmap" and attribute.value is not None:
                usual = len(attribute.value) <= _LONGEST_REMEMBERED
                read = _rtpmap if usual else _rtpmap.__wrapped__
                payload_type, encoding = read(attribute.value)
                if payload_type is not None:
                    stated.setdefault(payload_type, encoding)
        result: dict[int, Encoding] = {}
        for payload_type in self.payload_types:
            static = STATIC_PAYLOAD_TYPES.get(payload_type)
            encoding = stated.get(payload_type, static)
            if encoding is not None and (static is None or encoding == static):
                result[payload_type] = encoding
        return result

    @property
    def ptime_ms(self) -> int | None:
        """The packet time that the writer asks for, None unless it is 10 to 60 ms (RFC 8866 section 6.4)."""
        return self._milliseconds("ptime", LONGEST_PTIME_MS)

    @property
    def max_ptime_ms(self) -> int | None:
        """The longest packet that the writer takes, None unless it is at least 10 ms (RFC 8866 section 6.4)."""
        return self._milliseconds("maxptime", HIGHEST_PORT)

    def _milliseconds(self, name: str, highest: int) -> int | None:
        attribute = self.attribute(name)
        # `20.0` is said by some peers; the fraction never means anything.
        value = _number((attribute.value or "").strip().partition(".")[0], highest) if attribute else None
        return value if value is not None and value >= SHORTEST_PTIME_MS else None

    @property
    def rtcp(self) -> tuple[int, Connection | None] | None:
        """Port and, if given, address of a=rtcp (RFC 3605); None if absent or out of range."""
        attribute = self.attribute("rtcp")
        if attribute is None:
            return None
        words = (attribute.value or "").split()
        port = _number(words[0], HIGHEST_PORT) if words else None
        if not port:
            return None
        return port, Connection(words[3]) if len(words) >= 4 else None

    @property
    def own_direction(self) -> Direction | None:
        """The direction that this media description states itself, None if it leaves it to the session level."""
        return _direction(self.attributes)

    def lines(self) -> Iterable[str]:
        """The lines of this media description in the order of RFC 8866 section 9."""
        port = str(self.port) if self.port_count == 1 else f"{self.port}/{self.port_count}"
        yield f"m={self.kind} {port} {self.protocol} {' '.join(self.formats)}"
        if self.connection is not None:
            yield f"c={self.connection}"
        yield from (f"b={bandwidth}" for bandwidth in self.bandwidths)
        yield from (f"a={attribute}" for attribute in self.attributes)


@dataclass(frozen=True, slots=True)
class SessionDescription:
    """A whole description. Lines that offer/answer has no use for (i= u= e= p= r= z= k=, unknown ones) are not kept.

    `bytes(description)` is the strict wire form; text that was not UTF-8 comes out as the bytes that came in.
    """

    origin: Origin
    name: str = "-"
    connection: Connection | None = None
    timing: str = "0 0"
    attributes: tuple[Attribute, ...] = ()
    media: tuple[MediaDescription, ...] = ()
    bandwidths: tuple[str, ...] = field(default=())

    @classmethod
    def parse(cls, body: bytes, limits: Limits = DEFAULT_LIMITS) -> "SessionDescription":
        """Read a description as peers write it: LF or CR line ends, no s= or o=, c= at either level, unknown lines.

        Raises RemoteProtocolError: status_hint 400 where no sense can be made of it, 488 where it is past `limits`.
        """
        return _Reader(limits).read(body)

    def connection_of(self, media: MediaDescription) -> Connection | None:
        """The c= line that holds for `media`: its own, else that of the session."""
        return media.connection or self.connection

    def direction_of(self, media: MediaDescription) -> Direction:
        """The direction that holds for `media`: its own, else that of the session, else sendrecv."""
        return media.own_direction or _direction(self.attributes) or Direction.SENDRECV

    def __bytes__(self) -> bytes:
        lines = [f"v=0\r\no={self.origin}", f"s={self.name or '-'}"]
        if self.connection is not None:
            lines.append(f"c={self.connection}")
        lines += [f"b={bandwidth}" for bandwidth in self.bandwidths]
        lines.append(f"t={self.timing}")
        lines += [f"a={attribute}" for attribute in self.attributes]
        for media in self.media:
            lines += media.lines()
        _refuse_line_breaks(self)
        return ("\r\n".join(lines) + "\r\n").encode("utf-8", "surrogateescape")


class _Reader:
    """One pass over one body; holds what the lines seen so far have said."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._origin = UNKNOWN_ORIGIN
        self._name = "-"
        self._timing = "0 0"
        self._attribute_count = 0
        self._session = _Section()
        self._media: list[tuple[MediaDescription, _Section]] = []

    def read(self, body: bytes) -> SessionDescription:
        if len(body) > self._limits.max_bytes:
            raise self._past("max_bytes", f"{len(body)} bytes", 0)
        if b"\x00" in body:
            raise RemoteProtocolError("NUL byte in the session description", offset=body.index(b"\x00"))
        offset = 0
        version_seen = False
        for raw in _LINE_END.split(body):
            line = raw.strip(b" \t")
            if len(line) > self._limits.max_line_bytes:
                raise self._past("max_line_bytes", f"a line of {len(line)} bytes", offset)
            letter, value = line[:2], line[2:].decode("utf-8", "surrogateescape").strip(" \t")
            if not line:
                pass
            elif not version_seen:
                if letter != b"v=" or value != "0":
                    raise RemoteProtocolError("a session description starts with v=0", offset=offset)
                version_seen = True
            elif letter[1:] == b"=":
                self._line(letter[:1], value, offset)
            offset += len(raw) + 1
        if not version_seen:
            raise RemoteProtocolError("the session description is empty", offset=0)
        return SessionDescription(
            origin=self._origin,
            name=self._name,
            connection=self._session.connection,
            timing=self._timing,
            attributes=tuple(self._session.attributes),
            media=tuple(section.complete(media) for media, section in self._media),
            bandwidths=tuple(self._session.bandwidths),
        )

    def _line(self, letter: bytes, value: str, offset: int) -> None:
        section = self._media[-1][1] if self._media else self._session
        match letter:
            case b"m":
                self._media_line(value, offset)
            case b"a" if value:
                self._attribute_count += 1
                if self._attribute_count > self._limits.max_attributes:
                    raise self._past("max_attributes", f"over {self._limits.max_attributes} attributes", offset)
                name, colon, text = value.partition(":")
                # Names are case-sensitive by the RFC, but `a=SendRecv` and `a=RTPMAP` are out there.
                if name := name.strip(" \t").lower():
                    section.attributes.append(Attribute(name, text.strip(" \t") if colon else None))
            case b"c":
                # The last c= of a section counts for nothing, the first does: one stream, one address.
                section.connection = section.connection or self._connection(value, offset)
            case b"b" if len(section.bandwidths) < 8 and value:
                section.bandwidths.append(value)
            case b"o":
                self._origin = self._read_origin(value)
            case b"s":
                self._name = value or "-"
            case b"t" if _TIMING.fullmatch(value):
                self._timing = value
            case _:
                pass

    def _media_line(self, value: str, offset: int) -> None:
        if len(self._media) >= self._limits.max_media:
            raise self._past("max_media", f"over {self._limits.max_media} m= lines", offset)
        words = value.split()
        if len(words) < 3 or not _TOKEN.fullmatch(words[0]):
            raise RemoteProtocolError("an m= line needs media, port, protocol and formats", offset=offset)
        port_text, slash, count_text = words[1].partition("/")
        port = _number(port_text, HIGHEST_PORT)
        count = _number(count_text, HIGHEST_PORT) if slash else 1
        if port is None or not count:
            raise RemoteProtocolError("port of an m= line out of range", offset=offset)
        formats = tuple(words[3:])
        if len(formats) > self._limits.max_formats:
            raise self._past("max_formats", f"over {self._limits.max_formats} formats on an m= line", offset)
        if not formats:
            if port:
                raise RemoteProtocolError("an m= line without formats", offset=offset)
            formats = ("0",)  # A line switched off is answered by a line switched off, which needs a format.
        media = MediaDescription(words[0].lower(), port, words[2].upper(), formats, port_count=count)
        self._media.append((media, _Section()))

    @staticmethod
    def _read_origin(value: str) -> Origin:
        words = value.split()
        if len(words) < 6:
            return UNKNOWN_ORIGIN
        return Origin(words[0], words[1], words[2], words[5])

    @staticmethod
    def _connection(value: str, offset: int) -> Connection:
        words = value.split()
        if len(words) < 3 or words[0].upper() != "IN":
            raise RemoteProtocolError("a c= line needs IN, IP4 or IP6, and an address", offset=offset)
        address = words[2].partition("/")[0]
        if not address:
            raise RemoteProtocolError("a c= line without an address", offset=offset)
        return Connection(address)

    @staticmethod
    def _past(limit: str, found: str, offset: int) -> RemoteProtocolError:
        return RemoteProtocolError(
            f"session description past the limit {limit}: {found}", status_hint=488, offset=offset
        )


class _Section:
    """The lines of the session level or of one m= line, while they are read."""

    __slots__ = ("attributes", "bandwidths", "connection")

    def __init__(self) -> None:
        self.connection: Connection | None = None
        self.attributes: list[Attribute] = []
        self.bandwidths: list[str] = []

    def complete(self, media: MediaDescription) -> MediaDescription:
        return MediaDescription(
            media.kind,
            media.port,
            media.protocol,
            media.formats,
            connection=self.connection,
            attributes=tuple(self.attributes),
            bandwidths=tuple(self.bandwidths),
            port_count=media.port_count,
        )


def _number(text: str, highest: int) -> int | None:
    """A decimal number of ASCII digits up to `highest`; `int()` would take `1_0`, spaces and Arabic digits too."""
    if not _NUMBER.fullmatch(text):
        return None
    number = int(text)
    return number if number <= highest else None


@lru_cache(_REMEMBERED)
def _ip(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return None
    if isinstance(address, ipaddress.IPv6Address):
        if address.scope_id is not None:
            return None
        return address.ipv4_mapped or address
    return address


@lru_cache(_REMEMBERED)
def _rtpmap(value: str) -> tuple[int | None, Encoding | None]:
    """Read an rtpmap value: the payload type, if it is one, and its encoding, if all numbers are in range."""
    words = value.split()
    payload_type = _number(words[0], HIGHEST_PAYLOAD_TYPE) if words else None
    parts = words[1].split("/") if len(words) >= 2 else []
    if len(parts) not in (2, 3) or not _TOKEN.fullmatch(parts[0]):
        return payload_type, None
    clock_rate = _number(parts[1], HIGHEST_CLOCK_RATE)
    channels = _number(parts[2], HIGHEST_CHANNELS) if len(parts) == 3 and parts[2] else 1
    if not clock_rate or not channels:
        return payload_type, None
    return payload_type, Encoding(parts[0].upper(), clock_rate, channels)


def _direction(attributes: Iterable[Attribute]) -> Direction | None:
    names = {direction.value for direction in Direction}
    return next((Direction(attribute.name) for attribute in attributes if attribute.name in names), None)


def _family(address: str) -> str:
    return "IP6" if ":" in address else "IP4"


def _refuse_line_breaks(description: SessionDescription) -> None:
    """Stop our own mistake before it is a second line on the wire: no value of ours may hold CR, LF or NUL."""
    texts = [str(description.origin), description.name, description.timing, *description.bandwidths]
    texts += [str(attribute) for attribute in description.attributes]
    texts += [str(description.connection)]
    for media in description.media:
        texts += media.lines()
    if any(character in text for text in texts for character in "\r\n\x00"):
        raise LocalProtocolError("a session description of ours holds a line break or NUL")
