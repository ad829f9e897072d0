"""RFC 3261 section 9: CANCEL, sent and received, and what it may cross."""

import pytest
from tests.support.messages import SDP, request, response
from tests.support.pair import Pair, Peer
from tests.support.solo import Solo

from offhook.sip.events import Answered, Cancelled, Failed, FailureCause, HungUp, InviteReceived, Refused
from offhook.sip.screening import Admit
from offhook.sip.session_state import State

pytestmark = pytest.mark.conformance


# ---------------------------------------------------------------------- received


@pytest.mark.rfc(3261, "9.2")
@pytest.mark.parametrize("ringing", [False, True])
def test_a_cancel_before_the_answer_gets_200_and_the_invite_487(ringing: bool) -> None:
    solo = Solo()
    solo.receive(request())
    session = solo.told(InviteReceived)[0].session
    if ringing:
        solo.do(session.ring)
    first, second = solo.receive(request("CANCEL", 'Reason: SIP;cause=200;text="Call completed elsewhere"'))
    assert (first.status, first.cseq.method) == (200, "CANCEL")
    assert (second.status, second.cseq.method) == (487, "INVITE")
    assert first.to.tag == second.to.tag == session.local_tag
    event = solo.told(Cancelled)[0]
    assert event.request.reasons[0].text == "Call completed elsewhere"
    assert session.state is State.TERMINATED
    solo.receive(request("ACK", to=str(second.to)))
    solo.run(100)
    assert solo.times(487) == [0]
    solo.assert_empty()


@pytest.mark.rfc(3261, "9.2")
def test_a_cancel_after_the_answer_changes_nothing() -> None:
    solo = Solo()
    solo.receive(request())
    session = solo.told(InviteReceived)[0].session
    solo.do(session.answer, SDP)
    (answer,) = solo.receive(request("CANCEL"))
    assert (answer.status, answer.cseq.method) == (200, "CANCEL")
    assert session.state is State.ACCEPTED
    assert solo.told(Cancelled) == []


@pytest.mark.rfc(3261, "9.2")
def test_a_second_cancel_gets_its_200_again_and_no_second_487() -> None:
    solo = Solo()
    solo.receive(request())
    solo.receive(request("CANCEL"))
    (again,) = solo.receive(request("CANCEL"))
    assert again.status == 200
    assert len(solo.responses(487)) == 1
    assert len(solo.told(Cancelled)) == 1


@pytest.mark.rfc(3261, "9.2")
def test_a_cancel_with_another_branch_is_481() -> None:
    solo = Solo()
    solo.receive(request())
    (answer,) = solo.receive(request("CANCEL", branch="z9hG4bKother"))
    assert answer.status == 481
    assert solo.told(Cancelled) == []


def test_a_cancel_of_another_peer_is_481() -> None:
    solo = Solo()
    solo.receive(request())
    solo.screen = lambda request, source, user: Admit(Peer("another trunk"))
    (answer,) = solo.receive(request("CANCEL"))
    assert answer.status == 481
    assert solo.told(Cancelled) == []


def test_verbs_that_come_after_a_cancel_do_nothing() -> None:
    solo = Solo()
    solo.receive(request())
    session = solo.told(InviteReceived)[0].session
    solo.receive(request("CANCEL"))
    before = len(solo.sent)
    assert solo.do(session.ring) is False
    assert solo.do(session.answer, SDP) is False
    assert solo.do(session.reject, 486) is False
    assert solo.do(session.hang_up) is False
    assert len(solo.sent) == before


@pytest.mark.rfc(3261, "13.3.1")
def test_an_invite_that_expires_is_487() -> None:
    solo = Solo()
    solo.receive(request("INVITE", "Expires: 10"))
    session = solo.told(InviteReceived)[0].session
    solo.do(session.ring)
    solo.run(20)
    assert solo.times(487)[0] == 10
    assert len(solo.told(Cancelled)) == 1


def test_an_answered_invite_no_longer_expires() -> None:
    solo = Solo()
    solo.receive(request("INVITE", "Expires: 10"))
    session = solo.told(InviteReceived)[0].session
    solo.do(session.answer, SDP)
    solo.receive(request("ACK", to=f"<sip:bob@192.0.2.2>;tag={session.local_tag}", branch="z9hG4bKack"))
    solo.run(20)
    assert session.state is State.CONFIRMED


# ---------------------------------------------------------------------- sent


