"""What a call asks of the place where it goes on, whatever kind that is."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

from offhook.destination.dialect.facts import AgentFacts, EndCause
from offhook.errors import DestinationError
from offhook.ids import CallId
from offhook.media.leg import RtpLeg
from offhook.sip.outgoing import Outgoing


@dataclass(frozen=True, slots=True)
class AgentConnected:
    """The agent's transport is up. `intervals` are milliseconds by step: dns, tcp, tls, upgrade."""

    at: float
    address: str
    intervals: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class AgentAudio:
    """The agent's first audio was received, `at` None means just now. It leaves once the call is answered."""

    at: float | None = None


@dataclass(frozen=True, slots=True)
class CallerAudio:
    """The caller's first audio has gone to the agent."""

    at: float


@dataclass(frozen=True, slots=True)
class AgentHungUp:
    """The agent ended the call in good order. What it said last is still to be played when `drain` is true.

    `failed` says that it did so because something in it went wrong.
    """

    detail: str
    drain: bool = True
    failed: bool = False


@dataclass(frozen=True, slots=True)
class AgentLeaves:
    """The agent wants the call to end once what it has said so far has been played.

    The media core tells when that is (`hang_up_requested`), unless it stands still because nobody can hear it. `failed`
    says that something in the agent went wrong.
    """

    reason: str
    failed: bool = False


@dataclass(frozen=True, slots=True)
class AgentLost:
    """The agent broke off. `error.code` is the slug of the end reason, if the call has no fallback."""

    error: DestinationError


@dataclass(frozen=True, slots=True)
class AgentNote:
    """Something for the timeline: what the agent sent or did, with its fields."""

    what: str
    fields: Mapping[str, object]


RecordingAction = Literal["start", "stop", "pause", "resume"]


@dataclass(frozen=True, slots=True)
class RecordingAsked:
    """The agent wants the recording of the call to start, stop, pause or go on. `recording` answers in any case."""

    action: RecordingAction


HoldAction = Literal["hold", "resume"]

Holder = Literal["caller", "agent"]

HoldFailure = Literal["refused", "no_answer", "not_answered"]
"""Why the caller could not be held: its side said no, said nothing, or the call has not been answered."""


@dataclass(frozen=True, slots=True)
class HoldAsked:
    """The agent wants to hold the caller, or to have it back: `held`, `resumed` or `hold_failed` answers it."""

    action: HoldAction


@dataclass(frozen=True, slots=True)
class HolderPlays:
    """The other one of two joined calls holds this one, and brings music of its own, or does so no longer."""

    on: bool


DigitsState = Literal["shown", "masked", "withheld"]
"""Who may know which keys are pressed: whoever reads of the call, the agent alone, nobody."""


@dataclass(frozen=True, slots=True)
class MaskAsked:
    """The agent wants keys to be masked from now on (or withheld from itself, too), or no longer.

    `digits_masked` answers in any case.
    """

    on: bool
    withhold: bool = False


@dataclass(frozen=True, slots=True)
class AgentTranscript:
    """What caller or agent says, as the agent knows it. A line replaces what was told before under the same `id`.

    `final` lines don't change any more; of the agent's, a final one is what was heard of it, `interrupted` if there was
    more. `start_ms` and `end_ms` are where a caller's line lies in the sound that the agent was sent, if it says so.
    """

    who: Literal["caller", "agent"]
    id: str
    text: str
    final: bool
    interrupted: bool
    start_ms: int | None = None
    end_ms: int | None = None


TransferEnd = Literal["completed", "refused", "busy", "no_answer", "caller_gone", "timed_out"]
"""How a transfer ends."""


TransferWay = Literal["refer", "bridge"]
"""How a call gets to somebody else: the other side takes it there, or the gateway calls and joins the two."""


@dataclass(frozen=True, slots=True)
class TransferAsked:
    """The agent wants the caller transferred to `target`. `transferred` answers in any case.

    `headers` are for the REFER; `timeout` is in seconds, None for the trunk's own. `referred_by` is who has asked by a
    REFER of its own, a name-addr (RFC 3892), for a call of the gateway's to the target.
    """

    target: str
    headers: tuple[tuple[str, str], ...] = ()
    timeout: float | None = None
    referred_by: str | None = None


@dataclass(frozen=True, slots=True)
class TransferResult:
    """What became of a transfer. `status` is the final SIP status, the target's or the refusal's, None if none came.

    `reason` says it in words and `hint` what to change, both may be empty. `confirmed` is false of a transfer that is
    completed by all signs, of which no report came. `way` is `refer` where the other side was asked to do it, `bridge`
    where the gateway called the target itself; `call_id` is that call.
    """

    outcome: TransferEnd
    status: int | None = None
    reason: str = ""
    hint: str = ""
    confirmed: bool = True
    way: TransferWay = "refer"
    call_id: str = ""


HandOverEnd = Literal["handed_over", "not_allowed", "unreachable", "no_capacity", "refused", "timed_out", "caller_gone"]
"""How a hand-over to another agent ends: `refused` stands for every failure that has no word of its own."""


@dataclass(frozen=True, slots=True)
class HandOverAsked:
    """The agent wants another one, by its destination URI, to take the call. `handed_over` answers in any case.

    `note` is for that one; `timeout` is in seconds, None for the route's ringing time.
    """

    to: str
    note: str = ""
    timeout: float | None = None


