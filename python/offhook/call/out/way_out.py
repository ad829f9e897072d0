"""The way out to a trunk: where it is, which address of ours is used towards it, and the INVITE that it gets."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, replace
from typing import TypeAlias

from offhook.call.end_reason import EndReason
from offhook.call.out.gatekeeper import Allowed
from offhook.call.out.outbound_leg import CalleeLeg
from offhook.call.out.shown import shown
from offhook.call.out.target_health import TargetHealth
from offhook.call.out.target_tries import MAX_TRIES, TargetTries
from offhook.call.out.wish import Wish
from offhook.ids import TrunkName
from offhook.route.number import written
from offhook.route.trunk import Trunk
from offhook.sip.digest import Credentials
from offhook.sip.effects import Source, Target
from offhook.sip.forking import Branch
from offhook.sip.headers.session_id import SessionId
from offhook.sip.invite import InviteSession
from offhook.sip.locating import literal_target
from offhook.sip.registrar import Binding
from offhook.sip.uri import SipUri, UriParams
from offhook.sip.user_agent import UserAgent

Resolve: TypeAlias = Callable[[SipUri], Awaitable[tuple[Target, ...]]]
"""The targets of a URI, best first."""

# SRV, then addresses, then what the system knows: a name server that says nothing costs three seconds each.
_LOOK_UP_TIME = 10.0


async def no_names(uri: SipUri) -> tuple[Target, ...]:
    """A look-up that finds nothing but addresses."""
    target = literal_target(uri)
    return () if target is None else (target,)


@dataclass(frozen=True, slots=True)
class NoWay:
    """Why a call can't go by a trunk, with the `code` of `NotPlaced`."""

    reason: EndReason
    detail: str
    code: str
    retry_after: int | None = None


class WayOut:
    """Finds the way to a trunk, or to a phone that registers here. Lives on the event loop.

    `resolve` looks up where a trunk is, `local` says which address of ours is used towards a target, with the port,
    `logins` are ours at trunks, `service_route` says which way the registrar of a trunk wants calls to take
    (RFC 3608), `places` where a phone is; `now` is monotonic seconds.
    """

    def __init__(
        self,
        user_agent: UserAgent,
        health: TargetHealth,
        *,
        now: Callable[[], float],
        resolve: Resolve,
        local: Callable[[Target], tuple[str, int]],
        logins: Mapping[TrunkName, tuple[str, str]],
        service_route: Callable[[TrunkName], tuple[str, ...]],
        places: Callable[[TrunkName, str], tuple[Binding, ...]],
    ) -> None:
        self._user_agent = user_agent
        self._health = health
        self._now = now
        self._resolve = resolve
        self._local = local
        self._logins = logins
        self._service_route = service_route
        self._places = places

    async def addresses_of(self, trunk: Trunk) -> tuple[Target, ...]:
        """Where the trunk is, as its DNS has it; nothing if that can't be known, or could not be spoken to."""
        found = await self.targets_of(trunk, by_health=False)
        return () if isinstance(found, NoWay) else found

    async def targets_of(self, trunk: Trunk, user: str = "", *, by_health: bool = True) -> tuple[Target, ...] | NoWay:
        """Where the trunk is, in the order to ask; each has to prove to be `host` where it is TLS.

        Of a trunk with phones it is where the phone `user` is.
        """
        if trunk.phones:
            found = tuple(place.target for place in self._places(trunk.name, user))
            away = f"phone '{user}' of trunk '{trunk.name}' is not registered"
            return found or NoWay(EndReason.PHONE_NOT_REGISTERED, away, "not_registered")
        assert trunk.host is not None, "the gate lets calls out by trunks with a host"
        params = UriParams() if trunk.transport == "auto" else UriParams({"transport": trunk.transport})
        uri = SipUri(trunk.host, trunk.port, params=params)
        try:
            async with asyncio.timeout(_LOOK_UP_TIME):
                found = await self._resolve(uri)
        except TimeoutError:
            found = ()
        if not found:
            return NoWay(EndReason.TRUNK_UNREACHABLE, f"no address of {trunk.host} is known", "unknown_host")
        spoken = [target for target in found if target.transport != "tls" or self._user_agent.speaks_tls]
        if not spoken:
            return NoWay(EndReason.TRUNK_UNREACHABLE, "TLS is not set up here", "no_tls")
        ordered = self._health.in_order(trunk.name, spoken, self._now()) if by_health else tuple(spoken)
        return tuple(
            replace(target, names=(trunk.host,), identity=trunk.tls_identity) for target in ordered[:MAX_TRIES]
        )

    def source_to(self, target: Target) -> Source:
        """A target, and the address of ours that is used towards it."""
        return Source(target.transport, target.remote, self._local(target))

    def invite(
        self,
        wish: Wish,
        allowed: Allowed,
        targets: tuple[Target, ...],
        leg: CalleeLeg,
        tries: TargetTries,
        now: float,
    ) -> InviteSession:
        """The INVITE, made and not sent. `tries` sees to the offer that each of its targets gets."""
        trunk = allowed.trunk
        if trunk.phones:
            return _one_session(self._ring_phone(wish, allowed, targets[0], leg, now), wish)
        assert trunk.host is not None, "a trunk that can be called"
        callee = SipUri(trunk.host, trunk.port, written(allowed.number, trunk.number_format, trunk.country))
        number = written(allowed.caller_id, trunk.number_format, trunk.country)
        joined = wish.joined
        is_ours = joined is None or allowed.caller_id in trunk.caller_ids
        caller = shown(
            trunk,
            number,
            trunk.from_domain or trunk.host,
            private=wish.private or (joined is not None and joined.is_withheld and trunk.pass_caller),
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
            headers=(*caller.headers, *wish.headers),
            max_forwards=joined.max_forwards if joined is not None else 70,
            peer=trunk,
            targets=targets,
            tries=tries,
            at_once=False,
        )
        return _one_session(session, wish)

    def _ring_phone(self, wish: Wish, allowed: Allowed, first: Target, leg: CalleeLeg, now: float) -> InviteSession:
        """The INVITE to a phone that has registered with us, wherever it is when it is sent; made and not sent."""
        trunk, (host, _) = allowed.trunk, self._local(first)
        caller = shown(trunk, allowed.caller_id, trunk.from_domain or host, private=wish.private)
        callee = SipUri(host, None, allowed.number)
        return self._user_agent.invite(
            callee,
            caller.from_,
            f"<{callee}>",
            leg.offer,
            now,
            next_hop=SipUri(first.host, first.port, params=UriParams({"transport": first.transport})),
            headers=(*caller.headers, *wish.headers),
            max_forwards=70 if wish.joined is None else wish.joined.max_forwards,
            peer=trunk,
            branches=lambda: self._branches_to(trunk.name, allowed.number),
            at_once=False,
        )

    def _branches_to(self, trunk: TrunkName, user: str) -> list[Branch]:
        return [Branch(place.uri, place.target, place.path, place.q) for place in self._places(trunk, user)]


def _one_session(session: InviteSession, wish: Wish) -> InviteSession:
    """A call that goes on for another is one session with it, which has one pair of ids (RFC 7989 section 6)."""
    if wish.joined is not None:
        session.letterhead.session_id = SessionId(wish.joined.session_uuid)
    return session
