"""Bytes to messages: datagram and stream framing, limits, and the check of mandatory fields (RFC 3261 7 and 18.3).

Tolerant where real peers differ and only one reading exists (blanks, folding, compact forms, case, unknown names,
missing Content-Length in a datagram); strict where two readers could differ, since that is how messages are smuggled:
one line end through the whole header section, one Content-Length, single blanks in the start line, no control
characters.
"""

import re
from dataclasses import dataclass
from enum import Enum
from typing import Final

from offhook.errors import LocalProtocolError, RemoteProtocolError
from offhook.sip.grammar import WSP, excerpt, fail, has_bare_control, is_token, parse_uint
from offhook.sip.headers.names import KEYS, SINGLES, header_key, wire_name
from offhook.sip.headers.via import Via
from offhook.sip.message import METHODS, SIP_VERSION, Headers, Message, Request, Response
from offhook.sip.uri import OtherUri, Uri, parse_uri

_CONTROLS: Final = bytes({*range(32), 127} - {9, 10, 13})
_VERSION = re.compile(r"[Ss][Ii][Pp]/[0-9]{1,4}\.[0-9]{1,4}")
READ_LATER: Final = {
    "Contact": "contacts", "Route": "routes", "Record-Route": "record_routes", "Require": "require",
    "Supported": "supported", "Allow": "allow", "Accept": "accept", "Expires": "expires",
    "Content-Type": "content_type", "RSeq": "rseq", "RAck": "rack",
}  # fmt: skip
"""Fields that the layers above read as typed ones, so that a broken one must be met here."""

_UNREADABLE_URI: Final = OtherUri("unreadable", "")


@dataclass(frozen=True, slots=True)
class Limits:
    """What a message may cost. Sizes are in bytes; what is larger is refused with the status named.

    Values and parameters of one field have fixed caps: `grammar.MAX_VALUES`, `grammar.MAX_PARAMS`.
    """

    max_message_bytes: int = 65_535
    """Header section and body together (513)."""
    max_head_bytes: int = 32_768
    """Start line and header section (513); a stream that sends more without an empty line is closed."""
    max_header_bytes: int = 8_192
    """One header field, unfolded (513)."""
    max_headers: int = 256
    """Header field lines (513)."""
    max_request_uri_bytes: int = 2_048
    """Request-URI (414)."""
    max_method_bytes: int = 64
    """Method (400)."""
    max_body_bytes: int = 65_535
    """Body (413); on a stream the connection is then closed, as the body is not read."""
    max_vias: int = 70
    """Via values (513): as many hops as Max-Forwards usually allows."""


DEFAULT_LIMITS: Final = Limits()


class MessageError(RemoteProtocolError):
    """Bytes that are no acceptable message.

    `partial` is a request that can be answered with `partial.response(error.status_hint)`, its Via repaired where
    needed; None where no answer is possible or allowed (a response, an ACK, too little left). Other typed fields of it
    may still raise. `fatal` means that a stream has lost its framing: answer, then close.
    """

    def __init__(self, message: str, *, status_hint: int, partial: Request | None = None, fatal: bool = False) -> None:
        super().__init__(message, status_hint=status_hint)
        self.partial = partial
        self.fatal = fatal


class KeepAlive(Enum):
    """Line ends between messages on a stream (RFC 5626 section 4.4.1)."""

    PING = "ping"
    """CRLF CRLF: the peer wants one CRLF back."""
    PONG = "pong"
    """One CRLF: the answer to a ping of ours, else of no meaning."""


@dataclass(frozen=True, slots=True)
class _Head:
    """A header section read; `length` is its Content-Length, None if it has none."""

    method: str
    request_uri: Uri | None
    status: int
    reason: str
    headers: Headers
    length: int | None

    def message(self, body: bytes) -> Message:
        if self.request_uri is not None:
            return Request(self.method, self.request_uri, self.headers, body)
        return Response(self.status, self.reason, self.headers, body)


