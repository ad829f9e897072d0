"""RFC 8866, read as widely as peers write it."""

import pytest
from tests.support.sdp import answer

from offhook.errors import RemoteProtocolError
from offhook.sdp.description import SessionDescription

pytestmark = pytest.mark.conformance


@pytest.mark.rfc(8866, "5.7")
def test_a_connection_line_after_the_media_line_alone() -> None:
    """Desk phones of Cisco put c= below m= and none above."""
    body = (
        b"v=0\r\no=Phone 411 0 IN IP4 10.1.2.3\r\ns=SIP Call\r\nt=0 0\r\nm=audio 21000 RTP/AVP 0 8 18 101\r\n"
        b"c=IN IP4 10.1.2.3\r\na=rtpmap:0 PCMU/8000\r\na=rtpmap:8 PCMA/8000\r\na=rtpmap:18 G729/8000\r\n"
        b"a=fmtp:18 annexb=no\r\na=rtpmap:101 telephone-event/8000\r\na=fmtp:101 0-15\r\na=sendrecv\r\n"
    )
    audio = answer(SessionDescription.parse(body)).audio
    assert audio is not None
    assert audio.remote == ("10.1.2.3", 21_000)


@pytest.mark.rfc(8866, "5.7")
def test_a_connection_line_of_the_media_wins_over_that_of_the_session() -> None:
    body = (
        b"v=0\r\no=- 1 1 IN IP4 192.0.2.1\r\ns=-\r\nc=IN IP4 192.0.2.1\r\nt=0 0\r\n"
        b"m=audio 4000 RTP/AVP 0\r\nc=IN IP4 192.0.2.2\r\n"
    )
    description = SessionDescription.parse(body)
    assert str(description.connection_of(description.media[0])) == "IN IP4 192.0.2.2"


@pytest.mark.rfc(8866, "5.14")
@pytest.mark.parametrize("port", ["65536", "4294967296", "-5", "4e3", " "])
def test_numbers_out_of_range_are_refused(port: str) -> None:
    with pytest.raises(RemoteProtocolError):
        SessionDescription.parse(f"v=0\r\nm=audio {port} RTP/AVP 0\r\n".encode())


@pytest.mark.rfc(8866, "9")
def test_the_writer_keeps_the_order_of_the_grammar() -> None:
    body = b"v=0\na=x\nm=audio 4000 RTP/AVP 0\na=ptime:20\nb=AS:64\nc=IN IP4 192.0.2.2\n"
    text = bytes(SessionDescription.parse(body)).decode()
    assert [line[0] for line in text.split("\r\n") if line] == list("vostamcba")
    assert text.endswith("\r\n")


@pytest.mark.rfc(8866, "5.3")
def test_an_empty_session_name_is_written_as_a_dash() -> None:
    assert b"\r\ns=-\r\n" in bytes(SessionDescription.parse(b"v=0\r\ns=\r\n"))
