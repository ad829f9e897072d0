"""RFC 3261 section 14: changing a session, both ways, at once, and in vain."""

import pytest
from tests.support.messages import SDP, request, response
from tests.support.pair import Pair
from tests.support.sessions import callee, caller, within
from tests.support.solo import Solo

from offhook.sip.digest import Credentials
from offhook.sip.effects import Source
from offhook.sip.events import (
    AckMissing,
    Acknowledged,
    Answered,
    ByeReceived,
    Cancelled,
    Failed,
    FailureCause,
    InviteReceived,
    ReinviteAnswered,
    Reinvited,
    ReinviteRefused,
)
from offhook.sip.session_state import State

pytestmark = pytest.mark.conformance


@pytest.mark.rfc(3261, "14.2")
def test_the_peer_changes_the_session() -> None:
    solo = Solo()
    session = callee(solo)
    (trying,) = solo.receive(within(session, "INVITE", 2, SDP))
    assert trying.status == 100
    assert solo.told(Reinvited)[0].request.sdp == SDP
    solo.do(session.answer_reinvite, b"v=0 new answer")
    answer = solo.responses(200)[-1]
    assert (answer.sdp, answer.to.tag, answer.cseq.number) == (b"v=0 new answer", session.local_tag, 2)
    assert answer.contacts
    solo.receive(within(session, "ACK", 2))
    solo.run(100)
    assert len(solo.responses(200)) == 2
    assert session.state is State.CONFIRMED


@pytest.mark.rfc(3261, "14.2")
def test_a_reinvite_whose_ack_never_comes_ends_the_session() -> None:
    solo = Solo()
    session = callee(solo)
    solo.receive(within(session, "INVITE", 2, SDP))
    solo.do(session.answer_reinvite, SDP)
    solo.run(32)
    assert len(solo.told(AckMissing)) == 1
    assert len(solo.requests("BYE")) == 1


@pytest.mark.rfc(3261, "14.2")
def test_a_refused_change_leaves_the_session_as_it_was() -> None:
    solo = Solo()
    session = callee(solo)
    solo.receive(within(session, "INVITE", 2, SDP))
    solo.do(session.reject_reinvite, 488)
    assert solo.responses(488)[0].cseq.number == 2
    assert session.state is State.CONFIRMED


@pytest.mark.rfc(3261, "14.2")
def test_a_second_invite_before_the_first_has_its_answer_is_500_with_retry_after() -> None:
    solo = Solo()
    session = callee(solo)
    solo.receive(within(session, "INVITE", 2, SDP))
    answer = solo.receive(within(session, "INVITE", 3, SDP))[-1]
    assert answer.status == 500
    assert 0 <= (answer.retry_after if answer.retry_after is not None else -1) <= 10
    solo.do(session.answer_reinvite, SDP)
    assert solo.responses(200)[-1].cseq.number == 2


@pytest.mark.rfc(3261, "14.2")
def test_a_reinvite_before_the_first_answer_is_500_too() -> None:
    solo = Solo()
    solo.receive(request(body=SDP))
    session = solo.told(InviteReceived)[0].session
    solo.do(session.ring)
    assert solo.receive(within(session, "INVITE", 2, SDP))[-1].status == 500
    assert session.state is State.RINGING


@pytest.mark.rfc(3261, "14.2")
def test_an_invite_that_meets_ours_is_491() -> None:
    solo = Solo()
    session = callee(solo)
    solo.do(session.reinvite, b"v=0 ours")
    assert solo.receive(within(session, "INVITE", 2, SDP))[-1].status == 491
    assert solo.told(Reinvited) == []


@pytest.mark.rfc(3261, "14.1")
@pytest.mark.parametrize("ours", [True, False])
def test_after_491_the_owner_of_the_call_id_waits_longer(ours: bool) -> None:
    for seed in range(20):
        solo = Solo(seed=seed)
        session = caller(solo) if ours else callee(solo)
        solo.do(session.reinvite, b"v=0 ours")
        solo.receive(response(solo.requests("INVITE")[-1], 491, "alice"))
        solo.run(10)
        # The third of its number is the next one's retransmission: nobody answers it.
        branches = [request_.via.branch for request_ in solo.requests("INVITE") if request_.body == b"v=0 ours"]
        times = [at for at, effect in solo.sent if b"v=0 ours" in effect.wire]
        assert branches[0] != branches[1]
        wait = times[1] - times[0]
        low, high = (2.1, 4.0) if ours else (0.0, 2.0)
        assert low <= wait <= high
        assert round(wait * 100) == pytest.approx(wait * 100), "in units of 10 ms"


