"""offhook.v1: what the gateway says fits the published schema, and what an agent says is read strictly."""

import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from offhook.destination.base import HandOverEnd, HandOverResult, TransferResult
from offhook.destination.dialect import offhook
from offhook.destination.dialect.facts import (
    AgentFacts,
    CallerIdentity,
    Diversion,
    EndCause,
    HandedOver,
    IdentityClaim,
    SaidLine,
    UserData,
)
from offhook.destination.dialect.offhook import (
    HandOver,
    HangUp,
    Headers,
    Hold,
    Invalid,
    MaskDigits,
    Ready,
    Record,
    Reject,
    Transcript,
    Transfer,
    Unknown,
)
from offhook.ids import CallId

pytestmark = pytest.mark.unit

DOCS = Path(__file__).parents[4] / "docs" / "reference"
SCHEMA = json.loads((DOCS / "offhook-protocol.schema.json").read_text())
PAGE = (DOCS / "offhook-protocol.md").read_text()


def validator(side: str) -> Draft202012Validator:
    return Draft202012Validator({**SCHEMA, "anyOf": [{"$ref": f"#/$defs/{side}"}]})


GATEWAY = validator("gateway")
AGENT = validator("agent")

FACTS = AgentFacts(
    call_id=CallId("01abc"),
    from_number="+14155550100",
    to_number="+14155550123",
    trunk="acme",
    route="sales",
    display_name='Ann "A." Caller',
    sip_call_id="a84b4c76e66710@pc33.example",
    headers={"X-Queue": "sales", "X-Raw": b"\xff\xfe".decode("utf-8", "surrogateescape")},
    identity=CallerIdentity("asserted", True, False, ("none",), (IdentityClaim("From", "+1", "\udcff"),)),
    diversions=(Diversion("", "", "user-busy", 2, "Diversion"),),
    user_to_user=(UserData("00ff", None), UserData("6869", "hi", "isdn-uui", "isdn-uui")),
    session_id="0" * 32,
    agent_headers=("X-*",),
)


def rendered(template: Any, values: dict[str, Any]) -> Any:
    """A template of the description filled in, as Rust does it."""
    match template:
        case {"$": name}:
            return values[name]
        case dict():
            return {key: rendered(value, values) for key, value in template.items()}
        case str():
            return re.sub(r"\{(\w+)\}", lambda gap: str(values[gap[1]]), template)
        case _:
            return template


FILLING = {
    "name": "greeting",
    "digit": "#",
    "duration_ms": 120,
    "since_ms": 3800,
    "timestamp_ms": 4000,
    "played_ms": 1250,
    "dropped_ms": 480,
    "marks": ["greeting", ""],
    "utterance": "u7",
    "text": "Hello, how",
    "by": "caller",
    "unheard": ["u8"],
    "code": "bad_digits",
    "message": "digits are 0-9 * # A-D, 1 to 64 of them",
}


@pytest.mark.parametrize(
    "message",
    [
        offhook.ringing(FACTS, "pcm16/16000", ready_within_ms=20_000),
        offhook.ringing(AgentFacts(CallId("x"), "", ""), "pcmu/8000", ready_within_ms=0),
        *(offhook.start(name) for name in offhook.FORMATS),
        offhook.end("caller_hung_up", "The caller hung up."),
        offhook.end("caller_hung_up", causes=(EndCause("Q.850", 16, "x\udcff"), EndCause("SIP", None))),
        offhook.error("bad_status", "no"),
        *(offhook.digits_masked(state) for state in ("shown", "masked", "withheld")),
        *(offhook.recording(state, 1250) for state in ("on", "paused", "off")),
        *(offhook.held(by) for by in ("caller", "agent")),
        *(offhook.resumed(by, 30_000) for by in ("caller", "agent")),
        offhook.hold_failed("hold", "refused", 488, "the caller's side said 488 Not Acceptable Here"),
        offhook.hold_failed("resume", "no_answer", None, "the caller's side said nothing"),
        *(json.dumps(rendered(template, FILLING)) for template in offhook.OFFHOOK.send.values()),
    ],
)
def test_what_the_gateway_says_fits_the_schema(message: str) -> None:
    GATEWAY.validate(json.loads(message))
    message.encode("utf-8")


