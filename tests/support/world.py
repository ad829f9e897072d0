"""A whole gateway but its sockets and its sound, in virtual time: callers in memory, agents in the test's hand.

The signalling is the one that `offhook run` puts together (`Signalling`, `SipStack`), from the same TOML.
"""

import asyncio
import random
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType, TracebackType
from typing import Any, Self

from offhook._media import EngineConfig
from offhook.config.load import examine_text
from offhook.config.schema import Config
from offhook.errors import RemoteProtocolError
from offhook.media.plane import MediaPlane
from offhook.observe.metrics import Metrics
from offhook.recording.recorder import Recorder
from offhook.report.record import CallRecord
from offhook.report.timeline import Timeline
from offhook.signalling import Signalling
from offhook.sip import in_dialog
from offhook.sip.digest import Credentials
from offhook.sip.effects import Address, LocalAddress, Source, Target
from offhook.sip.events import (
    Answered,
    ByeReceived,
    Event,
    HungUp,
    InfoReceived,
    InviteReceived,
    Provisional,
    Refused,
    ReinviteAnswered,
    Reinvited,
    ReinviteRefused,
)
from offhook.sip.invite import InviteSession
from offhook.sip.locating import literal_target
from offhook.sip.message import Message, Request, Response
from offhook.sip.parser import parse_datagram
from offhook.sip.screening import Admit
from offhook.sip.uri import SipUri, parse_uri
from offhook.sip.user_agent import UserAgent, UserAgentConfig
from offhook.transport.driver import SipStack

from .media import FakeEngine, FakeLeg, FakeWire

GATEWAY = "192.0.2.2"
GATEWAY_6 = "2001:db8::2"
CALLER = "192.0.2.1"
UTC_START = 1_790_000_000_000

ECHO = f"""
[[trunk]]
name = "acme"
allow = ["{CALLER}"]
transfer_to = "*"

[[route]]
name = "all"
destination = "echo:"
"""

TWILIO = ECHO.replace("echo:", "twilio+ws://bot.example/media?token=s3cret")
OFFHOOK = ECHO.replace("echo:", "ws://agent.example/voice?token=s3cret")


def sdp(
    *,
    host: str = CALLER,
    port: int = 4000,
    codecs: Sequence[str] = ("0 PCMU/8000", "8 PCMA/8000"),
    dtmf: int | None = 101,
    way: str = "sendrecv",
    version: int = 1,
) -> bytes:
    """What a caller offers or answers."""
    family = "IP6" if ":" in host else "IP4"
    named = [*codecs, *([f"{dtmf} telephone-event/8000"] if dtmf is not None else [])]
    lines = [
        "v=0",
        f"o=caller 1 {version} IN {family} {host}",
        "s=-",
        f"c=IN {family} {host}",
        "t=0 0",
        f"m=audio {port} RTP/AVP {' '.join(codec.split()[0] for codec in named)}",
        *(f"a=rtpmap:{codec}" for codec in named),
        f"a={way}",
    ]
    return ("\r\n".join(lines) + "\r\n").encode()


class Network:
    """Datagrams from host to host, each `delay` seconds under way. `lost` says of a message whether it gets lost."""

    def __init__(self) -> None:
        self.delay = 0.005
        self.lost: Callable[[str, Message], bool] = lambda sender, message: False
        self.log: list[tuple[float, str, Message]] = []
        self.hosts: dict[str, MemoryFlows] = {}

    def send(self, sender: "MemoryFlows", data: bytes, to: Address) -> bool:
        message = parse_datagram(data)
        loop = asyncio.get_running_loop()
        self.log.append((loop.time(), sender.host, message))
        receiver = self.hosts.get(to[0])
        if receiver is None:
            return False
        if not self.lost(sender.host, message):
            source = Source("udp", (sender.host, sender.port), (to[0], 5060), 1)
            loop.call_later(self.delay, receiver.deliver, data, source)
        return True

    def requests(self, method: str) -> list[Request]:
        """Those of a method that anybody sent, repetitions too."""
        return [m for _, _, m in self.log if isinstance(m, Request) and m.method == method]

    def responses(self, status: int, method: str = "INVITE") -> list[Response]:
        """Those of a status that anybody sent, repetitions too."""
        sent = [m for _, _, m in self.log if isinstance(m, Response) and m.cseq.method == method]
        return [m for m in sent if m.status == status]


