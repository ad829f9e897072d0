"""A call: a caller's leg, the destination that it goes on to, and the one reason it ends for.

A call is one task with one inbox. SIP, the media plane, the destination and its own timers put events in; they are
taken one by one, so nothing in here races. An exception in here ends this call as `internal_error` and no other.
"""

import asyncio
from collections.abc import Callable
from typing import assert_never

import structlog

from offhook._media import MediaEvent
from offhook.call.agent_side import AgentSide, described
from offhook.call.bridge import NotJoined, across
from offhook.call.bridging import Bridging
from offhook.call.course import Course
from offhook.call.end_reason import EndReason
from offhook.call.event import (
    CallEvent,
    Fault,
    FromDestination,
    FromLeg,
    FromRecording,
    HangUp,
    Prepared,
    Referring,
    Timer,
    TimeUp,
)
from offhook.call.facts import causes_of
from offhook.call.floor import Floor
from offhook.call.hand_over import HandOvers
from offhook.call.hold import Hold
from offhook.call.inbox import Inbox
from offhook.call.keys import Keys
from offhook.call.last_words import hear_last_words
from offhook.call.leg import PLAYOUT_LIMIT, CallerLeg
from offhook.call.news import AgentChosen, CallEnded
from offhook.call.offer_answer import OfferOrAnswer, exchange
from offhook.call.referral import LEAVES_WITHIN, Referral
from offhook.call.ringing import Ringing
from offhook.call.services import CallServices
from offhook.call.session_timer import words_of
from offhook.call.state import CallInput, CallState
from offhook.call.tape import ANNOUNCEMENT, Tape
from offhook.call.timers import Timers
from offhook.call.transfer import Transfers
from offhook.destination.base import (
    AgentAudio,
    AgentConnected,
    AgentHungUp,
    AgentLeaves,
    AgentLost,
    AgentNote,
    AgentTranscript,
    CallerAudio,
    Destination,
    DestinationEvent,
    DestinationListener,
    HandOverAsked,
    HandOverResult,
    HeadersAsked,
    HoldAsked,
    MaskAsked,
    OtherCall,
    OtherCallEnded,
    RecordingAsked,
    TransferAsked,
    TransferResult,
)
from offhook.destination.dialect.facts import AgentFacts
from offhook.errors import DestinationError
from offhook.ids import CallId
from offhook.observe.printable import printable
from offhook.report.record import CallDirection
from offhook.report.setup import Milestone, SetUp
from offhook.report.timeline import Timeline
from offhook.route.destination_uri import DestinationUri, DialUri
from offhook.route.early_media import NO_EARLY_MEDIA
from offhook.route.table import AnswerPolicy, FallbackCause, RecordPolicy, Route
from offhook.route.trunk import Trunk
from offhook.sip import events as sip
from offhook.sip.message import Request
from offhook.sip.session_state import UNANSWERED

_log = structlog.get_logger("offhook.call")

_INBOX_LIMIT = 1024
# The caller's phone plays a jitter buffer's worth after our last packet: a BYE at once would cut the last word.
_FAR_END_BUFFER = 0.2
# What may have to be played after the agent's end, should the media plane never say that it has been.
_DRAIN_LIMIT = PLAYOUT_LIMIT + 5.0


