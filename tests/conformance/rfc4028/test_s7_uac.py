"""RFC 4028 section 7: what we say in an INVITE, re-INVITE or UPDATE of ours, and make of the answers."""

import pytest
from tests.support.messages import SDP, response
from tests.support.solo import Solo
from tests.support.timed import KNOWS, OURS, TAKES_UPDATE, asked, asking, callee, caller, within

from offhook.sip.events import Answered, Refused, ReinviteAnswered, ReinviteRefused, SessionExpired, SessionTimed
from offhook.sip.session_state import State
from offhook.sip.session_timer import MAX_RAISES
from offhook.sip.user_agent import UserAgentConfig

pytestmark = pytest.mark.conformance


@pytest.mark.rfc(4028, "7.1")
def test_supported_is_said_even_where_no_timer_is_asked_for() -> None:
    solo = Solo()
    solo.invite()
    (invite,) = asked(solo, "INVITE")
    assert "timer" in invite.supported
    assert "Session-Expires" not in invite.headers
    assert "timer" not in invite.require


@pytest.mark.rfc(4028, "7.1")
def test_the_first_invite_leaves_the_refresher_open() -> None:
    solo = Solo(asking(1800))
    solo.invite()
    (invite,) = asked(solo, "INVITE")
    assert invite.headers.get("Session-Expires") == "1800"
    assert "Min-SE" not in invite.headers


@pytest.mark.rfc(4028, "7.1")
def test_off_says_nothing() -> None:
    solo = Solo(UserAgentConfig(session_timer="off", supported=()))
    session = caller(solo, ("Session-Expires", "90;refresher=uac"), ("Require", "timer"))
    (invite,) = asked(solo, "INVITE")
    assert "Supported" not in invite.headers
    solo.run(500)
    assert session.state is State.CONFIRMED
    assert len(asked(solo, "INVITE")) == 1


@pytest.mark.rfc(4028, "7.2")
@pytest.mark.parametrize(("refresher", "by_us"), [("uac", True), ("uas", False)])
def test_the_answer_says_how_long_and_who(refresher: str, by_us: bool) -> None:
    solo = Solo(asking(1800))
    session = caller(solo, ("Session-Expires", f"600;refresher={refresher}"), ("Require", "timer"))
    (timed,) = solo.told(SessionTimed)
    assert (timed.method, timed.ours, timed.interval, timed.by_us) == ("INVITE", True, 600, by_us)
    assert session.timer.interval == 600


@pytest.mark.rfc(4028, "7.2")
def test_carriers_that_send_no_session_expires_in_the_200_are_refreshed_all_the_same() -> None:
    """We have asked; the carrier keeps no timer, or does not say so. Ours goes on, and a refusal ends nothing."""
    solo = Solo(asking(90))
    session = caller(solo)
    for turn in range(1, 6):
        solo.run(45 * turn + 1)
        (*_, refresh) = asked(solo, "INVITE")
        assert len(asked(solo, "INVITE")) == 1 + turn
        assert refresh.headers.get("Session-Expires") == "90;refresher=uac"
        assert refresh.body == OURS
        answer = response(refresh, 200, "alice", body=SDP) if turn % 2 else response(refresh, 488, "alice")
        solo.receive(answer)
    assert session.state is State.CONFIRMED


@pytest.mark.rfc(4028, "7.2")
def test_a_timer_in_the_200_that_we_did_not_ask_for_is_kept() -> None:
    """A proxy, or the carrier, wants one: the carrier refreshes, and we end it where the refresh is missed."""
    solo = Solo()
    session = caller(solo, ("Session-Expires", "90;refresher=uas"), ("Require", "timer"))
    solo.run(50)
    assert solo.receive(within(session, "INVITE", 2, KNOWS, "Session-Expires: 90;refresher=uac", body=SDP)) != []
    solo.do(session.answer_reinvite, OURS)
    solo.receive(within(session, "ACK", 2))
    solo.run(105)
    assert session.state is State.CONFIRMED
    solo.run(200)
    assert len(solo.requests("BYE")) >= 1


@pytest.mark.rfc(4028, "7.2")
def test_a_refresh_answered_without_a_timer_ends_the_peers_and_not_ours() -> None:
    solo = Solo()
    session = caller(solo, ("Session-Expires", "90;refresher=uas"))
    solo.do(session.reinvite, OURS)
    solo.receive(response(asked(solo, "INVITE")[-1], 200, "alice", body=SDP))
    assert solo.told(SessionTimed)[-1].interval is None
    solo.run(1000)
    assert session.state is State.CONFIRMED