def parse_datagram(data: bytes, limits: Limits = DEFAULT_LIMITS) -> Message:
    """Parse one datagram. Octets behind Content-Length are ignored (RFC 3261 section 18.3).

    Raises MessageError, and nothing else, whatever the bytes are.
    """
    start = _skip_line_ends(data)
    try:
        if len(data) - start > limits.max_message_bytes:
            fail("message is too large", 513)
        head_end, body_start, line_end = _find_head_end(data, start)
        if head_end < 0:
            fail("header section without an empty line at its end")
        head = _parse_head(data[start:head_end], line_end, limits)
        body = data[body_start:] if head.length is None else data[body_start : body_start + head.length]
        if len(body) > limits.max_body_bytes:
            fail("body is too large", 413)
        if head.length is not None and head.length > len(body):
            fail(f"Content-Length is {head.length}, but only {len(body)} bytes follow")
        return head.message(body)
    except RemoteProtocolError as error:
        partial = _salvage(data[start : start + limits.max_head_bytes])
        raise MessageError(str(error), status_hint=error.status_hint, partial=partial) from error


class StreamParser:
    """Cuts a byte stream (TCP, TLS) into messages. Feed it any segments; it holds at most one message.

    Each message on a stream needs a Content-Length (RFC 3261 section 18.3). After a fatal MessageError the parser is
    dead: it swallows what comes and the connection is to be closed.
    """

    def __init__(self, limits: Limits = DEFAULT_LIMITS) -> None:
        self._limits = limits
        self._buffer = bytearray()
        self._scanned = 0
        self._head: _Head | None = None
        self._skip = 0
        self._line_ends = 0
        self._pong_told = False
        self._dead = False

    @property
    def pending(self) -> int:
        """Bytes held of a message that is not complete; 0 between messages (for the half-message time-out)."""
        return len(self._buffer) + (1 if self._head is not None or self._skip else 0)

    @property
    def is_dead(self) -> bool:
        """Whether framing was lost."""
        return self._dead

    def receive(self, data: bytes) -> list[Message | KeepAlive | MessageError]:
        """Take a segment and return what it completed, in order. Never raises for what the peer sent.

        Keep-alives are told at most once a kind and call, however many line ends came.
        """
        found: list[Message | KeepAlive | MessageError] = []
        if self._dead:
            return found
        self._buffer += data
        while self._buffer and not self._dead:
            if self._skip:
                dropped = min(self._skip, len(self._buffer))
                del self._buffer[:dropped]
                self._skip -= dropped
            elif self._head is not None:
                if not self._take_body(self._head, found):
                    break
            elif self._buffer[0] in b"\r\n":
                if not self._take_line_end(found):
                    break
            elif not self._take_head(found):
                break
        if self._head is not None and not self._dead:
            self._take_body(self._head, found)
        if self._line_ends and not self._buffer:
            self._tell_pong(found)
        return found

    def _take_line_end(self, found: list[Message | KeepAlive | MessageError]) -> bool:
        if self._buffer[0] == 0x0A:
            del self._buffer[:1]  # a bare LF between messages means nothing
            return True
        if len(self._buffer) == 1:
            return False
        if self._buffer[1] != 0x0A:
            self._die(RemoteProtocolError("bare CR between messages"), found, b"")
            return False
        del self._buffer[:2]
        self._line_ends += 1
        if self._line_ends == 2:
            self._line_ends = 0
            self._pong_told = False
            if KeepAlive.PING not in found:
                found.append(KeepAlive.PING)
        return True

    def _tell_pong(self, found: list[Message | KeepAlive | MessageError]) -> None:
        if not self._pong_told and KeepAlive.PONG not in found:
            found.append(KeepAlive.PONG)
        self._pong_told = True

    def _take_head(self, found: list[Message | KeepAlive | MessageError]) -> bool:
        if self._line_ends:
            self._tell_pong(found)
            self._line_ends = 0
            self._pong_told = False
        buffer = self._buffer
        head_end, body_start, line_end = _find_head_end(buffer, 0, self._scanned)
        if head_end < 0:
            self._scanned = max(len(buffer) - 3, 0)
            if len(buffer) > self._limits.max_head_bytes:
                self._die(RemoteProtocolError("header section is too large", status_hint=513), found, bytes(buffer))
            return False
        section = bytes(buffer[:head_end])
        del buffer[:body_start]
        self._scanned = 0
        try:
            head = _parse_head(section, line_end, self._limits)
            if head.length is None:
                fail("no Content-Length on a stream")
            self._check_length(head.length, body_start)
        except RemoteProtocolError as error:
            length = self._framing(section, line_end, body_start)
            if length is None:
                self._die(error, found, section)
                return False
            partial = _salvage(section)
            found.append(MessageError(str(error), status_hint=error.status_hint, partial=partial))
            self._skip = length
            return True
        self._head = head
        return True

    def _check_length(self, length: int, body_start: int) -> None:
        if length > self._limits.max_body_bytes:
            fail("body is too large", 413)
        if length + body_start > self._limits.max_message_bytes:
            fail("message is too large", 513)

    def _framing(self, section: bytes, line_end: str, body_start: int) -> int | None:
        """The length of a refused message's body, None where it is not beyond doubt."""
        try:
            text = _checked_text(section, line_end, self._limits)
            lines = _lines(text, line_end)
            words = lines[0].split(" ")
            if words[0] != SIP_VERSION and not (len(words) == 3 and words[2] == SIP_VERSION and is_token(words[0])):
                return None
            named = [line.partition(":") for line in lines[1:]]
            lengths = [value for name, _, value in named if header_key(name.rstrip(WSP)) == "Content-Length"]
            if len(lengths) != 1:
                return None
            length = parse_uint(lengths[0].strip(WSP), self._limits.max_body_bytes, "Content-Length")
            self._check_length(length, body_start)
            return length
        except RemoteProtocolError:
            return None

    def _take_body(self, head: _Head, found: list[Message | KeepAlive | MessageError]) -> bool:
        length = head.length or 0
        if len(self._buffer) < length:
            return False
        body = bytes(self._buffer[:length])
        del self._buffer[:length]
        self._head = None
        found.append(head.message(body))
        return True

    def _die(self, error: RemoteProtocolError, found: list[Message | KeepAlive | MessageError], section: bytes) -> None:
        self._dead = True
        self._buffer.clear()
        partial = _salvage(section[: self._limits.max_head_bytes])
        found.append(MessageError(str(error), status_hint=error.status_hint, partial=partial, fatal=True))


