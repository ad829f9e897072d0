"""RFC 3515 section 2, with RFC 5057 and 5589: a REFER of ours, its answers, its reports, and what a BYE says."""

import pytest
from tests.support.messages import request
from tests.support.referrer import Referrer
from tests.support.solo import Solo

from offhook.sip.digest import Credentials
from offhook.sip.events import ByeReceived, ReferLate, ReferOver, ReferProgress, ReferReceived
from offhook.sip.refer import AT_ONCE, REPORT_AFTER_BYE, Ending
from offhook.sip.referrals import LINGER

pytestmark = pytest.mark.conformance


@pytest.mark.rfc(3515, "2.1")
@pytest.mark.rfc(3892, "2.1")
def test_a_refer_says_where_to_and_by_whom() -> None:
    peer = Referrer()
    refer = peer.refer("<sip:desk@example.com>", ("X-Ticket", "7"))
    assert refer.headers.get_all("Refer-To") == ("<sip:desk@example.com>",)
    assert refer.headers.get("Referred-By") == "<sip:bob@192.0.2.2>"
    assert refer.headers.get("X-Ticket") == "7"
    # RFC 3515 2.2: a REFER has exactly one Contact, as what may move the dialog's target.
    assert len(refer.contacts) == 1
    assert refer.to.tag == peer.session.remote_tag
    assert "Refer-Sub" not in refer.headers


@pytest.mark.rfc(3515, "2.4.5")
def test_accepted_reported_and_succeeded() -> None:
    peer = Referrer()
    refer = peer.refer()
    peer.answered(refer, 202)
    assert peer.notified("SIP/2.0 100 Trying\r\n") == 200
    assert peer.notified("SIP/2.0 180 Ringing\r\n") == 200
    assert peer.outcome is None
    assert peer.notified("SIP/2.0 200 OK\r\n", "terminated;reason=noresource") == 200
    assert peer.outcome is not None
    assert (peer.outcome.ending, peer.outcome.status) == (Ending.SUCCEEDED, 200)
    said = [(event.status, event.is_report) for event in peer.told(ReferProgress)]
    assert said == [(202, False), (100, True), (180, True)]
    # The session is the layer's above to end.
    assert not peer.session.is_over
    peer.do(peer.session.hang_up)
    assert len(peer.requests("BYE")) == 1


@pytest.mark.rfc(3515, "2.4.5")
@pytest.mark.parametrize("status", [302, 404, 408, 480, 486, 487, 503, 603])
def test_accepted_and_failed(status: int) -> None:
    peer = Referrer()
    peer.answered(peer.refer(), 202)
    peer.notified("SIP/2.0 100 Trying\r\n")
    peer.notified(f"SIP/2.0 {status} No\r\n", "terminated;reason=noresource")
    assert peer.outcome is not None
    assert (peer.outcome.ending, peer.outcome.status, peer.outcome.reason) == (Ending.FAILED, status, "No")
    assert peer.outcome.last == 100
    assert not peer.session.is_over


@pytest.mark.rfc(3515, "2.4.2")
@pytest.mark.parametrize("status", [300, 400, 401, 403, 404, 405, 407, 420, 481, 489, 501, 503, 603])
def test_refused_at_once(status: int) -> None:
    peer = Referrer()
    peer.answered(peer.refer(), status)
    assert peer.outcome is not None
    assert (peer.outcome.ending, peer.outcome.status) == (Ending.REFUSED, status)
    # RFC 5057 5.1: whatever it says of the REFER, the session goes on.
    assert not peer.session.is_over
    assert peer.notified("SIP/2.0 200 OK\r\n") == 481


@pytest.mark.rfc(3515, "2.4.2")
@pytest.mark.parametrize("status", [200, 202, 204])
def test_any_2xx_accepts(status: int) -> None:
    # RFC 7647 5: other than 202 is no error.
    peer = Referrer()
    peer.answered(peer.refer(), status)
    assert peer.notified("SIP/2.0 200 OK\r\n", "terminated") == 200
    assert peer.outcome is not None
    assert peer.outcome.ending is Ending.SUCCEEDED


@pytest.mark.rfc(3261, "22.3")
@pytest.mark.parametrize("challenge", [(401, "WWW-Authenticate"), (407, "Proxy-Authenticate")])
def test_a_challenged_refer_comes_again_with_credentials_and_keeps_both_its_numbers(
    challenge: tuple[int, str],
) -> None:
    status, name = challenge
    peer = Referrer()
    peer.session.credentials = Credentials("acme", "opensesame", frozenset({"192.0.2.1"}))
    first = peer.refer()
    peer.answered(first, status, (name, 'Digest realm="r", nonce="n", algorithm=SHA-256, qop="auth"'))
    second = peer.requests("REFER")[-1]
    assert second.cseq.number == first.cseq.number + 1
    assert ("Authorization" if status == 401 else "Proxy-Authorization") in second.headers
    assert peer.outcome is None
    # The NOTIFY may come before the 202, under either number.
    assert peer.notified("SIP/2.0 100 Trying", event=f"refer;id={second.cseq.number}") == 200
    peer.answered(second, 202)
    assert peer.notified("SIP/2.0 180 Ringing", event=f"refer;id={first.cseq.number}") == 200
    assert peer.notified("SIP/2.0 200 OK", "terminated", event=f"refer;id={second.cseq.number}") == 200
    assert peer.outcome is not None
    assert peer.outcome.ending is Ending.SUCCEEDED


