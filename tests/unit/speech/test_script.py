"""What had been heard when the sound was cut off."""

import pytest

from offhook.speech.protocol import Spoken, Word
from offhook.speech.script import Script, shares, words_of, words_within

pytestmark = pytest.mark.unit


def spoken(ms: int, text: str, *words: Word) -> Spoken:
    return Spoken(bytes(ms * 16), 8_000, text, words)


def test_nothing_is_heard_of_nothing() -> None:
    assert (Script().heard(1_000), Script().text, Script().duration_ms) == ("", "", 0.0)


def test_whole_sentences_are_heard_whole_and_the_last_by_its_words() -> None:
    script = Script()
    script.add(spoken(1_000, "One two."))
    script.add(spoken(2_000, "A long sentence follows, here."))
    assert script.heard(0) == ""
    assert script.heard(1_000) == "One two."
    assert script.heard(5_000) == script.text == "One two. A long sentence follows, here."
    assert script.heard(2_000) in {"One two. A long", "One two. A long sentence"}


def test_known_times_count_more_than_guesses_and_half_a_word_is_heard() -> None:
    script = Script()
    script.add(spoken(1_000, "late words", Word("late", 700, 800), Word("words", 800, 1_000)))
    assert script.heard(700) == ""
    assert script.heard(750) == "late"
    assert script.heard(950) == "late words"


def test_a_piece_without_text_goes_on_with_its_sentence() -> None:
    script = Script()
    script.add(spoken(400, "one two three four"))
    for _ in range(4):
        script.add(spoken(400, ""))
    assert script.duration_ms == 2_000
    assert script.heard(1_000).split() == ["one", "two"]


def test_more_time_is_never_fewer_words() -> None:
    script = Script()
    script.add(spoken(3_300, "Call 415-555-0100 now, or the USA; strengths — idea!"))
    heard = [len(script.heard(ms).split()) for ms in range(0, 3_400, 50)]
    assert heard == sorted(heard)
    assert heard[-1] == 9


def test_digits_and_capitals_take_the_time_of_their_names() -> None:
    number, word = words_of("4155550100 please", 3_000)
    assert number.end_ms > 5 * (word.end_ms - word.start_ms)
    assert words_of("", 1_000) == words_of("!? …", 1_000) == ()


def test_a_written_word_lasts_as_long_as_the_words_that_it_is_spoken_as() -> None:
    times = [(20.0, 90.4), (110.0, 200.0), (210.0, 300.0), (350.0, 400.0)]
    assert words_within(["at", "12:30", "—", "then"], [1, 2, 0, 1], times) == (
        Word("at", 20, 90), Word("12:30", 110, 300), Word("—", 300, 300), Word("then", 350, 400),
    )  # fmt: skip
    assert words_within(["—"], [0], []) == (Word("—", 0, 0),)


def test_spoken_words_are_shared_by_syllables_where_nothing_else_tells() -> None:
    assert shares(["call", "4155550100", "now"], 12) == [1, 10, 1]
    assert shares(["one", "two", "three"], 3) == [1, 1, 1]
    assert sum(shares(["a", "b", "—", "c"], 7)) == 7
    assert shares(["—", "!"], 1) == [0, 1]
    assert shares([], 3) == []
