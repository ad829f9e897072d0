"""RFC 3311: UPDATE in both roles, before the answer and after, and with whatever it crosses."""

import pytest
from tests.support.messages import SDP, request, response
from tests.support.pair import Pair, Peer
from tests.support.sessions import callee, caller, within
from tests.support.solo import Solo

from offhook.sip.effects import Source
from offhook.sip.events import (
    Cancelled,
    Failed,
    FailureCause,
    InviteReceived,
    Provisional,
    ReinviteAnswered,
    Reinvited,
    ReinviteRefused,
)
from offhook.sip.invite import InviteSession
from offhook.sip.screening import Admit
from offhook.sip.session_state import State

pytestmark = pytest.mark.conformance

OURS = b"v=0 ours"
AGREED = b"v=0 agreed"


def ringing(solo: Solo, *, agreed: bool = True) -> InviteSession:
    """A call that rings here; `agreed` as after a reliable 183 with the answer and its PRACK."""
    solo.receive(request(body=SDP))
    session: InviteSession = solo.told(InviteReceived)[-1].session
    solo.do(session.ring)
    if agreed:
        assert session.dialog is not None
        session.dialog.offers.answer(AGREED)
    return session


# ---------------------------------------------------------------------- the peer's


@pytest.mark.rfc(3311, "5.2")
def test_an_update_with_an_offer_is_a_change_like_a_reinvite() -> None:
    solo = Solo()
    session = callee(solo)
    assert solo.receive(within(session, "UPDATE", 2, SDP)) == []
    assert solo.told(Reinvited)[0].request.method == "UPDATE"
    solo.do(session.answer_reinvite, AGREED)
    answer = solo.responses(200)[-1]
    assert (answer.cseq.method, answer.sdp, len(answer.contacts)) == ("UPDATE", AGREED, 1)
    assert "UPDATE" in answer.allow
    # No ACK follows: nothing is repeated, and nothing is missed.
    solo.run(100)
    assert len(solo.responses(200)) == 2
    assert session.state is State.CONFIRMED


@pytest.mark.rfc(3311, "5.2")
def test_a_refused_update_leaves_the_session_as_it_was() -> None:
    solo = Solo()
    session = callee(solo)
    solo.receive(within(session, "UPDATE", 2, SDP))
    solo.do(session.reject_reinvite, 488)
    assert solo.responses(488)[0].cseq.method == "UPDATE"
    assert session.state is State.CONFIRMED
    solo.receive(within(session, "UPDATE", 3, SDP))
    assert len(solo.told(Reinvited)) == 2


@pytest.mark.rfc(3311, "5.2")
def test_an_update_without_an_offer_is_answered_at_once() -> None:
    """A refresh: of the session timer, of the target, or of nothing."""
    solo = Solo()
    session = callee(solo)
    (answer,) = solo.receive(within(session, "UPDATE", 2, contact="<sip:alice@192.0.2.7>"))
    assert (answer.status, answer.body, len(answer.contacts)) == (200, b"", 1)
    assert solo.told(Reinvited) == []
    solo.do(session.hang_up)
    assert str(solo.requests("BYE")[0].request_uri) == "sip:alice@192.0.2.7"


@pytest.mark.rfc(3311, "5.2")
@pytest.mark.parametrize("body", [SDP, b""])
def test_an_update_before_the_last_one_was_answered_is_500_with_retry_after(body: bytes) -> None:
    solo = Solo()
    session = callee(solo)
    solo.receive(within(session, "UPDATE", 2, SDP))
    (answer,) = solo.receive(within(session, "UPDATE", 3, body))
    assert answer.status == 500
    assert answer.retry_after in range(11)
    solo.do(session.answer_reinvite, AGREED)
    assert solo.responses(200)[-1].cseq.number == 2


