"""What a user agent tells the layer above."""

from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from offhook.sip.effects import Source
    from offhook.sip.invite import InviteSession
    from offhook.sip.message import Request, Response
    from offhook.sip.refer import ReferOutcome
    from offhook.sip.referred import Wanted


class FailureCause(Enum):
    """Why a request of ours never got a final response, or none that is of use."""

    TIMEOUT = "timeout"
    """Nobody answered within 64*T1 (timers B and F)."""
    TRANSPORT = "transport"
    """No target could be reached."""
    UNRESOLVED = "unresolved"
    """DNS knows no target."""
    CANCEL_TIMEOUT = "cancel_timeout"
    """Our CANCEL was not followed by a final response within 64*T1 (RFC 3261 9.1)."""
    CANCELLED = "cancelled"
    """We gave up before anything had been sent."""
    UNUSABLE = "unusable"
    """The 2xx to our INVITE leaves no session that could be used; it has been acknowledged, and BYE sent."""
    DIALOG_GONE = "dialog_gone"
    """The peer no longer knows the dialog (481, or 408, to a request within it)."""


@dataclass(frozen=True, slots=True)
class InviteReceived:
    """A new INVITE of an admitted peer; 100 has left. `peer` is what the screen admitted it as, `user` who has proven
    to send it by digest, if anybody had to."""

    session: "InviteSession"
    request: "Request"
    source: "Source"
    peer: object
    user: str | None = None


@dataclass(frozen=True, slots=True)
class InviteRefused:
    """An admitted peer's INVITE was refused by the protocol itself (400, 415, 420, 482, 483): there is no session.

    `repeated` if it is the verdict of an earlier copy of it, given again. `detail` says what was wrong, where known.
    """

    request: "Request"
    response: "Response"
    source: "Source"
    peer: object
    repeated: bool = False
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Acknowledged:
    """The ACK to a 2xx of ours. With `answers` that 2xx carried our offer, and `body` is the answer, empty for none."""

    session: "InviteSession"
    body: bytes
    answers: bool


@dataclass(frozen=True, slots=True)
class AckMissing:
    """No ACK came within 64*T1; BYE has been sent (RFC 3261 13.3.1.4)."""

    session: "InviteSession"


@dataclass(frozen=True, slots=True)
class Pracked:
    """A PRACK to a reliable 1xx of ours; 200 has been sent. `answers`: its SDP has to answer the offer in that."""

    session: "InviteSession"
    request: "Request"
    answers: bool


@dataclass(frozen=True, slots=True)
class PrackOffered:
    """A PRACK to the answer in a reliable 1xx of ours offers a change; answer with `answer_prack`."""

    session: "InviteSession"
    request: "Request"


@dataclass(frozen=True, slots=True)
class PrackMissing:
    """No PRACK came within 64*T1; the INVITE has been refused with 504 (RFC 3262 section 3)."""

    session: "InviteSession"


@dataclass(frozen=True, slots=True)
class AnswerLeft:
    """The 200 that had to wait for a PRACK has left."""

    session: "InviteSession"


@dataclass(frozen=True, slots=True)
class Cancelled:
    """The caller gave up before the answer: by CANCEL, or by an Expires that ran out. 487 has been sent."""

    session: "InviteSession"
    request: "Request"


@dataclass(frozen=True, slots=True)
class Reinvited:
    """The peer wants to change the media session; answer with `answer_reinvite` or `reject_reinvite`.

    `request` is a re-INVITE, or an UPDATE with an offer (then perhaps before the answer to the INVITE). A re-INVITE
    without SDP asks for our offer.
    """

    session: "InviteSession"
    request: "Request"


@dataclass(frozen=True, slots=True)
class ReinviteAnswered:
    """Our re-INVITE or UPDATE was accepted; ACK has been sent unless the 2xx carries an offer (then `acknowledge`).

    `is_refresh`: it was one of the session itself (RFC 4028), which offered what was in force anyway.
    """

    session: "InviteSession"
    response: "Response"
    is_refresh: bool = False


@dataclass(frozen=True, slots=True)
class ReinviteRefused:
    """Our re-INVITE or UPDATE was refused or never answered (`response` is None); the session goes on as before."""

    session: "InviteSession"
    response: "Response | None"


@dataclass(frozen=True, slots=True)
class ByeReceived:
    """The peer ended the session; 200 has been sent."""

    session: "InviteSession"
    request: "Request"


