"""A transfer that the gateway does by itself: it calls the target and joins the two calls, where REFER is of no use.

    REFER ── refused, unknown, silent ──► the target is called ── answers ──► it has the call in the agent's place
                                                └─ busy, no answer, refused ──► the agent has it as before

The person who is wanted and says no, or does not answer, has been asked: nobody is called twice for one transfer.
"""

from collections.abc import Mapping

from offhook.call.agent_side import AgentSide, Engagement
from offhook.call.end_reason import EndReason
from offhook.call.joined.bridge import NotJoined
from offhook.call.joined.bridging import Bridging
from offhook.call.out.outcome import OutcomeKind
from offhook.call.transfers.transfer_target import Target
from offhook.destination.base import (
    AgentLost,
    Destination,
    DestinationEvent,
    OtherCallEnded,
    TransferEnd,
    TransferResult,
)
from offhook.errors import DestinationError
from offhook.route.destination_uri import DestinationUri, DialUri
from offhook.sip.refer import Ending, ReferOutcome

_PERSON_SAID_NO = frozenset({408, 480, 486, 487, 600, 603, 607, 608})
"""What is reported of a target that was reached: busy, away, not willing."""

_SESSION_GONE = 481

_OUTCOMES: Mapping[OutcomeKind, TransferEnd] = {"busy": "busy", "no_answer": "no_answer"}


def may_call(outcome: ReferOutcome) -> bool:
    """Whether a REFER that ended so leaves it open that the gateway calls the target itself."""
    match outcome.ending:
        case Ending.REFUSED:
            return outcome.status != _SESSION_GONE
        case Ending.FAILED:
            return outcome.status not in _PERSON_SAID_NO
        case Ending.UNANSWERED | Ending.NOT_TRIED:
            return True
        case Ending.TIMED_OUT:
            # Once it has rung there, somebody was asked.
            return outcome.last in (None, 100)
        case _:
            return False


class DirectTransfer:
    """The target of one transfer, called by the gateway: the agent that takes the call once it has answered."""

    __slots__ = ("_agent", "_bridging", "_engagement", "call_id")

    def __init__(self, agent: AgentSide, bridging: Bridging) -> None:
        self._agent, self._bridging = agent, bridging
        self._engagement: Engagement | None = None
        self.call_id = ""
        """The call to the target, once it is placed."""

    @property
    def is_open(self) -> bool:
        """Whether the target is being called."""
        return self._engagement is not None

    def serves(self, destination: Destination) -> bool:
        """Whether this is the target, which does not have the call yet."""
        return self._engagement is not None and self._engagement.destination is destination

    def begin(
        self, target: Target, asked_by: DestinationUri | None, headers: tuple[tuple[str, str], ...], timeout: float
    ) -> None:
        """Call the target; `prepared` says what came of it. It may ring for `timeout` seconds."""
        assert self._engagement is None, "one at a time"
        self.call_id = ""
        uri = DialUri(target.name)
        self._engagement = self._agent.ask(
            uri,
            ready_within=timeout,
            make=lambda _, listener, *, ready_within: self._bridging.onward(
                uri, listener, ready_within=ready_within, asked_by=asked_by, headers=headers, is_transfer=True
            ),
        )

    def failed(self, error: DestinationError) -> TransferResult:
        """Nobody has taken the call there."""
        self.give_up(EndReason.CALLEE_REFUSED.slug)
        if not isinstance(error, NotJoined):
            return TransferResult("refused", None, str(error), error.hint, way="bridge", call_id=self.call_id)
        outcome = error.outcome
        said = f"{outcome.status} {outcome.reason}".rstrip() if outcome.status is not None else outcome.detail
        self.call_id = error.call_id
        ending = _OUTCOMES.get(outcome.kind, "refused")
        return TransferResult(ending, outcome.status, said, outcome.hint, way="bridge", call_id=error.call_id)

    def told(self, event: DestinationEvent) -> TransferResult | None:
        """The target says something before it has the call: a result if that is its end."""
        match event:
            case AgentLost(error):
                return self.failed(error)
            case OtherCallEnded(_, detail):
                self.give_up(EndReason.CALLEE_REFUSED.slug)
                why = f"it was answered, and ended at once ({detail})"
                return TransferResult("refused", None, why, way="bridge", call_id=self.call_id)
            case _:
                return None

    def take(self) -> Engagement:
        """The target has answered: it is the call's agent from now on."""
        engagement, self._engagement = self._engagement, None
        assert engagement is not None, "it was called"
        return engagement

    def give_up(self, reason: str) -> None:
        """Call it no longer; `reason` is the slug of an end reason. May be repeated."""
        engagement, self._engagement = self._engagement, None
        if engagement is not None:
            engagement.let_go(reason)
