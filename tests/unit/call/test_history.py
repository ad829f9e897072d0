"""What was said in a call so far."""

from typing import Literal

import pytest

from offhook.call.history import MAX_CHARACTERS, MAX_LINES, History
from offhook.destination.base import AgentTranscript
from offhook.destination.dialect.facts import SaidLine

pytestmark = pytest.mark.unit


def line(
    text: str,
    *,
    who: Literal["caller", "agent"] = "caller",
    id: str = "1",
    final: bool = True,
    interrupted: bool = False,
) -> AgentTranscript:
    return AgentTranscript(who, id, text, final, interrupted)


def test_final_lines_are_kept_and_replaced_under_their_name() -> None:
    history = History()
    for told in (
        line("I want", final=False),
        line("I want my money."),
        line("Well,", who="agent", interrupted=True),
        line("Um.", id="2"),
        line("", id="2"),
        line("I want my money back."),
    ):
        history.told(told)
    assert history.lines == (SaidLine("caller", "I want my money back."), SaidLine("agent", "Well,", True))


def test_another_agent_counts_from_the_start_again() -> None:
    history = History()
    history.told(line("One."))
    history.another_agent()
    history.told(line("Two."))
    assert [said.text for said in history.lines] == ["One.", "Two."]


def test_the_oldest_are_forgotten() -> None:
    history = History()
    for number in range(MAX_LINES + 5):
        history.told(line(f"line {number}", id=str(number)))
    assert len(history.lines) == MAX_LINES
    assert history.lines[0].text == "line 5"
    for number in range(10):
        history.told(line("x" * 4096, id=f"long {number}"))
    assert sum(len(said.text) for said in history.lines) <= MAX_CHARACTERS
    assert len(history.lines) == 4
