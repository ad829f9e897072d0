"""What a call has to do with another one that it is joined to: how that is placed, and what its record says of it."""

from collections.abc import Sequence

from offhook.call.joined.bridge import Back, Onward
from offhook.call.joined.joining import Joining
from offhook.call.joined.loops import Step
from offhook.call.leg import CallerLeg
from offhook.call.out.wish import LONGEST_RINGING, Wish
from offhook.call.services import CallServices
from offhook.call.transfers.transfer_target import NoTarget, Target, phone_system, read_target
from offhook.destination.base import Destination, DestinationListener
from offhook.destination.dialect.facts import AgentFacts, EndCause
from offhook.destination.platform_agent import Dial, Headers
from offhook.errors import DestinationError, LocalProtocolError
from offhook.ids import CallId
from offhook.media.leg import RtpLeg
from offhook.report.record import CallDirection
from offhook.route.destination_uri import CallUri, DestinationUri, DialUri, host_of
from offhook.route.table import RecordPolicy, Route
from offhook.route.trunk import Trunk
from offhook.sip.headers.reason import Reason
from offhook.sip.headers.session_id import NIL
from offhook.sip.invite import InviteSession
from offhook.sip.outgoing import check_header
from offhook.sip.session_core import HeaderList

_MAX_FORWARDS = 70
_MOST_CAUSES = 2