@pytest.mark.rfc(3261, "22.3")
def test_without_a_password_a_challenge_is_a_refusal() -> None:
    peer = Referrer()
    peer.answered(peer.refer(), 401, ("WWW-Authenticate", 'Digest realm="r", nonce="n"'))
    assert peer.outcome is not None
    assert (peer.outcome.ending, peer.outcome.status) == (Ending.REFUSED, 401)


@pytest.mark.rfc(5057, "5.2")
def test_nobody_answers_the_refer() -> None:
    peer = Referrer()
    peer.refer(timeout=120)
    peer.pass_time(33)
    assert peer.outcome is not None
    assert peer.outcome.ending is Ending.UNANSWERED
    assert not peer.session.is_over


@pytest.mark.rfc(3515, "2.4.4")
def test_accepted_and_then_silence() -> None:
    peer = Referrer()
    peer.answered(peer.refer(timeout=45), 202)
    peer.pass_time(44.9)
    assert peer.outcome is None
    peer.pass_time(0.2)
    assert peer.outcome is not None
    assert (peer.outcome.ending, peer.outcome.status) == (Ending.TIMED_OUT, None)
    assert not peer.session.is_over


@pytest.mark.rfc(3515, "2.4.4")
def test_the_time_is_up_while_it_rings_and_the_report_of_success_comes_too_late() -> None:
    peer = Referrer()
    peer.answered(peer.refer(timeout=30), 202)
    peer.notified("SIP/2.0 180 Ringing")
    peer.pass_time(30)
    assert peer.outcome is not None
    assert (peer.outcome.ending, peer.outcome.last) == (Ending.TIMED_OUT, 180)
    # Nobody can take a REFER back: the peer may go on, and is heard.
    assert peer.notified("SIP/2.0 183 Session Progress") == 200
    assert peer.notified("SIP/2.0 200 OK", "terminated;reason=noresource") == 200
    assert [event.status for event in peer.told(ReferLate)] == [200]
    assert len(peer.told(ReferOver)) == 1


@pytest.mark.rfc(3515, "2.4.4")
def test_a_failure_that_comes_too_late_changes_nothing() -> None:
    peer = Referrer()
    peer.answered(peer.refer(timeout=30), 202)
    peer.pass_time(30)
    assert peer.notified("SIP/2.0 486 Busy Here", "terminated") == 200
    assert peer.told(ReferLate) == []


@pytest.mark.rfc(3515, "2.4.4")
def test_the_first_final_report_counts_and_repetitions_do_no_harm() -> None:
    peer = Referrer()
    peer.answered(peer.refer(), 202)
    assert peer.notified("SIP/2.0 200 OK", "active;expires=60") == 200
    assert peer.notified("SIP/2.0 200 OK", "terminated;reason=noresource") == 200
    assert peer.outcome is not None
    assert peer.outcome.ending is Ending.SUCCEEDED
    assert peer.notified("SIP/2.0 503 Service Unavailable", "terminated") == 481


@pytest.mark.rfc(3261, "12.2.2")
def test_a_report_that_was_overtaken_is_out_of_order() -> None:
    peer = Referrer()
    peer.answered(peer.refer(), 202)
    assert peer.notified("SIP/2.0 180 Ringing", cseq=9) == 200
    assert peer.notified("SIP/2.0 100 Trying", cseq=8) == 500
    assert peer.notified("SIP/2.0 200 OK", "terminated", cseq=10) == 200
    assert peer.outcome is not None
    assert peer.outcome.last == 180


@pytest.mark.rfc(3515, "2.4.5")
@pytest.mark.parametrize("reason", ["", ";reason=noresource", ";reason=timeout"])
def test_the_least_that_a_peer_may_report_and_its_bye(reason: str) -> None:
    # One NOTIFY with 100 and the end of the subscription: that it succeeded, such a peer can say by BYE alone.
    peer = Referrer()
    peer.answered(peer.refer(), 202)
    assert peer.notified("SIP/2.0 100 Trying", "terminated" + reason) == 200
    assert peer.outcome is None
    peer.pass_time(20)
    peer.bye()
    peer.pass_time(REPORT_AFTER_BYE)
    assert peer.outcome is not None
    assert (peer.outcome.ending, peer.outcome.status) == (Ending.HANDED_OVER, None)


