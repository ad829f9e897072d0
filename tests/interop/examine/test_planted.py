"""Ten bugs and some more, each planted in an agent that is good otherwise: that one is found, and no other."""

import json
import os
from functools import partial

import pytest
from tests.interop.examine.examining import check_of, named, verdict_on
from tests.support import planted
from tests.support.planted import PlantedAgent, listening
from tests.support.undisturbed import undisturbed

from offhook.examine.check import Outcome
from offhook.examine.judge import Verdict
from offhook.examine.page import as_json, lines

pytestmark = pytest.mark.interop

BOTH = ("offhook", "twilio")
EITHER = BOTH if os.environ.get("OFFHOOK_PROVE") == "1" else BOTH[1:]
"""Where a bug is judged by what both dialects have, one of them will do in the small counts."""
TROUBLE = (Outcome.FAULT, Outcome.WARNING)


def verdict_of(kind: type[PlantedAgent], dialect: str, **options: object) -> Verdict:
    return verdict_on(partial(listening, kind(dialect)), **options)


@pytest.mark.parametrize("dialect", BOTH)
@pytest.mark.parametrize("kind", [planted.PlantedAgent, planted.Bursting])
@undisturbed
def test_a_good_agent_has_nothing_to_change(kind: type[PlantedAgent], dialect: str) -> None:
    verdict = verdict_of(kind, dialect)
    assert named(verdict, Outcome.FAULT, Outcome.WARNING, Outcome.NOTE, Outcome.NOT_JUDGED) == {}
    assert verdict.is_good
    assert len(verdict.logs) == 11
    assert check_of(verdict, "marks").figures["told"]
    assert check_of(verdict, "answers").figures["answer_ms"] in range(400, 1500)
    assert all(log.close_code == 1000 for log in verdict.logs if log.hung_up_at is not None)


@pytest.mark.parametrize(
    ("kind", "dialect", "name", "says"),
    [
        *((planted.IgnoresClear, dialect, "interruption", "s") for dialect in EITHER),
        *((planted.WrongRate, dialect, "rate", "s of sound a second") for dialect in EITHER),
        *((planted.BurstsWithoutEnd, dialect, "pace", "without end") for dialect in EITHER),
        *((planted.NoMedia, dialect, "speaks", "not one audio message") for dialect in EITHER),
        *((planted.StartsLate, dialect, "in_time", "5.0 s after the start") for dialect in EITHER),
        *((planted.MarkNever, dialect, "marks", "can never come back") for dialect in EITHER),
        (planted.BadBase64, "twilio", "readable", "not base64"),
        (planted.BadBase64, "offhook", "readable", "not JSON"),
        *((planted.ClosesEarly, dialect, "stays", "it hung up 0.9") for dialect in EITHER),
        (planted.SpeaksBeforeStart, "twilio", "before_start", "(`media`) came before `start`"),
        (planted.SpeaksBeforeStart, "offhook", "before_start", "(`audio`) came before `ready`"),
        *((planted.LeaksACall, dialect, "hang_up", "7 of 7 calls were still open") for dialect in EITHER),
        # Beyond the ten: other ways to the same, and what else goes wrong.
        *((planted.ClearsAndGoesOn, dialect, "interruption", "it went on sending the same") for dialect in EITHER),
        (planted.NeverClears, "twilio", "interruption", "sent no `clear`"),
        *((planted.WrongRateAtOnce, dialect, "rate", "as if made at") for dialect in EITHER),
        (planted.WrongEncoding, "twilio", "rate", "read as pcm16 it is sound"),
        (planted.OnlySilence, "twilio", "speaks", "all of it silence"),
        (planted.WaitsForDroppedMarks, "offhook", "marks", "waits for ever"),
        (planted.BreaksOff, "twilio", "stays", "close code 1011 (KeyError: 'transcript')"),
        *((planted.LeaksSlots, dialect, "again", "call 7 did not come about") for dialect in EITHER),
        (planted.MixesCallsUp, "offhook", "together", "the silent caller heard"),
        (planted.Choppy, "twilio", "pace", "holes of 80 ms"),
    ],
)
@undisturbed
def test_a_bug_is_found_and_nothing_else(kind: type[PlantedAgent], dialect: str, name: str, says: str) -> None:
    verdict = verdict_of(kind, dialect, short_calls=3)
    assert set(named(verdict, *TROUBLE)) == {name}, named(verdict, *TROUBLE)
    check = check_of(verdict, name)
    assert check.outcome is Outcome.FAULT
    assert says in check.found
    assert check.advice
    assert not verdict.is_good


