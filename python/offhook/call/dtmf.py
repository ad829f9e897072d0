"""Digits that come by SIP INFO (RFC 6086; the bodies are a convention of Cisco and its followers)."""

from offhook.sip.message import Request

_DIGITS = "0123456789*#ABCD"
_DEFAULT_DURATION_MS = 160
_LONGEST_MS = 5000


def digits_of_info(request: Request) -> list[tuple[str, int]] | None:
    """The digits of an INFO with their durations in milliseconds; None if its body is of another type.

    `application/dtmf-relay` says `Signal=5` and `Duration=160`, with or without spaces; `application/dtmf` says `5`. An
    unreadable body of these types has no digits. Flash (16) and other events are not digits.
    """
    kind = (request.headers.get("Content-Type") or "").partition(";")[0].strip().lower()
    text = request.body[:256].decode("ascii", "replace")
    if kind == "application/dtmf":
        return [(digit, _DEFAULT_DURATION_MS) for digit in text.strip().upper()[:1] if digit in _DIGITS]
    if kind != "application/dtmf-relay":
        return None
    fields = {}
    for line in text.splitlines():
        name, _, value = line.partition("=")
        fields[name.strip().lower()] = value.strip()
    digit = fields.get("signal", "").upper()
    duration = fields.get("duration", "")
    duration_ms = int(duration) if duration.isascii() and duration.isdigit() else _DEFAULT_DURATION_MS
    return [(digit, min(duration_ms, _LONGEST_MS))] if len(digit) == 1 and digit in _DIGITS else []
