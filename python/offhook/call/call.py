"""A call: a caller's leg, the destination that it goes on to, and the one reason it ends for.

A call is one task with one inbox. SIP, the media plane, the destination and its own timers put events in; they are
taken one by one, so nothing in here races. An exception in here ends this call as `internal_error` and no other.
"""

import asyncio
import contextlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol, TypeVar, assert_never

import structlog

from offhook._media import MediaError, MediaEvent
from offhook.call.dtmf import digits_of_info
from offhook.call.end_reason import EndReason
from offhook.call.leg import CallerLeg
from offhook.call.state import TRANSITIONS, CallInput, CallState
from offhook.destination.base import (
    AgentAudio,
    AgentConnected,
    AgentHungUp,
    AgentLost,
    AgentNote,
    CallerAudio,
    Destination,
    DestinationEvent,
    DestinationListener,
)
from offhook.destination.dialect.facts import AgentFacts
from offhook.errors import DestinationError
from offhook.media.plane import MediaPlane
from offhook.report.setup import SetUp
from offhook.report.timeline import Timeline
from offhook.route.destination_uri import DestinationUri
from offhook.route.table import AnswerPolicy, FallbackCause, Route
from offhook.route.trunk import Trunk
from offhook.sip import events as sip
from offhook.sip.effects import Source
from offhook.sip.invite import InviteSession
from offhook.sip.invite import State as SessionState
from offhook.sip.message import Request

_log = structlog.get_logger("offhook.call")
T = TypeVar("T")

_INBOX_LIMIT = 1024
# The caller's phone plays a jitter buffer's worth after our last packet: a BYE at once would cut the last word.
_FAR_END_BUFFER = 0.2
# How long the record waits for the answer to our BYE, or for what may follow a refusal or the peer's own BYE.
_BYE_ANSWER_LIMIT = 4.0
_ACK_LIMIT = 0.5
_BUSY_RETRY_AFTER = 5


class Perform(Protocol):
    """Runs one input of the SIP machines now and sends what comes of it."""

    def __call__(self, action: Callable[[float], T]) -> T: ...


class MakeDestination(Protocol):
    """Makes the destination of a URI for one call; `ready_within` seconds is the time that it has."""

    def __call__(self, uri: DestinationUri, listener: DestinationListener, *, ready_within: float) -> Destination: ...


@dataclass(frozen=True, slots=True)
class CallServices:
    """What a call needs of the gateway.

    `media_address` says which of our addresses this peer's RTP should go to; `now` is monotonic seconds.
    """

    perform: Perform
    media: MediaPlane
    make_destination: MakeDestination
    media_address: Callable[[Source], str]
    now: Callable[[], float]
    answered: Callable[["Call"], None]
    ended: Callable[["Call"], None]


@dataclass(frozen=True, slots=True)
class Prepared:
    """The destination is ready (`error` is None) or has failed."""

    destination: Destination
    error: DestinationError | None
    cause: FallbackCause = FallbackCause.REFUSED


@dataclass(frozen=True, slots=True)
class TimeUp:
    """A timer of the call ran out."""

    name: str


@dataclass(frozen=True, slots=True)
class HangUp:
    """The gateway wants the call to end."""

    reason: EndReason
    detail: str


@dataclass(frozen=True, slots=True)
class FromDestination:
    """An event of a destination, which may be one that the call has given up meanwhile."""

    destination: Destination
    event: DestinationEvent


@dataclass(frozen=True, slots=True)
class Fault:
    """A bug of ours on the way of an event to this call."""

    error: Exception


CallEvent = sip.SessionEvent | MediaEvent | Prepared | TimeUp | HangUp | FromDestination | Fault


