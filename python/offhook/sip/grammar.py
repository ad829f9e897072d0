"""Tokens, quoting, lists, parameters and strict numbers: the grammar that all header fields share (RFC 3261 25).

Text is `str` decoded from UTF-8 with `surrogateescape`, so that every byte 80..ff survives a round trip; `readable`
makes text fit for JSON and logs. Nothing here is quadratic: no regular expression repeats a repeat, every list has a
cap.
"""

import ipaddress
import re
from collections.abc import Iterable, Iterator, Mapping
from functools import lru_cache
from typing import Final, NoReturn, Self

from offhook.errors import LocalProtocolError, RemoteProtocolError

MAX_VALUES: Final = 128
"""Values of one header field, over all its lines; more are refused with 513."""

MAX_PARAMS: Final = 64
"""Parameters of one header field value, URI or credentials; more are refused with 400."""

MAX_HOST_CHARS: Final = 255
"""Characters of a host name (RFC 1035 section 2.3.4)."""

WSP: Final = " \t"
"""Blanks. Never bare `strip()` or `split()`: those take any Unicode space."""

BLANKS = re.compile(r"[ \t]+")

_TOKEN = re.compile(r"[A-Za-z0-9\-.!%*_+`'~]+")
_HOST = re.compile(r"[A-Za-z0-9._-]+")
_CONTROL = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")
_LIST_MARK = re.compile(r'[",<]')
_QUOTE_MARK = re.compile(r'[",]')
_PARAM_MARK = re.compile(r'[";]')
_PARAMS_FORBIDDEN = re.compile(r'[\x00-\x20\x7f",<>]')
UNQUOTED_FORBIDDEN = re.compile(r'[\x00-\x20\x7f",;<>]')
"""What can't stand in a value without quotes; the grammar allows less still, but peers don't keep to it."""

_NEEDS_ESCAPE = re.compile(r'["\\\x00-\x08\x0b\x0c\x0e-\x1f\x7f]')
_QUOTED_PAIR = re.compile(r"\\(.)", re.DOTALL)
_SURROGATE = re.compile("[\ud800-\udfff]")


def fail(message: str, status: int = 400) -> NoReturn:
    """Raise `RemoteProtocolError` with `status` as the answer that it deserves."""
    raise RemoteProtocolError(message, status_hint=status)


def excerpt(text: str) -> str:
    """Show the start of a peer's text in an error message: at most 40 characters, no control characters."""
    return ascii(text[:40]) if len(text) <= 40 else ascii(text[:40]) + "..."


def readable(text: str) -> str:
    """Make text valid Unicode for JSON, logs and people: each byte that was not UTF-8 becomes U+FFFD."""
    return _SURROGATE.sub("\ufffd", text)


def is_token(text: str) -> bool:
    """Tell whether `text` is a token of RFC 3261 section 25.1 (never empty, ASCII only)."""
    return _TOKEN.fullmatch(text) is not None


def parse_uint(text: str, maximum: int, what: str, *, status: int = 400) -> int:
    """Read ASCII digits and nothing else: no sign, underscore, blank or other script. Leading zeros are legal.

    Raises RemoteProtocolError above `maximum`; the length is judged before the conversion.
    """
    if not (text.isascii() and text.isdigit()):
        fail(f"{what} is not a number: {excerpt(text)}", status)
    if len(text) > 20:
        text = text.lstrip("0") or "0"
        if len(text) > 20:
            fail(f"{what} is too large", status)
    number = int(text)
    if number > maximum:
        fail(f"{what} is too large: {number}", status)
    return number


def parse_delta_seconds(text: str, what: str) -> int:
    """Read seconds; a number of more than 32 bits is taken as the largest (RFC 4475 section 3.1.2.4)."""
    if not (text.isascii() and text.isdigit()):
        fail(f"{what} is not a number of seconds: {excerpt(text)}")
    return min(parse_uint(text[-20:], 10**20, what), 2**32 - 1) if len(text.lstrip("0")) <= 20 else 2**32 - 1


def find_quote_end(text: str, start: int) -> int:
    """Return the index just after the quoted string that opens at `start`, or -1 if it never ends."""
    position = start + 1
    end = text.find('"', position)
    while end >= 0:
        backslash = text.find("\\", position, end)
        if backslash < 0:
            return end + 1
        position = backslash + 2
        if position > end:
            end = text.find('"', position)
    return -1


def quote(text: str) -> str:
    """Write a quoted string. CR and LF can't stand in one, even escaped: LocalProtocolError."""
    if "\r" in text or "\n" in text:
        raise LocalProtocolError("CR or LF in a quoted string", hint="remove line ends from names and values")
    return '"' + _NEEDS_ESCAPE.sub(r"\\\g<0>", text) + '"'


def unquote(text: str) -> str:
    """Read a quoted string, quotes and quoted pairs removed. Text without quotes comes back as it is."""
    if len(text) < 2 or text[0] != '"':
        return text
    inner = text[1:-1]
    return _QUOTED_PAIR.sub(r"\1", inner) if "\\" in inner else inner


