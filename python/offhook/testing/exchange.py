"""A gateway and a telephone in memory for one call: media core, workers' door, protocol and the SDK's worker are the
real ones; of SIP there is nothing.
"""

import asyncio
import socket
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

from offhook._media import EngineConfig, LegConfig, Line, MediaEvent, RemoteMedia
from offhook.agent.agent import Agent
from offhook.agent.caller import Diversion, Identity, UserToUser
from offhook.agent.engines import Speech
from offhook.agent.session import Session
from offhook.agent.wire_line import WireLine
from offhook.agent.worker import Gateway, Worker
from offhook.api.upgrade import upgrade_protocol
from offhook.api.worker_door import PATH, Tokens, WorkerDoor
from offhook.destination.base import (
    AgentAudio,
    AgentHungUp,
    AgentLeaves,
    AgentLost,
    AgentNote,
    Destination,
    DestinationEvent,
    DigitsState,
    HandOverAsked,
    HandOverEnd,
    HandOverResult,
    HeadersAsked,
    HoldAction,
    HoldAsked,
    Holder,
    MaskAsked,
    TransferAsked,
    TransferEnd,
    TransferResult,
)
from offhook.destination.dialect import facts
from offhook.destination.dialect.facts import AgentFacts, HandedOver, SaidLine
from offhook.destination.wire import AgentSpec
from offhook.destination.worker import WorkerDestination
from offhook.destination.workers import Workers
from offhook.errors import DestinationError
from offhook.ids import CallId
from offhook.media import speech_network
from offhook.media.leg import RtpLeg
from offhook.media.plane import MediaPlane
from offhook.route.table import AGENT_HEADERS
from offhook.sip.outgoing import NOTHING, Outgoing
from offhook.testing.lines import LineProfile
from offhook.testing.overheard import OverheardLine
from offhook.testing.virtual_loop import VirtualLoop

Codec = Literal["PCMU", "PCMA", "G722"]
KeyWay = Literal["rfc4733", "info", "inband"]
"""How the telephone says which keys are pressed, and is told of the agent's."""
RouteBargeIn = Literal["auto", "off", "clear", "duck-then-decide", "agent"]

_PAYLOAD_TYPES: Mapping[Codec, int] = {"PCMU": 0, "PCMA": 8, "G722": 9}
_EVENTS = 101
_GATEWAY, _PHONE = "10.0.0.1", "10.0.0.2"
_TOKEN = "rehearsal"  # noqa: S105
_READY_WITHIN = 20.0
_RELEASE_AFTER = 0.3
# What the gateway leaves a telephone to play out its buffer, as a call does.
_FAR_END_BUFFER = 0.2
# How much later than sound a BYE comes: its packet waits for nothing, but the sound's last frames do.
_BYE = 0.05
_LAST_ACTS = 200.0


@dataclass(frozen=True, slots=True)
class CallPlan:
    """What a call is made with."""

    line: LineProfile
    codec: Codec = "PCMU"
    seed: int = 1
    from_number: str = "+14155550100"
    to_number: str = "+14155550123"
    headers: Mapping[str, str] = field(default_factory=dict)
    barge_in: RouteBargeIn = "auto"
    identity: Identity = field(default_factory=Identity)
    diversions: tuple[Diversion, ...] = ()
    user_to_user: tuple[UserToUser, ...] = ()
    early_media: bool = False
    keys: KeyWay = "rfc4733"
    history: tuple[SaidLine, ...] = ()
    handed_over: HandedOver | None = None


class OnTelephone(Protocol):
    """Who holds the telephone."""

    def answered(self) -> None:
        """The call was answered."""

    def heard(self, event: MediaEvent) -> None:
        """What the telephone's media tells: `audio`, `mark`, `digit`."""

    def ended(self, reason: str, detail: str) -> None:
        """The call is over."""

    def note(self, what: str) -> None:
        """Something for the timeline."""

    def transferred(self, target: str) -> None:
        """The agent wants the call transferred there."""

    def handed_over(self, to: str, note: str) -> None:
        """The agent wants another one to take the call."""


