"""An agent behind a WebSocket. Audio, marks, clear and digits run in Rust; here is the rest of its life."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from offhook._media import MediaError, MediaEvent, WireConfig
from offhook.destination.base import (
    AgentAudio,
    AgentConnected,
    AgentHungUp,
    AgentLeaves,
    AgentLost,
    AgentNote,
    AgentTranscript,
    AnsweredBy,
    CallerAudio,
    Destination,
    DestinationEvent,
    DestinationListener,
    DigitsState,
    GreetingOver,
    HandOverAsked,
    HandOverResult,
    HeadersAsked,
    HoldAction,
    HoldAsked,
    Holder,
    HoldFailure,
    MaskAsked,
    RecordingAsked,
    TransferAsked,
    TransferResult,
)
from offhook.destination.conversation import (
    AskedToHold,
    Conversation,
    DigitsAsked,
    EndAfterwards,
    EndNow,
    HandOverWanted,
    HeadersWanted,
    Ignored,
    Invalid,
    OffhookConversation,
    PassedOn,
    Ready,
    RecordAsked,
    Rejected,
    Say,
    Transcribed,
    TransferWanted,
    TwilioConversation,
)
from offhook.destination.dialect import offhook
from offhook.destination.dialect.facts import AgentFacts, EndCause
from offhook.destination.http_hints import HTTP_HINTS
from offhook.errors import DestinationError
from offhook.media.leg import RtpLeg
from offhook.media.plane import MediaPlane
from offhook.media.wire import Connected, Failed, Refused, Wire
from offhook.route.destination_uri import redact_query

# A bot that closes so has said all it wanted; 1005 is a close frame without a code.
_GOOD_ORDER = (1000, 1005)
_SLUG_OF_OUR_CLOSE = {
    "flood": "agent_flood",
    "too_slow": "agent_too_slow",
    "protocol_error": "agent_protocol_error",
    "wrong_dialect": "wrong_dialect",
    "internal_error": "internal_error",
}
_NOTES_KEPT = 20


@dataclass(frozen=True, slots=True)
class AgentSpec:
    """How an agent is reached. `headers` hold its credentials and are never shown; `connect_timeout` is seconds.

    `tls_verify` and `tls_ca` (a file) say what its `wss` server is judged by. `encoding` (`pcm16`, `pcmu`) and
    `sample_rate` (Hz) matter to the dialect `offhook` only.
    """

    name: str
    dialect: str
    url: str
    headers: tuple[tuple[str, str], ...] = ()
    origin: str | None = None
    connect_timeout: float = 5.0
    encoding: str = "pcm16"
    sample_rate: int = 16_000
    tls_verify: bool = True
    tls_ca: str | None = None


class Seat(Protocol):
    """A place at an agent that takes only so many calls at once."""

    def take(self) -> None:
        """Take it, or raise `DestinationError`."""

    def give_back(self) -> None:
        """Leave it to the next. May be repeated."""


class WireDestination:
    """One agent connection of one call: dialled while the phone rings, joined to the leg when the call is answered."""

    def __init__(
        self,
        uri: str,
        spec: AgentSpec,
        media: MediaPlane,
        listener: DestinationListener,
        *,
        node: str,
        ready_within: float,
        seat: Seat | None = None,
    ) -> None:
        self._uri = uri
        self._spec = spec
        self._media = media
        self._listener = listener
        self._node = node
        self._seat = seat
        self._ready_within_ms = round(ready_within * 1000)
        self._conversation: Conversation | None = None
        self._wire: Wire | None = None
        self._leg: RtpLeg | None = None
        self._ready: asyncio.Future[None] | None = None
        self._begun = False
        self._gone = False
        self._closed = False
        self._transferring = False
        self._handing_over = False
        self._notes = 0

    @property
    def uri(self) -> str:
        return self._uri

    async def prepare(self, leg: RtpLeg, facts: AgentFacts) -> None:
        if self._seat is not None:
            self._seat.take()
        self._leg = leg
        self._ready = asyncio.get_running_loop().create_future()
        self._conversation = conversation = self._converse(facts)
        try:
            self._wire = self._open(conversation, leg)
        except MediaError as error:
            raise DestinationError(f"{self._uri}: {error}", code="agent_unreachable", hint=error.hint) from error
        await self._ready

    def _open(self, conversation: Conversation, leg: RtpLeg) -> Wire:
        spec = self._spec
        return self._media.open_wire(
            WireConfig(
                spec.url,
                conversation.description.to_json(),
                values=dict(conversation.values),
                headers=spec.headers,
                subprotocols=[conversation.description.subprotocol] if conversation.description.subprotocol else [],
                origin=spec.origin,
                format=conversation.format,
                tls_verify=spec.tls_verify,
                tls_ca=spec.tls_ca,
                connect_timeout_ms=round(spec.connect_timeout * 1000),
                total_timeout_ms=round(spec.connect_timeout * 1000),
            ),
            leg=leg,
            on_event=self._take,
            on_error=self._failed,
        )

    def begin(self) -> None:
        assert self._wire is not None, "begin follows prepare"
        assert self._leg is not None, "begin follows prepare"
        assert self._conversation is not None, "begin follows prepare"
        self.await_audio()
        self._leg.connect(self._wire)

    def rerouted(self, facts: AgentFacts) -> None:
        if self._conversation is not None:
            self._conversation.rerouted(facts)

    def await_audio(self) -> None:
        if not self._begun and self._conversation is not None:
            self._begun = True
            self._say(self._conversation.begin())

    def speak_early(self) -> None:
        if self._wire is not None and self._leg is not None and not self._begun:
            self._leg.connect(self._wire, deaf=True)

    def played(self, mark: str) -> None:
        """Marks of the agent are answered in Rust."""

    def digits_masked(self, state: DigitsState) -> None:
        if self._conversation is not None and self._wire is not None and not (self._gone or self._closed):
            self._say(self._conversation.digits_masked(state))

    def recording(self, state: str, at_ms: int) -> None:
        if self._conversation is not None and self._begun and not self._closed:
            self._say(self._conversation.recording(state, at_ms))

    def transferred(self, result: TransferResult) -> None:
        self._transferring = False
        if self._conversation is not None and not self._closed and not self._gone:
            self._say(self._conversation.transferred(result))

    def handed_over(self, result: HandOverResult) -> None:
        self._handing_over = False
        if self._conversation is not None and not self._closed and not self._gone:
            self._say(self._conversation.handed_over(result))

    def held(self, by: Holder) -> None:
        if self._conversation is not None and self._begun and not self._closed:
            self._say(self._conversation.held(by))

    def resumed(self, by: Holder, held_ms: int) -> None:
        if self._conversation is not None and self._begun and not self._closed:
            self._say(self._conversation.resumed(by, held_ms))

    def hold_failed(self, action: HoldAction, code: HoldFailure, status: int | None, message: str) -> None:
        if self._conversation is not None and not self._closed:
            self._say(self._conversation.hold_failed(action, code, status, message))

    def answered_by(self, told: AnsweredBy | GreetingOver) -> None:
        if self._conversation is not None and self._begun and not self._closed:
            self._say(self._conversation.answered_by(told))

    def stats(self) -> Mapping[str, int]:
        # A connection that never was is not one on which nothing was said.
        wire = self._wire
        return wire.stats().as_dict() if wire is not None and isinstance(wire.outcome, Connected) else {}

    def close(self, reason: str, causes: Sequence[EndCause] = ()) -> None:
        if self._closed:
            return
        self._closed = True
        if self._wire is not None and self._conversation is not None and not self._gone:
            self._say(self._conversation.end(reason, causes))
            self._wire.close(1001 if reason == "gateway_shutdown" else 1000, reason)
        if self._seat is not None:
            self._seat.give_back()
        # Its owner holds it, so it must not hold its owner: what is over is freed at once.
        self._listener = nobody

    # -- what comes of it

    def _converse(self, facts: AgentFacts) -> Conversation:
        if self._spec.dialect == "twilio":
            return TwilioConversation(facts, self._node)
        return OffhookConversation(facts, self._format, self._ready_within_ms)

    @property
    def _format(self) -> str:
        return f"{self._spec.encoding}/{self._spec.sample_rate}"

    def _take(self, event: MediaEvent) -> None:
        if self._closed:
            return
        assert self._wire is not None, "its events come after it was opened"
        assert self._conversation is not None, "made before the wire"
        self._gone = event.kind in ("refused", "failed", "closed")
        match event.kind:
            case "connected" | "refused" | "failed":
                self._dialled(event.at)
            case "text":
                self._hear(event.text or "")
            case "first_audio_received":
                self._tell(AgentAudio(event.at))
            case "first_caller_audio_sent":
                self._tell(CallerAudio(event.at))
            case "protocol_error" if event.code == "wrong_dialect":
                self._speaks_another(event.text or "another protocol")
            case "protocol_error":
                self._note("the agent sent something that was ignored", detail=event.text or "")
            case "closed":
                self._broke_off(event)
            case _:
                self._note(event.kind)

    def _dialled(self, at: float) -> None:
        assert self._wire is not None, "dialled"
        assert self._conversation is not None, "made before the wire"
        match self._wire.outcome:
            case Connected() as done:
                steps = {
                    "dns_ms": done.dns_ms,
                    "tcp_ms": done.tcp_ms,
                    "tls_ms": done.tls_ms,
                    "upgrade_ms": done.upgrade_ms,
                }
                address = f"{done.address[0]} port {done.address[1]}"
                self._tell(AgentConnected(at, address, steps))
                if not self._spec.tls_verify and self._spec.url.startswith("wss:"):
                    self._note("the agent did not have to prove who it is (tls_verify = false)")
                self._say(self._conversation.connected())
                if self._conversation.is_ready_when_connected:
                    self._set_ready()
            case Refused(status, body):
                hint = HTTP_HINTS.get(status, "")
                said = f": {body.strip()[:200]}" if body.strip() else ""
                self._lose("agent_refused", f"{self._uri} answered HTTP {status}{said}", hint=hint)
            case Failed("upgrade", detail) if "subprotocol" in detail:
                # A server that knows our dialect says so in the upgrade; most others are bots made for Twilio.
                self._speaks_another("twilio")
            case Failed(code, detail):
                slug = "agent_refused" if code == "upgrade" else "agent_unreachable"
                self._lose(slug, f"{self._uri}: {detail}")
            case None:
                raise AssertionError("a dial that has come to an end has an outcome")

    def _hear(self, text: str) -> None:
        assert self._conversation is not None, "made before the wire"
        match self._conversation.hear(text):
            case Ready():
                self._set_ready()
            case Rejected(sip_status, reason):
                said = f" ({reason})" if reason else ""
                error = DestinationError(
                    f"{self._uri} rejected the call with {sip_status}{said}",
                    code="agent_rejected",
                    retryable=False,
                    sip_status=sip_status,
                )
                self._fail(error)
            case PassedOn(reason) if not self._begun:
                self._pass_on(reason)
            case PassedOn():
                self._note("the agent declined a call that it has taken; that was ignored")
            case RecordAsked(action):
                self._tell(RecordingAsked(action))
            case HeadersWanted(outgoing):
                self._tell(HeadersAsked(outgoing))
            case AskedToHold(wish):
                self._tell(HoldAsked(wish))
            case DigitsAsked(on, withhold):
                self._tell(MaskAsked(on, withhold))
            case Transcribed(line):
                self._tell(
                    AgentTranscript(
                        line.who, line.id, line.text, line.final, line.interrupted, line.start_ms, line.end_ms
                    )
                )
            case TransferWanted() if self._transferring:
                self._say([Say(offhook.error("transfer_open", "a transfer is being tried; one at a time"))])
            case TransferWanted(target, headers, timeout):
                self._transferring = True
                self._tell(TransferAsked(target, headers, timeout))
            case HandOverWanted() if self._handing_over:
                self._say([Say(offhook.error("hand_over_open", "a hand-over is being tried; one at a time"))])
            case HandOverWanted(to, note, timeout):
                self._handing_over = True
                self._tell(HandOverAsked(to, note, timeout))
            case EndNow(reason, failed):
                self._tell(AgentHungUp(reason or "the agent hung up", drain=False, failed=failed))
            case EndAfterwards(reason, failed):
                self._tell(AgentLeaves(reason, failed))
            case Invalid(what):
                self._lose("agent_protocol_error", f"{self._uri} said what can't be taken: {what}")
            case Ignored(what, answer):
                self._note("the agent sent something that was ignored", detail=what)
                if answer is not None:
                    self._say([answer])
            case None:
                pass

    def _broke_off(self, event: MediaEvent) -> None:
        said = f": {event.text}" if event.text else ""
        status = event.status or 1006
        if event.code is not None and event.code != "requested":
            slug = _SLUG_OF_OUR_CLOSE.get(event.code, "agent_lost")
            self._lose(slug, f"{self._uri} was closed by the gateway ({event.code}){said}")
        elif status in _GOOD_ORDER and self._begun:
            self._tell(AgentHungUp(f"{self._uri} closed with {status}{said}"))
        else:
            when = "" if self._begun else " before the call was answered"
            self._lose("agent_lost", f"{self._uri} closed with {status}{when}{said}")

    def _pass_on(self, reason: str) -> None:
        raise AssertionError("said on a worker's connection alone")

    def _lose(self, slug: str, message: str, *, hint: str = "") -> None:
        self._fail(DestinationError(message, code=slug, hint=hint))

    def _fail(self, error: DestinationError) -> None:
        """The agent is gone: `prepare` raises if it still waits, else the call is told."""
        if self._ready is not None and not self._ready.done():
            self._ready.set_exception(error)
        else:
            self._tell(AgentLost(error))

    def _failed(self, error: Exception) -> None:
        """A callback of ours failed: a bug, but this agent's alone."""
        self._fail(DestinationError(f"{type(error).__name__}: {error}", code="internal_error", retryable=False))

    def _speaks_another(self, dialect: str) -> None:
        """The agent was dialled in one dialect and answers in another: a wrong setting, told as such at once."""
        plain = self._spec.url
        right = plain if dialect == "offhook" else f"{dialect}+{plain}"
        self._lose(
            "wrong_dialect",
            f"{self._uri} was dialled as '{self._spec.dialect}' but speaks '{dialect}'",
            hint=f'write the destination as {redact_query(right)}, or kind = "{dialect}" in its [[agent]]',
        )

    def _set_ready(self) -> None:
        if self._ready is not None and not self._ready.done():
            self._ready.set_result(None)

    def _say(self, messages: list[Say]) -> None:
        assert self._wire is not None, "there is somebody to talk to"
        for message in messages:
            self._wire.send_text(message.text, numbered=message.numbered)

    def _note(self, what: str, **fields: object) -> None:
        self._notes += 1
        if self._notes <= _NOTES_KEPT:
            self._tell(AgentNote(what, fields))

    def _tell(self, event: DestinationEvent) -> None:
        self._listener(self, event)


def nobody(who: Destination, event: DestinationEvent) -> None:
    """Listens to a destination that is closed."""


def _is_a_destination(wire: WireDestination) -> Destination:
    return wire
