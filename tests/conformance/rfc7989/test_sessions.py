"""RFC 7989: the pair of ids in every message of a session, both ways, early errors and stray ends too."""

import pytest
from tests.support.messages import SDP, request, response
from tests.support.pair import Pair
from tests.support.solo import Solo

from offhook.sip.events import Answered, InviteReceived
from offhook.sip.headers.session_id import NIL, SessionId
from offhook.sip.message import Message
from offhook.sip.screening import Challenge, Refuse

pytestmark = pytest.mark.conformance

THEIRS = "47755a9de7794ba387653f2099600ef2"
LATER = "f81d4fae7dec11d0a76500a0c91e6bf6"


def pair_of(message: Message) -> tuple[str, str | None]:
    assert message.session_id is not None, f"no Session-ID in {message}"
    assert len(message.headers.get_all("Session-ID")) == 1
    return message.session_id.local, message.session_id.remote


def called(solo: Solo, *headers: str) -> tuple[str, list[Message]]:
    """What a caller gets, from the INVITE to the end of the call; and our half."""
    said: list[Message] = list(solo.receive(request("INVITE", *headers, body=SDP)))
    session = solo.told(InviteReceived)[0].session
    before = len(solo.sent)
    solo.do(session.ring)
    solo.do(session.answer, SDP)
    to = str(solo.responses(200)[0].to)
    solo.receive(request("ACK", *headers, to=to, branch="z9hG4bKack"))
    solo.receive(
        request("INFO", *headers, to=to, branch="z9hG4bKinfo", cseq=2, body=b"5", content_type="application/dtmf")
    )
    solo.do(session.answer_info)
    solo.receive(request("INVITE", *headers, to=to, branch="z9hG4bKre", cseq=3, body=SDP))
    solo.do(session.answer_reinvite, SDP)
    solo.receive(request("ACK", *headers, to=to, branch="z9hG4bKreack", cseq=3))
    solo.do(session.reinvite, SDP)
    solo.receive(response(solo.requests("INVITE")[0], 200, body=SDP))
    solo.do(session.hang_up)
    said += [effect.response if hasattr(effect, "response") else effect.request for _, effect in solo.sent[before:]]
    return session.letterhead.session_id.local, said


@pytest.mark.rfc(7989, "6")
def test_every_message_of_ours_has_the_pair_when_we_are_called() -> None:
    ours, said = called(Solo(), f"Session-ID: {THEIRS};remote={NIL}")
    # 100, 180, 200, INFO's 200, re-INVITE's 100 and 200, our re-INVITE and its ACK, BYE.
    assert len(said) == 9
    assert {pair_of(message) for message in said} == {(ours, THEIRS)}


@pytest.mark.rfc(7989, "6")
def test_a_peer_that_knows_nothing_of_it_is_told_of_us_with_nil() -> None:
    ours, said = called(Solo())
    assert {pair_of(message) for message in said} == {(ours, NIL)}


@pytest.mark.rfc(7989, "11")
def test_a_peer_of_rfc_7329_has_the_id_that_it_sends() -> None:
    ours, said = called(Solo(), f"Session-ID: {THEIRS}")
    assert {pair_of(message) for message in said} == {(ours, THEIRS)}


@pytest.mark.parametrize("garbage", ["", "x", f"{THEIRS},{LATER}", "0" * 8_000])
def test_garbage_is_as_nothing(garbage: str) -> None:
    ours, said = called(Solo(), f"Session-ID: {garbage}")
    assert {pair_of(message) for message in said} == {(ours, NIL)}


@pytest.mark.rfc(7989, "6")
def test_every_message_of_two_of_us() -> None:
    pair = Pair()
    a, b = pair.uac, pair.uas
    b.on[InviteReceived] = lambda event: b.perform(lambda now: event.session.answer(SDP, now=now))
    session = pair.call()
    pair.run(1)
    assert a.told(Answered)
    a.perform(lambda now: session.hang_up(now=now))
    pair.run(40)
    answering = b.told(InviteReceived)[0].session
    ours, theirs = session.letterhead.session_id.local, answering.letterhead.session_id.local
    assert answering.letterhead.session_id == session.letterhead.session_id.reversed == SessionId(theirs, ours)
    first, *rest = pair.log
    assert pair_of(first.message) == (ours, NIL), "the INVITE can't know who answers"
    assert {pair_of(passed.message) for passed in rest if passed.sender == a.name} == {(ours, theirs)}
    assert {pair_of(passed.message) for passed in rest if passed.sender == b.name} == {(theirs, ours)}


@pytest.mark.rfc(7989, "6")
def test_a_refused_invite_is_acknowledged_with_the_pair_and_cancelled_with_it() -> None:
    solo = Solo()
    session = solo.invite()
    invite = solo.requests("INVITE")[0]
    ours, _ = pair_of(invite)
    theirs = ("Session-ID", f"{THEIRS};remote={ours}")
    solo.receive(response(invite, 180, "bob", theirs))
    solo.do(session.hang_up)
    assert pair_of(solo.requests("CANCEL")[0]) == (ours, THEIRS)
    solo.receive(response(invite, 487, "bob", theirs))
    assert pair_of(solo.requests("ACK")[0]) == (ours, THEIRS)