@pytest.mark.rfc(3261, "14.1")
def test_we_change_the_session() -> None:
    solo = Solo()
    session = callee(solo)
    solo.do(session.reinvite, b"v=0 ours", (("X-Own", "1"),))
    invite = solo.requests("INVITE")[0]
    assert (invite.sdp, invite.headers.get("X-Own")) == (b"v=0 ours", "1")
    assert invite.to.tag == "alice"
    assert invite.contacts
    answer = response(invite, 200, "alice", body=SDP)
    (ack,) = solo.receive(answer)
    (again,) = solo.receive(answer)
    assert ack.method == again.method == "ACK"
    assert ack.cseq.number == invite.cseq.number
    assert [event.response.sdp for event in solo.told(ReinviteAnswered)] == [SDP]


@pytest.mark.rfc(3261, "14.1")
def test_asking_for_the_peers_offer() -> None:
    solo = Solo()
    session = caller(solo)
    solo.do(session.reinvite, None)
    invite = solo.requests("INVITE")[-1]
    assert invite.body == b""
    assert solo.receive(response(invite, 200, "alice", body=SDP)) == []
    solo.do(session.acknowledge, b"v=0 answer")
    assert solo.requests("ACK")[-1].sdp == b"v=0 answer"


@pytest.mark.rfc(3261, "14.1")
@pytest.mark.parametrize("status", [400, 403, 488, 500, 606])
def test_a_refusal_of_our_change_leaves_the_session(status: int) -> None:
    solo = Solo()
    session = caller(solo)
    solo.do(session.reinvite, b"v=0 ours")
    solo.receive(response(solo.requests("INVITE")[-1], status, "alice"))
    assert [event.response.status for event in solo.told(ReinviteRefused)] == [status]
    assert session.state is State.CONFIRMED
    assert solo.requests("BYE") == []


@pytest.mark.rfc(3261, "12.2.1.2")
@pytest.mark.parametrize("status", [408, 481])
def test_a_peer_that_has_lost_the_dialog_ends_it(status: int) -> None:
    solo = Solo()
    session = caller(solo)
    solo.do(session.reinvite, b"v=0 ours")
    solo.receive(response(solo.requests("INVITE")[-1], status, "alice"))
    said = f"{status} to our INVITE"
    assert [(event.cause, event.detail) for event in solo.told(Failed)] == [(FailureCause.DIALOG_GONE, said)]
    assert len(solo.requests("BYE")) == 1
    assert session.state is State.ENDING


@pytest.mark.rfc(3261, "14.1")
def test_a_change_that_nobody_answers_ends_the_session() -> None:
    solo = Solo()
    session = caller(solo)
    solo.do(session.reinvite, b"v=0 ours")
    solo.run(200)
    assert [event.cause for event in solo.told(Failed)] == [FailureCause.TIMEOUT]
    solo.assert_empty()


@pytest.mark.rfc(3261, "14.1")
@pytest.mark.parametrize("who", ["we", "the peer"])
def test_a_change_without_a_final_answer_is_given_up_after_the_session(who: str) -> None:
    solo = Solo()
    session = callee(solo)
    solo.do(session.reinvite, SDP)
    solo.receive(response(solo.requests("INVITE")[-1], 100, None))
    if who == "we":
        solo.do(session.hang_up)
        solo.receive(response(solo.requests("BYE")[-1], 200))
    else:
        solo.receive(within(session, "BYE", 2))
    assert solo.user_agent.open_dialogs == 0
    # A refusal that is on its way is still acknowledged.
    assert solo.user_agent.open_transactions > 0
    solo.run(100)
    solo.assert_empty()


