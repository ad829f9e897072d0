"""RFC 3389: comfort noise is agreed on where it is offered, for the clock of the codec in use."""

import pytest
from tests.support.sdp import LOCAL, TERMS, WIDE, answer, description

from offhook.sdp.negotiate import offer
from offhook.sdp.terms import Terms

pytestmark = pytest.mark.conformance


@pytest.mark.rfc(3389, "5")
@pytest.mark.parametrize("codec", ["0", "8", "9"])
def test_it_is_taken_beside_every_codec_of_an_8_khz_clock(codec: str) -> None:
    result = answer(
        description(f"m=audio 4000 RTP/AVP {codec} 13 101", "a=rtpmap:101 telephone-event/8000"), terms=WIDE
    )
    assert result.agreed.comfort_noise == 13
    assert f"m=audio 40000 RTP/AVP {codec} 101 13\r\n" in result.text
    assert "a=rtpmap:13 CN/8000\r\n" in result.text


@pytest.mark.rfc(3389, "5")
def test_another_clock_does_not_fit() -> None:
    result = answer(description("m=audio 4000 RTP/AVP 0 105", "a=rtpmap:105 CN/16000"))
    assert result.agreed.comfort_noise is None
    assert "CN" not in result.text


@pytest.mark.rfc(3389, "5")
def test_it_may_have_a_dynamic_number() -> None:
    result = answer(description("m=audio 4000 RTP/AVP 0 105", "a=rtpmap:105 CN/8000"))
    assert result.agreed.comfort_noise == 105


@pytest.mark.rfc(3389, "5")
def test_it_is_neither_answered_nor_offered_unasked() -> None:
    assert "CN" not in answer(description("m=audio 4000 RTP/AVP 0")).text
    assert b"CN" not in bytes(offer(LOCAL, TERMS))
    assert "CN" not in answer(description("m=audio 4000 RTP/AVP 0 13"), terms=Terms(comfort_noise=False)).text


def test_it_alone_is_no_codec() -> None:
    result = answer(description("m=audio 4000 RTP/AVP 13"))
    assert (result.audio, result.refusal) == (None, "no_common_codec")
