"""RFC 3262 sections 4 and 5, the caller: a PRACK for each reliable provisional response, fork by fork."""

import pytest
from tests.support.messages import SDP, response
from tests.support.sessions import callee
from tests.support.solo import Solo

from offhook.sip.events import Answered, Provisional, ReinviteAnswered, ReinviteRefused
from offhook.sip.message import Request, Response

pytestmark = pytest.mark.conformance


def reliable(invite: Request, rseq: int, status: int = 183, tag: str = "bob", body: bytes = b"") -> Response:
    headers = (("Require", "100rel"), ("RSeq", str(rseq)), ("Record-Route", "<sip:192.0.2.9;lr>"))
    return response(invite, status, tag, *headers, body=body)


def pracks(solo: Solo) -> list[tuple[str | None, str]]:
    return [(request.to.tag, str(request.rack)) for request in solo.requests("PRACK")]


@pytest.mark.rfc(3262, "4")
def test_each_reliable_response_gets_a_prack_within_its_dialog() -> None:
    solo = Solo()
    solo.invite()
    invite = solo.requests("INVITE")[0]
    assert "100rel" in invite.supported
    (prack,) = solo.receive(reliable(invite, 17, 180))
    assert isinstance(prack, Request)
    assert (prack.method, str(prack.rack)) == ("PRACK", "17 1 INVITE")
    assert (prack.to.tag, prack.cseq.number) == ("bob", 2)
    assert [str(route) for route in prack.routes] == ["<sip:192.0.2.9;lr>"]
    assert prack.via.branch != invite.via.branch
    solo.receive(response(prack, 200))
    (second,) = solo.receive(reliable(invite, 18))
    assert isinstance(second, Request)
    assert (str(second.rack), second.cseq.number) == ("18 1 INVITE", 3)
    assert [told.response.status for told in solo.told(Provisional)] == [180, 183]


@pytest.mark.rfc(3262, "4")
def test_a_repeated_response_is_dropped_and_a_lost_prack_repeats_itself() -> None:
    solo = Solo()
    solo.invite()
    invite = solo.requests("INVITE")[0]
    solo.receive(reliable(invite, 17))
    solo.run(0.4)
    assert solo.receive(reliable(invite, 17)) == []
    assert len(solo.told(Provisional)) == 1
    solo.run(2)
    assert solo.times("PRACK") == [0, 0.5, 1.5]
    assert len({request.cseq.number for request in solo.requests("PRACK")}) == 1


@pytest.mark.rfc(3262, "4")
def test_one_out_of_order_is_neither_acknowledged_nor_told() -> None:
    solo = Solo()
    solo.invite()
    invite = solo.requests("INVITE")[0]
    solo.receive(reliable(invite, 17, 180))
    assert solo.receive(reliable(invite, 19, 183, body=SDP)) == []
    assert len(solo.told(Provisional)) == 1
    solo.receive(reliable(invite, 18, 182))
    solo.receive(reliable(invite, 19, 183, body=SDP))
    assert [told.response.status for told in solo.told(Provisional)] == [180, 182, 183]
    assert pracks(solo) == [("bob", "17 1 INVITE"), ("bob", "18 1 INVITE"), ("bob", "19 1 INVITE")]


@pytest.mark.rfc(3262, "4")
def test_each_fork_counts_by_itself() -> None:
    solo = Solo()
    solo.invite()
    invite = solo.requests("INVITE")[0]
    for tag, rseq in (("one", 5), ("two", 900), ("one", 6), ("two", 901)):
        solo.receive(reliable(invite, rseq, 183, tag))
    assert pracks(solo) == [
        ("one", "5 1 INVITE"),
        ("two", "900 1 INVITE"),
        ("one", "6 1 INVITE"),
        ("two", "901 1 INVITE"),
    ]
    assert [request.cseq.number for request in solo.requests("PRACK")] == [2, 2, 3, 3]


@pytest.mark.rfc(3262, "4")
@pytest.mark.parametrize(
    "headers",
    [(("RSeq", "4"),), (("Require", "100rel"),), (("Require", "100rel"), ("RSeq", "0"))],
)
def test_what_is_not_said_to_be_reliable_gets_no_prack(headers: tuple[tuple[str, str], ...]) -> None:
    solo = Solo()
    solo.invite()
    answers = []
    made = solo.requests("INVITE")[0].response(183, to_tag="bob", headers=[("Contact", "<sip:b@192.0.2.1>"), *headers])
    answers = solo.receive(made)
    assert answers == []


@pytest.mark.rfc(3262, "4")
def test_an_unreliable_response_between_reliable_ones_is_told() -> None:
    solo = Solo()
    solo.invite()
    invite = solo.requests("INVITE")[0]
    solo.receive(reliable(invite, 1))
    solo.receive(response(invite, 180, "bob"))
    solo.receive(reliable(invite, 2, 182))
    assert [told.response.status for told in solo.told(Provisional)] == [183, 180, 182]


@pytest.mark.rfc(3262, "5")
def test_an_offer_in_a_183_is_answered_in_the_prack_and_the_200_owes_nothing() -> None:
    solo = Solo()
    session = solo.invite(offer=None)
    invite = solo.requests("INVITE")[0]
    assert solo.receive(reliable(invite, 9, body=SDP)) == []
    assert len(solo.told(Provisional)) == 1
    assert solo.receive(reliable(invite, 9, body=SDP)) == []
    assert solo.do(session.answer_early, "nobody", b"v=0 answer") is False
    assert solo.do(session.answer_early, "bob", b"v=0 answer") is True
    assert solo.do(session.answer_early, "bob", b"v=0 answer") is False
    (prack,) = solo.requests("PRACK")
    assert (str(prack.rack), prack.sdp) == ("9 1 INVITE", b"v=0 answer")
    (ack,) = solo.receive(response(invite, 200))
    assert (ack.method, ack.sdp) == ("ACK", None)  # type: ignore[union-attr]
    assert not session.owes_answer
    assert len(solo.told(Answered)) == 1