def read_quoted(text: str, what: str) -> str:
    """Read a quoted string that is all of `text`, else raise RemoteProtocolError."""
    if text[:1] != '"' or find_quote_end(text, 0) != len(text) or "\r" in text or "\n" in text:
        fail(f"{what} is no quoted string: {excerpt(text)}")
    return unquote(text)


def has_bare_control(text: str) -> bool:
    """Tell whether a control character other than HTAB stands anywhere but as a quoted pair in a quoted string.

    RFC 3261 allows `\\` and any ASCII but CR and LF inside quotes, NUL too (RFC 4475 section 3.1.1.2).
    """
    position = 0
    quoted = False
    for match in _CONTROL.finditer(text):
        at = match.start()
        if text[at] in "\r\n":
            return True
        while position < at:
            mark = text[position]
            if quoted and mark == "\\":
                position += 2
                continue
            if mark == '"':
                quoted = not quoted
            position += 1
        if position == at:
            return True
    return False


def check_value(text: str, what: str) -> str:
    """Let a value of ours pass if it can't break out of its line, else raise LocalProtocolError."""
    if _CONTROL.search(text) is not None and has_bare_control(text):
        raise LocalProtocolError(f"control character in {what}", hint="remove line ends and control characters")
    return text


def check_token(text: str, what: str) -> str:
    """Let a token of ours pass, else raise LocalProtocolError."""
    if not is_token(text):
        raise LocalProtocolError(f"{what} is not a token: {excerpt(text)}")
    return text


def split_commas(value: str, *, angles: bool = True, maximum: int = MAX_VALUES) -> list[str]:
    """Split a list at commas outside quoted strings and, with `angles`, outside `<>`; blanks around are removed.

    Empty elements are kept, so that the caller may refuse them. Raises RemoteProtocolError for an open quote (400)
    and above `maximum` values (513).
    """
    mark = _LIST_MARK if angles else _QUOTE_MARK
    if '"' not in value and (not angles or "<" not in value):
        if value.count(",") >= maximum:
            fail("too many values in a list", 513)
        return [piece.strip(WSP) for piece in value.split(",")]
    pieces = []
    start = position = 0
    while (match := mark.search(value, position)) is not None:
        at = match.start()
        character = value[at]
        if character == ",":
            pieces.append(value[start:at].strip(WSP))
            if len(pieces) >= maximum:
                fail("too many values in a list", 513)
            start = position = at + 1
        elif character == '"':
            position = find_quote_end(value, at)
            if position < 0:
                fail("quoted string without an end")
        else:
            position = value.find(">", at) + 1
            if position == 0:
                fail("'<' without '>'")
    pieces.append(value[start:].strip(WSP))
    return pieces


@lru_cache(maxsize=2048)
def split_host_port(text: str, what: str) -> tuple[str, int | None]:
    """Split `host[:port]`, where an IPv6 address stands in brackets and comes back without them.

    Kept for the last 2,048 texts, since a node talks to few hosts; what is refused is not kept.
    """
    if text.startswith("["):
        host, bracket, rest = text[1:].partition("]")
        if not bracket:
            fail(f"{what}: '[' without ']'")
        try:
            if "%" in host:
                raise ValueError(host)
            ipaddress.IPv6Address(host)
        except ValueError:
            fail(f"{what}: no IPv6 address: {excerpt(host)}")
        rest = rest.strip(WSP)
        if not rest:
            return host, None
        if rest[0] != ":":
            fail(f"{what}: text after the address")
        return host, parse_uint(rest[1:].strip(WSP), 65535, f"port of {what}")
    host, colon, port = text.partition(":")
    if colon:
        host = host.rstrip(WSP)
    if _HOST.fullmatch(host) is None or len(host) > MAX_HOST_CHARS:
        fail(f"{what}: no host: {excerpt(host)}")
    return host, parse_uint(port.strip(WSP), 65535, f"port of {what}") if colon else None


def check_host(host: str, port: int | None) -> None:
    """Raise LocalProtocolError unless `host` (IPv6 without brackets) and `port` can stand in a header or URI."""
    if ":" in host:
        try:
            ipaddress.IPv6Address(host)
        except ValueError:
            raise LocalProtocolError(f"no IPv6 address: {excerpt(host)}") from None
        if "%" in host:
            raise LocalProtocolError("an address with a zone has no meaning elsewhere")
    elif _HOST.fullmatch(host) is None or len(host) > MAX_HOST_CHARS:
        raise LocalProtocolError(f"no host: {excerpt(host)}")
    if port is not None and not 0 <= port <= 65535:
        raise LocalProtocolError(f"no port: {port}")


def join_host_port(host: str, port: int | None) -> str:
    """Write `host[:port]`, an IPv6 address in brackets."""
    if ":" in host:
        host = f"[{host}]"
    return host if port is None else f"{host}:{port}"


_USUAL_NAMES: Final = frozenset({"tag", "branch", "rport", "received", "lr", "expires", "q", "cause", "text"})


