"""Our registrations with the trunks that want one: each kept up, its state told, its way in opened for its calls."""

import asyncio
import hashlib
import hmac
import random
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import structlog

from offhook.ids import TrunkName
from offhook.route.trunk import Trunk
from offhook.sip.digest import Credentials
from offhook.sip.effects import Target
from offhook.sip.message import Response
from offhook.sip.registration import Registration, State
from offhook.sip.uri import SipUri, UriParams
from offhook.sip.user_agent import UserAgent

_log = structlog.get_logger("offhook.registration")

APART = 0.5
"""Seconds between the first REGISTERs of two trunks: registrars count those that come at once."""

KEEP_ALIVE = {"udp": 25.0, "tcp": 90.0, "tls": 90.0}
"""Seconds between two keep-alives by transport: what holds a pinhole open (RFC 5626 sections 4.4.1 and 4.4.2)."""

GOODBYES = 2.0
"""Seconds that registrars have to take our contacts out when the gateway stops."""

_MOST_ADDRESSES = 64
_LOOK_UP_TIME = 10.0

Resolve = Callable[[SipUri], Awaitable[tuple[Target, ...]]]
Perform = Callable[[Callable[[float], object]], Any]


class Doors(Protocol):
    """Where the calls of a registered trunk come in."""

    def registered(self, trunk: Trunk, contact_user: str, addresses: frozenset[str]) -> None:
        """Its calls come from these addresses, or for this user; no address takes it back."""


@dataclass(slots=True)
class _Kept:
    """One trunk's registration, and how it is reached."""

    trunk: Trunk
    registration: Registration
    call_id: str
    login: tuple[str, str] | None
    target: Target | None = None
    keep_alive_at: float | None = None
    addresses: frozenset[str] = field(default_factory=frozenset)


