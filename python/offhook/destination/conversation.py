"""What is said to an agent, and heard from it, beside audio: one class per dialect, all with the same words."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from offhook.destination.agent_headers import AgentHeaders
from offhook.destination.base import AnsweredBy, GreetingOver, HandOverResult, TransferResult
from offhook.destination.dialect import offhook, twilio, worker
from offhook.destination.dialect.description import Description
from offhook.destination.dialect.facts import AgentFacts, EndCause
from offhook.errors import LocalProtocolError
from offhook.sip.outgoing import Outgoing


@dataclass(frozen=True, slots=True)
class Say:
    """A message to the agent; `numbered` fills in the wire's running number."""

    text: str
    numbered: bool = False


@dataclass(frozen=True, slots=True)
class Ready:
    """The agent takes the call."""


@dataclass(frozen=True, slots=True)
class Rejected:
    """The agent doesn't take the call; `sip_status` is its answer to the caller."""

    sip_status: int
    reason: str


@dataclass(frozen=True, slots=True)
class PassedOn:
    """This worker doesn't take the call; another may."""

    reason: str


@dataclass(frozen=True, slots=True)
class EndNow:
    """The agent wants the call to end at once, without what it has queued; `failed` if something in it went wrong."""

    reason: str
    failed: bool = False


@dataclass(frozen=True, slots=True)
class EndAfterwards:
    """The agent wants the call to end once what it has queued has been played; `failed` as above."""

    reason: str
    failed: bool = False


@dataclass(frozen=True, slots=True)
class RecordAsked:
    """The agent wants the recording to start, stop, pause or go on."""

    action: offhook.RecordingAction


@dataclass(frozen=True, slots=True)
class HeadersWanted:
    """What the agent wants in our SIP messages from now on, all of it allowed."""

    outgoing: Outgoing


@dataclass(frozen=True, slots=True)
class AskedToHold:
    """The agent wants to hold the caller, or to have it back."""

    action: offhook.HoldAction


@dataclass(frozen=True, slots=True)
class DigitsAsked:
    """The agent wants keys to be masked (or withheld from itself, too), or no longer."""

    on: bool
    withhold: bool


@dataclass(frozen=True, slots=True)
class Invalid:
    """A message without which the call can't go on, such as a `ready` with audio that nobody speaks."""

    what: str


@dataclass(frozen=True, slots=True)
class Ignored:
    """A message that was not taken, and what is answered to it, if anything."""

    what: str
    answer: Say | None = None


@dataclass(frozen=True, slots=True)
class Transcribed:
    """What somebody says, in words."""

    line: offhook.Transcript


@dataclass(frozen=True, slots=True)
class TransferWanted:
    """The agent wants the caller transferred. `timeout` is in seconds, None for the trunk's."""

    target: str
    headers: tuple[tuple[str, str], ...] = ()
    timeout: float | None = None


@dataclass(frozen=True, slots=True)
class HandOverWanted:
    """The agent wants another one to take the call. `timeout` is in seconds, None for the route's ringing time."""

    to: str
    note: str = ""
    timeout: float | None = None


Heard = (
    Ready
    | Rejected
    | PassedOn
    | EndNow
    | EndAfterwards
    | RecordAsked
    | DigitsAsked
    | HeadersWanted
    | Transcribed
    | TransferWanted
    | HandOverWanted
    | Invalid
    | Ignored
    | None
    | AskedToHold
)


class Conversation(Protocol):
    """One agent connection's messages that are not audio, mark, clear or digits (those are Rust's)."""

    @property
    def description(self) -> Description: ...
    @property
    def values(self) -> Mapping[str, str]: ...
    @property
    def format(self) -> str: ...
    @property
    def is_ready_when_connected(self) -> bool: ...
    def connected(self) -> list[Say]: ...
    def begin(self) -> list[Say]: ...
    def rerouted(self, facts: AgentFacts) -> None: ...
    def digits_masked(self, state: str) -> list[Say]: ...
    def recording(self, state: str, at_ms: int) -> list[Say]: ...
    def transferred(self, result: TransferResult) -> list[Say]: ...
    def handed_over(self, result: HandOverResult) -> list[Say]: ...
    def held(self, by: str) -> list[Say]: ...
    def resumed(self, by: str, held_ms: int) -> list[Say]: ...
    def hold_failed(self, action: str, code: str, status: int | None, message: str) -> list[Say]: ...
    def answered_by(self, told: AnsweredBy | GreetingOver) -> list[Say]: ...
    def end(self, reason: str, causes: Sequence[EndCause] = ()) -> list[Say]: ...
    def hear(self, text: str) -> Heard: ...


