"""RFC 4028 section 9: what the side says that answers an INVITE, re-INVITE or UPDATE."""

from dataclasses import dataclass

import pytest
from tests.support.messages import SDP, request
from tests.support.pair import Peer
from tests.support.solo import Solo
from tests.support.timed import KNOWS, OURS, asking, callee, within

from offhook.sip.events import InviteReceived, InviteRefused, Reinvited, SessionTimed
from offhook.sip.session_state import State

pytestmark = pytest.mark.conformance


@dataclass(frozen=True)
class Trunk(Peer):
    """A peer with a setting of its own."""

    session_timer: str | int = "accept"
    unused_extensions: frozenset[str] = frozenset()


@pytest.mark.rfc(4028, "9")
def test_the_200_says_what_was_agreed() -> None:
    solo = Solo()
    callee(solo, KNOWS, "Session-Expires: 1800")
    (answer,) = solo.responses(200)
    assert answer.headers.get("Session-Expires") == "1800;refresher=uac"
    assert answer.require == ("timer",)
    (timed,) = solo.told(SessionTimed)
    assert (timed.method, timed.ours, timed.interval, timed.by_us) == ("INVITE", False, 1800, False)


@pytest.mark.rfc(4028, "9")
def test_a_caller_that_does_not_know_timers_is_not_asked_to() -> None:
    """A proxy has asked: we refresh, and nothing is required of the caller."""
    solo = Solo()
    callee(solo, "Session-Expires: 1800")
    (answer,) = solo.responses(200)
    assert answer.headers.get("Session-Expires") == "1800;refresher=uas"
    assert "Require" not in answer.headers


@pytest.mark.rfc(4028, "9")
def test_require_timer_is_served() -> None:
    solo = Solo()
    session = callee(solo, "Require: timer", "Session-Expires: 90")
    assert solo.responses(420) == []
    assert session.state is State.CONFIRMED


@pytest.mark.rfc(4028, "9")
def test_no_timer_where_nobody_asks() -> None:
    solo = Solo()
    session = callee(solo, KNOWS)
    (answer,) = solo.responses(200)
    assert "Session-Expires" not in answer.headers
    assert solo.told(SessionTimed) == []
    solo.run(10_000)
    assert session.state is State.CONFIRMED
    assert len(solo.sent) == 2


@pytest.mark.rfc(4028, "9")
@pytest.mark.parametrize("headers", [(KNOWS,), ()])
def test_a_trunk_may_ask_for_one(headers: tuple[str, ...]) -> None:
    solo = Solo(asking(600))
    callee(solo, *headers)
    (answer,) = solo.responses(200)
    assert answer.headers.get("Session-Expires") == "600;refresher=uas"
    assert ("Require" in answer.headers) is bool(headers)


@pytest.mark.rfc(4028, "6")
@pytest.mark.rfc(4028, "9")
def test_an_interval_too_small_is_a_422_and_no_call() -> None:
    solo = Solo()
    (refusal,) = solo.receive(request("INVITE", KNOWS, "Session-Expires: 60", body=SDP))
    assert (refusal.status, refusal.headers.get("Min-SE")) == (422, "90")
    assert solo.told(InviteReceived) == []
    assert [event.response.status for event in solo.told(InviteRefused)] == [422]
    # The caller's second try is another INVITE of the same Call-ID, not a copy that came another way.
    solo.receive(request("INVITE", KNOWS, "Session-Expires: 90", "Min-SE: 90", body=SDP, cseq=2, branch="z9hG4bK2"))
    assert len(solo.told(InviteReceived)) == 1


@pytest.mark.rfc(4028, "9")
def test_an_interval_too_small_in_a_reinvite_leaves_the_session() -> None:
    solo = Solo()
    session = callee(solo, KNOWS, "Session-Expires: 1800")
    answers = solo.receive(within(session, "INVITE", 2, KNOWS, "Session-Expires: 30", body=SDP))
    assert [(answer.status, answer.headers.get("Min-SE")) for answer in answers[1:]] == [(422, "90")]
    assert solo.told(Reinvited) == []
    assert session.state is State.CONFIRMED
    assert session.timer.interval == 1800