class MemoryFlows:
    """`Flows` over a `Network`."""

    def __init__(
        self,
        network: Network,
        host: str,
        *,
        on_datagram: Callable[[bytes, Source], None],
        on_failure: Callable[[int], None],
        admits: Callable[[str, str], bool],
    ) -> None:
        self.host = host
        self.port = 5060
        self.kept_alive: list[tuple[float, Target]] = []
        self.unreached: set[Address] = set()
        self.udp: dict[int, Any] = {}
        self.tcp: dict[int, Any] = {}
        self.connections: dict[int, Any] = {}
        self._network = network
        self._on_datagram = on_datagram
        self._on_failure = on_failure
        self._admits = admits
        network.hosts[host] = self

    async def open(self, listeners: Sequence[Any]) -> None:
        """There is nothing to bind."""

    async def close(self) -> None:
        self._network.hosts.pop(self.host, None)

    def deliver(self, data: bytes, source: Source) -> None:
        if self._admits(source.transport, source.remote[0]):
            self._on_datagram(data, source)

    def send_request(self, data: bytes, target: Target, transaction: int | None) -> Source | None:
        return self._send(data, target.remote, transaction)

    def keep_alive(self, target: Target) -> None:
        self.kept_alive.append((asyncio.get_running_loop().time(), target))

    def reaches(self, target: Target) -> bool:
        return target.remote not in self.unreached

    def send_response(self, data: bytes, source: Source, to: Address, transaction: int | None) -> Source | None:
        return self._send(data, to, transaction)

    def local_address(self, peer: Source | Target) -> LocalAddress:
        return LocalAddress(self.host, self.port, peer.transport)

    def _send(self, data: bytes, to: Address, transaction: int | None) -> Source | None:
        if self._network.send(self, data, to):
            return Source("udp", to, (self.host, self.port), 1)
        if transaction is not None:
            asyncio.get_running_loop().call_soon(self._on_failure, transaction)
        return None


class Names:
    """A resolver that knows these hosts, in a world of literal addresses."""

    def __init__(self, names: Mapping[str, Sequence[Target]] = MappingProxyType({})) -> None:
        self._names = names

    async def resolve(self, uri: SipUri) -> tuple[Target, ...]:
        return tuple(self._names.get(uri.host, ()))


class Party:
    """A caller: a SIP user agent at an address of its own."""

    def __init__(self, network: Network, host: str, config: UserAgentConfig | None = None) -> None:
        self.host = host
        self.events: list[Event] = []
        self.network = network
        self.user_agent = UserAgent(
            config or UserAgentConfig(user_agent="phone"),
            random.Random(host),
            lambda request, source, user: Admit(None),
        )
        self.flows: MemoryFlows
        self.registrar: Callable[[Request], Response | None] | None = None
        """What it answers to a REGISTER, if it is a registrar."""

        def make_flows(*args: object, on_datagram: Any, on_failure: Any, admits: Any, **options: object) -> Any:
            def heard(data: bytes, source: Source) -> None:
                if data.startswith(b"REFER "):
                    self._referred(data, source)
                elif data.startswith(b"REGISTER ") and self.registrar is not None:
                    self._answer_register(self.registrar, data, source)
                else:
                    on_datagram(data, source)

            self.flows = MemoryFlows(network, host, on_datagram=heard, on_failure=on_failure, admits=admits)
            return self.flows

        self.stack = SipStack(self.user_agent, [], resolver=Names(), on_event=self._hear, make_flows=make_flows)
        self._calls: dict[str, PhoneCall] = {}

    def call(
        self,
        to: str = f"sip:+14155550100@{GATEWAY}",
        *,
        offer: bytes | None = b"",
        from_: str = "",
        headers: Sequence[tuple[str, str]] = (),
        credentials: Credentials | None = None,
        call_id: str | None = None,
        max_forwards: int = 70,
    ) -> "PhoneCall":
        """Place a call. `offer` of None leaves it to the gateway; empty is an ordinary one."""
        offered = sdp(host=self.host) if offer == b"" else offer
        session = self.stack.perform(
            lambda now: self.user_agent.invite(
                parse_uri(to),
                from_ or f"<sip:+14155550199@{self.host}>",
                f"<{to}>",
                offered,
                now,
                target=Target("udp", GATEWAY, 5060),
                headers=tuple(headers),
                credentials=credentials,
                call_id=call_id,
                max_forwards=max_forwards,
            )
        )
        placed = self._calls[session.sip_call_id] = PhoneCall(self, session)
        return placed

    def _answer_register(self, registrar: Callable[[Request], Response | None], data: bytes, source: Source) -> None:
        request = parse_datagram(data)
        assert isinstance(request, Request)
        answer = registrar(request)
        if answer is not None:
            self.network.send(self.flows, bytes(answer), source.remote)

    def _referred(self, data: bytes, source: Source) -> None:
        """A REFER: as a phone that serves it has it, by the word of its call. Our own user agent does not."""
        try:
            request = parse_datagram(data)
            call = self._calls.get(request.call_id)
        except RemoteProtocolError:
            return
        if call is None or not isinstance(request, Request):
            return
        call.refers.append(request)
        answer = call.answers_refer
        if callable(answer):
            answer = answer(request)
        if isinstance(answer, int):
            answer = request.response(answer)
        if answer is not None:
            self.network.send(self.flows, bytes(answer), source.remote)

    def send(self, *lines: str, body: bytes = b"") -> None:
        """Send a message written by hand."""
        text = "\r\n".join([*lines, f"Content-Length: {len(body)}", "", ""])
        receiver = self.network.hosts[GATEWAY]
        source = Source("udp", (self.host, self.flows.port), (GATEWAY, 5060), 1)
        asyncio.get_running_loop().call_later(
            self.network.delay, receiver.deliver, text.encode("utf-8", "surrogateescape") + body, source
        )

    def _hear(self, event: Event, now: float) -> None:
        if isinstance(event, InviteReceived):
            # It takes no calls: an INVITE without the tag of one that it has is refused, not left to ring for ever.
            self.stack.perform(lambda now: event.session.reject(486, now=now))
            return
        self.events.append(event)
        session = getattr(event, "session", None)
        if isinstance(session, InviteSession) and isinstance(session.context, PhoneCall):
            session.context.hear(event, now)