@dataclass(frozen=True, slots=True)
class SessionTimed:
    """A 2xx has begun the session's interval anew (RFC 4028), or has ended it: `interval` (seconds) is None then.

    `method` is what it answers, `ours` whether that was a request of ours, `by_us` whether we refresh from now on.
    """

    session: "InviteSession"
    method: str
    ours: bool
    interval: int | None
    by_us: bool


@dataclass(frozen=True, slots=True)
class SessionExpired:
    """Nobody has refreshed the session in time; BYE has been sent (RFC 4028 section 10). `why` says it in words."""

    session: "InviteSession"
    why: str


@dataclass(frozen=True, slots=True)
class InfoReceived:
    """An INFO within the dialog (RFC 6086); answer with `answer_info`."""

    session: "InviteSession"
    request: "Request"


@dataclass(frozen=True, slots=True)
class Replied:
    """The end of a request of ours within the dialog (`InviteSession.ask`), whose `token` it has.

    `response` is None when none came. A 481 has ended the session, too, unless it was of another usage (RFC 5057 5.1).
    """

    session: "InviteSession"
    method: str
    token: object
    response: "Response | None"
    cause: FailureCause | None


@dataclass(frozen=True, slots=True)
class ReferProgress:
    """Our REFER was accepted with `status`, or (`is_report`) its target has answered with the 1xx `status` so far."""

    session: "InviteSession"
    status: int
    reason: str
    is_report: bool


@dataclass(frozen=True, slots=True)
class ReferOver:
    """The one end of our REFER. The session goes on, unless it has ended itself."""

    session: "InviteSession"
    outcome: "ReferOutcome"


@dataclass(frozen=True, slots=True)
class ReferLate:
    """The peer reports success for a REFER whose time was up: it is `status` all the same."""

    session: "InviteSession"
    status: int
    reason: str


@dataclass(frozen=True, slots=True)
class ReferReceived:
    """The peer asks us to call somebody else (RFC 3515), which was refused with `status`.

    Where that is None it waits for `answer_refer`, and `wanted` says what is asked for.
    """

    session: "InviteSession"
    request: "Request"
    status: int | None
    wanted: "Wanted | None" = None


@dataclass(frozen=True, slots=True)
class Provisional:
    """A 1xx to our INVITE; 100 is not told. Forks differ in the To tag."""

    session: "InviteSession"
    response: "Response"


@dataclass(frozen=True, slots=True)
class Answered:
    """Our INVITE was accepted; ACK has been sent unless the 2xx carries the offer (then `acknowledge`)."""

    session: "InviteSession"
    response: "Response"


@dataclass(frozen=True, slots=True)
class Refused:
    """Our INVITE got a final response other than 2xx; 487 follows our own CANCEL."""

    session: "InviteSession"
    response: "Response"


@dataclass(frozen=True, slots=True)
class Failed:
    """Our INVITE, or an established session, failed without a response, or with one that no session can be made of.

    `detail` is what the network said, or what is wrong with the response.
    """

    session: "InviteSession"
    cause: FailureCause
    detail: str = ""


@dataclass(frozen=True, slots=True)
class HungUp:
    """Our BYE is over: answered with `response`, or None when nobody answered it. The session is at its end.

    `detail` is what the network said where it could not be sent.
    """

    session: "InviteSession"
    response: "Response | None"
    detail: str = ""


@dataclass(frozen=True, slots=True)
class SessionFailed:
    """A fault of ours ended this session (500 or BYE has been sent); every other session goes on."""

    session: "InviteSession"
    exception: Exception


@dataclass(frozen=True, slots=True)
class OptionsAnswered:
    """The end of an OPTIONS of ours: any final response shows a living peer, `response` is None when none came."""

    token: object
    response: "Response | None"
    cause: FailureCause | None
    detail: str = ""


SessionEvent: TypeAlias = (
    InviteReceived
    | Acknowledged
    | AckMissing
    | Pracked
    | PrackOffered
    | PrackMissing
    | AnswerLeft
    | Cancelled
    | Reinvited
    | ReinviteAnswered
    | ReinviteRefused
    | SessionTimed
    | SessionExpired
    | ByeReceived
    | InfoReceived
    | Replied
    | ReferProgress
    | ReferOver
    | ReferLate
    | ReferReceived
    | Provisional
    | Answered
    | Refused
    | Failed
    | HungUp
    | SessionFailed
)
Event: TypeAlias = SessionEvent | InviteRefused | OptionsAnswered
