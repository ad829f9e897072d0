"""A call out: an agent that is made ready first, then a called party, whose answer joins the two.

From the answer on it is a call like any other; what differs before is here. The agent is ready when the INVITE leaves,
so whoever picks up is spoken to at once. It hears nothing before the true answer, unless that was wished.
"""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Protocol

from offhook._media import MediaEvent
from offhook.call.call import Call
from offhook.call.end_reason import EndReason
from offhook.call.event import HangUp, Timer
from offhook.call.facts import causes_of
from offhook.call.last_words import BYE_ANSWER_LIMIT
from offhook.call.out.answered_by import MESSAGE_MARK, HangUpOnIt, LeaveMessage, TakeFloor, WhoAnswered
from offhook.call.out.detect import Detect
from offhook.call.out.outbound_leg import CalleeLeg
from offhook.call.out.outcome import Outcome, ending_of, failure_of, kind_of, q850_in
from offhook.call.out.wish import Wish
from offhook.call.services import CallServices
from offhook.call.state import CallInput, CallState
from offhook.destination.base import AnsweredBy, Destination, DestinationListener, GreetingOver
from offhook.destination.dialect.facts import AgentFacts
from offhook.observe.printable import printable
from offhook.report.record import CallDirection
from offhook.report.setup import Milestone, SetUp
from offhook.report.timeline import Timeline
from offhook.route.destination_uri import CallUri, DestinationUri
from offhook.route.table import Route
from offhook.route.trunk import Trunk
from offhook.sip import events as sip
from offhook.sip.causes import q850_of
from offhook.sip.events import FailureCause
from offhook.sip.message import Request, Response
from offhook.sip.session_state import State

_RINGING = (180, 181, 182, 183)
# The machine plays a jitter buffer's worth after our last packet: a BYE at once would cut the last word.
_FAR_END_BUFFER = 0.4

_UNREACHED = (FailureCause.TIMEOUT, FailureCause.TRANSPORT, FailureCause.UNRESOLVED)

_LONGEST_DETAIL = 600


class Permit(Protocol):
    """The gate's word for one call, which counts what it takes. Times are monotonic seconds."""

    def answered(self, now: float) -> None:
        """From now on it costs."""

    def time_left(self, now: float) -> tuple[float, str] | None:
        """Seconds that the call may go on, and the limit that ends it; None without one."""

    def used_up(self) -> str:
        """Whose limit has left no time, in words."""

    def release(self, now: float) -> None:
        """The call is over. May be repeated."""


