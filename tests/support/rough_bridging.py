"""Calls that go on to somebody and go wrong: what `rough` does to one call, done to two that are joined."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from offhook.sip.effects import Address
from offhook.sip.invite import InviteSession
from offhook.sip.message import Request
from offhook.sip.parser import parse_datagram

from .carrier import CARRIER, TRUNK, CalledPhone
from .rough import RoughCall, RoughNetwork, Script
from .rough_dialling import LONGEST, RoughCarrier, RoughDiallingWorld
from .rough_scripts import TOML, agent_hangs_up, breaks, goes_silent, offers, refers_are
from .world import GATEWAY, MemoryFlows, sdp

_TARGET = "tel:+14155550142"
_ON = f"""
[[route]]
name = "on"
to = "on"
destination = "{_TARGET}"
pass_headers = ["X-Rough"]
ring_timeout = 8

[[route]]
name = "heard"
to = "heard"
destination = "{_TARGET}"
early_media = "agent"
pass_headers = ["X-Rough"]
ring_timeout = 8

[[route]]
name = "or-agent"
to = "or-agent"
destination = "{_TARGET}"
pass_headers = ["X-Rough"]
ring_timeout = 8
fallback = [{{ on = ["refused", "late"], to = "ws://agent.example/voice" }}]

[[route]]
name = "or-person"
to = "or-person"
destination = "ws://agent.example/voice"
pass_headers = ["X-Rough"]
ring_timeout = 8
fallback = [{{ on = ["refused", "late", "lost"], to = "{_TARGET}" }}]
"""
BRIDGE_TOML = TOML + TRUNK + _ON


@dataclass(frozen=True)
class BridgeScript(Script):
    """A call that goes on, as it is meant to go: `callee` is what the one who is called does."""

    callee: "Callable[[BridgedCall], None]" = lambda call: None


@dataclass
class BridgedCall(RoughCall):
    """A call that goes on. `called` is the phone of whom it goes on to, once the INVITE is there."""

    called: CalledPhone | None = None

    def dial(self) -> None:
        party = self.world.parties[self.script.host]
        self.phone = party.call(
            f"sip:{self.script.user}@{GATEWAY}",
            offer=self.sdp(),
            # Its own number: else they would be a circle of calls.
            from_=f"<sip:+1415556{self.number:04d}@{self.script.host}>",
            call_id=self.call_id,
            headers=(("X-Rough", str(self.number)),),
        )
        self.phone.acknowledges = self.sdp()

    def transfers(self) -> None:
        """The agent has the caller transferred."""
        self.says(type="transfer", target=_TARGET, timeout_ms=8_000, headers={"X-Rough": str(self.number)})

    def callee_does(self, action: Callable[[InviteSession, float], object]) -> None:
        called = self.called
        if called is not None:
            called._do(lambda now: action(called.session, now))

    def callee_hangs_up(self) -> None:
        """Whoever is called hangs up, or refuses."""
        self.callee_does(lambda session, now: session.reject(480, now=now) or session.hang_up(now=now))

    def callee_offers(self, **changes: Any) -> None:
        if self.called is not None and not self.called.session.is_over:
            self.called.reinvite(sdp(**{"host": CARRIER, "version": 20 + self.messages, **changes}))


class BridgingCarrier(RoughCarrier):
    """It does by the script of each call what the one does whom it goes on to."""

    def _called(self, session: InviteSession) -> None:
        phone = self.calls.pop()
        phone.must = False
        self.events.clear()
        call = self.network.calls.get(session.sip_call_id)
        if not isinstance(call, BridgedCall) or not isinstance(call.script, BridgeScript) or call.called is not None:
            self.stack.perform(lambda now: session.reject(404, now=now))
            return
        call.called = phone
        loop = asyncio.get_running_loop()
        loop.call_later(0.1, call.script.callee, call)
        # Whatever went wrong: at some time it hangs up.
        loop.call_later(LONGEST + 100, call.callee_hangs_up)


class BridgingNetwork(RoughNetwork):
    """The second call is known by what the first one has passed on, until its Call-ID is."""

    def __init__(self) -> None:
        super().__init__()
        self.by_number: dict[str, BridgedCall] = {}

    def send(self, sender: MemoryFlows, data: bytes, to: Address) -> bool:
        if to[0] == CARRIER and data.startswith(b"INVITE "):
            message = parse_datagram(data)
            if isinstance(message, Request) and not message.has_to_tag:
                call = self.by_number.get(message.headers.get("X-Rough") or "")
                if call is not None:
                    self.calls[message.call_id] = call
        return super().send(sender, data, to)


class RoughBridgingWorld(RoughDiallingWorld):
    """`RoughDiallingWorld`, whose carrier is called for those who call us."""

    def __init__(self, *, ports: int) -> None:
        super().__init__(BRIDGE_TOML, ports=ports)
        self.network: BridgingNetwork = BridgingNetwork()  # type: ignore[assignment]
        self.engine.follow(self.network)

    async def __aenter__(self) -> "RoughBridgingWorld":
        await super().__aenter__()
        await self.parties[CARRIER].stack.close()
        carrier = BridgingCarrier(self.network)
        await carrier.stack.start()
        self.parties[CARRIER] = carrier
        return self

    async def place_all(self, calls: Any, apart: float = 0.23) -> None:
        self.network.by_number |= {str(call.number): call for call in calls if isinstance(call, BridgedCall)}
        await super().place_all(calls, apart)


# ---------------------------------------------------------------------- what the one who is called does


def answers(call: BridgedCall) -> None:
    """Rings, and takes the call half a second later."""
    if call.called is not None:
        call.called.ring()
        asyncio.get_running_loop().call_later(0.5, call.called.answer)


def is_heard(call: BridgedCall) -> None:
    """Is heard before it answers."""
    if call.called is not None:
        call.called.ring(183, sdp(host=CARRIER, port=4000))
        asyncio.get_running_loop().call_later(0.8, call.called.answer, sdp(host=CARRIER, port=4000))


def rings(call: BridgedCall) -> None:
    if call.called is not None:
        call.called.ring()


def says_no(status: int) -> Callable[[BridgedCall], None]:
    return lambda call: call.called.refuse(status) if call.called is not None else None


def _on(name: str, callee: Any, *steps: Any, user: str = "on", **options: Any) -> BridgeScript:
    ends = (2.0, RoughCall.hang_up)
    return BridgeScript(f"on {name}", user, (*steps, ends), callee=callee, **options)


def _by_us(name: str, callee: Any, *steps: Any, refer: int | None = 405) -> BridgeScript:
    """A transfer that the caller's side does not do."""
    asked = ((0.6, refers_are(refer)), (0.1, BridgedCall.transfers))
    return BridgeScript(f"put {name}", "offhook", (*asked, *steps, (2.0, RoughCall.hang_up)), callee=callee)


