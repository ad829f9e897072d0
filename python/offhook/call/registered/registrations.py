"""Our registrations with the trunks that want one: each kept up, its state told, its way in opened for its calls."""

import asyncio
import contextlib
import hashlib
import hmac
import random
from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import structlog

from offhook.call.out.target_health import what_came_of
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

    def listening(self, trunk: TrunkName, addresses: frozenset[str]) -> None:
        """A registrar is at these addresses: what it answers is heard."""

    def registered(self, trunk: Trunk, contact_user: str, addresses: frozenset[str]) -> None:
        """Its calls come from these addresses, or for this user; no address takes it back."""


@dataclass(slots=True)
class _Kept:
    """One trunk's registration, and how it is reached."""

    trunk: Trunk
    registration: Registration
    call_id: str
    login: tuple[str, str]
    target: Target | None = None
    keep_alive_at: float | None = None
    addresses: frozenset[str] = field(default_factory=frozenset)
    is_open: bool = False
    """Whether its calls are taken."""


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
        self._left = asyncio.Event()
        self._kept: dict[TrunkName, _Kept] = {}
        self._node = node
        self._wanted = [
            (trunk, login)
            for trunk in trunks
            if trunk.registers and trunk.host is not None and (login := logins.get(trunk.name)) is not None
        ]

    def _add(self, trunk: Trunk, login: tuple[str, str]) -> None:
        start_at = self._now() + APART * len(self._kept) + self._rng.uniform(0, APART / 2)
        registration = Registration(
            _contact_user(trunk, login, self._node),
            expires=trunk.register_expires,
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
        self._perform(self._leave)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(GOODBYES):
                await self._left.wait()
        for task in tuple(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _leave(self, now: float) -> None:
        for kept in self._kept.values():
            self._do(kept, lambda kept=kept: kept.registration.leave(now), now)  # type: ignore[misc]
        self._see_whether_left()

    def _see_whether_left(self) -> None:
        if not any(kept.registration.state in (State.PARTING, State.LEAVING) for kept in self._kept.values()):
            self._left.set()

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
        wanted += [kept.registration.until for kept in self._kept.values() if kept.is_open]
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
            if kept.is_open and not kept.registration.is_registered(at):
                _log.warning("registration.lapsed", trunk=kept.trunk.name, address=str(_address(kept)))
                self._open(kept, frozenset())
            if kept.keep_alive_at is not None and at >= kept.keep_alive_at:
                self._keep_alive(kept, now)

    def _open(self, kept: _Kept, addresses: frozenset[str]) -> None:
        """Take its calls from these addresses; from none, no longer."""
        kept.is_open = bool(addresses)
        self._doors.registered(kept.trunk, kept.registration.contact_user, addresses)

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
            self._follow(self._ask(kept, wanted.expires), f"REGISTER to {kept.trunk.name}")

    def _follow(self, life: Coroutine[None, None, None], name: str) -> None:
        task = asyncio.get_running_loop().create_task(life, name=name)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _ask(self, kept: _Kept, expires: int) -> None:
        """Look up where the registrar is, so that its answer is heard, and send a REGISTER there."""
        found: tuple[Target, ...] = ()
        with contextlib.suppress(TimeoutError, OSError):
            async with asyncio.timeout(_LOOK_UP_TIME):
                found = await self._resolve(_hop(kept.trunk))
        # Where nothing was found now, what was found before may hold.
        if found:
            kept.addresses = frozenset(target.host for target in found[:_MOST_ADDRESSES])
            self._doors.listening(kept.trunk.name, kept.addresses)
        self._perform(lambda now: self._register(kept, expires, now))

    def _register(self, kept: _Kept, expires: int, now: float) -> None:
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
            credentials=Credentials(*kept.login, frozenset({hop.host})),
            patience=trunk.target_timeout,
        )

    def _answered(self, kept: _Kept, response: Response | None, why: str, target: Target | None, now: float) -> None:
        registration = kept.registration
        before, was_known = registration.is_registered(now), registration.problem
        told = what_came_of(target, why) if response is None and target is not None and why else why
        self._do(kept, lambda: registration.answered(response, told, now), now)
        if registration.state is State.REGISTERED:
            kept.target = target or kept.target
            if kept.target is not None:
                kept.keep_alive_at = now + KEEP_ALIVE[kept.target.transport] * self._rng.uniform(0.9, 1.0)
            self._open(kept, kept.addresses)
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
        if registration.state is State.OVER:
            self._see_whether_left()
        elif registration.state is not State.LEAVING:
            self._arm()


def _hop(trunk: Trunk) -> SipUri:
    """Where REGISTER goes."""
    host = trunk.registrar or trunk.host
    assert host is not None, "a trunk that registers has a host"
    by = {} if trunk.transport == "auto" else {"transport": trunk.transport}
    return SipUri(host, trunk.port, params=UriParams(by))


def _address(kept: _Kept) -> SipUri:
    """Our address of record there."""
    return SipUri(kept.trunk.own_domain, None, kept.login[0])


def _contact_user(trunk: Trunk, login: tuple[str, str], node: str) -> str:
    """The user part of our Contact: nobody can guess it, and a gateway that starts anew has the same one."""
    said = "\0".join(("offhook contact", node, trunk.name, login[0]))
    return hmac.new(login[1].encode(), said.encode(), hashlib.sha256).hexdigest()[:24]


def _host_port(address: tuple[str, int | None] | None) -> str | None:
    if address is None:
        return None
    host, port = address
    shown = f"[{host}]" if ":" in host else host
    return shown if port is None else f"{shown}:{port}"