class OutboundCall(Call):
    """One call out, from the wish to its end reason. `await run(invite)` is its whole life."""

    __slots__ = ("_changed", "_permit", "_wish", "answerer", "decided", "elsewhere", "tried")

    direction: CallDirection = "outbound"
    _answer_milestone: Milestone = "picked_up"
    leg: CalleeLeg

    def __init__(
        self,
        facts: AgentFacts,
        leg: CalleeLeg,
        trunk: Trunk,
        route: Route,
        timeline: Timeline,
        set_up: SetUp,
        services: CallServices,
        *,
        arrived_at: float,
        wish: Wish,
        permit: Permit,
    ) -> None:
        super().__init__(facts, leg, trunk, route, timeline, set_up, services, arrived_at=arrived_at)
        self._wish = wish
        if wish.joined is not None:
            self.bridging.for_ = wish.joined.call_id
        self.referral.begun, self.referral.key = wish.begun, wish.key
        self.bridging.key = wish.key
        if wish.begun is not None:
            self.agent.history.begin(wish.begun.history)
            before = wish.begun.account
            self._note(f"goes on for call {before['call_id']}: {before['by']} referred us to {before['to']}")
        self._permit = permit
        self.elsewhere: Callable[[OutboundCall, str], bool] = lambda call, why: False
        """Has another trunk asked, of which `rerouted` tells; False if there is none."""
        self.tried: Sequence[str] = ()
        """Which targets have failed, and why."""
        self._changed = asyncio.Event()
        self.answerer = WhoAnswered(self._detect_by(trunk), leg, self._tell_agent, self._note)
        """Who has answered, where that was to be told."""
        self.decided: asyncio.Future[Outcome] = asyncio.get_running_loop().create_future()
        """What the call came to; known at the answer, or at its end without one."""

    def _detect_by(self, trunk: Trunk) -> Detect | None:
        return self._wish.detect.by(trunk) if self._wish.detect is not None else None

    def _make_destination(
        self, uri: DestinationUri, listener: DestinationListener, *, ready_within: float
    ) -> Destination:
        if self._wish.joined is not None and isinstance(uri, CallUri):
            return self._wish.joined.make(listener)
        return super()._make_destination(uri, listener, ready_within=ready_within)

    async def changed(self) -> None:
        """Wait until it has come further: another state, or ringing."""
        await self._changed.wait()

    def give_up(self, why: str) -> None:
        """Whoever wished the call wants it no longer: CANCEL, or BYE once it is answered."""
        self.post(HangUp(EndReason.DIAL_CANCELLED if self.answered_at is None else EndReason.ENDED_BY_REQUEST, why))

    # -- the steps of the set-up

    async def _arrive(self, request: Request) -> None:
        self._move(CallInput.PREPARE)
        self._furnish()
        begun = self._wish.begun
        self.agent.engage(self._route.destination, begun.handed_over if begun is not None else None)

    def _agent_takes_call(self) -> None:
        """The agent is ready: now somebody may be called."""
        self._timers.disarm("ring_timeout")
        if self.state is not CallState.PREPARING:
            return
        self._move(CallInput.DIAL)
        self.set_up.reach("dialled", self._services.now())
        self._timers.arm("ring_timeout", self._wish.ring_timeout)
        session = self.leg.session
        self._services.perform(lambda now: session.place(now=now))

    def _take_time_up(self, timer: Timer) -> None:
        if timer == "ring_timeout" and self.state is CallState.CALLING:
            self._timers.ran_out(timer)
            rang = "it rang" if self.rang_at is not None else "it did not even ring"
            self._end(EndReason.NO_ANSWER, f"{rang}, and nobody answered within {self._wish.ring_timeout:g} s")
        elif timer == "budget":
            self._timers.ran_out(timer)
            self._watch_budget()
        elif timer == "message":
            self._end(EndReason.MESSAGE_LEFT, "the message has left whole")
        elif timer == "max_duration":
            self._end(EndReason.MAX_DURATION, f"the call reached its {self._longest:g} s")
        else:
            super()._take_time_up(timer)

    @property
    def _longest(self) -> float:
        return min(self.trunk.max_duration, self._wish.max_duration or self.trunk.max_duration)

    def _watch_budget(self) -> None:
        """A call may use up what its key, agent or trunk has for the day."""
        left = self._permit.time_left(self._services.now())
        if left is None:
            return
        seconds, limit = left
        if seconds <= 0:
            self._end(EndReason.of(limit), self._permit.used_up())
        else:
            self._timers.arm("budget", seconds)

    # -- what the other side says

    def _take_sip(self, event: sip.SessionEvent) -> None:
        if event.session is not self.leg.session:
            # Of a trunk that was left.
            return
        match event:
            case sip.Provisional(_, response):
                self._rang(response)
            case sip.Answered(_, response):
                self._picked_up(response)
            case sip.Refused(_, response):
                self._refused(response)
            case sip.Failed(_, cause, detail) if self.answered_at is None:
                if cause not in _UNREACHED or not self._goes_elsewhere(detail or cause.value):
                    reason, why = failure_of(cause, detail)
                    self._end(reason, self._with_tries(self.tried[0] if len(self.tried) == 1 else why))
            case _:
                super()._take_sip(event)

    def _rang(self, response: Response) -> None:
        if self.state is not CallState.CALLING:
            return
        now = self._services.now()
        if self.rang_at is None and response.status in _RINGING:
            self.rang_at = now
            self.set_up.reach("alerted", now)
            self._tell_change()
        before = self.leg.forks
        listens = self._wish.early_media
        is_heard = self._services.perform(lambda at: self.leg.rang(response, at, listen=listens))
        if self.leg.forks > max(1, before):
            self._note(f"the call forks: {self.leg.forks} phones ring")
        if is_heard:
            self.answerer.listen(early=True)
        if is_heard and self.agent.is_ready:
            self._begin()

    def _picked_up(self, response: Response) -> None:
        if self.state is not CallState.CALLING:
            return
        self._timers.disarm("ring_timeout")
        refused = self._services.perform(lambda now: self.leg.picked_up(response, now))
        self._hear_variables(response)
        if refused is not None:
            self._end(refused.reason, refused.detail)
            return
        self._answered()
        self._timers.arm("max_duration", self._longest)
        self._permit.answered(self._services.now())
        self.answerer.listen(early=False)
        self._watch_budget()
        if not self.decided.done():
            self.decided.set_result(Outcome("answered", response.status, printable(response.reason), 16))
        if self.agent.is_ready:
            self._begin()
        self._settle_hold()

    def _refused(self, response: Response) -> None:
        if response.status == 503 and self._goes_elsewhere(f"503 {printable(response.reason)}"):
            return
        self.causes = causes_of(response)
        self._hear_variables(response)
        has_login = self.leg.session.credentials is not None
        reason, detail = ending_of(response, has_login=has_login, srtp=self.trunk.srtp)
        said = ", ".join(map(str, self.causes))
        detail = self._with_tries(detail) if response.status == 503 else detail
        self._end(reason, (f"{detail}; {said}" if said else detail) + self.answerer.hint)

    def _goes_elsewhere(self, why: str) -> bool:
        """Have another trunk asked, as long as nobody's phone has rung."""
        if self.state is not CallState.CALLING or self.rang_at is not None:
            return False
        # It goes out no more by the one that it had: it must not stand in its own way.
        self._permit.release(self._services.now())
        return self.elsewhere(self, why)

    def _with_tries(self, detail: str) -> str:
        return f"{detail} (tried {'; '.join(self.tried)})"[:_LONGEST_DETAIL] if len(self.tried) > 1 else detail

    def rerouted(self, trunk: Trunk, permit: Permit, facts: AgentFacts) -> None:
        """From now on it is a call of this trunk; its leg and session are already."""
        self._permit.release(self._services.now())
        self._permit, self.trunk = permit, trunk
        self.answerer.detect = self._detect_by(trunk)
        self.facts = replace(
            self.facts,
            trunk=trunk.name,
            from_number=facts.from_number,
            to_number=facts.to_number,
            sip_call_id=facts.sip_call_id,
        )
        self.agent.rerouted(self.facts)
        self.transfers.take_trunk(trunk)
        self.referral.take_trunk(trunk)
        self._keys.take_trunk(trunk)
        self.bridging.take_trunk(trunk)

    @property
    def _hung_up_by_other_side(self) -> EndReason:
        return EndReason.CALLEE_HUNG_UP

    # -- who has answered

    def _tell_agent(self, told: AnsweredBy | GreetingOver) -> None:
        if self.agent.joined is not None:
            self.agent.joined.answered_by(told)

    def _take_media(self, event: MediaEvent) -> None:
        if event.kind in ("answered_by", "greeting_over"):
            self._take_answerer(event)
        elif event.kind == "mark" and event.name == MESSAGE_MARK:
            if event.played:
                self._timers.arm("message", _FAR_END_BUFFER)
        elif event.kind != "detection_over":
            super()._take_media(event)

    def _take_answerer(self, event: MediaEvent) -> None:
        match self.answerer.hear(event):
            case HangUpOnIt(why):
                self._end(EndReason.NO_PERSON_ANSWERED, why)
            case TakeFloor(alone):
                # Whatever the agent was saying, it said to a machine.
                self.leg.rtp.clear()
                if alone:
                    self.leg.rtp.connect(None)
                    self._no_longer_held_by_agent()
                    self.agent.let_go(EndReason.MESSAGE_LEFT.slug)
            case LeaveMessage(pcm16, rate):
                self.leg.rtp.play(pcm16, rate, MESSAGE_MARK)
            case None:
                pass
        self._tell_change()

    # -- ends

    def _agent_hung_up(self, detail: str, drain: bool, reason: EndReason) -> None:
        if self.state is CallState.CALLING:
            self._end(EndReason.DIAL_CANCELLED if reason is EndReason.AGENT_HUNG_UP else reason, detail)
        else:
            super()._agent_hung_up(detail, drain, reason)

    def _end(self, reason: EndReason, detail: str) -> None:
        if self.state is CallState.ENDED:
            return
        super()._end(reason, detail)
        self._permit.release(self._services.now())
        if not self.decided.done():
            self.decided.set_result(self._outcome(reason))

    def _outcome(self, reason: EndReason) -> Outcome:
        response = self.leg.session.response
        # A 1xx, or the 487 to our own CANCEL, says nothing of the one who was called.
        final = response is not None and response.status >= 300 and reason is not EndReason.DIAL_CANCELLED
        status = response.status if response is not None and final else None
        said = q850_in(self.causes)
        return Outcome(
            kind_of(reason),
            status,
            printable(response.reason) if response is not None and final else "",
            said if said is not None else q850_of(status) if status is not None else reason.q850,
            self.causes,
            reason.slug,
            self.end_detail,
            reason.hint,
        )

    def _move(self, what: CallInput) -> None:
        super()._move(what)
        self._tell_change()

    def _tell_change(self) -> None:
        changed, self._changed = self._changed, asyncio.Event()
        changed.set()

    async def _hear_last_words(self) -> None:
        """Let signalling finish: the BYE its answer, or the CANCEL the INVITE's."""
        session = self.leg.session
        try:
            async with asyncio.timeout(BYE_ANSWER_LIMIT):
                while session.state is not State.TERMINATED:
                    event = await self._inbox.get()
                    if isinstance(event, sip.HungUp) and event.detail:
                        self._note(f"our BYE could not be delivered: {event.detail}")
        except TimeoutError:
            what = "INVITE after its CANCEL" if session.state is State.CANCELLING else "BYE"
            self._note(f"our {what} has not been answered so far")
