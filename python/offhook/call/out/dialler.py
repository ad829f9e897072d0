"""The dialler: asks the gate, finds the way to a trunk, and lets the call live, or writes down why it does not."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import partial

from offhook.call.end_reason import EndReason
from offhook.call.event import FromLeg, HangUp
from offhook.call.out.gatekeeper import Allowed, Denied, Gatekeeper
from offhook.call.out.outbound import OutboundCall
from offhook.call.out.outbound_leg import CalleeLeg
from offhook.call.out.outcome import NotPlaced, Outcome, kind_of
from offhook.call.out.target_health import TargetHealth
from offhook.call.out.target_tries import Search, TargetTries
from offhook.call.out.way_out import NoWay, WayOut
from offhook.call.out.wish import Wish
from offhook.call.screen import TrunkScreen
from offhook.call.services import CallServices
from offhook.call.state import CallState
from offhook.call.switchboard import Switchboard
from offhook.destination.dialect.facts import AgentFacts
from offhook.ids import CallId, RouteName, TrunkName, new_call_id
from offhook.report.setup import SetUp
from offhook.report.timeline import Timeline
from offhook.route.limits import Admission, Refused
from offhook.route.pattern import Pattern
from offhook.route.table import RecordPolicy, Route
from offhook.sip.invite import InviteSession

AGENT_TIME = 20.0
"""Seconds that the agent has to be ready, before anybody is called."""

# What a trunk repeats of a call that is over (64*T1) is still answered.
_HEARD_FOR = 32.0


class Dialler:
    """Places calls out. Lives on the event loop."""

    def __init__(
        self,
        gate: Gatekeeper,
        admission: Admission,
        services: CallServices,
        switchboard: Switchboard,
        screen: TrunkScreen,
        way: WayOut,
        *,
        loop_lag: Callable[[], float],
        health: TargetHealth,
        tried: Callable[[TrunkName, str], None] = lambda trunk, outcome: None,
    ) -> None:
        self._gate = gate
        self._admission = admission
        self._services = services
        self._switchboard = switchboard
        self._screen = screen
        self._way = way
        self._loop_lag = loop_lag
        self._health = health
        self._tried = tried

    async def dial(
        self, wish: Wish, over: Callable[[OutboundCall], None] = lambda call: None
    ) -> OutboundCall | NotPlaced:
        """Place a call: returns as soon as it lives, long before anybody answers (`OutboundCall.decided`).

        `over` is told of a call that was placed, once its record is closed.
        """
        arrived_at, call_id = self._services.now(), new_call_id()
        verdict = self._gate.judge(wish, arrived_at)
        if isinstance(verdict, Denied):
            detail = f"{verdict.slug}: {verdict.why}" + (f" ({verdict.hint})" if verdict.hint else "")
            attempt = _Attempt(wish, call_id, arrived_at, verdict.trunk or TrunkName(""), wish.to)
            no_way = NoWay(EndReason.DIAL_REFUSED, detail, verdict.slug, verdict.retry_after)
            return self._not_placed(attempt, no_way)
        attempt = _Attempt(wish, call_id, arrived_at, verdict.trunk.name, verdict.number, verdict.caller_id)
        first: NoWay | None = None
        while isinstance(verdict, Allowed):
            attempt.take(verdict)
            placed = await self._dial(attempt, verdict, over)
            if isinstance(placed, OutboundCall):
                return placed
            attempt.told.append(placed.detail)
            first = placed if first is None else first
            verdict = self._next_trunk(attempt)
        assert first is not None, "one trunk was tried"
        return self._not_placed(attempt, replace(first, detail="; ".join(dict.fromkeys(attempt.told))))

    def _next_trunk(self, attempt: "_Attempt") -> Allowed | Denied:
        """The gate's word on the trunks that have not been tried; whoever names a trunk means that one."""
        if attempt.wish.trunk is not None or not attempt.search.may_go_on(self._services.now()):
            return Denied("dial_no_trunk", "no other trunk")
        return self._gate.judge(attempt.wish, self._services.now(), frozenset(attempt.trunks))

    async def _dial(
        self, attempt: "_Attempt", allowed: Allowed, over: Callable[[OutboundCall], None]
    ) -> OutboundCall | NoWay:
        try:
            ticket = self._admit(allowed)
            if isinstance(ticket, NoWay):
                return ticket
            try:
                placed = await self._place(attempt, allowed, ticket, over)
            except BaseException:
                self._admission.release(ticket)
                raise
        except BaseException:
            # Whoever waits may give up, and we may have a bug: what was counted is given back.
            allowed.permit.release(self._services.now())
            raise
        if isinstance(placed, NoWay):
            self._give_back(allowed, ticket)
        return placed

    def _admit(self, allowed: Allowed) -> int | NoWay:
        """A place for the call; without one, what the gate has counted is given back."""
        now = self._services.now()
        admitted = self._admission.admit(allowed.trunk.name, now, self._loop_lag())
        if isinstance(admitted, Refused):
            allowed.permit.release(now)
            return NoWay(EndReason.of(admitted.slug), admitted.why, admitted.slug, admitted.retry_after)
        return admitted.ticket

    def _give_back(self, allowed: Allowed, ticket: int) -> None:
        self._admission.release(ticket)
        allowed.permit.release(self._services.now())

    async def _place(
        self, attempt: "_Attempt", allowed: Allowed, ticket: int, over: Callable[[OutboundCall], None]
    ) -> OutboundCall | NoWay:
        trunk = allowed.trunk
        targets = await self._way.targets_of(trunk, allowed.number)
        if isinstance(targets, NoWay):
            return targets
        timeline = Timeline(attempt.call_id, started=attempt.arrived_at)
        joined = attempt.wish.joined
        for number, target in enumerate(targets):
            leg = CalleeLeg(self._way.source_to(target), trunk, timeline)
            # The leg has nothing to tell before the call that it tells has been made.
            refused = leg.open(
                self._services.media,
                self._services.media_address,
                on_event=lambda event: call.post(FromLeg(event)),
                on_error=lambda error: call.post_fault(error),
                beside=joined.beside if joined is not None else None,
            )
            if refused is None:
                targets = targets[number:]
                break
            leg.close()
        if refused is not None:
            return NoWay(refused.reason, refused.detail, refused.reason.slug)
        for told in attempt.told:
            timeline.add("note", self._services.now(), note=f"another trunk could not be taken: {told}")
        tries = self._tries(attempt, allowed, leg, timeline)
        try:
            session = self._services.perform(
                lambda now: self._way.invite(attempt.wish, allowed, targets, leg, tries, now)
            )
        except BaseException:
            leg.close()
            raise
        leg.dialled(session)
        route = _route_of(attempt.wish)
        call = OutboundCall(
            self._facts(attempt, allowed, session, route),
            leg,
            trunk,
            route,
            timeline,
            SetUp(attempt.arrived_at),
            self._services,
            arrived_at=attempt.arrived_at,
            wish=attempt.wish,
            permit=allowed.permit,
        )
        call.elsewhere = lambda call, why: self._go_elsewhere(call, attempt, why)
        call.tried = attempt.search.told

        def is_over() -> None:
            for one in attempt.tries:
                one.over()
                asyncio.get_running_loop().call_later(_HEARD_FOR, one.forget)
            over(call)

        self._switchboard.adopt(call, ticket, over=is_over)
        return call

    def _tries(self, attempt: "_Attempt", allowed: Allowed, leg: CalleeLeg, timeline: Timeline) -> TargetTries:
        others = allowed.others if attempt.wish.trunk is None else 0
        tries = TargetTries(
            allowed.trunk,
            leg,
            timeline,
            self._health,
            self._screen,
            attempt.search,
            now=self._services.now,
            source_to=self._way.source_to,
            has_others=others > 0,
            counted=self._tried,
        )
        attempt.tries.append(tries)
        return tries

    # -- another trunk for a call that lives

    def _go_elsewhere(self, call: OutboundCall, attempt: "_Attempt", why: str) -> bool:
        """Ask another trunk, since this one could not be reached or has no room; False if there is none."""
        while isinstance(allowed := self._next_trunk(attempt), Allowed):
            attempt.take(allowed)
            ticket = self._admit(allowed)
            if isinstance(ticket, NoWay):
                call.timeline.add("note", self._services.now(), note=f"trunk '{allowed.trunk.name}': {ticket.detail}")
                continue
            note = f"trunk '{call.trunk.name}': {why}; the call goes to trunk '{allowed.trunk.name}'"
            call.timeline.add("note", self._services.now(), note=note)
            self._services.placing.follow(self._take_trunk(call, attempt, allowed, ticket))
            return True
        return False

    async def _take_trunk(self, call: OutboundCall, attempt: "_Attempt", allowed: Allowed, ticket: int) -> None:
        try:
            no_way = await self._turn(call, attempt, allowed, ticket)
        except BaseException as error:
            self._give_back(allowed, ticket)
            if not isinstance(error, Exception):
                raise
            call.post_fault(error)
            return
        if no_way is None:
            return
        self._give_back(allowed, ticket)
        if call.state is CallState.CALLING and not self._go_elsewhere(call, attempt, no_way.detail):
            call.post(HangUp(no_way.reason, no_way.detail))

    async def _turn(self, call: OutboundCall, attempt: "_Attempt", allowed: Allowed, ticket: int) -> NoWay | None:
        """Give a call that nobody has heard of yet to another trunk; or why that can't be."""
        targets = await self._way.targets_of(allowed.trunk, allowed.number)
        if isinstance(targets, NoWay):
            return targets
        if call.state is not CallState.CALLING:
            return NoWay(EndReason.DIAL_CANCELLED, "given up meanwhile", "cancelled")
        leg = call.leg
        refused = leg.face(self._way.source_to(targets[0]), allowed.trunk)
        if refused is not None:
            return NoWay(refused.reason, refused.detail, refused.reason.slug)
        tries = self._tries(attempt, allowed, leg, call.timeline)
        session = self._services.perform(partial(self._way.invite, attempt.wish, allowed, targets, leg, tries))
        self._switchboard.renewed(call, session, ticket)
        leg.dialled(session)
        call.rerouted(allowed.trunk, allowed.permit, self._facts(attempt, allowed, session, _route_of(attempt.wish)))
        self._services.perform(lambda now: session.place(now=now))
        return None

    def _facts(self, attempt: "_Attempt", allowed: Allowed, session: InviteSession, route: Route) -> AgentFacts:
        return AgentFacts(
            call_id=attempt.call_id,
            from_number=allowed.caller_id,
            to_number=allowed.number,
            trunk=allowed.trunk.name,
            sip_call_id=session.sip_call_id,
            session_id=str(session.letterhead.session_id),
            agent_headers=route.agent_headers,
            direction="outbound",
            data=attempt.wish.data,
        )

    def _not_placed(self, attempt: "_Attempt", why: NoWay) -> NotPlaced:
        """Write down a call that nobody heard of."""
        reason = why.reason
        self._switchboard.not_placed(
            attempt.call_id,
            reason,
            why.detail,
            arrived_at=attempt.arrived_at,
            trunk=attempt.trunk,
            destination=attempt.wish.agent.redacted,
            from_number=attempt.caller_id or attempt.wish.caller_id,
            to_number=attempt.number,
        )
        outcome = Outcome(
            kind_of(reason), q850=reason.q850, end_reason=reason.slug, detail=why.detail, hint=reason.hint
        )
        return NotPlaced(attempt.call_id, why.code, outcome, why.retry_after)