@pytest.mark.rfc(3261, "14.1")
def test_our_change_waits_while_the_peers_is_open() -> None:
    solo = Solo()
    session = callee(solo)
    solo.receive(within(session, "INVITE", 2, SDP))
    solo.do(session.reinvite, b"v=0 ours")
    assert solo.requests("INVITE") == []
    solo.do(session.answer_reinvite, SDP)
    assert solo.requests("INVITE") == []
    solo.receive(within(session, "ACK", 2))
    assert [invite.sdp for invite in solo.requests("INVITE")] == [b"v=0 ours"]


def test_our_change_waits_for_the_ack_of_the_first_invite() -> None:
    solo = Solo()
    solo.receive(request(body=SDP))
    session = solo.told(InviteReceived)[0].session
    solo.do(session.answer, SDP)
    solo.do(session.reinvite, b"v=0 ours")
    assert solo.requests("INVITE") == []
    solo.receive(within(session, "ACK", 1, branch="z9hG4bKa"))
    assert len(solo.requests("INVITE")) == 1


@pytest.mark.rfc(3261, "9.2")
def test_a_cancelled_reinvite_leaves_the_session() -> None:
    solo = Solo()
    session = callee(solo)
    solo.receive(within(session, "INVITE", 2, SDP))
    first, second = solo.receive(within(session, "CANCEL", 2, branch="z9hG4bKINVITE2"))
    assert [(first.status, first.cseq.method), (second.status, second.cseq.method)] == [
        (200, "CANCEL"),
        (487, "INVITE"),
    ]
    assert solo.told(Cancelled) == []
    assert solo.do(session.answer_reinvite, SDP) is False
    assert session.state is State.CONFIRMED


@pytest.mark.rfc(3261, "15.1.2")
def test_a_bye_answers_the_open_reinvite_with_487() -> None:
    solo = Solo()
    session = callee(solo)
    solo.receive(within(session, "INVITE", 2, SDP))
    answers = solo.receive(within(session, "BYE", 3))
    assert [(answer.status, answer.cseq.method) for answer in answers] == [(200, "BYE"), (487, "INVITE")]
    assert len(solo.told(ByeReceived)) == 1


def test_both_sides_change_at_once_and_both_get_their_turn() -> None:
    for seed in range(10):
        pair = Pair()
        pair.netem.seed = seed
        pair.netem.delay = 0.05
        pair.uas.on[InviteReceived] = lambda event, p=pair: event.session.answer(SDP, now=p.uas.now)
        for node in (pair.uac, pair.uas):
            node.on[Reinvited] = lambda event, n=node: event.session.answer_reinvite(b"v=0 agreed", now=n.now)
        ours = pair.call()
        pair.run(1)
        theirs = pair.uas.told(InviteReceived)[0].session
        pair.uac.perform(lambda now, s=ours: s.reinvite(b"v=0 caller's", now=now))
        pair.uas.perform(lambda now, s=theirs: s.reinvite(b"v=0 callee's", now=now))
        pair.run(20)
        assert len(pair.sent("uac", 491)) == len(pair.sent("uas", 491)) == 1, pair.ladder()
        assert len(pair.uac.told(ReinviteAnswered)) == len(pair.uas.told(ReinviteAnswered)) == 1, pair.ladder()
        pair.uac.perform(lambda now, s=ours: s.hang_up(now=now))
        pair.run(100)
        assert len(pair.uas.told(ByeReceived)) == 1
        assert len(pair.uac.told(Answered)) == 1
        pair.assert_nothing_left()


@pytest.mark.rfc(3261, "12.2.1.2")
def test_a_change_that_has_no_way_to_the_peer_ends_the_session() -> None:
    """Told at once, where it had waited for ever: the peer's new Contact is reached by no transport of ours."""
    solo = Solo()
    session = callee(solo)
    solo.receive(within(session, "INVITE", 2, SDP, contact="<sip:alice@192.0.2.1;transport=sctp>"))
    solo.do(session.answer_reinvite, SDP)
    solo.receive(within(session, "ACK", 2))
    assert solo.do(session.reinvite, SDP)
    assert [event.response for event in solo.told(ReinviteRefused)] == [None]
    assert [event.cause for event in solo.told(Failed)] == [FailureCause.UNRESOLVED]
    assert session.state is State.TERMINATED


