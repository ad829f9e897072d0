"""What a call out came to, as one word and what the trunk said: a value, since a busy line is no error."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

from offhook.call.end_reason import EndReason
from offhook.destination.dialect.facts import EndCause
from offhook.ids import CallId
from offhook.observe.printable import printable
from offhook.sdp.crypto import Policy
from offhook.sip.events import FailureCause
from offhook.sip.message import Response
from offhook.sip.status import reason_phrase

OutcomeKind: TypeAlias = Literal["answered", "busy", "refused", "no_answer", "failed", "cancelled"]
"""`refused`: the called party or its carrier said no. `failed`: nobody could be asked. `cancelled`: we gave it up."""

_LONGEST_DETAIL = 300
_MAX_WARNINGS = 3

# Warn-codes of RFC 3261 20.43: 302 is of RTP/AVP against RTP/SAVP, 305 of the codecs.
_TRANSPORT_UNFIT = "302"
_NO_SUCH_CODEC = "305"
_WARN_CODE = re.compile(r"(?:^|, ?)(\d{3}) ")
_OF_ENCRYPTION = re.compile(r"\b(s?rtp/savpf?|srtp|savpf?|encrypt\w*|crypto|secure)\b", re.IGNORECASE)
_AUDIO_LINE = re.compile(rb"^m=audio [0-9]+ ([A-Z/]+) ", re.MULTILINE)

_ENDINGS: Mapping[int, EndReason] = {
    401: EndReason.TRUNK_AUTH_FAILED,
    404: EndReason.CALLEE_UNKNOWN,
    407: EndReason.TRUNK_AUTH_FAILED,
    408: EndReason.NO_ANSWER,
    410: EndReason.CALLEE_UNKNOWN,
    480: EndReason.NO_ANSWER,
    484: EndReason.CALLEE_UNKNOWN,
    486: EndReason.CALLEE_BUSY,
    487: EndReason.NO_ANSWER,
    488: EndReason.NO_COMMON_CODEC,
    600: EndReason.CALLEE_BUSY,
    604: EndReason.CALLEE_UNKNOWN,
    606: EndReason.NO_COMMON_CODEC,
}
"""What final responses say of the one who was called; others of 4xx and 6xx are a refusal, the rest the trunk's."""

_KINDS: Mapping[EndReason, OutcomeKind] = {
    EndReason.CALLEE_BUSY: "busy",
    EndReason.CALLEE_REFUSED: "refused",
    EndReason.CALLEE_UNKNOWN: "refused",
    EndReason.NO_ANSWER: "no_answer",
    EndReason.DIAL_CANCELLED: "cancelled",
    EndReason.GATEWAY_SHUTDOWN: "cancelled",
}


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a call out came to, once and for all.

    `status` and `reason` are the trunk's final response, None and empty where none came; `q850` is the cause in its
    Reason header, or else what its status stands for. `end_reason` and `detail` say the same as the record does, with
    `hint` on what to change; of a call that was answered they are empty: it goes on.
    """

    kind: OutcomeKind
    status: int | None = None
    reason: str = ""
    q850: int | None = None
    causes: tuple[EndCause, ...] = field(default=())
    end_reason: str = ""
    detail: str = ""
    hint: str = ""


@dataclass(frozen=True, slots=True)
class NotPlaced:
    """Nobody was called. `code` is a slug of the gate, of a limit, or of an end reason; the record says the same."""

    call_id: CallId
    code: str
    outcome: Outcome
    retry_after: int | None = None


def kind_of(reason: EndReason) -> OutcomeKind:
    """The word for a call that was never answered and ended so."""
    return _KINDS.get(reason, "failed")


def ending_of(response: Response, *, has_login: bool, srtp: Policy = "off") -> tuple[EndReason, str]:
    """Why a call ended that got this final response, and in which words. `srtp` is that of the trunk."""
    status = response.status
    said = f"{status} {printable(response.reason or reason_phrase(status))}"[:_LONGEST_DETAIL]
    if 300 <= status < 400:
        # Where it points to is not ours to follow: nobody has judged whether it may be dialled.
        return EndReason.TRUNK_FAILED, f"{said}: the trunk names another address, and calls out don't go elsewhere"
    if status in (401, 407) and not has_login:
        return EndReason.TRUNK_AUTH_FAILED, f"{said}: it wants a `username` and a `password`, and the trunk has none"
    known = _ENDINGS.get(status)
    if known is EndReason.NO_COMMON_CODEC:
        return _media_refused(response, said, srtp)
    if known is None:
        known = EndReason.TRUNK_FAILED if status // 100 == 5 else EndReason.CALLEE_REFUSED
    return known, said


def _media_refused(response: Response, said: str, srtp: Policy) -> tuple[EndReason, str]:
    """What the other side does not take of our offer: how it is encrypted, or the codecs (RFC 3261 21.4.26)."""
    warnings = ", ".join(printable(value) for value in response.headers.get_all("Warning")[:_MAX_WARNINGS])
    # What it would take stands in the body, if it says so.
    wanted = _AUDIO_LINE.findall(response.body)
    wants_keys = any(b"SAVP" in protocol for protocol in wanted)
    codes = _WARN_CODE.findall(warnings)
    said = f"{said} ({warnings})"[:_LONGEST_DETAIL] if warnings else said
    if srtp == "required":
        if wants_keys or _NO_SUCH_CODEC in codes:
            return EndReason.NO_COMMON_CODEC, said
        return EndReason.SRTP_REFUSED, f'{said}: we offered encrypted audio alone (`srtp = "required"`)'
    words = f"{response.reason} {warnings}"
    if wants_keys or _TRANSPORT_UNFIT in codes or _OF_ENCRYPTION.search(words) is not None:
        return EndReason.SRTP_DEMANDED, f'{said}: our audio need not be encrypted (`srtp = "{srtp}"`)'
    return EndReason.NO_COMMON_CODEC, f"{said}: it takes none of `codecs`, or wants encrypted audio (`srtp`)"


def failure_of(cause: FailureCause, detail: str) -> tuple[EndReason, str]:
    """Why a call ended that never got a final response."""
    words = printable(detail)[:_LONGEST_DETAIL]
    match cause:
        case FailureCause.CANCELLED | FailureCause.CANCEL_TIMEOUT:
            return EndReason.DIAL_CANCELLED, words
        case FailureCause.TIMEOUT:
            return EndReason.TRUNK_UNREACHABLE, words or "nothing came back in 32 s"
        case FailureCause.UNUSABLE:
            # It was reached, and answered.
            return EndReason.TRUNK_FAILED, words or cause.value
        case _:
            return EndReason.TRUNK_UNREACHABLE, words or cause.value


def q850_in(causes: Sequence[EndCause]) -> int | None:
    """The cause by Q.850, if the other side gave one."""
    return next((cause.cause for cause in causes if cause.protocol == "Q.850" and cause.cause is not None), None)
