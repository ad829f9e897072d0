"""The dialler: asks the gate, finds the way to a trunk, and lets the call live, or writes down why it does not."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Protocol, TypeAlias

from offhook.call.end_reason import EndReason
from offhook.call.event import FromLeg, HangUp
from offhook.call.outbound import OutboundCall, Permit
from offhook.call.outbound_leg import CalleeLeg
from offhook.call.outcome import NotPlaced, Outcome, kind_of
from offhook.call.screen import TrunkScreen
from offhook.call.services import CallServices
from offhook.call.shown import shown
from offhook.call.state import CallState
from offhook.call.switchboard import Switchboard
from offhook.call.target_health import TargetHealth
from offhook.call.target_tries import MAX_TRIES, Search, TargetTries
from offhook.call.wish import Wish
from offhook.destination.dialect.facts import AgentFacts
from offhook.ids import CallId, RouteName, TrunkName, new_call_id
from offhook.report.setup import SetUp
from offhook.report.timeline import Timeline
from offhook.route.limits import Admission, Refused
from offhook.route.number import written
from offhook.route.pattern import Pattern
from offhook.route.table import RecordPolicy, Route
from offhook.route.trunk import Trunk
from offhook.sip.client_request import literal_target
from offhook.sip.digest import Credentials
from offhook.sip.effects import Source, Target
from offhook.sip.forking import Branch
from offhook.sip.headers.session_id import SessionId
from offhook.sip.invite import InviteSession
from offhook.sip.registrar import Binding
from offhook.sip.uri import SipUri, UriParams
from offhook.sip.user_agent import UserAgent

Resolve: TypeAlias = Callable[[SipUri], Awaitable[tuple[Target, ...]]]
"""The targets of a URI, best first."""

AGENT_TIME = 20.0
"""Seconds that the agent has to be ready, before anybody is called."""

# SRV, then addresses, then what the system knows: a name server that says nothing costs three seconds each.
_LOOK_UP_TIME = 10.0

# What a trunk repeats of a call that is over (64*T1) is still answered.
_HEARD_FOR = 32.0


@dataclass(frozen=True, slots=True)
class Allowed:
    """The gate lets this number be dialled, by this trunk and under this number of ours."""

    trunk: Trunk
    number: str
    caller_id: str
    permit: Permit
    others: int = 0
    """How many other trunks might be taken instead."""


@dataclass(frozen=True, slots=True)
class Denied:
    """The gate says no: `slug` is its rule, `hint` what would allow it, `retry_after` seconds where it is a limit."""

    slug: str
    why: str
    hint: str = ""
    retry_after: int | None = None
    trunk: TrunkName | None = None


class Gatekeeper(Protocol):
    """Stands before everything that dials."""

    def judge(self, wish: Wish, now: float, without: frozenset[TrunkName] = frozenset()) -> Allowed | Denied:
        """Whether this may be dialled now, by none of the trunks `without`; an `Allowed` counts until its release."""


async def no_names(uri: SipUri) -> tuple[Target, ...]:
    """A look-up that finds nothing but addresses."""
    target = literal_target(uri)
    return () if target is None else (target,)


class Dialler:
    """Places calls out. Lives on the event loop.

    `resolve` looks up where a trunk is, `local` says which address of ours is used towards a target, with the port,
    `service_route` which way the registrar of a trunk wants calls to take (RFC 3608).
    """

    def __init__(
        self,
        gate: Gatekeeper,
        admission: Admission,
        services: CallServices,
        switchboard: Switchboard,
        screen: TrunkScreen,
        user_agent: UserAgent,
        *,
        resolve: Resolve,
        local: Callable[[Target], tuple[str, int]],
        logins: Mapping[TrunkName, tuple[str, str]],
        loop_lag: Callable[[], float],
        service_route: Callable[[TrunkName], tuple[str, ...]] = lambda trunk: (),
        places: Callable[[TrunkName, str], tuple[Binding, ...]] = lambda trunk, user: (),
        health: TargetHealth,
        tried: Callable[[TrunkName, str], None] = lambda trunk, outcome: None,
    ) -> None:
        self._gate = gate
        self._admission = admission
        self._services = services
        self._switchboard = switchboard
        self._screen = screen
        self._user_agent = user_agent
        self._resolve = resolve
        self._local = local
        self._logins = logins
        self._loop_lag = loop_lag
        self._service_route = service_route
        self._places = places
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
            attempt = _Attempt(wish, call_id, arrived_at, verdict.trunk or TrunkName(wish.trunk or ""), wish.to)
            no_way = _NoWay(EndReason.DIAL_REFUSED, detail, verdict.slug, verdict.retry_after)
            return self._not_placed(attempt, no_way)
        attempt = _Attempt(wish, call_id, arrived_at, verdict.trunk.name, verdict.number, verdict.caller_id)
        first: _NoWay | None = None
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
    ) -> "OutboundCall | _NoWay":
        try:
            ticket = self._admit(allowed)
            if isinstance(ticket, _NoWay):
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
        if isinstance(placed, _NoWay):
            self._give_back(allowed, ticket)
        return placed

    def _admit(self, allowed: Allowed) -> "int | _NoWay":
        """A place for the call; without one, what the gate has counted is given back."""
        now = self._services.now()
        admitted = self._admission.admit(allowed.trunk.name, now, self._loop_lag())
        if isinstance(admitted, Refused):
            allowed.permit.release(now)
            return _NoWay(EndReason.of(admitted.slug), admitted.why, admitted.slug, admitted.retry_after)
        return admitted.ticket

    def _give_back(self, allowed: Allowed, ticket: int) -> None:
        self._admission.release(ticket)
        allowed.permit.release(self._services.now())

    async def _place(
        self, attempt: "_Attempt", allowed: Allowed, ticket: int, over: Callable[[OutboundCall], None]
    ) -> "OutboundCall | _NoWay":
        trunk = allowed.trunk
        targets = await self._look_up(trunk, allowed.number)
        if isinstance(targets, _NoWay):
            return targets
        timeline = Timeline(attempt.call_id, started=attempt.arrived_at)
        joined = attempt.wish.joined
        for number, target in enumerate(targets):
            leg = CalleeLeg(self._source_to(target), trunk, timeline)
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
            return _NoWay(refused.reason, refused.detail, refused.reason.slug)
        for told in attempt.told:
            timeline.add("note", self._services.now(), note=f"another trunk could not be taken: {told}")
        tries = self._tries(attempt, allowed, leg, timeline)
        try:
            session = self._services.perform(lambda now: self._invite(attempt, allowed, targets, leg, tries, now))
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
            source_to=self._source_to,
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
            if isinstance(ticket, _NoWay):
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

    async def _turn(self, call: OutboundCall, attempt: "_Attempt", allowed: Allowed, ticket: int) -> "_NoWay | None":
        """Give a call that nobody has heard of yet to another trunk; or why that can't be."""
        targets = await self._look_up(allowed.trunk, allowed.number)
        if isinstance(targets, _NoWay):
            return targets
        if call.state is not CallState.CALLING:
            return _NoWay(EndReason.DIAL_CANCELLED, "given up meanwhile", "cancelled")
        leg = call.leg
        refused = leg.face(self._source_to(targets[0]), allowed.trunk)
        if refused is not None:
            return _NoWay(refused.reason, refused.detail, refused.reason.slug)
        tries = self._tries(attempt, allowed, leg, call.timeline)
        session = self._services.perform(lambda now: self._invite(attempt, allowed, targets, leg, tries, now))
        self._switchboard.renewed(call, session, ticket)
        leg.dialled(session)
        call.rerouted(allowed.trunk, allowed.permit, self._facts(attempt, allowed, session, _route_of(attempt.wish)))
        self._services.perform(lambda now: session.place(now=now))
        return None

    async def addresses_of(self, trunk: Trunk) -> tuple[Target, ...]:
        """Where the trunk is, as its DNS has it; nothing if that can't be known, or could not be spoken to."""
        found = await self._look_up(trunk, by_health=False)
        return () if isinstance(found, _NoWay) else found

    async def _look_up(self, trunk: Trunk, user: str = "", *, by_health: bool = True) -> "tuple[Target, ...] | _NoWay":
        """Where the trunk is, in the order to ask; each has to prove to be `host` where it is TLS.

        Of a trunk with phones it is where the phone `user` is.
        """
        if trunk.phones:
            found = tuple(place.target for place in self._places(trunk.name, user))
            away = f"phone '{user}' of trunk '{trunk.name}' is not registered"
            return found or _NoWay(EndReason.TRUNK_UNREACHABLE, away, "not_registered")
        assert trunk.host is not None, "the gate lets calls out by trunks with a host"
        params = UriParams() if trunk.transport == "auto" else UriParams({"transport": trunk.transport})
        uri = SipUri(trunk.host, trunk.port, params=params)
        try:
            async with asyncio.timeout(_LOOK_UP_TIME):
                found = await self._resolve(uri)
        except TimeoutError:
            found = ()
        if not found:
            return _NoWay(EndReason.TRUNK_UNREACHABLE, f"no address of {trunk.host} is known", "unknown_host")
        spoken = [target for target in found if target.transport != "tls" or self._user_agent.speaks_tls]
        if not spoken:
            return _NoWay(EndReason.TRUNK_UNREACHABLE, "TLS is not set up here", "no_tls")
        ordered = self._health.in_order(trunk.name, spoken, self._services.now()) if by_health else tuple(spoken)
        return tuple(
            replace(target, names=(trunk.host,), identity=trunk.tls_identity) for target in ordered[:MAX_TRIES]
        )

    def _source_to(self, target: Target) -> Source:
        """A target, and the address of ours that is used towards it."""
        return Source(target.transport, target.remote, self._local(target))

    def _invite(
        self,
        attempt: "_Attempt",
        allowed: Allowed,
        targets: tuple[Target, ...],
        leg: CalleeLeg,
        tries: TargetTries,
        now: float,
    ) -> InviteSession:
        """The INVITE, made and not sent. `tries` sees to the offer that each of its targets gets."""
        trunk = allowed.trunk
        if trunk.phones:
            return _one_session(self._ring_phone(attempt, allowed, targets[0], leg, now), attempt.wish)
        assert trunk.host is not None, "a trunk that can be called"
        callee = SipUri(trunk.host, trunk.port, written(allowed.number, trunk.number_format, trunk.country))
        number = written(allowed.caller_id, trunk.number_format, trunk.country)
        joined = attempt.wish.joined
        is_ours = joined is None or allowed.caller_id in trunk.caller_ids
        caller = shown(
            trunk,
            number,
            trunk.from_domain or trunk.host,
            private=attempt.wish.private or (joined is not None and joined.is_withheld and trunk.pass_caller),
            own=None if is_ours else written(trunk.caller_ids[0], trunk.number_format, trunk.country),
        )
        login = self._logins.get(trunk.name)
        hosts = frozenset({trunk.host, *(target.host for target in targets)})
        first = targets[0]
        session = self._user_agent.invite(
            callee,
            caller.from_,
            f"<{callee}>",
            leg.offer,
            now,
            route=self._service_route(trunk.name),
            next_hop=SipUri(first.host, first.port, params=UriParams({"transport": first.transport})),
            credentials=Credentials(*login, hosts) if login is not None else None,
            headers=(*caller.headers, *attempt.wish.headers),
            max_forwards=joined.max_forwards if joined is not None else 70,
            peer=trunk,
            targets=targets,
            tries=tries,
            at_once=False,
        )
        return _one_session(session, attempt.wish)

    def _ring_phone(
        self, attempt: "_Attempt", allowed: Allowed, first: Target, leg: CalleeLeg, now: float
    ) -> InviteSession:
        """The INVITE to a phone that has registered with us, wherever it is; made and not sent."""
        trunk, (host, _) = allowed.trunk, self._local(first)
        places = self._places(trunk.name, allowed.number)
        caller = shown(trunk, allowed.caller_id, trunk.from_domain or host, private=attempt.wish.private)
        callee = SipUri(host, None, allowed.number)
        return self._user_agent.invite(
            callee,
            caller.from_,
            f"<{callee}>",
            leg.offer,
            now,
            next_hop=SipUri(first.host, first.port, params=UriParams({"transport": first.transport})),
            headers=(*caller.headers, *attempt.wish.headers),
            max_forwards=70 if attempt.wish.joined is None else attempt.wish.joined.max_forwards,
            peer=trunk,
            branches=tuple(Branch(place.uri, place.target, place.path, place.q) for place in places),
            at_once=False,
        )

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

    def _not_placed(self, attempt: "_Attempt", why: "_NoWay") -> NotPlaced:
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


@dataclass(frozen=True, slots=True)
class _NoWay:
    """Why a call can't go by a trunk, with the `code` of `NotPlaced`."""

    reason: EndReason
    detail: str
    code: str
    retry_after: int | None = None


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


def _one_session(session: InviteSession, wish: Wish) -> InviteSession:
    """A call that goes on for another is one session with it, which has one pair of ids (RFC 7989 section 6)."""
    if wish.joined is not None:
        session.letterhead.session_id = SessionId(wish.joined.session_uuid)
    return session


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
