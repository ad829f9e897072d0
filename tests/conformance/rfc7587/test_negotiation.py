"""RFC 7587: Opus in offer and answer, ours and the peer's."""

from dataclasses import replace

import pytest
from tests.support.sdp import LOCAL, TERMS, accept, answer, description

from offhook.sdp.description import SessionDescription
from offhook.sdp.negotiate import offer
from offhook.sdp.opus import OpusWishes

pytestmark = pytest.mark.conformance

SPEAKS_OPUS = replace(TERMS, codecs=("opus", "PCMU"))


def offered(*fmtp: str, ptime: str = "ptime:20") -> SessionDescription:
    return description(
        "m=audio 4000 RTP/AVP 0 111 110 101",
        "a=rtpmap:111 opus/48000/2",
        *fmtp,
        "a=rtpmap:110 telephone-event/48000",
        "a=rtpmap:101 telephone-event/8000",
        f"a={ptime}",
    )


@pytest.mark.rfc(7587, "7")
def test_our_offer_names_48_khz_and_two_channels_and_events_of_both_clocks() -> None:
    line = offer(LOCAL, SPEAKS_OPUS).media[0]
    assert line.formats == ("107", "0", "101", "100")
    assert [line for line in line.lines() if "rtpmap" in line or "fmtp" in line] == [
        "a=rtpmap:107 opus/48000/2",
        "a=fmtp:107 maxplaybackrate=16000;sprop-maxcapturerate=16000;useinbandfec=1",
        "a=rtpmap:0 PCMU/8000",
        "a=rtpmap:101 telephone-event/48000",
        "a=fmtp:101 0-16",
        "a=rtpmap:100 telephone-event/8000",
        "a=fmtp:100 0-16",
    ]


@pytest.mark.rfc(7587, "7")
def test_an_offer_of_opus_is_answered_under_its_number_with_events_of_its_clock() -> None:
    result = answer(offered(), LOCAL, replace(SPEAKS_OPUS, prefer_local=True))
    assert result.audio is not None
    assert (result.audio.codec, result.audio.payload_type, result.audio.dtmf_send) == ("opus", 111, 110)
    assert result.description.media[0].formats == ("111", "110")
    assert "opus/48000/2" in " ".join(result.description.media[0].values("rtpmap"))
    ours = "111 maxplaybackrate=16000;sprop-maxcapturerate=16000;useinbandfec=1"
    assert ours in result.description.media[0].values("fmtp")


@pytest.mark.rfc(7587, "6.1")
@pytest.mark.parametrize(
    ("fmtp", "asked"),
    [
        ((), OpusWishes()),
        (("a=fmtp:111 minptime=10;useinbandfec=1",), OpusWishes(fec=True)),
        (
            ("a=fmtp:111 MaxAverageBitrate=20000; usedtx=1 ;cbr=1; maxplaybackrate=8000; stereo=1; sprop-stereo=1",),
            OpusWishes(bitrate=20_000, dtx=True, cbr=True, max_rate=8_000),
        ),
        # Another number's, and what is out of range or no number.
        (("a=fmtp:0 useinbandfec=1", "a=fmtp:111 maxaveragebitrate=5999;maxplaybackrate=1e5;usedtx=yes"), OpusWishes()),
        (("a=fmtp:111 maxaveragebitrate=" + "9" * 400 + ";useinbandfec=01",), OpusWishes()),
        (("a=fmtp:111 maxaveragebitrate=٦٤٠٠٠", "a=fmtp:111"), OpusWishes()),
    ],
)
def test_what_the_peer_asks_for_is_read(fmtp: tuple[str, ...], asked: OpusWishes) -> None:
    result = answer(offered(*fmtp), LOCAL, replace(SPEAKS_OPUS, prefer_local=True))
    assert result.audio is not None
    assert result.audio.opus == asked


@pytest.mark.rfc(7587, "4.2")
@pytest.mark.parametrize(("asked", "sent"), [(10, 10), (20, 20), (30, 20), (40, 40), (50, 40), (60, 60)])
def test_packets_are_as_long_as_opus_has_them(asked: int, sent: int) -> None:
    result = answer(offered(ptime=f"ptime:{asked}"), LOCAL, replace(SPEAKS_OPUS, prefer_local=True))
    assert result.audio is not None
    assert result.audio.ptime == sent
    assert result.description.media[0].ptime_ms == sent


@pytest.mark.rfc(7587, "7")
def test_an_answer_to_ours_may_have_numbers_of_its_own() -> None:
    ours = offer(LOCAL, SPEAKS_OPUS)
    theirs = description(
        "m=audio 4000 RTP/AVP 96 97",
        "a=rtpmap:96 OPUS/48000/2",
        "a=fmtp:96 useinbandfec=1;maxaveragebitrate=16000",
        "a=rtpmap:97 telephone-event/48000",
    )
    audio = accept(ours, theirs, SPEAKS_OPUS)
    assert audio is not None
    assert (audio.codec, audio.payload_type, audio.receive_types) == ("opus", 96, {96: "opus", 107: "opus"})
    assert (audio.dtmf_send, audio.dtmf_receive) == (97, (101, 97))
    assert audio.opus == OpusWishes(bitrate=16_000, fec=True)
    assert "the peer asks for 16000 bit/s and copies against loss" in str(audio)


@pytest.mark.rfc(7587, "7")
def test_a_later_offer_keeps_numbers_and_finds_free_ones() -> None:
    theirs = description(
        "m=audio 4000 RTP/AVP 101 107",
        "a=rtpmap:101 opus/48000/2",
        "a=rtpmap:107 telephone-event/48000",
    )
    first = answer(theirs, LOCAL, replace(SPEAKS_OPUS, codecs=("opus",)))
    assert first.audio is not None
    again = offer(LOCAL, SPEAKS_OPUS, previous=first.description, was=first.audio).media[0]
    assert again.encodings[101].name == "OPUS"
    assert again.encodings[107].clock_rate == 48_000
    assert again.formats == ("101", "0", "107", "100")


@pytest.mark.rfc(7587, "7")
@pytest.mark.parametrize("name", ["opus/8000/2", "opus/48000", "opus/48000/1"])
def test_what_is_not_written_as_opus_must_be_is_not_taken(name: str) -> None:
    result = answer(description("m=audio 4000 RTP/AVP 111 0", f"a=rtpmap:111 {name}"), LOCAL, SPEAKS_OPUS)
    assert result.audio is not None
    assert result.audio.codec == "PCMU"
