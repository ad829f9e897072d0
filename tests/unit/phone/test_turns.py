"""When the phone speaks again: never over a far end that still speaks, and never before it could answer."""

import pytest

from offhook.phone.turns import PATIENCE_SECONDS, QUIET_SECONDS, Turns

pytestmark = pytest.mark.unit


def test_an_answer_is_heard_to_its_end() -> None:
    turns = Turns()
    turns.said(10.0)
    assert turns.due() == 10.0 + PATIENCE_SECONDS
    for at in (13.0, 13.02, 16.5):
        turns.heard(at)
    assert turns.due() == 16.5 + QUIET_SECONDS


def test_a_far_end_that_says_nothing_is_asked_again() -> None:
    turns = Turns()
    turns.said(10.0)
    assert turns.due() == 10.0 + PATIENCE_SECONDS
    turns.said(24.0)
    assert turns.due() == 24.0 + PATIENCE_SECONDS


def test_a_greeting_that_we_spoke_into_is_no_answer() -> None:
    turns = Turns()
    turns.heard(6.0)
    turns.said(10.0)
    assert turns.due() == 10.0 + PATIENCE_SECONDS


@pytest.mark.parametrize("heard_at", [9.8, 10.0, 10.02], ids=["talks over us", "as we end", "an echo"])
def test_who_speaks_as_we_end_is_waited_for(heard_at: float) -> None:
    turns = Turns()
    turns.heard(heard_at)
    turns.said(10.0)
    assert turns.due() == max(heard_at, 10.0) + QUIET_SECONDS


def test_frames_may_come_out_of_order() -> None:
    turns = Turns()
    turns.said(10.0)
    turns.heard(12.0)
    turns.heard(11.0)
    assert turns.due() == 12.0 + QUIET_SECONDS