@dataclass(frozen=True, slots=True)
class HandOverResult:
    """What became of a hand-over. `reason` says it in words and `hint` what to change, both may be empty."""

    outcome: HandOverEnd
    reason: str = ""
    hint: str = ""


@dataclass(frozen=True, slots=True)
class HeadersAsked:
    """What the agent wants in our SIP messages from now on; each header was checked, and the route allows it."""

    outgoing: Outgoing


@dataclass(frozen=True, slots=True)
class OtherCall:
    """Where the call goes on is another call of this gateway, which has been placed, or could not be."""

    call_id: CallId


@dataclass(frozen=True, slots=True)
class OtherCallEnded:
    """That other call was up, and has ended. `reason` is its end reason's slug, `causes` what its other side gave."""

    reason: str
    detail: str
    causes: tuple[EndCause, ...] = ()


Answerer = Literal["human", "machine", "fax", "sit", "busy_tone", "no_one", "silence", "music", "unknown"]
"""Who answered a call out: `sit` is the network's special information tone, `no_one` that it rings on,
`music` that somebody has us wait."""


@dataclass(frozen=True, slots=True)
class AnsweredBy:
    """Who has answered, as sure as `confidence` (0 to 1) says, `after_ms` milliseconds after the answer.

    `evidence` is what tells it, in words. Another may follow: a machine after a person, where the
    pause was none or a beep comes, or somebody who speaks late.
    """

    who: Answerer
    confidence: float
    after_ms: int
    evidence: str


@dataclass(frozen=True, slots=True)
class GreetingOver:
    """A machine takes a message from now on: its beep has ended, or, without `beep`, it has fallen silent."""

    beep: bool
    after_ms: int


@dataclass(frozen=True, slots=True)
class AgentVariables:
    """What the agent's side says in headers of its own, by name: claims, checked to be one line each."""

    values: Mapping[str, str]


DestinationEvent = (
    AgentConnected
    | AgentAudio
    | CallerAudio
    | AgentHungUp
    | AgentLeaves
    | AgentLost
    | AgentNote
    | RecordingAsked
    | MaskAsked
    | AgentTranscript
    | TransferAsked
    | HandOverAsked
    | HeadersAsked
    | HoldAsked
    | HolderPlays
    | OtherCall
    | OtherCallEnded
    | AgentVariables
)
"""What a destination tells the call that it serves, through the listener that it was made with."""

DestinationListener = Callable[["Destination", DestinationEvent], None]
"""Called on the event loop. The first argument lets the call ignore a destination that it has given up."""


class Destination(Protocol):
    """One place where one call goes on. Made for one call and closed with it."""

    @property
    def uri(self) -> str:
        """The destination's URI, without credentials."""

    async def prepare(self, leg: RtpLeg, facts: AgentFacts) -> None:
        """Make ready while the phone rings; returns when the call may be answered.

        Raises `DestinationError`; its code is the slug of the end reason: `agent_unreachable`, `agent_refused`,
        `agent_rejected` and so on. Cancelled when the caller gives up or the ringing budget ends.
        """

    def begin(self) -> None:
        """Join the agent's sound to the leg: once, with the 200 or, when the agent's audio decides, before it."""

    def rerouted(self, facts: AgentFacts) -> None:
        """The call out that it is ready for goes by another trunk, before anybody has answered; these are true now."""

    def await_audio(self) -> None:
        """Let the agent speak, unheard for now: its first sound answers the call, and `begin` plays it from there."""

    def speak_early(self) -> None:
        """Let the agent be heard before the answer; it hears nothing yet. `begin` follows, or `close`."""

    def played(self, mark: str) -> None:
        """The sound that this destination queued with `leg.play(…, mark=mark)` has left."""

    def digits_masked(self, state: DigitsState) -> None:
        """Tell the agent who may know from now on which keys are pressed. The keys themselves never pass here."""

    def recording(self, state: Literal["on", "paused", "off"], at_ms: int) -> None:
        """Tell the agent how the recording of the call stands, and since which millisecond of it."""

    def transferred(self, result: TransferResult) -> None:
        """Answer the oldest transfer that was asked for and has no answer."""

    def handed_over(self, result: HandOverResult) -> None:
        """Answer the hand-over that was asked for; on `handed_over`, `close` follows."""

    def held(self, by: Holder) -> None:
        """Tell the agent that the call is on hold: nobody hears it, and it hears silence."""

    def resumed(self, by: Holder, held_ms: int) -> None:
        """Tell the agent that who held the call does so no longer, and how long that was."""

    def hold_failed(self, action: HoldAction, code: HoldFailure, status: int | None, message: str) -> None:
        """Tell the agent that what it asked for could not be done; `status` is what the caller's side said."""

    def answered_by(self, told: AnsweredBy | GreetingOver) -> None:
        """Tell the agent who has answered its call out, or that the machine takes a message now."""

    def stats(self) -> Mapping[str, int]:
        """The counters of the agent's connection for the record; empty where there is none. Valid after `close` too."""

    def close(self, reason: str, causes: Sequence[EndCause] = ()) -> None:
        """Tell the agent that the call is over and let go. May be repeated.

        `reason` is the slug of the end reason, `causes` are what the other side gave as its own.
        """
