"""The states of an INVITE and its session, and what moves them: RFC 3261 sections 9 and 13 to 15."""

from enum import Enum


class State(Enum):
    """Where the session is; the upper ones are the callee's, CALLING to UNACKNOWLEDGED the caller's."""

    RECEIVED = "received"
    RINGING = "ringing"
    ACCEPTED = "accepted"
    CLOSING = "closing"
    CALLING = "calling"
    PROCEEDING = "proceeding"
    CANCELLING = "cancelling"
    UNACKNOWLEDGED = "unacknowledged"
    CONFIRMED = "confirmed"
    ENDING = "ending"
    TERMINATED = "terminated"


class Input(Enum):
    """What moves a session."""

    RING = "ring"
    ANSWER = "answer"
    REJECT = "reject"
    HANG_UP = "hang_up"
    CANCEL = "CANCEL received"
    ACK = "ACK received"
    ACK_MISSING = "no ACK for 64*T1"
    PROVISIONAL = "1xx received"
    SUCCESS = "2xx received"
    SUCCESS_WITH_OFFER = "2xx received to an INVITE without offer"
    ACKNOWLEDGE = "acknowledge"
    FAILURE = "300-699, or no response"
    BYE = "BYE received"
    BYE_DONE = "our BYE is over"


TRANSITIONS: dict[tuple[State, Input], State] = {
    (State.RECEIVED, Input.RING): State.RINGING,
    (State.RECEIVED, Input.ANSWER): State.ACCEPTED,
    (State.RECEIVED, Input.REJECT): State.TERMINATED,
    (State.RECEIVED, Input.HANG_UP): State.TERMINATED,
    (State.RECEIVED, Input.CANCEL): State.TERMINATED,
    (State.RECEIVED, Input.BYE): State.TERMINATED,
    (State.RINGING, Input.RING): State.RINGING,
    (State.RINGING, Input.ANSWER): State.ACCEPTED,
    (State.RINGING, Input.REJECT): State.TERMINATED,
    (State.RINGING, Input.HANG_UP): State.TERMINATED,
    (State.RINGING, Input.CANCEL): State.TERMINATED,
    (State.RINGING, Input.BYE): State.TERMINATED,
    (State.ACCEPTED, Input.ACK): State.CONFIRMED,
    (State.ACCEPTED, Input.ACK_MISSING): State.ENDING,
    # RFC 3261 15: the callee sends no BYE before the ACK.
    (State.ACCEPTED, Input.HANG_UP): State.CLOSING,
    (State.ACCEPTED, Input.BYE): State.TERMINATED,
    (State.CLOSING, Input.ACK): State.ENDING,
    (State.CLOSING, Input.ACK_MISSING): State.ENDING,
    (State.CLOSING, Input.BYE): State.TERMINATED,
    (State.CALLING, Input.PROVISIONAL): State.PROCEEDING,
    (State.CALLING, Input.SUCCESS): State.CONFIRMED,
    (State.CALLING, Input.SUCCESS_WITH_OFFER): State.UNACKNOWLEDGED,
    (State.CALLING, Input.FAILURE): State.TERMINATED,
    (State.CALLING, Input.HANG_UP): State.CANCELLING,
    (State.PROCEEDING, Input.PROVISIONAL): State.PROCEEDING,
    (State.PROCEEDING, Input.SUCCESS): State.CONFIRMED,
    (State.PROCEEDING, Input.SUCCESS_WITH_OFFER): State.UNACKNOWLEDGED,
    (State.PROCEEDING, Input.FAILURE): State.TERMINATED,
    (State.PROCEEDING, Input.HANG_UP): State.CANCELLING,
    (State.CANCELLING, Input.PROVISIONAL): State.CANCELLING,
    # CANCEL and 200 have crossed: ACK, then BYE.
    (State.CANCELLING, Input.SUCCESS): State.ENDING,
    (State.CANCELLING, Input.SUCCESS_WITH_OFFER): State.ENDING,
    (State.CANCELLING, Input.FAILURE): State.TERMINATED,
    (State.UNACKNOWLEDGED, Input.ACKNOWLEDGE): State.CONFIRMED,
    (State.UNACKNOWLEDGED, Input.HANG_UP): State.ENDING,
    (State.UNACKNOWLEDGED, Input.BYE): State.TERMINATED,
    (State.CONFIRMED, Input.ACK_MISSING): State.ENDING,
    (State.CONFIRMED, Input.HANG_UP): State.ENDING,
    (State.CONFIRMED, Input.BYE): State.TERMINATED,
    (State.ENDING, Input.BYE): State.TERMINATED,
    (State.ENDING, Input.BYE_DONE): State.TERMINATED,
}

UNANSWERED = frozenset({State.RECEIVED, State.RINGING})
OVER = frozenset({State.ENDING, State.TERMINATED})
ESTABLISHED = frozenset({State.ACCEPTED, State.UNACKNOWLEDGED, State.CONFIRMED})
