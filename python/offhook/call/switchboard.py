"""The switchboard: takes what SIP tells, makes calls of it, and keeps them until they have ended."""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Protocol

import structlog

from offhook.call.account import record_of
from offhook.call.call import Call
from offhook.call.end_reason import EndReason
from offhook.call.event import HangUp
from offhook.call.facts import caller_of, diversions_of, facts_of, headers_for_agent, identity_of, user_data_of
from offhook.call.leg import CallerLeg
from offhook.call.parts import Parts
from offhook.call.services import CallServices
from offhook.call.trace import Direction, SipTrace, host_port
from offhook.destination.dialect.facts import AgentFacts
from offhook.errors import RemoteProtocolError
from offhook.ids import CallId, TrunkName, new_call_id
from offhook.observe.printable import printable
from offhook.report.record import CallRecord
from offhook.report.setup import SetUp
from offhook.report.timeline import Timeline
from offhook.route.limits import Admission, Admitted, Refused
from offhook.route.table import Decision, Forward, NoRoute, RouteTable
from offhook.route.trunk import Trunk
from offhook.sip import events as sip
from offhook.sip.digest import Credentials
from offhook.sip.effects import Source
from offhook.sip.invite import InviteSession
from offhook.sip.message import Request, Response

_log = structlog.get_logger("offhook.call")

# Of a wish to dial: who writes it may be a program that was talked into it.
_LONGEST_NUMBER = 64
_LONGEST_NOTE = 500

_REFUSED_BY_PROTOCOL = {
    420: EndReason.UNSUPPORTED_EXTENSION,
    422: EndReason.SESSION_INTERVAL_TOO_SMALL,
    482: EndReason.MERGED_REQUEST,
    483: EndReason.LOOP_DETECTED,
    503: EndReason.LIMIT_CALLS,
}


class Records(Protocol):
    """Where records go. Every method returns at once and never raises for a full or broken disk."""

    def begin(self, record: CallRecord) -> None: ...
    def answered(self, record: CallRecord) -> None: ...
    def finish(self, record: CallRecord, timeline: Timeline) -> None: ...


class CallMetrics(Protocol):
    """What the switchboard counts."""

    def call_started(self, trunk: str) -> None: ...
    def call_answered(self, record: CallRecord) -> None: ...
    def call_ended(self, record: CallRecord) -> None: ...


@dataclass(frozen=True, slots=True)
class Rules:
    """The part of the configuration that a reload swaps whole; a call keeps what it began with.

    `own` are the tables of trunks whose calls go by other routes than `routes`; `logins` are user names and passwords
    that we prove to trunks which ask for them within a call.
    """

    routes: RouteTable
    own: Mapping[TrunkName, RouteTable] = field(default_factory=dict)
    logins: Mapping[TrunkName, tuple[str, str]] = field(default_factory=dict, repr=False)

    def of(self, trunk: TrunkName) -> RouteTable:
        """The routes that calls of this trunk go by."""
        return self.own.get(trunk, self.routes)


