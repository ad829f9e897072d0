"""Which message belongs to which call's timeline, and how little is kept of what is no call."""

import pytest
from tests.support.messages import UDP, request, response

from offhook.call.trace import SipTrace, host_port
from offhook.ids import CallId
from offhook.sip.effects import Source
from offhook.sip.message import Request
from offhook.sip.parser import parse_datagram

pytestmark = pytest.mark.unit

ELSEWHERE = Source("udp", ("192.0.2.77", 5060), UDP.local, 1)


def first_lines(trace: SipTrace, invite: Request, now: float = 9.0) -> list[str]:
    timeline, _ = trace.claim(invite, UDP, CallId("a"), now)
    return [entry.fields["first_line"] for entry in timeline.entries]


def test_what_was_said_before_the_call_is_in_its_timeline() -> None:
    trace, invite = SipTrace(), request()
    trace.see("in", invite, UDP, 1.0)
    trace.see("out", response(invite, 100, None), UDP, 1.1)
    timeline, arrived_at = trace.claim(invite, UDP, CallId("a"), 2.0)
    assert arrived_at == 1.0
    assert [(entry.at_ms, entry.fields["first_line"]) for entry in timeline.entries] == [
        (0.0, "INVITE sip:bob@192.0.2.2 SIP/2.0"),
        (100.0, "SIP/2.0 100 Trying"),
    ]
    assert len(trace) == 0


def test_the_invite_that_was_let_in_is_the_one_that_counts() -> None:
    trace, first, second = SipTrace(), request(branch="z9hG4bK1"), request(branch="z9hG4bK2", cseq=2)
    trace.see("in", first, UDP, 1.0)
    trace.see("out", response(first, 401), UDP, 1.0)
    trace.see("in", second, UDP, 3.0)
    timeline, arrived_at = trace.claim(second, UDP, CallId("a"), 3.5)
    assert arrived_at == 3.0
    assert len(timeline.entries) == 3


def test_a_call_is_followed_by_our_tag_wherever_its_messages_come_from() -> None:
    trace, invite = SipTrace(), request()
    timeline, _ = trace.claim(invite, UDP, CallId("a"), 1.0)
    trace.follow(invite, UDP, "ours", timeline)
    bye = request("BYE", to="<sip:bob@192.0.2.2>;tag=ours", cseq=2)
    trace.see("in", bye, ELSEWHERE, 2.0)
    ours = request("BYE", from_="<sip:bob@192.0.2.2>;tag=ours", to="<sip:alice@192.0.2.1>;tag=alice", cseq=1)
    trace.see("out", ours, ELSEWHERE, 3.0)
    trace.see("in", response(ours, 200), ELSEWHERE, 3.1)
    assert len(timeline.entries) == 3
    trace.forget(invite, UDP, "ours")
    trace.see("in", bye, UDP, 4.0)
    assert len(timeline.entries) == 3
    assert len(trace) == 0


def test_the_same_call_id_from_elsewhere_is_another_call() -> None:
    trace, invite = SipTrace(), request()
    mine, _ = trace.claim(invite, UDP, CallId("a"), 1.0)
    trace.follow(invite, UDP, "ours", mine)
    trace.see("in", invite, ELSEWHERE, 2.0)
    trace.see("in", request("BYE", to="<sip:bob@192.0.2.2>;tag=guess"), ELSEWHERE, 2.0)
    assert mine.entries == ()


def test_a_later_call_with_the_same_names_keeps_its_place() -> None:
    trace, invite = SipTrace(), request()
    old, _ = trace.claim(invite, UDP, CallId("a"), 1.0)
    trace.follow(invite, UDP, "one", old)
    new, _ = trace.claim(invite, UDP, CallId("b"), 2.0)
    trace.follow(invite, UDP, "two", new)
    trace.forget(invite, UDP, "one")
    trace.see("in", request("CANCEL"), UDP, 3.0)
    assert len(new.entries) == 1


@pytest.mark.parametrize("cseq", ["CSeq: 2 INFO", "CSeq: 2 INVITE", "CSeq: none", "X-CSeq: 2 INFO"])
def test_digits_are_not_kept_however_an_info_names_itself(cseq: str) -> None:
    trace, invite = SipTrace(), request()
    timeline, _ = trace.claim(invite, UDP, CallId("a"), 1.0)
    trace.follow(invite, UDP, "ours", timeline)
    info = request("INFO", to="<sip:bob@192.0.2.2>;tag=ours", cseq=2, body=b"Signal=5")
    trace.see("in", parse_datagram(bytes(info).replace(b"CSeq: 2 INFO", cseq.encode())), UDP, 2.0)
    answer = bytes(response(info, 200)).replace(b"CSeq: 2 INFO", cseq.encode())
    trace.see("out", parse_datagram(answer), UDP, 2.0)
    assert len(timeline.entries) == 2
    assert "Signal" not in str(timeline.as_dict())


def test_what_is_no_call_is_forgotten() -> None:
    trace = SipTrace()
    for number in range(1000):
        trace.see("in", request(call_id=f"flood-{number}"), UDP, 1.0)
    assert len(trace) == 256
    trace.see("in", request(call_id="later"), UDP, 40.0)
    assert len(trace) == 1
    for _ in range(100):
        trace.see("in", request(call_id="later"), UDP, 40.0)
    assert first_lines(trace, request(call_id="later")) == ["INVITE sip:bob@192.0.2.2 SIP/2.0"], "as repeats of one"


def test_other_requests_outside_calls_are_not_kept() -> None:
    trace = SipTrace()
    trace.see("in", request("OPTIONS"), UDP, 1.0)
    trace.see("in", request("BYE", to="<sip:bob@192.0.2.2>;tag=x"), UDP, 1.0)
    trace.see("out", response(request("OPTIONS"), 200), UDP, 1.0)
    assert len(trace) == 0


def test_the_body_of_an_info_is_not_kept() -> None:
    trace, invite = SipTrace(), request()
    timeline, _ = trace.claim(invite, UDP, CallId("a"), 1.0)
    trace.follow(invite, UDP, "ours", timeline)
    info = request("INFO", to="<sip:b@192.0.2.2>;tag=ours", body=b"Signal=7\r\n", content_type="application/dtmf-relay")
    trace.see("in", info, UDP, 2.0)
    text = timeline.entries[0].fields["text"]
    assert "Signal" not in text
    assert text.endswith("(not kept: it may hold digits)")
    assert "application/dtmf-relay" in text


def test_host_and_port() -> None:
    assert host_port(("192.0.2.1", 5060)) == "192.0.2.1:5060"
    assert host_port(("2001:db8::1", 5060)) == "[2001:db8::1]:5060"