class Params:
    """The `;name=value` parameters of a header field value, in order, names case-insensitive, immutable.

    `Params({"tag": "abc", "lr": None})` builds them and quotes where a value is no token. `get` gives plain values:
    `""` for a parameter without one, None for one that is absent; of a repeated name the first counts.
    """

    __slots__ = ("_items",)
    _items: tuple[tuple[str, str | None], ...]

    def __init__(self, items: Mapping[str, str | None] | Iterable[tuple[str, str | None]] = ()) -> None:
        pairs = items.items() if isinstance(items, Mapping) else items
        self._items = tuple(
            (self._encode_name(name), None if value is None else self._encode(value)) for name, value in pairs
        )

    @classmethod
    def from_wire(cls, items: Iterable[tuple[str, str | None]]) -> Self:
        """Wrap pairs that were already checked, values in wire form."""
        params = cls.__new__(cls)
        params._items = tuple(items)
        return params

    @classmethod
    def parse(cls, text: str) -> Self:
        """Parse `;a=b;c` with blanks around separators; `text` starts with `;` or is empty."""
        if not text:
            return cls.from_wire(())
        if text.count(";") > MAX_PARAMS:
            fail("too many parameters")
        items: list[tuple[str, str | None]] = []
        if _PARAMS_FORBIDDEN.search(text) is None:
            # The usual case: neither quotes nor blanks, so that only the names are left to check.
            for piece in text[1:].split(";"):
                name, equals, value = piece.partition("=")
                if name not in _USUAL_NAMES and _TOKEN.fullmatch(name) is None:
                    fail(f"parameter name is no token: {excerpt(name)}")
                items.append((name, value if equals else None))
            return cls.from_wire(items)
        for piece in _split_quoted_params(text) if '"' in text else text[1:].split(";"):
            name, equals, value = piece.partition("=")
            name = name.strip(WSP)
            if _TOKEN.fullmatch(name) is None:
                fail(f"parameter name is no token: {excerpt(name)}")
            if not equals:
                items.append((name, None))
                continue
            value = value.strip(WSP)
            if value[:1] == '"':
                read_quoted(value, f"value of parameter {name}")
            elif UNQUOTED_FORBIDDEN.search(value) is not None:
                fail(f"value of parameter {name} needs quotes: {excerpt(value)}")
            items.append((name, value))
        return cls.from_wire(items)

    def get(self, name: str) -> str | None:
        """Return the plain value of `name`, `""` if it has none, None if it is absent."""
        for have, value in self._items:
            if have == name or self._decode_name(have).lower() == name.lower():
                return "" if value is None else self._decode(value)
        return None

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and self.get(name) is not None

    def __iter__(self) -> Iterator[tuple[str, str | None]]:
        """Yield plain (name, value) pairs in order, value None where there is none."""
        for name, value in self._items:
            yield self._decode_name(name), None if value is None else self._decode(value)

    def __len__(self) -> int:
        return len(self._items)

    def count(self, name: str) -> int:
        """Count how often `name` appears (RFC 3261 section 7.3.1 allows once)."""
        name = name.lower()
        return sum(1 for have, _ in self._items if self._decode_name(have).lower() == name)

    def replacing(self, name: str, value: str | None) -> Self:
        """Set `name` where it stands, or at the end; `value` is plain text, None for a bare name."""
        item = (self._encode_name(name), None if value is None else self._encode(value))
        lower = name.lower()
        items = []
        for pair in self._items:
            if self._decode_name(pair[0]).lower() != lower:
                items.append(pair)
            elif item is not None:
                items.append(item)
                item = None  # type: ignore[assignment]  # a repeated name is written once
        if item is not None:
            items.append(item)
        return self.from_wire(items)

    def without(self, name: str) -> Self:
        """Return the parameters without `name`."""
        name = name.lower()
        return self.from_wire(pair for pair in self._items if self._decode_name(pair[0]).lower() != name)

    def __str__(self) -> str:
        return "".join(f";{name}" if value is None else f";{name}={value}" for name, value in self._items)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({dict(self)!r})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Params) and type(other) is type(self) and list(self) == list(other)

    def __hash__(self) -> int:
        return hash(tuple(self))

    @staticmethod
    def _encode_name(name: str) -> str:
        return check_token(name, "parameter name")

    @staticmethod
    def _decode_name(name: str) -> str:
        return name

    @staticmethod
    def _encode(value: str) -> str:
        return value if is_token(value) or _is_address(value) else quote(value)

    @staticmethod
    def _decode(value: str) -> str:
        return unquote(value)


def _is_address(value: str) -> bool:
    """An IPv6 address stands without quotes, in brackets or (RFC 3261's `received`) bare."""
    try:
        ipaddress.IPv6Address(value[1:-1] if value.startswith("[") and value.endswith("]") else value)
    except ValueError:
        return False
    return "%" not in value


def _split_quoted_params(text: str) -> list[str]:
    pieces = []
    start = position = 1
    while (match := _PARAM_MARK.search(text, position)) is not None:
        at = match.start()
        if text[at] == ";":
            pieces.append(text[start:at])
            start = position = at + 1
        else:
            position = find_quote_end(text, at)
            if position < 0:
                fail("quoted string without an end")
    pieces.append(text[start:])
    return pieces


NO_PARAMS: Final = Params()
