"""Who has answered a call out, and what the gateway does about it.

The media core hears it (`RtpLeg.detect`). Who was heard as a person is not hung up on: a policy acts on the first
verdict after the answer, and on a machine that follows a person only where that one had not waited yet. A message is
left, too, where a beep came behind words as short as a person's, and nobody has said one since.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeAlias

from offhook._media import MediaEvent
from offhook.call.leg import CallerLeg
from offhook.call.out.detect import Detect
from offhook.destination.base import AnsweredBy, Answerer, GreetingOver

MESSAGE_MARK = "offhook:message"
"""The mark behind a message that is left."""

_LISTENS_FOR_MS = 60_000
_NOBODY: tuple[Answerer, ...] = ("machine", "fax", "sit", "busy_tone")
_SIT = {
    "sit_intercept": "the number is not in service or has changed",
    "sit_vacant": "there is no such number",
    "sit_reorder": "the call could not be completed as it was dialled",
    "sit_no_circuit": "all lines are busy",
}
_TONES = {
    "fax_answer_tone": "the answering tone of a fax or modem",
    "fax_calling_tone": "the calling tone of a fax",
    "busy_tone": "a busy tone",
    "congestion_tone": "a fast busy tone, as networks play for congestion",
    "ringing_tone": "a ringing tone: it rings on",
    "dial_tone": "a dial tone",
}


@dataclass(frozen=True, slots=True)
class HangUpOnIt:
    """Nobody is there: end the call, with these words."""

    why: str


@dataclass(frozen=True, slots=True)
class TakeFloor:
    """A machine greets: the agent is to be silent; with `alone` the message is the gateway's, and the agent may go."""

    alone: bool


@dataclass(frozen=True, slots=True)
class LeaveMessage:
    """The greeting is over: play this."""

    pcm16: bytes
    rate: int


Action: TypeAlias = HangUpOnIt | TakeFloor | LeaveMessage


class WhoAnswered:
    """What is known of who has answered one call. `tell` passes it on to the agent, `note` to the timeline."""

    __slots__ = ("_before", "_early", "_leaves", "_leg", "_note", "_tell", "detect", "verdict")

    def __init__(
        self,
        detect: Detect | None,
        leg: CallerLeg,
        tell: Callable[[AnsweredBy | GreetingOver], None],
        note: Callable[[str], None],
    ) -> None:
        self.detect = detect
        """What was asked for; None if nothing was. Until the answer it may change with the trunk."""
        self._leg, self._tell, self._note = leg, tell, note
        self._early = True
        self._leaves = False
        self._before: set[Answerer] = set()
        self.verdict: AnsweredBy | None = None
        """What was told last; None if nothing was, or nobody asked."""

    def listen(self, *, early: bool) -> None:
        """Listen from now on: before the answer, where that is heard, or after it."""
        self._early = early
        if self.detect is not None:
            self._leg.rtp.detect("early" if early else "answered", _LISTENS_FOR_MS)

    def hear(self, event: MediaEvent) -> Action | None:
        """Take `answered_by` and `greeting_over`; what the call is to do, if anything."""
        if self.detect is None:
            return None
        if event.kind == "greeting_over":
            return self._greeting_over(event, self.detect)
        verdict = _verdict(event)
        self.verdict = verdict
        sure = f"{round(100 * verdict.confidence)} % sure, {verdict.after_ms / 1000:.1f} s"
        if self._early:
            self._note(f"before the answer: {verdict.evidence} ({sure})")
            return None
        self._note(f"answered by {_WORDS[verdict.who]}: {verdict.evidence} ({sure} after the answer)")
        self._tell(verdict)
        policy = self.detect.on_machine
        acts = (
            not self._before & {"human", *_NOBODY}
            or event.corrects == "hasty"
            or (event.corrects == "beep" and policy == "voicemail")
        )
        self._before.add(verdict.who)
        if verdict.who not in _NOBODY or not acts or policy == "tell":
            return None
        if policy == "hang_up" or verdict.who != "machine":
            return HangUpOnIt(f"answered by {_WORDS[verdict.who]}: {verdict.evidence}")
        self._leaves = True
        return TakeFloor(alone=self.detect.message is not None)

    def _greeting_over(self, event: MediaEvent, detect: Detect) -> Action | None:
        beep = event.tone
        at = (event.position_ms or 0) / 1000
        what = f"after a beep of {beep[0]} Hz, {beep[2]} ms" if beep is not None else "without a beep, by silence"
        self._note(f"the machine takes a message from now on, {what} ({at:.1f} s after the answer)")
        self._tell(GreetingOver(beep is not None, event.position_ms or 0))
        if self._leaves and detect.message is not None:
            return LeaveMessage(*detect.message)
        return None

    @property
    def hint(self) -> str:
        """What the network said before the answer, for the detail of a call that was not answered."""
        verdict = self.verdict
        heard = verdict is not None and verdict.who in ("sit", "busy_tone", "fax") and self._early
        return f"; heard before: {verdict.evidence}" if verdict is not None and heard else ""

    def summary(self) -> dict[str, Any]:
        """For the record; empty where nobody asked."""
        if self.detect is None:
            return {}
        verdict = self.verdict
        if verdict is None or self._early:
            return {
                "who": "unknown",
                "evidence": "nothing was heard that tells it",
                "on_machine": self.detect.on_machine,
            }
        return {
            "who": verdict.who,
            "confidence": verdict.confidence,
            "after_ms": verdict.after_ms,
            "evidence": verdict.evidence,
            "on_machine": self.detect.on_machine,
        }


_WORDS: dict[Answerer, str] = {
    "human": "a person",
    "machine": "a machine",
    "fax": "a fax or modem",
    "sit": "the network, which says that the call can't be completed",
    "busy_tone": "a busy tone",
    "no_one": "nobody so far",
    "silence": "nobody who speaks",
    "music": "music",
    "unknown": "nobody knows whom",
}


def _verdict(event: MediaEvent) -> AnsweredBy:
    who: Answerer = next((known for known in _WORDS if known == event.who), "unknown")
    return AnsweredBy(who, event.confidence or 0.0, event.position_ms or 0, _evidence(event))


def _evidence(event: MediaEvent) -> str:
    """What tells it, in words."""
    code = event.code or ""
    tone = event.tone
    spoke, pause = (event.speech_ms or 0) / 1000, (event.pause_ms or 0) / 1000
    if code in _SIT or code == "sit":
        means = _SIT.get(code)
        return f"special information tones: {means}" if means else "special information tones"
    if code in _TONES and tone is not None:
        hertz = f"{tone[0]} and {tone[1]} Hz" if tone[1] else f"{tone[0]} Hz"
        return f"{_TONES[code]} ({hertz})"
    match code:
        case "short_then_silence":
            return f"{spoke:.1f} s of speech, then {pause:.1f} s of silence"
        case "long_speech":
            return f"speech that goes on for {spoke:.1f} s"
        case "beep" if tone is not None:
            after = f" after {spoke:.1f} s of speech" if spoke else ""
            return f"a beep of {tone[0]} Hz, {tone[2]} ms{after}"
        case "music":
            return "music: somebody or something has us wait"
        case "announcement":
            return "an announcement before the answer"
        case "steady_sound":
            return "sound without the rhythm of speech"
        case _:
            return f"{pause:.1f} s of silence"
