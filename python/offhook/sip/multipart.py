"""Multipart bodies (RFC 2046 section 5.1, RFC 5621): bounded, flat, byte-exact."""

from dataclasses import dataclass
from typing import Final

from offhook.sip.grammar import fail
from offhook.sip.headers.media_type import MediaType

MAX_PARTS: Final = 32
"""Parts of one body; more are refused with 413. A part that is multipart itself is not opened."""

MAX_PART_HEADER_BYTES: Final = 8192
"""Bytes of the header section of one part."""

MAX_BOUNDARY_CHARS: Final = 70
"""Characters of a boundary (RFC 2046 section 5.1.1)."""

_FORBIDDEN: Final = frozenset(range(32)) | {127}


@dataclass(frozen=True, slots=True)
class Part:
    """One part: its type (None if it has none), its Content-Disposition as written, its bytes."""

    media_type: MediaType | None
    disposition: str
    body: bytes


def split_multipart(body: bytes, boundary: str) -> tuple[Part, ...]:
    """Split `body` into its parts; text before the first and after the last delimiter is dropped.

    Raises RemoteProtocolError for a missing or wrong boundary, no part, or a body that never closes (400).
    """
    if not 0 < len(boundary) <= MAX_BOUNDARY_CHARS or any(ord(c) in _FORBIDDEN for c in boundary):
        fail("multipart without a usable boundary")
    delimiter = b"--" + boundary.encode("utf-8", "surrogateescape")
    parts: list[Part] = []
    start = _next_delimiter(body, delimiter, 0)
    if start < 0:
        fail("multipart without its boundary")
    while True:
        after = start + len(delimiter)
        if body.startswith(b"--", after):
            break
        line_end = body.find(b"\n", after)
        if line_end < 0 or body[after:line_end].strip(b" \t\r"):
            fail("text after a multipart boundary")
        following = _next_delimiter(body, delimiter, line_end + 1)
        if following < 0:
            fail("multipart that never closes")
        end = max(following - 1, line_end + 1)
        if end > line_end + 1 and body[end - 1 : end] == b"\r":
            end -= 1
        if len(parts) >= MAX_PARTS:
            fail("too many parts in a multipart", 413)
        parts.append(_part(body[line_end + 1 : end]))
        start = following
    if not parts:
        fail("multipart without parts")
    return tuple(parts)


def _next_delimiter(body: bytes, delimiter: bytes, start: int) -> int:
    """Find a delimiter that begins a line at or after `start`, -1 if there is none."""
    position = start
    while (at := body.find(delimiter, position)) >= 0:
        after = at + len(delimiter)
        if body.startswith(b"--", after):
            after += 2
        if (at == 0 or body[at - 1] == 0x0A) and body[after : after + 1] in (b"", b"\r", b"\n", b" ", b"\t"):
            return at
        position = at + 1
    return -1


def _part(data: bytes) -> Part:
    if data.startswith(b"\r\n"):
        return Part(None, "", data[2:])
    if data.startswith(b"\n"):
        return Part(None, "", data[1:])
    ends = [(at, len(mark)) for mark in (b"\r\n\r\n", b"\n\n") if (at := data.find(mark)) >= 0]
    at, length = min(ends) if ends else (len(data), 0)
    if at > MAX_PART_HEADER_BYTES:
        fail("header section of a part is too long", 413)
    media_type: MediaType | None = None
    disposition = ""
    text = data[:at].decode("utf-8", "surrogateescape").replace("\r\n", "\n")
    for line in text.replace("\n ", " ").replace("\n\t", " ").split("\n"):
        name, colon, value = line.partition(":")
        if not colon:
            fail("line without a colon in a part")
        name, value = name.strip(" \t").lower(), value.strip(" \t")
        if name in ("content-type", "c"):
            media_type = MediaType.parse(value)
        elif name == "content-disposition":
            disposition = value
    return Part(media_type, disposition, data[at + length :])