@pytest.mark.rfc(3311, "5.2")
@pytest.mark.parametrize(
    ("ours", "method", "body", "status"),
    [
        ("INVITE", "INVITE", SDP, 491),
        ("INVITE", "INVITE", b"", 491),
        ("INVITE", "UPDATE", SDP, 491),
        ("INVITE", "UPDATE", b"", 200),
        ("offerless INVITE", "INVITE", SDP, 491),
        ("offerless INVITE", "INVITE", b"", 491),
        ("offerless INVITE", "UPDATE", SDP, 491),
        ("offerless INVITE", "UPDATE", b"", 200),
        ("UPDATE", "INVITE", SDP, 491),
        ("UPDATE", "INVITE", b"", 491),
        ("UPDATE", "UPDATE", SDP, 491),
        ("UPDATE", "UPDATE", b"", 200),
    ],
)
def test_what_crosses_ours(ours: str, method: str, body: bytes, status: int) -> None:
    solo = Solo()
    session = callee(solo)
    if ours == "UPDATE":
        solo.do(session.update, OURS)
    else:
        solo.do(session.reinvite, OURS if ours == "INVITE" else None)
    assert solo.receive(within(session, method, 2, body))[-1].status == status
    assert solo.told(Reinvited) == []
    # Ours is answered as if nothing had been.
    asked = (solo.requests("UPDATE") or solo.requests("INVITE"))[-1]
    solo.receive(response(asked, 200, "alice", body=SDP))
    assert [event.response.status for event in solo.told(ReinviteAnswered)] == [200]


@pytest.mark.rfc(3311, "5.2")
@pytest.mark.parametrize(
    ("open_", "method", "body", "status"),
    [
        (("INVITE", SDP), "INVITE", SDP, 500),
        (("INVITE", SDP), "UPDATE", SDP, 500),
        (("INVITE", SDP), "UPDATE", b"", 200),
        (("INVITE", b""), "UPDATE", SDP, 500),
        (("UPDATE", SDP), "INVITE", SDP, 500),
        (("UPDATE", SDP), "INVITE", b"", 500),
        (("UPDATE", SDP), "UPDATE", SDP, 500),
    ],
)
def test_what_crosses_the_peers_own(open_: tuple[str, bytes], method: str, body: bytes, status: int) -> None:
    solo = Solo()
    session = callee(solo)
    solo.receive(within(session, open_[0], 2, open_[1]))
    answer = solo.receive(within(session, method, 3, body))[-1]
    assert answer.status == status
    assert (answer.retry_after is not None) == (status == 500)
    assert len(solo.told(Reinvited)) == 1
    assert solo.do(session.answer_reinvite, AGREED)


@pytest.mark.rfc(3311, "5.2")
def test_an_offer_while_ours_in_a_200_waits_for_the_ack_is_491() -> None:
    solo = Solo()
    session = callee(solo)
    solo.receive(within(session, "INVITE", 2))
    solo.do(session.answer_reinvite, OURS)
    assert solo.receive(within(session, "UPDATE", 3, SDP))[-1].status == 491
    assert solo.receive(within(session, "INVITE", 4, SDP))[-1].status == 491
    assert solo.receive(within(session, "UPDATE", 5))[-1].status == 200
    solo.receive(within(session, "ACK", 2, SDP))
    solo.receive(within(session, "UPDATE", 6, SDP))
    assert len(solo.told(Reinvited)) == 2


@pytest.mark.rfc(3311, "5.2")
def test_an_offer_while_we_owe_the_answer_in_the_ack_is_500() -> None:
    solo = Solo()
    session = caller(solo)
    solo.do(session.reinvite, None)
    solo.receive(response(solo.requests("INVITE")[-1], 200, "alice", body=SDP))
    answer = solo.receive(within(session, "UPDATE", 1, SDP))[-1]
    assert (answer.status, answer.retry_after is not None) == (500, True)
    solo.do(session.acknowledge, AGREED)
    solo.receive(within(session, "UPDATE", 2, SDP))
    assert len(solo.told(Reinvited)) == 1


@pytest.mark.rfc(3311, "5.2")
def test_an_update_that_nobody_here_answers_blocks_nothing_for_ever() -> None:
    solo = Solo()
    session = callee(solo)
    solo.receive(within(session, "UPDATE", 2, SDP))
    solo.run(40)
    assert solo.do(session.answer_reinvite, AGREED) is False
    solo.receive(within(session, "INVITE", 3, SDP))
    assert len(solo.told(Reinvited)) == 2
    solo.do(session.answer_reinvite, AGREED)
    assert solo.responses(200)[-1].cseq.number == 3


@pytest.mark.rfc(3261, "15.1.2")
def test_a_bye_answers_the_open_update_with_487() -> None:
    solo = Solo()
    session = callee(solo)
    solo.receive(within(session, "UPDATE", 2, SDP))
    answers = solo.receive(within(session, "BYE", 3))
    assert [(answer.status, answer.cseq.method) for answer in answers] == [(200, "BYE"), (487, "UPDATE")]
    assert solo.do(session.answer_reinvite, AGREED) is False