@pytest.mark.rfc(4028, "7.3")
def test_a_422_is_tried_again_with_its_min_se() -> None:
    """The same Call-ID and tags, the next CSeq number, an interval that is long enough."""
    solo = Solo(asking(90))
    session = solo.invite("sip:alice@192.0.2.1", OURS)
    (first,) = asked(solo, "INVITE")
    sent = solo.receive(response(first, 422, "alice", ("Min-SE", "1800")))
    assert [message.method for message in sent] == ["ACK", "INVITE"]
    second = asked(solo, "INVITE")[-1]
    assert (second.headers.get("Session-Expires"), second.headers.get("Min-SE")) == ("1800", "1800")
    assert (second.call_id, second.from_.tag, second.to.tag) == (first.call_id, first.from_.tag, None)
    assert second.cseq.number == first.cseq.number + 1
    assert second.body == OURS
    solo.receive(response(second, 200, "alice", ("Session-Expires", "1800;refresher=uac"), body=SDP))
    assert [event.session for event in solo.told(Answered)] == [session]
    assert solo.requests("ACK")[-1].cseq.number == second.cseq.number
    # And for as long as the dialog lives.
    solo.run(901)
    assert asked(solo, "INVITE")[-1].headers.get("Min-SE") == "1800"


@pytest.mark.rfc(4028, "7.3")
def test_a_422_of_one_fork_leaves_no_early_dialog() -> None:
    solo = Solo(asking(90))
    solo.invite("sip:alice@192.0.2.1", OURS)
    (first,) = asked(solo, "INVITE")
    solo.receive(response(first, 180, "early"))
    solo.receive(response(first, 422, "alice", ("Min-SE", "1800")))
    assert solo.user_agent.open_dialogs == 0
    second = asked(solo, "INVITE")[-1]
    solo.receive(response(second, 180, "bob"))
    solo.receive(response(second, 200, "bob", body=SDP))
    assert len(solo.told(Answered)) == 1


@pytest.mark.rfc(4028, "7.3")
@pytest.mark.parametrize("min_se", [None, "nonsense", "60", "90"])
def test_a_422_that_asks_for_nothing_is_a_refusal(min_se: str | None) -> None:
    solo = Solo(asking(90))
    solo.invite("sip:alice@192.0.2.1")
    headers = [("Min-SE", min_se)] if min_se is not None else []
    solo.receive(response(asked(solo, "INVITE")[0], 422, "alice", *headers))
    assert [event.response.status for event in solo.told(Refused)] == [422]


@pytest.mark.rfc(4028, "7.3")
def test_who_always_wants_more_is_given_up() -> None:
    solo = Solo(asking(90))
    solo.invite("sip:alice@192.0.2.1")
    for turn in range(MAX_RAISES + 1):
        assert solo.told(Refused) == []
        solo.receive(response(asked(solo, "INVITE")[-1], 422, "alice", ("Min-SE", str(100 + turn))))
    assert len(asked(solo, "INVITE")) == MAX_RAISES + 1
    assert len(solo.told(Refused)) == 1
    solo.run(100)
    solo.assert_empty()


@pytest.mark.rfc(4028, "7.3")
def test_a_422_that_meets_our_cancel_is_the_end() -> None:
    solo = Solo(asking(90))
    session = solo.invite("sip:alice@192.0.2.1")
    (invite,) = asked(solo, "INVITE")
    solo.receive(response(invite, 180, "alice"))
    solo.do(session.hang_up)
    solo.receive(response(invite, 422, "alice", ("Min-SE", "1800")))
    assert len(asked(solo, "INVITE")) == 1
    assert session.state is State.TERMINATED


@pytest.mark.rfc(4028, "7.3")
def test_a_change_of_ours_that_gets_a_422_is_asked_again() -> None:
    solo = Solo()
    session = caller(solo, ("Session-Expires", "90;refresher=uac"))
    solo.do(session.reinvite, b"v=0 hold")
    first = asked(solo, "INVITE")[-1]
    solo.receive(response(first, 422, "alice", ("Min-SE", "600")))
    second = asked(solo, "INVITE")[-1]
    assert (second.body, second.cseq.number) == (b"v=0 hold", first.cseq.number + 1)
    assert second.headers.get("Session-Expires") == "600;refresher=uac"
    solo.receive(response(second, 200, "alice", ("Session-Expires", "600;refresher=uac"), body=SDP))
    assert len(solo.told(ReinviteAnswered)) == 1
    assert solo.told(ReinviteRefused) == []