@pytest.mark.rfc(3261, "9.1")
def test_a_cancel_is_held_until_a_provisional_response() -> None:
    solo = Solo()
    session = solo.invite()
    solo.do(session.hang_up, (("Reason", "SIP;cause=487"),))
    solo.run(3)
    assert solo.requests("CANCEL") == []
    assert solo.times("INVITE") == [0, 0.5, 1.5]
    invite = solo.requests("INVITE")[0]
    (cancel,) = solo.receive(response(invite, 100, None))
    assert cancel.method == "CANCEL"
    assert str(cancel.request_uri) == str(invite.request_uri)
    assert [str(via) for via in cancel.vias] == [str(via) for via in invite.vias]
    assert (str(cancel.from_), str(cancel.to), cancel.call_id) == (str(invite.from_), str(invite.to), invite.call_id)
    assert (cancel.cseq.number, cancel.cseq.method) == (invite.cseq.number, "CANCEL")
    assert cancel.headers.get("Reason") == "SIP;cause=487"
    solo.receive(response(cancel, 200))
    (ack,) = solo.receive(response(invite, 487))
    assert ack.method == "ACK"
    assert [event.response.status for event in solo.told(Refused)] == [487]
    solo.run(200)
    solo.assert_empty()


@pytest.mark.rfc(3261, "9.1")
def test_a_cancel_after_180_leaves_at_once_and_once() -> None:
    solo = Solo()
    session = solo.invite()
    solo.receive(response(solo.requests("INVITE")[0], 180))
    solo.do(session.hang_up)
    solo.do(session.hang_up)
    solo.receive(response(solo.requests("INVITE")[0], 183))
    assert len(solo.requests("CANCEL")) == 1


@pytest.mark.rfc(3261, "9.1")
def test_a_held_cancel_and_no_answer_at_all_is_a_timeout() -> None:
    solo = Solo()
    session = solo.invite()
    solo.do(session.hang_up)
    solo.run(100)
    assert solo.requests("CANCEL") == []
    assert [event.cause for event in solo.told(Failed)] in ([FailureCause.TIMEOUT], [FailureCause.CANCEL_TIMEOUT])
    solo.assert_empty()


@pytest.mark.rfc(3261, "9.1")
def test_without_a_final_response_the_invite_is_given_up_64_t1_later() -> None:
    solo = Solo()
    session = solo.invite()
    invite = solo.requests("INVITE")[0]
    solo.receive(response(invite, 180))
    solo.run(5)
    solo.do(session.hang_up)
    solo.receive(response(solo.requests("CANCEL")[0], 200))
    solo.run(36.9)
    assert solo.told(Failed) == []
    solo.run(37)
    assert [event.cause for event in solo.told(Failed)] == [FailureCause.CANCEL_TIMEOUT]
    solo.run(100)
    solo.assert_empty()


@pytest.mark.rfc(3261, "9.1")
def test_a_cancel_that_meets_the_200_ends_by_ack_and_bye() -> None:
    solo = Solo()
    session = solo.invite()
    invite = solo.requests("INVITE")[0]
    solo.receive(response(invite, 180))
    solo.do(session.hang_up, (("Reason", "SIP;cause=487"),))
    ack, bye = solo.receive(response(invite, 200, body=SDP))
    assert (ack.method, bye.method) == ("ACK", "BYE")
    assert bye.headers.get("Reason") == "SIP;cause=487"
    solo.receive(response(solo.requests("CANCEL")[0], 481))
    solo.receive(response(bye, 200))
    assert [type(event) for event in solo.events[1:]] == [HungUp]
    assert solo.told(Answered) == []
    solo.run(200)
    solo.assert_empty()


def test_given_up_before_dns_has_answered_nothing_is_sent() -> None:
    solo = Solo()
    session = solo.invite("sip:bob@trunk.example")
    solo.do(session.hang_up)
    solo.user_agent.resolved(solo.resolves[0].resolution, (), solo.now)
    solo.drain()
    assert solo.sent == []
    assert [event.cause for event in solo.told(Failed)] == [FailureCause.CANCELLED]
    solo.assert_empty()


@pytest.mark.parametrize("at", [0.0, 0.05, 0.1, 0.15, 0.2, 0.95, 1.0, 1.05, 1.1, 1.15, 1.2, 1.25])
def test_whenever_the_caller_gives_up_nothing_is_left(at: float) -> None:
    """CANCEL before 100, after 180, crossing the 200, after it: one end on each side, and no leftovers."""
    pair = Pair()
    pair.netem.delay = 0.1

    def received(event: InviteReceived) -> None:
        event.session.ring(now=pair.uas.now)
        pair.at(0.9, lambda: pair.uas.perform(lambda now: event.session.answer(SDP, now=now)))

    pair.uas.on[InviteReceived] = received
    session = pair.call()
    pair.run(at)
    pair.uac.perform(lambda now: session.hang_up(now=now))
    pair.run(200)
    ends = [event for event in pair.uac.events if isinstance(event, Refused | HungUp | Failed)]
    assert len(ends) == 1, pair.ladder()
    pair.assert_nothing_left()
