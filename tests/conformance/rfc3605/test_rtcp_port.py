"""RFC 3605: where RTCP goes when it does not go next door."""

import pytest
from tests.support.sdp import TERMS, answer, description

from offhook.sdp.negotiate import offer
from offhook.sdp.terms import LocalMedia

pytestmark = pytest.mark.conformance


@pytest.mark.rfc(3605, "2.1")
@pytest.mark.parametrize(
    ("attribute", "expected"),
    [
        ("a=rtcp:53020", ("192.0.2.1", 53_020)),
        ("a=rtcp:53020 IN IP4 192.0.2.77", ("192.0.2.77", 53_020)),
        ("a=rtcp:53020 IN IP6 2001:db8::77", ("2001:db8::77", 53_020)),
        ("a=ptime:20", ("192.0.2.1", 4001)),
    ],
)
def test_where_rtcp_goes(attribute: str, expected: tuple[str, int]) -> None:
    audio = answer(description("m=audio 4000 RTP/AVP 0", attribute)).audio
    assert audio is not None
    assert audio.remote_rtcp == expected


@pytest.mark.rfc(3605, "2.1")
def test_our_own_is_written_where_it_is_not_next_door() -> None:
    next_door = LocalMedia("198.51.100.5", 40_000, rtcp_port=40_001)
    elsewhere = LocalMedia("198.51.100.5", 40_000, rtcp_port=40_009)
    offered = description("m=audio 4000 RTP/AVP 0")
    assert "a=rtcp:" not in answer(offered, next_door).text
    assert "a=rtcp:40009\r\n" in answer(offered, elsewhere).text
    assert b"a=rtcp:40009\r\n" in bytes(offer(elsewhere, TERMS))


@pytest.mark.rfc(5761, "5.1.3")
def test_with_mux_agreed_there_is_no_other_port_to_write() -> None:
    elsewhere = LocalMedia("198.51.100.5", 40_000, rtcp_port=40_009)
    assert "a=rtcp:" not in answer(description("m=audio 4000 RTP/AVP 0", "a=rtcp-mux"), elsewhere).text
