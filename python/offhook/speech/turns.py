"""When a caller has finished: the silence after which a turn is over, and the machine that keeps count.

Pure: events and the time come in, turns come out, and `next_timeout` says when to ask again.
"""

import re
from dataclasses import dataclass

from offhook.speech.protocol import Heard, SpeechStarted, SpeechStopped, Transcript, TurnDetector

# Nobody ends a thought with one of these.
_GOES_ON = re.compile(
    "a|about|also|an|and|are|at|because|but|can|could|do|er|erm|for|from|hm+|i|i'd|i'm|if|in|into|is|it's|its|like|maybe|"
    "my|of|on|or|our|so|than|that|the|their|then|to|uh|uhm|um|until|was|well|when|which|who|with|would|you|your"
)
_DIGITS = re.compile("zero|oh|one|two|three|four|five|six|seven|eight|nine|double|[0-9]+")
# An answer that is whole by itself.
_WHOLE = re.compile(
    "bye|cancel|correct|goodbye|hello|help|hi|no|ok|okay|right|stop|sure|thanks|wrong|yeah|yep|yes|please|thank|you"
)
_LATE = 1.5
"""Seconds after the end of a turn within which more speech says that it was no end."""


class AdaptiveSilence:
    """A `TurnDetector` by silence: half a second, longer where the words want more, and as this caller's pauses ask.

    `usual`, `shortest` and `longest` are seconds. A pause inside a turn that came near the wait, or a turn that went on
    after it was over, makes the wait longer; short pauses make it shorter again, slowly.
    """

    def __init__(self, usual: float = 0.5, *, shortest: float = 0.35, longest: float = 1.5) -> None:
        assert 0 < shortest <= usual <= longest, "shortest <= usual <= longest"
        self.usual = usual
        self.shortest = shortest
        self.longest = longest

    def wait(self, text: str, silence: float) -> float:
        """See `TurnDetector.wait`."""
        return max(0.0, min(self.longest, self.usual * _patience(text)) - silence)

    def went_on(self, text: str, silence: float) -> None:
        """See `TurnDetector.went_on`."""
        # What is unfinished by its words is awaited longer anyhow: it says nothing about the rest.
        wanted = min(self.longest, max(self.shortest, 1.25 * silence / _patience(text)))
        self.usual += (wanted - self.usual) * (0.6 if wanted > self.usual else 0.05)


def _patience(text: str) -> float:
    words = re.findall(r"[\w'’]+", text.lower().replace("’", "'"))
    if not words:
        return 1.0
    if len(words) <= 3 and all(map(_WHOLE.fullmatch, words)):
        return 0.8
    if text.rstrip().endswith((",", "…", "...", "-", "–", "—")) or _GOES_ON.fullmatch(words[-1]):
        return 2.0
    if _DIGITS.fullmatch(words[-1]):
        # Numbers are read out in groups, with a breath between them.
        return 1.8
    return 1.0


@dataclass(frozen=True, slots=True)
class TurnStarted:
    """The caller began to speak. `at_ms` is the time in the sound."""

    at_ms: int


@dataclass(frozen=True, slots=True)
class Turn:
    """The caller has finished. `text` is empty where the sounds were no words: a cough, a door."""

    text: str
    start_ms: int
    end_ms: int


class TurnTaking:
    """Collects what a `Listening` hears into turns. `now` is seconds of a monotonic clock, the same for all methods."""

    def __init__(self, detector: TurnDetector) -> None:
        self._detector = detector
        self._texts: list[str] = []
        self._partial = ""
        self._open = False
        self._speaking = False
        self._awaited = 0
        self._start_ms = 0
        self._end_ms = 0
        self._silent_since = 0.0
        self._last_text = ""
        self._deadline: float | None = None
        self._turns: list[TurnStarted | Turn] = []

    @property
    def text(self) -> str:
        """What was said in this turn so far, with what is not certain yet."""
        return " ".join(filter(None, [*self._texts, self._partial]))

    def receive(self, event: Heard, now: float) -> None:
        """Something was heard."""
        match event:
            case SpeechStarted():
                self._started(event, now)
            case SpeechStopped():
                self._speaking = False
                self._end_ms = event.at_ms
                self._silent_since = now - event.silence_ms / 1000
            case Transcript(final=False):
                self._partial = event.text
            case Transcript():
                self._awaited = max(0, self._awaited - 1)
                self._partial = ""
                if event.text:
                    self._texts.append(event.text)
        self._arm(now)

    def handle_timeout(self, now: float) -> None:
        """The time of `next_timeout` has come."""
        if self._deadline is not None and now >= self._deadline:
            self._arm(now)

    def answered(self) -> None:
        """The answer to the last turn is being heard: who speaks now interrupts it, and doesn't go on."""
        self._last_text = ""

    def next_timeout(self) -> float | None:
        """When to call `handle_timeout`; None while somebody speaks or nobody has."""
        return self._deadline

    def drain(self) -> list[TurnStarted | Turn]:
        """What has happened since the last time."""
        turns, self._turns = self._turns, []
        return turns

    def _started(self, event: SpeechStarted, now: float) -> None:
        silence = now - self._silent_since
        if self._open or (self._last_text and silence <= _LATE):
            self._detector.went_on(self.text or self._last_text, max(0.0, silence))
        if not self._open:
            self._open = True
            self._start_ms = event.at_ms
            self._turns.append(TurnStarted(event.at_ms))
        self._speaking = True
        self._awaited += 1

    def _arm(self, now: float) -> None:
        """End the turn if it is over, or set the time at which to look again."""
        self._deadline = None
        # Until the words are known nobody can say whether they are finished.
        if not self._open or self._speaking or self._awaited:
            return
        left = self._detector.wait(self.text, now - self._silent_since)
        # What rounds to nothing is nothing: a timer that wakes at the same instant again and again ends no turn.
        if left > 1e-4:
            self._deadline = now + left
            return
        self._turns.append(Turn(self.text, self._start_ms, self._end_ms))
        self._last_text = self.text
        self._texts, self._open = [], False
