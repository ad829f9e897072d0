"""What is said to an agent beside audio, and heard from it."""

import json

import pytest

from offhook.destination.conversation import (
    AskedToHold,
    EndAfterwards,
    EndNow,
    Ignored,
    Invalid,
    OffhookConversation,
    Ready,
    Rejected,
    Transcribed,
    TwilioConversation,
)
from offhook.destination.dialect.facts import AgentFacts
from offhook.destination.dialect.offhook import Transcript
from offhook.ids import CallId

pytestmark = pytest.mark.unit

FACTS = AgentFacts(CallId("call"), "+14155550199", "+14155550100")


def offhook() -> OffhookConversation:
    return OffhookConversation(FACTS, "pcm16/16000", 20_000)


@pytest.mark.parametrize(
    ("message", "heard"),
    [
        ({"type": "ready"}, Ready()),
        ({"type": "reject"}, Rejected(603, "")),
        ({"type": "reject", "status": 486, "reason": "busy"}, Rejected(486, "busy")),
        ({"type": "hangup"}, EndAfterwards("")),
        ({"type": "hangup", "now": True, "reason": "x"}, EndNow("x")),
        ({"type": "hangup", "failed": True}, EndAfterwards("", failed=True)),
        ({"type": "hangup", "now": True, "failed": True}, EndNow("", failed=True)),
        (
            {"type": "transcript", "who": "agent", "id": "u1", "text": "Hello.", "final": False},
            Transcribed(Transcript("agent", "u1", "Hello.", final=False)),
        ),
        ({"type": "hold"}, AskedToHold("hold")),
        ({"type": "resume"}, AskedToHold("resume")),
        ({"type": "sing"}, Ignored("a message of the unknown type 'sing'")),
    ],
)
def test_what_an_offhook_agent_says(message: dict[str, object], heard: object) -> None:
    assert offhook().hear(json.dumps(message)) == heard


def test_a_ready_that_names_other_audio_changes_what_start_says() -> None:
    talk = offhook()
    assert talk.hear('{"type": "ready", "audio": {"encoding": "pcm16", "rate": 24000}}') == Ready()
    [start] = talk.begin()
    assert json.loads(start.text)["audio"]["rate"] == 24000


def test_a_ready_that_can_not_be_met_ends_and_other_nonsense_is_answered() -> None:
    assert isinstance(offhook().hear('{"type": "ready", "audio": {"rate": 7}}'), Invalid)
    wrong = offhook().hear("{")
    assert isinstance(wrong, Ignored)
    assert wrong.answer is not None
    assert json.loads(wrong.answer.text)["type"] == "error"


def test_twilio_has_no_message_for_python_to_hear() -> None:
    assert isinstance(TwilioConversation(FACTS, "edge").hear('{"event": "x"}'), Ignored)


def test_twilio_names_are_the_same_in_all_its_messages() -> None:
    talk = TwilioConversation(FACTS, "edge")
    start = json.loads(talk.begin()[1].text.replace('"{sequence}"', '"1"'))
    stop = json.loads(talk.end("x")[0].text.replace('"{sequence}"', '"2"'))
    assert start["streamSid"] in talk.values.values()
    assert start["streamSid"] == stop["streamSid"]
