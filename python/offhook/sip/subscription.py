"""The subscriber's side of one subscription within a dialog: RFC 6665 sections 4.1.2 and 4.4, RFC 3515 section 2.4.

It was made by a request of ours (a REFER makes one without asking for it, RFC 3515 2.4.4) and lives on NOTIFYs. The
first of them may come before the answer to that request.
"""

from enum import Enum

from offhook.sip.headers.event import Event
from offhook.sip.headers.subscription_state import SubscriptionState
from offhook.sip.steps import Steps

LONGEST = 3600.0
"""Seconds that a subscription may be said to last; one that is said to last longer is looked at no longer."""


class State(Enum):
    """RFC 6665 figure 1, without what a SUBSCRIBE would need."""

    NOTIFY_WAIT = "notify_wait"
    PENDING = "pending"
    ACTIVE = "active"
    TERMINATED = "terminated"


class Input(Enum):
    """What moves it."""

    NOTIFY_PENDING = "NOTIFY, pending"
    NOTIFY_ACTIVE = "NOTIFY, active"
    NOTIFY_TERMINATED = "NOTIFY, terminated"
    REFUSED = "the request that would have made it was refused"
    EXPIRED = "its time ran out"


TRANSITIONS: dict[tuple[State, Input], State] = {
    (State.NOTIFY_WAIT, Input.NOTIFY_PENDING): State.PENDING,
    (State.NOTIFY_WAIT, Input.NOTIFY_ACTIVE): State.ACTIVE,
    (State.NOTIFY_WAIT, Input.NOTIFY_TERMINATED): State.TERMINATED,
    (State.NOTIFY_WAIT, Input.REFUSED): State.TERMINATED,
    (State.PENDING, Input.NOTIFY_PENDING): State.PENDING,
    (State.PENDING, Input.NOTIFY_ACTIVE): State.ACTIVE,
    (State.PENDING, Input.NOTIFY_TERMINATED): State.TERMINATED,
    (State.PENDING, Input.REFUSED): State.TERMINATED,
    (State.PENDING, Input.EXPIRED): State.TERMINATED,
    # Back from active to pending there is no way; who says so is active still.
    (State.ACTIVE, Input.NOTIFY_PENDING): State.ACTIVE,
    (State.ACTIVE, Input.NOTIFY_ACTIVE): State.ACTIVE,
    (State.ACTIVE, Input.NOTIFY_TERMINATED): State.TERMINATED,
    (State.ACTIVE, Input.REFUSED): State.TERMINATED,
    (State.ACTIVE, Input.EXPIRED): State.TERMINATED,
}

_BY_WORD = {"pending": Input.NOTIFY_PENDING, "terminated": Input.NOTIFY_TERMINATED}


class Subscription(Steps[State, Input]):
    """One subscription. `number` is the CSeq number of the request that makes it."""

    TABLE = TRANSITIONS

    __slots__ = ("_expires_at", "_numbers", "notified", "package", "reason")

    def __init__(self, package: str, number: int) -> None:
        self.package = package
        self.state = State.NOTIFY_WAIT
        self.reason: str | None = None
        """Why it ended, in the peer's word."""
        self.notified = False
        """Whether any NOTIFY came."""
        self._numbers = {number}
        self._expires_at: float | None = None

    @property
    def is_over(self) -> bool:
        """Whether it is gone: 481 to further NOTIFYs."""
        return self.state is State.TERMINATED

    def renumbered(self, number: int) -> None:
        """The request left again under another number, with credentials."""
        self._numbers.add(number)

    def is_meant(self, event: Event) -> bool:
        """Say whether a NOTIFY with this Event is about it.

        RFC 3515 2.4.6: without an `id` it is about the first REFER of the dialog, but peers exist that never write one.
        """
        if event.package != self.package:
            return False
        return event.id is None or event.id in {str(number) for number in self._numbers}

    def receive(self, told: SubscriptionState, now: float) -> None:
        """A NOTIFY came. A word for the state that no RFC knows counts as active (RFC 6665 4.1.3)."""
        self.notified = True
        if told.is_over:
            self.reason = told.reason
        self._step(_BY_WORD.get(told.state, Input.NOTIFY_ACTIVE))
        self._expires_at = None
        if told.expires is not None and not self.is_over:
            self._expires_at = now + min(told.expires, LONGEST)

    def refused(self) -> None:
        """The request was refused, or its answer says that there is no subscription (RFC 4488)."""
        self._step(Input.REFUSED)
        self._expires_at = None

    def next_timeout(self) -> float | None:
        """When its time is over."""
        return self._expires_at

    def handle_timeout(self, now: float) -> bool:
        """Whether its time is over now, without a word of the peer."""
        if self._expires_at is None or now < self._expires_at:
            return False
        self._expires_at = None
        return self._step(Input.EXPIRED)