class Registrations:
    """Keeps us registered with `trunks`. Lives on the event loop; `start` begins, `close` takes all contacts out."""

    def __init__(
        self,
        trunks: Sequence[Trunk],
        logins: Mapping[TrunkName, tuple[str, str]],
        user_agent: UserAgent,
        doors: Doors,
        *,
        perform: Perform,
        wall: Callable[[float], int],
        resolve: Resolve,
        reaches: Callable[[Target], bool] = lambda target: True,
        attempted: Callable[[str, str], None] = lambda trunk, outcome: None,
        node: str = "",
        rng: random.Random | None = None,
    ) -> None:
        self._user_agent = user_agent
        self._doors = doors
        self._perform = perform
        self._wall = wall
        self._resolve = resolve
        self._reaches = reaches
        self._attempted = attempted
        self._rng = rng or random.SystemRandom()
        self._timer: asyncio.TimerHandle | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._kept: dict[TrunkName, _Kept] = {}
        self._node = node
        self._wanted = [
            (trunk, logins.get(trunk.name)) for trunk in trunks if trunk.registers and trunk.host is not None
        ]

    def _add(self, trunk: Trunk, login: tuple[str, str] | None) -> None:
        start_at = self._now() + APART * len(self._kept) + self._rng.uniform(0, APART / 2)
        registration = Registration(
            _contact_user(trunk, login, self._node) or self._user_agent.token(96),
            expires=trunk.register_expires,
            has_login=login is not None,
            start_at=start_at,
            rng=self._rng,
        )
        self._kept[trunk.name] = _Kept(trunk, registration, self._user_agent.token(128), login)

    # -- its life

    def start(self) -> None:
        """Begin to register."""
        for trunk, login in self._wanted:
            self._add(trunk, login)
        self._arm()

    async def close(self) -> None:
        """Take our contacts out, and wait for that no longer than `GOODBYES`."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        for kept in self._kept.values():
            self._perform(lambda now, kept=kept: self._do(kept, lambda: kept.registration.leave(now), now))
        ends = self._now() + GOODBYES
        while self._now() < ends and any(kept.registration.state is State.LEAVING for kept in self._kept.values()):
            await asyncio.sleep(0.02)
        for task in tuple(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    @staticmethod
    def _now() -> float:
        """The loop's time, which is that of every input."""
        return asyncio.get_running_loop().time()

    # -- what it tells

    def service_route(self, trunk: TrunkName) -> tuple[str, ...]:
        """The way that calls to a trunk have to take, as its registrar has said (RFC 3608)."""
        kept = self._kept.get(trunk)
        if kept is None or not kept.registration.is_registered(self._now()):
            return ()
        return kept.registration.service_route

    def registered(self) -> dict[str, int]:
        """1 for each trunk that is registered, 0 for each that is not."""
        now = self._now()
        return {kept.trunk.name: int(kept.registration.is_registered(now)) for kept in self._kept.values()}

    def states(self) -> dict[str, dict[str, Any]]:
        """How each stands, by trunk: for the API and the command line. Times are UTC milliseconds."""
        return {kept.trunk.name: self._state(kept) for kept in self._kept.values()}

    def _state(self, kept: _Kept) -> dict[str, Any]:
        one, now = kept.registration, self._now()
        registered, due = one.is_registered(now), one.next_timeout()
        problem = one.problem
        return {
            "state": one.state.value,
            "registered": registered,
            "address": str(_address(kept)),
            "registrar": f"{kept.target.transport}:{kept.target.host}:{kept.target.port}" if kept.target else None,
            "granted": one.granted if registered else None,
            "since": self._wall(one.registered_at) if registered and one.registered_at is not None else None,
            "until": self._wall(one.until) if registered else None,
            "next_at": self._wall(due) if due is not None else None,
            "seen_as": _host_port(one.seen_as),
            "problem": {"code": problem.code, "message": problem.text, "hint": problem.hint} if problem else None,
        }

    # -- how it goes on

    def _arm(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        due = [at for kept in self._kept.values() for at in (kept.registration.next_timeout(), kept.keep_alive_at)]
        wanted = [at for at in due if at is not None]
        if wanted:
            loop = asyncio.get_running_loop()
            self._timer = loop.call_later(max(0.0, min(wanted) - self._now()), self._turn)

    def _turn(self) -> None:
        self._timer = None
        self._perform(self._wake)
        self._arm()

    def _wake(self, now: float) -> None:
        # The loop may round down.
        at = now + 0.001
        for kept in self._kept.values():
            self._do(kept, lambda kept=kept: kept.registration.handle_timeout(at), now)  # type: ignore[misc]
            if kept.keep_alive_at is not None and at >= kept.keep_alive_at:
                self._keep_alive(kept, now)

    def _keep_alive(self, kept: _Kept, now: float) -> None:
        target, kept.keep_alive_at = kept.target, None
        if target is None or kept.registration.state is not State.REGISTERED:
            return
        if not self._reaches(target):
            _log.warning("registration.connection_lost", trunk=kept.trunk.name, registrar=target.host)
            self._do(kept, lambda: kept.registration.flow_lost(now), now)
            return
        self._user_agent.keep_alive(target)
        kept.keep_alive_at = now + KEEP_ALIVE[target.transport] * self._rng.uniform(0.9, 1.0)

    def _do(self, kept: _Kept, action: Callable[[], object], now: float) -> None:
        """One input, then what it asks for."""
        action()
        for wanted in kept.registration.drain():
            self._send(kept, wanted.expires, now)

    def _send(self, kept: _Kept, expires: int, now: float) -> None:
        trunk, registration = kept.trunk, kept.registration
        hop = _hop(trunk)

        def done(response: Response | None, why: str, target: Target | None, at: float) -> None:
            self._answered(kept, response, why, target, at)

        self._user_agent.register(
            SipUri(trunk.own_domain),
            _address(kept),
            expires,
            done,
            now,
            contact_user=registration.contact_user,
            call_id=kept.call_id,
            number=registration.next_number,
            next_hop=hop,
            credentials=None if kept.login is None else Credentials(*kept.login, frozenset({hop.host})),
        )

    def _answered(self, kept: _Kept, response: Response | None, why: str, target: Target | None, now: float) -> None:
        registration = kept.registration
        before, was_known = registration.is_registered(now), registration.problem
        self._do(kept, lambda: registration.answered(response, why, now), now)
        if registration.state is State.REGISTERED:
            kept.target = target or kept.target
            if kept.target is not None:
                kept.keep_alive_at = now + KEEP_ALIVE[kept.target.transport] * self._rng.uniform(0.9, 1.0)
            self._open_door(kept)
            self._attempted(kept.trunk.name, "registered")
            if not before or was_known is not None:
                _log.info(
                    "registration.registered", trunk=kept.trunk.name, address=str(_address(kept)),
                    seconds=registration.granted, seen_as=_host_port(registration.seen_as),
                )  # fmt: skip
        elif registration.state is State.WAITING and registration.problem is not None:
            problem, due = registration.problem, registration.next_timeout() or now
            self._attempted(kept.trunk.name, problem.code)
            _log.warning(
                "registration.failed", trunk=kept.trunk.name, code=problem.code, why=problem.text, hint=problem.hint,
                again_in=round(due - now, 1), still_registered=registration.is_registered(now),
            )  # fmt: skip
            if not registration.is_registered(now):
                self._doors.registered(kept.trunk, registration.contact_user, frozenset())
        if registration.state is not State.OVER:
            self._arm()

    def _open_door(self, kept: _Kept) -> None:
        """Its calls are heard from where its registrar is: the address that has answered, and all of that name."""
        if kept.target is not None:
            kept.addresses = frozenset({kept.target.host, *sorted(kept.addresses)[: _MOST_ADDRESSES - 1]})
        self._doors.registered(kept.trunk, kept.registration.contact_user, kept.addresses)
        task = asyncio.get_running_loop().create_task(self._look_up(kept), name=f"addresses of {kept.trunk.name}")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _look_up(self, kept: _Kept) -> None:
        try:
            async with asyncio.timeout(_LOOK_UP_TIME):
                found = await self._resolve(_hop(kept.trunk))
        except (TimeoutError, OSError):
            return
        hosts = [target.host for target in found[:_MOST_ADDRESSES]]
        kept.addresses = frozenset({*hosts, *([kept.target.host] if kept.target is not None else [])})
        if kept.registration.is_registered(self._now()):
            self._doors.registered(kept.trunk, kept.registration.contact_user, kept.addresses)


def _hop(trunk: Trunk) -> SipUri:
    """Where REGISTER goes."""
    host = trunk.registrar or trunk.host
    assert host is not None, "a trunk that registers has a host"
    return SipUri(host, trunk.port, params=UriParams({"transport": trunk.transport}))


def _address(kept: _Kept) -> SipUri:
    """Our address of record there."""
    user = kept.login[0] if kept.login is not None else kept.trunk.caller_ids[0] if kept.trunk.caller_ids else "offhook"
    return SipUri(kept.trunk.own_domain, None, user)


def _contact_user(trunk: Trunk, login: tuple[str, str] | None, node: str) -> str:
    """The user part of our Contact: nobody can guess it, and a gateway that starts anew has the same one."""
    if login is None:
        return ""
    said = "\0".join(("offhook contact", node, trunk.name, login[0]))
    return hmac.new(login[1].encode(), said.encode(), hashlib.sha256).hexdigest()[:24]


def _host_port(address: tuple[str, int | None] | None) -> str | None:
    if address is None:
        return None
    host, port = address
    shown = f"[{host}]" if ":" in host else host
    return shown if port is None else f"{shown}:{port}"
