"""RFC 3261 sections 12.1.2 and 13.2.2, RFC 6228: several forks of one INVITE, in any order."""

import itertools

import pytest
from tests.support.messages import SDP, request, response
from tests.support.solo import Solo

from offhook.sip.events import Answered, InfoReceived, Provisional
from offhook.sip.message import Request, Response
from offhook.sip.session_state import State

pytestmark = pytest.mark.conformance


def calling(solo: Solo) -> tuple[object, Request]:
    return solo.invite(), solo.requests("INVITE")[0]


def of_fork(invite: Request, tag: str, method: str, cseq: int, *headers: str) -> Request:
    """A request of a fork's within its early dialog."""
    return request(
        method,
        *headers,
        from_=f"<sip:bob@192.0.2.1>;tag={tag}",
        to=f"<sip:us@192.0.2.2>;tag={invite.from_.tag}",
        call_id=invite.call_id,
        branch=f"z9hG4bK{tag}{cseq}",
        cseq=cseq,
    )


@pytest.mark.rfc(3261, "13.2.2.4")
@pytest.mark.parametrize("order", list(itertools.permutations(("one", "two", "three"))), ids="-".join)
def test_t_3261_j_three_forks_ring_and_any_of_them_answers_in_any_order(order: tuple[str, ...]) -> None:
    solo = Solo()
    session, invite = calling(solo)
    for tag in ("one", "two", "three"):
        solo.receive(response(invite, 183, tag, ("Record-Route", f"<sip:{tag}.example;lr>"), body=SDP))
    for tag in order:
        solo.receive(response(invite, 200, tag, ("Record-Route", f"<sip:192.0.2.7;lr;of={tag}>"), body=SDP))
    assert session.remote_tag == order[0]  # type: ignore[attr-defined]
    assert [ack.to.tag for ack in solo.requests("ACK")] == list(order)
    assert [bye.to.tag for bye in solo.requests("BYE")] == list(order[1:])
    assert [str(route) for route in solo.requests("ACK")[0].routes] == [f"<sip:192.0.2.7;lr;of={order[0]}>"]
    assert [event.response.to.tag for event in solo.told(Answered)] == [order[0]]


@pytest.mark.rfc(3261, "13.2.2.4")
def test_early_media_of_one_fork_and_the_answer_of_another_that_never_rang() -> None:
    solo = Solo()
    session, invite = calling(solo)
    solo.receive(response(invite, 183, "rings", body=SDP))
    solo.receive(response(invite, 200, "answers", body=b"v=0 other"))
    assert session.remote_tag == "answers"  # type: ignore[attr-defined]
    assert solo.told(Answered)[0].response.sdp == b"v=0 other"
    (answer,) = solo.receive(of_fork(invite, "rings", "INFO", 1, "Content-Type: application/dtmf"))
    assert answer.status == 481  # type: ignore[union-attr]


@pytest.mark.rfc(3261, "13.2.2.4")
@pytest.mark.parametrize("seconds", [1, 31])
def test_a_late_2xx_gets_ack_and_bye_though_the_call_is_over(seconds: float) -> None:
    solo = Solo()
    session, invite = calling(solo)
    solo.receive(response(invite, 200, "one", body=SDP))
    solo.do(session.hang_up)  # type: ignore[attr-defined]
    solo.receive(response(solo.requests("BYE")[0], 200))
    assert session.state is State.TERMINATED  # type: ignore[attr-defined]
    solo.run(seconds)
    ack, bye = solo.receive(response(invite, 200, "two", body=SDP))
    assert [(m.method, m.to.tag) for m in (ack, bye)] == [("ACK", "two"), ("BYE", "two")]  # type: ignore[union-attr]
    solo.receive(response(bye, 200))  # type: ignore[arg-type]
    solo.run(100)
    solo.assert_empty()


@pytest.mark.rfc(3261, "12.2.2")
def test_each_early_dialog_has_its_own_numbers() -> None:
    solo = Solo()
    _, invite = calling(solo)
    solo.receive(response(invite, 183, "one"))
    solo.receive(response(invite, 183, "two"))
    for tag, cseq, status in (("one", 900, 200), ("two", 5, 200), ("one", 899, 500), ("two", 6, 200)):
        (answer,) = solo.receive(of_fork(invite, tag, "OPTIONS", cseq))
        assert isinstance(answer, Response)
        assert (tag, answer.status) == (tag, status)
    assert solo.told(InfoReceived) == []


@pytest.mark.rfc(6228, "4")
def test_a_199_ends_its_own_early_dialog_and_no_other() -> None:
    solo = Solo()
    session, invite = calling(solo)
    solo.receive(response(invite, 183, "one", body=SDP))
    solo.receive(response(invite, 183, "two", body=SDP))
    solo.receive(response(invite, 199, "one"))
    assert solo.user_agent.open_dialogs == 1
    assert [dialog.remote_tag for dialog in session.calling.early] == ["two"]  # type: ignore[attr-defined]
    (answer,) = solo.receive(of_fork(invite, "one", "OPTIONS", 1))
    assert answer.status == 481  # type: ignore[union-attr]
    assert [event.response.status for event in solo.told(Provisional)] == [183, 183, 199]


@pytest.mark.rfc(6228, "4")
def test_a_reliable_199_is_acknowledged_and_a_200_of_that_fork_counts_all_the_same() -> None:
    solo = Solo()
    session, invite = calling(solo)
    (prack,) = solo.receive(response(invite, 199, "one", ("Require", "100rel"), ("RSeq", "4")))
    assert prack.method == "PRACK"  # type: ignore[union-attr]
    solo.receive(response(invite, 200, "one", body=SDP))
    assert session.remote_tag == "one"  # type: ignore[attr-defined]
    (answer,) = solo.receive(of_fork(invite, "one", "BYE", 1))
    assert answer.status == 200  # type: ignore[union-attr]


def test_forks_beyond_the_bound_make_no_dialog_and_may_still_answer() -> None:
    solo = Solo()
    session, invite = calling(solo)
    for number in range(40):
        solo.receive(response(invite, 183, f"fork-{number}", body=SDP))
    assert solo.user_agent.open_dialogs == 24
    assert len(solo.told(Provisional)) == 40
    solo.receive(response(invite, 200, "fork-39", body=SDP))
    assert session.remote_tag == "fork-39"  # type: ignore[attr-defined]
    assert solo.user_agent.open_dialogs == 1


@pytest.mark.rfc(3261, "12.1.2")
def test_who_gives_up_leaves_no_early_dialog_behind() -> None:
    solo = Solo()
    session, invite = calling(solo)
    for tag in ("one", "two", "three"):
        solo.receive(response(invite, 180, tag))
    solo.do(session.hang_up)  # type: ignore[attr-defined]
    solo.receive(response(solo.requests("CANCEL")[0], 200))
    # The 200 of a fork and the CANCEL have crossed; another fork is cancelled.
    ack, bye = solo.receive(response(invite, 200, "two", body=SDP))
    assert [(m.method, m.to.tag) for m in (ack, bye)] == [("ACK", "two"), ("BYE", "two")]  # type: ignore[union-attr]
    solo.receive(response(bye, 200))  # type: ignore[arg-type]
    solo.run(100)
    solo.assert_empty()
