"""One side of a media session, offer by offer: what is said, and what a bad answer leaves as it was."""

import pytest

from offhook.errors import OffhookError, RemoteProtocolError
from offhook.sdp.description import SessionDescription
from offhook.sdp.exchange import Exchange
from offhook.sdp.terms import LocalMedia, NegotiatedAudio, Terms

pytestmark = pytest.mark.unit


def theirs(formats: str = "0", port: int = 4000, *lines: str) -> bytes:
    head = ["v=0", "o=- 1 1 IN IP4 192.0.2.1", "s=-", "c=IN IP4 192.0.2.1", "t=0 0"]
    return "\r\n".join([*head, f"m=audio {port} RTP/AVP {formats}", *lines, ""]).encode()


def exchange() -> Exchange:
    return Exchange(LocalMedia(address="192.0.2.2", port=6000, session_id=7), Terms(codecs=("PCMU", "PCMA")))


def version(sdp: bytes) -> int:
    return int(SessionDescription.parse(sdp).origin.version)


def nothing(audio: NegotiatedAudio) -> None:
    pass


def refuse(audio: NegotiatedAudio) -> None:
    raise OffhookError("no such address", code="bad_address")


def test_an_offer_on_request_goes_on_with_what_is_agreed_and_the_answer_counts() -> None:
    side, used = exchange(), list[NegotiatedAudio]()
    first = side.offer()
    assert side.is_waiting
    side.answered(theirs("8"), used.append)
    assert not side.is_waiting
    assert side.audio is not None
    assert side.audio.codec == "PCMA"
    said = side.offer()
    again = SessionDescription.parse(said)
    assert again.media[0].formats[0] == "8", "the codec in use comes first"
    assert version(said) == version(first) + 1, "it is another offer than the first"
    side.answered(theirs("0"), used.append)
    assert [audio.codec for audio in used] == ["PCMA", "PCMU"]


def test_the_first_offer_may_be_answered_by_several_forks() -> None:
    side = exchange()
    side.offer()
    side.answered(theirs("8"), nothing)
    with pytest.raises(RemoteProtocolError, match="refused"):
        side.answered(theirs("0", 0), nothing)
    side.answered(theirs("0"), nothing)
    assert side.audio is not None
    assert side.audio.codec == "PCMU"


@pytest.mark.parametrize("answer", [b"", b"v=0\r\nm=audio 99999999 RTP/AVP 0\r\n", theirs("18")])
def test_a_bad_answer_leaves_what_was_agreed(answer: bytes) -> None:
    side = exchange()
    side.offer()
    side.answered(theirs("8"), nothing)
    before = side.audio
    side.offer()
    with pytest.raises(RemoteProtocolError):
        side.answered(answer, nothing)
    assert (side.audio, side.is_waiting) == (before, False)


def test_an_answer_that_switches_the_line_off_in_mid_call_is_a_hold() -> None:
    side = exchange()
    side.offer()
    side.answered(theirs("0"), nothing)
    side.offer()
    side.answered(theirs("0", 0), nothing)
    assert side.audio is not None
    assert side.audio.remote_hold


def test_an_offer_of_the_peer_is_answered_and_one_that_cannot_be_used_is_not() -> None:
    side = exchange()
    first = side.offer()
    side.answered(theirs("0"), nothing)
    for bad in (b"nonsense", theirs("18")):
        with pytest.raises(RemoteProtocolError):
            side.offered(bad, nothing)
    with pytest.raises(OffhookError):
        side.offered(theirs("8"), refuse)
    assert side.audio is not None
    assert side.audio.codec == "PCMU"
    assert version(side.offered(theirs("8", 4000, "a=sendonly"), nothing)) == version(first) + 1
    assert side.audio.remote_hold