def _skip_line_ends(data: bytes) -> int:
    """Return where the start line begins: line ends before it are ignored (RFC 3261 section 7.5)."""
    return len(data) - len(data.lstrip(b"\r\n"))


def _find_head_end(data: bytes | bytearray, start: int, scanned: int = 0) -> tuple[int, int, str]:
    """Find the empty line. The first line end says which kind holds for the whole header section.

    Returns the end of the section (its last line end left out), the start of the body and the line end; -1 if it is
    not there. `scanned` bytes were searched before.
    """
    first = data.find(b"\n", start)
    if first < 0:
        return -1, -1, "\r\n"
    if first > start and data[first - 1] == 0x0D:
        end = data.find(b"\r\n\r\n", max(first - 1, scanned))
        return end, end + 4, "\r\n"
    end = data.find(b"\n\n", max(first, scanned))
    return end, end + 2, "\n"


def _checked_text(section: bytes, line_end: str, limits: Limits) -> str:
    """Decode a header section after the checks that need no lines: size, control characters, one kind of line end."""
    if len(section) > limits.max_head_bytes:
        fail("header section is too large", 513)
    text = section.decode("utf-8", "surrogateescape")
    if line_end == "\r\n":
        count = text.count("\n")
        if text.count("\r") != count or text.count("\r\n") != count:
            fail("bare CR or LF in the header section")
    elif "\r" in text:
        fail("two kinds of line end in the header section")
    if len(section.translate(None, _CONTROLS)) != len(section):
        for line in text.split(line_end):
            if has_bare_control(line):
                fail("control character in the header section")
    return text


