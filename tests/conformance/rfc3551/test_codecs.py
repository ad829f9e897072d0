"""RFC 3551: static payload types, the clock of G.722, and packet times."""

import pytest
from tests.support.sdp import LOCAL, TERMS, WIDE, accept, answer, description

from offhook.sdp.negotiate import offer
from offhook.sdp.terms import Terms

pytestmark = pytest.mark.conformance


@pytest.mark.rfc(3551, "6")
def test_static_types_without_an_rtpmap() -> None:
    offered = description("m=audio 4000 RTP/AVP 18 9 8")
    plain, wide = answer(offered).agreed, answer(offered, terms=WIDE).agreed
    assert (plain.codec, plain.payload_type) == ("PCMA", 8)
    assert (wide.codec, wide.payload_type) == ("G722", 9)


@pytest.mark.rfc(3551, "4.2")
@pytest.mark.parametrize("ptime", [10, 20, 30, 40, 60])
def test_the_packet_time_that_the_peer_asks_for(ptime: int) -> None:
    result = answer(description("m=audio 4000 RTP/AVP 0", f"a=ptime:{ptime}"))
    assert result.audio is not None
    assert result.audio.ptime == ptime
    assert f"a=ptime:{ptime}\r\n".encode() in bytes(result.description)


@pytest.mark.rfc(3551, "4.5.2")
def test_g722_is_written_with_a_clock_of_8000() -> None:
    result = answer(description("m=audio 4000 RTP/AVP 9 0 101", "a=rtpmap:101 telephone-event/8000"), terms=WIDE)
    assert "a=rtpmap:9 G722/8000\r\n" in result.text
    assert "m=audio 40000 RTP/AVP 9 101\r\n" in result.text
    assert (result.agreed.codec, result.agreed.dtmf_send) == ("G722", 101)
    assert b"a=rtpmap:9 G722/8000\r\n" in bytes(offer(LOCAL, WIDE))


@pytest.mark.rfc(3551, "4.5.2")
def test_g722_under_a_dynamic_number() -> None:
    result = answer(description("m=audio 4000 RTP/AVP 109 0", "a=rtpmap:109 G722/8000"), terms=WIDE)
    assert (result.agreed.codec, result.agreed.payload_type, result.agreed.receive_types) == (
        "G722",
        109,
        {109: "G722"},
    )
    assert "m=audio 40000 RTP/AVP 109\r\n" in result.text


@pytest.mark.rfc(3551, "4.5.2")
@pytest.mark.parametrize("rtpmap", ["9 G722/16000", "109 G722/16000", "109 G722/8000/2"])
def test_g722_with_another_clock_is_another_codec(rtpmap: str) -> None:
    """Who counts timestamps at 16 kHz would be heard at half the speed."""
    number = rtpmap.partition(" ")[0]
    result = answer(description(f"m=audio 4000 RTP/AVP {number} 0", f"a=rtpmap:{rtpmap}"), terms=WIDE)
    assert result.agreed.codec == "PCMU"


@pytest.mark.rfc(3551, "4.5.2")
def test_events_beside_g722_have_its_rtp_clock() -> None:
    offered = description(
        "m=audio 4000 RTP/AVP 9 100 101", "a=rtpmap:100 telephone-event/16000", "a=rtpmap:101 telephone-event/8000"
    )
    result = answer(offered, terms=WIDE)
    assert (result.agreed.dtmf_send, result.agreed.dtmf_receive) == (101, (101,))


@pytest.mark.parametrize("order", [("G722", "PCMU", "PCMA"), ("PCMA", "G722"), ("PCMU",)])
def test_the_trunks_order_decides(order: tuple[str, ...]) -> None:
    offered = description("m=audio 4000 RTP/AVP 8 0 9")
    result = answer(offered, terms=Terms(codecs=order, prefer_local=True))
    assert result.agreed.codec == order[0]
    assert len(result.description.media[0].formats) == 1, "one codec, so that what is answered is what is sent"


def test_our_own_offer_names_all_in_our_order() -> None:
    assert offer(LOCAL, WIDE).media[0].formats == ("9", "0", "8", "101")


def test_the_peers_answer_chooses() -> None:
    audio = accept(offer(LOCAL, WIDE), description("m=audio 4000 RTP/AVP 9"))
    assert audio is not None
    assert (audio.codec, audio.payload_type, audio.receive_types) == ("G722", 9, {9: "G722"})


@pytest.mark.rfc(3551, "4.2")
@pytest.mark.parametrize(
    ("lines", "sent"),
    [
        (["a=ptime:0"], 20),
        (["a=ptime:1"], 20),
        (["a=ptime:5000"], 20),
        (["a=ptime:4294967295"], 20),
        (["a=ptime:-20"], 20),
        (["a=ptime:2_0"], 20),
        (["a=ptime"], 20),
        (["a=maxptime:0"], 20),
        (["a=maxptime:4294967295"], 20),
        (["a=ptime:60", "a=maxptime:30"], 30),
        (["a=ptime:45"], 40),
        (["a=maxptime:15"], 10),
    ],
)
def test_a_packet_time_out_of_range_is_read_past(lines: list[str], sent: int) -> None:
    assert answer(description("m=audio 4000 RTP/AVP 0", *lines)).agreed.ptime == sent


def test_the_packet_times_of_both_ways_may_differ() -> None:
    """The answer's ptime is what the peer is asked to send; ours follows the peer's wish, whatever it sends itself."""
    audio = accept(offer(LOCAL, TERMS), description("m=audio 4000 RTP/AVP 0", "a=ptime:40"))
    assert audio is not None
    assert audio.ptime == 40