class TwilioConversation:
    """Twilio Media Streams: ready with the upgrade; `connected` and `start` go out when the call is answered."""

    description = twilio.TWILIO
    is_ready_when_connected = True
    format = twilio.TWILIO.formats[0]

    def __init__(self, facts: AgentFacts, node: str) -> None:
        self._facts = facts
        self._started = False
        self._ids = twilio.StreamIds.of(facts.call_id, node=node)
        self.values = self._ids.values()

    def connected(self) -> list[Say]:
        return []

    def begin(self) -> list[Say]:
        self._started = True
        return [Say(twilio.connected()), Say(twilio.start(self._ids, self._facts), numbered=True)]

    def rerouted(self, facts: AgentFacts) -> None:
        self._facts = facts

    def digits_masked(self, state: str) -> list[Say]:
        # Twilio has no word for it; of a digit that is withheld its bots are told `?`.
        return []

    def recording(self, state: str, at_ms: int) -> list[Say]:
        # Twilio tells that by HTTP callbacks, never on the stream.
        return []

    def transferred(self, result: TransferResult) -> list[Say]:
        # Twilio's agents transfer by its REST API; nothing on the stream can ask for it.
        return []

    def handed_over(self, result: HandOverResult) -> list[Say]:
        # Nothing on the stream can ask for it.
        return []

    def held(self, by: str) -> list[Say]:
        # A stream of Twilio's knows no hold: it goes on in silence.
        return []

    def resumed(self, by: str, held_ms: int) -> list[Say]:
        return []

    def hold_failed(self, action: str, code: str, status: int | None, message: str) -> list[Say]:
        return []

    def answered_by(self, told: AnsweredBy | GreetingOver) -> list[Say]:
        # Twilio tells that by HTTP callbacks, never on the stream.
        return []

    def end(self, reason: str, causes: Sequence[EndCause] = ()) -> list[Say]:
        # A stream that never started does not stop: bots take the second message for `start`.
        return [Say(twilio.stop(self._ids), numbered=True)] if self._started else []

    def hear(self, text: str) -> Heard:
        return Ignored("a message that Twilio Media Streams do not have")


class OffhookConversation:
    """offhook.v1: told while the phone rings, and ready when it says so."""

    description = offhook.OFFHOOK
    is_ready_when_connected = False
    values: Mapping[str, str] = {}

    def __init__(self, facts: AgentFacts, format: str, ready_within_ms: int) -> None:
        self._facts = facts
        self._changed: dict[str, str] = {}
        self._ready_within_ms = ready_within_ms
        self._headers = AgentHeaders(facts.agent_headers)
        self.format = format

    def connected(self) -> list[Say]:
        return [Say(offhook.ringing(self._facts, self.format, ready_within_ms=self._ready_within_ms))]

    def begin(self) -> list[Say]:
        return [Say(offhook.start(self.format, self._changed))]

    def rerouted(self, facts: AgentFacts) -> None:
        self._changed = offhook.since_ringing(self._facts, facts)

    def digits_masked(self, state: str) -> list[Say]:
        return [Say(offhook.digits_masked(state))]

    def recording(self, state: str, at_ms: int) -> list[Say]:
        return [Say(offhook.recording(state, at_ms))]

    def transferred(self, result: TransferResult) -> list[Say]:
        return [Say(offhook.transferred(result))]

    def handed_over(self, result: HandOverResult) -> list[Say]:
        return [Say(offhook.handed_over(result))]

    def held(self, by: str) -> list[Say]:
        return [Say(offhook.held(by))]

    def resumed(self, by: str, held_ms: int) -> list[Say]:
        return [Say(offhook.resumed(by, held_ms))]

    def hold_failed(self, action: str, code: str, status: int | None, message: str) -> list[Say]:
        return [Say(offhook.hold_failed(action, code, status, message))]

    def answered_by(self, told: AnsweredBy | GreetingOver) -> list[Say]:
        return [Say(offhook.answered_by(told) if isinstance(told, AnsweredBy) else offhook.greeting_over(told))]

    def end(self, reason: str, causes: Sequence[EndCause] = ()) -> list[Say]:
        return [Say(offhook.end(reason, causes=causes))]

    def hear(self, text: str) -> Heard:
        match offhook.parse(text, offered=self.format):
            case offhook.Ready(audio):
                self.format = audio or self.format
                return Ready()
            case offhook.Reject(status, reason):
                return Rejected(status, reason)
            case offhook.Record(action):
                return RecordAsked(action)
            case offhook.Transfer(target, headers, timeout):
                return TransferWanted(target, headers, timeout)
            case offhook.HandOver(to, note, timeout):
                return HandOverWanted(to, note, timeout)
            case offhook.Hold(wish):
                return AskedToHold(wish)
            case offhook.MaskDigits(on, withhold):
                return DigitsAsked(on, withhold)
            case offhook.Transcript() as line:
                return Transcribed(line)
            case offhook.Headers() as asked:
                try:
                    self._headers.set(asked.headers, asked.place)
                except LocalProtocolError as error:
                    return Ignored(str(error), Say(offhook.error("bad_header", f"headers: {error}")))
                return HeadersWanted(self._headers.outgoing)
            case offhook.HangUp(now, reason, failed):
                return EndNow(reason, failed) if now else EndAfterwards(reason, failed)
            case offhook.Unknown(kind):
                return Ignored(f"a message of the unknown type '{kind}'")
            case offhook.Invalid("ready", _, message):
                # Rust, which takes the format, has answered with an `error` already.
                return Invalid(message)
            case offhook.Invalid(_, code, message):
                return Ignored(message, Say(offhook.error(code, message)))


class WorkerConversation(OffhookConversation):
    """offhook.v1 on a worker's connection: it may pass the call on to another worker before it has taken it."""

    def hear(self, text: str) -> Heard:
        reason = worker.decline(text)
        return super().hear(text) if reason is None else PassedOn(reason)
