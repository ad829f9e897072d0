"""RFC 3261 section 12.2.1: requests of ours within a dialog, each told its end, and in order."""

import pytest
from tests.support.messages import SDP, request, response
from tests.support.solo import Solo

from offhook.sip.events import ByeReceived, Failed, FailureCause, InviteReceived, Replied
from offhook.sip.invite import InviteSession
from offhook.sip.questions import MAX_WAITING
from offhook.sip.session_state import State

pytestmark = pytest.mark.conformance

DIGIT = (("Content-Type", "application/dtmf-relay"),)


def up(solo: Solo) -> InviteSession:
    """A session that the peer set up."""
    solo.receive(request(body=SDP))
    session: InviteSession = solo.told(InviteReceived)[-1].session
    solo.do(session.answer, SDP)
    solo.receive(request("ACK", to=f"<sip:bob@192.0.2.2>;tag={session.local_tag}", branch="z9hG4bKack"))
    return session


@pytest.mark.rfc(3261, "12.2.1.1")
def test_a_request_within_the_dialog_is_told_its_final_response() -> None:
    solo = Solo()
    session = up(solo)
    assert solo.do(session.ask, "INFO", DIGIT, b"Signal=5\r\n", token="five")
    info = solo.requests("INFO")[0]
    assert (info.to.tag, info.from_.tag, info.body) == ("alice", session.local_tag, b"Signal=5\r\n")
    solo.receive(response(info, 100, None))
    assert solo.told(Replied) == []
    solo.receive(response(info, 200, None))
    assert [(e.method, e.token, e.response.status) for e in solo.told(Replied)] == [("INFO", "five", 200)]


@pytest.mark.rfc(3261, "12.2.2")
def test_requests_of_one_method_leave_one_after_the_other() -> None:
    """Two at once could overtake each other on UDP, and the later number would have the earlier one refused."""
    solo = Solo()
    session = up(solo)
    for digit in "123":
        assert solo.do(session.ask, "INFO", DIGIT, digit.encode(), token=digit)
    assert [info.body for info in solo.requests("INFO")] == [b"1"]
    solo.receive(response(solo.requests("INFO")[-1], 200, None))
    solo.receive(response(solo.requests("INFO")[-1], 415, None))
    solo.receive(response(solo.requests("INFO")[-1], 200, None))
    assert [(e.token, e.response.status) for e in solo.told(Replied)] == [("1", 200), ("2", 415), ("3", 200)]
    numbers = [info.cseq.number for info in solo.requests("INFO")]
    assert numbers == sorted(set(numbers))


def test_no_more_wait_than_a_bound() -> None:
    solo = Solo()
    session = up(solo)
    taken = [solo.do(session.ask, "INFO", DIGIT, b"1") for _ in range(MAX_WAITING + 3)]
    assert taken == [True] * (MAX_WAITING + 1) + [False] * 2


def test_a_method_that_nobody_answers_does_not_hold_up_another() -> None:
    solo = Solo()
    session = up(solo)
    solo.do(session.ask, "INFO", DIGIT, b"1")
    solo.do(session.ask, "MESSAGE")
    assert len(solo.requests("MESSAGE")) == 1
    solo.run(60)
    assert {(e.method, e.cause) for e in solo.told(Replied)} == {
        ("INFO", FailureCause.TIMEOUT),
        ("MESSAGE", FailureCause.TIMEOUT),
    }
    assert session.state is State.CONFIRMED


@pytest.mark.rfc(3261, "12.2.1.2")
def test_a_481_ends_the_session() -> None:
    solo = Solo()
    session = up(solo)
    solo.do(session.ask, "INFO", DIGIT, b"1")
    solo.do(session.ask, "INFO", DIGIT, b"2")
    solo.receive(response(solo.requests("INFO")[0], 481, None))
    said = "481 to our INFO"
    assert [(event.cause, event.detail) for event in solo.told(Failed)] == [(FailureCause.DIALOG_GONE, said)]
    assert len(solo.requests("BYE")) == 1
    assert len(solo.requests("INFO")) == 1


@pytest.mark.rfc(5057, "5.1")
def test_a_481_to_a_subscription_leaves_the_session() -> None:
    solo = Solo()
    session = up(solo)
    solo.do(session.ask, "REFER", (("Refer-To", "<sip:carol@192.0.2.9>"),))
    assert solo.requests("REFER")[0].contacts
    solo.receive(response(solo.requests("REFER")[0], 481, None))
    assert session.state is State.CONFIRMED


def test_nothing_is_asked_before_the_first_answer_or_after_the_end() -> None:
    solo = Solo()
    ours = solo.invite("sip:alice@192.0.2.1")
    assert solo.do(ours.ask, "INFO") is False
    session = up(solo)
    solo.do(session.ask, "INFO", DIGIT, b"1")
    solo.do(session.ask, "INFO", DIGIT, b"2")
    to = f"<sip:bob@192.0.2.2>;tag={session.local_tag}"
    solo.receive(request("BYE", to=to, branch="z9hG4bKbye", cseq=2))
    assert len(solo.told(ByeReceived)) == 1
    assert solo.do(session.ask, "INFO") is False
    solo.receive(response(solo.requests("INFO")[0], 200, None))
    assert len(solo.requests("INFO")) == 1
    assert solo.told(Replied) == []