def test_the_schema_is_a_schema_and_strict_where_it_counts() -> None:
    Draft202012Validator.check_schema(SCHEMA)
    for wrong in (
        {"type": "start", "audio": {"encoding": "pcmu", "rate": 16000, "frame_ms": 20}},
        {"type": "dtmf", "digit": "12", "duration_ms": 1, "at_ms": 0},
        {"type": "speech_ended", "since_ms": -20, "at_ms": 0},
        {"type": "cleared", "played_ms": -1, "dropped_ms": 0, "marks": []},
        {"type": "recording", "state": "stopped", "at_ms": 0},
        {"type": "held", "by": "nobody"},
        {"type": "resumed", "by": "caller"},
        {"type": "digits_masked", "state": "on"},
    ):
        assert not GATEWAY.is_valid(wrong)
    AGENT.validate({"type": "utterance", "id": "u7", "text": "One two.", "word_ends_ms": [200, 450], "barge_in": "off"})
    AGENT.validate({"type": "utterance_end"})
    for result in (
        TransferResult("completed", 200, "200 OK"),
        TransferResult("timed_out", reason="60 s were over", hint="raise it"),
    ):
        GATEWAY.validate(json.loads(offhook.transferred(result)))
    for outcome in get_args(HandOverEnd):
        GATEWAY.validate(json.loads(offhook.handed_over(HandOverResult(outcome, "why", "do this"))))
    assert not AGENT.is_valid({"type": "utterance", "id": ""})
    for wrong in ({"type": "reject", "status": 200}, {"type": "hangup", "now": "yes"}, {"type": "dtmf", "digits": ""}):
        assert not AGENT.is_valid(wrong)


def test_ringing_of_a_call_that_was_another_agents_tells_what_was_said() -> None:
    lines = (SaidLine("agent", "Hello, how can", True), SaidLine("caller", "A refund, please."))
    facts = replace(FACTS, history=lines, handed_over=HandedOver("worker:front-desk", "a refund"))
    message = json.loads(offhook.ringing(facts, "pcm16/16000", ready_within_ms=5000))
    GATEWAY.validate(message)
    assert message["handed_over"] == {"by": "worker:front-desk", "note": "a refund"}
    assert message["history"] == [
        {"who": "agent", "text": "Hello, how can", "interrupted": True},
        {"who": "caller", "text": "A refund, please."},
    ]
    first = json.loads(offhook.ringing(FACTS, "pcm16/16000", ready_within_ms=5000))
    assert not {"handed_over", "history"} & set(first)


