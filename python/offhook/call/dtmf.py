"""Keys by SIP INFO, in and out (RFC 6086; the bodies are a convention of Cisco and its followers, not a package)."""

from offhook.errors import RemoteProtocolError
from offhook.sip.inspection import DTMF, DTMF_RELAY
from offhook.sip.message import Request

_DIGITS = "0123456789*#ABCD"
_EVENT_CODES = {"10": "*", "11": "#", "12": "A", "13": "B", "14": "C", "15": "D"}
_DEFAULT_DURATION_MS = 160
_LONGEST_MS = 8000
_MOST_BYTES = 256


def digits_of_info(request: Request) -> list[tuple[str, int]]:
    """The keys of an INFO with their durations in milliseconds: one, or none.

    `application/dtmf-relay` says `Signal=5` and `Duration=160`, with or without spaces, the star and the hash also as
    the event codes 10 and 11; `application/dtmf` says `5`. The first such part of a multipart counts. Without a body,
    and where there is no key to be read, there is none; flash (16) and other events are no keys either.
    """
    try:
        parts = request.parts
    except RemoteProtocolError:
        return []
    for part in parts:
        kind = part.media_type.name if part.media_type is not None else ""
        if kind in (DTMF, DTMF_RELAY):
            return _read(kind, part.body[:_MOST_BYTES].decode("ascii", "replace"))
    return []


def _read(kind: str, text: str) -> list[tuple[str, int]]:
    if kind == DTMF and "=" not in text:
        return _key(text, _DEFAULT_DURATION_MS)
    fields: dict[str, str] = {}
    for line in text.splitlines():
        name, _, value = line.partition("=")
        fields.setdefault(name.strip().lower(), value.strip())
    duration = fields.get("duration", "")
    lasts = duration.isascii() and duration.isdigit() and int(duration)
    return _key(fields.get("signal", ""), min(lasts or _DEFAULT_DURATION_MS, _LONGEST_MS))


def _key(text: str, duration_ms: int) -> list[tuple[str, int]]:
    key = text.strip().strip('"').upper()
    key = _EVENT_CODES.get(key, key)
    return [(key, duration_ms)] if len(key) == 1 and key in _DIGITS else []


def info_of_digit(digit: str, duration_ms: int) -> tuple[str, bytes]:
    """The content type and the body of an INFO that says a key."""
    return DTMF_RELAY, f"Signal={digit}\r\nDuration={duration_ms}\r\n".encode("ascii")
