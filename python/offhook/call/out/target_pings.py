"""OPTIONS to the addresses of trunks: who is down is known before a call finds out, and who is back as well."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import replace
from functools import partial
from typing import TypeAlias

import structlog

from offhook.call.out.target_health import TargetHealth, spelt
from offhook.call.screen import TrunkScreen
from offhook.call.services import Perform
from offhook.ids import TrunkName
from offhook.route.trunk import Trunk
from offhook.sip.effects import Address, Target
from offhook.sip.events import OptionsAnswered
from offhook.sip.uri import SipUri, UriParams
from offhook.sip.user_agent import UserAgent

_log = structlog.get_logger("offhook")

MAX_PINGED = 16
"""Addresses of one trunk that are asked; whoever publishes more is asked at the first of them."""

LookUp: TypeAlias = Callable[[Trunk], Awaitable[tuple[Target, ...]]]


class TargetPings:
    """Asks each address of the trunks with `options_interval`, from `start` until `close`. Lives on the event loop.

    Any answer but 503 says that an address works. Silence says that it does not, unless it has never answered OPTIONS:
    some carriers don't.
    """

    def __init__(
        self,
        trunks: Iterable[Trunk],
        user_agent: UserAgent,
        screen: TrunkScreen,
        health: TargetHealth,
        *,
        perform: Perform,
        look_up: LookUp,
        now: Callable[[], float],
        chance: Callable[[], float],
    ) -> None:
        self._trunks = [trunk for trunk in trunks if trunk.host is not None and trunk.options_interval is not None]
        self._user_agent, self._screen, self._health = user_agent, screen, health
        self._perform, self._look_up, self._now, self._chance = perform, look_up, now, chance
        self._answered: dict[TrunkName, set[tuple[str, Address]]] = {}
        self._tasks: list[asyncio.Task[None]] = []

    def start(self) -> None:
        """Begin to ask; each trunk at a time of its own, so that they are not asked all at once."""
        loop = asyncio.get_running_loop()
        self._tasks = [
            loop.create_task(self._ask_for_ever(trunk), name=f"OPTIONS {trunk.name}") for trunk in self._trunks
        ]

    async def close(self) -> None:
        """Ask no more."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._tasks = []

    async def _ask_for_ever(self, trunk: Trunk) -> None:
        interval = trunk.options_interval
        assert interval is not None, "only these trunks are asked"
        await asyncio.sleep(min(interval, 5.0) * self._chance())
        while True:
            try:
                targets = (await self._look_up(trunk))[:MAX_PINGED]
                # What DNS no longer names is forgotten.
                kept = self._answered.get(trunk.name, set())
                self._answered[trunk.name] = kept & {(target.transport, target.remote) for target in targets}
                for target in targets:
                    self._perform(partial(self._ask, trunk, target))
            except Exception:
                _log.exception("target.ping_failed", trunk=trunk.name)
            await asyncio.sleep(interval * (0.9 + 0.2 * self._chance()))

    def _ask(self, trunk: Trunk, target: Target, now: float) -> None:
        assert trunk.host is not None, "a trunk that can be called"
        uri = SipUri(trunk.host, trunk.port)
        late = asyncio.get_running_loop().call_later(trunk.target_timeout, self._silent, trunk, target)
        self._screen.called(target.host)

        def answered(event: OptionsAnswered) -> None:
            late.cancel()
            self._screen.forgotten(target.host)
            self._hear(trunk, target, event)

        self._user_agent.options(
            uri,
            f"<{SipUri(trunk.own_domain, None, trunk.from_user or 'offhook')}>",
            answered,
            now,
            # This address and no other, whatever becomes of it.
            next_hop=SipUri(target.host, target.port, params=UriParams({"transport": target.transport})),
            target=replace(target, names=(trunk.host,), identity=trunk.tls_identity),
        )

    def _hear(self, trunk: Trunk, target: Target, event: OptionsAnswered) -> None:
        now, response = self._now(), event.response
        if response is None:
            if event.cause is not None and event.cause.value == "transport":
                self._health.failed(trunk.name, target, event.detail or "nothing gets there", now)
            return
        self._answered.setdefault(trunk.name, set()).add((target.transport, target.remote))
        if response.status == 503:
            self._health.refused(trunk.name, target, f"503 {response.reason} to OPTIONS", response.retry_after, now)
        else:
            self._health.succeeded(trunk.name, target, now)

    def _silent(self, trunk: Trunk, target: Target) -> None:
        if (target.transport, target.remote) in self._answered.get(trunk.name, ()):
            why = f"no answer to OPTIONS in {trunk.target_timeout:g} s"
            self._health.failed(trunk.name, target, why, self._now())
        else:
            _log.debug("target.no_options", trunk=trunk.name, target=spelt(target))
