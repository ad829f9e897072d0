"""A carrier that the gateway calls: what it does with each INVITE is in the test's hand."""

from collections.abc import Callable
from typing import Any, Self

from offhook.call.out.gatekeeper import Allowed, Denied
from offhook.call.out.outbound import OutboundCall
from offhook.call.out.wish import Wish
from offhook.ids import TrunkName
from offhook.route.destination_uri import AgentUri
from offhook.route.number import read_number
from offhook.route.trunk import TrunkTable
from offhook.sip.effects import Source
from offhook.sip.events import Acknowledged, ByeReceived, Cancelled, Event, InviteReceived, Reinvited
from offhook.sip.invite import InviteSession
from offhook.sip.message import Request
from offhook.sip.parser import parse_datagram
from offhook.sip.user_agent import UserAgentConfig

from .world import OFFHOOK, Network, Party, World, sdp

CARRIER = "192.0.2.9"
CALLEE = "+14155550142"
OURS = "+14155550100"

TRUNK = f"""
[[trunk]]
name = "out"
host = "{CARRIER}"
country = "US"
caller_id = ["{OURS}", "+14155550101"]

[[agent]]
name = "bot"
kind = "offhook"
url = "ws://agent.example/voice"
"""

CONFIG = OFFHOOK + TRUNK


class Permits:
    """What a test sees of the permit of a call."""

    def __init__(self) -> None:
        self.answered_at: float | None = None
        self.released_at: float | None = None
        self.budget: Callable[[float], tuple[float, str] | None] = lambda now: None

    def answered(self, now: float) -> None:
        self.answered_at = now

    def time_left(self, now: float) -> tuple[float, str] | None:
        return self.budget(now)

    def used_up(self) -> str:
        return "the day's minutes are used up"

    def release(self, now: float) -> None:
        self.released_at = self.released_at or now


class OpenGate:
    """A gate that lets everything by the first trunk with a host; `denies` is what it says instead."""

    def __init__(self) -> None:
        self.trunks: TrunkTable = TrunkTable([])
        self.denies: Denied | None = None
        self.permits: list[Permits] = []
        self.asked: list[Wish] = []

    def judge(self, wish: Wish, now: float, without: frozenset[TrunkName] = frozenset()) -> Allowed | Denied:
        self.asked.append(wish)
        if self.denies is not None:
            return self.denies
        trunks = [trunk for trunk in self.trunks if trunk.host is not None and wish.trunk in (None, trunk.name)]
        left = [trunk for trunk in trunks if trunk.name not in without]
        if not left:
            return Denied("dial_no_trunk", "all were tried")
        trunk = left[0]
        self.permits.append(Permits())
        number = read_number(wish.to, trunk.country).canonical
        return Allowed(trunk, number, wish.caller_id or trunk.caller_ids[0], self.permits[-1], len(left) - 1)


class CalledPhone:
    """One INVITE of the gateway as the one who is called has it."""

    def __init__(self, carrier: "Carrier", session: InviteSession, request: Request) -> None:
        self.carrier = carrier
        self.session = session
        self.request = request
        self.acknowledged = 0
        self.bye: Request | None = None
        self.cancel: Request | None = None
        self.at: dict[str, float] = {}
        self.refers: list[Request] = []
        """REFERs of the gateway; 202 is the answer."""
        self.answers_reinvites: bytes | None = None
        """SDP of the answer to the gateway's re-INVITE; None leaves it unanswered."""
        self.must = True
        """Whether it is a fault of the test to have it do what comes too late."""
        session.context = self

    @property
    def offer(self) -> bytes:
        return self.request.body

    def ring(self, status: int = 180, answer: bytes | None = None, **options: Any) -> None:
        self._do(lambda now: self.session.ring(status, answer, now=now, **options))

    def answer(self, answer: bytes | None = None, headers: tuple[tuple[str, str], ...] = ()) -> None:
        said = sdp(host=CARRIER, port=4000) if answer is None else answer
        self._do(lambda now: self.session.answer(said, headers, now=now))

    def refuse(self, status: int, reason: str | None = None, headers: tuple[tuple[str, str], ...] = ()) -> None:
        self._do(lambda now: self.session.reject(status, reason, headers, now=now))

    def notify(self, report: str, state: str) -> None:
        """Report on the REFER that came."""
        headers = (("Event", "refer"), ("Subscription-State", state), ("Content-Type", "message/sipfrag;version=2.0"))
        self._do(lambda now: self.session.ask("NOTIFY", headers, report.encode(), now=now))

    def hang_up(self, headers: tuple[tuple[str, str], ...] = ()) -> None:
        self._do(lambda now: self.session.hang_up(headers, now=now))

    def update(self, offer: bytes) -> None:
        self._do(lambda now: self.session.update(offer, now=now))

    def reinvite(self, offer: bytes) -> None:
        self._do(lambda now: self.session.reinvite(offer, now=now))

    def _do(self, action: Callable[[float], object]) -> None:
        could = self.carrier.stack.perform(action)
        assert could or not self.must, "the carrier could do that"


