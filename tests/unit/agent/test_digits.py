"""Digits from words, and when there are enough of them."""

import pytest
from tests.support.clock import Clock

from offhook.agent.digits import DigitCollector, spoken_digits
from offhook.agent.events import Digits

pytestmark = pytest.mark.unit


@pytest.mark.parametrize(
    ("said", "digits"),
    [
        ("Four, two, one.", "421"),
        ("It's 415-555, please.", "415555"),
        ("double five oh triple nine", "550999"),
        ("forty-two", "42"),
        ("twenty", "20"),
        ("twenty twenty five", "2025"),
        ("fifteen ninety", "1590"),
        ("one two star", "12*"),
        ("seven pound", "7#"),
        ("two to four for six", "22446"),
        ("I want to go for a walk", ""),
        ("", ""),
        ("O'Hare", ""),
    ],
)
def test_digits_in_what_was_said(said: str, digits: str) -> None:
    assert spoken_digits(said) == digits


def collector(count: int = 4, *, by_voice: bool = False) -> DigitCollector:
    return DigitCollector(count, terminators="#*", first_timeout=8.0, next_timeout=4.0, by_voice=by_voice)


def test_it_is_complete_with_the_last_digit_and_takes_no_more() -> None:
    digits = collector(2)
    digits.begin(0.0)
    for digit in "123":
        digits.receive(digit, 1.0)
    assert digits.result == Digits("12", "complete")
    assert digits.next_timeout() is None


def test_a_terminator_ends_it_and_is_no_digit() -> None:
    digits = collector()
    digits.receive("1", 0.0)
    digits.receive("*", 1.0)
    assert digits.result == Digits("1", "terminator")


def test_the_first_digit_has_more_time_than_the_next_ones_and_none_passes_in_the_prompt() -> None:
    clock, digits = Clock(), collector()
    assert digits.next_timeout() is None
    digits.begin(clock.now)
    clock.run(digits, 7.9)
    assert digits.result is None
    digits.receive("1", clock.now)
    clock.run(digits, 11.8)
    assert digits.result is None
    clock.run(digits, 12.0)
    assert digits.result == Digits("1", "timeout")


def test_speaking_is_no_pause_and_words_count_only_where_they_are_asked_for() -> None:
    clock, digits = Clock(), collector(by_voice=True)
    digits.begin(clock.now)
    clock.run(digits, 7.0)
    digits.spoke(clock.now)
    clock.run(digits, 10.5)
    digits.hear("it is four two", clock.now)
    assert digits.result is None
    clock.run(digits, 20.0)
    assert digits.result == Digits("42", "timeout", by_voice=True)
    keys = collector()
    keys.hear("four two", 0.0)
    keys.call_ended()
    assert keys.result == Digits("", "ended")
    assert not keys.result
