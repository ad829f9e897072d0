"""Calls out that go wrong: what `rough` does to a caller's call, done to one that the gateway places by a carrier."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from offhook.call.out.outbound import OutboundCall
from offhook.call.out.outcome import NotPlaced
from offhook.call.out.wish import Wish
from offhook.route.destination_uri import AgentUri
from offhook.sip.effects import Address
from offhook.sip.events import Event, InfoReceived, InviteReceived, ReinviteAnswered, Reinvited
from offhook.sip.invite import InviteSession
from offhook.sip.message import Request
from offhook.sip.parser import parse_datagram

from .carrier import CARRIER, TRUNK, CalledPhone, Carrier, OpenGate
from .rough import RoughCall, RoughNetwork, RoughWorld, Script, takes_the_call
from .rough_scripts import TOML, agent, agent_hangs_up, breaks, goes_silent
from .world import GATEWAY, MemoryFlows, sdp

LONGEST = 60.0
OUT_TOML = TOML + TRUNK
RING_TIMEOUT = 8.0


@dataclass
class DialledCall(RoughCall):
    """A call out. `phone` is the one who is called, once the INVITE is there; `script.user` is not used."""

    placed: OutboundCall | None = None

    def dial(self) -> None:
        self.world.network.newest = self
        self._task = asyncio.get_running_loop().create_task(self._dial())

    def lets_go(self) -> None:
        """Hold on to nothing of the gateway's."""
        del self._task
        self.placed = None

    async def _dial(self) -> None:
        wish = Wish(self.to, AgentUri("bot"), ring_timeout=RING_TIMEOUT, max_duration=LONGEST, early_media=True)
        placed = await self.world.signalling.dialler.dial(wish)
        self.placed = None if isinstance(placed, NotPlaced) else placed

    @property
    def to(self) -> str:
        """The number of its own that this call goes to."""
        return f"+1415555{self.number:04d}"

    @property
    def called(self) -> CalledPhone | None:
        return self.phone  # type: ignore[return-value]

    def hang_up(self) -> None:
        """The one who is called hangs up, or refuses."""
        if self.called is not None:
            session = self.called.session
            self.called._do(lambda now: session.reject(480, now=now) or session.hang_up(now=now))

    def offers(self, **changes: Any) -> None:
        if self.called is not None and not self.called.session.is_over:
            self.called.reinvite(self.sdp(**changes))

    def updates(self, **changes: Any) -> None:
        if self.called is not None and not self.called.session.is_over:
            offer, session = self.sdp(**changes), self.called.session
            self.called._do(lambda now: session.update(offer, now=now))

    def write(self, method: str, *headers: str, cseq: int | None = None, to_tag: str = "", body: bytes = b"") -> None:
        """A request by hand, to the gateway, with the tags of its INVITE."""
        invite = self.invite
        if invite is None:
            return
        tag = self.called.session.local_tag if self.called is not None else "nobody"
        number = cseq if cseq is not None else 1000 + self.messages
        self.world.parties[CARRIER].send(
            f"{method} sip:offhook@{GATEWAY} SIP/2.0",
            f"Via: SIP/2.0/UDP {CARRIER}:5060;branch=z9hG4bK{self.call_id}{method}{self.messages}",
            "Max-Forwards: 70",
            f"From: {invite.headers.get('To')};tag={tag}",
            f"To: {invite.headers.get('From')}",
            f"Call-ID: {invite.call_id}",
            f"CSeq: {number} {method}",
            f"Contact: <sip:callee@{CARRIER}>",
            *headers,
            body=body,
        )

    def responds(self, status: int, tag: str, body: bytes = b"") -> None:
        """A response by hand, of a fork that nobody else knows of."""
        if self.invite is not None:
            headers = (("Contact", f"<sip:{tag}@{CARRIER}>"),)
            kind = "application/sdp" if body else None
            answer = self.invite.response(status, to_tag=tag, headers=headers, body=body, content_type=kind)
            self.world.network.send(self.world.parties[CARRIER].flows, bytes(answer), (GATEWAY, 5060))


class RoughCarrier(Carrier):
    """It does by the script of each call what the one who is called does, and takes what the gateway changes later."""

    network: RoughNetwork

    def _hear(self, event: Event, now: float) -> None:
        super()._hear(event, now)
        match event:
            case InviteReceived(session):
                self._called(session)
            case Reinvited(session):
                self.stack.perform(lambda now: session.answer_reinvite(sdp(host=CARRIER, version=9), now=now))
            case ReinviteAnswered(session) if session.owes_answer:
                self.stack.perform(lambda now: session.acknowledge(sdp(host=CARRIER, version=9), now=now))
            case InfoReceived(session):
                self.stack.perform(lambda now: session.answer_info(200, now=now))
            case _:
                pass

    def _called(self, session: InviteSession) -> None:
        phone = self.calls.pop()
        phone.must = False
        self.events.clear()
        call = self.network.calls.get(session.sip_call_id)
        if not isinstance(call, DialledCall) or call.phone is not None:
            self.stack.perform(lambda now: session.reject(404, now=now))
            return
        call.phone = phone  # type: ignore[assignment]
        loop = asyncio.get_running_loop()
        callee = call.script.callee if isinstance(call.script, OutScript) else answers
        loop.call_later(0.1, callee, call)
        # Whatever went wrong: at some time it hangs up.
        loop.call_later(LONGEST + 100, call.hang_up)


