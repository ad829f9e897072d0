"""What is over is freed at once, not when the collector next looks at all that there is.

The gateway lets the collector run rarely (`cli/run.py`), so a call that leaves a cycle behind lives on for minutes.
"""

import gc
from collections.abc import Iterator

import pytest
from tests.support.messages import SDP, request
from tests.support.referrer import Referrer
from tests.support.solo import Solo

from offhook.sip.events import InviteReceived
from offhook.sip.invite import InviteSession

pytestmark = pytest.mark.scenario


def sessions() -> int:
    return sum(isinstance(one, InviteSession) for one in gc.get_objects())


@pytest.fixture(autouse=True)
def before() -> Iterator[int]:
    """Sessions that are there already, of other tests; the collector sleeps until the end."""
    gc.collect()
    gc.disable()
    yield sessions()
    gc.enable()


def test_a_call_that_came_in(before: int) -> None:
    solo = Solo()
    solo.receive(request("INVITE", body=SDP))
    session = solo.told(InviteReceived)[0].session
    solo.do(session.answer, SDP)
    to = f"<sip:bob@192.0.2.2>;tag={session.local_tag}"
    solo.receive(request("ACK", branch="z9hG4bKack", to=to))
    solo.receive(request("BYE", branch="z9hG4bKbye", to=to, cseq=2))
    solo.run(100)
    del session
    solo.events.clear()
    solo.sent.clear()
    assert sessions() == before


def test_a_call_whose_session_timer_was_far_away(before: int) -> None:
    """It is freed with its last transaction, not when the refresh would have been due."""
    solo = Solo()
    solo.receive(request("INVITE", "Supported: timer", "Session-Expires: 3600", body=SDP))
    session = solo.told(InviteReceived)[0].session
    solo.do(session.answer, SDP)
    to = f"<sip:bob@192.0.2.2>;tag={session.local_tag}"
    solo.receive(request("ACK", branch="z9hG4bKack", to=to))
    assert session.timer.is_on
    # Another call has its time before that.
    solo.receive(request("INVITE", "Expires: 1000", branch="z9hG4bKother", call_id="other", body=SDP))
    solo.run(10)
    solo.receive(request("BYE", branch="z9hG4bKbye", to=to, cseq=2))
    solo.run(100)
    del session
    solo.events.clear()
    solo.sent.clear()
    assert sessions() == before + 1


def test_a_call_that_was_transferred(before: int) -> None:
    peer = Referrer()
    peer.answered(peer.refer(), 202)
    peer.notified("SIP/2.0 200 OK", "active;expires=60")
    peer.do(peer.session.hang_up)
    peer.receive(peer.requests("BYE")[-1].response(200))
    peer.run(100)
    peer.assert_empty()
    del peer.session
    peer.events.clear()
    peer.sent.clear()
    assert sessions() == before