@pytest.mark.rfc(3261, "14.1")
def test_a_newer_change_replaces_one_that_waits_after_491_and_waits_as_long() -> None:
    solo = Solo(seed=3)
    session = caller(solo)
    solo.do(session.reinvite, b"v=0 first")
    solo.receive(response(solo.requests("INVITE")[-1], 491, "alice"))
    solo.do(session.reinvite, b"v=0 second")
    assert len(solo.requests("INVITE")) == 2
    solo.run(4)
    assert solo.requests("INVITE")[2].sdp == b"v=0 second"
    assert 2.1 <= solo.times("INVITE")[2] <= 4.0


@pytest.mark.rfc(3261, "14.1")
@pytest.mark.parametrize("status", [200, 488])
def test_a_change_that_is_wanted_while_another_is_open_follows_it(status: int) -> None:
    solo = Solo()
    session = callee(solo)
    solo.do(session.reinvite, b"v=0 first")
    solo.do(session.reinvite, b"v=0 second")
    assert [invite.sdp for invite in solo.requests("INVITE")] == [b"v=0 first"]
    solo.receive(response(solo.requests("INVITE")[0], status, "alice", body=SDP if status == 200 else b""))
    assert [invite.sdp for invite in solo.requests("INVITE")] == [b"v=0 first", b"v=0 second"]


@pytest.mark.rfc(3261, "14.2")
@pytest.mark.parametrize(("seconds", "wait"), [("3", 3), ("0", 0), ("3600", 10)])
def test_a_500_with_retry_after_is_tried_again_then(seconds: str, wait: float) -> None:
    solo = Solo()
    session = callee(solo)
    solo.do(session.reinvite, b"v=0 ours")
    solo.receive(response(solo.requests("INVITE")[0], 500, "alice", ("Retry-After", seconds)))
    solo.run(12)
    assert solo.times("INVITE")[1] == pytest.approx(wait)
    assert solo.told(ReinviteRefused) == []


@pytest.mark.rfc(3261, "21.5.4")
@pytest.mark.parametrize(("seconds", "again"), [("3", True), ("3600", False), (None, False)])
def test_a_change_that_meets_an_overload_comes_again_if_that_is_soon_over(seconds: str | None, again: bool) -> None:
    solo = Solo()
    session = callee(solo)
    solo.do(session.reinvite, b"v=0 ours", (("X-Own", "1"),))
    headers = (("Retry-After", seconds),) if seconds else ()
    solo.receive(response(solo.requests("INVITE")[0], 503, "alice", *headers))
    solo.run(30)
    invites = list({invite.cseq.number: invite for invite in solo.requests("INVITE")}.values())
    assert [(i.sdp, i.headers.get("X-Own")) for i in invites] == [(b"v=0 ours", "1")] * (2 if again else 1)
    assert len(solo.told(ReinviteRefused)) == (0 if again else 1)
    assert session.state is State.CONFIRMED


@pytest.mark.rfc(3261, "14.1")
def test_a_peer_that_collides_for_ever_has_refused() -> None:
    solo = Solo()
    session = callee(solo)
    solo.do(session.reinvite, b"v=0 ours")
    for _ in range(20):
        solo.receive(response(solo.requests("INVITE")[-1], 491, "alice"))
        solo.run(solo.clock.elapsed + 2)
    assert len({invite.cseq.number for invite in solo.requests("INVITE")}) == 9
    assert [event.response.status for event in solo.told(ReinviteRefused)] == [491]
    assert session.state is State.CONFIRMED
    solo.receive(within(session, "INVITE", 2, SDP))
    assert len(solo.told(Reinvited)) == 1


def test_a_change_that_waits_can_be_taken_back() -> None:
    solo = Solo()
    session = callee(solo)
    assert session.forget_reinvite() is False
    solo.receive(within(session, "INVITE", 2, SDP))
    solo.do(session.reinvite, b"v=0 ours")
    assert session.forget_reinvite() is True
    solo.do(session.answer_reinvite, SDP)
    solo.receive(within(session, "ACK", 2))
    assert solo.requests("INVITE") == []


@pytest.mark.rfc(3261, "14.1")
def test_an_answer_without_the_offer_that_was_asked_for_is_acknowledged_at_once() -> None:
    solo = Solo()
    session = caller(solo)
    solo.do(session.reinvite, None)
    (ack,) = solo.receive(response(solo.requests("INVITE")[-1], 200, "alice"))
    assert (ack.method, ack.body) == ("ACK", b"")
    assert session.owes_answer is False