@pytest.mark.rfc(3515, "2.4.5")
def test_the_least_that_a_peer_may_report_and_nothing_more() -> None:
    peer = Referrer()
    peer.answered(peer.refer(timeout=50), 202)
    peer.notified("SIP/2.0 100 Trying", "terminated;reason=noresource")
    peer.pass_time(50)
    assert peer.outcome is not None
    assert peer.outcome.ending is Ending.TIMED_OUT


@pytest.mark.rfc(6665, "4.1.3")
@pytest.mark.parametrize("reason", ["rejected", "giveup"])
def test_a_subscription_that_ends_without_hope(reason: str) -> None:
    peer = Referrer()
    peer.answered(peer.refer(), 202)
    peer.notified("SIP/2.0 100 Trying", f"terminated;reason={reason}")
    assert peer.outcome is not None
    assert (peer.outcome.ending, peer.outcome.status) == (Ending.NOT_TRIED, None)


# -- BYE (RFC 5057: it ends the session, not the subscription; RFC 5589 6.1: after the final NOTIFY)


@pytest.mark.rfc(5589, "6.1")
def test_a_bye_right_after_the_202_has_handed_over() -> None:
    peer = Referrer()
    peer.answered(peer.refer(), 202)
    peer.bye()
    assert len(peer.told(ByeReceived)) == 1
    assert peer.outcome is None
    peer.pass_time(REPORT_AFTER_BYE)
    assert peer.outcome is not None
    assert peer.outcome.ending is Ending.HANDED_OVER


def test_a_bye_without_any_report_has_handed_over_however_late_it_comes() -> None:
    peer = Referrer()
    peer.answered(peer.refer(timeout=120), 202)
    peer.pass_time(90)
    peer.bye()
    peer.pass_time(REPORT_AFTER_BYE)
    assert peer.outcome is not None
    assert peer.outcome.ending is Ending.HANDED_OVER


def test_a_bye_while_the_target_rings_is_the_callers() -> None:
    peer = Referrer()
    peer.answered(peer.refer(), 202)
    peer.notified("SIP/2.0 180 Ringing")
    peer.bye()
    peer.pass_time(REPORT_AFTER_BYE)
    assert peer.outcome is not None
    assert (peer.outcome.ending, peer.outcome.last) == (Ending.LEFT, 180)


@pytest.mark.parametrize(("after", "ending"), [(AT_ONCE, Ending.HANDED_OVER), (AT_ONCE + 1, Ending.LEFT)])
def test_a_bye_behind_a_100_is_a_handover_only_at_once(after: float, ending: Ending) -> None:
    peer = Referrer()
    peer.answered(peer.refer(), 202)
    peer.notified("SIP/2.0 100 Trying")
    peer.pass_time(after)
    peer.bye()
    peer.pass_time(REPORT_AFTER_BYE)
    assert peer.outcome is not None
    assert peer.outcome.ending is ending


@pytest.mark.rfc(5057, "5.5")
@pytest.mark.parametrize(
    ("report", "ending"), [("SIP/2.0 200 OK", Ending.SUCCEEDED), ("SIP/2.0 486 Busy Here", Ending.FAILED)]
)
def test_the_last_report_is_believed_behind_the_bye(report: str, ending: Ending) -> None:
    peer = Referrer()
    peer.answered(peer.refer(), 202)
    peer.notified("SIP/2.0 180 Ringing")
    peer.bye()
    peer.pass_time(REPORT_AFTER_BYE - 0.1)
    assert peer.notified(report, "terminated;reason=noresource") == 200
    assert peer.outcome is not None
    assert peer.outcome.ending is ending
    peer.pass_time(40)
    peer.assert_empty()


@pytest.mark.rfc(5057, "5.5")
def test_the_last_report_may_be_numbered_before_the_bye_that_has_overtaken_it() -> None:
    peer = Referrer()
    peer.answered(peer.refer(), 202)
    assert peer.notified("SIP/2.0 180 Ringing", cseq=3) == 200
    peer.receive(peer.within("BYE", 5))
    assert peer.notified("SIP/2.0 486 Busy Here", cseq=2) == 500, "older than what has been reported"
    assert peer.notified("SIP/2.0 200 OK", "terminated;reason=noresource", cseq=4) == 200
    assert peer.outcome is not None
    assert peer.outcome.ending is Ending.SUCCEEDED
    peer.pass_time(40)
    peer.assert_empty()


@pytest.mark.rfc(3261, "12.2.2")
def test_within_a_session_a_report_out_of_order_is_refused() -> None:
    peer = Referrer()
    peer.answered(peer.refer(), 202)
    peer.receive(peer.within("OPTIONS", 5))
    assert peer.notified("SIP/2.0 200 OK", cseq=4) == 500