class Carrier(Party):
    """At 192.0.2.9. `calls` has what came; `refers` of its dialogs are answered by hand."""

    def __init__(self, network: Network, host: str = CARRIER, config: UserAgentConfig | None = None) -> None:
        super().__init__(network, host, config or UserAgentConfig(user_agent="carrier/1"))
        self.calls: list[CalledPhone] = []

    def _referred(self, data: bytes, source: Source) -> None:
        request = parse_datagram(data)
        assert isinstance(request, Request)
        phone = next((one for one in self.calls if one.request.call_id == request.call_id), None)
        if phone is not None:
            phone.refers.append(request)
        self.network.send(self.flows, bytes(request.response(202 if phone is not None else 481)), source.remote)

    def _hear(self, event: Event, now: float) -> None:
        if isinstance(event, InviteReceived):
            self.events.append(event)
            self.calls.append(CalledPhone(self, event.session, event.request))
            return
        super()._hear(event, now)
        session = getattr(event, "session", None)
        phone = session.context if isinstance(session, InviteSession) else None
        if not isinstance(phone, CalledPhone):
            return
        match event:
            case Acknowledged():
                phone.acknowledged += 1
            case ByeReceived(_, request):
                phone.bye = request
                phone.at["bye"] = now
            case Cancelled(_, request):
                phone.cancel = request
            case Reinvited() if phone.answers_reinvites is not None:
                answer = phone.answers_reinvites
                self.stack.perform(lambda now: session.answer_reinvite(answer, now=now))
            case _:
                pass


class CarrierWorld(World):
    """A gateway, and the carrier at the other end of its trunk, whose phones are in the test's hand."""

    async def __aenter__(self) -> Self:
        await super().__aenter__()
        self.carrier = Carrier(self.network)
        await self.carrier.stack.start()
        return self


class DiallingWorld(CarrierWorld):
    """A gateway that may dial everything by trunk `out`, and the carrier behind it."""

    def __init__(self, config: str = CONFIG, *, opens: bool = True, **options: Any) -> None:
        """Unless it `opens`, the gate is the real one, by the lists of the trunks."""
        self.gate = OpenGate()
        super().__init__(config, gate=self.gate if opens else None, **options)

    async def __aenter__(self) -> Self:
        await super().__aenter__()
        self.gate.trunks = self.signalling.screen.rules.trunks
        return self

    async def wish(self, to: str = CALLEE, **options: Any) -> Any:
        """Ask for a call; what the dialler says."""
        return await self.signalling.dialler.dial(Wish(to, AgentUri("bot"), **options))

    async def dial(self, to: str = CALLEE, **options: Any) -> tuple[OutboundCall, CalledPhone]:
        """A call whose agent is ready, and which has reached the carrier."""
        call = await self.wish(to, **options)
        assert isinstance(call, OutboundCall), call
        await self.pass_time(0.05)
        self.take_call()
        await self.pass_time(0.05)
        return call, self.carrier.calls[-1]

    async def talk(self, to: str = CALLEE, **options: Any) -> tuple[OutboundCall, CalledPhone]:
        """A call that has been answered."""
        call, phone = await self.dial(to, **options)
        phone.ring()
        await self.pass_time(2)
        phone.answer()
        await self.pass_time(0.1)
        assert call.answered_at is not None
        return call, phone
