"""Offer and answer in one dialog: at most one offer is open at a time (RFC 3264 section 4, RFC 3261 13.2.1, RFC 3311).

INVITE, re-INVITE, UPDATE, PRACK and their responses may carry either. All of them ask here.
"""

from enum import Enum

from offhook.sip.steps import Steps


class State(Enum):
    """Whose offer waits for its answer."""

    IDLE = "no offer is open"
    OURS = "ours is open"
    THEIRS = "the peer's is open"


class Input(Enum):
    """What moves it."""

    OFFER_SENT = "offer sent"
    OFFER_RECEIVED = "offer received"
    ANSWER_SENT = "answer sent"
    ANSWER_RECEIVED = "answer received"
    WITHDRAWN = "refused, or given up"


TRANSITIONS: dict[tuple[State, Input], State] = {
    (State.IDLE, Input.OFFER_SENT): State.OURS,
    (State.IDLE, Input.OFFER_RECEIVED): State.THEIRS,
    (State.OURS, Input.ANSWER_RECEIVED): State.IDLE,
    (State.OURS, Input.WITHDRAWN): State.IDLE,
    (State.THEIRS, Input.ANSWER_SENT): State.IDLE,
    (State.THEIRS, Input.WITHDRAWN): State.IDLE,
}


class OfferAnswer(Steps[State, Input]):
    """The open offer of one dialog, and what is in force. A verb that the state does not know returns False."""

    TABLE = TRANSITIONS

    __slots__ = ("_offer", "is_agreed", "local")

    def __init__(self) -> None:
        self.state = State.IDLE
        self.is_agreed = False
        """Whether an offer has been answered, so that there is a session to be changed."""
        self.local: bytes | None = None
        """Our description that is in force: what a refresh repeats, with the same version."""
        self._offer: bytes | None = None

    @property
    def may_offer(self) -> bool:
        """Whether an offer to change the session may leave."""
        return self.state is State.IDLE and self.is_agreed

    def offer(self, sdp: bytes) -> bool:
        """An offer of ours leaves."""
        if not self._step(Input.OFFER_SENT):
            return False
        self._offer = sdp
        return True

    def offered(self) -> bool:
        """An offer of the peer has come."""
        return self._step(Input.OFFER_RECEIVED)

    def answer(self, sdp: bytes) -> bool:
        """Our answer leaves."""
        if not self._step(Input.ANSWER_SENT):
            return False
        self.local = sdp
        self.is_agreed = True
        return True

    def answered(self) -> bool:
        """The answer to ours has come."""
        if not self._step(Input.ANSWER_RECEIVED):
            return False
        self.local, self._offer = self._offer, None
        self.is_agreed = True
        return True

    def withdraw(self) -> bool:
        """The open offer was refused: what was in force before still is (RFC 3261 14.1, RFC 3264 section 8)."""
        self._offer = None
        return self._step(Input.WITHDRAWN)