class Call(Course):
    """One inbound call from the INVITE to its end reason. `await run()` is its whole life."""

    direction: CallDirection = "inbound"
    _answer_milestone: Milestone = "answered"

    __slots__ = (
        "__weakref__",
        "_farewell",
        "_floor",
        "_inbox",
        "_keys",
        "_ringing",
        "_timers",
        "agent",
        "bridging",
        "hand_overs",
        "hold",
        "leg",
        "referral",
        "tape",
        "transfers",
    )

    def __init__(
        self,
        facts: AgentFacts,
        leg: CallerLeg,
        trunk: Trunk,
        route: Route | None,
        timeline: Timeline,
        set_up: SetUp,
        services: CallServices,
        *,
        arrived_at: float,
    ) -> None:
        super().__init__(facts, trunk, route, timeline, set_up, services, arrived_at=arrived_at)
        self.leg = leg
        self.tape = Tape(facts.call_id, services, timeline, self.leg, route.record if route else RecordPolicy.NEVER)
        early = route.early_media if route is not None else NO_EARLY_MEDIA
        self._ringing = Ringing(self.leg, trunk, early, timeline, services)
        self.hold = Hold(self.leg, services, timeline)
        self._inbox = Inbox(_INBOX_LIMIT)
        self._timers = Timers(self.post)
        self.agent = AgentSide(
            facts,
            self.leg,
            route,
            timeline,
            set_up,
            services,
            self._timers,
            post=self.post,
            post_fault=self.post_fault,
            make=self._make_destination,
            chosen=self._agent_chosen,
        )
        self.bridging = Bridging(self.leg, trunk, route, services, self.direction)
        self.transfers = Transfers(self.leg, trunk, self.agent, self.bridging, timeline, services, facts.agent_headers)
        self.hand_overs = HandOvers(self.agent, self.leg, route, timeline, services, self._timers)
        self.referral = Referral(self.leg, trunk, route, self.agent, timeline, services, self.post)
        digits = route.digits if route is not None else "mask"
        self._keys = Keys(self.leg, timeline, services, way=trunk.dtmf, policy=digits)
        self._floor = Floor(timeline, self.tape, self._tell)
        self._farewell = ""

    def _make_destination(
        self, uri: DestinationUri, listener: DestinationListener, *, ready_within: float
    ) -> Destination:
        if isinstance(uri, DialUri):
            return self.bridging.onward(uri, listener, ready_within=ready_within)
        return self._services.make_destination(uri, listener, ready_within=ready_within)

    def post(self, event: CallEvent) -> None:
        """Put an event into the inbox. If it is full, all that waits is given up and the call ends."""
        if self._inbox.is_full:
            self._inbox.clear()
            self._inbox.put(HangUp(EndReason.INTERNAL_ERROR, "more events than a call can take"))
        self._inbox.put(event)

    def post_fault(self, error: Exception) -> None:
        """A callback of this call failed; the call ends as `internal_error`."""
        self.post(Fault(error))

    async def refuse(self, reason: EndReason, detail: str) -> None:
        """Refuse the call without any of the rest. Returns when signalling has had its last word."""
        self._end(reason, detail)
        await self._hear_last_words()

    async def run(self, request: Request) -> None:
        """Live the call. Returns when its reason is known, its media is free and signalling has had its last word."""
        try:
            try:
                await self._arrive(request)
                while self.state is not CallState.ENDED:
                    self._take(await self._inbox.get())
            except asyncio.CancelledError:
                self._end(EndReason.GATEWAY_SHUTDOWN, "the gateway was stopped")
                raise
            except Exception as error:
                self._fail(error)
            await self._hear_last_words()
            await self.tape.over()
        finally:
            self._release()

    async def _hear_last_words(self) -> None:
        await hear_last_words(self.leg.session, self._inbox, self._note)

    # -- the steps of the set-up

    async def _arrive(self, request: Request) -> None:
        now = self._services.now()
        refused = self.leg.prepare(
            request,
            now,
            self._services.media,
            self._services.media_address,
            on_event=lambda event: self.post(FromLeg(event)),
            on_error=self.post_fault,
        )
        if refused is not None:
            self.reject_status = refused.status
            self._end(refused.reason, refused.detail)
            return
        if self.leg.session.state not in UNANSWERED:
            # The caller has given up already; its CANCEL waits in the inbox.
            return
        self.agent.engage(self._route.destination)
        # The dial is on its way while we write the 180.
        await asyncio.sleep(0)
        if not self._ringing.ring():
            return
        self.rang_at = self._services.now()
        self.set_up.reach("ringing", self.rang_at)
        self._move(CallInput.RING)
        self._furnish()
        if self._route.answer is AnswerPolicy.AT_ONCE:
            self._answer()

    def _furnish(self) -> None:
        """What the leg needs to know of the route before anybody speaks on it."""
        self.leg.rtp.barge_in(self._route.barge_in)
        music = self._route.hold_music or self.trunk.hold_music
        self.leg.rtp.hold_music(self._services.hold_music.get(music))
        self._keys.begin()

    def _agent_chosen(self, uri: str) -> None:
        self.tape.chosen(uri)
        self._tell(AgentChosen(uri))

    def _answer(self) -> bool:
        """Answer, if that has not been done. False if the caller has given up: its CANCEL waits in the inbox."""
        if self.state is CallState.ANSWERED:
            return True
        if self.leg.session.is_answer_held:
            return False
        is_speaking = self._ringing.agent_is_heard
        if not self._services.perform(lambda now: self.leg.answer(now, is_speaking=is_speaking)):
            return False
        if self.leg.session.is_answer_held:
            self._note("the 200 waits for the PRACK of what rang")
            return False
        self._answered()
        return True

    def _answer_left(self) -> None:
        """The 200 that had to wait for a PRACK has left."""
        self.leg.answered(is_speaking=self._ringing.agent_is_heard)
        self._answered()
        if self.agent.is_ready:
            self._begin()

    def _answered(self) -> None:
        self._ringing.over()
        self.answered_at = self._services.now()
        self.set_up.reach(self._answer_milestone, self.answered_at)
        self._move(CallInput.ANSWER)
        self._timers.arm("max_duration", self.trunk.max_duration)
        self._services.answered(self)
        self.tape.answered(self.post, self.post_fault)

    def _begin(self) -> None:
        """Join the agent and the caller, once."""
        engaged = self.agent.current
        assert engaged is not None, "a call in progress has an agent"
        if not engaged.is_joined and not self.tape.is_announcing:
            engaged.join()
            self.tape.joined(engaged.destination)
            self.hold.joined(engaged.destination)
            self._keys.joined(engaged.destination)
        self._say_goodbye()

    # -- events

    def _take(self, event: CallEvent) -> None:
        match event:
            case FromLeg(heard):
                self._take_media(heard)
            case FromRecording(told):
                self.tape.take(told, self.agent.joined)
            case Prepared():
                self._take_prepared(event)
            case FromDestination(destination, said):
                if self.agent.serves(destination):
                    self._take_destination(said)
                elif self.hand_overs.serves(destination):
                    self._handed_over(self.hand_overs.told(said))
                elif self.transfers.direct.serves(destination):
                    self._transferred(self.transfers.told(said))
            case TimeUp(timer):
                if self._timers.is_due(event):
                    self._take_time_up(timer)
            case HangUp(reason, detail, causes):
                self.bridging.causes = causes
                self._end(reason, detail)
            case Referring():
                if self.referral.told(event):
                    self._agent_went_on()
                elif not self.referral.is_open:
                    self._timers.arm("back_from_transfer", self.trunk.media_timeout)
            case Fault(error):
                self._fail(error)
            case _:
                self._take_sip(event)

    def _take_prepared(self, event: Prepared) -> None:
        if self.hand_overs.serves(event.destination):
            self._handed_over(self.hand_overs.prepared(event.error))
        if self.transfers.direct.serves(event.destination):
            self._transferred(self.transfers.prepared(event.error))
        if not self.agent.serves(event.destination):
            return
        if event.error is not None:
            self._not_taken(event.error)
            return
        self.agent.ready()
        at_first_audio = self._route.answer is AnswerPolicy.FIRST_AUDIO and not self.agent.has_spoken
        if self.state is CallState.PREPARING and at_first_audio:
            # The agent's time goes on: what is waited for now is its first word.
            self._await_audio(event.destination)
        else:
            self._agent_takes_call()

    def _not_taken(self, error: DestinationError) -> None:
        if isinstance(error, NotJoined):
            self.bridging.causes = error.outcome.causes
        late = error.code == EndReason.NO_ANSWER.slug
        self._give_up_agent(error, FallbackCause.LATE if late else FallbackCause.REFUSED)
        if self.state is not CallState.ENDED:
            # Somebody else is asked now.
            self.bridging.causes = ()

    def _await_audio(self, destination: Destination) -> None:
        self.set_up.await_agent(self._services.now())
        self._move(CallInput.AWAIT_AUDIO)
        if self._ringing.is_playing:
            destination.await_audio()
        else:
            self._begin()

    def _agent_takes_call(self) -> None:
        self._timers.disarm("ring_timeout")
        if self._answer():
            self._begin()

    def _take_destination(self, event: DestinationEvent) -> None:
        destination = self.agent.destination
        assert destination is not None, "only of the agent that serves the call"
        match event:
            case AgentConnected(at, address, intervals):
                self.set_up.reach("agent_connected", at)
                self.timeline.add("agent", at, note=f"connected to {address}", **intervals)
            case AgentAudio(at):
                self._agent_spoke(destination, self._services.now() if at is None else at)
            case CallerAudio(at):
                self.set_up.reach("caller_audio_sent", at)
                self.timeline.add("agent", at, note="first caller audio sent to the agent")
            case AgentHungUp(detail, drain):
                self._agent_hung_up(detail, drain)
            case AgentLeaves(reason):
                self._agent_leaves(reason)
            case AgentLost(error):
                if not self._defers(lambda: self._give_up_agent(error, FallbackCause.LOST)):
                    self._give_up_agent(error, FallbackCause.LOST)
            case HandOverAsked():
                is_transferring = self.transfers.is_open or self.referral.is_open
                self._handed_over(self.hand_overs.ask(event, self.state, is_transferring=is_transferring))
            case TransferAsked() if self.referral.is_open:
                destination.transferred(TransferResult("refused", reason="the other side is transferring the call"))
            case TransferAsked() if self.hand_overs.is_open:
                destination.transferred(TransferResult("refused", reason="a hand-over to another agent is being tried"))
            case TransferAsked():
                self._transferred(self.transfers.ask(event, self.state, self.agent.uri))
            case RecordingAsked(action):
                self.tape.asked(action, destination, self.post, self.post_fault)
            case HeadersAsked(outgoing):
                self.leg.session.letterhead.outgoing = outgoing
            case HoldAsked(wish):
                self.hold.asked(wish, destination)
            case MaskAsked():
                self._keys.asked(event, destination)
            case AgentTranscript():
                self.agent.history.told(event)
                self._floor.words(event, self._services.now())
            case OtherCall(call_id):
                self.bridging.to = call_id
            case OtherCallEnded(reason, detail, causes):
                self.bridging.causes = causes
                self._end(across(reason), detail)
            case AgentNote(what, fields):
                self.timeline.add("agent", self._services.now(), note=what, **dict(fields))
            case _:
                assert_never(event)

    def _agent_spoke(self, destination: Destination, at: float) -> None:
        self.agent.spoke(at)
        if self.state is CallState.PREPARING:
            self._ringing.agent_spoke(destination)
        elif self.state is CallState.WAITING:
            self.set_up.agent_came(self._services.now())
            self._agent_takes_call()

    def _agent_hung_up(self, detail: str, drain: bool) -> None:
        """The agent wants no more of the call, and what it said last is still to be played if `drain`."""
        if self.state in (CallState.PREPARING, CallState.WAITING):
            # Nobody has answered yet: so the agent does not take the call.
            self._end(EndReason.AGENT_REJECTED, detail)
        elif not drain:
            self._end(EndReason.AGENT_HUNG_UP, detail)
        else:
            self._farewell = self._farewell or detail
            if self._is_being_given_away:
                self.timeline.add("agent", self._services.now(), note="the agent leaves; what it has asked for goes on")
            elif self.state is CallState.ANSWERED:
                self.timeline.add("agent", self._services.now(), note="playing what the agent said last")
            self._say_goodbye()

    def _agent_leaves(self, reason: str) -> None:
        """The agent wants the call to end behind what it has said, which it is told by the media core."""
        asked = "the agent asked to hang up"
        detail = f"{asked}: {reason}" if reason else asked
        if not self.agent.has_spoken and (self.answered_at is None or not self.agent.is_ready):
            # There is nothing to be played first.
            self._agent_hung_up(detail, drain=False)
            return
        self._farewell = detail
        after = "; what it has asked for goes on" if self._is_being_given_away else ""
        self.timeline.add("agent", self._services.now(), note=f"the agent asks to hang up{after}")
        self._say_goodbye()

    def _say_goodbye(self) -> None:
        """Play what an agent that leaves said last; on hold there is nobody to hear it.

        While a transfer or a hand-over is tried it waits: a BYE before that is decided would end both.
        """
        is_up = self.state in (CallState.ANSWERED, CallState.DRAINING)
        if not self._farewell or not is_up or self._is_being_given_away:
            return
        if self.leg.is_quiet:
            self._end(EndReason.AGENT_HUNG_UP, f"{self._farewell} (on hold: what it said last was not heard)")
        elif self.state is CallState.ANSWERED and self.agent.joined is not None:
            self._move(CallInput.DRAIN)
            self._timers.arm("drain_limit", _DRAIN_LIMIT)
            self.leg.rtp.drain()

    def _take_media(self, event: MediaEvent) -> None:
        match event.kind:
            case "first_packet":
                self.heard_caller = True
                self._floor.heard(event.at)
                self._note_media(event)
            case "digit":
                self._keys.pressed(event)
            case "key_by_info":
                self._keys.send(event)
            case "speech_started" | "speech_ended":
                self._floor.speech(event)
            case "interrupted" | "barge_in" | "backchannel":
                self._floor.overlap(event)
            case "mark":
                self._mark_left(event.name or "", played=bool(event.played))
            case "first_agent_audio_sent" if self._ringing.is_playing:
                self.timeline.add("media", event.at, note="the first sound before the answer has left")
            case "first_agent_audio_sent":
                self.set_up.reach("agent_audio_sent", event.at)
                self.timeline.add("agent", event.at, note="first agent audio sent to the caller")
            case "drained":
                if self.hand_overs.is_ready:
                    self._replace_agent()
                self._played_out()
            case "hang_up_requested" if self._farewell and self.state in (CallState.PREPARING, CallState.WAITING):
                self._agent_hung_up(self._farewell, drain=False)
            case "hang_up_requested":
                self._played_out()
            case "media_timeout":
                self._media_timed_out()
            case "internal_error":
                self._end(EndReason.INTERNAL_ERROR, event.text or "the media core failed")
            case _:
                self._note_media(event)

    def _mark_left(self, mark: str, *, played: bool) -> None:
        destination = self.agent.destination
        if self._ringing.left(mark, played=played):
            return
        if mark == ANNOUNCEMENT:
            self._announced(played)
        elif mark and played and destination is not None:
            destination.played(mark)

    def _announced(self, played: bool) -> None:
        """The caller knows that the call is recorded: now the agent may be heard."""
        if self.state in (CallState.ANSWERED, CallState.DRAINING):
            self.tape.announced(played, self.post, self.post_fault)
            if self.agent.is_ready:
                self._begin()

    def _played_out(self) -> None:
        """What the agent said last has left; it has yet to come out of the caller's own buffer."""
        if self.state is CallState.DRAINING and "far_end_buffer" not in self._timers:
            self._timers.arm("far_end_buffer", _FAR_END_BUFFER)

    def _media_timed_out(self) -> None:
        if self.state not in (CallState.ANSWERED, CallState.DRAINING):
            return
        if self.transfers.is_open or self.referral.is_open or "back_from_transfer" in self._timers:
            self.transfers.silent_since = self._packets
            return
        if self.referral.is_done:
            return
        ever = self.heard_caller
        silence = f"no RTP from the caller for {self.trunk.media_timeout:g} s"
        self._end(EndReason.MEDIA_TIMEOUT, silence if ever else "the caller's RTP never arrived")

    @property
    def _packets(self) -> int:
        return self.leg.media_stats().get("received_packets", 0)

    def _take_time_up(self, timer: Timer) -> None:
        self._timers.ran_out(timer)
        match timer:
            case "ring_timeout":
                self._too_late()
            case "max_duration":
                self._end(EndReason.MAX_DURATION, f"the call reached its {self.trunk.max_duration:g} s")
            case "back_from_transfer":
                # On hold there is no sound to be waited for.
                if self.transfers.silent_since == self._packets and not self.leg.is_quiet:
                    self._media_timed_out()
            case "hand_over":
                self._handed_over(self.hand_overs.too_late())
            case "last_words":
                self._replace_agent()
            case "referred":
                self._end(EndReason.REFERRED, self.referral.account)
            case "far_end_buffer" | "drain_limit":
                self._end(EndReason.AGENT_HUNG_UP, self._farewell)
            case "budget":
                raise AssertionError("calls that come to us cost nobody here anything")
            case _:
                assert_never(timer)

    def _too_late(self) -> None:
        budget = f"{self._route.ring_timeout:g} s"
        missing = "its first audio" if self.agent.is_ready else "it to be ready"
        error = DestinationError(f"waited {budget} for {missing}", code="agent_late")
        self._give_up_agent(error, FallbackCause.LATE)

    def _take_sip(self, event: sip.SessionEvent) -> None:
        match event:
            case (
                sip.Acknowledged()
                | sip.Reinvited()
                | sip.ReinviteAnswered()
                | sip.ReinviteRefused()
                | sip.Pracked()
                | sip.PrackOffered()
            ):
                self._exchange(event)
            case sip.ReferProgress() | sip.ReferOver() | sip.ReferLate():
                self._take_refer(event)
            case sip.SessionTimed():
                self._note(words_of(event))
            case sip.SessionExpired(_, why):
                self._end(EndReason.SESSION_EXPIRED, printable(why))
            case sip.AnswerLeft():
                self._answer_left()
            case sip.PrackMissing():
                self._end(EndReason.NO_PRACK, "")
            case sip.AckMissing():
                self._end(EndReason.NO_ACK, f"no ACK came to {self.leg.contact}")
            case sip.Cancelled(_, request) | sip.ByeReceived(_, request):
                self._caller_hung_up(request)
            case sip.ReferReceived():
                is_free = self.state is CallState.ANSWERED and self.agent.joined is not None
                self.referral.ask(event, is_free=is_free and not self._is_being_given_away and not self._farewell)
            case sip.Replied(_, "NOTIFY", status, response):
                said = "nothing" if response is None else str(response.status)
                self._note(f"the caller's side was told {status} of its transfer, and answered {said}")
            case sip.InfoReceived(_, request):
                self._keys.info(request)
            case sip.Replied(_, "INFO"):
                self._keys.answered(event)
            case sip.Failed(_, cause, detail):
                self._end(EndReason.TRANSPORT_FAILED, f"{cause.value}: {detail}" if detail else cause.value)
            case sip.SessionFailed(_, exception):
                self._fail(exception)
            case _:
                self._note(f"{type(event).__name__} in {self.state.value}")

    def _exchange(self, event: OfferOrAnswer) -> None:
        """An offer or an answer of the caller's side: let the leg have it, and see who holds the call now."""
        if isinstance(event, sip.Acknowledged):
            self.set_up.reach("acknowledged", self._services.now())
        refused = exchange(event, self.leg, self._services)
        if refused is not None:
            self._end(refused.reason, refused.detail)
            return
        match event:
            case sip.Pracked():
                self._ringing.go_on()
            case sip.ReinviteRefused(_, response):
                self.hold.refused(response, self.agent.destination)
            case _:
                self.hold.settle(self.agent.joined)
                self._ringing.go_on()
                self._say_goodbye()
        if isinstance(event, sip.Acknowledged) and self.state in (CallState.ANSWERED, CallState.DRAINING):
            self.tape.acknowledged(self.post, self.post_fault)

    def _take_refer(self, event: sip.ReferProgress | sip.ReferOver | sip.ReferLate) -> None:
        match event:
            case sip.ReferProgress():
                self.transfers.progress(event)
            case sip.ReferOver(_, outcome):
                self._transferred(self.transfers.over(outcome))
            case sip.ReferLate(_, status, reason):
                if self.transfers.succeeded_late(status, reason):
                    self._end(EndReason.TRANSFERRED, self.transfers.account)

    def _caller_hung_up(self, request: Request) -> None:
        reason = EndReason.REFERRED if self.referral.is_done else self._hung_up_by_other_side
        self.causes = causes_of(request)
        why = self.referral.account or self.agent.replaced or ", ".join(map(str, self.causes))
        # What a BYE says of a transfer is told in a moment.
        if not self.transfers.defers(lambda: self._end(reason, why), is_last=True):
            self._end(reason, why)

    @property
    def _hung_up_by_other_side(self) -> EndReason:
        # Before the answer a BYE does what CANCEL does (RFC 3261 section 15).
        return EndReason.CALLER_CANCELLED if self.answered_at is None else EndReason.CALLER_HUNG_UP

    def _transferred(self, result: TransferResult | None) -> None:
        """A transfer is decided: the caller is gone to somebody else, or back with the agent, which is told."""
        if result is None:
            return
        if self.agent.destination is not None:
            self.agent.destination.transferred(result)
        deferred = self.transfers.deferred()
        if result.outcome == "completed" and result.way == "bridge":
            self._join_target()
        elif result.outcome == "completed":
            self._end(EndReason.TRANSFERRED, self.transfers.account)
        elif deferred is not None:
            deferred()
        elif self._farewell:
            self._say_goodbye()
        else:
            self._timers.arm("back_from_transfer", self.trunk.media_timeout)

    def _join_target(self) -> None:
        """Whom the gateway has called for a transfer has answered: the caller is with them from here on."""
        target = self.transfers.direct.take()
        self.bridging.to = CallId(self.transfers.direct.call_id)
        self.agent.let_go(EndReason.TRANSFERRED.slug)
        # What the agent has said since is not heard behind the target.
        self.leg.rtp.connect(None)
        self.leg.rtp.clear()
        self.agent.replace(target)
        self._farewell = ""
        self._move(CallInput.REPLACE)
        self.hold.agent_gone()
        self._begin()

    @property
    def _is_being_given_away(self) -> bool:
        """Whether the agent has asked for something that would give the call to somebody else."""
        return self.transfers.is_open or self.hand_overs.is_open

    def _defers(self, action: Callable[[], None]) -> bool:
        """Whether what would end the call for its agent has to wait for what the agent has asked for."""
        return self.transfers.defers(action) or self.hand_overs.defers(action)

    def _handed_over(self, result: HandOverResult | None) -> None:
        """A hand-over has failed: the agent still has the call, and is told."""
        if result is None:
            return
        if self.agent.destination is not None:
            self.agent.destination.handed_over(result)
        deferred = self.hand_overs.deferred()
        if deferred is not None:
            deferred()
        else:
            self._say_goodbye()

    def _replace_agent(self) -> None:
        """What was said last has been played: the other agent has the call."""
        said = self.hand_overs.complete()
        self._farewell = ""
        self._move(CallInput.REPLACE)
        self.hold.agent_gone()
        self._begin()
        other = self.agent.destination
        for event in said:
            if other is not None and self.agent.serves(other):
                self._take_destination(event)

    def _agent_went_on(self) -> None:
        """Whom we were referred to has answered, and has the agent: the other side here is to hang up, or we do."""
        self._farewell = ""
        self.leg.rtp.connect(None)
        self.leg.rtp.clear()
        self.hold.agent_gone()
        self.agent.let_go(EndReason.REFERRED.slug)
        self._timers.arm("referred", LEAVES_WITHIN)

    # -- ends

    def _give_up_agent(self, error: DestinationError, cause: FallbackCause) -> None:
        """The agent has failed: take the fallback that fits, or end."""
        if self._farewell:
            self.timeline.add("agent", self._services.now(), note=f"after its goodbye: {error}")
            self._say_goodbye()
            if self.state is not CallState.DRAINING:
                self._agent_hung_up(self._farewell, drain=False)
            return
        reason = EndReason.of(error.code)
        self.reject_status = error.sip_status
        self._ringing.agent_gone()
        following = self.agent.lost(error, cause, self.causes)
        if following is None:
            self._end(reason, described(error))
            return
        if self.state in (CallState.WAITING, CallState.ANSWERED):
            self._move(CallInput.REPLACE)
            if not self._ringing.is_playing:
                # The one that follows must not be heard behind what the lost one had still to say.
                self.leg.rtp.clear()
        self.hold.agent_gone()
        self.agent.engage(following)

    def _fail(self, error: Exception) -> None:
        _log.error("call.failed", call_id=self.id, exc_info=error)
        self._end(EndReason.INTERNAL_ERROR, f"{type(error).__name__}: {error}")

    def _end(self, reason: EndReason, detail: str) -> None:
        """End the call once: tell the agent, refuse or hang up, free the media."""
        if self.state is CallState.ENDED:
            return
        self._move(CallInput.END)
        self.ended_at = self._services.now()
        self.reason, self.end_detail = reason, detail or self.agent.replaced
        self.transfers.call_ended(reason.slug)
        self.hand_overs.call_ended(reason.slug)
        self.referral.call_ended(by_other_side=reason in (EndReason.CALLER_HUNG_UP, EndReason.CALLEE_HUNG_UP))
        self.hold.over()
        self._tell(CallEnded(reason, self.end_detail))
        self._timers.clear()
        with self._on_its_own():
            self.agent.let_go(reason.slug, self.causes)
        with self._on_its_own():
            self._tell_caller(reason)
        with self._on_its_own():
            self.leg.close()
        self._services.ended(self)

    def _tell_caller(self, reason: EndReason) -> None:
        session = self.leg.session
        if session.state not in UNANSWERED:
            said = self.bridging.cause_headers or reason.hang_up_headers
            self._services.perform(lambda now: session.hang_up(said, now=now))
            return
        status = self.reject_status or reason.sip_status or 500
        headers = self.bridging.cause_headers or reason.refusal_headers
        if status == 503:
            headers = (*headers, ("Retry-After", str(self.retry_after)))
        self._services.perform(lambda now: session.reject(status, headers=headers, now=now))

    def _release(self) -> None:
        self._timers.clear()
        self.leg.close()
        self.agent.let_go(EndReason.INTERNAL_ERROR.slug)
