"""One codec, chosen once: whatever is offered, the answer and what the media leg is told say the same."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from offhook.errors import LocalProtocolError
from offhook.sdp.description import Direction, SessionDescription
from offhook.sdp.negotiate import CODECS, LocalMedia, accept, answer, offer

pytestmark = pytest.mark.unit

LOCAL = LocalMedia("198.51.100.5", 40_000)


def description(*lines: str, address: str = "192.0.2.1") -> SessionDescription:
    head = ["v=0", "o=- 7 3 IN IP4 192.0.2.1", "s=-", f"c=IN IP4 {address}", "t=0 0"]
    return SessionDescription.parse("\r\n".join([*head, *lines, ""]).encode())


PHONE = description("m=audio 4000 RTP/AVP 8 0 101", "a=rtpmap:101 telephone-event/8000", "a=fmtp:101 0-15")


def test_the_callers_order_holds_unless_ours_is_set() -> None:
    first = answer(PHONE, LOCAL).audio
    assert first is not None
    assert (first.codec, first.payload_type) == ("PCMA", 8)
    ours = answer(PHONE, LocalMedia("198.51.100.5", 40_000, prefer_local=True)).audio
    assert ours is not None
    assert (ours.codec, ours.payload_type) == ("PCMU", 0)


def test_the_answer_names_one_codec_and_the_events() -> None:
    given_answer = answer(PHONE, LOCAL)
    assert bytes(given_answer.description).decode() == (
        "v=0\r\no=offhook 1 1 IN IP4 198.51.100.5\r\ns=offhook\r\nc=IN IP4 198.51.100.5\r\nt=0 0\r\n"
        "m=audio 40000 RTP/AVP 8 101\r\na=rtpmap:8 PCMA/8000\r\na=rtpmap:101 telephone-event/8000\r\n"
        "a=fmtp:101 0-16\r\na=ptime:20\r\na=sendrecv\r\n"
    )


def test_a_codec_under_a_dynamic_number_keeps_that_number() -> None:
    audio = answer(description("m=audio 4000 RTP/AVP 99", "a=rtpmap:99 pcmu/8000"), LOCAL).audio
    assert audio is not None
    assert (audio.codec, audio.payload_type, audio.receive_types) == ("PCMU", 99, {99: "PCMU"})


@pytest.mark.parametrize("rate", ["16000", "8000/2"])
def test_a_name_we_know_at_another_rate_is_another_codec(rate: str) -> None:
    result = answer(description("m=audio 4000 RTP/AVP 99", f"a=rtpmap:99 PCMU/{rate}"), LOCAL)
    assert result.audio is None
    assert result.refusal == "no_common_codec"


def test_events_of_another_clock_are_left_out_and_said_so() -> None:
    result = answer(
        description(
            "m=audio 4000 RTP/AVP 107 0 101",
            "a=rtpmap:107 opus/48000/2",
            "a=rtpmap:101 telephone-event/48000",
        ),
        LOCAL,
    )
    assert result.audio is not None
    assert result.audio.dtmf_send is None
    assert result.audio.dtmf_receive == ()
    assert result.description.media[0].formats == ("0",)
    assert any("TELEPHONE-EVENT/48000" in note for note in result.notes)


def test_no_events_where_the_gateway_is_told_not_to() -> None:
    audio = answer(PHONE, LocalMedia("198.51.100.5", 40_000, telephone_event=False)).audio
    assert audio is not None
    assert audio.dtmf_send is None


@pytest.mark.parametrize(
    ("lines", "sent"),
    [
        ([], 20),
        (["a=ptime:30"], 30),
        (["a=ptime:20", "a=maxptime:10"], 10),
        (["a=ptime:60", "a=maxptime:150"], 60),
        (["a=ptime:25"], 20),
        (["a=ptime:0"], 20),
        (["a=ptime:5000"], 20),
        (["a=maxptime:0"], 20),
    ],
)
def test_packet_time_stays_in_bounds(lines: list[str], sent: int) -> None:
    audio = answer(description("m=audio 4000 RTP/AVP 0", *lines), LOCAL).audio
    assert audio is not None
    assert audio.ptime == sent


def test_rtcp_goes_next_door_unless_told_otherwise() -> None:
    def rtcp(*lines: str) -> tuple[str, int] | None:
        audio = answer(description("m=audio 4000 RTP/AVP 0", *lines), LOCAL).audio
        assert audio is not None
        return audio.remote_rtcp

    assert rtcp() == ("192.0.2.1", 4001)
    assert rtcp("a=rtcp:4010") == ("192.0.2.1", 4010)
    assert rtcp("a=rtcp:4010 IN IP4 192.0.2.3") == ("192.0.2.3", 4010)
    assert rtcp("a=rtcp-mux", "a=rtcp:4000 IN IP4 192.0.2.1") == ("192.0.2.1", 4001)
    assert rtcp("a=rtcp:4010 IN IP4 224.0.0.1") is None


def test_our_own_rtcp_port_is_written_where_it_is_not_next_door() -> None:
    assert b"a=rtcp:" not in bytes(offer(LocalMedia("198.51.100.5", 40_000, rtcp_port=40_001)))
    assert b"a=rtcp:40009\r\n" in bytes(offer(LocalMedia("198.51.100.5", 40_000, rtcp_port=40_009)))


@pytest.mark.parametrize("address", ["224.0.0.1", "255.255.255.255", "media.example.net", "fe80::1%1"])
def test_audio_is_never_aimed_at_what_is_no_host(address: str) -> None:
    result = answer(description("m=audio 4000 RTP/AVP 0", address=address), LOCAL)
    assert result.audio is not None
    assert result.audio.remote is None
    assert result.audio.remote_rtcp is None
    assert not result.audio.remote_hold
    assert any(address in note for note in result.notes)


def test_encrypted_audio_is_refused_by_name_and_a_plain_line_beside_it_is_taken() -> None:
    for protocol in ("RTP/SAVP", "RTP/SAVPF", "UDP/TLS/RTP/SAVPF"):
        refused = answer(description(f"m=audio 4000 {protocol} 0"), LOCAL)
        assert refused.audio is None
        assert refused.refusal == "srtp_not_supported"
        assert protocol in refused.notes[0]
    both = answer(description("m=audio 4000 RTP/SAVP 0", "m=audio 4002 RTP/AVP 0"), LOCAL)
    assert both.audio is not None
    assert both.audio.line == 1
    assert [line.port for line in both.description.media] == [0, 40_000]


def test_no_audio_at_all() -> None:
    for lines in ([], ["m=image 4000 udptl t38"], ["m=audio 0 RTP/AVP 0"]):
        result = answer(description(*lines), LOCAL)
        assert result.audio is None
        assert result.refusal == "no_audio_offered"


def test_ice_bundle_and_mux_are_not_answered() -> None:
    rich = description(
        "a=group:BUNDLE 0",
        "a=ice-lite",
        "m=audio 4000 RTP/AVP 0",
        "a=mid:0",
        "a=rtcp-mux",
        "a=ice-ufrag:abcd",
        "a=candidate:1 1 UDP 1 192.0.2.1 4000 typ host",
    )
    text = bytes(answer(rich, LOCAL).description)
    assert not any(word in text for word in (b"BUNDLE", b"ice", b"mid", b"mux", b"candidate"))


def test_a_repeated_answer_keeps_its_version_and_a_changed_one_counts_up() -> None:
    first = answer(PHONE, LOCAL).description
    again = answer(PHONE, LOCAL, previous=first).description
    held = answer(PHONE, LOCAL, hold=True, previous=again).description
    resumed = answer(PHONE, LOCAL, previous=held).description
    assert again == first
    assert held.origin.version == "2"
    assert resumed.origin.version == "3"
    assert {item.origin.session_id for item in (first, again, held, resumed)} == {"1"}


def test_a_new_offer_keeps_lines_and_numbers() -> None:
    theirs = description(
        "m=video 5000 RTP/AVP 96",
        "m=audio 4000 RTP/AVP 0 97",
        "a=rtpmap:97 telephone-event/8000",
        "m=image 1 udptl t38",
    )
    first = answer(theirs, LOCAL).description
    renewed = offer(LOCAL, hold=True, previous=first)
    assert [(line.kind, line.port) for line in renewed.media] == [("video", 0), ("audio", 40_000), ("image", 0)]
    assert renewed.media[1].formats == ("0", "8", "97")
    assert renewed.direction_of(renewed.media[1]) is Direction.SENDONLY
    assert (renewed.origin.session_id, renewed.origin.version) == ("1", "2")


def test_the_answerers_own_event_number_is_used_towards_it() -> None:
    ours = offer(LOCAL)
    audio = accept(ours, description("m=audio 4000 RTP/AVP 0 97", "a=rtpmap:97 telephone-event/8000"))
    assert audio is not None
    assert audio.dtmf_send == 97
    assert audio.dtmf_receive == (101, 97)


def test_an_answer_with_two_codecs_lets_either_in_and_sends_the_first() -> None:
    audio = accept(offer(LOCAL), description("m=audio 4000 RTP/AVP 8 0"))
    assert audio is not None
    assert (audio.codec, audio.payload_type) == ("PCMA", 8)
    assert audio.receive_types == {8: "PCMA", 0: "PCMU"}
    assert audio.dtmf_send is None


@pytest.mark.parametrize(
    "lines",
    [
        [],
        ["m=audio 0 RTP/AVP 0"],
        ["m=audio 4000 RTP/SAVP 0"],
        ["m=audio 4000 RTP/AVP 18"],
        ["m=video 4000 RTP/AVP 0"],
        ["m=audio 4000 RTP/AVP 101", "a=rtpmap:101 telephone-event/8000"],
    ],
)
def test_an_answer_that_leaves_no_audio(lines: list[str]) -> None:
    assert accept(offer(LOCAL), description(*lines)) is None


def test_hold_by_us_is_kept_when_the_answer_forgets_it() -> None:
    audio = accept(offer(LOCAL, hold=True), description("m=audio 4000 RTP/AVP 0", "a=sendrecv"))
    assert audio is not None
    assert (audio.send, audio.receive, audio.remote_hold) == (True, False, False)


@pytest.mark.parametrize(
    "wrong",
    [
        {"address": "0.0.0.0"},
        {"address": "gw.example"},
        {"port": 0},
        {"port": 70_000},
        {"codecs": ()},
        {"codecs": ("opus",)},
        {"ptime": 15},
        {"ptime": 0},
    ],
)
def test_our_own_mistakes_are_refused_before_they_are_written(wrong: dict[str, object]) -> None:
    with pytest.raises(LocalProtocolError):
        LocalMedia(**{"address": "198.51.100.5", "port": 40_000, **wrong})  # type: ignore[arg-type]


def test_ipv6() -> None:
    local = LocalMedia("2001:db8::5", 40_000)
    theirs = SessionDescription.parse(
        b"v=0\r\no=- 1 1 IN IP6 2001:db8::1\r\ns=-\r\nc=IN IP6 2001:db8::1\r\nt=0 0\r\nm=audio 4000 RTP/AVP 0\r\n"
    )
    result = answer(theirs, local)
    assert result.audio is not None
    assert result.audio.remote == ("2001:db8::1", 4000)
    assert b"c=IN IP6 2001:db8::5\r\n" in bytes(result.description)


def test_the_outcome_reads_as_one_line() -> None:
    audio = answer(PHONE, LOCAL).audio
    assert str(audio) == "PCMA (payload type 8), 20 ms, DTMF 101, sendrecv, to 192.0.2.1 port 4000"


FORMATS = st.lists(st.integers(0, 130), min_size=1, max_size=12)
RTPMAPS = st.lists(
    st.tuples(
        st.integers(0, 130),
        st.sampled_from(
            ["PCMU/8000", "pcma/8000", "PCMU/16000", "telephone-event/8000", "telephone-event/48000", "CN/8000", "x/0"]
        ),
    ),
    max_size=12,
)
MEDIA = st.lists(
    st.builds(
        lambda kind, port, protocol, formats, maps, extra: [
            f"m={kind} {port} {protocol} {' '.join(str(number) for number in formats)}",
            *(f"a=rtpmap:{number} {name}" for number, name in maps),
            *extra,
        ],
        st.sampled_from(["audio", "audio", "video", "image"]),
        st.sampled_from([0, 4000, 65_535]),
        st.sampled_from(["RTP/AVP", "RTP/AVP", "RTP/AVPF", "RTP/SAVP", "udptl"]),
        FORMATS,
        RTPMAPS,
        st.lists(
            st.sampled_from(
                [
                    "a=sendonly",
                    "a=inactive",
                    "a=recvonly",
                    "c=IN IP4 0.0.0.0",
                    "a=ptime:30",
                    "a=maxptime:10",
                    "a=rtcp:9",
                ]
            ),
            max_size=3,
        ),
    ),
    max_size=4,
)


@given(MEDIA, st.booleans(), st.booleans(), st.permutations(list(CODECS)))
def test_whatever_is_offered(media: list[list[str]], hold: bool, prefer_local: bool, codecs: list[str]) -> None:
    theirs = description(*(line for lines in media for line in lines))
    local = LocalMedia("198.51.100.5", 40_000, codecs=tuple(codecs), prefer_local=prefer_local)
    result = answer(theirs, local, hold=hold)
    ours = result.description
    assert SessionDescription.parse(bytes(ours)) == ours
    assert [line.kind for line in ours.media] == [line.kind for line in theirs.media]
    assert [line.protocol for line in ours.media] == [line.protocol for line in theirs.media]
    open_lines = [line for line in ours.media if not line.is_refused]
    assert (result.audio is None) == (result.refusal is not None) == (not open_lines)
    if result.audio is None:
        return
    audio = result.audio
    assert open_lines == [ours.media[audio.line]]
    written, offered = ours.media[audio.line], theirs.media[audio.line]
    assert not offered.is_refused
    # The codec answered is the codec sent, and both are what the offer meant by that number.
    assert written.payload_types[0] == audio.payload_type
    assert written.encodings[audio.payload_type] == CODECS[audio.codec] == offered.encodings[audio.payload_type]
    assert audio.receive_types == {audio.payload_type: audio.codec}
    assert set(written.payload_types) <= set(offered.payload_types)
    assert len(written.payload_types) == 1 + (audio.dtmf_send is not None)
    if audio.dtmf_send is not None:
        assert offered.encodings[audio.dtmf_send].name == "TELEPHONE-EVENT"
        assert offered.encodings[audio.dtmf_send].clock_rate == 8000
    assert audio.ptime in range(10, 70, 10)
    direction, peer = ours.direction_of(written), theirs.direction_of(offered)
    assert not (direction.sends and not peer.receives)
    assert not (direction.receives and not peer.sends)
    assert (direction.sends, direction.receives) == (audio.send, audio.receive)
    if hold:
        assert not audio.receive
    assert not (audio.send and audio.remote is None)


@given(MEDIA)
def test_both_ends_come_to_the_same_view(media: list[list[str]]) -> None:
    theirs = description(*(line for lines in media for line in lines))
    result = answer(theirs, LOCAL)
    peer_view = accept(theirs, result.description)
    if result.audio is None:
        assert peer_view is None
    elif peer_view is not None:
        assert peer_view.codec == result.audio.codec
        assert peer_view.payload_type == result.audio.payload_type
        assert peer_view.remote == ("198.51.100.5", 40_000)
