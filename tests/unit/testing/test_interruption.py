"""By how many words an agent is wrong about what its caller has heard, and what it was told of that."""

import json
from typing import Any

import pytest

from offhook.agent.protocol import Kind, Record
from offhook.speech.protocol import Spoken
from offhook.testing import Interruption
from offhook.testing.interruption import words_off
from offhook.testing.overheard import OverheardLine

pytestmark = pytest.mark.unit


@pytest.mark.parametrize(
    ("heard", "before", "claimed", "off"),
    [
        ("Once upon a", "", "Once upon a", 0),
        ("Once upon a", "Hello.", "once, upon a", 0),
        ("Once upon a", "", "Once upon a time", 1),
        ("Once upon a", "", "Once upon", 1),
        ("Once upon a", "", "Once upon a time there was a gateway.", 5),
        ("Once upon a", "", "", 3),
        ("Once upon a", "", "It never complained", 3),
        ("Very well. At what", "A table for two. Very well.", "At what", 0),
        ("Very well. At what", "A table for two. Very well.", "At what time would", 2),
        ("Very well.", "A table for two. Very well.", "", 0),
        ("Very well.", "A table for two. Very well.", "At what time", 3),
        ("upon a time", "", "Once upon a time", 0),
        ("", "Hello.", "", 0),
        ("", "Hello.", "Once upon", 2),
        ("It's here", "", "its here", 0),
    ],
)
def test_how_many_words_a_claim_is_wrong_by(heard: str, before: str, claimed: str, off: int) -> None:
    assert words_off(heard, before, claimed) == off


class Call:
    """An agent's end of a call, spoken to by hand."""

    def __init__(self) -> None:
        self.written: list[bytes] = []
        ringing = {"type": "ringing", "call_id": "c", "barge_in": "auto"}
        self.line = OverheardLine(1, ringing, 8_000, self.written.append)

    def says(self, utterance: str, text: str, *, remembers: str, interrupted: bool = False) -> None:
        self.line.begin(utterance, Spoken(b"", 8_000, text), None)
        self.line.transcript("agent", utterance, text, final=False)
        self.line.transcript("agent", utterance, remembers, final=True, interrupted=interrupted)

    def is_told(self, **message: Any) -> None:
        said = json.dumps({"type": "interrupted", "by": "caller", "played_ms": 900} | message)
        self.line.receive(Record(Kind.CONTROL, 1, 0, said.encode()))


def test_what_the_agent_is_told_and_what_it_remembers_are_both_compared() -> None:
    for told, remembered, off in (
        ("Once upon", "Once upon", 0),
        ("Once upon a time.", "Once upon", 2),
        ("Once upon", "Once upon a time.", 2),
        ("Once upon", "", 2),
    ):
        call = Call()
        call.says("u1", "Hello.", remembers="Hello.")
        call.line.attend()
        call.is_told(utterance="u2", text_heard=told)
        call.says("u2", "Once upon a time.", remembers=remembered, interrupted=True)
        assert call.line.interruption("Once upon", 400) == Interruption("Once upon", 400, told, remembered, off)
        assert call.written, "it is a line as any other"


def test_what_is_cut_off_first_counts_and_nothing_from_before() -> None:
    call = Call()
    call.is_told(utterance="u1", text_heard="Hel")
    call.says("u1", "Hello.", remembers="", interrupted=True)
    call.line.attend()
    call.is_told(utterance="u2", text_heard="Once")
    call.says("u2", "Once upon a time.", remembers="Once", interrupted=True)
    call.is_told(utterance="u3", text_heard="You")
    call.says("u3", "You said: wait.", remembers="You", interrupted=True)
    assert call.line.interruption("Once", 400) == Interruption("Once", 400, "Once", "Once", 0)


def test_an_interruption_that_the_gateway_does_not_tell_of_is_words_off() -> None:
    call = Call()
    call.line.attend()
    call.says("u1", "Once upon a time.", remembers="Once upon", interrupted=True)
    assert call.line.interruption("Once upon", 400) == Interruption("Once upon", 400, "", "Once upon", 2)


def test_what_is_not_cut_off_is_remembered_whole() -> None:
    call = Call()
    call.line.attend()
    call.says("u1", "Once upon a time.", remembers="Once upon a time.")
    whole = "Once upon a time."
    assert call.line.interruption(whole, 4_000) == Interruption(whole, 4_000, "", whole, 0)
    assert Call().line.interruption("", 4_000) == Interruption("", 4_000)
