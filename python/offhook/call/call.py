"""A call: a caller's leg, the destination that it goes on to, and the one reason it ends for.

A call is one task with one inbox. SIP, the media plane, the destination and its own timers put events in; they are
taken one by one, so nothing in here races. An exception in here ends this call as `internal_error` and no other.
"""

import asyncio
from typing import assert_never

import structlog

from offhook._media import MediaEvent
from offhook.call.departure import Departure
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
from offhook.call.joined.bridge import across
from offhook.call.last_words import hear_last_words
from offhook.call.offer_answer import OfferOrAnswer, exchange
from offhook.call.session_timer import words_of
from offhook.call.state import CallInput, CallState
from offhook.call.tape import ANNOUNCEMENT
from offhook.destination.base import (
    AgentAudio,
    AgentConnected,
    AgentHungUp,
    AgentLeaves,
    AgentLost,
    AgentNote,
    AgentTranscript,
    AgentVariables,
    CallerAudio,
    Destination,
    DestinationEvent,
    HandOverAsked,
    HeadersAsked,
    HoldAsked,
    HolderPlays,
    MaskAsked,
    OtherCall,
    OtherCallEnded,
    RecordingAsked,
    TransferAsked,
    TransferResult,
)
from offhook.errors import DestinationError
from offhook.observe.printable import printable
from offhook.report.setup import Milestone
from offhook.route.table import AnswerPolicy, FallbackCause
from offhook.sip import events as sip
from offhook.sip.message import Request
from offhook.sip.session_state import UNANSWERED

_log = structlog.get_logger("offhook.call")

# The caller's phone plays a jitter buffer's worth after our last packet: a BYE at once would cut the last word.
_FAR_END_BUFFER = 0.2


class Call(Departure):
    """One inbound call from the INVITE to its end reason. `await run()` is its whole life."""

    _answer_milestone: Milestone = "answered"

    __slots__ = ()

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
            self.holders_music.settle(engaged.destination)
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
            case FromDestination(_, AgentVariables(values)):
                self._keep_variables(values)
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
            case HangUp(EndReason.PARTNER_HUNG_UP) if self.referral.is_done:
                # Its caller has gone where this side has sent it, which leaves by itself, or in a moment by us.
                pass
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
        if self.transfers.direct.is_open:
            self._keep_company()

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
            case AgentHungUp(detail, drain, failed):
                self._agent_hung_up(detail, drain, EndReason.AGENT_FAILED if failed else EndReason.AGENT_HUNG_UP)
            case AgentLeaves(reason, failed):
                self._agent_leaves(reason, EndReason.AGENT_FAILED if failed else EndReason.AGENT_HUNG_UP)
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
            case HolderPlays(on):
                self.holders_music.heard(on=on)
            case MaskAsked():
                self._keys.asked(event, destination)
            case AgentTranscript():
                self.agent.history.told(event)
                self._floor.words(event, self._services.now())
            case OtherCall(call_id):
                self.bridging.to = call_id
            case OtherCallEnded(reason, detail, causes):
                self.bridging.causes = causes
                if not self._defers(lambda: self._end(across(reason), detail)):
                    self._end(across(reason), detail)
            case AgentNote(what, fields):
                self.timeline.add("agent", self._services.now(), note=what, **dict(fields))
            case AgentVariables(values):
                self._keep_variables(values)
            case _:
                assert_never(event)

    def _agent_spoke(self, destination: Destination, at: float) -> None:
        self.agent.spoke(at)
        if self.state is CallState.PREPARING:
            self._ringing.agent_spoke(destination)
        elif self.state is CallState.WAITING:
            self.set_up.agent_came(self._services.now())
            self._agent_takes_call()

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
                self._agent_hung_up(self._farewell, False, self._farewell_reason)
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
            case "holders_music":
                self.holders_music.look()
            case "far_end_buffer" | "drain_limit":
                self._end(self._farewell_reason, self._farewell)
            case "budget" | "message":
                raise AssertionError("calls that come to us cost nobody here anything, and no machine answers them")
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
            case sip.ReferReceived(_, request):
                self._hear_variables(request)
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
                self._settle_hold()
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
        self._hear_variables(request)
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
