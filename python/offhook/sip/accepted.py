"""A 2xx of ours that waits for its ACK: RFC 3261 13.3.1.4. It is repeated by the core, over every transport."""

from enum import Enum

from offhook.sip.message import Response
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


class AcceptedInvite:
    """The intervals of one 2xx: T1, doubled up to T2, until 64*T1 have passed."""

    __slots__ = ("_deadline", "_interval", "_repeat_at", "_t2", "carries_offer", "response", "state", "transaction")

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
        self._interval = timers.t1
        self._t2 = timers.t2
        self._repeat_at = now + timers.t1
        self._deadline = now + timers.transaction

    def acknowledge(self) -> bool:
        """An ACK came; False when it is a repetition."""
        return self._step(Input.ACK)

    def next_timeout(self) -> float | None:
        """When to call `handle_timeout`."""
        return min(self._repeat_at, self._deadline) if self.state is State.WAITING else None

    def handle_timeout(self, now: float) -> bool:
        """Whether the 2xx is to be sent again; the state says when the ACK counts as missing."""
        if self.state is not State.WAITING:
            return False
        if now >= self._deadline:
            self._step(Input.DEADLINE)
            return False
        if now < self._repeat_at:
            return False
        self._interval = min(2 * self._interval, self._t2)
        self._repeat_at += self._interval
        return True

    def _step(self, step: Input) -> bool:
        after = TRANSITIONS.get((self.state, step))
        if after is None:
            return False
        self.state = after
        return True
