"""A REFER of ours and what becomes of it: RFC 3515, with RFC 4488 (no reports) and RFC 5589 (transfer).

What its peers do differs more than the RFCs say, so one table sorts all of it into an end:

- Reports come (NOTIFY with a fragment): the first final status is the end, whatever else is said.
- The peer accepts and reports nothing more: it may have told us not to expect any (`Refer-Sub: false`), may end the
  subscription with a `100` (the least that RFC 3515 2.4.5 asks for), or may never send a NOTIFY. Such a peer has one
  way to say that it succeeded: it ends our session. So its BYE is success that nobody confirmed.
- It reports, and its BYE comes before the final report. Who tells of ringing would have told of the answer, so the
  caller has given up. But the two may overtake each other on UDP, and the subscription outlives the session (RFC 5057
  5.5): the report has a moment to come.
- Nothing comes at all until the time is up: nobody knows, and the session goes on. A report of success that comes
  later is told as such. Who has another way to go waits less long for a peer that is silent than for one that rings.
"""

from dataclasses import dataclass
from enum import Enum

from offhook.sip.events import FailureCause
from offhook.sip.headers.subscription_state import SubscriptionState
from offhook.sip.message import Response
from offhook.sip.sipfrag import Fragment
from offhook.sip.steps import Steps
from offhook.sip.subscription import Subscription
from offhook.sip.timers import earliest

REPORT_AFTER_BYE = 1.0
"""Seconds that the final report may come behind the peer's BYE."""

AT_ONCE = 2.0
"""A BYE so soon after the 202 is a peer that took over and left: so fast no caller gives up."""

NO_HOPE = frozenset({"rejected", "giveup"})
"""Reasons for a subscription's end that say that nothing will be tried."""


class State(Enum):
    """Where it is."""

    TRYING = "trying"
    REPORTING = "reporting"
    UNREPORTED = "unreported"
    LEFT = "left"
    """The peer has ended the session; a last report is awaited."""
    OVER = "over"


class Input(Enum):
    """What moves it."""

    ACCEPTED = "2xx to the REFER"
    NO_REPORTS = "no (more) reports will come"
    BYE = "the session was ended by the peer"
    END = "its end is known"


TRANSITIONS: dict[tuple[State, Input], State] = {
    (State.TRYING, Input.ACCEPTED): State.REPORTING,
    # NOTIFY may overtake the 202 (RFC 6665 4.1.2.4).
    (State.TRYING, Input.NO_REPORTS): State.UNREPORTED,
    (State.TRYING, Input.BYE): State.LEFT,
    (State.TRYING, Input.END): State.OVER,
    (State.REPORTING, Input.NO_REPORTS): State.UNREPORTED,
    (State.REPORTING, Input.BYE): State.LEFT,
    (State.REPORTING, Input.END): State.OVER,
    (State.UNREPORTED, Input.BYE): State.LEFT,
    (State.UNREPORTED, Input.END): State.OVER,
    (State.LEFT, Input.END): State.OVER,
}


class Ending(Enum):
    """How it ended, as the wire says it."""

    SUCCEEDED = "the peer reports success"
    HANDED_OVER = "the peer accepted, reported no end, and ended the session"
    FAILED = "the peer reports a failure"
    REFUSED = "the REFER was refused"
    NOT_TRIED = "the peer ended the subscription without trying"
    UNANSWERED = "nobody answered the REFER"
    LEFT = "the session was ended while it was being tried"
    TIMED_OUT = "the time was up"
    ABANDONED = "we ended the session"


@dataclass(frozen=True, slots=True)
class ReferOutcome:
    """The one end of a REFER. `status` is the final one, of the target or of the REFER itself, None if none came.

    `last` is the last status that was reported before, `detail` what the network said of a REFER that nobody answered.
    """

    ending: Ending
    status: int | None = None
    reason: str = ""
    last: int | None = None
    detail: str = ""


