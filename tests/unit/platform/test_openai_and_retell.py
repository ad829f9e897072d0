"""What OpenAI's webhook and Retell's API say, read with distrust, and what they are told."""

import json
from typing import Any

import pytest

from offhook.platform import openai, retell
from offhook.platform.variables import MAX_VARIABLES, Told

pytestmark = pytest.mark.unit


def event(**data: Any) -> bytes:
    return json.dumps({"object": "event", "type": "realtime.call.incoming", "data": data}).encode()


def test_an_incoming_call_has_its_id_and_its_headers() -> None:
    listed = [
        {"name": "From", "value": "<sip:+1@x>"},
        {"name": "X-Offhook-Token", "value": "t"},
        {"name": "X-Offhook-Token", "value": "u"},
    ]
    call = openai.read_event(event(call_id="rtc_1", sip_headers=listed, sip_media_security="srtp"))
    assert isinstance(call, openai.IncomingCall)
    assert (call.call_id, call.media, call.header("x-offhook-token"), call.header("To")) == ("rtc_1", "srtp", "t", "")


@pytest.mark.parametrize("kind", ["live.transport.incoming", "live.call.incoming"])
def test_a_call_for_a_live_model_is_known_by_its_session(kind: str) -> None:
    body = {"type": kind, "data": {"session_id": "live_1", "sip_headers": [{"name": "From", "value": "x"}]}}
    call = openai.read_event(json.dumps(body).encode())
    assert call == openai.IncomingCall("live_1", (("From", "x"),), "", "live", kind)


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        (b'{"type": "batch.completed", "data": {"id": "b"}}', "batch.completed"),
        (b'{"type": "live.transport.connected", "data": {"type": "webrtc"}}', "live.transport.connected"),
        (b'{"type": "live.transport.incoming", "data": {"type": "webrtc"}}', "live.transport.incoming"),
        (b'{"type": "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"}', "a" * 64),
    ],
)
def test_an_event_that_asks_about_no_call_is_known_by_name(body: bytes, kind: str) -> None:
    assert openai.read_event(body) == openai.OtherEvent(kind)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[]",
        b"{}",
        b"[" * 100_000,
        b"\xff\xfe",
        b'{"type": 5}',
        b'{"type": "realtime.call.incoming"}',
        b'{"type": "realtime.call.incoming", "data": []}',
        event(),
        event(call_id=7),
        event(call_id=""),
        event(call_id="../../models"),
        event(call_id="a/accept?x="),
        event(call_id="a\n"),
        event(call_id="a" * 129),
        b'{"type": "live.transport.incoming", "data": {"type": "sip", "call_id": "rtc_1"}}',
        b'{"type": "live.transport.incoming", "data": {"type": "sip", "session_id": "live_1/accept"}}',
    ],
)
def test_an_event_that_is_not_as_documented_is_refused(body: bytes) -> None:
    with pytest.raises(openai.OpenAIError):
        openai.read_event(body)


def test_headers_that_are_none_are_passed_over_and_bounded() -> None:
    odd = [{"name": 1, "value": "x"}, "x", {"name": "A"}, {"name": "B", "value": "b"}]
    call = openai.read_event(event(call_id="rtc_1", sip_headers=odd, sip_media_security="none"))
    assert isinstance(call, openai.IncomingCall)
    assert (call.sip_headers, call.media) == ((("B", "b"),), "")
    call = openai.read_event(event(call_id="rtc_1", sip_headers=[{"name": "A", "value": "a"}] * 5000))
    assert isinstance(call, openai.IncomingCall)
    assert len(call.sip_headers) == openai.MAX_SIP_HEADERS
    assert openai.read_event(event(call_id="rtc_1", sip_headers="X")) == openai.IncomingCall("rtc_1", ())


def test_accept_says_the_session_and_leaves_the_audio_format_to_sip() -> None:
    assert openai.accepted("gpt-realtime", "Be kind.", "marin") == {
        "type": "realtime",
        "model": "gpt-realtime",
        "instructions": "Be kind.",
        "audio": {"output": {"voice": "marin"}},
    }
    assert openai.accepted("gpt-realtime", "", None) == {"type": "realtime", "model": "gpt-realtime"}
    assert openai.rejected() == {"status_code": 603}
    assert openai.path("realtime", "rtc_1", "hangup") == "/realtime/calls/rtc_1/hangup"


def test_a_live_model_is_accepted_as_a_session_of_that_api() -> None:
    assert openai.accepted("gpt-live-1", "Be kind.", "marin") == {
        "session": {
            "type": "live",
            "model": "gpt-live-1",
            "instructions": "Be kind.",
            "audio": {"output": {"voice": "marin"}},
        }
    }
    assert openai.path("live", "live_1", "reject") == "/live/sessions/live_1/reject"
    assert [openai.surface_of(model) for model in ("gpt-live-1", "gpt-realtime", "")] == [
        "live",
        "realtime",
        "realtime",
    ]


def test_a_project_is_known_by_its_prefix() -> None:
    assert openai.is_project("proj_abc123")
    assert not openai.is_project("abc")
    assert not openai.is_project("proj_a@b")


def test_a_call_is_registered_with_numbers_variables_and_our_call_id() -> None:
    told = Told("c1", "+14155550142", "+14155550100", headers={"X-Customer": "4711"}, data={"tier": "gold"})
    assert retell.registration("agent_1", told, {"line": "{to}"}) == {
        "agent_id": "agent_1",
        "direction": "inbound",
        "from_number": "+14155550142",
        "to_number": "+14155550100",
        "metadata": {"offhook_call_id": "c1"},
        "retell_llm_dynamic_variables": {"Customer": "4711", "tier": "gold", "line": "+14155550100"},
    }


def test_a_registration_is_bounded_and_can_be_written_as_json() -> None:
    told = Told("c1", "", "+1", data={f"n{i}": "\udcff" * 10 for i in range(1000)})
    body = retell.registration("agent_1", told, {})
    json.dumps(body).encode()
    assert len(body["retell_llm_dynamic_variables"]) == MAX_VARIABLES
    assert "from_number" not in body


def test_a_registered_call_is_dialled_by_its_id() -> None:
    assert retell.registered(b'{"call_type": "phone_call", "call_id": "call_c4d"}') == "call_c4d"


@pytest.mark.parametrize(
    "answer",
    [b"", b"null", b"[]", b'{"call_id": ""}', b'{"call_id": 3}', b'{"call_id": "x@evil"}', b'{"call_id": "a;b"}'],
)
def test_an_answer_without_an_id_that_can_be_dialled_is_refused(answer: bytes) -> None:
    with pytest.raises(retell.RetellError):
        retell.registered(answer)