def _lines(text: str, line_end: str) -> list[str]:
    """Cut a section into lines and undo folding (RFC 3261 section 7.3.1): a fold is one blank."""
    lines = text.split(line_end)
    if "\n " not in text and "\n\t" not in text:
        return lines
    unfolded: list[list[str]] = []
    for line in lines:
        if line[:1] not in (" ", "\t"):
            unfolded.append([line])
            continue
        rest = line.strip(WSP)
        if not rest:
            fail("line of blanks in the header section")
        if len(unfolded) < 2:
            fail("folded start line")
        if ":" not in unfolded[-1][0]:
            fail("folded header name")
        unfolded[-1].append(rest)
    return [pieces[0] if len(pieces) == 1 else " ".join(pieces) for pieces in unfolded]


def _parse_head(section: bytes, line_end: str, limits: Limits) -> _Head:
    text = _checked_text(section, line_end, limits)
    lines = _lines(text, line_end)
    if len(lines) - 1 > limits.max_headers:
        fail("too many header fields", 513)
    start_line = lines[0]
    method, request_uri, status, reason = _parse_start_line(start_line, limits)
    maximum = limits.max_header_bytes
    fields: list[tuple[str, str]] = []
    index: dict[str, list[str]] = {}
    lengths: list[str] = []
    del lines[0]
    for line in lines:
        name, colon, value = line.partition(":")
        if not colon:
            fail(f"header line without a colon: {excerpt(line)}")
        if len(line) > maximum:
            fail(f"header field {excerpt(name)} is too long", 513)
        key = known = KEYS.get(name)
        if known is None:
            known = wire_name(name)
            key = header_key(known)
        value = value.strip(" \t")
        if known == "Content-Length":
            lengths.append(value)
            continue
        fields.append((known, value))
        if key in index:
            index[key].append(value)
        else:
            index[key] = [value]  # type: ignore[index]  # key is set with known
    length = None
    if lengths:
        if len(lengths) > 1:
            fail("Content-Length more than once")
        length = parse_uint(lengths[0], 2**31 - 1, "Content-Length")
    return _Head(method, request_uri, status, reason, Headers.from_wire(fields, index), length)


def _parse_start_line(line: str, limits: Limits) -> tuple[str, Uri | None, int, str]:
    if line[:8] == "SIP/2.0 " or (_is_version(line[:7]) and line[7:8] == " "):
        code, _, reason = line[8:].partition(" ")
        if len(code) != 3 or not "100" <= code <= "699" or not (code.isascii() and code.isdigit()):
            fail(f"no status code: {excerpt(code)}")
        return "", None, int(code), reason
    pieces = line.split(" ")
    method = pieces[0]
    if not is_token(method):
        fail(f"no start line: {excerpt(line)}", 505 if _VERSION.fullmatch(method) else 400)
    version = pieces[-1]
    if len(method) > limits.max_method_bytes:
        fail("method is too long")
    if len(pieces) == 3 and not _is_version(version) and _VERSION.fullmatch(version) is not None:
        fail(f"version is not spoken here: {excerpt(version)}", 505)
    if len(line) - len(method) - len(version) - 2 > limits.max_request_uri_bytes:
        fail("Request-URI is too long", 414)
    if len(pieces) != 3 or not _is_version(version) or "\t" in line:
        fail(f"no start line: {excerpt(line)}")
    uri_text = pieces[1]
    request_uri = parse_uri(uri_text)
    if getattr(request_uri, "headers", ()):
        fail("headers in a Request-URI")
    return method, request_uri, 0, ""