class PhoneCall:
    """One call as its caller sees it."""

    def __init__(self, party: Party, session: InviteSession) -> None:
        self.party = party
        self.session = session
        session.context = self
        self.statuses: list[int] = []
        """Of every response to the INVITE but 100."""
        self.answer: bytes = b""
        """SDP of the 200."""
        self.early: list[tuple[int, bytes]] = []
        """Statuses and SDP of what came before it."""
        self.response: Response | None = None
        """The last one to the INVITE."""
        self.at: dict[str | int, float] = {}
        """When a status, or the end (`bye`), came."""
        self.bye: Request | None = None
        """The gateway's BYE."""
        self.hung_up: Response | None = None
        """The answer to our BYE."""
        self.reinvited: list[Response | None] = []
        self.acknowledges: bytes | None = sdp()
        """What the ACK to an offer of the gateway, or the 200 to its re-INVITE, brings; None is nothing."""
        self.offers_in_prack = b""
        """What a second PRACK to the first reliable response offers, in place of the plain one."""
        self.refers: list[Request] = []
        """REFERs of the gateway, repetitions too."""
        self.answers_refer: int | Response | Callable[[Request], Response] | None = 202
        """What they get; None is silence."""
        self.infos: list[Request] = []
        """The gateway's INFOs."""
        self.answers_infos = 200
        self.refuses_reinvites = False
        """Whether the gateway's re-INVITE gets 488."""

    @property
    def is_answered(self) -> bool:
        return 200 in self.statuses

    @property
    def is_over(self) -> bool:
        return self.session.is_over

    def hang_up(self) -> None:
        """CANCEL before the answer, BYE after it."""
        self.party.stack.perform(lambda now: self.session.hang_up(now=now))

    def reinvite(self, offer: bytes | None) -> None:
        self.party.stack.perform(lambda now: self.session.reinvite(offer, now=now))

    def notify(self, report: str = "", state: str = "active;expires=60", event: str = "refer") -> None:
        """Report on the REFER that came."""
        headers = (("Event", event), ("Subscription-State", state), ("Content-Type", "message/sipfrag;version=2.0"))
        self.party.stack.perform(lambda now: self.session.ask("NOTIFY", headers, report.encode(), now=now))

    def update(self, offer: bytes) -> None:
        self.party.stack.perform(lambda now: self.session.update(offer, now=now))

    def info(self, content_type: str, body: bytes, headers: Sequence[tuple[str, str]] = ()) -> None:
        """An INFO within the dialog."""
        dialog = self.session.dialog
        assert dialog is not None
        request = dialog.request("INFO", (("Content-Type", content_type), *headers), body)
        self.party.stack.perform(lambda now: in_dialog.send(self.session, dialog, request, now))

    def hear(self, event: Event, now: float) -> None:
        match event:
            case Provisional(_, response):
                self._responded(response, now)
                self.early.append((response.status, response.body))
                if self.offers_in_prack and response.rseq is not None:
                    self._offer_in_prack(response)
                if response.body and not self.session.request.body and self.acknowledges is not None:
                    answer, tag = self.acknowledges, response.to.tag or ""
                    self.party.stack.perform(lambda now: self.session.answer_early(tag, answer, now=now))
            case Refused(_, response):
                self._responded(response, now)
            case Answered(_, response):
                self._responded(response, now)
                self.answer = response.body
                if self.session.owes_answer:
                    self.session.acknowledge(self.acknowledges or b"", now=now)
            case ByeReceived(_, request):
                self.bye = request
                self.at["bye"] = now
            case HungUp(_, response):
                self.hung_up = response
            case ReinviteAnswered(_, response):
                self.reinvited.append(response)
                if not response.body or not self.session.owes_answer:
                    return
                self.session.acknowledge(self.acknowledges or b"", now=now)
            case Reinvited():
                if self.refuses_reinvites:
                    self.party.stack.perform(lambda now: self.session.reject_reinvite(488, now=now))
                else:
                    answer = self.acknowledges or b""
                    self.party.stack.perform(lambda now: self.session.answer_reinvite(answer, now=now))
            case ReinviteRefused(_, response):
                self.reinvited.append(response)
            case InfoReceived(_, request):
                self.infos.append(request)
                self.party.stack.perform(lambda now: self.session.answer_info(self.answers_infos, now=now))
            case _:
                pass

    def _offer_in_prack(self, response: Response) -> None:
        """Offer a change with a PRACK of its own; a test has to lose the plain one."""
        headers = (("RAck", f"{response.rseq} {response.cseq}"), ("Content-Type", "application/sdp"))
        offer, dialog = self.offers_in_prack, self.session.dialog
        self.offers_in_prack = b""

        def ask(now: float) -> bool:
            return self.session.ask("PRACK", headers, offer, dialog=dialog, now=now)

        asyncio.get_running_loop().call_soon(self.party.stack.perform, ask)

    def _responded(self, response: Response, now: float) -> None:
        self.statuses.append(response.status)
        self.response = response
        self.at.setdefault(response.status, now)


