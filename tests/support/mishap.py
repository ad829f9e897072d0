"""Calls that go wrong: at one message of a call's script something happens that nobody wants, chosen by a seed.

A `Script` says what caller and agent do when all goes well; a `Mishap` strikes at its n-th message, whichever way that
goes. The network is the one that knows both, so neither the gateway nor the phone has a part in it.
"""

import asyncio
import random
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from offhook._media import MediaError
from offhook.api.upgrade import Accepted, UpgradeRequest
from offhook.api.worker_door import Tokens, WorkerDoor
from offhook.call.end_reason import EndReason
from offhook.call.event import HangUp
from offhook.sip import in_dialog
from offhook.sip.effects import Address, Source
from offhook.sip.message import Message, Request
from offhook.sip.parser import parse_datagram

from .media import FakeEngine, FakeLeg, FakeMux, FakeWire
from .world import CALLER, GATEWAY, MemoryFlows, Network, PhoneCall, World, sdp

Fates: TypeAlias = "list[tuple[float, bytes]] | None"
"""The copies of a datagram that arrive, by the seconds each takes; None: its sender is told that it can't be sent."""

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
        self.phone = party.call(uri, offer=offer, call_id=self.call_id)
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
        return [] if sender in self.muted else fates


# ---------------------------------------------------------------------- what may go wrong

Strike: TypeAlias = Callable[[RoughCall, str, Message, bytes], Fates]


def lost(call: RoughCall, sender: str, message: Message, data: bytes) -> Fates:
    return []


def late(call: RoughCall, sender: str, message: Message, data: bytes) -> Fates:
    return [(call.rng.choice([0.3, 2.0, 33.0, 70.0]), data)]


def repeated(call: RoughCall, sender: str, message: Message, data: bytes) -> Fates:
    return [(0.0, data), (0.0, data), (call.rng.choice([0.2, 5.0, 40.0]), data)]


def caller_silent(call: RoughCall, sender: str, message: Message, data: bytes) -> Fates:
    call.muted.add(call.script.host)
    return [(0.0, data)]


def gateway_unheard(call: RoughCall, sender: str, message: Message, data: bytes) -> Fates:
    call.muted.add(GATEWAY)
    return [(0.0, data)]


def both_silent(call: RoughCall, sender: str, message: Message, data: bytes) -> Fates:
    call.muted |= {GATEWAY, call.script.host}
    return []


def unsendable(call: RoughCall, sender: str, message: Message, data: bytes) -> Fates:
    return None


def cut_off(call: RoughCall, sender: str, message: Message, data: bytes) -> Fates:
    call.cut_off = True
    return None


def garbled(call: RoughCall, sender: str, message: Message, data: bytes) -> Fates:
    """Some bytes are others, or missing, or it is the end that is."""
    broken = bytearray(data)
    for _ in range(call.rng.choice([1, 3, 20])):
        broken[call.rng.randrange(len(broken))] = call.rng.randrange(256)
    if call.rng.random() < 0.3:
        del broken[call.rng.randrange(len(broken)) :]
    return [(0.0, bytes(broken))]


def without_a_header(call: RoughCall, sender: str, message: Message, data: bytes) -> Fates:
    head, _, body = data.partition(b"\r\n\r\n")
    lines = head.split(b"\r\n")
    del lines[call.rng.randrange(1, len(lines))]
    return [(0.0, b"\r\n".join(lines) + b"\r\n\r\n" + body)]


def _changed(data: bytes, pattern: bytes, by: bytes) -> Fates:
    return [(0.0, re.sub(pattern, by, data, count=1, flags=re.IGNORECASE | re.MULTILINE))]


def other_from_tag(call: RoughCall, sender: str, message: Message, data: bytes) -> Fates:
    return _changed(data, rb"^(From:.*;tag=)[^;\r\n]+", rb"\1somebody")


def other_to_tag(call: RoughCall, sender: str, message: Message, data: bytes) -> Fates:
    return _changed(data, rb"^(To:[^\r\n;]*)(;tag=[^;\r\n]+)?", rb"\1;tag=somebody")


def without_to_tag(call: RoughCall, sender: str, message: Message, data: bytes) -> Fates:
    return _changed(data, rb"^(To:[^\r\n;]*);tag=[^;\r\n]+", rb"\1")


def other_branch(call: RoughCall, sender: str, message: Message, data: bytes) -> Fates:
    return _changed(data, rb"branch=[^;\r\n]+", b"branch=z9hG4bKother%d" % call.number)


def other_cseq(call: RoughCall, sender: str, message: Message, data: bytes) -> Fates:
    number = call.rng.choice([0, 1, message.cseq.number + 1, 2**31 - 1])
    return _changed(data, rb"^CSeq: *\d+", b"CSeq: %d" % number)


