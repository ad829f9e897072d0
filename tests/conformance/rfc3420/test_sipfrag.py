"""RFC 3420 as REFER's reports use it: fragments as they are, and as they come."""

import pytest
from tests.support.referrer import Referrer

from offhook.sip.events import ReferProgress
from offhook.sip.refer import Ending
from offhook.sip.sipfrag import MAX_REASON, Fragment, read_fragment

pytestmark = pytest.mark.conformance


@pytest.mark.rfc(3420, "2")
@pytest.mark.parametrize(
    ("body", "status", "reason"),
    [
        (b"SIP/2.0 200 OK\r\n", 200, "OK"),
        (b"SIP/2.0 200 OK", 200, "OK"),
        (b"SIP/2.0 200 OK\n", 200, "OK"),
        (b"SIP/2.0 200 OK\r\n\r\n", 200, "OK"),
        (b"\r\nSIP/2.0 200 OK\r\n", 200, "OK"),
        (b"SIP/2.0 200\r\n", 200, ""),
        (b"SIP/2.0 200 \r\n", 200, ""),
        (b"sip/2.0  180   Ringing away  \r\n", 180, "Ringing away"),
        (b"SIP/2.0 603 Decline\r\nTo: <sip:a@b>;tag=1\r\nContent-Type: application/sdp\r\n\r\nv=0\r\n", 603, "Decline"),
        (b"SIP/2.0 486 " + b"x" * 5000, 486, "x" * MAX_REASON),
        (b"SIP/2.0 486 Bes\xc3\xa4tzt\r\n", 486, "Besätzt"),
        (b"SIP/2.0 486 a\x00b\x1b[2Jc\xff\r\n", 486, "a b [2Jc�"),
    ],
)
def test_a_status_line(body: bytes, status: int, reason: str) -> None:
    assert read_fragment(body) == Fragment(status, reason)


@pytest.mark.rfc(3420, "2")
@pytest.mark.parametrize(
    "body",
    [
        b"", b"\r\n", b"200 OK", b"SIP/2.0", b"SIP/2.0 OK", b"SIP/2.0 20 OK", b"SIP/2.0 700 No", b"SIP/2.0 099 No",
        b"SIP/2.0 2000 OK", b"SIP/1.0 200 OK", b"INVITE sip:a@b SIP/2.0\r\n", b"To: <sip:a@b>\r\nSIP/2.0 200 OK\r\n",
        b"SIP/2.0\t\xd9\xa2\xd9\xa0\xd9\xa0 OK", b"\x00" * 3000, b" " * 2000 + b"SIP/2.0 200 OK", b"SIP/2.0 -200 OK",
    ],
)  # fmt: skip
def test_what_is_none_is_none(body: bytes) -> None:
    assert read_fragment(body) is None


@pytest.mark.rfc(3515, "2.4.4")
@pytest.mark.parametrize(
    "kind",
    ["message/sipfrag", "message/sipfrag;version=2.0", "Message/SipFrag ; Version=2.0", "text/plain", "message/sip"],
)
def test_the_types_under_which_it_comes(kind: str) -> None:
    peer = Referrer()
    peer.answered(peer.refer(), 202)
    assert peer.notified("SIP/2.0 200 OK\r\n", "terminated", kind=kind) == 200
    assert peer.outcome is not None
    assert peer.outcome.ending is Ending.SUCCEEDED


@pytest.mark.rfc(6665, "4.1.3")
def test_another_type_is_not_read_and_its_subscription_state_is() -> None:
    peer = Referrer()
    peer.answered(peer.refer(), 202)
    assert peer.notified("SIP/2.0 200 OK", "terminated;reason=giveup", kind="application/pidf+xml") == 415
    assert peer.responses(415)[-1].headers.get("Accept") == "message/sipfrag"
    assert peer.outcome is not None
    assert peer.outcome.ending is Ending.NOT_TRIED


@pytest.mark.rfc(3515, "2.4.4")
def test_a_report_without_a_body_says_nothing_of_the_target() -> None:
    peer = Referrer()
    peer.answered(peer.refer(), 202)
    assert peer.notified("", "active;expires=60") == 200
    assert peer.notified("INVITE sip:a@b SIP/2.0\r\n", "active;expires=60") == 200
    assert [event.status for event in peer.told(ReferProgress)] == [202]
    assert peer.outcome is None
