"""Two calls that are one to those who speak in them: each has the other as its agent.

    first call ── Onward ──► second call, which its `prepare` places and its `close` gives up
    first call ◄── Back ──── second call

So all that a call knows how to do with an agent goes for a person, too: the caller hears ringing until somebody has
answered, a fallback follows who is busy, a recording has both. What one side does is told to the other as what an agent
asks for: hold is a hold, an end an end, with the causes that were given. Sound and keys never pass here: the media core
joins the two legs.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

from offhook._media import MediaError
from offhook.call.end_reason import EndReason
from offhook.call.event import HangUp, Referring
from offhook.call.out.outcome import NotPlaced, Outcome, OutcomeKind
from offhook.call.out.wish import Wish
from offhook.call.services import CallServices
from offhook.call.transfers.transfer_target import NoTarget, Target
from offhook.destination.base import (
    AgentAudio,
    AgentLost,
    AgentNote,
    AgentVariables,
    AnsweredBy,
    Destination,
    DestinationEvent,
    DestinationListener,
    DigitsState,
    GreetingOver,
    HandOverResult,
    HoldAction,
    HoldAsked,
    Holder,
    HolderPlays,
    HoldFailure,
    OtherCall,
    OtherCallEnded,
    TransferAsked,
    TransferEnd,
    TransferResult,
)
from offhook.destination.dialect.facts import AgentFacts, EndCause
from offhook.errors import DestinationError
from offhook.ids import CallId
from offhook.media.bridge import Bridge
from offhook.media.leg import RtpLeg
from offhook.route.destination_uri import DialUri

if TYPE_CHECKING:
    from offhook.call.out.outbound import OutboundCall

_TOLD = frozenset({404, 408, 410, 480, 484, 486, 488, 600, 603, 604, 606, 607, 608})
"""Refusals of who was called that mean the same to who calls. What a trunk says of us (401, 403, 503) does not."""


_TRANSFERS: Mapping[TransferEnd, OutcomeKind] = {
    "completed": "answered",
    "busy": "busy",
    "no_answer": "no_answer",
    "timed_out": "no_answer",
    "refused": "refused",
    "caller_gone": "cancelled",
}


class _Between:
    """What neither side of a bridge has a use for: nobody speaks, asks or is told on a wire."""

    def rerouted(self, facts: AgentFacts) -> None:
        """Nobody was told."""

    def answered_by(self, told: AnsweredBy | GreetingOver) -> None:
        """Whoever is joined hears for himself."""

    def played(self, mark: str) -> None:
        """No sound is queued here."""

    def digits_masked(self, state: DigitsState) -> None:
        """Nobody asks for that."""

    def recording(self, state: str, at_ms: int) -> None:
        """Nobody asks for that."""

    def transferred(self, result: TransferResult) -> None:
        """Nobody asks for that."""

    def handed_over(self, result: HandOverResult) -> None:
        """Nobody asks for that."""

    def hold_failed(self, action: HoldAction, code: HoldFailure, status: int | None, message: str) -> None:
        """The one who holds does so all the same; the other hears silence."""

    def stats(self) -> Mapping[str, int]:
        return {}


class NotJoined(DestinationError):
    """The second call came to nothing: `outcome` is what it came to, `call_id` its record."""

    def __init__(self, call_id: CallId, outcome: Outcome) -> None:
        reason = EndReason.of(outcome.end_reason)
        if reason is EndReason.INTERNAL_ERROR:
            # A bug ended that call, and not this one.
            reason = EndReason.PARTNER_LOST
        # What a trunk wants of us is nothing that the caller could give.
        asked_of_us = reason is EndReason.TRUNK_AUTH_FAILED
        status = outcome.status if outcome.status in _TOLD else 502 if asked_of_us else reason.sip_status
        super().__init__(outcome.detail or reason.text, code=reason.slug, sip_status=status, hint=outcome.hint)
        self.call_id, self.outcome = call_id, outcome


class Onward(_Between):
    """The second call, as the destination of the first. `over` is called once it is of no use any more."""

    def __init__(
        self,
        uri: DialUri,
        listener: DestinationListener,
        services: CallServices,
        wish: "Callable[[RtpLeg, AgentFacts, Back], Wish]",
        *,
        judge: Callable[[str], Target | NoTarget],
        answered: Callable[[], None],
        over: Callable[[], None],
    ) -> None:
        self._uri = uri
        self._listener = listener
        self._services = services
        self._wish = wish
        self._judge, self._answered, self._over = judge, answered, over
        self._leg: RtpLeg | None = None
        self._back: Back | None = None
        self._call: OutboundCall | None = None
        self._bridge: Bridge | None = None
        self._is_closed = False

    @property
    def uri(self) -> str:
        return self._uri.redacted

    async def prepare(self, leg: RtpLeg, facts: AgentFacts) -> None:
        self._leg = leg
        self._back = Back(facts.call_id, self)
        placed = await self._services.placing.dial(self._wish(leg, facts, self._back))
        if isinstance(placed, NotPlaced):
            self._tell(OtherCall(placed.call_id))
            raise NotJoined(placed.call_id, placed.outcome)
        self._call = placed
        self._tell(OtherCall(placed.id))
        self._tell(AgentNote(f"call {placed.id} goes out by trunk '{placed.trunk.name}'", {}))
        outcome = await self._watch(placed)
        if outcome.kind != "answered":
            self._call = None
            raise NotJoined(placed.id, outcome)
        self._answered()
        self._tell(AgentNote("answered", {}))

    async def _watch(self, call: "OutboundCall") -> Outcome:
        rang = False
        while not call.decided.done():
            await call.changed()
            if call.rang_at is not None and not rang:
                rang = True
                self._tell(AgentNote("it rings there", {}))
        return call.decided.result()

    def heard(self) -> None:
        """The second call brings sound before its answer."""
        if self._call is not None and not self._call.decided.done():
            self._tell(AgentAudio())

    def speak_early(self) -> None:
        self._join(one_way=True)

    def await_audio(self) -> None:
        # Who has answered will speak: what is waited for is here.
        self._tell(AgentAudio())

    def begin(self) -> None:
        self._join(one_way=False)

    def _join(self, *, one_way: bool) -> None:
        if self._is_closed or self._call is None or self._leg is None:
            return
        try:
            self._bridge = self._services.media.bridge(self._leg, self._call.leg.rtp, one_way=one_way)
        except MediaError as error:
            why = f"the two legs could not be joined: {error}"
            self._tell(AgentLost(DestinationError(why, code="internal_error", retryable=False)))

    def held(self, by: Holder) -> None:
        if by == "caller" and self._back is not None:
            self._back.ask(HoldAsked("hold"))

    def resumed(self, by: Holder, held_ms: int) -> None:
        if by == "caller" and self._back is not None:
            self._back.ask(HoldAsked("resume"))

    def music(self, *, on: bool) -> None:
        """Who speaks in the first call holds, and sends sound all the same: the second one is to hear it."""
        if self._back is not None:
            self._back.ask(HolderPlays(on))

    def ask(self, event: DestinationEvent) -> None:
        """The second call wants something of the first."""
        self._tell(event)

    def judge(self, target: str) -> Target | NoTarget:
        """Whether the one who speaks in the first call may be transferred there."""
        return self._judge(target)

    def transferred(self, result: TransferResult) -> None:
        """A transfer that the second call's side has asked for is decided."""
        if self._call is None:
            return
        outcome = Outcome(_TRANSFERS[result.outcome], result.status, "", detail=result.reason, hint=result.hint)
        self._call.post(Referring(CallId(result.call_id), outcome))

    def ended(self, reason: str, causes: Sequence[EndCause]) -> None:
        """The second call has ended by itself."""
        call = self._call
        if self._is_closed or call is None or call.answered_at is None:
            # Nobody had answered: `prepare` says what came of it.
            return
        self._part()
        why = f" ({call.end_detail})" if call.end_detail else ""
        self._tell(OtherCallEnded(reason, f"call {call.id}: {reason}{why}", tuple(causes)))

    def close(self, reason: str, causes: Sequence[EndCause] = ()) -> None:
        if self._is_closed:
            return
        self._is_closed = True
        call, back = self._call, self._back
        self._part()
        self._over()
        if back is not None:
            back.let_go()
        if call is not None and call.answered_at is None:
            call.post(HangUp(EndReason.DIAL_CANCELLED, f"the call that it was for has ended: {reason}", tuple(causes)))
        elif call is not None:
            call.post(HangUp(across(reason), f"the call that it was joined to has ended: {reason}", tuple(causes)))

    def _part(self) -> None:
        bridge, self._bridge = self._bridge, None
        if bridge is not None:
            bridge.close()
        self._call = self._back = None

    def _tell(self, event: DestinationEvent) -> None:
        if not self._is_closed:
            self._listener(self, event)


