"""What a person is told: one sentence, and what to do about it."""

import pytest

from offhook.phone import outcome as came
from offhook.phone.outcome import Outcome, judge
from offhook.sip.effects import Target
from offhook.sip.message import Response
from offhook.sip.parser import parse_datagram

pytestmark = pytest.mark.unit

HERE = Target("udp", "192.0.2.1", 5060)


def refused(status: int, reason: str = "No", *headers: str) -> came.Refused:
    head = [
        f"SIP/2.0 {status} {reason}",
        "Via: SIP/2.0/UDP 192.0.2.9;branch=z9hG4bKa",
        "From: <sip:phone@192.0.2.9>;tag=a",
        "To: <sip:x@192.0.2.1>;tag=b",
        "Call-ID: c",
        "CSeq: 1 INVITE",
        *headers,
        "Content-Length: 0",
    ]
    response = parse_datagram(("\r\n".join(head) + "\r\n\r\n").encode())
    assert isinstance(response, Response)
    return came.Refused(response)


@pytest.mark.parametrize(
    ("outcome", "slug", "text", "hint"),
    [
        (refused(486, "Busy Here"), "busy", "Busy. (SIP 486 Busy Here)", "Try again later"),
        (refused(404, "Not Found"), "unknown_number", "no such number", "before the @"),
        (refused(403), "forbidden", "does not allow", "source address"),
        (refused(488), "no_common_codec", "none of the audio", "--srtp"),
        (refused(603), "declined", "declined", ""),
        (refused(503, "Full", "Retry-After: 30 (soon)"), "overloaded", "It asks to wait 30 s.", "Try again later"),
        (refused(302, "Moved", "Contact: <sip:new@192.0.2.7>"), "moved", "call another", "'sip:new@192.0.2.7'"),
        (refused(302, "Moved"), "moved", "call another", "did not say where"),
        (refused(499), "refused", "refused the call", ""),
        (refused(599), "far_end_error", "refused the call", ""),
        (
            refused(480, "Gone", 'Reason: SIP;cause=480;text="the agent was late"'),
            "unavailable",
            "the agent was late",
            "agent online",
        ),
        (refused(401, "No", 'WWW-Authenticate: Digest realm="r1", nonce="n"'), "password_wanted", "for 'r1'", "--user"),
        (came.NoAnswer(60.0), "no_answer", "Nobody picked up in 60 s", "--ring-seconds"),
        (came.NoReply(HERE, 10.0), "no_reply", "No reply at all from 192.0.2.1:5060 by UDP in 10 s", "firewall"),
        (came.NoReply(HERE, 1.3, closed=True), "port_closed", "Nothing listens at 192.0.2.1:5060", "running"),
        (
            came.Unreachable(Target("tcp", "2001:db8::1", 5060), "connection refused"),
            "unreachable",
            "Can't reach [2001:db8::1]:5060 by TCP: connection refused",
            "--transport udp",
        ),
        (came.UnknownHost("nosuch.example"), "unknown_host", "no host nosuch.example", "spelling"),
        (came.GaveUp(), "gave_up", "before there was an answer", ""),
        (came.NoCommonSound("why"), "no_common_sound", "why", "--codec"),
        (came.Broken("KeyError: x"), "internal_error", "KeyError", "bug"),
    ],
)
def test_what_went_wrong_and_what_to_do(outcome: Outcome, slug: str, text: str, hint: str) -> None:
    judged = judge(outcome)
    assert not judged.good
    assert judged.slug == slug
    assert text in judged.text
    assert hint in judged.hint


def test_a_wrong_password_is_told_apart_from_none() -> None:
    challenge = refused(407, "Auth", 'Proxy-Authenticate: Digest realm="r1", nonce="n"')
    judged = judge(challenge, with_password=True)
    assert judged.slug == "wrong_password"
    assert "rejects this user name or password for 'r1'" in judged.text


def test_an_answer_is_good_whoever_hung_up() -> None:
    assert judge(came.Answered("far end")).text == "Answered. The far end hung up."
    assert judge(came.Answered("time")).good


@pytest.mark.parametrize("status", range(300, 700, 7))
def test_every_status_has_words(status: int) -> None:
    assert f"SIP {status}" in judge(refused(status)).text