@pytest.mark.rfc(3311, "5.2")
def test_an_update_in_a_body_that_is_no_sdp_is_415() -> None:
    solo = Solo()
    session = callee(solo)
    (answer,) = solo.receive(within(session, "UPDATE", 2, b"<xml/>", content_type="application/xml"))
    assert answer.status == 415
    assert session.state is State.CONFIRMED


@pytest.mark.rfc(3311, "5.2")
def test_an_update_outside_any_dialog_is_481() -> None:
    assert Solo().receive(request("UPDATE", body=SDP))[0].status == 481


# ---------------------------------------------------------------------- before the answer


@pytest.mark.rfc(3311, "5.1")
def test_t_3311_a_the_caller_changes_its_address_before_the_answer() -> None:
    solo = Solo()
    session = ringing(solo)
    solo.receive(within(session, "UPDATE", 2, SDP, contact="<sip:alice@192.0.2.8>"))
    solo.do(session.answer_reinvite, AGREED)
    assert solo.responses(200)[-1].cseq.method == "UPDATE"
    assert session.state is State.RINGING
    solo.do(session.answer, b"")
    solo.receive(within(session, "ACK", 1))
    solo.do(session.hang_up)
    assert str(solo.requests("BYE")[0].request_uri) == "sip:alice@192.0.2.8"


@pytest.mark.rfc(3311, "5.2")
def test_an_offer_before_the_invites_own_is_answered_is_500() -> None:
    solo = Solo()
    session = ringing(solo, agreed=False)
    answer = solo.receive(within(session, "UPDATE", 2, SDP))[-1]
    assert (answer.status, answer.retry_after is not None) == (500, True)
    assert solo.receive(within(session, "UPDATE", 3))[-1].status == 200
    assert solo.do(session.answer, SDP)


@pytest.mark.rfc(3311, "5.1")
def test_a_cancel_ends_an_update_that_is_open() -> None:
    solo = Solo()
    session = ringing(solo)
    solo.receive(within(session, "UPDATE", 2, SDP))
    answers = solo.receive(request("CANCEL"))
    assert [(a.status, a.cseq.method) for a in answers] == [(200, "CANCEL"), (487, "INVITE"), (487, "UPDATE")]
    assert len(solo.told(Cancelled)) == 1
    solo.run(100)
    solo.assert_empty()


@pytest.mark.rfc(3311, "5.1")
def test_the_callee_offers_nothing_before_both_have_agreed() -> None:
    solo = Solo()
    session = ringing(solo, agreed=False)
    solo.do(session.update, OURS)
    assert solo.requests("UPDATE") == []
    solo.do(session.answer, AGREED)
    assert solo.requests("UPDATE") == []
    solo.receive(within(session, "ACK", 1, branch="z9hG4bKa"))
    assert [update.sdp for update in solo.requests("UPDATE")] == [OURS]


@pytest.mark.rfc(3311, "5.1")
def test_the_callee_changes_what_is_agreed_before_its_answer() -> None:
    solo = Solo()
    session = ringing(solo)
    solo.do(session.update, OURS)
    update = solo.requests("UPDATE")[0]
    assert (update.sdp, len(update.contacts)) == (OURS, 1)
    solo.receive(response(update, 200, None, body=SDP))
    assert len(solo.told(ReinviteAnswered)) == 1
    assert session.state is State.RINGING


@pytest.mark.rfc(3311, "5.1")
@pytest.mark.parametrize("status", [481, 408, 488])
def test_an_update_refused_before_the_answer_leaves_the_invite_to_its_own_end(status: int) -> None:
    solo = Solo()
    session = ringing(solo)
    solo.do(session.update, OURS)
    solo.receive(response(solo.requests("UPDATE")[0], status, None))
    assert [event.response.status for event in solo.told(ReinviteRefused)] == [status]
    assert session.state is State.RINGING
    assert solo.told(Failed) == []


