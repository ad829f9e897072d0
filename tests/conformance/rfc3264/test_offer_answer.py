"""RFC 3264: order, refusal, direction, hold in each form, version."""

import pytest
from tests.support.sdp import LOCAL, TERMS, Answered, accept, answer, description

from offhook.sdp.description import Direction, SessionDescription
from offhook.sdp.negotiate import offer

pytestmark = pytest.mark.conformance


def direction(result: Answered) -> Direction:
    return result.description.direction_of(result.description.media[0])


@pytest.mark.rfc(3264, "5")
def test_our_offer_says_all_we_speak() -> None:
    line = offer(LOCAL, TERMS).media[0]
    assert line.formats == ("0", "8", "101")
    assert (line.kind, line.port, line.protocol) == ("audio", 40_000, "RTP/AVP")


@pytest.mark.rfc(3264, "6")
def test_video_is_refused_with_port_0_and_audio_is_up() -> None:
    result = answer(description("m=video 5000 RTP/AVP 96 97", "m=audio 4000 RTP/AVP 0"))
    assert [(line.kind, line.port) for line in result.description.media] == [("video", 0), ("audio", 40_000)]
    assert result.description.media[0].formats == ("96", "97")
    assert result.audio is not None


@pytest.mark.rfc(3264, "6")
def test_the_answer_has_as_many_lines_as_the_offer_in_its_order() -> None:
    offered = description(
        "m=audio 4000 RTP/AVP 18", "m=audio 4002 RTP/AVP 0", "m=audio 4004 RTP/AVP 8", "m=application 0 TCP/BFCP *"
    )
    result = answer(offered)
    assert [(line.kind, line.port) for line in result.description.media] == [
        ("audio", 0),
        ("audio", 40_000),
        ("audio", 0),
        ("application", 0),
    ]


@pytest.mark.rfc(3264, "6")
def test_the_timing_of_the_answer_is_that_of_the_offer() -> None:
    offered = SessionDescription.parse(
        b"v=0\r\no=- 1 1 IN IP4 192.0.2.1\r\ns=-\r\nc=IN IP4 192.0.2.1\r\nt=1 2\r\nm=audio 4 RTP/AVP 0\r\n"
    )
    assert answer(offered).description.timing == "1 2"


@pytest.mark.rfc(3264, "6.1")
@pytest.mark.parametrize(
    ("offered", "answered", "send", "receive", "held"),
    [
        ("sendrecv", "sendrecv", True, True, False),
        ("sendonly", "recvonly", False, True, True),
        ("recvonly", "sendonly", True, False, False),
        ("inactive", "inactive", False, False, True),
    ],
)
def test_directions(offered: str, answered: str, send: bool, receive: bool, held: bool) -> None:
    result = answer(description("m=audio 4000 RTP/AVP 0", f"a={offered}"))
    assert direction(result) == answered
    assert result.audio is not None
    assert (result.audio.send, result.audio.receive, result.audio.remote_hold) == (send, receive, held)


@pytest.mark.rfc(3264, "6.1")
def test_a_direction_of_the_session_holds_for_its_media() -> None:
    assert direction(answer(description("a=sendonly", "m=audio 4000 RTP/AVP 0"))) == "recvonly"
    assert direction(answer(description("a=sendonly", "m=audio 4000 RTP/AVP 0", "a=sendrecv"))) == "sendrecv"


@pytest.mark.rfc(3264, "6.1")
@pytest.mark.parametrize(
    ("offered", "answered"),
    [("sendrecv", "sendonly"), ("recvonly", "sendonly"), ("sendonly", "inactive"), ("inactive", "inactive")],
)
def test_directions_while_we_hold(offered: str, answered: str) -> None:
    assert direction(answer(description("m=audio 4000 RTP/AVP 0", f"a={offered}"), hold=True)) == answered


@pytest.mark.rfc(3264, "8.4")
@pytest.mark.parametrize(("stated", "answered"), [("sendrecv", "recvonly"), ("inactive", "inactive")])
def test_hold_by_the_zero_address(stated: str, answered: str) -> None:
    result = answer(description("m=audio 4000 RTP/AVP 0", f"a={stated}", address="0.0.0.0"))
    assert direction(result) == answered
    assert result.audio is not None
    assert result.audio.remote_hold
    assert not result.audio.send
    assert result.audio.remote is None


@pytest.mark.rfc(3264, "8.4")
def test_hold_and_resume_in_each_form_come_back_to_where_they_were() -> None:
    normal = description("m=audio 4000 RTP/AVP 0")
    before = answer(normal)
    sent = before.description
    for held in (
        description("m=audio 4000 RTP/AVP 0", "a=sendonly"),
        description("m=audio 4000 RTP/AVP 0", "a=inactive"),
        description("m=audio 4000 RTP/AVP 0", address="0.0.0.0"),
    ):
        during = answer(held, previous=sent)
        assert during.audio is not None
        assert during.audio.remote_hold
        after = answer(normal, previous=during.description)
        assert after.audio == before.audio
        assert int(after.description.origin.version) == int(sent.origin.version) + 2
        sent = after.description


@pytest.mark.rfc(3264, "8")
def test_the_version_stays_when_nothing_changed() -> None:
    normal = description("m=audio 4000 RTP/AVP 0")
    first = answer(normal).description
    assert bytes(answer(normal, previous=first).description) == bytes(first)


@pytest.mark.rfc(3264, "7")
def test_delayed_offer_ours_in_the_200_and_the_answer_in_the_ack() -> None:
    audio = accept(offer(LOCAL, TERMS), description("m=audio 4000 RTP/AVP 8 101", "a=rtpmap:101 telephone-event/8000"))
    assert audio is not None
    assert (audio.codec, audio.remote, audio.dtmf_send) == ("PCMA", ("192.0.2.1", 4000), 101)


@pytest.mark.rfc(4733, "2.1")
def test_events_of_the_clock_of_the_codec_are_chosen_among_several() -> None:
    result = answer(
        description(
            "m=audio 4000 RTP/AVP 107 0 101 102",
            "a=rtpmap:107 opus/48000/2",
            "a=rtpmap:101 telephone-event/48000",
            "a=rtpmap:102 telephone-event/8000",
        ),
        LOCAL,
    )
    assert result.audio is not None
    assert (result.audio.codec, result.audio.dtmf_send) == ("PCMU", 102)
    assert result.description.media[0].formats == ("0", "102")