def test_ringing_tells_the_call() -> None:
    message = json.loads(offhook.ringing(FACTS, "pcm16/24000", ready_within_ms=5_000))
    assert message["from_number"] == "+14155550100"
    assert message["headers"]["X-Queue"] == "sales"
    assert message["audio"] == {"encoding": "pcm16", "rate": 24000, "frame_ms": 20}
    assert {"encoding": "pcmu", "rate": 8000} in message["formats"]


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ('{"type":"ready"}', Ready()),
        ('{"type":"ready","audio":null,"later":1}', Ready()),
        ('{"type":"ready","audio":{}}', Ready()),
        ('{"type":"ready","audio":{"encoding":"pcm16","rate":24000}}', Ready("pcm16/24000")),
        ('{"type":"ready","audio":{"rate":8000}}', Ready("pcm16/8000")),
        ('{"type":"ready","audio":{"encoding":"pcmu"}}', Ready("pcmu/8000")),
        ('{"type":"reject"}', Reject(603, "")),
        ('{"type":"reject","status":486,"reason":"busy\\r\\nX: y"}', Reject(486, "busy X: y")),
        ('{"type":"hangup"}', HangUp(False, "")),
        ('{"type":"hangup","now":true,"reason":"done"}', HangUp(True, "done")),
        ('{"type":"record","action":"pause"}', Record("pause")),
        ('{"type":"hold","music":"of a later version"}', Hold("hold")),
        ('{"type":"resume"}', Hold("resume")),
        ('{"type":"mask_digits"}', MaskDigits(on=True, withhold=False)),
        ('{"type":"mask_digits","on":true,"withhold":true}', MaskDigits(on=True, withhold=True)),
        ('{"type":"mask_digits","on":false}', MaskDigits(on=False, withhold=False)),
        ('{"type":"record","action":"resume","why":"paid"}', Record("resume")),
        ('{"type":"transcript","who":"caller","id":"c1","text":"Hello?"}', Transcript("caller", "c1", "Hello?")),
        (
            '{"type":"transcript","who":"agent","id":"u2","text":"","final":false,"interrupted":true}',
            Transcript("agent", "u2", "", final=False, interrupted=True),
        ),
        (
            '{"type":"transcript","who":"caller","id":"c1","text":"Hi","start_ms":0,"end_ms":640}',
            Transcript("caller", "c1", "Hi", start_ms=0, end_ms=640),
        ),
        ('{"type":"transfer","target":"tel:+1"}', Transfer("tel:+1")),
        ('{"type":"hand_over","to":"worker:billing"}', HandOver("worker:billing")),
        (
            '{"type":"hand_over","to":"agent:billing","note":"a refund","timeout_ms":2500}',
            HandOver("agent:billing", "a refund", 2.5),
        ),
        (
            '{"type":"transfer","target":"sip:desk@example.com","headers":{"X-A":"1"},"timeout_ms":30500}',
            Transfer("sip:desk@example.com", (("X-A", "1"),), 30.5),
        ),
        ('{"type":"teleport","to":"tel:+1"}', Unknown("teleport")),
        ('{"type":"headers","headers":{"X-A":"b"}}', Headers({"X-A": "b"})),
        ('{"type":"headers","headers":{},"on":"bye","later":1}', Headers({}, "bye")),
        ('{"type":"headers","headers":{"X-A":null},"on":"answer"}', Headers({"X-A": None}, "answer")),
    ],
)
def test_what_an_agent_says_is_read(text: str, meant: offhook.AgentMessage) -> None:
    assert offhook.parse(text) == meant
    if not isinstance(meant, Unknown) and "null" not in text:
        AGENT.validate(json.loads(text))


def test_a_line_of_a_transcript_is_cut_where_it_has_no_end() -> None:
    line = offhook.parse(json.dumps({"type": "transcript", "who": "caller", "id": "c1", "text": "ha" * 9_000}))
    assert isinstance(line, Transcript)
    assert line.text == "ha" * 2_048


