"""The reader takes what peers write, refuses what would cost us, and the writer writes one form."""

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from offhook.errors import LocalProtocolError, RemoteProtocolError
from offhook.sdp.description import (
    Attribute,
    Connection,
    Direction,
    Encoding,
    Limits,
    MediaDescription,
    Origin,
    SessionDescription,
)

pytestmark = pytest.mark.unit

HEAD = "v=0\r\no=- 1 1 IN IP4 192.0.2.1\r\ns=-\r\nc=IN IP4 192.0.2.1\r\nt=0 0\r\n"


def parse(text: str, limits: Limits | None = None) -> SessionDescription:
    body = text.encode("utf-8", "surrogateescape")
    return SessionDescription.parse(body, limits) if limits else SessionDescription.parse(body)


def audio(*attributes: str, formats: str = "0 8 101", port: str = "4000") -> MediaDescription:
    lines = "".join(f"a={attribute}\r\n" for attribute in attributes)
    return parse(f"{HEAD}m=audio {port} RTP/AVP {formats}\r\n{lines}").media[0]


@pytest.mark.parametrize("line_end", ["\r\n", "\n", "\r"])
def test_every_line_end_gives_the_same_description(line_end: str) -> None:
    text = HEAD + "m=audio 4000 RTP/AVP 0 101\r\na=rtpmap:101 telephone-event/8000\r\na=sendonly\r\n"
    assert parse(text.replace("\r\n", line_end)) == parse(text)


def test_what_peers_leave_out_is_filled_in() -> None:
    description = parse("v=0\nm=audio 4000 RTP/AVP 0\nc=IN IP4 192.0.2.9\n")
    assert description.name == "-"
    assert description.timing == "0 0"
    assert description.connection_of(description.media[0]) == Connection("192.0.2.9")
    assert SessionDescription.parse(bytes(description)) == description


def test_unknown_lines_and_lines_without_a_letter_are_read_past() -> None:
    noisy = HEAD + "q=1\r\nnonsense\r\n=\r\nm=audio 4000 RTP/AVP 0\r\ni=the microphone\r\nX: y\r\nk=prompt\r\n"
    assert parse(noisy).media == parse(HEAD + "m=audio 4000 RTP/AVP 0\r\n").media


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ("", 400),
        ("INVITE sip:a@b SIP/2.0\r\n", 400),
        ("v=1\r\n", 400),
        (HEAD + "m=audio 70000 RTP/AVP 0\r\n", 400),
        (HEAD + "m=audio -1 RTP/AVP 0\r\n", 400),
        (HEAD + "m=audio 1_0 RTP/AVP 0\r\n", 400),
        (HEAD + "m=audio ٤٠٠٠ RTP/AVP 0\r\n", 400),
        (HEAD + "m=audio 4000/0 RTP/AVP 0\r\n", 400),
        (HEAD + "m=audio 4000 RTP/AVP\r\n", 400),
        (HEAD + "m=audio\r\n", 400),
        (HEAD + "m=audio 4000 RTP/AVP 0\r\nc=IN IP4\r\n", 400),
        (HEAD + "s=a\x00b\r\n", 400),
        (HEAD + "m=audio 4000 RTP/AVP 0\r\n" * 17, 488),
        (HEAD + "m=audio 4000 RTP/AVP " + " ".join(["0"] * 65) + "\r\n", 488),
        (HEAD + "m=audio 4000 RTP/AVP 0\r\n" + "a=candidate:1\r\n" * 1000, 488),
        (HEAD + "s=" + "x" * 10_240 + "\r\n", 488),
        (HEAD + "q=1\r\n" * 20_000, 488),
    ],
)
def test_nonsense_and_excess_are_refused_with_the_right_status(body: str, status: int) -> None:
    with pytest.raises(RemoteProtocolError) as caught:
        parse(body)
    assert caught.value.status_hint == status


@pytest.mark.parametrize("number", ["-1", "128", "65535", "4294967296", "0x0", "1e2", "٩", "1_0", ""])
def test_a_payload_type_out_of_range_stands_for_nothing(number: str) -> None:
    line = audio(f"rtpmap:{number} PCMU/8000", f"fmtp:{number} x=1", formats=f"8 {number}")
    assert line.encodings == {8: Encoding("PCMA", 8000)}


@pytest.mark.parametrize("rtpmap", ["96 X/0", "96 X/4294967295", "96 X/-8000", "96 X", "96", "96 X/8000/0", "96 /8000"])
def test_an_rtpmap_out_of_range_leaves_its_type_unknown(rtpmap: str) -> None:
    assert audio(f"rtpmap:{rtpmap}", formats="96").encodings == {}


