"""RFC 4488: REFERs of which no reports are wanted, and peers that send none unasked."""

import pytest
from tests.support.referrer import Referrer

from offhook.sip.refer import REPORT_AFTER_BYE, Ending

pytestmark = pytest.mark.conformance


@pytest.mark.rfc(4488, "4")
def test_agreed_that_nothing_is_reported() -> None:
    peer = Referrer()
    refer = peer.refer(reports=False)
    assert refer.headers.get("Refer-Sub") == "false"
    assert "norefersub" in refer.supported
    peer.answered(refer, 202, ("Refer-Sub", "false"))
    assert peer.notified("SIP/2.0 100 Trying") == 481
    peer.pass_time(30)
    peer.bye()
    peer.pass_time(REPORT_AFTER_BYE)
    assert peer.outcome is not None
    assert peer.outcome.ending is Ending.HANDED_OVER


@pytest.mark.rfc(4488, "4")
def test_a_peer_that_does_not_know_it_reports_as_ever() -> None:
    peer = Referrer()
    peer.answered(peer.refer(reports=False), 202)
    assert peer.notified("SIP/2.0 180 Ringing") == 200
    assert peer.notified("SIP/2.0 200 OK", "terminated") == 200
    assert peer.outcome is not None
    assert peer.outcome.ending is Ending.SUCCEEDED


@pytest.mark.rfc(4488, "4")
@pytest.mark.parametrize("value", ["false", " FALSE ;x=y"])
def test_a_peer_that_declines_to_report_unasked_is_taken_at_its_word(value: str) -> None:
    peer = Referrer()
    peer.answered(peer.refer(), 200, ("Refer-Sub", value))
    peer.pass_time(5)
    peer.bye()
    peer.pass_time(REPORT_AFTER_BYE)
    assert peer.outcome is not None
    assert peer.outcome.ending is Ending.HANDED_OVER


@pytest.mark.rfc(4488, "4")
def test_refer_sub_true_changes_nothing() -> None:
    peer = Referrer()
    peer.answered(peer.refer(), 202, ("Refer-Sub", "true"))
    assert peer.notified("SIP/2.0 200 OK", "terminated") == 200