class Bridging:
    """The other calls of one call: the one that it goes on to, and the one that it was placed for."""

    __slots__ = (
        "_direction",
        "_leg",
        "_route",
        "_services",
        "_trunk",
        "causes",
        "for_",
        "key",
        "to",
    )

    def __init__(
        self, leg: CallerLeg, trunk: Trunk, route: Route | None, services: CallServices, direction: CallDirection
    ) -> None:
        self._leg, self._trunk, self._route, self._services = leg, trunk, route, services
        self._direction = direction
        self.to: CallId | None = None
        """The call that this one goes on to, or was to go on to last."""
        self.for_: CallId | None = None
        """The call that this one was placed for."""
        self.key: str | None = None
        """The API key that this call was asked for with: what its agent has dialled is that key's, too."""
        self.causes: tuple[EndCause, ...] = ()
        """Why the other side of the other call ended it, in its own words."""

    def take_trunk(self, trunk: Trunk) -> None:
        """The call goes by another trunk from now on."""
        self._trunk = trunk

    @property
    def cause_headers(self) -> HeaderList:
        """The Reason fields that the other call's side gave, for this one's."""
        return tuple(
            ("Reason", str(Reason(cause.protocol, cause.cause, cause.text)))
            for cause in self.causes[:_MOST_CAUSES]
            if cause.protocol in ("Q.850", "SIP") and cause.cause is not None
        )

    @property
    def is_on(self) -> bool:
        """Whether this call is joined to another one, or was placed to be."""
        return self.for_ is not None or self.to is not None

    def onward(
        self,
        uri: DialUri,
        listener: DestinationListener,
        *,
        ready_within: float,
        asked_by: DestinationUri | None = None,
        headers: Sequence[tuple[str, str]] | None = None,
        is_transfer: bool = False,
        is_listed: bool = False,
    ) -> Onward:
        """Another call as the destination of this one; `headers` go into its INVITE, by default what the route names.

        Where it `is_listed`, the configuration says whom to call, and no list is asked. Where it `is_transfer`, an
        agent has asked for it, `asked_by` name: then it is judged as its REFER was.
        """

        steps: list[Step] = []

        def wish(leg: RtpLeg, facts: AgentFacts, back: Back) -> Wish:
            made, step = self._wish(uri, leg, facts, back, ready_within, headers, asked_by, is_transfer, is_listed)
            steps.append(step)
            return made

        def answered() -> None:
            for step in steps:
                step.answered()

        def over() -> None:
            for step in steps:
                step.over()

        return Onward(uri, listener, self._services, wish, judge=self.judge_target, answered=answered, over=over)

    def judge_target(self, text: str) -> Target | NoTarget:
        """Whether the one who speaks here may be transferred there, by `transfer_to` of the trunk; the call is up."""
        dialog = self._leg.session.dialog
        if dialog is None:
            return NoTarget("the call is over")
        return read_target(text, self._trunk, phone_system(self._trunk, dialog.remote_target, self._leg.source))

    def dials(self, ready_within: float) -> Dial:
        """How an agent that is called by SIP is made the destination of this call."""

        def dial(uri: str, trunk: str, headers: Headers, listener: DestinationListener, *, listed: bool) -> Destination:
            return self.onward(
                DialUri(uri, trunk), listener, ready_within=ready_within, headers=headers, is_listed=listed
            )

        return dial

    def _wish(
        self,
        uri: DialUri,
        leg: RtpLeg,
        facts: AgentFacts,
        back: Back,
        ready_within: float,
        headers: Sequence[tuple[str, str]] | None,
        asked_by: DestinationUri | None,
        is_transfer: bool,
        is_listed: bool,
    ) -> tuple[Wish, Step]:
        session = self._leg.session
        caller, dialled = facts.from_number, facts.to_number
        if self._direction == "outbound":
            # Who speaks here is the one whom we have called.
            caller, dialled = dialled, caller
        left = self._hops_left(session)
        theirs = session.letterhead.session_id.remote
        session_uuid = theirs if theirs not in (None, NIL) else session.letterhead.session_id.local
        step = self._services.placing.loops.enter(session_uuid, caller, dialled, uri.to)
        if isinstance(step, str):
            raise DestinationError(step, code="loop_detected", retryable=False, sip_status=482)
        own = self._trunk.name if is_transfer and self._serves(uri.to) else None
        # An extension is one of the caller's own phone system, or a phone that registers here: no other is asked.
        is_local = is_transfer and host_of(uri.to) is None and not uri.to.startswith("+")
        made = Wish(
            uri.to,
            CallUri(facts.call_id),
            trunk=uri.trunk if uri.trunk is not None or is_local else own,
            ring_timeout=min(ready_within, LONGEST_RINGING),
            early_media=not is_transfer and self._route is not None and self._route.early_media.source == "agent",
            record=not is_transfer and self._route is not None and self._route.record is RecordPolicy.ALWAYS,
            headers=tuple(self._passed(facts) if headers is None and not is_transfer else headers or ()),
            # The line to an agent of the configuration is nothing that a key has leave.
            key=self.key if is_transfer else None,
            joined=Joining(
                facts.call_id,
                back.serve,
                leg,
                left,
                session_uuid,
                caller,
                dialled,
                agent=asked_by,
                trunk=own,
                setting="agent" if is_listed else "dial_to" if own is None else "transfer_to",
                is_local=is_local,
                is_transfer=is_transfer,
            ),
        )
        return made, step

    def _serves(self, to: str) -> bool:
        """Whether this call's own trunk reaches somebody: all but who is at another host."""
        return self._trunk.calls_out and self._trunk.reaches(host_of(to))

    def _hops_left(self, session: InviteSession) -> int:
        """Max-Forwards of the second call (RFC 3261 section 16.6): one less than the first one had."""
        left = (session.request.max_forwards or 0) - 1 if session.request.max_forwards is not None else _MAX_FORWARDS
        if left < 1:
            why = "its hops (Max-Forwards) are used up, and it would have to go on"
            raise DestinationError(why, code="loop_detected", retryable=False, sip_status=483)
        return left

    def _passed(self, facts: AgentFacts) -> list[tuple[str, str]]:
        """What of the first INVITE goes into the second: the headers that the route names, and nothing else."""
        passed = []
        if self._route is None or self._route.pass_headers is None:
            return []
        for name, value in facts.headers.items():
            try:
                passed.append(check_header(name, value))
            except LocalProtocolError:
                # One that each side of a call has of its own.
                continue
        return passed