@pytest.mark.rfc(3311, "5.1")
def test_each_fork_has_its_own_offer() -> None:
    """What one fork has agreed on lets us update that one; and each is updated with numbers of its own."""
    solo = Solo()
    session = solo.invite("sip:alice@192.0.2.1")
    invite = solo.requests("INVITE")[0]
    for tag in ("one", "two"):
        solo.receive(response(invite, 183, tag))
    assert len(solo.told(Provisional)) == 2
    assert session.calling is not None
    first, second = session.calling.early
    first.offers.answered()
    from_first = within(session, "UPDATE", 7, SDP, tag="one")
    from_second = within(session, "UPDATE", 3, SDP, tag="two")
    assert solo.receive(from_second)[-1].status == 491
    assert solo.receive(from_first) == []
    assert solo.told(Reinvited)[0].request.from_.tag == "one"
    solo.do(session.answer_reinvite, AGREED)
    assert solo.responses(200)[-1].cseq.number == 7
    assert (first.remote_cseq, second.remote_cseq) == (7, 3)


# ---------------------------------------------------------------------- ours


@pytest.mark.rfc(3311, "5.1")
@pytest.mark.rfc(3311, "5.3")
def test_we_change_the_session_by_update() -> None:
    solo = Solo()
    session = callee(solo)
    assert solo.do(session.update, OURS, (("X-Own", "1"),))
    update = solo.requests("UPDATE")[0]
    assert (update.sdp, update.headers.get("X-Own"), len(update.contacts)) == (OURS, "1", 1)
    solo.receive(response(update, 200, None, body=AGREED))
    assert [event.response.sdp for event in solo.told(ReinviteAnswered)] == [AGREED]
    assert solo.requests("ACK") == []
    assert session.dialog is not None
    assert session.dialog.offers.local == OURS


@pytest.mark.rfc(3311, "5.3")
@pytest.mark.parametrize("is_owner", [True, False])
def test_after_491_an_update_waits_as_a_reinvite_does(is_owner: bool) -> None:
    for seed in range(10):
        solo = Solo(seed=seed)
        session = caller(solo) if is_owner else callee(solo)
        solo.do(session.update, OURS)
        solo.receive(response(solo.requests("UPDATE")[-1], 491, None))
        solo.run(10)
        first, again = solo.times("UPDATE")[:2]
        low, high = (2.1, 4.0) if is_owner else (0.0, 2.0)
        assert low <= again - first <= high


@pytest.mark.rfc(3311, "5.3")
def test_an_update_that_is_refused_leaves_the_session() -> None:
    solo = Solo()
    session = callee(solo)
    solo.do(session.update, OURS)
    solo.receive(response(solo.requests("UPDATE")[0], 488, None))
    assert [event.response.status for event in solo.told(ReinviteRefused)] == [488]
    assert session.state is State.CONFIRMED
    assert session.dialog is not None
    assert session.dialog.offers.local == SDP


@pytest.mark.rfc(3311, "5.3")
@pytest.mark.parametrize("status", [481, 408, None])
def test_a_peer_that_has_lost_the_dialog_ends_it(status: int | None) -> None:
    solo = Solo()
    session = callee(solo)
    solo.do(session.update, OURS)
    if status is None:
        solo.run(33)
    else:
        solo.receive(response(solo.requests("UPDATE")[0], status, None))
    cause = FailureCause.TIMEOUT if status is None else FailureCause.DIALOG_GONE
    assert [event.cause for event in solo.told(Failed)] == [cause]
    assert len(solo.told(ReinviteRefused)) == 1
    assert len(solo.requests("BYE")) >= 1


@pytest.mark.rfc(3311, "4")
def test_a_peer_that_does_not_know_update_gets_a_reinvite() -> None:
    solo = Solo()
    solo.receive(request("INVITE", "Allow: INVITE, ACK, BYE", "Allow: CANCEL", body=SDP))
    session = solo.told(InviteReceived)[-1].session
    solo.do(session.ring)
    assert solo.do(session.update, OURS) is False
    solo.do(session.answer, SDP)
    solo.receive(within(session, "ACK", 1, branch="z9hG4bKa"))
    assert solo.do(session.update, OURS)
    assert solo.requests("UPDATE") == []
    assert [invite.sdp for invite in solo.requests("INVITE")] == [OURS]


@pytest.mark.rfc(3311, "4")
@pytest.mark.parametrize("status", [405, 501])
def test_a_peer_that_says_nothing_of_it_and_does_not_know_it_gets_one_too(status: int) -> None:
    solo = Solo()
    session = callee(solo)
    solo.do(session.update, OURS)
    solo.receive(response(solo.requests("UPDATE")[0], status, None))
    assert [invite.sdp for invite in solo.requests("INVITE")] == [OURS]
    solo.receive(response(solo.requests("INVITE")[0], 200, "alice", body=SDP))
    assert len(solo.told(ReinviteAnswered)) == 1
    assert solo.told(ReinviteRefused) == []


