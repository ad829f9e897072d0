"""A 2xx of ours that waits for its ACK: RFC 3261 13.3.1.4. It is repeated by the core, over every transport."""

from enum import Enum

from offhook.sip.message import Response
from offhook.sip.repetition import Repetition
from offhook.sip.steps import Steps
from offhook.sip.timers import TimerValues
from offhook.sip.transaction.invite_server import InviteServerTransaction


class State(Enum):
    """Repeating until somebody acknowledges, or nobody has for 64*T1."""

    WAITING = "waiting"
    ACKNOWLEDGED = "acknowledged"
    MISSING = "missing"


class Input(Enum):
    """What ends the waiting."""

    ACK = "ACK"
    DEADLINE = "64*T1"


TRANSITIONS: dict[tuple[State, Input], State] = {
    (State.WAITING, Input.ACK): State.ACKNOWLEDGED,
    (State.WAITING, Input.DEADLINE): State.MISSING,
}


class AcceptedInvite(Steps[State, Input]):
    """The intervals of one 2xx: T1, doubled up to T2, until 64*T1 have passed."""

    TABLE = TRANSITIONS

    __slots__ = ("_times", "carries_offer", "response", "transaction")

    def __init__(
        self,
        transaction: InviteServerTransaction,
        response: Response,
        timers: TimerValues,
        now: float,
        *,
        carries_offer: bool,
    ) -> None:
        self.transaction = transaction
        self.response = response
        self.carries_offer = carries_offer
        """Whether the INVITE came without an offer, so that the ACK brings the answer."""
        self.state = State.WAITING
        self._times = Repetition(timers, now, longest=timers.t2)

    def acknowledge(self) -> bool:
        """An ACK came; False when it is a repetition."""
        return self._step(Input.ACK)

    def next_timeout(self) -> float | None:
        """When to call `handle_timeout`."""
        return self._times.next_timeout() if self.state is State.WAITING else None

    def handle_timeout(self, now: float) -> bool:
        """Whether the 2xx is to be sent again; the state says when the ACK counts as missing."""
        if self.state is not State.WAITING:
            return False
        if self._times.is_over(now):
            self._step(Input.DEADLINE)
            return False
        return self._times.is_due(now)