class OutboundRefer(Steps[State, Input]):
    """One REFER: its answer, its reports, its time. `timeout` is in seconds, from its sending to its end.

    So is `silence`, the time after which it is given up where no more than a `100` was reported.
    """

    TABLE = TRANSITIONS

    __slots__ = ("_accepted_at", "_deadline", "_left_by", "_silent_until", "last", "number", "outcome", "subscription")

    def __init__(self, number: int, timeout: float, now: float, silence: float | None = None) -> None:
        self.number = number
        """Its CSeq number, as it was first sent."""
        self.subscription = Subscription("refer", number)
        self.state = State.TRYING
        self.outcome: ReferOutcome | None = None
        self.last: Fragment | None = None
        """The last report of how it is going."""
        self._deadline: float | None = now + timeout
        self._silent_until = None if silence is None else now + silence
        self._accepted_at: float | None = None
        self._left_by: Ending | None = None

    @property
    def is_over(self) -> bool:
        """Whether its end is known. The subscription may outlive it."""
        return self.state is State.OVER

    def answered(self, response: Response, now: float) -> None:
        """The final response to it."""
        if not response.is_success:
            self.subscription.refused()
            if self._left_by is not None:
                self._end(self._left_by, None)
            self._end(Ending.REFUSED, Fragment(response.status, response.reason))
            return
        self._accepted_at = now
        if self._left_by is Ending.LEFT and not self.subscription.notified:
            # Its BYE has overtaken its 202.
            self._left_by = Ending.HANDED_OVER
        if (response.headers.get("Refer-Sub") or "").strip(" \t").lower().startswith("false"):
            self.subscription.refused()
        self._step(Input.ACCEPTED)
        if self.subscription.is_over:
            self._step(Input.NO_REPORTS)

    def unanswered(self, cause: FailureCause, why: str) -> None:
        """No final response came."""
        self.subscription.refused()
        self._end(Ending.UNANSWERED, None, why or cause.value)

    def notified(self, told: SubscriptionState, fragment: Fragment | None, now: float) -> bool:
        """A NOTIFY of its subscription. True if it says that we were too impatient: success, after the time was up."""
        self.subscription.receive(told, now)
        if fragment is not None and not fragment.is_final:
            self.last = fragment
            if fragment.status > 100:
                self._silent_until = None
        if fragment is not None and fragment.is_final:
            is_success = fragment.status < 300
            if self.is_over:
                return is_success and self.outcome is not None and self.outcome.ending is Ending.TIMED_OUT
            self._end(Ending.SUCCEEDED if is_success else Ending.FAILED, fragment)
        elif self.subscription.is_over and self.subscription.reason in NO_HOPE:
            self._end(Ending.NOT_TRIED, None)
        elif self.subscription.is_over:
            self._step(Input.NO_REPORTS)
        return False

    def session_ended(self, now: float) -> None:
        """The peer's BYE came: what does that say?"""
        if self.is_over or self._left_by is not None:
            return
        self._left_by = self._said_by_bye(now)
        self._step(Input.BYE)
        self._deadline, self._silent_until = now + REPORT_AFTER_BYE, None

    def abandon(self) -> None:
        """We end the session."""
        if not self.is_over:
            self._end(Ending.ABANDONED, None)

    def next_timeout(self) -> float | None:
        """When to call `handle_timeout`."""
        return earliest(self._deadline, self._silent_until, self.subscription.next_timeout())

    def handle_timeout(self, now: float) -> None:
        """Give up what is too late."""
        if self.subscription.handle_timeout(now) and not self.is_over:
            self._step(Input.NO_REPORTS)
        if any(at is not None and now >= at for at in (self._deadline, self._silent_until)):
            self._end(self._left_by or Ending.TIMED_OUT, None)

    def _said_by_bye(self, now: float) -> Ending:
        if self.state is State.TRYING and not self.subscription.notified:
            # The two have crossed: it never said that it would try.
            return Ending.LEFT
        if self.state is State.UNREPORTED or not self.subscription.notified:
            return Ending.HANDED_OVER
        only_tried = self.last is None or self.last.status == 100
        at_once = self._accepted_at is None or now - self._accepted_at <= AT_ONCE
        return Ending.HANDED_OVER if only_tried and at_once else Ending.LEFT

    def _end(self, ending: Ending, said: Fragment | None, detail: str = "") -> None:
        if not self._step(Input.END):
            return
        self._deadline = self._silent_until = None
        before = self.last.status if self.last is not None else None
        status, reason = (said.status, said.reason) if said is not None else (None, "")
        self.outcome = ReferOutcome(ending, status, reason, before, detail)
