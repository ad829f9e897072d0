"""The table of a call's states."""

from pathlib import Path

import pytest

from offhook.call.state import TRANSITIONS, CallInput, CallState, picture

pytestmark = pytest.mark.unit

ARCHITECTURE = Path(__file__).parents[3] / "ARCHITECTURE.md"


def test_every_state_is_reached_and_every_one_ends() -> None:
    assert set(TRANSITIONS.values()) == set(CallState) - {CallState.ARRIVED}
    for state in set(CallState) - {CallState.ENDED}:
        assert TRANSITIONS[state, CallInput.END] is CallState.ENDED
    assert not any(state is CallState.ENDED for state, _ in TRANSITIONS)


def test_an_answered_call_never_rings_again() -> None:
    seen, ahead = set(), [CallState.ANSWERED]
    while ahead:
        state = ahead.pop()
        if state not in seen:
            seen.add(state)
            ahead += [after for (before, _), after in TRANSITIONS.items() if before is state]
    assert seen == {CallState.ANSWERED, CallState.DRAINING, CallState.ENDED}


def test_the_picture_shows_every_transition_and_is_current() -> None:
    drawn = picture()
    for state in CallState:
        assert state.value in drawn
    for (before, what), after in TRANSITIONS.items():
        if what is not CallInput.END:
            assert any(
                before.value in line and what.value in line and after.value in line for line in drawn.splitlines()
            ), f"{before.value} {what.value}"
    assert drawn in ARCHITECTURE.read_text(encoding="utf-8"), "run: make docs"
