"""Fragments of SIP messages (RFC 3420) as the reports of a REFER bring them: how what we asked for is going."""

import re
from dataclasses import dataclass

from offhook.sip.grammar import readable

MAX_READ = 1024
"""Bytes of a fragment that are looked at: its first line says all that we want to know."""

MAX_REASON = 100
"""Characters of a reason phrase that are kept."""

SIPFRAG = "message/sipfrag"

_TYPES = frozenset({SIPFRAG, "message/sip", "text/plain"})
_STATUS_LINE = re.compile(r"SIP/2\.0[ \t]+([1-6][0-9]{2})(?:[ \t]+(.*))?", re.IGNORECASE)
_CONTROLS = re.compile(r"[\x00-\x1f\x7f-\x9f]+")


@dataclass(frozen=True, slots=True)
class Fragment:
    """A status line: `status` is 100 to 699, `reason` its phrase, made printable, perhaps empty."""

    status: int
    reason: str = ""

    @property
    def is_final(self) -> bool:
        """Whether nothing else can follow."""
        return self.status >= 200

    def __str__(self) -> str:
        return f"{self.status} {self.reason}".rstrip()


def is_readable_type(content_type: str | None) -> bool:
    """Say whether a report of this Content-Type may hold a status line.

    `message/sipfrag` with any parameters is the right one. Peers exist that say `text/plain`, the whole message's
    type, or nothing.
    """
    name = (content_type or "").partition(";")[0].strip(" \t").lower()
    return not name or name in _TYPES


def read_fragment(body: bytes) -> Fragment | None:
    """Read the status line that a fragment begins with; None where it begins with something else.

    Line ends may be CRLF, LF or missing, blank lines may come first; header fields behind are passed over.
    """
    text = body[:MAX_READ].decode("utf-8", "surrogateescape").lstrip(" \t\r\n")
    line = text.partition("\n")[0].partition("\r")[0].rstrip(" \t")
    match = _STATUS_LINE.fullmatch(line)
    if match is None:
        return None
    reason = " ".join(_CONTROLS.sub(" ", readable(match[2] or "")).split())
    return Fragment(int(match[1]), reason[:MAX_REASON])