@pytest.mark.rfc(7989, "6")
def test_an_invite_that_is_sent_again_with_credentials_knows_the_other_half() -> None:
    from offhook.sip.digest import Credentials

    solo = Solo()
    solo.invite(credentials=Credentials("u", "p", frozenset({"192.0.2.1"})))
    first = solo.requests("INVITE")[0]
    ours, _ = pair_of(first)
    challenge = ("WWW-Authenticate", 'Digest realm="r", nonce="n", qop="auth"')
    solo.receive(response(first, 401, "bob", challenge, ("Session-ID", f"{THEIRS};remote={ours}")))
    assert pair_of(solo.requests("INVITE")[1]) == (ours, THEIRS)


def test_of_two_that_stand_in_a_request_the_first_counts() -> None:
    ours, said = called(Solo(), f"Session-ID: {THEIRS}", f"Session-ID: {LATER}")
    assert {pair_of(message) for message in said} == {(ours, THEIRS)}


@pytest.mark.rfc(7989, "8")
def test_the_other_half_changes_when_somebody_else_is_behind_the_peer() -> None:
    solo = Solo()
    solo.receive(request("INVITE", f"Session-ID: {THEIRS};remote={NIL}", body=SDP))
    session = solo.told(InviteReceived)[0].session
    solo.do(session.answer, SDP)
    to = str(solo.responses(200)[0].to)
    ours = session.letterhead.session_id.local
    solo.receive(request("ACK", to=to, branch="z9hG4bKack"))
    line = f"Session-ID: {LATER};remote={ours}"
    again = solo.receive(request("INVITE", line, to=to, branch="z9hG4bKre", cseq=2, body=SDP))
    assert pair_of(again[0]) == (ours, LATER)
    solo.do(session.hang_up)
    assert pair_of(solo.requests("BYE")[0]) == (ours, LATER)


@pytest.mark.rfc(7989, "6")
@pytest.mark.parametrize("method", ["INVITE", "INFO"])
def test_a_request_that_comes_out_of_order_does_not_bring_an_old_id_back(method: str) -> None:
    solo = Solo()
    solo.receive(request("INVITE", f"Session-ID: {THEIRS};remote={NIL}", body=SDP))
    session = solo.told(InviteReceived)[0].session
    solo.do(session.answer, SDP)
    to = str(solo.responses(200)[0].to)
    solo.receive(request("ACK", to=to, branch="z9hG4bKack"))
    ours = session.letterhead.session_id.local
    solo.receive(request("OPTIONS", f"Session-ID: {LATER};remote={ours}", to=to, branch="z9hG4bK9", cseq=9))
    old = f"Session-ID: {THEIRS};remote={ours}"
    late = solo.receive(request(method, old, to=to, branch="z9hG4bK8", cseq=8, body=SDP if method == "INVITE" else b""))
    assert late[-1].status == 500  # type: ignore[union-attr]
    solo.do(session.hang_up)
    assert pair_of(solo.requests("BYE")[0]) == (ours, LATER)


@pytest.mark.rfc(7989, "6")
def test_early_errors_have_the_id_that_the_session_will_have() -> None:
    """A challenge, a refusal of the screen and a broken request: all of one caller's, and all with one id."""
    solo = Solo()
    line = f"Session-ID: {THEIRS};remote={NIL}"
    admit = solo.screen
    ids = set()
    solo.screen = lambda request, source, user: Refuse(503)
    ids.add(pair_of(solo.receive(request("INVITE", line, branch="z9hG4bK1"))[0]))
    solo.screen = admit
    (refused,) = solo.receive(request("INVITE", line, "Require: x", branch="z9hG4bK2", cseq=2))
    assert refused.status == 420  # type: ignore[union-attr]
    ids.add(pair_of(refused))
    ids.add(pair_of(solo.receive(request("INVITE", line, branch="z9hG4bK3", cseq=3, body=SDP))[0]))
    session = solo.told(InviteReceived)[0].session
    assert ids == {(session.letterhead.session_id.local, THEIRS)}


@pytest.mark.rfc(7989, "6")
def test_a_challenge_has_it_too() -> None:
    import random

    from offhook.sip.digest import Challenger

    solo = Solo()
    challenger = Challenger("edge", ("SHA-256",), secret=bytes(32), rng=random.Random(1))
    solo.screen = lambda request, source, user: Challenge(challenger, {}.get)
    (challenge,) = solo.receive(request("INVITE", f"Session-ID: {THEIRS};remote={NIL}"))
    assert challenge.status == 401  # type: ignore[union-attr]
    assert pair_of(challenge)[1] == THEIRS


def test_what_is_no_session_has_it_only_if_it_was_asked_with_it() -> None:
    solo = Solo()
    (plain,) = solo.receive(request("OPTIONS"))
    assert plain.session_id is None
    (marked,) = solo.receive(request("OPTIONS", f"Session-ID: {THEIRS}", branch="z9hG4bK2"))
    assert pair_of(marked)[1] == THEIRS
    (unknown,) = solo.receive(request("BYE", f"Session-ID: {THEIRS}", to="<sip:b@h>;tag=x", branch="z9hG4bK3"))
    assert pair_of(unknown)[1] == THEIRS