def _is_version(text: str) -> bool:
    """SIP-Version has no case (RFC 3261 section 7.1), but only ASCII letters are letters here."""
    return text == SIP_VERSION or (text.isascii() and text.upper() == SIP_VERSION)


def validate(message: Message, limits: Limits = DEFAULT_LIMITS) -> None:
    """Check what every message must have and what will be read later, so that it can be read without fear.

    Via, From, To, Call-ID and CSeq present once and sound, CSeq's method that of the request, every typed field sound,
    no single field twice. Raises MessageError; a response that fails is to be dropped, a request answered by
    `error.partial`. Whether method, scheme, extensions or type are served is for the layer above.
    """
    try:
        _validate(message, limits)
    except RemoteProtocolError as error:
        partial = _salvage_request(message) if isinstance(message, Request) else None
        raise MessageError(str(error), status_hint=error.status_hint, partial=partial) from error


def _validate(message: Message, limits: Limits) -> None:
    if len(message.vias) > limits.max_vias:
        fail("too many Vias", 513)
    cseq = message.cseq
    if isinstance(message, Request) and cseq.method != message.method:
        # RFC 4475 section 3.1.2.18: a method that nobody knows is the more telling answer.
        fail(f"CSeq names {excerpt(cseq.method)}", 400 if message.method in METHODS else 501)
    _ = message.from_, message.to, message.call_id, message.max_forwards
    for name, count in message.headers.counts().items():
        if count > 1 and name in SINGLES:
            fail(f"{name} more than once")
        if name in READ_LATER:
            getattr(message, READ_LATER[name])


def _salvage_request(message: Request) -> Request | None:
    """Keep of a request what an answer copies, its Vias repaired; None if it may not or can't be answered."""
    if message.method == "ACK":
        return None
    vias = message.headers.get_all("Via")
    if not vias or not message.headers.get("CSeq"):
        return None
    top = None
    sound: list[str] = []
    for value in vias:
        try:
            sound += [str(Via.parse(piece)) for piece in Headers.from_wire([("Via", value)]).values("Via")]
        except RemoteProtocolError:
            repaired = Via.salvage(value)
            if repaired is not None:
                sound.append(str(repaired))
        if top is None and not sound:
            return None
        top = sound[0]
    if len(sound) > DEFAULT_LIMITS.max_vias:
        return None
    fields = [("Via", value) for value in sound]
    for name in ("From", "To", "Call-ID", "CSeq"):
        first = message.headers.get(name)
        if not first:
            return None
        fields.append((name, first))
    try:
        return Request(message.method, message.request_uri, Headers(fields))
    except LocalProtocolError:
        return None


def _salvage(section: bytes) -> Request | None:
    """Read again, asking for nothing but what an answer needs, from bytes that were refused."""
    if section[:4].upper() == b"SIP/":
        return None
    text = section.decode("utf-8", "surrogateescape").replace("\r\n", "\n")
    text = text.partition("\n\n")[0].replace("\n ", " ").replace("\n\t", " ")
    start_line, _, rest = text.partition("\n")
    method = start_line.split(" ", 1)[0]
    if not is_token(method) or len(method) > DEFAULT_LIMITS.max_method_bytes:
        return None
    fields: list[tuple[str, str]] = []
    for line in rest.split("\n")[: DEFAULT_LIMITS.max_headers]:
        name, colon, value = line.partition(":")
        key = header_key(name.rstrip(WSP))
        if colon and key in ("Via", "From", "To", "Call-ID", "CSeq") and len(line) <= DEFAULT_LIMITS.max_header_bytes:
            if "\r" in value or has_bare_control(value):
                return None
            fields.append((key, value.strip(WSP)))
    return _salvage_request(Request(method, _UNREADABLE_URI, Headers.from_wire(fields)))