class RoughOutNetwork(RoughNetwork):
    """Calls out are known by the number that is dialled, until their Call-ID is."""

    def __init__(self) -> None:
        super().__init__()
        self.numbers: dict[str, DialledCall] = {}

    def send(self, sender: MemoryFlows, data: bytes, to: Address) -> bool:
        if to[0] == CARRIER and data.startswith(b"INVITE "):
            message = parse_datagram(data)
            if isinstance(message, Request) and not message.has_to_tag:
                number = message.request_uri.user if hasattr(message.request_uri, "user") else ""
                call = self.numbers.get(number or "")
                if call is not None:
                    self.calls[message.call_id] = call
        return super().send(sender, data, to)


class RoughDiallingWorld(RoughWorld):
    """`RoughWorld` with a carrier behind the gateway, which may dial everything."""

    def __init__(self, config: str, *, ports: int = 64) -> None:
        self.gate = OpenGate()
        super().__init__(config, ports=ports, gate=self.gate)
        self.network: RoughOutNetwork = RoughOutNetwork()
        self.engine.follow(self.network)

    async def __aenter__(self) -> "RoughDiallingWorld":
        await super().__aenter__()
        self.gate.trunks = self.signalling.screen.rules.trunks
        carrier = RoughCarrier(self.network)
        await carrier.stack.start()
        self.parties[CARRIER] = carrier
        return self

    async def place_all(self, calls: Any, apart: float = 0.23) -> None:
        for call in calls:
            if isinstance(call, DialledCall):
                self.network.numbers[call.to] = call
        await super().place_all(calls, apart)

    def every_permit_is_back(self) -> None:
        """What the gate has counted is given back."""
        assert all(permit.released_at is not None for permit in self.gate.permits)


# ---------------------------------------------------------------------- what the one who is called does


def answers(call: DialledCall) -> None:
    """Rings, and takes the call half a second later."""
    phone = call.called
    if phone is not None:
        phone.ring()
        asyncio.get_running_loop().call_later(0.5, phone.answer)


def rings(call: DialledCall) -> None:
    """Rings for ever."""
    if call.called is not None:
        call.called.ring()


def silent(call: DialledCall) -> None:
    """Says nothing at all."""


def refuses(status: int) -> Callable[[DialledCall], None]:
    def action(call: DialledCall) -> None:
        if call.called is not None:
            call.called.refuse(status)

    return action


def announces(reliable: bool) -> Callable[[DialledCall], None]:
    """Is heard before it answers."""

    def action(call: DialledCall) -> None:
        phone = call.called
        if phone is not None:
            phone.ring(183, sdp(host=CARRIER, port=4000), reliable=reliable)
            asyncio.get_running_loop().call_later(0.8, phone.answer)

    return action


def forks(call: DialledCall) -> None:
    """Two ring, one of them heard; a third answers, and one of the two, too late."""
    loop = asyncio.get_running_loop()
    call.responds(180, "first")
    call.responds(183, "second", sdp(host=CARRIER, port=4800))
    if call.called is not None:
        loop.call_later(0.5, call.called.answer)
    loop.call_later(0.9, call.responds, 200, "second", sdp(host=CARRIER, port=4800))


def forks_and_refuses(call: DialledCall) -> None:
    """One rings, the proxy says in the end that nobody is there."""
    call.responds(180, "first")
    if call.called is not None:
        asyncio.get_running_loop().call_later(0.7, call.called.refuse, 486)


def gives_up(call: RoughCall) -> None:
    """Whoever wanted the call wants it no more."""
    if isinstance(call, DialledCall) and call.placed is not None:
        call.placed.give_up("enough")


@dataclass(frozen=True)
class OutScript(Script):
    """A call out as it is meant to go."""

    callee: Callable[[DialledCall], None] = answers


def out(name: str, callee: Callable[[DialledCall], None] = answers, *steps: Any, **options: Any) -> OutScript:
    return OutScript(f"out {name}", "", (*steps, (2.0, lambda call: call.hang_up())), CARRIER, callee=callee, **options)


def leaves_at_once(call: RoughCall) -> None:
    """The agent takes the call and is gone before anybody answers."""
    takes_the_call(call)
    asyncio.get_running_loop().call_later(0.2, breaks, call)


OUT_SCRIPTS: list[Script] = [
    out("answered"),
    out("heard before", announces(reliable=False)),
    out("heard reliably", announces(reliable=True)),
    out("busy", refuses(486)),
    out("declined", refuses(603)),
    out("elsewhere", refuses(302)),
    out("asked for a password", refuses(401)),
    out("rings for ever", rings, (12.0, lambda call: None)),
    out("no answer at all", silent, (40.0, lambda call: None)),
    out("forked", forks, (2.0, lambda call: None)),
    out("forked and refused", forks_and_refuses),
    out("given up while it rings", rings, (1.0, gives_up)),
    out("given up as it is answered", answers, (0.72, gives_up)),
    out("given up before the agent is there", answers, (0.02, gives_up)),
    out("the agent says no", answers, agent=lambda call: call.wire and call.wire.refuse(486, "busy")),
    out("the agent is lost while it rings", rings, agent=leaves_at_once),
    out("the agent hangs up", answers, (2.0, agent_hangs_up)),
    out("held by the callee", answers, (1.5, lambda c: c.offers(way="sendonly")), (0.5, lambda c: c.offers())),
    out("held by the agent", answers, (1.5, agent(type="hold")), (0.5, agent(type="resume"))),
    out("changed by update", answers, (1.5, lambda c: c.updates(port=4900)), (0.5, lambda c: c.updates())),
    out("gone", answers, (1.5, goes_silent), (70.0, lambda call: None)),
]
