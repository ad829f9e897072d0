"""RFC 5761: RTP and RTCP on one port, where the peer offers it and nowhere else."""

import pytest
from tests.support.sdp import TERMS, accept, answer, description

from offhook.sdp.negotiate import offer
from offhook.sdp.terms import LocalMedia

pytestmark = pytest.mark.conformance

LINE = "m=audio 4000 RTP/AVP 0"


@pytest.mark.rfc(5761, "5.1.1")
def test_it_is_answered_when_offered() -> None:
    result = answer(description(LINE, "a=rtcp-mux"))
    assert "a=rtcp-mux\r\n" in result.text
    assert result.agreed.rtcp_mux
    assert result.agreed.remote_rtcp == result.agreed.remote == ("192.0.2.1", 4000)
    assert any("rtcp-mux taken" in note for note in result.notes)


@pytest.mark.rfc(5761, "5.1.1")
def test_it_is_never_answered_when_it_was_not_offered() -> None:
    result = answer(description(LINE))
    assert "rtcp-mux" not in result.text
    assert not result.agreed.rtcp_mux
    assert result.agreed.remote_rtcp == ("192.0.2.1", 4001)


@pytest.mark.rfc(5761, "5.1.1")
def test_an_answer_with_it_to_an_offer_without_it_changes_nothing() -> None:
    audio = accept(offer(LocalMedia("198.51.100.5", 40_000), TERMS), description(LINE, "a=rtcp-mux"))
    assert audio is not None
    assert not audio.rtcp_mux
    assert audio.remote_rtcp == ("192.0.2.1", 4001)


@pytest.mark.rfc(5761, "5.1.1")
def test_a_later_offer_without_it_ends_it() -> None:
    first = answer(description(LINE, "a=rtcp-mux"))
    again = answer(description(LINE), previous=first.description, was=first.audio)
    assert "rtcp-mux" not in again.text
    assert again.agreed.remote_rtcp == ("192.0.2.1", 4001)
