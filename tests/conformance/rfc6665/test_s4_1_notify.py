"""RFC 6665 sections 4.1.2, 4.1.3 and 8: NOTIFYs of the one package that we know, and of others."""

import pytest
from tests.support.referrer import Referrer

from offhook.sip.events import ReferProgress
from offhook.sip.refer import Ending
from offhook.sip.subscription import State

pytestmark = pytest.mark.conformance


@pytest.mark.rfc(6665, "4.1.2.4")
def test_a_notify_may_come_before_the_202() -> None:
    peer = Referrer()
    refer = peer.refer()
    assert peer.notified("SIP/2.0 100 Trying") == 200
    peer.answered(refer, 202)
    assert peer.notified("SIP/2.0 200 OK", "terminated") == 200
    assert peer.outcome is not None
    assert peer.outcome.ending is Ending.SUCCEEDED


@pytest.mark.rfc(6665, "4.1.2.4")
def test_even_the_last_one_may() -> None:
    peer = Referrer()
    refer = peer.refer()
    assert peer.notified("SIP/2.0 603 Decline", "terminated;reason=noresource") == 200
    peer.answered(refer, 202)
    assert peer.outcome is not None
    assert (peer.outcome.ending, peer.outcome.status) == (Ending.FAILED, 603)


@pytest.mark.rfc(6665, "8.3.2")
@pytest.mark.parametrize("event", ["presence", "dialog;id=1", "refer.winfo", "message-summary"])
def test_other_packages_are_bad_events(event: str) -> None:
    peer = Referrer()
    peer.answered(peer.refer(), 202)
    assert peer.notified("", "active", event) == 489
    assert peer.responses(489)[-1].headers.get("Allow-Events") == "refer"
    assert peer.outcome is None


@pytest.mark.rfc(6665, "4.1.3")
@pytest.mark.parametrize("event", ["refer;id=1", "refer;id=999999", "refer;id=abc"])
def test_a_subscription_that_we_do_not_have_does_not_exist(event: str) -> None:
    peer = Referrer()
    peer.answered(peer.refer(), 202)
    assert peer.notified("SIP/2.0 200 OK", "terminated", event) == 481
    assert peer.outcome is None


@pytest.mark.rfc(6665, "4.1.3")
def test_without_a_refer_there_is_no_subscription() -> None:
    peer = Referrer()
    assert peer.notified("SIP/2.0 200 OK", "terminated") == 481
    assert peer.notified("SIP/2.0 200 OK", "terminated", None) == 489
    assert not peer.session.is_over


@pytest.mark.rfc(6665, "4.1.3")
def test_one_that_has_ended_is_gone() -> None:
    peer = Referrer()
    peer.answered(peer.refer(), 202)
    assert peer.notified("SIP/2.0 486 Busy Here", "terminated;reason=noresource") == 200
    assert peer.notified("SIP/2.0 486 Busy Here", "terminated;reason=noresource") == 481


@pytest.mark.rfc(6665, "4.1.3")
def test_one_that_has_run_out_reports_no_more() -> None:
    peer = Referrer()
    peer.answered(peer.refer(timeout=100), 202)
    assert peer.notified("SIP/2.0 180 Ringing", "active;expires=20") == 200
    peer.pass_time(21)
    assert peer.notified("SIP/2.0 200 OK", "active;expires=20") == 481
    # Whether it succeeds can now be told by BYE alone.
    peer.bye()
    peer.pass_time(1)
    assert peer.outcome is not None
    assert peer.outcome.ending is Ending.HANDED_OVER


@pytest.mark.rfc(6665, "4.1.3")
@pytest.mark.parametrize("state", ["active", "ACTIVE ; expires=60", "pending;expires=5", "weird", "active;expires=x"])
def test_words_for_the_state(state: str) -> None:
    peer = Referrer()
    peer.answered(peer.refer(), 202)
    assert peer.notified("SIP/2.0 180 Ringing", state) == 200
    assert peer.session.referrals._kept[-1].subscription.state in (State.ACTIVE, State.PENDING)
    assert peer.notified("SIP/2.0 200 OK", "Terminated") == 200
    assert peer.outcome is not None


@pytest.mark.rfc(6665, "8.2.1")
def test_a_peer_that_leaves_out_event_and_state_is_understood_all_the_same() -> None:
    # Phone systems of RFC 2543 days and their heirs do so.
    peer = Referrer()
    peer.answered(peer.refer(), 202)
    assert peer.notified("SIP/2.0 100 Trying", None, None) == 200
    assert peer.notified("SIP/2.0 200 OK", None, None) == 200
    assert peer.outcome is not None
    assert peer.outcome.ending is Ending.SUCCEEDED
    assert peer.notified("SIP/2.0 200 OK", None, "refer") == 481


@pytest.mark.rfc(6665, "4.1.3")
@pytest.mark.parametrize(
    ("state", "event"), [(";;", "refer"), ("active", ";id=3"), ("=", "refer"), ("active", "re fer")]
)
def test_garbage_is_answered_400_and_changes_nothing(state: str, event: str) -> None:
    peer = Referrer()
    peer.answered(peer.refer(), 202)
    assert peer.notified("SIP/2.0 200 OK", state, event) == 400
    assert peer.outcome is None
    assert not peer.session.is_over


@pytest.mark.rfc(6665, "4.1.2.4")
def test_a_flood_of_notifies_tells_what_is_new() -> None:
    peer = Referrer()
    peer.answered(peer.refer(), 202)
    for _ in range(100):
        assert peer.notified("SIP/2.0 180 Ringing") == 200
    assert [event.status for event in peer.told(ReferProgress)] == [202, 180]