def test_a_ready_that_names_half_a_format_keeps_the_other_half_of_the_offer() -> None:
    assert offhook.parse('{"type":"ready","audio":{"encoding":"pcm16"}}', offered="pcm16/48000") == Ready("pcm16/48000")
    assert offhook.parse('{"type":"ready","audio":{"rate":8000}}', offered="pcmu/8000") == Ready("pcmu/8000")


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("hello", "not_json"),
        ('{"type":"ready","audio":{"rate":NaN}}', "not_json"),
        ("[" * 100_000, "not_json"),
        ('"ready"', "no_type"),
        ('{"type":1}', "no_type"),
        ("{}", "no_type"),
        ('{"type":"ready","audio":"pcm16"}', "bad_field"),
        ('{"type":"ready","audio":{"rate":"16000"}}', "bad_field"),
        ('{"type":"ready","audio":{"rate":true}}', "bad_field"),
        ('{"type":"ready","audio":{"encoding":7}}', "bad_field"),
        ('{"type":"ready","audio":{"rate":44100}}', "bad_format"),
        ('{"type":"ready","audio":{"encoding":"opus","rate":48000}}', "bad_format"),
        ('{"type":"reject","status":200}', "bad_status"),
        ('{"type":"headers"}', "bad_field"),
        ('{"type":"headers","headers":{"X-A":7}}', "bad_field"),
        ('{"type":"headers","headers":{},"on":["bye"]}', "bad_field"),
        ('{"type":"record"}', "bad_field"),
        ('{"type":"mask_digits","on":1}', "bad_field"),
        ('{"type":"mask_digits","withhold":"yes"}', "bad_field"),
        ('{"type":"record","action":"erase"}', "bad_field"),
        ('{"type":"reject","status":"486"}', "bad_status"),
        ('{"type":"reject","status":486.0}', "bad_status"),
        ('{"type":"reject","reason":["x"]}', "bad_field"),
        ('{"type":"hangup","now":1}', "bad_field"),
        ('{"type":"transfer"}', "bad_field"),
        ('{"type":"hand_over"}', "bad_field"),
        ('{"type":"hand_over","to":""}', "bad_field"),
        ('{"type":"hand_over","to":"echo:","note":7}', "bad_field"),
        ('{"type":"hand_over","to":"echo:","note":"' + "n" * 4097 + '"}', "bad_field"),
        ('{"type":"hand_over","to":"echo:","timeout_ms":180001}', "bad_field"),
        ('{"type":"transfer","target":""}', "bad_field"),
        ('{"type":"transfer","target":7}', "bad_field"),
        ('{"type":"transfer","target":"tel:+1","headers":["X-A"]}', "bad_field"),
        ('{"type":"transfer","target":"tel:+1","headers":{"X-A":1}}', "bad_field"),
        ('{"type":"transfer","target":"tel:+1","timeout_ms":0}', "bad_field"),
        ('{"type":"transfer","target":"tel:+1","timeout_ms":700000}', "bad_field"),
        ('{"type":"transcript","who":"me","id":"c1","text":"x"}', "bad_field"),
        ('{"type":"transcript","who":"agent","id":"","text":"x"}', "bad_field"),
        ('{"type":"transcript","who":"agent","id":"u1","text":7}', "bad_field"),
        ('{"type":"transcript","who":"agent","id":"u1","text":"x","final":"yes"}', "bad_field"),
        ('{"type":"transcript","who":"caller","id":"c1","text":"x","start_ms":5}', "bad_field"),
        ('{"type":"transcript","who":"caller","id":"c1","text":"x","start_ms":-5,"end_ms":0}', "bad_field"),
    ],
)
def test_what_cannot_be_taken_is_answered_with_a_reason(text: str, code: str) -> None:
    answer = offhook.parse(text)
    assert isinstance(answer, Invalid)
    assert answer.code == code
    GATEWAY.validate(json.loads(offhook.error(answer.code, answer.message)))


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=10),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)


@given(
    kind=st.sampled_from(["ready", "reject", "hangup", "other"]),
    fields=st.dictionaries(st.sampled_from(["audio", "status", "reason", "now", "x"]), json_values, max_size=4),
    format_fields=st.dictionaries(st.sampled_from(["encoding", "rate"]), json_values, max_size=2),
    nested=st.booleans(),
)
def test_no_message_makes_the_reader_fail(kind: str, fields: dict[str, Any], format_fields: Any, nested: bool) -> None:
    message = {"type": kind, **fields} | ({"audio": format_fields} if nested else {})
    answer = offhook.parse(json.dumps(message))
    if isinstance(answer, Ready) and answer.audio is not None:
        assert answer.audio in offhook.FORMATS
    if isinstance(answer, Reject | HangUp):
        answer.reason.encode("utf-8")
        assert "\n" not in answer.reason


@given(st.text(max_size=200))
def test_no_text_makes_the_reader_fail(text: str) -> None:
    offhook.parse(text)


def test_the_page_names_every_message_field_code_and_status() -> None:
    definitions = SCHEMA["$defs"]
    for side in ("gateway", "agent"):
        for reference in definitions[side]["oneOf"]:
            message = definitions[reference["$ref"].rsplit("/", 1)[1]]
            for name in message["properties"]:
                assert f"`{name}`" in PAGE, name
            assert f"`{message['properties']['type']['const']}`" in PAGE
    for code in definitions["error"]["properties"]["code"]["enum"]:
        assert f"`{code}`" in PAGE
    for status in offhook.REJECT_STATUSES:
        assert str(status) in PAGE
    assert set(definitions["reject"]["properties"]["status"]["enum"]) == offhook.REJECT_STATUSES