@pytest.mark.rfc(3261, "13.2.2.4")
def test_a_200_that_is_repeated_while_its_offer_is_thought_about_changes_nothing() -> None:
    solo = Solo()
    session = caller(solo)
    solo.do(session.reinvite, None)
    answer = response(solo.requests("INVITE")[-1], 200, "alice", body=SDP)
    assert solo.receive(answer) == solo.receive(answer) == []
    solo.do(session.acknowledge, b"v=0 answer")
    assert [ack.sdp for ack in solo.requests("ACK")[1:]] == [b"v=0 answer"]
    (again,) = solo.receive(answer)
    assert again.body == b"v=0 answer"
    assert len(solo.told(ReinviteAnswered)) == 1


@pytest.mark.rfc(3261, "9.1")
def test_a_change_that_the_peer_thinks_about_for_a_minute_is_cancelled() -> None:
    solo = Solo()
    session = callee(solo)
    solo.do(session.reinvite, b"v=0 ours")
    invite = solo.requests("INVITE")[0]
    solo.receive(response(invite, 180, "alice"))
    solo.run(59)
    assert solo.requests("CANCEL") == []
    solo.run(60.5)
    solo.receive(response(solo.requests("CANCEL")[0], 200, None))
    solo.receive(response(invite, 487, "alice"))
    assert [event.response.status for event in solo.told(ReinviteRefused)] == [487]
    assert session.state is State.CONFIRMED
    solo.do(session.reinvite, b"v=0 again")
    assert len(solo.requests("INVITE")) == 2


@pytest.mark.rfc(3261, "9.1")
def test_a_change_that_never_ends_ends_the_session() -> None:
    solo = Solo()
    session = callee(solo)
    solo.do(session.reinvite, b"v=0 ours")
    solo.receive(response(solo.requests("INVITE")[0], 180, "alice"))
    solo.run(200)
    assert [event.cause for event in solo.told(Failed)] == [FailureCause.CANCEL_TIMEOUT]
    assert session.state is State.TERMINATED
    solo.assert_empty()


@pytest.mark.rfc(3261, "14.2")
def test_a_reinvite_that_overtakes_the_ack_is_taken() -> None:
    """Its sender has seen the 200. Only an answer that the ACK is to bring has to come first."""
    solo = Solo()
    solo.receive(request(body=SDP))
    session = solo.told(InviteReceived)[0].session
    solo.do(session.answer, SDP)
    solo.receive(within(session, "INVITE", 2, SDP))
    assert len(solo.told(Reinvited)) == 1
    solo.do(session.answer_reinvite, b"v=0 new answer")
    solo.receive(within(session, "ACK", 1))
    solo.receive(within(session, "ACK", 2))
    solo.run(100)
    assert session.state is State.CONFIRMED
    assert solo.told(AckMissing) == []


@pytest.mark.rfc(3261, "14.2")
def test_a_reinvite_that_overtakes_the_ack_with_the_answer_is_491() -> None:
    solo = Solo()
    solo.receive(request())
    session = solo.told(InviteReceived)[0].session
    solo.do(session.answer, SDP)
    assert solo.receive(within(session, "INVITE", 2, SDP))[-1].status == 491
    solo.receive(within(session, "ACK", 1, SDP))
    solo.receive(within(session, "INVITE", 3, SDP))
    assert len(solo.told(Reinvited)) == 1


@pytest.mark.rfc(3261, "14.2")
def test_an_ack_whose_body_means_nothing_is_an_ack_all_the_same() -> None:
    solo = Solo()
    solo.receive(request(body=SDP))
    session = solo.told(InviteReceived)[0].session
    solo.do(session.answer, SDP)
    solo.receive(within(session, "ACK", 1, b"--no part", content_type="multipart/mixed;boundary=part"))
    assert session.state is State.CONFIRMED
    assert [event.body for event in solo.told(Acknowledged)] == [b""]


