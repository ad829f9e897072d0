"""When a caller has finished: by a clock that is passed."""

import pytest

from offhook.speech.protocol import SpeechStarted, SpeechStopped, Transcript
from offhook.speech.turns import AdaptiveSilence, Turn, TurnStarted, TurnTaking

pytestmark = pytest.mark.unit


class Caller:
    """Says things to a `TurnTaking`, as a listening would tell it: stops 0.2 s late, text 0.1 s after."""

    def __init__(self, detector: AdaptiveSilence | None = None) -> None:
        self.detector = detector or AdaptiveSilence()
        self.turns = TurnTaking(self.detector)
        self.now = 100.0
        self.seen: list[tuple[float, str]] = []

    def says(self, text: str, seconds: float = 1.0) -> None:
        self._event(SpeechStarted(self._ms()))
        self.passes(seconds)
        self.now += 0.2
        self._event(SpeechStopped(self._ms() - 200, 200))
        self.now += 0.1
        self._event(Transcript(text, True, 0, self._ms()))

    def passes(self, seconds: float) -> None:
        until = self.now + seconds
        while (due := self.turns.next_timeout()) is not None and due <= until:
            self.now = max(self.now, due)
            self.turns.handle_timeout(self.now)
            self._note()
        self.now = until

    def pauses(self, silence: float) -> None:
        """So long since the last sound."""
        self.passes(silence - 0.3)

    def _ms(self) -> int:
        return round(self.now * 1000)

    def _event(self, event: SpeechStarted | SpeechStopped | Transcript) -> None:
        self.turns.receive(event, self.now)
        self._note()

    def _note(self) -> None:
        self.seen += [(self.now, turn.text) for turn in self.turns.drain() if isinstance(turn, Turn)]

    @property
    def texts(self) -> list[str]:
        return [text for _, text in self.seen]


def test_half_a_second_of_silence_ends_a_turn() -> None:
    caller = Caller()
    caller.says("I want to book a table.")
    last_sound = caller.now - 0.3
    caller.passes(5)
    assert caller.texts == ["I want to book a table."]
    assert caller.seen[0][0] - last_sound == pytest.approx(0.5, abs=0.001)
    assert caller.turns.next_timeout() is None


def test_a_pause_inside_a_sentence_is_none_of_its_end() -> None:
    caller = Caller()
    caller.says("I want to book a table for")
    caller.pauses(0.8)
    caller.says("two people.")
    caller.passes(5)
    assert caller.texts == ["I want to book a table for two people."]


@pytest.mark.parametrize(
    ("text", "least", "most"),
    [
        ("Yes.", 0.3, 0.45),
        ("Thank you.", 0.3, 0.45),
        ("I would like", 0.9, 1.2),
        ("because, um,", 0.9, 1.2),
        ("It is four one five", 0.8, 1.0),
        ("My number is 415", 0.8, 1.0),
        ("Tell me the time.", 0.45, 0.55),
        ("", 0.45, 0.55),
    ],
)
def test_what_was_said_tells_how_long_to_wait(text: str, least: float, most: float) -> None:
    assert least <= AdaptiveSilence().wait(text, 0.0) <= most
    assert AdaptiveSilence().wait(text, 5.0) == 0.0


def test_a_slow_speaker_is_given_more_time_and_a_quick_one_less_again() -> None:
    caller = Caller()
    for _ in range(4):
        caller.says("There is a house.")
        caller.pauses(0.9)
    caller.seen.clear()
    caller.says("It is in the woods.")
    caller.pauses(0.9)
    caller.says("Nobody lives there.")
    assert caller.texts == []
    slow = caller.detector.usual
    caller.passes(10)
    for _ in range(40):
        caller.says("Quick words.")
        caller.pauses(0.35)
    assert caller.detector.usual < slow - 0.2
    assert 0.35 <= caller.detector.usual <= 1.5


def test_who_interrupts_an_answer_does_not_go_on() -> None:
    caller = Caller()
    caller.says("What time is it?")
    caller.passes(1)
    before = caller.detector.usual
    caller.turns.answered()
    caller.says("Stop that now.")
    assert caller.detector.usual == before


def test_no_turn_ends_before_its_words_are_known() -> None:
    turns = TurnTaking(AdaptiveSilence())
    turns.receive(SpeechStarted(0), 0.0)
    turns.receive(SpeechStopped(1_000, 200), 1.2)
    assert turns.next_timeout() is None
    # The next stretch begins before the words of the first are there.
    turns.receive(SpeechStarted(1_500), 1.6)
    turns.receive(Transcript("first", True, 0, 1_000), 1.7)
    assert turns.next_timeout() is None
    turns.receive(SpeechStopped(2_000, 200), 2.2)
    assert turns.next_timeout() is None
    turns.receive(Transcript("guess", False, 1_500, 2_000), 3.0)
    turns.receive(Transcript("second", True, 1_500, 2_000), 4.0)
    assert turns.drain() == [TurnStarted(0), Turn("first second", 0, 2_000)]


def test_a_cough_is_a_turn_without_words() -> None:
    caller = Caller()
    caller.says("", 0.2)
    caller.passes(2)
    assert caller.texts == [""]
