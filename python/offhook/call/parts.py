"""What a call is made of: its leg, its agent, its timers, and all that keeps an account; and how it ends, once."""

from collections.abc import Mapping

import structlog

from offhook.call.agent_side import AgentSide
from offhook.call.course import Course
from offhook.call.end_reason import EndReason
from offhook.call.event import (
    CallEvent,
    Fault,
    HangUp,
)
from offhook.call.floor import Floor
from offhook.call.hand_over import HandOvers
from offhook.call.hold import Hold
from offhook.call.inbox import Inbox
from offhook.call.joined.bridge import Back
from offhook.call.joined.bridging import Bridging
from offhook.call.joined.holders_music import HoldersMusic
from offhook.call.keys import Keys
from offhook.call.leg import CallerLeg
from offhook.call.news import AgentChosen, CallEnded
from offhook.call.ringing import Ringing
from offhook.call.services import CallServices
from offhook.call.state import CallInput, CallState
from offhook.call.tape import Tape
from offhook.call.timers import Timers
from offhook.call.transfers.referral import Referral
from offhook.call.transfers.transfer import Transfers
from offhook.call.variables import Variables, said_in
from offhook.destination.base import (
    Destination,
    DestinationListener,
)
from offhook.destination.dialect.facts import AgentFacts
from offhook.observe.printable import printable
from offhook.report.record import CallDirection
from offhook.report.setup import SetUp
from offhook.report.timeline import Timeline
from offhook.route.destination_uri import DestinationUri, DialUri
from offhook.route.early_media import NO_EARLY_MEDIA
from offhook.route.table import RecordPolicy, Route
from offhook.route.trunk import Trunk
from offhook.sip.message import Request, Response
from offhook.sip.session_state import UNANSWERED

_log = structlog.get_logger("offhook.call")

_INBOX_LIMIT = 1024


class Parts(Course):
    """A call that can be ended, and does nothing else by itself."""

    direction: CallDirection = "inbound"

    __slots__ = (
        "__weakref__",
        "_farewell",
        "_farewell_reason",
        "_floor",
        "_inbox",
        "_keys",
        "_ringing",
        "_timers",
        "agent",
        "bridging",
        "hand_overs",
        "hold",
        "holders_music",
        "leg",
        "referral",
        "tape",
        "transfers",
        "variables",
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
        self.holders_music = HoldersMusic(self.leg, self._timers, timeline, services)
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
        self._farewell_reason = EndReason.AGENT_HUNG_UP
        self.variables = Variables()
        """What this call's other side, and whoever it went on to, has said in headers of its own."""

    def _make_destination(
        self, uri: DestinationUri, listener: DestinationListener, *, ready_within: float
    ) -> Destination:
        if isinstance(uri, DialUri):
            return self.bridging.onward(uri, listener, ready_within=ready_within)
        dial = self.bridging.dials(ready_within)
        return self._services.make_destination(uri, listener, ready_within=ready_within, dial=dial)

    def post(self, event: CallEvent) -> None:
        """Put an event into the inbox. If it is full, all that waits is given up and the call ends."""
        if self._inbox.is_full:
            self._inbox.clear()
            self._inbox.put(HangUp(EndReason.INTERNAL_ERROR, "more events than a call can take"))
        self._inbox.put(event)

    def post_fault(self, error: Exception) -> None:
        """A callback of this call failed; the call ends as `internal_error`."""
        self.post(Fault(error))

    def _agent_chosen(self, uri: str) -> None:
        self.tape.chosen(uri)
        self._tell(AgentChosen(uri))

    def _hear_variables(self, message: Request | Response) -> None:
        """Keep what the other side says beside the protocol, and let the call know that this one was placed for."""
        of_route = self.route.pass_headers if self.route is not None and self.direction == "inbound" else None
        said = said_in(message, self.trunk.pass_headers if of_route is None else of_route)
        for name, why in said.left_out:
            self._note(f"header {printable(name)} is no variable: {printable(why)}")
        self._keep_variables(said.values)
        behind = self.agent.destination
        if said.values and isinstance(behind, Back):
            behind.said(said.values)

    def _keep_variables(self, values: Mapping[str, str]) -> None:
        for name in self.variables.take(values):
            self._note(f"variable {name} is left out: the call has as many as it may")

    # -- ends

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