@pytest.mark.rfc(3311, "4")
def test_what_is_wanted_behind_an_update_that_the_peer_does_not_know_leaves_in_its_place() -> None:
    solo = Solo()
    session = callee(solo)
    solo.do(session.update, OURS)
    solo.do(session.update, b"v=0 hold")
    solo.receive(response(solo.requests("UPDATE")[0], 405, None))
    assert [invite.sdp for invite in solo.requests("INVITE")] == [b"v=0 hold"]
    assert len(solo.requests("UPDATE")) == 1


def test_t_3311_b_update_and_reinvite_cross_and_both_get_their_turn() -> None:
    for seed in range(10):
        pair = Pair()
        pair.netem.seed = seed
        pair.netem.delay = 0.05
        pair.uas.on[InviteReceived] = lambda event, p=pair: event.session.answer(SDP, now=p.uas.now)
        for node in (pair.uac, pair.uas):
            node.on[Reinvited] = lambda event, n=node: event.session.answer_reinvite(AGREED, now=n.now)
        ours = pair.call()
        pair.run(1)
        theirs = pair.uas.told(InviteReceived)[0].session
        pair.uac.perform(lambda now, s=ours: s.reinvite(b"v=0 caller's", now=now))
        pair.uas.perform(lambda now, s=theirs: s.update(b"v=0 callee's", now=now))
        pair.run(20)
        assert len(pair.sent("uac", 491)) == len(pair.sent("uas", 491)) == 1, pair.ladder()
        assert len(pair.uac.told(ReinviteAnswered)) == len(pair.uas.told(ReinviteAnswered)) == 1, pair.ladder()
        pair.uac.perform(lambda now, s=ours: s.hang_up(now=now))
        pair.run(100)
        pair.assert_nothing_left()


@pytest.mark.rfc(3311, "5.1")
@pytest.mark.parametrize("who", ["caller", "callee", "both"])
def test_what_a_reliable_183_has_agreed_on_is_changed_before_the_answer(who: str) -> None:
    pair = Pair()
    pair.netem.delay = 0.02
    pair.uas.on[InviteReceived] = lambda event: event.session.ring(183, AGREED, reliable=True, now=pair.uas.now)
    for node in (pair.uac, pair.uas):
        node.on[Reinvited] = lambda event, n=node: event.session.answer_reinvite(b"v=0 changed", now=n.now)
    ours = pair.call()
    pair.run(1)
    theirs = pair.uas.told(InviteReceived)[0].session
    if who != "callee":
        pair.uac.perform(lambda now: ours.update(b"v=0 caller's", now=now))
    if who != "caller":
        pair.uas.perform(lambda now: theirs.update(b"v=0 callee's", now=now))
    pair.run(10)
    answered = len(pair.uac.told(ReinviteAnswered)) + len(pair.uas.told(ReinviteAnswered))
    assert answered == (2 if who == "both" else 1), pair.ladder()
    assert {ours.state, theirs.state} == {State.PROCEEDING, State.RINGING}
    pair.uas.perform(lambda now: theirs.answer(theirs.dialog.offers.local, now=now))
    pair.run(1)
    assert ours.state is theirs.state is State.CONFIRMED, pair.ladder()
    # What stands is what the UPDATE changed; the 200 has nothing to add (RFC 6337 3.1.1).
    assert {ours.dialog.offers.local, theirs.dialog.offers.local} >= {b"v=0 changed"}
    assert pair.sent("uas", 200, "INVITE")[0].message.body == b""
    pair.uac.perform(lambda now: ours.hang_up(now=now))
    pair.run(100)
    pair.assert_nothing_left()


@pytest.mark.rfc(3581, "4")
def test_a_refresh_from_another_port_is_where_a_peer_behind_nat_is_reached_from_then_on() -> None:
    """Its router has forgotten the way: what it sends opens another one, and UPDATE is all that it sends."""
    solo = Solo()
    solo.screen = lambda request, source, user: Admit(Peer("behind nat", nat=True))
    session = callee(solo)
    solo.receive(within(session, "UPDATE", 2), Source("udp", ("192.0.2.1", 41000), ("192.0.2.2", 5060), 1))
    solo.do(session.hang_up)
    sent = solo.last()
    assert (sent.request.method, sent.target.remote) == ("BYE", ("192.0.2.1", 41000))