class Back(_Between):
    """The first call, as the destination of the second."""

    def __init__(self, call_id: CallId, onward: Onward) -> None:
        self._call_id = call_id
        self._onward: Onward | None = onward
        self._listener: DestinationListener | None = None

    def serve(self, listener: DestinationListener) -> Destination:
        """From now on this call is told what the first one wants."""
        self._listener = listener
        return self

    @property
    def uri(self) -> str:
        return f"call:{self._call_id}"

    async def prepare(self, leg: RtpLeg, facts: AgentFacts) -> None:
        """Who calls waits already."""

    def begin(self) -> None:
        if self._onward is not None:
            self._onward.heard()

    def speak_early(self) -> None:
        """Who calls is heard once somebody has answered."""

    def await_audio(self) -> None:
        """Nobody waits for that."""

    def held(self, by: Holder) -> None:
        if by == "caller" and self._onward is not None:
            self._onward.ask(HoldAsked("hold"))

    def resumed(self, by: Holder, held_ms: int) -> None:
        if by == "caller" and self._onward is not None:
            self._onward.ask(HoldAsked("resume"))

    def music(self, *, on: bool) -> None:
        """Who speaks in the second call holds, and sends sound all the same: the first one is to hear it."""
        if self._onward is not None:
            self._onward.ask(HolderPlays(on))

    def ask(self, event: DestinationEvent) -> None:
        """The first call wants something of the second."""
        if self._listener is not None:
            self._listener(self, event)

    def judge(self, target: str) -> Target | NoTarget:
        """Whether the one who speaks in the first call may be transferred there."""
        return NoTarget("the other call has ended") if self._onward is None else self._onward.judge(target)

    def transfer(self, target: str, referred_by: str | None) -> None:
        """Have the one who speaks in the first call transferred; `Referring` tells the second call what came of it."""
        if self._onward is not None:
            self._onward.ask(TransferAsked(target, referred_by=referred_by))

    def said(self, values: Mapping[str, str]) -> None:
        """The second call's side has said this in headers of its own: the first one's record has it, too."""
        if self._onward is not None:
            self._onward.ask(AgentVariables(values))

    def let_go(self) -> None:
        """The first call has ended, or has somebody else."""
        self._onward = self._listener = None

    def close(self, reason: str, causes: Sequence[EndCause] = ()) -> None:
        onward = self._onward
        self.let_go()
        if onward is not None:
            onward.ended(reason, causes)


def across(reason: str) -> EndReason:
    """Why a call ends whose partner has ended for `reason`: what ends both has one name for both."""
    ended = EndReason.of(reason)
    if ended in _PERSON:
        return EndReason.PARTNER_HUNG_UP
    return ended if ended in _BOTH else EndReason.PARTNER_LOST


_PERSON = frozenset({
    EndReason.CALLER_HUNG_UP, EndReason.CALLEE_HUNG_UP, EndReason.CALLER_CANCELLED, EndReason.PARTNER_HUNG_UP,
    EndReason.TRANSFERRED, EndReason.REFERRED,
})  # fmt: skip
_BOTH = frozenset({
    EndReason.MAX_DURATION, EndReason.LIMIT_OUTBOUND_MINUTES, EndReason.LIMIT_OUTBOUND_SPEND,
    EndReason.ENDED_BY_REQUEST, EndReason.GATEWAY_SHUTDOWN,
})  # fmt: skip


def _are_destinations(onward: Onward, back: Back) -> tuple[Destination, Destination]:
    return onward, back