class _RehearsedWorker(Worker):
    """The SDK's worker, on a pair of sockets in place of the network."""

    def __init__(self, agent: Agent, speech: Speech | None, door: WorkerDoor, loop: VirtualLoop) -> None:
        # The same from test to test: nothing is tried again by chance.
        super().__init__(agent, Gateway.of("ws://gateway.invalid", _TOKEN), chance=lambda: 0.5)
        self.session: Session | None = None
        self._speech = speech
        self._door: WorkerDoor | None = door
        self._loop = loop
        self._descriptors: list[int] = []

    async def _way(self) -> dict[str, Any]:
        assert self._door is not None, "the call goes on"
        ours, theirs = socket.socketpair()
        ends = (ours.fileno(), theirs.fileno())
        self._descriptors += ends
        self._loop.disown(*ends)
        for end in (ours, theirs):
            end.setblocking(False)
        await self._loop.connect_accepted_socket(upgrade_protocol({PATH: self._door.judge}), ours)
        return {"sock": theirs}

    def _session_of(self, line: WireLine) -> Session:
        self.session = Session(self.agent, line, self._speech)
        return self.session

    def _line_of(self, call: int, ringing: dict[str, Any], write: Callable[[bytes], None]) -> WireLine:
        return OverheardLine(call, ringing, self.agent.rate, write)

    def forget(self) -> None:
        """Its sockets are closed, and the gateway is gone."""
        self._loop.reclaim(*self._descriptors)
        self._door = None


class _OneSeat:
    """There is one call."""

    def take(self) -> None: ...
    def give_back(self) -> None: ...


@dataclass(frozen=True, slots=True)
class Past:
    """What is known of a call after its end."""

    session: Session | None
    reason: str | None
    status: int | None
    lost_packets: tuple[int, int]
    rate: int
    outgoing: Outgoing
    masked_digits: DigitsState
    is_over: bool = True
    held_by: Mapping[Holder, float] = field(default_factory=dict)

    def play(self, pcm: bytes, mark: str) -> None:
        """Nobody hears it."""

    async def press(self, digits: str) -> None:
        """Nobody hears them."""

    def decide(self, outcome: TransferEnd, status: int | None) -> None:
        """There is nothing to decide."""

    def decide_hand_over(self, outcome: HandOverEnd) -> None:
        """There is nothing to decide."""

    def hold(self, on: bool) -> None:
        """There is nothing to hold."""

    def refuse_hold(self, status: int | None) -> None:
        """Nor to refuse."""

    def end(self, reason: str, detail: str) -> None:
        """It has ended."""


