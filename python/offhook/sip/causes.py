"""Causes of Q.850 and the Reason fields that carry them (RFC 3326, RFC 3398, RFC 6432)."""

from typing import TYPE_CHECKING, Final

from offhook.sip.headers.reason import Reason

if TYPE_CHECKING:
    from offhook.sip.session_core import HeaderList

Q850_OF_STATUS: Final = {
    400: 111, 401: 21, 402: 21, 403: 21, 404: 1, 405: 63, 406: 79, 407: 21, 408: 102, 410: 22, 413: 127, 414: 127,
    415: 79, 416: 127, 420: 29, 421: 29, 422: 29, 423: 127, 480: 18, 481: 41, 482: 25, 483: 25, 484: 28, 485: 1,
    486: 17, 487: 16, 488: 88, 491: 41, 500: 41, 501: 79, 502: 38, 503: 42, 504: 102, 505: 127, 513: 127, 600: 17,
    603: 21, 604: 1, 606: 88, 607: 21, 608: 21,
}  # fmt: skip
"""RFC 3398 section 8.2.6.1, finer where ITU-T Q.850 has a truer word: protocol error, congestion, facility rejected."""


def q850_of(status: int) -> int:
    """The cause that a final response stands for; 31 (normal, unspecified) where none does."""
    return 16 if 200 <= status < 300 else Q850_OF_STATUS.get(status, 31)


def why(status: int, text: str, *, q850: int | None = None) -> "HeaderList":
    """Why a BYE or CANCEL is sent: its Q.850 cause and its SIP status, a line each.

    Two lines, since there are peers that look at the beginning of each line alone; Q.850 first, as some read no more.
    """
    return (*why_refused(status, text, q850=q850), ("Reason", str(Reason("SIP", status, text))))


def why_refused(status: int, text: str = "", *, q850: int | None = None) -> "HeaderList":
    """Why an INVITE is refused: the Q.850 cause alone, since the status stands in the response (RFC 6432)."""
    cause = q850_of(status) if q850 is None else q850
    return (("Reason", str(Reason("Q.850", cause, text))),)


NORMAL_CLEARING: Final = why(200, "hung up")
NO_ACK: Final = why(408, "ACK never came", q850=102)
OUR_FAULT: Final = why(500, "internal error")
ELSEWHERE: Final = why(200, "Call completed elsewhere", q850=26)
DIALOG_LOST: Final = why(481, "the dialog is lost", q850=41)
UNUSABLE: Final = why(400, "the answer can't be used")
GIVEN_UP: Final = why(487, "the call was given up")


def with_reason(headers: "HeaderList", default: "HeaderList") -> "HeaderList":
    """`headers`, with `default` behind them if they give no Reason of their own."""
    return headers if any(name.lower() == "reason" for name, _ in headers) else (*headers, *default)