class Call:
    """One inbound call from the INVITE to its end reason. `await run()` is its whole life."""

    def __init__(
        self,
        facts: AgentFacts,
        session: InviteSession,
        source: Source,
        trunk: Trunk,
        route: Route | None,
        timeline: Timeline,
        set_up: SetUp,
        services: CallServices,
    ) -> None:
        self.id = facts.call_id
        self.facts = facts
        self.trunk = trunk
        self.route = route
        self.timeline = timeline
        self.set_up = set_up
        self.leg = CallerLeg(session, source, trunk, timeline)
        self.state = CallState.ARRIVED
        self.reason: EndReason | None = None
        self.end_detail = ""
        self.arrived_at = services.now()
        self.rang_at: float | None = None
        self.answered_at: float | None = None
        self.ended_at: float | None = None
        self.heard_caller = False
        """Whether any RTP of the caller was accepted."""
        self.reject_status: int | None = None
        """The SIP status that the agent asked for when it rejected the call."""
        self.retry_after = _BUSY_RETRY_AFTER
        """Seconds in Retry-After of a 503."""
        self.wire_stats: dict[str, int] = {}
        self.destination_uri = route.destination if route is not None else None
        self._services = services
        self._inbox: asyncio.Queue[CallEvent] = asyncio.Queue(_INBOX_LIMIT)
        self._destination: Destination | None = None
        self._preparing: asyncio.Task[None] | None = None
        self._timers: dict[str, asyncio.TimerHandle] = {}
        self._fallbacks_used = 0
        self._agent_ready = False
        self._begun = False
        self._last_words_said = False

    def post(self, event: CallEvent) -> None:
        """Put an event into the inbox. One that does not fit any more ends the call."""
        try:
            self._inbox.put_nowait(event)
        except asyncio.QueueFull:
            self._set_reason(EndReason.INTERNAL_ERROR, "more events than a call can take")

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
                self._arrive(request)
                while self.state is not CallState.ENDED:
                    self._take(await self._inbox.get())
            except asyncio.CancelledError:
                self._end(EndReason.GATEWAY_SHUTDOWN, "the gateway was stopped")
                raise
            except Exception as error:
                self._fail(error)
            await self._hear_last_words()
        finally:
            self._release()

    # -- the steps of the set-up

    def _arrive(self, request: Request) -> None:
        now = self._services.now()
        try:
            self.leg.open(
                self._services.media,
                self._services.media_address(self.leg.source),
                on_event=self.post,
                on_error=self.post_fault,
            )
        except MediaError as error:
            no_port = error.code in ("no_port", "too_many")
            self._end(EndReason.NO_PORT if no_port else EndReason.INTERNAL_ERROR, str(error))
            return
        refusal = self.leg.take_offer(request, now)
        if refusal is not None:
            self._end(refusal, "")
            return
        self._services.perform(self.leg.ring)
        self.rang_at = self._services.now()
        self.set_up.reach("ringing", self.rang_at)
        self._move(CallInput.RING)
        self._arm("max_duration", self.trunk.max_duration)
        self._prepare(self._route.destination)
        if self._route.answer is AnswerPolicy.AT_ONCE:
            self._answer()

    def _prepare(self, uri: DestinationUri) -> None:
        self._agent_ready = self._begun = False
        self.destination_uri = uri
        destination = self._services.make_destination(
            uri,
            lambda who, event: self.post(FromDestination(who, event)),
            ready_within=self._route.ring_timeout,
        )
        self._destination = destination
        self.set_up.reach("agent_dialled", self._services.now())
        self.timeline.add("agent", self._services.now(), note=f"preparing {destination.uri}")
        self._arm("ring_timeout", self._route.ring_timeout)
        self._preparing = asyncio.get_running_loop().create_task(
            self._prepare_destination(destination), name=f"prepare {self.id}"
        )

    async def _prepare_destination(self, destination: Destination) -> None:
        try:
            await destination.prepare(self.leg.rtp, self.facts)
        except DestinationError as error:
            self.post(Prepared(destination, error))
        except Exception as error:
            self.post_fault(error)
        else:
            self.post(Prepared(destination, None))

    def _answer(self) -> None:
        if self.state is CallState.ANSWERED:
            return
        self._services.perform(self.leg.answer)
        self.answered_at = self._services.now()
        self.set_up.reach("answered", self.answered_at)
        self._move(CallInput.ANSWER)
        self._services.answered(self)

    def _begin(self) -> None:
        """Join the destination's sound, once."""
        assert self._destination is not None, "a call in progress has a destination"
        if not self._begun:
            self._begun = True
            self._destination.begin()

    # -- events

    def _take(self, event: CallEvent) -> None:
        match event:
            case MediaEvent():
                self._take_media(event)
            case Prepared():
                self._take_prepared(event)
            case FromDestination(destination, told):
                if destination is self._destination:
                    self._take_destination(told)
            case TimeUp(name):
                self._take_time_up(name)
            case HangUp(reason, detail):
                self._end(reason, detail)
            case Fault(error):
                self._fail(error)
            case _:
                self._take_sip(event)

    def _take_prepared(self, event: Prepared) -> None:
        if event.destination is not self._destination:
            return
        self._disarm("ring_timeout")
        if event.error is not None:
            self._give_up_destination(event.error, event.cause)
            return
        self._agent_ready = True
        self.set_up.reach("agent_ready", self._services.now())
        self.timeline.add("agent", self._services.now(), note=f"{event.destination.uri} is ready")
        if self.state is CallState.PREPARING and self._route.answer is AnswerPolicy.FIRST_AUDIO:
            self._begin()
            self._move(CallInput.AWAIT_AUDIO)
            self._arm("ring_timeout", self._route.ring_timeout)
            return
        self._answer()
        self._begin()

    def _take_destination(self, event: DestinationEvent) -> None:
        match event:
            case AgentConnected(at, address, intervals):
                self.set_up.reach("agent_connected", at)
                self.timeline.add("agent", at, note=f"connected to {address}", **intervals)
            case AgentAudio(at, sent):
                self.set_up.reach("agent_audio_sent" if sent else "agent_audio_received", at)
                self.timeline.add(
                    "agent", at, note="first agent audio " + ("sent to the caller" if sent else "received")
                )
                if self.state is CallState.WAITING and not sent:
                    self._disarm("ring_timeout")
                    self._answer()
            case CallerAudio(at):
                self.set_up.reach("caller_audio_sent", at)
                self.timeline.add("agent", at, note="first caller audio sent to the agent")
            case AgentHungUp(detail, drain):
                self._agent_hung_up(detail, drain)
            case AgentLost(error):
                self._give_up_destination(error, FallbackCause.LOST)
            case AgentNote(what, fields):
                self.timeline.add("agent", self._services.now(), note=what, **dict(fields))
            case _:
                assert_never(event)

    def _agent_hung_up(self, detail: str, drain: bool) -> None:
        self.end_detail = detail
        if self.state is not CallState.ANSWERED or not drain:
            self._end(EndReason.AGENT_HUNG_UP, detail)
            return
        self.timeline.add("agent", self._services.now(), note="the agent ended the call; playing what it said last")
        self._move(CallInput.DRAIN)
        self.leg.rtp.drain()

    def _take_media(self, event: MediaEvent) -> None:
        match event.kind:
            case "first_packet":
                self.heard_caller = True
                self.timeline.add("media", event.at, note=f"first RTP from {_address(event.address)}")
            case "source_changed":
                self.timeline.add("media", event.at, note=f"RTP now comes from {_address(event.address)}")
            case "digit":
                self.timeline.add("media", event.at, note="DTMF digit", duration_ms=event.duration_ms)
            case "mark":
                if self._destination is not None and event.name is not None and event.played:
                    self._destination.played(event.name)
            case "first_agent_audio_sent":
                self._take_destination(AgentAudio(event.at, sent=True))
            case "drained":
                if self.state is CallState.DRAINING:
                    self._arm("far_end_buffer", _FAR_END_BUFFER)
            case "hang_up_requested":
                self._end_after_far_end_buffer("the agent asked to hang up")
            case "unreachable":
                where = _address(event.address)
                self.timeline.add("media", event.at, note=f"our RTP to {where} came back as unreachable (ICMP)")
            case "media_timeout":
                self._media_timed_out()
            case "internal_error":
                self._end(EndReason.INTERNAL_ERROR, event.text or "the media core failed")
            case _:
                self.timeline.add("media", event.at, note=event.kind)

    def _end_after_far_end_buffer(self, detail: str) -> None:
        if self.state is CallState.ANSWERED:
            self._move(CallInput.DRAIN)
            self.end_detail = detail
            self._arm("far_end_buffer", _FAR_END_BUFFER)

    def _media_timed_out(self) -> None:
        if self.state not in (CallState.ANSWERED, CallState.DRAINING):
            return
        ever = self.heard_caller
        silence = f"no RTP from the caller for {self.trunk.media_timeout:g} s"
        self._end(EndReason.MEDIA_TIMEOUT, silence if ever else "the caller's RTP never arrived")

    def _take_time_up(self, name: str) -> None:
        self._timers.pop(name, None)
        match name:
            case "ring_timeout":
                self._too_late()
            case "max_duration":
                self._end(EndReason.MAX_DURATION, f"the call reached its {self.trunk.max_duration:g} s")
            case "far_end_buffer":
                self._end(EndReason.AGENT_HUNG_UP, self.end_detail)
            case _:
                raise AssertionError(f"no timer is called {name}")

    def _too_late(self) -> None:
        budget = f"{self._route.ring_timeout:g} s"
        missing = "its first audio" if self._agent_ready else "it to be ready"
        error = DestinationError(f"waited {budget} for {missing}", code="agent_late")
        self._give_up_destination(error, FallbackCause.LATE)

    def _take_sip(self, event: sip.SessionEvent) -> None:
        match event:
            case sip.Acknowledged(_, body):
                self.set_up.reach("acknowledged", self._services.now())
                refusal = self.leg.acknowledged(body, self._services.now())
                if refusal is not None:
                    self._end(refusal, "")
            case sip.AckMissing():
                self._end(EndReason.NO_ACK, f"no ACK came to {self.leg.contact}")
            case sip.Cancelled():
                self._end(EndReason.CALLER_CANCELLED, "")
            case sip.ByeReceived(_, request):
                self._end(EndReason.CALLER_HUNG_UP, request.headers.get("Reason") or "")
            case sip.Reinvited(_, request):
                self._services.perform(lambda now: self.leg.reinvited(request, now))
            case sip.InfoReceived(_, request):
                self._take_info(request)
            case sip.Failed(_, cause):
                self._end(EndReason.TRANSPORT_FAILED, cause.value)
            case sip.SessionFailed(_, exception):
                self._fail(exception)
            case _:
                self.timeline.add("note", self._services.now(), note=f"{type(event).__name__} in {self.state.value}")

    def _take_info(self, request: Request) -> None:
        digits = digits_of_info(request)
        self._services.perform(lambda now: self.leg.session.answer_info(415 if digits is None else 200, now=now))
        if not digits or self._destination is None or not self._begun:
            return
        # One press may be told both ways; what RFC 4733 was agreed for is taken from there alone.
        if self.leg.audio is not None and self.leg.audio.dtmf_receive:
            self.timeline.add("media", self._services.now(), note="DTMF by INFO ignored: telephone-event was agreed")
            return
        for digit, duration_ms in digits:
            self.timeline.add("media", self._services.now(), note="DTMF digit by INFO", duration_ms=duration_ms)
            self._destination.digit(digit, duration_ms)

    # -- ends

    def _give_up_destination(self, error: DestinationError, cause: FallbackCause) -> None:
        """The destination has failed: take the fallback that fits, or end."""
        reason = EndReason.of(error.code)
        self.reject_status = error.sip_status
        detail = f"{error}. {error.hint}" if error.hint else str(error)
        self.set_up.agent_gone(self._services.now())
        failed = self._drop_destination(reason.slug)
        self.timeline.add("agent", self._services.now(), note=f"{failed} failed ({cause.value}): {detail}")
        following = self._next_fallback(cause) if error.retryable else None
        if following is None or self.state is CallState.DRAINING:
            self._end(reason, detail)
            return
        if self.state in (CallState.WAITING, CallState.ANSWERED):
            self._move(CallInput.REPLACE)
        if self.state is CallState.ANSWERED:
            self.leg.rtp.clear()
        self._prepare(following)

    def _next_fallback(self, cause: FallbackCause) -> DestinationUri | None:
        """The next fallback that takes this cause. Each serves once, in file order: failures can't go in circles."""
        for index in range(self._fallbacks_used, len(self._route.fallback)):
            if cause in self._route.fallback[index].on:
                self._fallbacks_used = index + 1
                return self._route.fallback[index].to
        return None

    def _drop_destination(self, reason: str) -> str:
        self._disarm("ring_timeout")
        if self._preparing is not None:
            self._preparing.cancel()
            self._preparing = None
        destination, self._destination = self._destination, None
        if destination is None:
            return ""
        destination.close(reason)
        self.wire_stats = dict(destination.stats())
        return destination.uri

    def _fail(self, error: Exception) -> None:
        _log.error("call.failed", call_id=self.id, exc_info=error)
        self._end(EndReason.INTERNAL_ERROR, f"{type(error).__name__}: {error}")

    def _set_reason(self, reason: EndReason, detail: str) -> None:
        if self.reason is None:
            self.reason, self.end_detail = reason, detail or self.end_detail

    def _end(self, reason: EndReason, detail: str) -> None:
        """End the call once: tell the agent, refuse or hang up, free the media."""
        if self.state is CallState.ENDED:
            return
        before = self.state
        self._move(CallInput.END)
        self.ended_at = self._services.now()
        self._set_reason(reason, detail)
        for name in tuple(self._timers):
            self._disarm(name)
        # A bug in one part must not keep the others from being told.
        with contextlib.suppress(Exception):
            self._drop_destination(reason.slug)
        with contextlib.suppress(Exception):
            self._tell_caller(before, reason)
        self.leg.close()
        self._services.ended(self)

    def _tell_caller(self, before: CallState, reason: EndReason) -> None:
        session = self.leg.session
        if session.is_over:
            return
        if before in (CallState.ANSWERED, CallState.DRAINING):
            headers: tuple[tuple[str, str], ...] = (("Reason", reason.reason_header),)
            self._services.perform(lambda now: session.hang_up(headers, now=now))
        else:
            headers = (("Reason", reason.reason_header),)
            status = self.reject_status or reason.sip_status or 500
            if status == 503:
                headers = (*headers, ("Retry-After", str(self.retry_after)))
            self._services.perform(lambda now: session.reject(status, headers=headers, now=now))

    async def _hear_last_words(self) -> None:
        """Let signalling finish, so that the record shows whether our BYE was answered, or our refusal acknowledged."""
        hung_up_by_us = self.leg.session.state is not SessionState.TERMINATED
        self._arm("last_words", _BYE_ANSWER_LIMIT if hung_up_by_us else _ACK_LIMIT)
        while not self._last_words_said:
            match await self._inbox.get():
                case TimeUp("last_words"):
                    self._last_words_said = True
                    if hung_up_by_us:
                        self.timeline.add("note", self._services.now(), note="our BYE has not been answered so far")
                case sip.HungUp():
                    self._last_words_said = True
                case sip.AckMissing():
                    self.timeline.add("note", self._services.now(), note="our 200 was never acknowledged")
                case _:
                    pass
        self._disarm("last_words")

    def _release(self) -> None:
        for name in tuple(self._timers):
            self._disarm(name)
        if self._preparing is not None:
            self._preparing.cancel()
        self.leg.close()

    # -- state and time

    @property
    def _route(self) -> Route:
        assert self.route is not None, "a call without a route is refused before it asks for one"
        return self.route

    def _move(self, what: CallInput) -> None:
        following = TRANSITIONS.get((self.state, what))
        assert following is not None, f"a call that is {self.state.value} can't {what.value}"
        self.state = following
        self.timeline.add("state", self._services.now(), note=following.value)

    def _arm(self, name: str, delay: float) -> None:
        self._disarm(name)
        self._timers[name] = asyncio.get_running_loop().call_later(delay, self.post, TimeUp(name))

    def _disarm(self, name: str) -> None:
        timer = self._timers.pop(name, None)
        if timer is not None:
            timer.cancel()


def _address(address: tuple[str, int] | None) -> str:
    return f"{address[0]} port {address[1]}" if address else "an unknown address"
