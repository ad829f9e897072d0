"""Calls that go wrong: at one message of a call's script something happens that nobody wants, chosen by a seed.

A `Script` says what caller and agent do when all goes well; a `Mishap` strikes at its n-th message, whichever way that
goes. The network is the one that knows both, so neither the gateway nor the phone has a part in it.
"""

import asyncio
import random
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, TypeAlias

from offhook.api.upgrade import Accepted, UpgradeRequest
from offhook.api.worker_door import Tokens, WorkerDoor
from offhook.sip import in_dialog
from offhook.sip.effects import Address, Source
from offhook.sip.message import Message, Request
from offhook.sip.parser import parse_datagram
from offhook.sip.user_agent import UserAgentConfig

from .media import FakeEngine, FakeLeg, FakeMux, FakeWire
from .mishap import MISHAPS, Fates
from .world import CALLER, GATEWAY, MemoryFlows, Network, PhoneCall, World, sdp

Step: TypeAlias = "tuple[float, Callable[[RoughCall], object]]"
"""So many seconds after the step before: what is done."""


@dataclass(frozen=True)
class Script:
    """A call as it is meant to go. The user that is dialled is what the routes of the configuration know it by."""

    name: str
    user: str
    steps: tuple[Step, ...]
    host: str = CALLER
    offers: bool = True
    """Whether the INVITE brings an offer."""
    agent: "Callable[[RoughCall], None] | None" = None
    """What an agent does that was dialled; by default it takes the call after a moment."""
    headers: tuple[tuple[str, str], ...] = ()
    """Of the INVITE."""


@dataclass(frozen=True)
class Mishap:
    """`kind` (of `MISHAPS`) happens at the message numbered `at`, from 0; by chance, what is chosen by `seed`."""

    kind: str
    at: int
    seed: int = 0