@pytest.mark.rfc(4028, "9")
def test_a_trunk_that_is_off_is_as_if_there_were_no_timers() -> None:
    solo = Solo()
    solo.peer = Trunk("off", session_timer="off", unused_extensions=frozenset({"timer"}))
    session = callee(solo, KNOWS, "Session-Expires: 30")
    (answer,) = solo.responses(200)
    assert "Session-Expires" not in answer.headers
    assert "timer" not in answer.supported
    solo.run(10_000)
    assert session.state is State.CONFIRMED
    (refusal,) = solo.receive(request("INVITE", "Require: timer", call_id="2", branch="z9hG4bK2"))
    assert (refusal.status, refusal.unsupported) == (420, ("timer",))


@pytest.mark.rfc(4028, "9")
def test_trunks_ask_for_intervals_of_their_own() -> None:
    solo = Solo()
    solo.peer = Trunk("asks", session_timer=300)
    callee(solo, KNOWS, "Session-Expires: 1800")
    assert solo.responses(200)[0].headers.get("Session-Expires") == "300;refresher=uac"


@pytest.mark.rfc(4028, "9")
def test_every_refresh_of_the_peer_agrees_anew() -> None:
    """Interval and refresher, as each re-INVITE asks; what it leaves open stays."""
    solo = Solo()
    session = callee(solo, KNOWS, "x: 1800;refresher=uac")
    said = []
    for cseq, value in enumerate(["600;refresher=uas", "300", "90;refresher=uac", "7200"], 2):
        solo.receive(within(session, "INVITE", cseq, KNOWS, f"X: {value}", body=SDP))
        solo.do(session.answer_reinvite, OURS)
        solo.receive(within(session, "ACK", cseq))
        said.append(solo.responses(200)[-1].headers.get("Session-Expires"))
    assert said == ["600;refresher=uas", "300;refresher=uas", "90;refresher=uac", "7200;refresher=uac"]
    assert [event.interval for event in solo.told(SessionTimed)] == [1800, 600, 300, 90, 7200]


@pytest.mark.rfc(4028, "9")
def test_a_refused_reinvite_agrees_on_nothing() -> None:
    solo = Solo()
    session = callee(solo, KNOWS, "Session-Expires: 90;refresher=uac")
    solo.run(30)
    solo.receive(within(session, "INVITE", 2, KNOWS, "Session-Expires: 1800", body=SDP))
    solo.do(session.reject_reinvite, 488)
    assert session.timer.interval == 90
    assert session.timer.next_timeout() == solo.clock.start + 52.5


@pytest.mark.rfc(4028, "9")
@pytest.mark.rfc(3311, "5.2")
def test_a_refresh_by_update_is_answered_at_once() -> None:
    """Nobody above has to think about it, and it may say for how long and whose turn it is, too."""
    solo = Solo()
    session = callee(solo, KNOWS, "Session-Expires: 1800;refresher=uac")
    solo.run(100)
    (answer,) = solo.receive(within(session, "UPDATE", 2, KNOWS, "Session-Expires: 600;refresher=uas"))
    assert (answer.status, answer.body) == (200, b"")
    assert answer.headers.get("Session-Expires") == "600;refresher=uas"
    assert solo.told(Reinvited) == []
    assert session.timer.next_timeout() == solo.now + 300


@pytest.mark.rfc(4028, "9")
def test_an_interval_too_small_in_an_update_is_a_422() -> None:
    solo = Solo()
    session = callee(solo, KNOWS, "Session-Expires: 1800;refresher=uac")
    (answer,) = solo.receive(within(session, "UPDATE", 2, KNOWS, "Session-Expires: 89"))
    assert (answer.status, answer.headers.get("Min-SE")) == (422, "90")
    assert session.timer.interval == 1800


@pytest.mark.rfc(4028, "9")
def test_an_update_before_the_answer_keeps_nothing_alive() -> None:
    solo = Solo()
    solo.receive(request("INVITE", KNOWS, body=SDP))
    session = solo.told(InviteReceived)[-1].session
    solo.do(session.ring)
    (answer,) = solo.receive(within(session, "UPDATE", 2, KNOWS, "Session-Expires: 90"))
    assert (answer.status, "Session-Expires" in answer.headers) == (200, False)
    assert session.timer.next_timeout() is None