class Exchange:
    """One call at an agent, from its worker's dialling to the end of `on_hangup`. `speech` replaces its engines."""

    def __init__(self, agent: Agent, plan: CallPlan, telephone: OnTelephone, speech: Speech | None) -> None:
        loop = asyncio.get_running_loop()
        if not isinstance(loop, VirtualLoop):
            raise RuntimeError("calls of `offhook.testing` need its event loop: see docs/guides/testing.md")
        self._loop = loop
        self._agent = agent
        self._plan = plan
        self._telephone = telephone
        gateway = _engine(_GATEWAY, 30_000, speech_network.load().weights)
        phone = _engine(_PHONE, 20_000, None)
        self._line = Line(gateway, phone, plan.line.network, seed=plan.seed, start_ns=loop.now_ns)
        self._wakes = (self._line.gateway.wakeup_fd, self._line.phone.wakeup_fd)
        loop.disown(*self._wakes)
        loop.attach(self._line)
        self._media = MediaPlane(gateway, engine=self._line.gateway)
        self._phone_media = MediaPlane(phone, engine=self._line.phone)
        self._workers = Workers(threads=1, gateway="rehearsal", version="rehearsal")
        door = WorkerDoor(
            self._workers,
            Tokens({agent.name: _TOKEN}),
            self._media,
            now=loop.time,
            refused=lambda source, rule, why: telephone.note(f"the worker was refused: {why}"),
        )
        self._worker = _RehearsedWorker(agent, speech, door, loop)
        self._serving: asyncio.Task[None] | None = None
        self._destination: WorkerDestination | None = None
        self._legs: list[RtpLeg] = []
        self._timers: list[asyncio.TimerHandle] = []
        self._draining = False
        self.held_by: dict[Holder, float] = {}
        """Who holds the call, and since when."""
        self._hold_status: int | None = None
        self.masked_digits: DigitsState = "shown"
        """What the agent has asked for."""
        self._digits = 0
        self._digit_came = asyncio.Event()
        self.is_answered = False
        self._is_heard_early = False
        self.is_over = False
        """Whether the telephone knows of the end."""
        self.reason: str | None = None
        self._has_failed = False
        self.status: int | None = None
        self.outgoing = NOTHING
        """The headers that the agent has set."""
        self._detail = ""

    # -- its life

    async def open(self) -> None:
        """Connect the worker, and let it ring until it is answered or is not."""
        await self._media.__aenter__()
        await self._phone_media.__aenter__()
        self._serving = asyncio.create_task(self._worker.run(), name="the rehearsed worker")
        connected = asyncio.create_task(self._worker.is_connected.wait())
        await asyncio.wait({self._serving, connected}, return_when=asyncio.FIRST_COMPLETED)
        connected.cancel()
        if self._serving.done():
            self._serving.result()
        try:
            await self._ring()
        except DestinationError as error:
            self.status = error.sip_status
            self.end(error.code, str(error))

    async def close(self) -> None:
        """The caller hangs up, if nobody has; the agent has its last word, and all is let go of."""
        self.end("caller_hung_up", "")
        self._put_down()
        for timer in self._timers:
            timer.cancel()
        try:
            with suppress(TimeoutError):
                async with asyncio.timeout(_LAST_ACTS):
                    await self._worker.idle()
            self._worker.drain()
            if self._serving is not None:
                await asyncio.wait({self._serving}, timeout=_LAST_ACTS)
        finally:
            if self._serving is not None:
                self._serving.cancel()
                await asyncio.gather(self._serving, return_exceptions=True)
            await self._media.close()
            await self._phone_media.close()
            self._loop.detach(self._line)
            self._worker.forget()
            self._loop.reclaim(*self._wakes)
            # It holds us, as we hold it: what is over is freed at once.
            self._destination = None
            self._legs.clear()
            self._timers.clear()

    @property
    def session(self) -> Session | None:
        """The SDK's side of the call, once it rings there."""
        return self._worker.session

    @property
    def lost_packets(self) -> tuple[int, int]:
        """Packets that the line has lost so far: of the caller's, of the agent's."""
        (_, of_caller), (_, of_agent) = self._line.carried
        return of_caller, of_agent

    @property
    def past(self) -> Past:
        """What may be asked after its end."""
        return Past(
            self.session,
            self.reason,
            self.status,
            self.lost_packets,
            self.rate,
            self.outgoing,
            self.masked_digits,
        )

    # -- what the caller does

    @property
    def rate(self) -> int:
        """Samples a second on the line."""
        return 16_000 if self._plan.codec == "G722" else 8_000

    def play(self, pcm: bytes, mark: str) -> None:
        """Speak into the telephone; the mark is told when the last of it has left."""
        if not self.is_over:
            self._legs[1].play(pcm, self.rate, mark)

    async def press(self, digits: str) -> None:
        """Press keys, and wait until the gateway has heard them."""
        wanted = self._digits + len(digits)
        self._legs[1].send_dtmf(digits)
        while self._digits < wanted and not self.is_over:
            self._digit_came.clear()
            await self._digit_came.wait()

    def decide(self, outcome: TransferEnd, status: int | None) -> None:
        """What the transfer that the agent has asked for comes to."""
        if self._destination is not None and self.reason is None:
            self._destination.transferred(TransferResult(outcome, status, "rehearsed"))
        if outcome in ("completed", "caller_gone"):
            self.end("transferred" if outcome == "completed" else "caller_hung_up", "")

    def decide_hand_over(self, outcome: HandOverEnd) -> None:
        """What the hand-over that the agent has asked for comes to."""
        if self._destination is not None and self.reason is None:
            self._destination.handed_over(HandOverResult(outcome, "rehearsed"))
        if outcome in ("handed_over", "caller_gone"):
            self.end("handed_over" if outcome == "handed_over" else "caller_hung_up", "")

    def hold(self, on: bool) -> None:
        """Put the agent on hold, or have it back: the gateway knows it a way later."""
        self._later(self._plan.line.delay_ms / 1_000, self._hold, "caller", on)

    def refuse_hold(self, status: int | None) -> None:
        """Refuse to be held, or to be had back, with this SIP status from now on; None for no more."""
        self._hold_status = status

    def end(self, reason: str, detail: str) -> None:
        """End the call. May be repeated."""
        if self.reason is not None:
            return
        self.reason, self._detail = reason, detail
        if self._destination is not None:
            self._destination.close(reason)
        for leg in self._legs[:1]:
            leg.close()
        if self.is_answered and reason != "caller_hung_up":
            # What was said last is still on its way, and so is the BYE.
            self._later(self._plan.line.delay_ms / 1_000 + _BYE, self._put_down)
        else:
            self._put_down()

    def _put_down(self) -> None:
        """The telephone knows that the call is over."""
        if not self.is_over:
            self.is_over = True
            for leg in self._legs:
                leg.close()
            self._digit_came.set()
            self._telephone.ended(self.reason or "", self._detail)

    # -- the gateway's part

    async def _ring(self) -> None:
        plan = self._plan
        phone = self._phone_media.open_leg(
            LegConfig(signalling_address=_GATEWAY, media_timeout_ms=None),
            on_event=self._hear_phone,
            on_error=self._failed,
        )
        self._legs.append(phone)
        leg = self._media.open_leg(
            LegConfig(remote=phone.local_address, signalling_address=_PHONE, media_timeout_ms=None),
            on_event=self._take_media,
            on_error=self._failed,
        )
        self._legs.insert(0, leg)
        leg.barge_in(None if plan.barge_in == "auto" else plan.barge_in)
        leg.set_remote(self._agreed(phone))
        phone.set_remote(self._agreed(leg))
        self._destination = destination = WorkerDestination(
            f"worker:{self._agent.name}",
            AgentSpec(self._agent.name, "worker", ""),
            self._media,
            self._workers,
            self._take_destination,
            node="rehearsal",
            ready_within=_READY_WITHIN,
            seat=_OneSeat(),
        )
        about = AgentFacts(
            CallId("rehearsal"), plan.from_number, plan.to_number, trunk="rehearsal", route="rehearsal",
            headers=plan.headers, barge_in=plan.barge_in, early_media=plan.early_media,
            history=plan.history, handed_over=plan.handed_over, **_of_the_caller(plan),
        )  # fmt: skip
        async with asyncio.timeout(_READY_WITHIN):
            await destination.prepare(leg, about)
        if self.reason is not None:
            return
        self.is_answered = True
        if not self._is_heard_early:
            phone.tap(True)
            phone.start(release_after=0)
        leg.start(release_after=0 if self._is_heard_early else _RELEASE_AFTER)
        # The ACK takes its way there and back.
        self._later(2 * plan.line.delay_ms / 1_000, leg.release)
        destination.begin()
        self._telephone.answered()

    def _hear_early(self, destination: Destination) -> None:
        """The agent speaks before it has taken the call, and is heard."""
        leg, phone = self._legs
        self._is_heard_early = True
        phone.tap(True)
        phone.start(release_after=0)
        leg.start(release_after=None)
        leg.release()
        destination.speak_early()

    def _hold(self, who: Holder, on: bool) -> None:
        """Somebody holds the call, or does so no longer: both ends send and listen as an answer to that offer says."""
        if self.reason is not None or self._destination is None or on == (who in self.held_by):
            return
        since = self._loop.time()
        if on:
            self.held_by[who] = since
        else:
            since = self.held_by.pop(who)
        leg, phone = self._legs
        by_caller, by_agent = "caller" in self.held_by, "agent" in self.held_by
        leg.set_remote(self._agreed(phone, send=not by_caller, receive=not by_agent, hold=bool(self.held_by)))
        phone.set_remote(self._agreed(leg, send=not by_agent, receive=not by_caller))
        self._telephone.note(f"the {who} holds the call" if on else f"the {who} holds the call no longer")
        if on:
            self._destination.held(who)
        else:
            self._destination.resumed(who, round((self._loop.time() - since) * 1_000))

    def _asked_to_hold(self, action: HoldAction) -> None:
        """The agent wants to hold the caller: a re-INVITE, and its answer, take their way there and back."""
        there_and_back = 2 * self._plan.line.delay_ms / 1_000
        if self._destination is not None and self._hold_status is not None:
            said = f"the caller's side said {self._hold_status}"
            refuse = self._destination.hold_failed
            self._later(there_and_back, refuse, action, "refused", self._hold_status, said)
        else:
            self._later(there_and_back, self._hold, "agent", action == "hold")

    def _agreed(self, peer: RtpLeg, *, send: bool = True, receive: bool = True, hold: bool = False) -> RemoteMedia:
        address, port = peer.local_address
        codec = self._plan.codec
        payload_type = _PAYLOAD_TYPES[codec]
        return RemoteMedia(
            address=address,
            port=port,
            codec=codec,
            payload_type=payload_type,
            receive_payload_types={payload_type: codec},
            dtmf_send=_EVENTS,
            dtmf_receive=[_EVENTS],
            dtmf_by=self._plan.keys,
            dtmf_tones="removed" if self._plan.keys == "inband" else "ignored",
            signalling_address=address,
            send=send,
            receive=receive,
            hold=hold,
        )

    def _take_destination(self, destination: Destination, event: DestinationEvent) -> None:
        match event:
            case AgentAudio() if self._plan.early_media and not self.is_answered and not self._is_heard_early:
                self._hear_early(destination)
            case AgentHungUp(detail, drain) if self.is_answered and drain:
                if not self._draining and self.reason is None:
                    self._draining = True
                    self._legs[0].drain()
            case AgentHungUp(detail, _, failed):
                hung_up = "agent_hung_up" if self.is_answered else "agent_rejected"
                self.end("agent_failed" if failed else hung_up, detail)
            case AgentLeaves(_, failed):
                self._has_failed = failed
            case AgentLost(error):
                self.end(error.code, str(error))
            case TransferAsked(target):
                self._telephone.transferred(target)
            case HandOverAsked(to, note):
                self._telephone.handed_over(to, note)
            case HeadersAsked(outgoing):
                self.outgoing = outgoing
            case HoldAsked(action):
                self._asked_to_hold(action)
            case MaskAsked(on, withhold):
                state: DigitsState = ("withheld" if withhold else "masked") if on else "shown"
                self._legs[0].mask_digits(state)
                self._telephone.note(f"keys are {state}")
                self.masked_digits = state
                assert self._destination is not None, "it asks"
                self._destination.digits_masked(state)
            case AgentNote(what, fields):
                said = ", ".join(f"{name} {value}" for name, value in fields.items())
                self._telephone.note(f"{what}{f' ({said})' if said else ''}")
            case _:
                pass

    def _take_media(self, event: MediaEvent) -> None:
        match event.kind:
            case "digit":
                self._digits += 1
                self._digit_came.set()
            case "key_by_info":
                self._press_by_info(self._legs[1], event)
            case "drained" | "hang_up_requested":
                self._later(_FAR_END_BUFFER, self.end, "agent_failed" if self._has_failed else "agent_hung_up", "")
            case "internal_error":
                self.end("internal_error", event.text or "")
            case _:
                pass

    def _hear_phone(self, event: MediaEvent) -> None:
        if event.kind == "key_by_info":
            self._press_by_info(self._legs[0], event)
        else:
            self._telephone.heard(event)

    def _press_by_info(self, leg: RtpLeg, event: MediaEvent) -> None:
        """What an INFO would say."""
        assert event.digit is not None, "a key that leaves is known"
        self._later(self._plan.line.delay_ms / 1_000, leg.press, event.digit, event.duration_ms or 0)

    def _later(self, seconds: float, action: Any, *arguments: Any) -> None:
        self._timers.append(self._loop.call_later(seconds, action, *arguments))

    def _failed(self, error: Exception) -> None:
        self.end("internal_error", f"{type(error).__name__}: {error}")


def _of_the_caller(plan: CallPlan) -> dict[str, Any]:
    """What the gateway would have read of the caller's INVITE."""
    identity = plan.identity
    claims = tuple(facts.IdentityClaim(claim.header, claim.number, claim.name) for claim in identity.claims)
    source = identity.source if identity.source in ("asserted", "remote_party") else "from"
    return {
        "identity": facts.CallerIdentity(source, identity.trusted, identity.withheld, identity.privacy, claims),  # type: ignore[arg-type]
        "diversions": tuple(facts.Diversion(d.number, d.name, d.reason, d.counter, d.header) for d in plan.diversions),
        "user_to_user": tuple(facts.UserData(u.data.hex(), u.text, u.purpose, u.content) for u in plan.user_to_user),
        "agent_headers": AGENT_HEADERS,
    }


def _engine(address: str, port: int, speech_weights: bytes | None) -> EngineConfig:
    return EngineConfig(
        addresses=[address],
        port_min=port,
        port_max=port + 3,
        threads=1,
        max_legs=2,
        max_wires=2,
        event_limit=4096,
        speech_weights=speech_weights,
    )
