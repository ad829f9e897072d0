"""How long an answer took, whatever order its two ends are told in."""

import pytest

from offhook.talk.turns import Turns

pytestmark = pytest.mark.unit


def test_an_answer_is_counted_from_the_end_of_what_was_said() -> None:
    turns = Turns()
    assert turns.caller(True, 1.0) is None
    assert turns.caller(False, 2.5) is None
    assert turns.agent(3.25) == pytest.approx(0.75)


def test_an_end_that_is_sure_only_after_the_answer_began_counts_the_same() -> None:
    turns = Turns()
    turns.caller(True, 1.0)
    assert turns.agent(2.6) is None
    assert turns.caller(False, 2.5) == pytest.approx(0.1)


def test_a_greeting_is_no_answer_and_neither_is_what_the_agent_says_next() -> None:
    turns = Turns()
    assert turns.agent(1.0) is None
    turns.caller(True, 1.5)
    assert turns.caller(False, 2.0) is None
    assert turns.agent(2.5) == pytest.approx(0.5)
    assert turns.agent(4.0) is None


def test_who_goes_on_speaking_is_waited_for_from_the_last_end() -> None:
    turns = Turns()
    turns.caller(True, 1.0)
    turns.caller(False, 2.0)
    turns.caller(True, 2.4)
    assert turns.agent(2.5) is None
    assert turns.caller(False, 4.0) is None
    assert turns.agent(4.3) == pytest.approx(0.3)


def test_a_sound_minutes_later_is_no_answer() -> None:
    turns = Turns()
    turns.caller(False, 1.0)
    assert turns.agent(200.0) is None
