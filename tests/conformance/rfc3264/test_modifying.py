"""RFC 3264 section 8: what a later offer may change, and what it must not."""

import pytest
from tests.support.sdp import LOCAL, TERMS, WIDE, accept, answer, description

from offhook.sdp.description import Direction
from offhook.sdp.negotiate import offer

pytestmark = pytest.mark.conformance

PLAIN = description("m=audio 4000 RTP/AVP 0 8 101", "a=rtpmap:101 telephone-event/8000")


@pytest.mark.rfc(3264, "8.2")
def test_a_stream_that_is_taken_out_is_answered_so_and_is_a_hold() -> None:
    before = answer(PLAIN)
    during = answer(description("m=audio 0 RTP/AVP 0"), previous=before.description, was=before.agreed)
    assert [line.port for line in during.description.media] == [0]
    audio = during.agreed
    assert (audio.remote, audio.send, audio.receive, audio.remote_hold) == (None, False, False, True)
    after = answer(PLAIN, previous=during.description, was=audio)
    assert (after.agreed.remote, after.agreed.remote_hold) == (("192.0.2.1", 4000), False)
    assert [int(made.description.origin.version) for made in (before, during, after)] == [1, 2, 3]


@pytest.mark.rfc(3264, "8.2")
def test_a_first_offer_without_a_stream_is_no_call() -> None:
    assert answer(description("m=audio 0 RTP/AVP 0")).refusal == "no_audio_offered"


@pytest.mark.rfc(3264, "8.2")
def test_audio_that_gives_way_to_something_else_is_refused() -> None:
    fax = description("m=audio 0 RTP/AVP 0", "m=image 5004 udptl t38")
    assert answer(fax, was=answer(PLAIN).agreed).refusal == "no_audio_offered"


@pytest.mark.rfc(3264, "8.2")
def test_an_answer_that_refuses_the_line_of_a_running_call_is_a_hold() -> None:
    was = answer(PLAIN).agreed
    ours = offer(LOCAL, TERMS, hold=True, was=was)
    audio = accept(ours, description("m=audio 0 RTP/AVP 0"), was=was)
    assert audio is not None
    assert (audio.remote_hold, audio.send) == (True, False)


@pytest.mark.rfc(3264, "8.1")
def test_our_own_offer_takes_the_place_of_a_line_that_was_switched_off() -> None:
    off = answer(description("m=audio 0 RTP/AVP 0", "m=video 0 RTP/AVP 96"), was=answer(PLAIN).agreed).description
    again = offer(LOCAL, TERMS, previous=off)
    assert [(line.kind, line.port) for line in again.media] == [("audio", LOCAL.port), ("video", 0)]


@pytest.mark.rfc(3264, "8.3.2")
def test_the_codec_in_use_goes_on_where_the_order_is_ours() -> None:
    wide = description("m=audio 4000 RTP/AVP 0 9")
    narrow = answer(description("m=audio 4000 RTP/AVP 0"), terms=WIDE).agreed
    assert answer(wide, terms=WIDE).agreed.codec == "G722"
    assert answer(wide, terms=WIDE, was=narrow).agreed.codec == "PCMU"
    # Where it is the peer's, the peer has said what it wants.
    assert answer(description("m=audio 4000 RTP/AVP 8 0"), was=narrow).agreed.codec == "PCMA"
    # And a codec that is no more offered is given up.
    assert answer(description("m=audio 4000 RTP/AVP 9"), terms=WIDE, was=narrow).agreed.codec == "G722"


@pytest.mark.rfc(3264, "8.3.2")
def test_what_is_under_way_in_the_codec_before_is_still_taken() -> None:
    was = answer(description("m=audio 4000 RTP/AVP 0")).agreed
    assert answer(description("m=audio 4000 RTP/AVP 8"), was=was).agreed.receive_types == {8: "PCMA", 0: "PCMU"}


@pytest.mark.rfc(3264, "8.4")
def test_an_offer_of_ours_holds_with_what_is_agreed_on() -> None:
    muxed = description("m=audio 4000 RTP/AVP 8 97", "a=rtpmap:97 telephone-event/8000", "a=ptime:30", "a=rtcp-mux")
    before = answer(muxed)
    hold = offer(LOCAL, TERMS, hold=True, previous=before.description, was=before.agreed)
    [line] = hold.media
    assert hold.direction_of(line) == Direction.SENDONLY
    assert line.formats == ("8", "0", "97"), "the codec in use first, under the numbers in use"
    assert line.ptime_ms == 30
    assert line.attribute("rtcp-mux") is not None
    assert int(hold.origin.version) == int(before.description.origin.version) + 1
    back = offer(LOCAL, TERMS, previous=hold, was=before.agreed)
    assert back.direction_of(back.media[0]) == Direction.SENDRECV


@pytest.mark.rfc(3264, "8.4")
@pytest.mark.parametrize(
    ("answered", "send", "receive", "held"),
    [
        ("recvonly", True, False, False),
        ("inactive", False, False, True),
        # Not what the rules allow, but what is seen.
        ("sendrecv", True, False, False),
        ("sendonly", False, False, True),
    ],
)
def test_what_the_answer_to_our_hold_comes_to(answered: str, send: bool, receive: bool, held: bool) -> None:
    ours = offer(LOCAL, TERMS, hold=True, was=answer(PLAIN).agreed)
    audio = accept(ours, description("m=audio 4000 RTP/AVP 0", f"a={answered}"))
    assert audio is not None
    assert (audio.send, audio.receive, audio.remote_hold) == (send, receive, held)


@pytest.mark.rfc(3264, "8.4")
@pytest.mark.parametrize(
    ("stated", "answered"), [("sendrecv", "inactive"), ("sendonly", "inactive"), ("inactive", "inactive")]
)
def test_the_zero_address_while_we_hold(stated: str, answered: str) -> None:
    held = answer(description("m=audio 4000 RTP/AVP 0", f"a={stated}", address="0.0.0.0"), hold=True)
    assert held.description.direction_of(held.description.media[0]) == answered


@pytest.mark.rfc(3264, "8.4")
def test_the_zero_address_of_a_single_line_holds_that() -> None:
    held = answer(description("m=audio 4000 RTP/AVP 0", "c=IN IP4 0.0.0.0"))
    assert held.agreed.remote_hold
    six = answer(description("m=audio 4000 RTP/AVP 0", address="::"))
    assert six.agreed.remote_hold