@dataclass
class RoughCall:
    """A call on its way, with all that a mishap may touch."""

    world: World
    script: Script
    mishaps: tuple[Mishap, ...]
    number: int
    call_id: str
    phone: PhoneCall | None = None
    wires: list[FakeWire] = field(default_factory=list)
    leg: FakeLeg | None = None
    messages: int = 0
    invite: Request | None = None
    muted: set[str] = field(default_factory=set)
    """Hosts of which nothing arrives any more."""
    lost: set[str] = field(default_factory=set)
    """Methods of the caller's requests that arrive no more."""
    cut_off: bool = False
    """Whether nothing can be sent any more, and senders are told so."""
    version: int = 1

    def __post_init__(self) -> None:
        self.rng = random.Random(self.mishaps[0].seed if self.mishaps else 0)
        self._to_come = sorted(self.mishaps, key=lambda mishap: mishap.at, reverse=True)

    def __str__(self) -> str:
        return f"{self.script.name}: {self.mishaps}"

    @property
    def struck(self) -> int:
        """How many of them have happened."""
        return len(self.mishaps) - len(self._to_come)

    # -- what scripts are made of

    @property
    def wire(self) -> FakeWire | None:
        """The agent's connection that is on, if one is."""
        return self.wires[-1] if self.wires and not self.wires[-1].is_over else None

    def sdp(self, **changes: Any) -> bytes:
        """The caller's next offer."""
        self.version += 1
        return sdp(**{"host": self.script.host, "port": 4000 + 2 * self.number, "version": self.version, **changes})

    def dial(self) -> None:
        offer = self.sdp() if self.script.offers else None
        party = self.world.parties[self.script.host]
        uri = f"sip:{self.script.user}@{GATEWAY}"
        self.phone = party.call(uri, offer=offer, call_id=self.call_id, headers=self.script.headers)
        self.phone.acknowledges = self.sdp()

    def offers(self, **changes: Any) -> None:
        """A re-INVITE of the caller."""
        if self.phone is not None and self.phone.session.dialog is not None:
            self.phone.reinvite(self.sdp(**changes))

    def updates(self, **changes: Any) -> None:
        """The same by UPDATE."""
        phone = self.phone
        if phone is not None and phone.session.dialog is not None:
            offer = self.sdp(**changes)
            phone.party.stack.perform(lambda now: phone.session.update(offer, now=now))

    def asks_for_offer(self) -> None:
        if self.phone is not None and self.phone.session.dialog is not None:
            self.phone.acknowledges = self.sdp()
            self.phone.reinvite(None)

    def sends(self, method: str, content_type: str = "", body: bytes = b"", *headers: tuple[str, str]) -> None:
        """A request of the caller within the dialog, which he may not be able to send any more."""
        phone = self.phone
        if phone is None or phone.is_over or phone.session.dialog is None:
            return
        kind = (("Content-Type", content_type),) if content_type else ()
        request = phone.session.dialog.request(method, (*headers, *kind), body)
        session, dialog = phone.session, phone.session.dialog
        phone.party.stack.perform(lambda now: in_dialog.send(session, dialog, request, now))

    def offers_again(self) -> None:
        """A second re-INVITE while the first is open, which no phone of ours would send."""
        dialog = self.phone.session.dialog if self.phone is not None else None
        if dialog is not None:
            number = dialog.next_number()
            self.write("INVITE", "Content-Type: application/sdp", cseq=number, body=self.sdp())

    def forks(self) -> None:
        """The caller's INVITE by another way, as a proxy sends it that knows two to us."""
        if self.invite is not None:
            way = b"branch=z9hG4bKfork%d" % self.messages
            wire = re.sub(rb"branch=[^;\r\n]+", way, bytes(self.invite), count=1)
            self.world.network.send(self.world.parties[self.script.host].flows, wire, (GATEWAY, 5060))

    def hang_up(self) -> None:
        if self.phone is not None and not self.phone.is_over:
            self.phone.hang_up()

    def says(self, **message: Any) -> None:
        """The agent says something."""
        if self.wire is not None:
            self.wire.says(**message)

    def write(self, method: str, *headers: str, cseq: int | None = None, to_tag: str = "", body: bytes = b"") -> None:
        """A request by hand, to the gateway, with the tags of the caller's INVITE."""
        invite = self.invite
        if invite is None:
            return
        tag = to_tag or (self.phone.session.remote_tag if self.phone is not None else "") or ""
        number = cseq if cseq is not None else 1000 + self.messages
        via = str(invite.headers.get("Via")) if method == "CANCEL" else f"SIP/2.0/UDP {self.script.host}:5060"
        self.world.parties[self.script.host].send(
            f"{method} {invite.request_uri} SIP/2.0",
            f"Via: {via if 'branch' in via else f'{via};branch=z9hG4bK{self.call_id}{method}{self.messages}'}",
            "Max-Forwards: 70",
            f"From: {invite.headers.get('From')}",
            f"To: {invite.headers.get('To')}{f';tag={tag}' if tag and method != 'CANCEL' else ''}",
            f"Call-ID: {self.call_id}",
            f"CSeq: {invite.cseq.number if method == 'CANCEL' else number} {method}",
            f"Contact: <sip:caller@{self.script.host}>",
            *headers,
            body=body,
        )

    # -- what the network does

    def passes(self, sender: str, message: Message, data: bytes) -> Fates:
        """What becomes of a message of this call."""
        number, self.messages = self.messages, self.messages + 1
        if isinstance(message, Request) and message.method == "INVITE" and self.invite is None:
            self.invite = message
        fates: Fates = [(0.0, data)]
        if self._to_come and number >= self._to_come[-1].at:
            fates = MISHAPS[self._to_come.pop().kind](self, sender, message, data)
        if self.cut_off:
            return None
        if isinstance(message, Request) and sender == self.script.host and message.method in self.lost:
            return []
        return [] if sender in self.muted else fates


class RoughNetwork(Network):
    """A network in which each call has its mishap. It keeps no log: ten thousand calls are told through it."""

    def __init__(self) -> None:
        super().__init__()
        self.calls: dict[str, RoughCall] = {}
        self.newest: RoughCall | None = None
        """The call whose INVITE reached the gateway last: a leg that is opened now is its."""

    def send(self, sender: MemoryFlows, data: bytes, to: Address) -> bool:
        message = parse_datagram(data)
        call = self.calls.get(message.call_id)
        receiver = self.hosts.get(to[0])
        if receiver is None:
            return False
        fates = call.passes(sender.host, message, data) if call is not None else [(0.0, data)]
        if fates is None:
            return False
        loop = asyncio.get_running_loop()
        for delay, wire in fates:
            loop.call_later(self.delay + delay, self._deliver, receiver, sender, wire, to, call, message)
        return True

    def _deliver(
        self,
        receiver: MemoryFlows,
        sender: MemoryFlows,
        wire: bytes,
        to: Address,
        call: RoughCall | None,
        message: Message,
    ) -> None:
        if call is not None and receiver.host == GATEWAY and isinstance(message, Request) and not message.has_to_tag:
            self.newest = call
        receiver.deliver(wire, Source("udp", (sender.host, sender.port), (to[0], 5060), 1))


