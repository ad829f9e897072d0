"""RFC 6141 section 4: what moves the address that our requests go to, and what doesn't."""

import pytest
from tests.support.messages import SDP, response
from tests.support.sessions import callee, within
from tests.support.solo import Solo

from offhook.sip.events import Reinvited
from offhook.sip.session_state import State

pytestmark = pytest.mark.conformance

OLD, NEW = "sip:alice@192.0.2.1", "sip:alice@192.0.2.9"


@pytest.mark.rfc(6141, "4.7")
@pytest.mark.parametrize("method", ["INVITE", "UPDATE"])
@pytest.mark.parametrize("accepted", [True, False])
def test_a_change_that_is_accepted_moves_the_target_and_one_that_is_refused_does_not(
    method: str, accepted: bool
) -> None:
    solo = Solo()
    session = callee(solo)
    solo.receive(within(session, method, 2, SDP, contact=f"<{NEW}>"))
    if accepted:
        solo.do(session.answer_reinvite, SDP)
        solo.receive(within(session, "ACK", 2))
    else:
        solo.do(session.reject_reinvite, 488)
    solo.do(session.hang_up)
    assert str(solo.requests("BYE")[0].request_uri) == (NEW if accepted else OLD)


@pytest.mark.rfc(6141, "4.8")
@pytest.mark.parametrize(("method", "status"), [("INVITE", 200), ("UPDATE", 200), ("INVITE", 488), ("UPDATE", 488)])
def test_the_answer_to_ours_moves_it_only_if_it_is_a_2xx(method: str, status: int) -> None:
    solo = Solo()
    session = callee(solo)
    solo.do(session.reinvite if method == "INVITE" else session.update, b"v=0 ours")
    answer = response(solo.requests(method)[0], status, "alice", ("Contact", f"<{NEW}>"), body=SDP, contact=False)
    solo.receive(answer)
    solo.do(session.hang_up)
    assert str(solo.requests("BYE")[0].request_uri) == (NEW if status == 200 else OLD)
    if method == "INVITE" and status == 200:
        assert str(solo.requests("ACK")[-1].request_uri) == NEW


@pytest.mark.rfc(6141, "4.7")
@pytest.mark.parametrize("method", ["INVITE", "UPDATE"])
@pytest.mark.parametrize("contact", ["<tel:+123>", "<sip:a@192.0.2.1>, <sip:b@192.0.2.1>", "*"])
def test_a_contact_that_leads_nowhere_is_400_and_nothing_changes(method: str, contact: str) -> None:
    solo = Solo()
    session = callee(solo)
    assert solo.receive(within(session, method, 2, SDP, contact=contact))[-1].status == 400
    assert solo.told(Reinvited) == []
    # The refused offer is not open: the next one is taken.
    solo.receive(within(session, method, 3, SDP))
    assert len(solo.told(Reinvited)) == 1
    solo.do(session.reject_reinvite, 488)
    solo.do(session.hang_up)
    assert str(solo.requests("BYE")[0].request_uri) == OLD
    assert session.state is State.ENDING


@pytest.mark.rfc(6141, "4.7")
def test_a_cancelled_reinvite_moves_nothing() -> None:
    solo = Solo()
    session = callee(solo)
    solo.receive(within(session, "INVITE", 2, SDP, contact=f"<{NEW}>"))
    solo.receive(within(session, "CANCEL", 2, branch="z9hG4bKINVITE2"))
    solo.do(session.hang_up)
    assert str(solo.requests("BYE")[0].request_uri) == OLD