def test_a_static_type_needs_no_rtpmap_and_can_not_be_renamed() -> None:
    assert audio(formats="0 8 9").encodings == {
        0: Encoding("PCMU", 8000),
        8: Encoding("PCMA", 8000),
        9: Encoding("G722", 8000),
    }
    assert audio("rtpmap:0 PCMA/8000", formats="0 8").encodings == {8: Encoding("PCMA", 8000)}


def test_rtpmaps_without_a_format_and_before_their_fmtp_are_harmless() -> None:
    line = audio("fmtp:101 0-15", "rtpmap:97 red/8000", "rtpmap:101 Telephone-Event/8000", formats="0 101")
    assert line.encodings == {0: Encoding("PCMU", 8000), 101: Encoding("TELEPHONE-EVENT", 8000)}


@pytest.mark.parametrize(
    ("text", "expected"),
    [("20", 20), ("20.0", 20), ("60", 60), ("0", None), ("5", None), ("5000", None), ("4294967295", None), ("x", None)],
)
def test_ptime_is_bounded(text: str, expected: int | None) -> None:
    assert audio(f"ptime:{text}").ptime_ms == expected


def test_rtcp_attribute() -> None:
    assert audio("rtcp:4010").rtcp == (4010, None)
    assert audio("rtcp:4010 IN IP4 192.0.2.7").rtcp == (4010, Connection("192.0.2.7"))
    assert audio("rtcp:70000").rtcp is None
    assert audio("rtcp:").rtcp is None
    assert audio().rtcp is None


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        ("192.0.2.1", "192.0.2.1"),
        ("::ffff:127.0.0.1", "127.0.0.1"),
        ("2001:db8::1", "2001:db8::1"),
        ("fe80::1%eth0", "None"),
        ("media.example.net", "None"),
        ("010.0.0.1", "None"),
    ],
)
def test_connection_addresses(address: str, expected: str) -> None:
    assert str(Connection(address).ip) == expected


def test_multicast_suffixes_are_cut_off() -> None:
    assert parse(HEAD + "m=audio 4000 RTP/AVP 0\r\nc=IN IP4 224.2.1.1/127/3\r\n").media[0].connection == Connection(
        "224.2.1.1"
    )


def test_directions_turn_around() -> None:
    assert Direction.SENDONLY.reversed is Direction.RECVONLY
    assert Direction.RECVONLY.reversed is Direction.SENDONLY
    assert Direction.SENDRECV.reversed is Direction.SENDRECV
    assert Direction.INACTIVE.reversed is Direction.INACTIVE


def test_bytes_that_are_not_utf8_survive() -> None:
    body = HEAD.encode().replace(b"s=-", b"s=caf\xe9") + b"m=audio 4000 RTP/AVP 0\r\na=x:\xff\xfe\r\n"
    assert bytes(SessionDescription.parse(body)) == body


@pytest.mark.parametrize("text", ["a\r\nm=audio 1 RTP/AVP 0", "a\nb", "a\x00b"])
def test_a_line_break_of_ours_never_reaches_the_wire(text: str) -> None:
    description = SessionDescription(Origin("-", "1", "1", "192.0.2.1"), name=text)
    with pytest.raises(LocalProtocolError):
        bytes(description)
    line = MediaDescription("audio", 1, "RTP/AVP", ("0",), attributes=(Attribute("x", text),))
    with pytest.raises(LocalProtocolError):
        bytes(SessionDescription(Origin("-", "1", "1", "192.0.2.1"), media=(line,)))


LINES = st.lists(
    st.one_of(
        st.binary(max_size=40),
        st.sampled_from(
            [
                b"m=audio 4000 RTP/AVP 0 8 101",
                b"m=video 0 RTP/AVP",
                b"m=audio 9/2 rtp/avp 96",
                b"c=IN IP6 2001:db8::1",
                b"c=IN IP4 224.2.1.1/127",
                b"c=in ip4 host.example",
                b"a=rtpmap:101 telephone-event/8000",
                b"a=sendonly",
                b"a=: ",
                b"a=x:",
                b"b=AS:64",
                b"o=a b c d e f",
                b"o=short",
                b"s= ",
                b"t=1 2",
                b"t=never",
                b"   ",
            ]
        ),
        st.builds(
            lambda letter, text: letter + b"=" + text, st.sampled_from([b"a", b"c", b"m", b"o", b"s"]), st.binary()
        ),
    ),
    max_size=30,
)


@given(LINES)
@example([b"a=\x0b"])
@example([b"a=: x", b"a=:"])
def test_what_was_read_is_written_and_read_again_the_same(lines: list[bytes]) -> None:
    body = b"\r\n".join([b"v=0", *lines])
    try:
        description = SessionDescription.parse(body)
    except RemoteProtocolError:
        return
    written = bytes(description)
    again = SessionDescription.parse(written)
    assert again == description
    assert bytes(again) == written
    for media in again.media:
        assert all(0 <= number <= 127 for number in media.encodings)
