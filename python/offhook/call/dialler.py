"""The dialler: asks the gate, finds the way to a trunk, and lets the call live, or writes down why it does not."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, replace
from typing import Protocol, TypeAlias

from offhook.call.end_reason import EndReason
from offhook.call.event import FromLeg
from offhook.call.outbound import OutboundCall, Permit
from offhook.call.outbound_leg import CalleeLeg
from offhook.call.outcome import NotPlaced, Outcome, kind_of
from offhook.call.screen import TrunkScreen
from offhook.call.services import CallServices
from offhook.call.shown import shown
from offhook.call.switchboard import Switchboard
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
from offhook.sip.invite import InviteSession
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

    def judge(self, wish: Wish, now: float) -> Allowed | Denied:
        """Whether this may be dialled now; an `Allowed` counts until its permit is released."""


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
            return self._not_placed(attempt, EndReason.DIAL_REFUSED, detail, verdict.slug, verdict.retry_after)
        attempt = _Attempt(wish, call_id, arrived_at, verdict.trunk.name, verdict.number, verdict.caller_id)
        try:
            return await self._dial(attempt, verdict, over)
        except BaseException:
            # Whoever waits may give up, and we may have a bug: what was counted is given back.
            verdict.permit.release(self._services.now())
            raise

    async def _dial(
        self, attempt: "_Attempt", allowed: Allowed, over: Callable[[OutboundCall], None]
    ) -> OutboundCall | NotPlaced:
        trunk, now = allowed.trunk, self._services.now()
        admitted = self._admission.admit(trunk.name, now, self._loop_lag())
        if isinstance(admitted, Refused):
            allowed.permit.release(now)
            return self._not_placed(
                attempt, EndReason.of(admitted.slug), admitted.why, admitted.slug, admitted.retry_after
            )
        try:
            placed = await self._place(attempt, allowed, admitted.ticket, over)
        except BaseException:
            self._admission.release(admitted.ticket)
            raise
        if isinstance(placed, NotPlaced):
            self._admission.release(admitted.ticket)
            allowed.permit.release(self._services.now())
        return placed

    async def _place(
        self, attempt: "_Attempt", allowed: Allowed, ticket: int, over: Callable[[OutboundCall], None]
    ) -> OutboundCall | NotPlaced:
        trunk = allowed.trunk
        assert trunk.host is not None, "the gate lets calls out by trunks with a host"
        target = await self._look_up(trunk)
        if target is None:
            detail = f"no address of {trunk.host} is known"
            return self._not_placed(attempt, EndReason.TRUNK_UNREACHABLE, detail, "unknown_host")
        if target.transport == "tls" and not self._user_agent.speaks_tls:
            return self._not_placed(attempt, EndReason.TRUNK_UNREACHABLE, "TLS is not set up here", "no_tls")
        source = Source(target.transport, target.remote, self._local(target))
        timeline = Timeline(attempt.call_id, started=attempt.arrived_at)
        leg = CalleeLeg(source, trunk, timeline)
        # The leg has nothing to tell before the call that it tells has been made.
        refused = leg.open(
            self._services.media,
            self._services.media_address,
            on_event=lambda event: call.post(FromLeg(event)),
            on_error=lambda error: call.post_fault(error),
        )
        if refused is not None:
            leg.close()
            return self._not_placed(attempt, refused.reason, refused.detail, refused.reason.slug)
        try:
            session = self._services.perform(lambda now: self._invite(attempt, allowed, target, leg, now))
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
        self._screen.called(target.host)

        def is_over() -> None:
            asyncio.get_running_loop().call_later(_HEARD_FOR, self._screen.forgotten, target.host)
            over(call)

        self._switchboard.adopt(call, ticket, over=is_over)
        return call

    async def _look_up(self, trunk: Trunk) -> Target | None:
        """Where the trunk is: the first address that it has, which has to prove to be `host` where it is TLS."""
        assert trunk.host is not None, "a trunk that can be called"
        uri = SipUri(trunk.host, trunk.port, params=UriParams({"transport": trunk.transport}))
        try:
            async with asyncio.timeout(_LOOK_UP_TIME):
                found = await self._resolve(uri)
        except TimeoutError:
            return None
        return replace(found[0], names=(trunk.host,)) if found else None

    def _invite(
        self, attempt: "_Attempt", allowed: Allowed, target: Target, leg: CalleeLeg, now: float
    ) -> InviteSession:
        """The INVITE, made and not sent. It goes to the one target that our offer's address was chosen for."""
        trunk = allowed.trunk
        assert trunk.host is not None, "a trunk that can be called"
        callee = SipUri(trunk.host, trunk.port, written(allowed.number, trunk.number_format, trunk.country))
        number = written(allowed.caller_id, trunk.number_format, trunk.country)
        caller = shown(trunk, number, trunk.from_domain or trunk.host, private=attempt.wish.private)
        login = self._logins.get(trunk.name)
        hosts = frozenset({trunk.host, target.host})
        return self._user_agent.invite(
            callee,
            caller.from_,
            f"<{callee}>",
            leg.offer,
            now,
            route=self._service_route(trunk.name),
            next_hop=SipUri(target.host, target.port, params=UriParams({"transport": target.transport})),
            credentials=Credentials(*login, hosts) if login is not None else None,
            headers=(*caller.headers, *attempt.wish.headers),
            peer=trunk,
            target=target,
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

    def _not_placed(
        self, attempt: "_Attempt", reason: EndReason, detail: str, code: str, retry_after: int | None = None
    ) -> NotPlaced:
        """Write down a call that nobody heard of."""
        self._switchboard.not_placed(
            attempt.call_id,
            reason,
            detail,
            arrived_at=attempt.arrived_at,
            trunk=attempt.trunk,
            destination=attempt.wish.agent.redacted,
            from_number=attempt.caller_id or attempt.wish.caller_id,
            to_number=attempt.number,
        )
        outcome = Outcome(kind_of(reason), q850=reason.q850, end_reason=reason.slug, detail=detail, hint=reason.hint)
        return NotPlaced(attempt.call_id, code, outcome, retry_after)


@dataclass(frozen=True, slots=True)
class _Attempt:
    """A wish on its way to a call, as far as it has come."""

    wish: Wish
    call_id: CallId
    arrived_at: float
    trunk: TrunkName
    number: str
    caller_id: str = ""


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
