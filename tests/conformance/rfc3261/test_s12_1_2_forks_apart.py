"""RFC 3261 12.1.2, RFC 3262 and 3311 in forks: what one early dialog has open, or said, is nothing to the others."""

import pytest
from tests.conformance.rfc3261.test_s13_2_2_forks import of_fork
from tests.support.messages import SDP, request, response
from tests.support.pair import Peer
from tests.support.solo import Solo

from offhook.errors import RemoteProtocolError
from offhook.sip.effects import SendRequest, Source
from offhook.sip.events import Answered, Failed, ReinviteAnswered, Reinvited, ReinviteRefused
from offhook.sip.invite import InviteSession
from offhook.sip.message import Request, Response
from offhook.sip.session_state import State

pytestmark = pytest.mark.conformance

ONE, TWO = "1" * 32, "2" * 32
AGREED = b"v=0 agreed early"


def reliable(invite: Request, tag: str, *headers: tuple[str, str], rseq: int = 1, body: bytes = SDP) -> Response:
    return response(invite, 183, tag, ("Require", "100rel"), ("RSeq", str(rseq)), *headers, body=body)


def forking(solo: Solo, *headers: tuple[str, str]) -> tuple[InviteSession, Request]:
    """A call of ours whose forks `two` and then `one` have agreed on early media; `headers` is what both say."""
    session: InviteSession = solo.invite("sip:alice@192.0.2.1")
    invite = solo.requests("INVITE")[0]
    for tag in ("two", "one"):
        solo.receive(reliable(invite, tag, *headers))
        solo.receive(response(solo.requests("PRACK")[-1], 200, None))
    return session, invite


def update_of(invite: Request, tag: str, cseq: int, body: bytes = b"v=0 theirs") -> Request:
    return request(
        "UPDATE",
        from_=f"<sip:alice@192.0.2.1>;tag={tag}",
        to=f"<sip:us@192.0.2.2>;tag={invite.from_.tag}",
        call_id=invite.call_id,
        branch=f"z9hG4bKupdate{tag}{cseq}",
        cseq=cseq,
        body=body,
    )


@pytest.mark.rfc(3311, "5.1")
@pytest.mark.parametrize("end", [481, 488, None])
def test_an_update_that_is_open_in_a_fork_ends_with_it_and_not_with_the_call(end: int | None) -> None:
    solo = Solo()
    session, invite = forking(solo)
    assert solo.do(session.update, b"v=0 to one")
    update = solo.requests("UPDATE")[0]
    assert update.to.tag == "one"
    solo.receive(response(invite, 200, "two", body=SDP))
    assert [event.response for event in solo.told(ReinviteRefused)] == [None]
    assert solo.do(session.update, b"v=0 hold")
    assert [(u.to.tag, u.sdp) for u in solo.requests("UPDATE")][-1] == ("two", b"v=0 hold"), "at once"
    solo.receive(response(solo.requests("UPDATE")[-1], 200, None, body=SDP))
    assert len(solo.told(ReinviteAnswered)) == 1
    if end is not None:
        solo.receive(response(update, end, None))
    solo.run(100)
    assert (session.state, solo.told(Failed)) == (State.CONFIRMED, [])
    assert session.dialog is not None
    assert session.dialog.offers.local == b"v=0 hold"
    solo.do(session.hang_up)
    solo.receive(response(solo.requests("BYE")[0], 200, None))
    solo.run(400)
    solo.assert_empty()


@pytest.mark.rfc(3311, "5.2")
def test_an_offer_of_a_fork_that_does_not_answer_stands_in_nobodys_way() -> None:
    solo = Solo()
    session, invite = forking(solo)
    solo.receive(update_of(invite, "one", 1))
    assert len(solo.told(Reinvited)) == 1
    solo.receive(response(invite, 200, "two", body=SDP))
    (refused,) = solo.responses(481)
    assert (refused.cseq.method, refused.from_.tag) == ("UPDATE", "one")
    assert solo.do(session.answer_reinvite, b"v=0 too late") is False
    solo.receive(update_of(invite, "two", 1))
    assert len(solo.told(Reinvited)) == 2
    assert solo.do(session.answer_reinvite, b"v=0 answer")
    assert solo.responses(200)[-1].from_.tag == "two"


@pytest.mark.rfc(6228, "4")
def test_after_a_199_what_is_open_in_that_fork_is_over_and_the_call_is_the_others() -> None:
    solo = Solo()
    session, invite = forking(solo)
    solo.do(session.update, b"v=0 to one")
    solo.receive(response(invite, 199, "one"))
    assert len(solo.told(ReinviteRefused)) == 1
    assert solo.do(session.update, b"v=0 to two")
    assert [u.to.tag for u in solo.requests("UPDATE")] == ["one", "two"]
    solo.receive(response(invite, 199, "two"))
    assert solo.do(session.update, b"v=0 to nobody") is True
    assert len(solo.requests("UPDATE")) == 2, "it waits for somebody to talk to"
    solo.receive(response(invite, 480, "two"))
    solo.run(400)
    solo.assert_empty()


@pytest.mark.rfc(3311, "5.1")
def test_a_change_that_comes_again_goes_to_the_fork_that_it_was_for() -> None:
    solo = Solo()
    session, invite = forking(solo)
    solo.do(session.update, b"v=0 to one")
    solo.receive(response(solo.requests("UPDATE")[0], 491, None))
    solo.receive(response(invite, 180, "two"))
    solo.run(10)
    assert {(u.to.tag, u.sdp) for u in solo.requests("UPDATE")} == {("one", b"v=0 to one")}


