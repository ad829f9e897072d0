"""A bot that knows Twilio finds in our messages what it looks for in Twilio's."""

import json
import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from offhook.destination.dialect import twilio
from offhook.destination.dialect.facts import MAX_HEADERS, MAX_VALUE, AgentFacts
from offhook.ids import CallId

pytestmark = pytest.mark.unit

IDS = twilio.StreamIds.of(CallId("01abc"), node="edge-1")


def facts(**changes: Any) -> AgentFacts:
    known: dict[str, Any] = {"call_id": CallId("01abc"), "from_number": "+14155550100", "to_number": "+14155550123"}
    return AgentFacts(**(known | {"trunk": "acme", "headers": {"X-Queue": "sales"}} | changes))


def test_connected_says_which_protocol_it_is() -> None:
    assert json.loads(twilio.connected()) == {"event": "connected", "protocol": "Call", "version": "1.0.0"}


def test_start_has_what_pipecat_and_twilio_bots_look_for() -> None:
    message = json.loads(twilio.start(IDS, facts()))
    assert message["event"] == "start"
    assert message["streamSid"] == message["start"]["streamSid"] == IDS.stream_sid
    assert message["start"]["callSid"] == IDS.call_sid
    assert message["start"]["accountSid"] == IDS.account_sid
    assert message["start"]["tracks"] == ["inbound"]
    assert message["start"]["mediaFormat"] == {"encoding": "audio/x-mulaw", "sampleRate": 8000, "channels": 1}
    assert message["start"]["customParameters"] == {
        "from_number": "+14155550100",
        "to_number": "+14155550123",
        "call_id": "01abc",
        "trunk": "acme",
        "X-Queue": "sales",
    }


def test_stop_names_the_call() -> None:
    message = json.loads(twilio.stop(IDS))
    assert message["event"] == "stop"
    assert message["stop"] == {"accountSid": IDS.account_sid, "callSid": IDS.call_sid}


def test_ids_look_like_twilios_and_are_the_same_for_one_call() -> None:
    for sid, prefix in ((IDS.stream_sid, "MZ"), (IDS.call_sid, "CA"), (IDS.account_sid, "AC")):
        assert re.fullmatch(f"{prefix}[0-9a-f]{{32}}", sid)
    again = twilio.StreamIds.of(CallId("01abc"), node="edge-1", attempt=2)
    assert (again.call_sid, again.account_sid) == (IDS.call_sid, IDS.account_sid)
    assert again.stream_sid != IDS.stream_sid
    assert twilio.StreamIds.of(CallId("01abd"), node="edge-1").call_sid != IDS.call_sid


@pytest.mark.parametrize("message", [twilio.start(IDS, facts(from_number="{sequence}")), twilio.stop(IDS)])
def test_the_number_is_the_first_place_to_fill(message: str) -> None:
    assert json.loads(message.replace("{sequence}", "7", 1))["sequenceNumber"] == "7"


def test_a_header_cannot_pose_as_a_number() -> None:
    custom = json.loads(twilio.start(IDS, facts(headers={"from_number": "+1900", "trunk": "other"})))["start"]
    assert custom["customParameters"]["from_number"] == "+14155550100"
    assert custom["customParameters"]["trunk"] == "acme"


def test_headers_are_bounded() -> None:
    many = {f"X-{number}": "v" * 5000 for number in range(100)}
    custom = json.loads(twilio.start(IDS, facts(headers=many)))["start"]["customParameters"]
    assert len(custom) == MAX_HEADERS + 4
    assert len(custom["X-0"]) == MAX_VALUE


@given(value=st.text(st.characters(), max_size=50), raw=st.binary(max_size=30))
def test_whatever_a_caller_writes_the_message_is_json_in_utf_8(value: str, raw: bytes) -> None:
    wire_text = raw.decode("utf-8", "surrogateescape")
    message = twilio.start(IDS, facts(from_number=value, headers={wire_text: wire_text}))
    json.loads(message.encode("utf-8"))