BRIDGE_SCRIPTS: list[Script] = [
    _on("answered", answers),
    _on("hung up by the callee", answers, (2.0, BridgedCall.callee_hangs_up)),
    _on("hung up by both", answers, (2.0, BridgedCall.callee_hangs_up), (0.0, RoughCall.hang_up)),
    _on("busy", says_no(486)),
    _on("failed", says_no(503)),
    _on("rings for ever", rings, (12.0, lambda call: None)),
    _on("silent", lambda call: None, (12.0, lambda call: None)),
    _on("given up while it rings", rings, (1.0, RoughCall.hang_up)),
    _on("given up as it is answered", answers, (0.63, RoughCall.hang_up)),
    _on("heard before", is_heard, user="heard"),
    _on("given up as it is heard", is_heard, (0.5, RoughCall.hang_up), user="heard"),
    _on("busy then an agent", says_no(486), user="or-agent"),
    _on("rings then an agent", rings, (12.0, lambda call: None), user="or-agent"),
    _on("after a lost agent", answers, (1.0, breaks), (1.5, lambda call: None), user="or-person"),
    _on("held by the caller", answers, (1.5, offers(way="sendonly")), (0.5, offers())),
    _on("held by the callee", answers, (1.5, lambda c: c.callee_offers(way="sendonly")),
        (0.5, BridgedCall.callee_offers)),
    _on("held by both", answers, (1.5, offers(way="sendonly")), (0.0, lambda c: c.callee_offers(way="inactive")),
        (3.0, offers()), (0.0, BridgedCall.callee_offers)),
    _on("changed", answers, (1.5, offers(codecs=["8 PCMA/8000"])), (0.0, lambda c: c.callee_offers(port=4900))),
    _on("gone", answers, (1.5, goes_silent), (70.0, lambda call: None)),
    _by_us("through", answers, (2.0, lambda call: None)),
    _by_us("through the callee ends it", answers, (3.0, BridgedCall.callee_hangs_up)),
    _by_us("through to nobody", rings, (12.0, lambda call: None)),
    _by_us("through to a busy one", says_no(486)),
    _by_us("through given up", rings, (1.0, RoughCall.hang_up)),
    _by_us("through as the caller leaves", answers, (0.62, RoughCall.hang_up)),
    _by_us("through as the agent is lost", rings, (0.5, breaks), (9.0, lambda call: None)),
    _by_us("through as the agent leaves", answers, (0.3, agent_hangs_up), (2.0, lambda call: None)),
    _by_us("through after silence", answers, (12.0, lambda call: None), refer=202),
]  # fmt: skip