@dataclass(slots=True)
class _Attempt:
    """A wish on its way to a call, as far as it has come."""

    wish: Wish
    call_id: CallId
    arrived_at: float
    trunk: TrunkName
    number: str
    caller_id: str = ""
    search: Search = field(default_factory=Search)
    trunks: list[TrunkName] = field(default_factory=list)
    """The trunks that were tried."""
    told: list[str] = field(default_factory=list)
    """Why those that got no call did not."""
    tries: list[TargetTries] = field(default_factory=list)

    def take(self, allowed: Allowed) -> None:
        """Try it by this trunk."""
        self.trunk, self.number, self.caller_id = allowed.trunk.name, allowed.number, allowed.caller_id
        self.trunks.append(allowed.trunk.name)


def _route_of(wish: Wish) -> Route:
    """What a route says of calls that come in, for one that goes out."""
    return Route(
        name=RouteName("dial"),
        destination=wish.agent,
        ring_timeout=AGENT_TIME,
        record=RecordPolicy.ALWAYS if wish.record else RecordPolicy.NEVER,
        # Whoever may place calls for any agent of the configuration may as well have taken the other one.
        # One that goes on for another may what that one may.
        hand_over_to=(Pattern("agent:*"),) if wish.begun is None else wish.begun.hand_over_to,
    )