class Book:
    """A store in memory."""

    def __init__(self) -> None:
        self.begun: list[CallRecord] = []
        self.answered_: list[CallRecord] = []
        self.finished: list[tuple[CallRecord, Timeline]] = []

    def begin(self, record: CallRecord) -> None:
        self.begun.append(record)

    def answered(self, record: CallRecord) -> None:
        self.answered_.append(record)

    def finish(self, record: CallRecord, timeline: Timeline) -> None:
        # As the store has it: through bytes.
        self.finished.append((record, Timeline.decode(timeline.encode())))


class World:
    """`async with World(toml) as world`: a gateway at 192.0.2.2 and a caller at 192.0.2.1."""

    def __init__(
        self,
        config: str = ECHO,
        *,
        ports: int = 64,
        environ: dict[str, str] | None = None,
        recorder: Recorder | None = None,
        hold_music: Mapping[str, Any] = MappingProxyType({}),
        gate: Any = None,
        names: Mapping[str, Sequence[Target]] = MappingProxyType({}),
        chance: Callable[[], float] = lambda: 0.0,
    ) -> None:
        """`names` is DNS as this gateway sees it, which may change; `chance` what it draws trunks and pauses by."""
        examined = examine_text(config, environ or {}, file="test", base=Path("/"), host_name="edge")
        assert examined.config is not None, examined.errors
        self.config: Config = examined.config
        self.engine = FakeEngine(ports)
        self.network = Network()
        self.book = Book()
        self.metrics = Metrics(node="edge", version="1")
        self.loop_lag = 0.0
        self._recorder = recorder
        self._hold_music = hold_music
        self._gate = gate
        self._names = names
        self._chance = chance
        self.wall_offset = float(UTC_START)

    async def __aenter__(self) -> Self:
        loop = asyncio.get_running_loop()
        self.started_at = loop.time()
        # On its way in and out the plane wants its engine alone.
        self.plane = await MediaPlane(EngineConfig(), engine=self.engine).__aenter__()
        self.signalling = signalling = Signalling(
            self.config,
            self.plane,
            self.book,
            self.metrics,
            now=loop.time,
            wall=lambda at: round((at - self.started_at) * 1000 + self.wall_offset),
            loop_lag=lambda: self.loop_lag,
            version="1",
            route=lambda towards: GATEWAY_6 if ":" in towards[0] else GATEWAY,
            recorder=self._recorder,
            hold_music=self._hold_music,
            gate=self._gate,
            resolve=self._resolve,
            chance=self._chance,
        )

        def make_flows(*args: object, on_datagram: Any, on_failure: Any, admits: Any, **options: object) -> Any:
            return MemoryFlows(self.network, GATEWAY, on_datagram=on_datagram, on_failure=on_failure, admits=admits)

        self.stack = SipStack(
            signalling.user_agent,
            [],
            resolver=Names(self._names),
            gate=signalling.screen.gate,
            on_event=lambda event, now: signalling.switchboard.take(event),
            on_message=lambda direction, message, source, now: signalling.switchboard.see(direction, message, source),
            make_flows=make_flows,
        )
        signalling.perform, signalling.reaches = self.stack.perform, self.stack.reaches
        await self.stack.start()
        self.caller = await self.party(CALLER)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.signalling.switchboard.close()
        await self.plane.close()
        self.engine.dispose()
        if kind is None:
            assert self.faults == {}, "a fault of ours that no test expects"

    async def _resolve(self, uri: SipUri) -> tuple[Target, ...]:
        target = literal_target(uri)
        return (target,) if target is not None else tuple(self._names.get(uri.host, ()))

    async def party(self, host: str, config: UserAgentConfig | None = None) -> Party:
        """Somebody else who calls."""
        party = Party(self.network, host, config)
        await party.stack.start()
        return party

    @property
    def switchboard(self) -> Any:
        return self.signalling.switchboard

    @property
    def admission(self) -> Any:
        return self.signalling.admission

    @property
    def leg(self) -> FakeLeg:
        """The RTP leg of the latest call."""
        return self.engine.legs[-1]

    @property
    def wire(self) -> FakeWire:
        """The agent connection dialled last."""
        return self.engine.wires[-1]

    @property
    def records(self) -> list[CallRecord]:
        """Of the calls that are over, in order."""
        return [record for record, _ in self.book.finished]

    @property
    def timelines(self) -> list[Timeline]:
        return [timeline for _, timeline in self.book.finished]

    @property
    def faults(self) -> dict[str, int]:
        """Exceptions that were caught where no peer could have caused them. A test that wants some clears it."""
        found = Counter({name: count for name, count in self.stack.counters.items() if name.startswith("fault")})
        found["session_faults"] = self.signalling.user_agent.counters["session_faults"]
        found["callback_errors"] = self.plane.callback_errors
        return {name: count for name, count in found.items() if count}

    def forgive_faults(self) -> None:
        """The faults so far were meant."""
        self.stack.counters.clear()
        self.signalling.user_agent.counters.clear()
        self.plane.callback_errors = 0

    async def pass_time(self, seconds: float = 0.1) -> None:
        """Let time pass: everything that falls into it happens."""
        await asyncio.sleep(seconds)

    async def place(self, party: Party | None = None, **options: Any) -> PhoneCall:
        """A call from the caller's phone that has reached the gateway."""
        call = (party or self.caller).call(**options)
        await self.pass_time(0.05)
        return call

    async def place_answered(self, party: Party | None = None, **options: Any) -> PhoneCall:
        """A call whose agent has taken it, and which has been answered and acknowledged."""
        call = await self.place(party, **options)
        if not call.is_answered:
            self.take_call()
            await self.pass_time(0.05)
        assert call.is_answered, call.statuses
        return call

    def take_call(self) -> None:
        """The agent dialled last takes its call."""
        self.wire.accept()
        if self.wire.config.subprotocols:
            self.wire.says(type="ready")

    def assert_nothing_left(self) -> None:
        """Ports, agents, places, transactions, dialogs: everything is back."""
        self.engine.assert_all_free()
        assert self.admission.calls == 0
        assert self.switchboard.calls == 0
        assert len(self.switchboard._trace) == 0
        assert len(self.signalling.user_agent.transactions) == 0
        assert self.signalling.user_agent.open_dialogs == 0


def notes(timeline: Timeline, kind: str | None = None) -> list[str]:
    """What a timeline says in words."""
    return [
        str(entry.fields.get("note") or entry.fields.get("first_line"))
        for entry in timeline.entries
        if kind in (None, entry.kind)
    ]
