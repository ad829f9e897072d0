"""The switchboard: takes what SIP tells, makes calls of it, and keeps them until they have ended."""

import asyncio
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, Protocol

import structlog

from offhook.call.account import record_of
from offhook.call.call import Call, CallServices, HangUp
from offhook.call.end_reason import EndReason
from offhook.destination.dialect.facts import AgentFacts
from offhook.ids import CallId, new_call_id
from offhook.report.record import CallRecord
from offhook.report.setup import SetUp
from offhook.report.timeline import Timeline
from offhook.route.limits import Admission, Admitted, Refused
from offhook.route.table import CallFacts, Decision, Forward, NoRoute, RouteTable
from offhook.route.trunk import Trunk
from offhook.sip import events as sip
from offhook.sip.effects import Source
from offhook.sip.message import Request, Response
from offhook.sip.uri import SipUri, TelUri, Uri

_log = structlog.get_logger("offhook.call")

# INVITEs that were seen and have not become a call (yet); the oldest is forgotten.
_MAX_UNCLAIMED = 256

_REFUSED_BY_PROTOCOL = {
    420: EndReason.UNSUPPORTED_EXTENSION,
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
    """The part of the configuration that a reload swaps whole; a call keeps what it began with."""

    routes: RouteTable


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
        self._by_sip_call_id: dict[str, Call] = {}
        self._tickets: dict[CallId, int] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._timelines: dict[str, Timeline] = {}
        self._unclaimed: OrderedDict[str, Timeline] = OrderedDict()
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
            case sip.OptionsAnswered():
                pass
            case _:
                call = event.session.context
                if isinstance(call, Call):
                    call.post(event)

    def see(self, direction: Literal["in", "out"], message: Request | Response, source: Source) -> None:
        """Keep a SIP message, sent ("out") or received ("in") just now, in the timeline of its call, if it has one."""
        at = self._services.now()
        timeline = self._timelines.get(message.call_id)
        if timeline is None and direction == "in" and _begins_a_call(message):
            timeline = self._unclaimed.get(message.call_id) or self._expect(message.call_id, at)
        if timeline is None:
            timeline = self._unclaimed.get(message.call_id)
        if timeline is None:
            return
        timeline.add_sip(
            at,
            direction,
            bytes(message),
            transport=source.transport,
            remote=_host_port(source.remote),
            local=_host_port(source.local),
        )

    def hang_up_all(self, reason: EndReason, detail: str) -> None:
        """End every call."""
        for call in tuple(self._calls.values()):
            call.post(HangUp(reason, detail))

    async def idle(self) -> None:
        """Wait until no call is left."""
        await self._idle.wait()

    def dialog_peer(self, sip_call_id: str) -> tuple[Trunk, str] | None:
        """The trunk of a call and the address that its INVITE came from."""
        call = self._by_sip_call_id.get(sip_call_id)
        return None if call is None else (call.trunk, call.leg.source.remote[0])

    # -- a call's way in

    def _arrive(self, event: sip.InviteReceived) -> None:
        now = self._services.now()
        trunk = event.peer
        assert isinstance(trunk, Trunk), "the screen admits trunks"
        session, request = event.session, event.request
        timeline = self._unclaimed.pop(session.sip_call_id, None) or Timeline(CallId(""), started=now)
        set_up = SetUp(now if timeline.started is None else timeline.started)
        set_up.reach("trying", now)
        facts = facts_of(request, trunk)
        admitted = self._admission.admit(trunk.name, now, self._loop_lag())
        decision: Decision | None = None
        if isinstance(admitted, Admitted):
            decision = self.rules.routes.decide(facts)
            set_up.reach("routed", self._services.now())
        route = decision.route if isinstance(decision, Forward) else None
        told = AgentFacts(
            call_id=new_call_id(),
            from_number=facts.from_.canonical,
            to_number=facts.to.canonical,
            display_name=request.from_.display_name or "",
            trunk=trunk.name,
            route=route.name if route is not None else "",
            sip_call_id=session.sip_call_id,
            headers=headers_for_agent(request, trunk),
        )
        timeline.call_id = told.call_id
        self._timelines[session.sip_call_id] = timeline
        call = Call(told, session, event.source, trunk, route, timeline, set_up, self._services)
        session.context = call
        self._calls[call.id] = call
        self._by_sip_call_id[session.sip_call_id] = call
        self._idle.clear()
        self._metrics.call_started(trunk.name)
        self._records.begin(self.record(call))
        refusal = _refusal(admitted, decision)
        if isinstance(admitted, Admitted):
            self._tickets[call.id] = admitted.ticket
        task = asyncio.get_running_loop().create_task(self._live(call, request, refusal), name=f"call {call.id}")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _live(self, call: Call, request: Request, refusal: tuple[EndReason, str, int] | None) -> None:
        try:
            if refusal is None:
                await call.run(request)
            else:
                reason, detail, call.retry_after = refusal
                await call.refuse(reason, detail)
        finally:
            self.ended(call)
            self._close(call)

    def _close(self, call: Call) -> None:
        record = self.record(call)
        self._calls.pop(call.id, None)
        self._timelines.pop(call.leg.session.sip_call_id, None)
        self._by_sip_call_id.pop(call.leg.session.sip_call_id, None)
        self._records.finish(record, call.timeline)
        self._metrics.call_ended(record)
        call.leg.session.context = None
        _log.info(
            "call.ended",
            call_id=call.id,
            trunk=record.trunk,
            route=record.route,
            reason=record.end_reason,
            detail=record.end_detail,
            sip_status=record.sip_status,
            seconds=record.billable_seconds,
        )
        if not self._calls:
            self._idle.set()

    def _refused_by_protocol(self, event: sip.InviteRefused) -> None:
        """Write down an INVITE that SIP itself refused (405, 420, 482 …), so that it is not silent either."""
        request, status, trunk = event.request, event.response.status, event.peer
        if request.to.tag is not None or not isinstance(trunk, Trunk):
            return
        now, facts = self._services.now(), facts_of(request, trunk)
        timeline = self._unclaimed.pop(request.call_id, None) or Timeline(CallId(""), started=now)
        timeline.call_id = new_call_id()
        reason = _REFUSED_BY_PROTOCOL.get(status, EndReason.BAD_REQUEST)
        at = self._wall(now)
        record = CallRecord(
            call_id=timeline.call_id,
            setup_at=at,
            end_at=at,
            trunk=trunk.name,
            from_number=facts.from_.canonical,
            to_number=facts.to.canonical,
            sip_call_id=request.call_id,
            remote_tag=request.from_.tag,
            transport=event.source.transport,
            remote_signalling=_host_port(event.source.remote),
            local_signalling=_host_port(event.source.local),
            billable_seconds=0,
            end_reason=reason.slug,
            end_detail=f"{status} {event.response.reason}",
            sip_status=status,
            q850=reason.q850,
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

    def ended(self, call: Call) -> None:
        """A call's media is free: its place goes to the next, while its record still waits for the last words."""
        ticket = self._tickets.pop(call.id, None)
        if ticket is not None:
            self._admission.release(ticket)

    def record(self, call: Call) -> CallRecord:
        """The record of a call as it stands."""
        return record_of(call, self._wall, node=self._node, version=self._version)

    def _expect(self, sip_call_id: str, at: float) -> Timeline:
        """Begin the timeline of an INVITE that may become a call, or be refused before it does."""
        if len(self._unclaimed) >= _MAX_UNCLAIMED:
            self._unclaimed.popitem(last=False)
        timeline = self._unclaimed[sip_call_id] = Timeline(CallId(""), started=at)
        return timeline


def user_of(uri: Uri) -> str:
    """Who a URI names: the user of a SIP URI, the number of a `tel:` URI, nobody otherwise."""
    match uri:
        case SipUri():
            return uri.user or ""
        case TelUri():
            return uri.number
        case _:
            return ""


def facts_of(request: Request, trunk: Trunk) -> CallFacts:
    """What the routes may look at."""
    caller = request.from_.uri
    return CallFacts.read(
        trunk,
        to_user=user_of(request.request_uri),
        from_user=user_of(caller),
        from_host=caller.host if isinstance(caller, SipUri) else "",
        headers=tuple(request.headers),
    )


def headers_for_agent(request: Request, trunk: Trunk) -> dict[str, str]:
    """The headers of the INVITE that the trunk passes on, by their names as received; the first of a name counts."""
    found: dict[str, str] = {}
    for name, value in request.headers:
        if name not in found and trunk.passes(name):
            found[name] = value
    return found


def _refusal(admitted: Admitted | Refused, decision: Decision | None) -> tuple[EndReason, str, int] | None:
    """Why the call goes no further, in detail, and Retry-After in seconds where it is a matter of time."""
    if isinstance(admitted, Refused):
        return EndReason.of(admitted.slug), admitted.why, admitted.retry_after
    if isinstance(decision, NoRoute):
        return EndReason.NO_ROUTE, decision.why, 0
    return None


def _begins_a_call(message: Request | Response) -> bool:
    return isinstance(message, Request) and message.method == "INVITE" and message.to.tag is None


def _host_port(address: tuple[str, int]) -> str:
    host, port = address[:2]
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