class Switchboard:
    """Every call of the gateway. Lives on the event loop; nothing here waits.

    `wall` turns monotonic seconds into UTC milliseconds; `loop_lag` is how late the event loop runs, in seconds.
    """

    def __init__(
        self,
        rules: Rules,
        admission: Admission,
        services: CallServices,
        records: Records,
        metrics: CallMetrics,
        *,
        wall: Callable[[float], int],
        loop_lag: Callable[[], float],
        node: str,
        version: str,
    ) -> None:
        self.rules = rules
        self._admission = admission
        self._services = services
        self._records = records
        self._metrics = metrics
        self._wall = wall
        self._loop_lag = loop_lag
        self._node = node
        self._version = version
        self._calls: dict[CallId, Call] = {}
        self._by_dialog: dict[tuple[str, str], Call] = {}
        self._tickets: dict[CallId, int] = {}
        self._followed: dict[CallId, tuple[Request, Source, str]] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._trace = SipTrace()
        self._idle = asyncio.Event()
        self._idle.set()

    @property
    def calls(self) -> int:
        """Calls whose record is still open."""
        return len(self._calls)

    def take(self, event: sip.Event) -> None:
        """Take one event of the SIP stack."""
        match event:
            case sip.InviteReceived():
                self._arrive(event)
            case sip.InviteRefused():
                self._refused_by_protocol(event)
            case sip.OptionsAnswered(asker) if callable(asker):
                asker(event)
            case sip.OptionsAnswered():
                pass
            case _:
                call = event.session.context
                if isinstance(call, Call):
                    call.post(event)

    def see(self, direction: Direction, message: Request | Response, source: Source) -> None:
        """Keep a SIP message, sent ("out") or received ("in") just now, in the timeline of its call, if it has one."""
        self._trace.see(direction, message, source, self._services.now())

    def hang_up_all(self, reason: EndReason, detail: str) -> None:
        """End every call."""
        for call in tuple(self._calls.values()):
            call.post(HangUp(reason, detail))

    async def idle(self) -> None:
        """Wait until no call is left."""
        await self._idle.wait()

    async def close(self) -> None:
        """End what still runs at once, and write its records."""
        # A call that has only just come has to begin, so that it can end.
        await asyncio.sleep(0)
        tasks = tuple(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def dialog_peer(self, request: Request) -> tuple[Trunk, str] | None:
        """The trunk of the call that a request belongs to, and the address that its INVITE came from."""
        call = self._by_dialog.get((request.call_id, request.to.tag or ""))
        return None if call is None else (call.trunk, call.leg.source.remote[0])

    # -- a call's way in

    def _arrive(self, event: sip.InviteReceived) -> None:
        trunk = event.peer
        assert isinstance(trunk, Trunk), "the screen admits trunks"
        admitted = self._admission.admit(trunk.name, self._services.now(), self._loop_lag())
        ticket = admitted.ticket if isinstance(admitted, Admitted) else None
        try:
            call, refusal = self._make_call(event, trunk, admitted)
        except Exception as error:
            # A bug of ours: the driver answers 500, and the call has its record all the same.
            if ticket is not None:
                self._admission.release(ticket)
            detail = f"{type(error).__name__}: {error}"
            self._write_down(event.request, event.source, trunk, EndReason.INTERNAL_ERROR, None, detail)
            raise
        login = self.rules.logins.get(trunk.name)
        if login is not None:
            # Proven to where the call came from alone: its Contact may lead anywhere.
            event.session.credentials = Credentials(*login, frozenset({event.source.remote[0]}))
        self.adopt(call, ticket, refusal)

    def adopt(
        self,
        call: Call,
        ticket: int | None,
        refusal: "Refusal | None" = None,
        *,
        over: Callable[[], None] = lambda: None,
    ) -> None:
        """Let a call live, in or out, until it has ended and its record is closed; its SIP goes to it from now on.

        `ticket` is its place, given back at its end. With a `refusal` it gets no further than that. `over` is called
        when it is over.
        """
        session = call.leg.session
        self._calls[call.id] = call
        self._follow(call, session)
        if ticket is not None:
            self._tickets[call.id] = ticket
        self._idle.clear()
        life = self._live(call, session.request, refusal, over)
        task = asyncio.get_running_loop().create_task(life, name=f"call {call.id}")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        self._metrics.call_started(call.trunk.name)
        self._records.begin(self.record(call))

    def renewed(self, call: Call, session: InviteSession, ticket: int) -> None:
        """A call out begins anew by another trunk: with another session, and in another place."""
        self._unfollow(call, call.leg.session)
        self._follow(call, session)
        self.ended(call)
        self._tickets[call.id] = ticket

    def _follow(self, call: Call, session: InviteSession) -> None:
        session.context = call
        self._by_dialog[session.sip_call_id, session.local_tag] = call
        followed = self._followed[call.id] = (session.request, call.leg.source, session.local_tag)
        self._trace.follow(*followed, call.timeline)

    def _unfollow(self, call: Call, session: InviteSession) -> None:
        self._by_dialog.pop((session.sip_call_id, session.local_tag), None)
        self._trace.forget(*self._followed.pop(call.id))
        session.context = None

    def _make_call(
        self, event: sip.InviteReceived, trunk: Trunk, admitted: Admitted | Refused
    ) -> tuple[Call, "Refusal | None"]:
        request, session = event.request, event.session
        now, call_id = self._services.now(), new_call_id()
        timeline, arrived_at = self._trace.claim(request, event.source, call_id, now)
        set_up = SetUp(arrived_at)
        set_up.reach("trying", now)
        party = caller_of(request, trunk, event.user)
        facts = facts_of(request, trunk, party)
        decision: Decision | None = None
        if isinstance(admitted, Admitted):
            decision = self.rules.of(trunk.name).decide(facts)
            set_up.reach("routed", self._services.now())
        route = decision.route if isinstance(decision, Forward) else None
        told = AgentFacts(
            call_id=call_id,
            from_number=facts.from_.canonical,
            to_number=facts.to.canonical,
            display_name="" if party.is_withheld else party.display_name,
            trunk=trunk.name,
            route=route.name if route is not None else "",
            sip_call_id=session.sip_call_id,
            headers=headers_for_agent(
                request, trunk, passed=route.pass_headers if route is not None else None, withheld=party.is_withheld
            ),
            barge_in=(route.barge_in if route is not None else None) or "auto",
            identity=identity_of(party, trunk),
            diversions=diversions_of(request, trunk),
            user_to_user=user_data_of(request),
            session_id=str(session.letterhead.session_id),
            agent_headers=route.agent_headers if route is not None else (),
            early_media=route is not None and route.early_media.source == "agent" and _can_be_heard_early(session),
        )
        leg = CallerLeg(session, event.source, trunk, timeline)
        call = Call(told, leg, trunk, route, timeline, set_up, self._services, arrived_at=arrived_at)
        return call, _refusal(admitted, decision)

    async def _live(self, call: Call, request: Request, refusal: "Refusal | None", over: Callable[[], None]) -> None:
        try:
            if refusal is None:
                await call.run(request)
            else:
                call.retry_after = refusal.retry_after
                await call.refuse(refusal.reason, refusal.detail)
        finally:
            self.ended(call)
            self._close(call)
            over()

    def not_placed(
        self,
        call_id: CallId,
        reason: EndReason,
        detail: str,
        *,
        arrived_at: float,
        trunk: TrunkName,
        destination: str,
        from_number: str | None,
        to_number: str,
    ) -> None:
        """Write down a call out that was refused here, or could not be begun: nobody heard of it."""
        now, timeline = self._services.now(), Timeline(call_id, started=arrived_at)
        to_number, from_number = printable(to_number)[:_LONGEST_NUMBER], printable(from_number or "")[:_LONGEST_NUMBER]
        timeline.add("note", now, note=f"nobody was called: {printable(detail)}"[:_LONGEST_NOTE])
        record = CallRecord(
            call_id=call_id,
            direction="outbound",
            setup_at=self._wall(arrived_at),
            end_at=self._wall(now),
            trunk=trunk or None,
            destination=destination,
            from_number=from_number or None,
            to_number=to_number,
            billable_seconds=0,
            end_reason=reason.slug,
            end_detail=printable(detail)[:_LONGEST_NOTE],
            q850=reason.q850,
            fault=reason.fault,
            node=self._node,
            version=self._version,
        )
        self._records.finish(record, timeline)
        self._metrics.call_started(trunk)
        self._metrics.call_ended(record)
        _log.warning("call.not_placed", call_id=call_id, trunk=trunk, reason=reason.slug, detail=detail)

    def find(self, call_id: str) -> Call | None:
        """A call that lives, or whose record is still open."""
        return self._calls.get(CallId(call_id))

    def _close(self, call: Call) -> None:
        session = call.leg.session
        del self._calls[call.id]
        self._unfollow(call, session)
        if not self._calls:
            self._idle.set()
        record = self.record(call)
        self._records.finish(record, call.timeline)
        self._metrics.call_ended(record)
        _log.info(
            "call.ended",
            call_id=call.id,
            session_id=record.session_id,
            trunk=record.trunk,
            route=record.route,
            reason=record.end_reason,
            detail=record.end_detail,
            sip_status=record.sip_status,
            seconds=record.billable_seconds,
        )

    def _refused_by_protocol(self, event: sip.InviteRefused) -> None:
        """Write down an INVITE that SIP itself refused (420, 482 …), so that it is not silent either.

        A verdict given again is not news: the call that it was made on has its record.
        """
        request, response, trunk = event.request, event.response, event.peer
        if event.repeated or request.has_to_tag or not isinstance(trunk, Trunk):
            return
        reason = _REFUSED_BY_PROTOCOL.get(response.status, EndReason.BAD_REQUEST)
        said = f"{response.status} {response.reason}"
        detail = f"{said}: {printable(event.detail)}" if event.detail else said
        self._write_down(request, event.source, trunk, reason, response, detail)

    def _write_down(
        self,
        request: Request,
        source: Source,
        trunk: Trunk,
        reason: EndReason,
        response: Response | None,
        detail: str,
    ) -> None:
        """The record of an INVITE that never became a call; without a `response` it gets a 500."""
        now, call_id = self._services.now(), new_call_id()
        timeline, arrived_at = self._trace.claim(request, source, call_id, now)
        from_number, to_number = _numbers(request, trunk)
        said = response.reasons if response is not None else ()
        record = CallRecord(
            call_id=call_id,
            setup_at=self._wall(arrived_at),
            end_at=self._wall(now),
            trunk=trunk.name,
            from_number=from_number,
            to_number=to_number,
            sip_call_id=request.headers.get("Call-ID"),
            session_id=str(response.session_id) if response is not None and response.session_id else None,
            remote_tag=_caller_tag(request),
            transport=source.transport,
            remote_signalling=host_port(source.remote),
            local_signalling=host_port(source.local),
            signalling_tls=str(source.tls) if source.tls is not None else None,
            billable_seconds=0,
            end_reason=reason.slug,
            end_detail=detail,
            sip_status=response.status if response is not None else 500,
            q850=next((cause.cause for cause in said if cause.protocol == "Q.850"), reason.q850),
            fault=reason.fault,
            node=self._node,
            version=self._version,
        )
        self._records.finish(record, timeline)
        self._metrics.call_started(trunk.name)
        self._metrics.call_ended(record)

    def answered(self, call: Call) -> None:
        """A call was answered: write it early, so that a crash of ours does not lose it."""
        record = self.record(call)
        self._records.answered(record)
        self._metrics.call_answered(record)

    def ended(self, call: Parts) -> None:
        """A call's media is free: its place goes to the next, while its record still waits for the last words."""
        ticket = self._tickets.pop(call.id, None)
        if ticket is not None:
            self._admission.release(ticket)

    def record(self, call: Call) -> CallRecord:
        """The record of a call as it stands."""
        return record_of(call, self._wall, node=self._node, version=self._version)


def _can_be_heard_early(session: InviteSession) -> bool:
    """Whether it can be known where to before the answer (RFC 3262 section 5: our offer, and the answer in a PRACK)."""
    return session.request.sdp is not None or session.reliability != "none"


def _numbers(request: Request, trunk: Trunk) -> tuple[str | None, str | None]:
    """Caller and number dialled, None of both where the request is too broken to say."""
    try:
        facts = facts_of(request, trunk)
    except RemoteProtocolError:
        return None, None
    return facts.from_.canonical, facts.to.canonical


def _caller_tag(request: Request) -> str | None:
    try:
        return request.from_.tag
    except RemoteProtocolError:
        return None


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a call goes no further, and Retry-After in seconds where it is a matter of time."""

    reason: EndReason
    detail: str
    retry_after: int = 0


def _refusal(admitted: Admitted | Refused, decision: Decision | None) -> Refusal | None:
    if isinstance(admitted, Refused):
        return Refusal(EndReason.of(admitted.slug), admitted.why, admitted.retry_after)
    if isinstance(decision, NoRoute):
        return Refusal(EndReason.NO_ROUTE, decision.why)
    return None
