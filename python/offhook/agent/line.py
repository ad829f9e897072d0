"""One call as the gateway's connection carries it: what a `Call` says to it, and what it is told."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, Protocol

from offhook.agent.caller import CallerFacts, EndCause
from offhook.agent.events import (
    AnsweredBy,
    BargeIn,
    DigitsMasked,
    GreetingOver,
    HandedOver,
    Held,
    Key,
    Recording,
    RecordingAction,
    Resumed,
    SpeechEnded,
    SpeechStarted,
    Transferred,
    WantsFloor,
)
from offhook.agent.headers import Place
from offhook.agent.history import Line as Said
from offhook.speech.protocol import Spoken


@dataclass(frozen=True, slots=True)
class CallFacts:
    """What is known of a call while it rings. All text may have been written by a stranger.

    `barge_in` is what its route does when the caller speaks over an utterance that says nothing else: a policy, `auto`,
    or empty where an older gateway doesn't say. `early_media` says whether what is said before the call is taken is
    heard at once. A call that the gateway places is `outbound`, and has the `data` that its placer gave along.
    Where another agent had the call before, `history` is what was said, and `handed_over_by` who gave it away (None if
    it was lost), with a `note`.
    """

    call_id: str
    from_number: str = ""
    to_number: str = ""
    display_name: str = ""
    trunk: str = ""
    route: str = ""
    sip_call_id: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)
    answer_within: float = 20.0
    barge_in: str = ""
    caller: CallerFacts = field(default_factory=CallerFacts)
    early_media: bool = False
    direction: Literal["inbound", "outbound"] = "inbound"
    data: Mapping[str, str] = field(default_factory=dict)
    history: tuple[Said, ...] = ()
    handed_over_by: str | None = None
    note: str = ""


@dataclass(frozen=True, slots=True)
class Answered:
    """The call was answered: its sound flows."""


@dataclass(frozen=True, slots=True)
class UtteranceOver:
    """An utterance was played to its end, or cut off (`interrupted`) after `played_ms`, by a hold where `held`."""

    utterance: str
    played_ms: float
    interrupted: bool
    held: bool = False


@dataclass(frozen=True, slots=True)
class HoldRefused:
    """What was asked for can't be had; `code` is `refused`, `no_answer` or `not_answered`."""

    action: Literal["hold", "resume"]
    code: str
    status: int | None
    message: str


@dataclass(frozen=True, slots=True)
class CallOver:
    """The call has ended. `causes` are those that the other side gave, if it ended the call."""

    reason: str
    text: str = ""
    causes: tuple[EndCause, ...] = ()


LineEvent = (
    Answered
    | UtteranceOver
    | WantsFloor
    | Recording
    | DigitsMasked
    | Transferred
    | HandedOver
    | CallOver
    | Key
    | SpeechStarted
    | SpeechEnded
    | Held
    | Resumed
    | HoldRefused
    | AnsweredBy
    | GreetingOver
)
"""What a line tells the call that it carries. Sound comes apart from these."""


class Listener(Protocol):
    """A call, as its line sees it. Nothing here waits."""

    def receive(self, event: LineEvent) -> None:
        """Something happened."""

    def hear(self, pcm: bytes) -> None:
        """The caller's sound: PCM16 at the line's rate, 20 ms at a time."""


class Line(Protocol):
    """One call's side of the connection. Only `send` waits: until the gateway has room for more sound."""

    @property
    def facts(self) -> CallFacts:
        """What was known while it rang."""

    @property
    def rate(self) -> int:
        """Samples a second, in both directions."""

    def answer(self) -> None:
        """Take the call."""

    def reject(self, status: int | None, reason: str) -> None:
        """Don't take it."""

    @property
    def judges_barge_in(self) -> bool:
        """Whether the gateway itself decides when the caller interrupts; if not, the call has to clear."""

    def begin(self, utterance: str, piece: Spoken, barge_in: BargeIn | None) -> None:
        """The sound sent from here on is this piece of this utterance. Pieces of one utterance follow each other."""

    async def send(self, pcm: bytes) -> None:
        """Queue sound to be played."""

    def finish(self, utterance: str) -> None:
        """All of this utterance has been sent: tell when it has been played."""

    def transcript(
        self,
        who: Literal["caller", "agent"],
        line: str,
        text: str,
        *,
        final: bool,
        interrupted: bool = False,
        at_ms: tuple[int, int] | None = None,
    ) -> None:
        """Tell what was said: the whole of this line so far, which replaces what was told of it before.

        `at_ms` is where a caller's line begins and ends, in milliseconds of the call's sound.
        """

    def clear(self) -> None:
        """Drop what has not been played; every open utterance is over, interrupted."""

    def send_dtmf(self, digits: str, duration_ms: int, gap_ms: int) -> None:
        """Press keys towards the caller, after the sound before them."""

    def mask_digits(self, on: bool, *, withhold: bool) -> None:
        """Mask keys, or no longer; `DigitsMasked` answers."""

    def record(self, action: RecordingAction) -> None:
        """Start or stop the recording, pause it or let it go on; `Recording` answers."""

    def transfer(self, target: str, headers: Mapping[str, str], timeout: float | None) -> None:
        """Have the caller transferred; `Transferred` answers. `timeout` is in seconds, None for the trunk's."""

    def hand_over(self, to: str, note: str, timeout: float | None) -> None:
        """Have another agent take the call; `HandedOver` answers. `timeout` is in seconds, None for the route's."""

    def set_headers(self, headers: Mapping[str, str | None], place: Place) -> None:
        """Have headers in the gateway's SIP messages, or no longer (None)."""

    def hold(self, action: Literal["hold", "resume"]) -> None:
        """Hold the caller, or have it back: `Held`, `Resumed` or `HoldRefused` answers."""

    def hang_up(self, reason: str, *, now: bool, failed: bool = False) -> None:
        """End the call: when what is queued has been played, or at once; `failed` if the agent has an error."""

    def give_up(self, reason: str) -> None:
        """The agent failed: the gateway takes the route's fallback."""