@undisturbed
def test_what_is_no_fault_is_told_as_less() -> None:
    shy = verdict_of(planted.Shy, "twilio")
    assert named(shy, *TROUBLE) == {}
    assert "waits for the caller to speak first" in named(shy, Outcome.NOTE)["in_time"]

    silent = verdict_of(planted.NoMarks, "twilio")
    assert named(silent, *TROUBLE) == {}
    assert "it sends none" in named(silent, Outcome.NOTE)["marks"]

    deaf = verdict_of(planted.Deaf, "twilio")
    assert set(named(deaf, *TROUBLE)) == {"answers"}
    assert deaf.is_good

    on_purpose = verdict_of(planted.IgnoresClear, "twilio", barge_in=False)
    assert named(on_purpose, *TROUBLE) == {}
    assert "in which the caller spoke over it" in named(on_purpose, Outcome.NOTE)["interruption"]

    left_to_us = verdict_of(planted.NeverClears, "offhook")
    assert set(named(left_to_us, *TROUBLE)) == {"interruption"}
    assert left_to_us.is_good


@pytest.mark.parametrize("dialect", BOTH)
@undisturbed
def test_an_agent_that_takes_no_call_is_asked_once(dialect: str) -> None:
    verdict = verdict_of(planted.RejectsAll, dialect)
    assert len(verdict.logs) == 1
    assert set(named(verdict, *TROUBLE)) == {"ready"}
    assert "unknown tenant" in check_of(verdict, "ready").found


@undisturbed
def test_an_agent_may_leave_interruptions_to_the_gateway_by_naming_its_utterances() -> None:
    agent = planted.NamesUtterances("offhook")
    verdict = verdict_on(partial(listening, agent))
    assert named(verdict, *TROUBLE, Outcome.NOTE) == {}
    assert "the gateway cut its utterance off" in check_of(verdict, "interruption").found
    told = agent.interruptions[0]
    assert (told["utterance"], told["by"], told["unheard"]) == ("u1", "caller", [])
    assert 900 < told["played_ms"] < 1300
    assert agent.words.startswith(told["text_heard"])
    assert told["at_ms"] - told["since_ms"] == 500

    deaf = verdict_of(planted.IgnoresInterrupted, "offhook")
    assert set(named(deaf, *TROUBLE)) == {"interruption"}
    assert "it went on sending" in check_of(deaf, "interruption").found
    assert deaf.is_good, "nobody hears it"


@pytest.mark.parametrize("dialect", BOTH)
@undisturbed
def test_nothing_that_an_agent_sends_breaks_the_examination(dialect: str) -> None:
    verdict = verdict_of(planted.Nasty, dialect, short_calls=0)
    assert "readable" in named(verdict, Outcome.FAULT)
    json.dumps(as_json(verdict)).encode("ascii")
    for line in lines(verdict, 80):
        line.plain.encode()


@undisturbed
def test_an_agent_without_end_is_cut_off_at_a_bound() -> None:
    verdict = verdict_of(planted.BurstsWithoutEnd, "twilio", short_calls=0)
    for log in verdict.logs:
        assert log.cut == "flood"
        assert log.audio_seconds < 180, "120 s ahead of real time, and 50 messages of a second each"
        assert log.audio_messages < 180


@undisturbed
def test_more_calls_find_slower_leaks() -> None:
    class Roomy(planted.LeaksSlots):
        room = 20

    assert named(verdict_of(Roomy, "twilio"), Outcome.FAULT) == {}
    verdict = verdict_of(Roomy, "twilio", short_calls=20)
    assert "call 21 did not come about" in named(verdict, Outcome.FAULT)["again"]