def test_livekit_sip_96_any_request_in_the_call_killed_it() -> None:
    """pains: any INVITE within the dialog killed the call. None of these ends it, and each gets its own answer."""
    solo = Solo()
    session = callee(solo)
    for number, (body, content_type) in enumerate(
        [(SDP, "application/sdp"), (b"", ""), (b"<x/>", "application/xml"), (b"v=0 not mine", "application/sdp")], 2
    ):
        solo.receive(within(session, "INVITE", number, body, content_type=content_type))
        if not solo.do(session.answer_reinvite, SDP):
            assert len(solo.responses(415)) == 1
        solo.receive(within(session, "ACK", number, SDP if not body else b""))
    assert session.state is State.CONFIRMED
    assert len(solo.responses(200)) == 4


@pytest.mark.rfc(3261, "14.2")
def test_a_peer_that_changes_and_never_acknowledges_is_told_to_come_again() -> None:
    """Each 2xx is repeated for half a minute: without a bound one call could ask for thousands of them."""
    solo = Solo()
    session = callee(solo)
    statuses = []
    for number in range(2, 12):
        statuses += [answer.status for answer in solo.receive(within(session, "INVITE", number, SDP))]
        solo.do(session.answer_reinvite, SDP)
    assert [status for status in statuses if status != 100] == [500] * 6
    assert len(solo.responses(200)) == 1 + 4
    solo.receive(within(session, "ACK", 2))
    solo.receive(within(session, "INVITE", 20, SDP))
    assert solo.do(session.answer_reinvite, SDP)


@pytest.mark.rfc(3261, "12.2.2")
@pytest.mark.parametrize("method", ["INVITE", "UPDATE"])
def test_livekit_sip_582_the_carriers_refresh_of_a_call_of_ours_finds_it_by_its_tags(method: str) -> None:
    """pains: long outbound calls were torn down after 15 minutes, since the carrier's refresh did not find them.

    It comes from another port, with another Contact and without what our INVITE said: Call-ID and tags are enough.
    """
    solo = Solo()
    session = caller(solo)
    solo.run(900)
    body = SDP if method == "INVITE" else b""
    refresh = within(session, method, 1, body, contact="<sip:b2bua@192.0.2.1:5099>", uri="sip:somebody@192.0.2.2")
    solo.receive(refresh, Source("udp", ("192.0.2.1", 40123), ("192.0.2.2", 5060), 1))
    if method == "INVITE":
        solo.do(session.answer_reinvite, SDP)
    assert solo.responses(200)[-1].cseq.method == method
    assert session.state is State.CONFIRMED


@pytest.mark.rfc(3261, "22.2")
@pytest.mark.parametrize("method", ["INVITE", "UPDATE"])
def test_a_change_that_is_challenged_comes_again_with_credentials(method: str) -> None:
    solo = Solo()
    session = solo.invite(
        "sip:alice@192.0.2.1", credentials=Credentials("joe", "schmo", frozenset({"192.0.2.1", "192.0.2.2"}))
    )
    solo.receive(response(solo.requests("INVITE")[-1], 200, "alice", body=SDP))
    solo.do(session.reinvite if method == "INVITE" else session.update, b"v=0 ours")
    challenge = ("Proxy-Authenticate", 'Digest realm="carrier", nonce="n", qop="auth"')
    solo.receive(response(solo.requests(method)[-1], 407, "alice", challenge))
    again = solo.requests(method)[-1]
    assert (again.body, "Proxy-Authorization" in again.headers) == (b"v=0 ours", True)
    solo.receive(response(again, 200, "alice", body=SDP))
    assert len(solo.told(ReinviteAnswered)) == 1


@pytest.mark.rfc(3261, "14.2")
@pytest.mark.parametrize("offer", [SDP, None])
@pytest.mark.parametrize("agreed", [True, False])
def test_an_invite_that_meets_our_first_one_is_491(offer: bytes | None, agreed: bool) -> None:
    solo = Solo()
    session = solo.invite("sip:alice@192.0.2.1", offer)
    solo.receive(response(solo.requests("INVITE")[0], 183, "alice"))
    if agreed:
        # As by reliable provisional responses.
        session.dialog.offers.offered()
        session.dialog.offers.answer(SDP)
        session.dialog.offers.answered()
    assert solo.receive(within(session, "INVITE", 1, SDP))[-1].status == 491
    assert solo.told(Reinvited) == []
