"""RFC 3326: why a BYE or CANCEL is sent, in every way in which one of ours leaves, and read in the peer's."""

import pytest
from tests.support.messages import SDP, request, response
from tests.support.solo import Solo

from offhook.call.facts import causes_of
from offhook.destination.dialect.facts import EndCause
from offhook.sip.causes import why
from offhook.sip.events import InviteReceived
from offhook.sip.headers import Reason
from offhook.sip.invite import InviteSession
from offhook.sip.message import Request

pytestmark = pytest.mark.conformance


def reasons(message: Request) -> list[tuple[str, int | None]]:
    return [(reason.protocol, reason.cause) for reason in message.reasons]


def answered(solo: Solo, *, acknowledged: bool = True) -> InviteSession:
    solo.receive(request(body=SDP))
    session: InviteSession = solo.told(InviteReceived)[0].session
    solo.do(session.answer, SDP)
    if acknowledged:
        solo.receive(request("ACK", to=str(solo.responses(200)[0].to), branch="z9hG4bKack"))
    return session


def calling(solo: Solo, status: int = 0, tag: str = "bob") -> InviteSession:
    session: InviteSession = solo.invite()
    if status:
        solo.receive(response(solo.requests("INVITE")[0], status, tag, body=SDP if status == 200 else b""))
    return session


# ---------------------------------------------------------------------- every BYE and CANCEL of ours


@pytest.mark.rfc(3326, "2")
def test_a_bye_without_a_reason_of_its_own_says_normal_clearing() -> None:
    solo = Solo()
    solo.do(answered(solo).hang_up)
    assert reasons(solo.requests("BYE")[0]) == [("Q.850", 16), ("SIP", 200)]


@pytest.mark.rfc(3326, "2")
def test_a_reason_given_is_the_one_sent_each_protocol_on_a_line() -> None:
    solo = Solo()
    solo.do(answered(solo).hang_up, why(480, "agent_lost", q850=27))
    assert solo.requests("BYE")[0].headers.get_all("Reason") == (
        'Q.850;cause=27;text="agent_lost"',
        'SIP;cause=480;text="agent_lost"',
    )


@pytest.mark.rfc(3326, "2")
def test_a_cancel_says_why_and_the_bye_that_takes_its_place_the_same() -> None:
    solo = Solo()
    solo.do(calling(solo, 180).hang_up)
    assert reasons(solo.requests("CANCEL")[0]) == [("Q.850", 16), ("SIP", 487)]
    # The 200 was faster than the CANCEL.
    solo.receive(response(solo.requests("INVITE")[0], 200, "bob", body=SDP))
    assert reasons(solo.requests("BYE")[0]) == [("Q.850", 16), ("SIP", 487)]


@pytest.mark.rfc(3326, "3.1")
def test_a_fork_that_answers_too_late_was_completed_elsewhere() -> None:
    solo = Solo()
    calling(solo, 200)
    solo.receive(response(solo.requests("INVITE")[0], 200, "late", body=SDP))
    (bye,) = solo.requests("BYE")
    assert bye.to.tag == "late"
    assert bye.reasons == (
        Reason("Q.850", 26, "Call completed elsewhere"),
        Reason("SIP", 200, "Call completed elsewhere"),
    )


def test_a_call_that_was_given_up_and_answered_after_all() -> None:
    solo = Solo()
    session = calling(solo, 180)
    solo.do(session.hang_up)
    solo.run(40)
    solo.receive(response(solo.requests("INVITE")[0], 200, "bob", body=SDP))
    assert all(reasons(bye) == [("Q.850", 16), ("SIP", 487)] for bye in solo.requests("BYE"))


def test_a_missing_ack() -> None:
    solo = Solo()
    answered(solo, acknowledged=False)
    solo.run(33)
    assert reasons(solo.requests("BYE")[0]) == [("Q.850", 102), ("SIP", 408)]


def test_a_hang_up_that_waits_for_the_ack_keeps_its_reason() -> None:
    solo = Solo()
    session = answered(solo, acknowledged=False)
    solo.do(session.hang_up, why(480, "agent_lost", q850=27))
    solo.run(33)
    assert reasons(solo.requests("BYE")[0]) == [("Q.850", 27), ("SIP", 480)]


@pytest.mark.parametrize("up", [True, False])
def test_a_fault_of_ours(up: bool) -> None:
    solo = Solo()
    session = answered(solo) if up else calling(solo, 180)
    solo.user_agent.session_failed(session, RuntimeError("a bug"), solo.now)
    solo.drain()
    (end,) = solo.requests("BYE" if up else "CANCEL")
    assert reasons(end) == [("Q.850", 41), ("SIP", 500)]


def test_a_dialog_that_the_peer_has_lost() -> None:
    solo = Solo()
    session = answered(solo)
    solo.do(session.reinvite, SDP)
    solo.receive(response(solo.requests("INVITE")[0], 481, "bob"))
    assert reasons(solo.requests("BYE")[0]) == [("Q.850", 41), ("SIP", 481)]


# ---------------------------------------------------------------------- the peer's


@pytest.mark.rfc(3326, "2")
@pytest.mark.parametrize(
    ("lines", "causes"),
    [
        (["Reason: Q.850;cause=16;text=\"Normal call clearing\""], [EndCause("Q.850", 16, "Normal call clearing")]),
        # RFC 8606's location, and several protocols on a line and on several.
        (
            ['Reason: Q.850;cause=17;text="a;b, \\"c\\"";location=LN, SIP;cause=486', "Reason: X.Y;cause=3"],
            [EndCause("Q.850", 17, 'a;b, "c"'), EndCause("SIP", 486), EndCause("X.Y", 3)],
        ),
        # RFC 9366: one protocol twice.
        (["Reason: SIP;cause=200, SIP;cause=603"], [EndCause("SIP", 200), EndCause("SIP", 603)]),
        (["Reason: preemption"], [EndCause("PREEMPTION", None)]),
        # Garbage is left out, what is beside it is not.
        (["Reason: Q.850;cause=x, SIP;cause=200", 'Reason: SIP;text="open', "Reason: "], [EndCause("SIP", 200)]),
        (["Reason: Q.850;cause=99999", "Reason: ;cause=1", "Reason: \x80\x81"], []),
        (["Reason: SIP;cause=200;text=\"\u202egone\x1b\""], [EndCause("SIP", 200, "\\u202egone\\x1b")]),
    ],
)  # fmt: skip
def test_what_is_read(lines: list[str], causes: list[EndCause]) -> None:
    message = request("BYE", *(line for line in lines if "\x1b" not in line))
    if any("\x1b" in line for line in lines):
        # No message with it passes the parser; what reads the field can take it all the same.
        from offhook.sip.message import Headers

        message = Request("BYE", message.request_uri, Headers.from_wire([("Reason", lines[0].partition(": ")[2])]), b"")
    assert list(causes_of(message)) == causes


def test_a_thousand_reasons_and_long_words_are_bounded() -> None:
    many = request("BYE", *["Reason: " + ", ".join([f'SIP;cause=200;text="{"x" * 400}"'] * 6)] * 10)
    causes = causes_of(many)
    assert len(causes) == 8
    assert {len(cause.text) for cause in causes} == {128}


def test_in_words() -> None:
    causes = (EndCause("Q.850", 16, "Normal call clearing"), EndCause("SIP", 200), EndCause("PREEMPTION", None))
    assert [str(cause) for cause in causes] == ["Q.850 16 (Normal call clearing)", "SIP 200", "PREEMPTION"]