class RoughEngine(FakeEngine):
    """An engine that says to which call of the network a leg and an agent's connection belong."""

    def __init__(self, network: RoughNetwork, ports: int) -> None:
        super().__init__(ports)
        self._network = network
        self._owners: dict[int, RoughCall] = {}

    def follow(self, network: RoughNetwork) -> None:
        """Ask this network from now on."""
        self._network = network

    def open_leg(self, config: Any, *, beside: FakeLeg | None = None) -> FakeLeg:
        leg = super().open_leg(config, beside=beside)
        call = self._network.newest
        if call is not None:
            call.leg = leg
            self._owners[leg.id] = call
            leg.hears((call.script.host, 4000 + 2 * call.number))
        return leg

    def open_wire(self, config: Any, *, leg: FakeLeg) -> FakeWire:
        return self._dialled(super().open_wire(config, leg=leg), leg)

    def open_call(self, config: Any, *, mux: FakeMux, leg: FakeLeg) -> FakeWire:
        return self._dialled(super().open_call(config, mux=mux, leg=leg), leg)

    def _dialled(self, wire: FakeWire, leg: FakeLeg) -> FakeWire:
        call = self._owners.get(leg.id)
        if call is not None:
            call.wires.append(wire)
            agent = call.script.agent or takes_the_call
            asyncio.get_running_loop().call_later(0.1, agent, call)
        return wire

    def forget_errors(self) -> None:
        """Let go of exceptions that were raised: each holds on to all who were under way then."""
        for leg in self.legs:
            leg.misplaced = None


def takes_the_call(call: RoughCall) -> None:
    """What an agent does that is well."""
    wire = call.wire
    if wire is not None and not wire._connected:
        wire.accept()
        wire.says(type="ready")
        wire.speaks(0.5)


class RoughWorld(World):
    """`World`, in which calls go wrong. `phones` are the callers by their hosts; workers of `desk` have come in."""

    def __init__(
        self,
        config: str,
        phones: Mapping[str, UserAgentConfig | None] = MappingProxyType({}),
        *,
        ports: int = 64,
        **options: Any,
    ) -> None:
        super().__init__(config, ports=ports, **options)
        self.network: RoughNetwork = RoughNetwork()
        self.engine.dispose()
        self.engine: RoughEngine = RoughEngine(self.network, ports)
        self._phones = phones
        self.parties: dict[str, Any] = {}
        self.uncaught: list[dict[str, Any]] = []
        """What was raised where nobody catches: in a callback of the loop, in a task."""

    async def __aenter__(self) -> "RoughWorld":
        asyncio.get_running_loop().set_exception_handler(lambda loop, context: self.uncaught.append(context))
        await super().__aenter__()
        self.parties = {CALLER: self.caller}
        for host, config in self._phones.items():
            if host not in self.parties:
                self.parties[host] = await self.party(host, config)
        self._door = WorkerDoor(
            self.signalling.workers,
            Tokens({"desk": "t-desk"}),
            self.plane,
            now=asyncio.get_running_loop().time,
            refused=lambda source, rule, why: None,
        )
        for _ in range(3):
            self.hire()
        await self.pass_time(0.1)
        return self

    def hire(self) -> None:
        """A worker connects."""
        headers = {"sec-websocket-protocol": "offhook.worker.v1", "authorization": "Bearer t-desk"}
        verdict = self._door.judge(UpgradeRequest("/v1/worker", {}, headers, "192.0.2.7"))
        assert isinstance(verdict, Accepted), verdict
        verdict.take(5, b"HTTP/1.1 101")
        self.engine.muxes[-1].says(type="hello", name="desk", max_calls=100)

    def mux_of(self, call: RoughCall) -> FakeMux | None:
        """The connection of the worker that has this call, if one has."""
        return next((mux for mux in self.engine.muxes if mux.close_asked is None and call.wire in mux.calls), None)

    async def place_all(self, calls: Sequence[RoughCall], apart: float = 0.23) -> None:
        """Begin these calls one after the other, and let each go by its script."""
        loop = asyncio.get_running_loop()
        for number, call in enumerate(calls):
            self.network.calls[call.call_id] = call
            at = loop.time() + number * apart
            loop.call_at(at, call.dial)
            for delay, action in call.script.steps:
                at += delay
                loop.call_at(at, action, call)
        await self.pass_time(len(calls) * apart + max(sum(delay for delay, _ in call.script.steps) for call in calls))