@pytest.mark.rfc(3262, "5")
def test_the_sdp_of_the_200_is_no_answer_to_an_update_that_is_open() -> None:
    """Many repeat in the 200 what the reliable 183 has said."""
    for body in (SDP, b""):
        solo = Solo()
        session, invite = forking(solo)
        solo.do(session.update, b"v=0 ours")
        solo.receive(response(invite, 200, "one", body=body))
        assert session.dialog is not None
        assert session.dialog.offers.local == b"v=0 offer"
        solo.receive(response(solo.requests("UPDATE")[0], 200, None, body=SDP))
        assert session.dialog.offers.local == b"v=0 ours"
        assert len(solo.told(ReinviteAnswered)) == 1


@pytest.mark.rfc(3311, "4")
def test_what_one_fork_takes_is_not_what_another_takes() -> None:
    solo = Solo()
    session: InviteSession = solo.invite("sip:alice@192.0.2.1")
    invite = solo.requests("INVITE")[0]
    solo.receive(reliable(invite, "one", ("Allow", "INVITE, ACK, BYE")))
    solo.receive(reliable(invite, "two"))
    assert solo.do(session.update, b"v=0 ours"), "it has not said that it doesn't"
    assert [u.to.tag for u in solo.requests("UPDATE")] == ["two"]
    solo.receive(response(invite, 200, "one", body=SDP))
    assert session.allows == frozenset({"INVITE", "ACK", "BYE"})


@pytest.mark.rfc(3581, "4")
def test_where_one_fork_is_seen_is_not_where_another_is_reached() -> None:
    solo = Solo()
    solo.peer = Peer("trunk", nat=True)
    session: InviteSession = solo.invite("sip:alice@192.0.2.1", None, peer=solo.peer)
    invite = solo.requests("INVITE")[0]
    solo.receive(reliable(invite, "two"))
    solo.receive(reliable(invite, "one"))
    elsewhere = Source("udp", ("192.0.2.66", 5060), ("192.0.2.2", 5060), 1)
    solo.receive(update_of(invite, "one", 1, b""), elsewhere)
    solo.do(session.answer_early, "two", AGREED)
    effect = solo.last()
    assert isinstance(effect, SendRequest)
    assert (effect.request.method, effect.target.host) == ("PRACK", "192.0.2.1")


@pytest.mark.rfc(7989, "6")
def test_each_fork_is_called_what_it_calls_itself() -> None:
    solo = Solo()
    session: InviteSession = solo.invite("sip:alice@192.0.2.1", None)
    invite = solo.requests("INVITE")[0]
    solo.receive(reliable(invite, "one", ("Session-ID", f"{ONE};remote={'0' * 32}")))
    solo.receive(reliable(invite, "two", ("Session-ID", f"{TWO};remote={'0' * 32}")))
    solo.receive(reliable(invite, "silent"))
    for tag, theirs in (("one", ONE), ("two", TWO), ("silent", "0" * 32)):
        solo.do(session.answer_early, tag, AGREED)
        said = solo.requests("PRACK")[-1].session_id
        assert said is not None
        assert (tag, said.remote) == (tag, theirs)
    solo.receive(response(invite, 200, "two"))
    assert _theirs(solo.requests("ACK")[-1]) == TWO
    # One that answers later is told of itself, and the call goes on with the other.
    ack, bye = solo.receive(response(invite, 200, "late", ("Session-ID", f"{ONE};remote={'0' * 32}"), body=SDP))
    assert (_theirs(ack), _theirs(bye)) == (ONE, ONE)
    solo.receive(response(bye, 200, None))  # type: ignore[arg-type]
    solo.do(session.hang_up)
    assert _theirs(solo.requests("BYE")[-1]) == TWO


@pytest.mark.rfc(3261, "13.2.2.4")
def test_a_change_that_waited_for_the_answer_follows_it() -> None:
    solo = Solo()
    session: InviteSession = solo.invite("sip:alice@192.0.2.1")
    invite = solo.requests("INVITE")[0]
    solo.receive(response(invite, 180, "one"))
    assert solo.do(session.update, b"v=0 ours")
    assert solo.requests("UPDATE") == [], "nothing is agreed that could be changed"
    solo.receive(response(invite, 200, "one", body=SDP))
    assert len(solo.told(Answered)) == 1
    assert [u.sdp for u in solo.requests("UPDATE")] == [b"v=0 ours"]


@pytest.mark.rfc(3261, "12.3")
def test_an_early_dialog_that_ends_with_everything_open_leaves_nothing() -> None:
    solo = Solo()
    session, invite = forking(solo)
    solo.receive(reliable(invite, "one", rseq=2, body=b""))
    solo.do(session.update, b"v=0 ours")
    solo.receive(update_of(invite, "two", 1))
    solo.receive(of_fork(invite, "one", "INFO", 1, "Content-Type: application/dtmf"))
    solo.receive(response(invite, 486, "one"))
    assert session.state is State.TERMINATED
    assert solo.user_agent.open_dialogs == 0
    solo.run(400)
    solo.assert_empty()


def _theirs(message: Request | Response) -> str | None:
    if message.session_id is None:
        raise RemoteProtocolError("no Session-ID", status_hint=400)
    return message.session_id.remote