def other_method(call: RoughCall, sender: str, message: Message, data: bytes) -> Fates:
    """A request is another one; a response answers another one."""
    method = call.rng.choice(["INVITE", "BYE", "ACK", "CANCEL", "UPDATE", "PRACK", "INFO", "REFER", "NOTIFY", "DANCE"])
    if isinstance(message, Request):
        data = data.replace(message.method.encode(), method.encode(), 1)
    return _changed(data, rb"^(CSeq: *\d+ +)\w+", rb"\1" + method.encode())


def other_status(call: RoughCall, sender: str, message: Message, data: bytes) -> Fates:
    """A response is another one; a request is answered at once, by nobody who could."""
    status = call.rng.choice([100, 180, 183, 200, 202, 302, 400, 401, 408, 422, 481, 486, 487, 488, 491, 500, 503, 603])
    if isinstance(message, Request):
        if message.method == "ACK" or sender != GATEWAY:
            return []
        to_tag = None if message.to.tag else "somebody"
        answer = bytes(message.response(status, to_tag=to_tag))
        source = call.world.parties[call.script.host].flows
        asyncio.get_running_loop().call_soon(call.world.network.send, source, answer, (GATEWAY, 5060))
        return []
    return _changed(data, rb"^SIP/2.0 \d+", b"SIP/2.0 %d" % status)


def odd_body(call: RoughCall, sender: str, message: Message, data: bytes) -> Fates:
    """What it says about media is missing, unreadable, refused, or about something else."""
    head, _, _ = data.partition(b"\r\n\r\n")
    bodies = [b"", b"v=1\r\nnonsense", sdp(port=0), sdp(codecs=["18 G729/8000"]), sdp(host="0.0.0.0", way="inactive")]
    body = call.rng.choice(bodies)
    head = re.sub(rb"^(Content-Length:).*?$", rb"\1 %d" % len(body), head, flags=re.IGNORECASE | re.MULTILINE)
    if body and b"Content-Type" not in head:
        head += b"\r\nContent-Type: application/sdp"
    return [(0.0, head + b"\r\n\r\n" + body)]


def caller_hangs_up(call: RoughCall, sender: str, message: Message, data: bytes) -> Fates:
    asyncio.get_running_loop().call_soon(call.hang_up)
    return [(0.0, data)]


def a_cancel(call: RoughCall, sender: str, message: Message, data: bytes) -> Fates:
    call.write("CANCEL")
    return [(0.0, data)]


def a_bye(call: RoughCall, sender: str, message: Message, data: bytes) -> Fates:
    """From the caller, whose phone knows nothing of it."""
    call.write("BYE", to_tag=message.to.tag or "")
    return [(0.0, data)]


def a_reinvite(call: RoughCall, sender: str, message: Message, data: bytes) -> Fates:
    """One that the phone would not have sent now, and for whose answer nobody waits."""
    body = call.sdp(way="sendonly") if call.rng.random() < 0.6 else b""
    call.write("INVITE", *(["Content-Type: application/sdp"] if body else []), body=body)
    return [(0.0, data)]


def an_update(call: RoughCall, sender: str, message: Message, data: bytes) -> Fates:
    body = call.sdp(way="sendonly") if call.rng.random() < 0.6 else b""
    call.write("UPDATE", *(["Content-Type: application/sdp"] if body else []), body=body)
    return [(0.0, data)]


def a_stray_request(call: RoughCall, sender: str, message: Message, data: bytes) -> Fates:
    """Within the dialog, about something that does not exist in it."""
    method, header = call.rng.choice(
        [
            ("PRACK", "RAck: 1 1 INVITE"),
            ("REFER", f"Refer-To: <sip:other@{CALLER}>"),
            ("NOTIFY", "Event: refer"),
            ("SUBSCRIBE", "Event: dialog"),
            ("INFO", "X-Nothing: 1"),
            ("MESSAGE", "X-Nothing: 1"),
            ("OPTIONS", "Accept: application/sdp"),
        ]
    )
    call.write(method, header)
    return [(0.0, data)]


def agent_breaks(call: RoughCall, sender: str, message: Message, data: bytes) -> Fates:
    if call.wire is not None:
        call.wire.breaks()
    return [(0.0, data)]


def agent_closes(call: RoughCall, sender: str, message: Message, data: bytes) -> Fates:
    if call.wire is not None:
        call.wire.ends(call.rng.choice([1000, 1001, 1011, 4400]), "enough")
    return [(0.0, data)]


def agent_hangs_up(call: RoughCall, sender: str, message: Message, data: bytes) -> Fates:
    if call.wire is not None and call.wire.leg is not None:
        call.wire.speaks(0.4)
        call.wire.hangs_up()
    return [(0.0, data)]