def test_a_bye_that_crosses_the_refer_is_the_callers() -> None:
    peer = Referrer()
    refer = peer.refer()
    peer.bye()
    peer.answered(refer, 481)
    assert peer.outcome is not None
    assert peer.outcome.ending is Ending.LEFT


def test_a_bye_that_overtakes_the_202_has_handed_over() -> None:
    peer = Referrer()
    refer = peer.refer()
    peer.bye()
    peer.answered(refer, 202)
    peer.pass_time(REPORT_AFTER_BYE)
    assert peer.outcome is not None
    assert peer.outcome.ending is Ending.HANDED_OVER


@pytest.mark.rfc(5057, "5.5")
def test_the_dialog_stays_known_for_the_last_words_and_no_longer() -> None:
    peer = Referrer()
    peer.answered(peer.refer(), 202)
    peer.notified("SIP/2.0 200 OK", "active;expires=60")
    peer.do(peer.session.hang_up)
    bye = peer.requests("BYE")[-1]
    assert peer.notified("SIP/2.0 200 OK", "active;expires=50") == 200
    peer.receive(bye.response(200))
    assert peer.notified("SIP/2.0 200 OK", "active;expires=40") == 200
    peer.pass_time(LINGER + 0.1)
    assert peer.notified("SIP/2.0 200 OK", "terminated;reason=noresource") == 481
    peer.pass_time(40)
    peer.assert_empty()


def test_our_own_end_ends_it() -> None:
    peer = Referrer()
    peer.answered(peer.refer(), 202)
    peer.do(peer.session.hang_up)
    assert peer.outcome is not None
    assert peer.outcome.ending is Ending.ABANDONED
    peer.receive(peer.requests("BYE")[-1].response(200))
    peer.pass_time(40)
    peer.assert_empty()


# -- one at a time, and one after the other


@pytest.mark.rfc(3515, "2.4.6")
def test_two_refers_of_a_dialog_are_told_apart_by_the_id() -> None:
    peer = Referrer()
    first = peer.refer()
    peer.answered(first, 202)
    peer.notified("SIP/2.0 486 Busy Here", "active;expires=60", f"refer;id={first.cseq.number}")
    second = peer.refer("<tel:+14155550111>")
    peer.answered(second, 202)
    # The first one is over, but lives on; what it says does not concern the second.
    assert peer.notified("SIP/2.0 486 Busy Here", "terminated", f"refer;id={first.cseq.number}") == 200
    assert [over.outcome.ending for over in peer.told(ReferOver)] == [Ending.FAILED]
    assert peer.notified("SIP/2.0 200 OK", "terminated", f"refer;id={second.cseq.number}") == 200
    assert [over.outcome.ending for over in peer.told(ReferOver)] == [Ending.FAILED, Ending.SUCCEEDED]


def test_one_at_a_time() -> None:
    peer = Referrer()
    peer.refer()
    assert not peer.do(peer.session.refer, "<tel:+14155550111>", timeout=30)
    assert len(peer.requests("REFER")) == 1


def test_refers_without_end_do_not_pile_up() -> None:
    peer = Referrer()
    for number in range(20):
        refer = peer.refer(f"<tel:+141555501{number:02}>")
        peer.answered(refer, 202)
        peer.notified("SIP/2.0 486 Busy Here", "active;expires=600", f"refer;id={refer.cseq.number}")
    assert len(peer.session.referrals._kept) == 4


# -- REFER towards us


@pytest.mark.rfc(3515, "2.4.2")
def test_a_refer_of_the_peer_is_refused_and_the_call_hears_of_it() -> None:
    peer = Referrer()
    [answer] = peer.receive(peer.within("REFER", 2, "Refer-To: <sip:premium@example.com>"))
    assert answer.status == 405  # type: ignore[union-attr]
    assert "REFER" not in (answer.headers.get("Allow") or "")
    assert "NOTIFY" in (answer.headers.get("Allow") or "")
    [told] = peer.told(ReferReceived)
    assert (told.session, told.status) == (peer.session, 405)
    assert not peer.session.is_over


@pytest.mark.rfc(3515, "2.4.2")
@pytest.mark.parametrize(("method", "status"), [("REFER", 405), ("SUBSCRIBE", 405), ("NOTIFY", 481)])
def test_out_of_the_blue(method: str, status: int) -> None:
    solo = Solo()
    headers = ("Event: refer", "Subscription-State: active", "Refer-To: <sip:x@example.com>")
    [answer] = solo.receive(request(method, *headers))
    assert answer.status == status  # type: ignore[union-attr]
    assert solo.told(ReferReceived) == []
    solo.assert_empty()