@pytest.mark.rfc(3262, "5")
def test_the_answer_of_one_fork_is_not_that_of_another() -> None:
    solo = Solo()
    session = solo.invite(offer=None)
    invite = solo.requests("INVITE")[0]
    solo.receive(reliable(invite, 9, tag="one", body=SDP))
    solo.do(session.answer_early, "one", b"v=0 answer")
    solo.receive(response(invite, 200, "two", body=SDP))
    assert session.owes_answer
    solo.do(session.acknowledge, b"v=0 to two")
    assert [(ack.to.tag, ack.sdp) for ack in solo.requests("ACK")] == [("two", b"v=0 to two")]


@pytest.mark.rfc(6337, "3.1.1")
def test_the_second_sdp_of_a_fork_is_no_offer_once_it_has_been_answered() -> None:
    solo = Solo()
    session = solo.invite(offer=None)
    invite = solo.requests("INVITE")[0]
    solo.receive(reliable(invite, 9, body=SDP))
    solo.do(session.answer_early, "bob", b"v=0 answer")
    (prack,) = solo.receive(reliable(invite, 10, 180, body=SDP))
    assert (prack.method, prack.sdp) == ("PRACK", None)  # type: ignore[union-attr]


@pytest.mark.rfc(3262, "4")
def test_a_cancelled_call_still_acknowledges_and_tells_nobody() -> None:
    solo = Solo()
    session = solo.invite()
    invite = solo.requests("INVITE")[0]
    solo.receive(response(invite, 180, "bob"))
    solo.do(session.hang_up)
    (prack,) = solo.receive(reliable(invite, 3))
    assert prack.method == "PRACK"  # type: ignore[union-attr]
    assert [told.response.status for told in solo.told(Provisional)] == [180]
    solo.receive(response(prack, 200))  # type: ignore[arg-type]
    solo.receive(response(solo.requests("CANCEL")[0], 200))
    solo.receive(response(invite, 487, "bob"))
    solo.run(70)
    solo.assert_empty()


def test_a_prack_that_nobody_answers_ends_nothing_by_itself() -> None:
    solo = Solo()
    solo.invite()
    invite = solo.requests("INVITE")[0]
    solo.receive(reliable(invite, 3))
    solo.run(40)
    solo.receive(response(invite, 200, "bob", body=SDP))
    assert len(solo.told(Answered)) == 1
    assert len(solo.requests("ACK")) == 1


def test_forks_beyond_the_bound_are_neither_told_nor_acknowledged_when_they_are_reliable() -> None:
    solo = Solo()
    solo.invite()
    invite = solo.requests("INVITE")[0]
    for number in range(30):
        solo.receive(reliable(invite, 1, tag=f"fork-{number}"))
    assert len(solo.requests("PRACK")) == 24
    assert solo.user_agent.open_dialogs == 24


@pytest.mark.rfc(3262, "4")
def test_a_reliable_response_to_a_reinvite_of_ours_gets_its_prack() -> None:
    solo = Solo()
    session = callee(solo)
    solo.do(session.reinvite, b"v=0 ours")
    invite = solo.requests("INVITE")[0]
    assert "100rel" in invite.supported
    (prack,) = solo.receive(reliable(invite, 17, 180, "alice"))
    assert isinstance(prack, Request)
    assert (prack.method, str(prack.rack), prack.to.tag) == ("PRACK", f"17 {invite.cseq.number} INVITE", "alice")
    assert solo.receive(reliable(invite, 17, 180, "alice")) == [], "its repetition has its PRACK"
    assert solo.receive(reliable(invite, 19, 180, "alice")) == [], "one before it is missing"
    solo.receive(response(prack, 200))
    (ack,) = solo.receive(response(invite, 200, "alice", body=SDP))
    assert ack.method == "ACK"
    assert [event.response.sdp for event in solo.told(ReinviteAnswered)] == [SDP]


@pytest.mark.rfc(3262, "5")
def test_the_answer_to_a_change_may_come_before_its_200_and_nowhere_else() -> None:
    solo = Solo()
    session = callee(solo)
    solo.do(session.reinvite, b"v=0 ours")
    invite = solo.requests("INVITE")[0]
    (prack,) = solo.receive(reliable(invite, 17, 183, "alice", SDP))
    assert isinstance(prack, Request)
    assert prack.body == b""
    solo.receive(response(prack, 200))
    (ack,) = solo.receive(response(invite, 200, "alice"))
    assert (ack.method, ack.body) == ("ACK", b"")
    assert [event.response.sdp for event in solo.told(ReinviteAnswered)] == [SDP]
    assert session.dialog is not None
    assert session.dialog.offers.local == b"v=0 ours"


@pytest.mark.rfc(3262, "5")
def test_a_change_that_was_answered_early_and_is_refused_leaves_the_session() -> None:
    solo = Solo()
    session = callee(solo)
    solo.do(session.reinvite, b"v=0 ours")
    invite = solo.requests("INVITE")[0]
    solo.receive(reliable(invite, 17, 183, "alice", SDP))
    solo.receive(response(invite, 488, "alice"))
    assert [event.response and event.response.status for event in solo.told(ReinviteRefused)] == [488]
    assert session.dialog is not None
    assert session.dialog.offers.local == SDP