def agent_refuses(call: RoughCall, sender: str, message: Message, data: bytes) -> Fates:
    if call.wire is not None and not call.wire._connected:
        call.wire.refuse(call.rng.choice([403, 486, 503]), "no")
    return [(0.0, data)]


def agent_raves(call: RoughCall, sender: str, message: Message, data: bytes) -> Fates:
    """It asks for everything that a protocol knows, at the wrong time, and for what it does not."""
    for _ in range(call.rng.randrange(1, 8)):
        kind = call.rng.choice(
            ["ready", "ready", "reject", "hangup", "clear", "mark", "dtmf", "transfer", "hold", "resume", "record", "x"]
        )
        call.says(type=kind, digits="1#", status=486, target="sip:x@example.org", action="start", name="m")
    return [(0.0, data)]


def worker_breaks(call: RoughCall, sender: str, message: Message, data: bytes) -> Fates:
    """The worker that has the call is gone, with all its other calls; another comes soon."""
    mux = call.world.mux_of(call)
    if mux is not None:
        mux.breaks()
        asyncio.get_running_loop().call_later(1.0, call.world.hire)
    return [(0.0, data)]


def worker_stalls(call: RoughCall, sender: str, message: Message, data: bytes) -> Fates:
    mux = call.world.mux_of(call)
    if mux is not None:
        mux.tell("stalled")
        asyncio.get_running_loop().call_later(1.5, mux.tell, "recovered")
    return [(0.0, data)]


def media_fails(call: RoughCall, sender: str, message: Message, data: bytes) -> Fates:
    if call.leg is not None:
        call.leg.tells("internal_error", text="the leg is gone")
    return [(0.0, data)]


def media_silent(call: RoughCall, sender: str, message: Message, data: bytes) -> Fates:
    if call.leg is not None:
        call.leg.tells("media_timeout")
    return [(0.0, data)]


def no_port(call: RoughCall, sender: str, message: Message, data: bytes) -> Fates:
    """None is left, for a new call or for a new address of this one."""
    error = MediaError("no port is left", code="no_port")
    if call.leg is not None:
        call.leg.misplaced = error
    engine = call.world.engine
    engine.refusal = error
    asyncio.get_running_loop().call_later(0.1, setattr, engine, "refusal", None)
    return [(0.0, data)]


def collision(call: RoughCall, sender: str, message: Message, data: bytes) -> Fates:
    if call.leg is not None:
        call.leg.collides = True
        call.leg.moves_to = (call.leg.local_address[0], 39_990)
    return [(0.0, data)]


def told_to_end(call: RoughCall, sender: str, message: Message, data: bytes) -> Fates:
    """By who runs the gateway."""
    for one in tuple(call.world.switchboard._calls.values()):
        if one.leg.session.sip_call_id == call.call_id:
            one.post(HangUp(EndReason.GATEWAY_SHUTDOWN, "the operator says so"))
    return [(0.0, data)]


MISHAPS: dict[str, Strike] = {
    strike.__name__: strike
    for strike in (
        lost, late, repeated, caller_silent, gateway_unheard, both_silent, unsendable, cut_off,
        garbled, without_a_header, other_from_tag, other_to_tag, without_to_tag, other_branch, other_cseq,
        other_method, other_status, odd_body,
        caller_hangs_up, a_cancel, a_bye, a_reinvite, an_update, a_stray_request,
        agent_breaks, agent_closes, agent_hangs_up, agent_refuses, agent_raves, worker_breaks, worker_stalls,
        media_fails, media_silent, no_port, collision, told_to_end,
    )
}  # fmt: skip


# ---------------------------------------------------------------------- where it goes wrong


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
    """`World`, in which calls go wrong. `hosts` are the callers, by trunk; workers of `desk` have come in."""

    def __init__(self, config: str, hosts: Sequence[str] = (CALLER,), *, ports: int = 64) -> None:
        super().__init__(config, ports=ports)
        self.network: RoughNetwork = RoughNetwork()
        self.engine.dispose()
        self.engine: RoughEngine = RoughEngine(self.network, ports)
        self._hosts = hosts
        self.parties: dict[str, Any] = {}
        self.uncaught: list[dict[str, Any]] = []
        """What was raised where nobody catches: in a callback of the loop, in a task."""

    async def __aenter__(self) -> "RoughWorld":
        asyncio.get_running_loop().set_exception_handler(lambda loop, context: self.uncaught.append(context))
        await super().__aenter__()
        self.parties = {CALLER: self.caller}
        for host in self._hosts:
            if host not in self.parties:
                self.parties[host] = await self.party(host)
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