@pytest.mark.rfc(4028, "7.3")
@pytest.mark.parametrize("update", [True, False])
def test_a_422_to_a_refresh_does_not_take_the_place_of_the_hold_behind_it(update: bool) -> None:
    solo = Solo()
    headers = (("Allow", "INVITE, ACK, BYE, UPDATE"),) if update else ()
    session = caller(solo, ("Session-Expires", "90;refresher=uac"), *headers)
    solo.run(45.5)
    refresh = asked(solo, "UPDATE" if update else "INVITE")[-1]
    assert refresh.cseq.number == 2
    solo.do(session.reinvite, b"v=0 hold", (("X-Own", "1"),))
    solo.receive(response(refresh, 422, "alice", ("Min-SE", "600")))
    hold = asked(solo, "INVITE")[-1]
    assert (hold.body, hold.headers.get("X-Own")) == (b"v=0 hold", "1")
    solo.receive(response(hold, 200, "alice", ("Session-Expires", "600;refresher=uac"), body=SDP))
    solo.run(60)
    assert [event.is_refresh for event in solo.told(ReinviteAnswered)] == [False]
    assert session.timer.interval == 600
    assert session.dialog is not None
    assert session.dialog.offers.local == b"v=0 hold"


@pytest.mark.rfc(4028, "7.2")
def test_a_change_by_update_begins_the_interval_anew_in_both_roles() -> None:
    """An UPDATE with an offer that the layer above answers may be what turns the timer on: then it runs."""
    for by_us in (False, True):
        solo = Solo()
        session = callee(solo, TAKES_UPDATE)
        assert session.timer.next_timeout() is None
        if by_us:
            solo.do(session.update, b"v=0 ours")
            update = asked(solo, "UPDATE")[-1]
            answer = response(update, 200, None, ("Session-Expires", "90;refresher=uas"), body=SDP)
            solo.receive(answer)
        else:
            lines = (KNOWS, "Session-Expires: 90;refresher=uac")
            solo.receive(within(session, "UPDATE", 2, *lines, body=SDP))
            solo.do(session.answer_reinvite, OURS)
        solo.run(120)
        assert session.is_over, "nobody refreshed it"
        assert len(solo.told(SessionExpired)) == 1


@pytest.mark.rfc(4028, "7.4")
def test_a_refresh_by_update_carries_no_offer() -> None:
    solo = Solo()
    callee(solo, KNOWS, TAKES_UPDATE, "Session-Expires: 90;refresher=uas")
    solo.run(46)
    (update,) = asked(solo, "UPDATE")
    assert update.body == b""
    assert update.headers.get("Session-Expires") == "90;refresher=uac"
    assert "timer" in update.supported
    assert len(update.contacts) == 1
    assert solo.times("UPDATE")[0] == 45


@pytest.mark.rfc(4028, "7.4")
def test_a_refresh_by_reinvite_changes_nothing() -> None:
    """The SDP is what the peer had last, byte for byte, so its version says that nothing has changed."""
    solo = Solo()
    session = callee(solo, KNOWS, "Session-Expires: 90;refresher=uas")
    solo.run(46)
    (first,) = asked(solo, "INVITE")
    assert first.body == OURS
    solo.receive(response(first, 200, "alice", ("Session-Expires", "90;refresher=uac"), body=SDP))
    assert solo.requests("ACK")[-1].cseq.number == first.cseq.number
    # A change in between, accepted, is what stands from then on; one that was refused is not.
    changed, refused = b"v=0 changed", b"v=0 refused"
    solo.do(session.reinvite, changed)
    solo.receive(response(asked(solo, "INVITE")[-1], 200, "alice", ("Session-Expires", "90;refresher=uac"), body=SDP))
    solo.do(session.reinvite, refused)
    solo.receive(response(asked(solo, "INVITE")[-1], 488, "alice"))
    solo.run(46 + 50)
    assert asked(solo, "INVITE")[-1].body == changed


@pytest.mark.rfc(4028, "7.4")
def test_the_roles_stay_as_they_are_in_every_change_of_ours() -> None:
    solo = Solo()
    session = callee(solo, KNOWS, "Session-Expires: 600;refresher=uac", "Min-SE: 120")
    solo.do(session.reinvite, b"v=0 hold")
    (change,) = asked(solo, "INVITE")
    assert (change.headers.get("Session-Expires"), change.headers.get("Min-SE")) == ("600;refresher=uas", "120")
