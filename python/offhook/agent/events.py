"""What happens in a call, as `call.events()` tells it, and the values that its methods give."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

BargeIn = Literal["off", "clear", "duck-then-decide", "agent"]
"""What happens when the caller speaks over the agent.

`off`: nothing. `clear`: the agent falls silent at once. `duck-then-decide`: its voice is lowered at once, and it falls
silent if the caller goes on. `agent`: it is told (`WantsFloor`), and decides.
"""


@dataclass(frozen=True, slots=True)
class Said:
    """What became of an utterance.

    `heard` are the words that were played before it ended, `interrupted` whether it was cut off (by the caller, by
    `call.clear()`, or as the call is on hold: then it is `held`, too), and `played_ms` how long it sounded.
    """

    heard: str
    interrupted: bool
    played_ms: int
    held: bool = False


@dataclass(frozen=True, slots=True)
class Turn:
    """What the caller said until it was the agent's turn.

    `text` is the transcript. `started_at` and `ended_at` are seconds since the call was answered. `dtmf` are the keys
    that were pressed since the last turn. `interrupted` is the utterance that the caller cut off with it, if any.
    """

    text: str
    started_at: float = 0.0
    ended_at: float = 0.0
    dtmf: str = ""
    interrupted: Said | None = None


@dataclass(frozen=True, slots=True)
class Digits:
    """What `collect_digits` came to: the digits without the terminator, and why it ended.

    `reason` is `complete` (as many as were asked for), `terminator`, `timeout` or `ended` (the call is over). It is
    true where there is at least one digit.
    """

    digits: str
    reason: Literal["complete", "terminator", "timeout", "ended"]
    by_voice: bool = False

    def __bool__(self) -> bool:
        return bool(self.digits)

    def __str__(self) -> str:
        return self.digits


@dataclass(frozen=True, slots=True)
class Key:
    """The caller pressed a key: one of `0-9 * # A-D`, held for `duration_ms`; `?` where it is withheld."""

    digit: str
    duration_ms: int
    at_ms: int


@dataclass(frozen=True, slots=True)
class SpeechStarted:
    """The caller speaks since `since_ms` of the call; `at_ms` is when that was certain."""

    since_ms: int
    at_ms: int


@dataclass(frozen=True, slots=True)
class SpeechEnded:
    """The caller is silent since `since_ms` of the call; `at_ms` is when that was certain."""

    since_ms: int
    at_ms: int


@dataclass(frozen=True, slots=True)
class WantsFloor:
    """The caller speaks over an utterance with `barge_in="agent"`, since `since_ms` of the call."""

    since_ms: int
    at_ms: int


RecordingAction = Literal["start", "stop", "pause", "resume"]
"""What an agent may ask of the recording; to start and stop it only where the route leaves that to the agent."""

RecordingState = Literal["on", "paused", "off"]
"""How the recording of a call stands; `off` where it is not recorded."""


@dataclass(frozen=True, slots=True)
class Recording:
    """The recording of the call is in this state now."""

    state: RecordingState


TransferEnd = Literal["completed", "refused", "busy", "no_answer", "caller_gone", "timed_out"]
"""How a transfer ends: `refused` stands for every failure that has no word of its own."""


TransferWay = Literal["refer", "bridge"]
"""How a caller gets to somebody else: the other side takes it there, or the gateway calls and joins the two."""


@dataclass(frozen=True, slots=True)
class Transferred:
    """What became of a transfer.

    `outcome` is `completed`, `refused`, `busy`, `no_answer`, `caller_gone` or `timed_out`; `status` the final SIP
    status (the target's, or that of the refusal), None if none came. `reason` says it in words and `hint` what to
    change; both may be empty. Of a transfer that is completed but not `confirmed`, the other side took the caller over
    without telling how it went. `way` is `refer` where the other side was asked to do it, `bridge` where the gateway
    called the target itself and has joined it to the caller.
    """

    outcome: TransferEnd
    status: int | None = None
    reason: str = ""
    hint: str = ""
    confirmed: bool = True
    way: TransferWay = "refer"

    @property
    def completed(self) -> bool:
        """Whether the caller is with somebody else now; if not, and unless gone, the caller is back with the agent."""
        return self.outcome == "completed"


HandOverEnd = Literal["handed_over", "not_allowed", "unreachable", "no_capacity", "refused", "timed_out", "caller_gone"]
"""How a hand-over to another agent ends: `refused` stands for every failure that has no word of its own."""


@dataclass(frozen=True, slots=True)
class HandedOver:
    """What became of a hand-over to another agent.

    `outcome` is `handed_over`, `not_allowed` (the route doesn't list it), `unreachable`, `no_capacity`, `refused` (the
    other agent said no), `timed_out` or `caller_gone`. `reason` says it in words and `hint` what to change; both may be
    empty.
    """

    outcome: HandOverEnd
    reason: str = ""
    hint: str = ""

    @property
    def completed(self) -> bool:
        """Whether the other agent has the call now; if not, and unless the caller is gone, this one still has it."""
        return self.outcome == "handed_over"


DigitsState = Literal["shown", "masked", "withheld"]
"""Who may know which keys are pressed: whoever reads of the call, the agent alone, nobody."""


@dataclass(frozen=True, slots=True)
class DigitsMasked:
    """Who may know from now on which keys are pressed."""

    state: DigitsState


@dataclass(frozen=True, slots=True)
class Held:
    """The call is on hold: the `caller` has put the agent on hold, or the `agent` the caller."""

    by: Literal["caller", "agent"]


@dataclass(frozen=True, slots=True)
class Resumed:
    """Who held the call does so no longer, after `held_ms`."""

    by: Literal["caller", "agent"]
    held_ms: int


Answerer = Literal["human", "machine", "fax", "sit", "busy_tone", "no_one", "silence", "music", "unknown"]
"""Who answered a call out: `sit` is the network's special information tone, `no_one` that it rings on,
`music` that somebody has us wait."""

_ANSWERERS: tuple[Answerer, ...] = (
    "human", "machine", "fax", "sit", "busy_tone", "no_one", "silence", "music",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class AnsweredBy:
    """Who has answered a call out, `after_ms` milliseconds after the answer; `confidence` is 0 to 1.

    `evidence` is what tells it, in words. Another may follow: a machine, by its beep, or somebody who speaks late.
    """

    who: Answerer
    confidence: float
    after_ms: int
    evidence: str

    @property
    def is_machine(self) -> bool:
        """Whether it is no person: a machine, a fax, or a tone of the network."""
        return self.who in ("machine", "fax", "sit", "busy_tone")


@dataclass(frozen=True, slots=True)
class GreetingOver:
    """A machine takes a message from now on: its beep has ended, or, without `beep`, it has fallen silent."""

    beep: bool
    after_ms: int


def answered_by(told: Mapping[str, Any]) -> AnsweredBy:
    """What the gateway tells; what is not known of it is `unknown`."""
    who: Answerer = next((known for known in _ANSWERERS if known == told.get("who")), "unknown")
    confidence, after_ms = told.get("confidence"), told.get("after_ms")
    return AnsweredBy(
        who,
        float(confidence) if isinstance(confidence, (int, float)) else 0.0,
        int(after_ms) if isinstance(after_ms, (int, float)) else 0,
        str(told.get("evidence") or ""),
    )


@dataclass(frozen=True, slots=True)
class Interrupted:
    """An utterance of the agent was cut off after `played_ms`; `heard` are its words until then."""

    heard: str
    played_ms: int


@dataclass(frozen=True, slots=True)
class Heard:
    """Words of the caller. A transcript that is not `final` is replaced by the next one."""

    text: str
    final: bool


CallEvent = (
    Key
    | SpeechStarted
    | SpeechEnded
    | WantsFloor
    | Recording
    | Transferred
    | HandedOver
    | Interrupted
    | Heard
    | Turn
    | Said
    | Held
    | Resumed
    | AnsweredBy
    | GreetingOver
)
"""What `call.events()` tells."""
