"""One codec, chosen once: whatever is offered, the answer and what the media leg is told say the same."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support.sdp import FRESH, LOCAL, TERMS, WIDE, accept, answer, crypto, description

from offhook.errors import LocalProtocolError
from offhook.sdp.crypto import FreshKeys
from offhook.sdp.description import Direction, Encoding, SessionDescription
from offhook.sdp.negotiate import offer
from offhook.sdp.terms import CODECS, LocalMedia, Terms

pytestmark = pytest.mark.unit

PHONE = description("m=audio 4000 RTP/AVP 8 0 101", "a=rtpmap:101 telephone-event/8000", "a=fmtp:101 0-15")


def test_the_callers_order_holds_unless_ours_is_set() -> None:
    first = answer(PHONE).audio
    assert first is not None
    assert (first.codec, first.payload_type) == ("PCMA", 8)
    ours = answer(PHONE, terms=Terms(prefer_local=True)).audio
    assert ours is not None
    assert (ours.codec, ours.payload_type) == ("PCMU", 0)


def test_the_answer_names_one_codec_and_the_events() -> None:
    given_answer = answer(PHONE)
    assert bytes(given_answer.description).decode() == (
        "v=0\r\no=offhook 1 1 IN IP4 198.51.100.5\r\ns=offhook\r\nc=IN IP4 198.51.100.5\r\nt=0 0\r\n"
        "m=audio 40000 RTP/AVP 8 101\r\na=rtpmap:8 PCMA/8000\r\na=rtpmap:101 telephone-event/8000\r\n"
        "a=fmtp:101 0-16\r\na=ptime:20\r\na=sendrecv\r\n"
    )


def test_a_codec_under_a_dynamic_number_keeps_that_number() -> None:
    audio = answer(description("m=audio 4000 RTP/AVP 99", "a=rtpmap:99 pcmu/8000")).audio
    assert audio is not None
    assert (audio.codec, audio.payload_type, audio.receive_types) == ("PCMU", 99, {99: "PCMU"})


@pytest.mark.parametrize("rate", ["16000", "8000/2"])
def test_a_name_we_know_at_another_rate_is_another_codec(rate: str) -> None:
    result = answer(description("m=audio 4000 RTP/AVP 99", f"a=rtpmap:99 PCMU/{rate}"))
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
    audio = answer(PHONE, terms=Terms(telephone_event=False)).audio
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
    audio = answer(description("m=audio 4000 RTP/AVP 0", *lines)).audio
    assert audio is not None
    assert audio.ptime == sent


def test_rtcp_goes_next_door_unless_told_otherwise() -> None:
    def rtcp(*lines: str) -> tuple[str, int] | None:
        audio = answer(description("m=audio 4000 RTP/AVP 0", *lines)).audio
        assert audio is not None
        return audio.remote_rtcp

    assert rtcp() == ("192.0.2.1", 4001)
    assert rtcp("a=rtcp:4010") == ("192.0.2.1", 4010)
    assert rtcp("a=rtcp:4010 IN IP4 192.0.2.3") == ("192.0.2.3", 4010)
    assert rtcp("a=rtcp:4000 IN IP4 192.0.2.1") == ("192.0.2.1", 4001)
    assert rtcp("a=rtcp-mux", "a=rtcp:4000 IN IP4 192.0.2.1") == ("192.0.2.1", 4000)
    assert rtcp("a=rtcp:4010 IN IP4 224.0.0.1") is None


def test_our_own_rtcp_port_is_written_where_it_is_not_next_door() -> None:
    assert b"a=rtcp:" not in bytes(offer(LocalMedia("198.51.100.5", 40_000, rtcp_port=40_001), TERMS))
    assert b"a=rtcp:40009\r\n" in bytes(offer(LocalMedia("198.51.100.5", 40_000, rtcp_port=40_009), TERMS))


@pytest.mark.parametrize("address", ["224.0.0.1", "255.255.255.255", "media.example.net", "fe80::1%1"])
def test_audio_is_never_aimed_at_what_is_no_host(address: str) -> None:
    result = answer(description("m=audio 4000 RTP/AVP 0", address=address))
    assert result.audio is not None
    assert result.audio.remote is None
    assert result.audio.remote_rtcp is None
    assert not result.audio.remote_hold
    assert any(address in note for note in result.notes)


def test_encrypted_audio_is_refused_by_name_and_a_plain_line_beside_it_is_taken() -> None:
    for protocol in ("RTP/SAVP", "RTP/SAVPF", "UDP/TLS/RTP/SAVPF"):
        refused = answer(description(f"m=audio 4000 {protocol} 0"))
        assert refused.audio is None
        assert refused.refusal == "srtp_not_supported"
        assert protocol in refused.notes[0]
    both = answer(description("m=audio 4000 RTP/SAVP 0", "m=audio 4002 RTP/AVP 0"))
    assert both.audio is not None
    assert both.audio.line == 1
    assert [line.port for line in both.description.media] == [0, 40_000]


def test_where_both_are_offered_the_encrypted_line_is_taken_if_we_may() -> None:
    both = description("m=audio 4000 RTP/AVP 0", "m=audio 4002 RTP/SAVP 0", crypto())
    for policy in ("optional", "required"):
        result = answer(both, terms=Terms(srtp=policy))
        assert [line.port for line in result.description.media] == [0, 40_000]
        assert result.agreed.crypto is not None
        assert result.agreed.remote == ("192.0.2.1", 4002)
    assert [line.port for line in answer(both).description.media] == [40_000, 0]


def test_no_audio_at_all() -> None:
    for lines in ([], ["m=image 4000 udptl t38"], ["m=audio 0 RTP/AVP 0"]):
        result = answer(description(*lines))
        assert result.audio is None
        assert result.refusal == "no_audio_offered"


def test_ice_and_bundle_are_not_answered_and_that_is_said() -> None:
    rich = description(
        "a=group:BUNDLE 0",
        "a=ice-lite",
        "m=audio 4000 RTP/AVP 0",
        "a=mid:0",
        "a=ice-ufrag:abcd",
        "a=candidate:1 1 UDP 1 192.0.2.1 4000 typ host",
    )
    result = answer(rich)
    assert not any(word in result.text for word in ("BUNDLE", "ice", "mid", "candidate"))
    assert any("ICE and BUNDLE not taken" in note for note in result.notes)


def test_a_repeated_answer_keeps_its_version_and_a_changed_one_counts_up() -> None:
    first = answer(PHONE).description
    again = answer(PHONE, previous=first).description
    held = answer(PHONE, hold=True, previous=again).description
    resumed = answer(PHONE, previous=held).description
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
    first = answer(theirs).description
    renewed = offer(LOCAL, TERMS, hold=True, previous=first)
    assert [(line.kind, line.port) for line in renewed.media] == [("video", 0), ("audio", 40_000), ("image", 0)]
    assert renewed.media[1].formats == ("0", "8", "97")
    assert renewed.direction_of(renewed.media[1]) is Direction.SENDONLY
    assert (renewed.origin.session_id, renewed.origin.version) == ("1", "2")


def test_the_answerers_own_event_number_is_used_towards_it() -> None:
    ours = offer(LOCAL, TERMS)
    audio = accept(ours, description("m=audio 4000 RTP/AVP 0 97", "a=rtpmap:97 telephone-event/8000"))
    assert audio is not None
    assert audio.dtmf_send == 97
    assert audio.dtmf_receive == (101, 97)


def test_an_answer_with_two_codecs_lets_either_in_and_sends_the_first() -> None:
    audio = accept(offer(LOCAL, TERMS), description("m=audio 4000 RTP/AVP 8 0"))
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
    assert accept(offer(LOCAL, TERMS), description(*lines)) is None


def test_hold_by_us_is_kept_when_the_answer_forgets_it() -> None:
    audio = accept(offer(LOCAL, TERMS, hold=True), description("m=audio 4000 RTP/AVP 0", "a=sendrecv"))
    assert audio is not None
    assert (audio.send, audio.receive, audio.remote_hold) == (True, False, False)


@pytest.mark.parametrize(
    "wrong",
    [
        {"address": "0.0.0.0"},
        {"address": "gw.example"},
        {"port": 0},
        {"port": 70_000},
    ],
)
def test_an_address_nobody_can_send_to_is_never_written(wrong: dict[str, object]) -> None:
    with pytest.raises(LocalProtocolError):
        LocalMedia(**{"address": "198.51.100.5", "port": 40_000, **wrong})  # type: ignore[arg-type]


@pytest.mark.parametrize("wrong", [{"codecs": ()}, {"codecs": ("G729",)}, {"ptime": 15}, {"ptime": 0}])
def test_terms_that_cannot_be_kept_are_never_written(wrong: dict[str, object]) -> None:
    with pytest.raises(LocalProtocolError):
        Terms(**wrong)  # type: ignore[arg-type]


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
    audio = answer(PHONE).audio
    assert str(audio) == "PCMA (payload type 8), 20 ms, DTMF 101, sendrecv, to 192.0.2.1 port 4000"


def test_what_is_under_way_in_the_old_codec_is_still_taken() -> None:
    before = answer(description("m=audio 4000 RTP/AVP 0")).agreed
    after = answer(description("m=audio 4000 RTP/AVP 8"), was=before).agreed
    assert after.receive_types == {8: "PCMA", 0: "PCMU"}
    again = answer(description("m=audio 4000 RTP/AVP 8"), was=after).agreed
    assert again.receive_types == {8: "PCMA"}, "only what was spoken last"
    renumbered = answer(description("m=audio 4000 RTP/AVP 96", "a=rtpmap:96 PCMA/8000"), was=after).agreed
    assert renumbered.receive_types == {96: "PCMA", 8: "PCMA"}


def test_the_choice_is_explained() -> None:
    def why(*lines: str, terms: Terms = WIDE) -> str:
        return answer(description(*lines), terms=terms).notes[0]

    assert why("m=audio 4000 RTP/AVP 0 9") == "line 1 (audio): G722 chosen, our order of G722, PCMU"
    assert why("m=audio 4000 RTP/AVP 0 8", terms=TERMS) == "line 1 (audio): PCMU chosen, the peer’s order"
    assert why("m=audio 4000 RTP/AVP 18 0") == (
        "line 1 (audio): PCMU chosen, the only one in common; not spoken here: G729/8000"
    )
    assert why("m=audio 4000 RTP/AVP 18") == (
        "line 1 (audio) refused: offered G729/8000; spoken here: G722, PCMU, PCMA"
    )


PAYLOAD_TYPES = st.one_of(st.sampled_from([0, 8, 9, 13, 96, 101]), st.integers(0, 130))
FORMATS = st.lists(PAYLOAD_TYPES, min_size=1, max_size=12)
RTPMAPS = st.lists(
    st.tuples(
        PAYLOAD_TYPES,
        st.sampled_from(
            [
                "PCMU/8000",
                "pcma/8000",
                "G722/8000",
                "PCMU/16000",
                "telephone-event/8000",
                "telephone-event/48000",
                "CN/8000",
                "CN/16000",
                "x/0",
            ]
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
                    "a=rtcp-mux",
                    crypto(),
                    crypto("AEAD_AES_256_GCM", 2, 9),
                    "a=crypto:3 AES_CM_128_HMAC_SHA1_80 inline:short",
                ]
            ),
            max_size=3,
        ),
    ),
    max_size=4,
)


TERMS_OF_ANY_KIND = st.builds(
    Terms,
    codecs=st.lists(st.sampled_from(list(CODECS)), min_size=1, unique=True).map(tuple),
    telephone_event=st.booleans(),
    comfort_noise=st.booleans(),
    rtcp_mux=st.booleans(),
    prefer_local=st.booleans(),
    srtp=st.sampled_from(["off", "optional", "required"]),
)


@given(MEDIA, st.booleans(), TERMS_OF_ANY_KIND)
def test_whatever_is_offered(media: list[list[str]], hold: bool, terms: Terms) -> None:
    theirs = description(*(line for lines in media for line in lines))
    result = answer(theirs, terms=terms, hold=hold)
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
    assert audio.codec in terms.codecs
    # Whatever the answer invites the peer to send, the media core is told how to read.
    told = {number: CODECS[codec] for number, codec in audio.receive_types.items()}
    told |= dict.fromkeys(audio.dtmf_receive, Encoding("TELEPHONE-EVENT", 8000))
    if audio.comfort_noise is not None:
        told[audio.comfort_noise] = Encoding("CN", 8000)
    assert written.encodings.items() <= told.items() <= offered.encodings.items()
    assert len(written.encodings) == len(written.formats)
    assert len(written.formats) == 1 + (audio.dtmf_send is not None) + (audio.comfort_noise is not None)
    assert audio.dtmf_send is None or audio.dtmf_send in audio.dtmf_receive
    assert (written.attribute("rtcp-mux") is not None) == audio.rtcp_mux
    assert not audio.rtcp_mux or offered.attribute("rtcp-mux") is not None
    # Encrypted where we must, plain where we have to, and the answer says which.
    assert not (terms.srtp == "required" and audio.crypto is None)
    assert not (terms.srtp == "off" and audio.crypto is not None)
    assert not ("SAVP" in written.protocol and audio.crypto is None)
    assert (written.attribute("crypto") is not None) == (audio.crypto is not None)
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
    result = answer(theirs)
    if result.audio is None:
        return
    peer_view = accept(theirs, result.description)
    if peer_view is not None:
        assert peer_view.codec == result.audio.codec
        assert peer_view.payload_type == result.audio.payload_type
        assert peer_view.remote == ("198.51.100.5", 40_000)
        assert peer_view.rtcp_mux == result.audio.rtcp_mux


@given(TERMS_OF_ANY_KIND, TERMS_OF_ANY_KIND)
def test_a_call_between_two_of_us(caller: Terms, callee: Terms) -> None:
    """What the callee sends the caller understands, and the other way round; or both know that there is nothing."""
    written = offer(LocalMedia("192.0.2.1", 4000), caller, fresh=FRESH)
    other = FreshKeys(bytes(reversed(FRESH.random)))
    result = answer(written, terms=callee, fresh=other)
    agreed = bool(set(caller.codecs) & set(callee.codecs)) and {caller.srtp, callee.srtp} != {"off", "required"}
    assert (result.audio is not None) == agreed
    if result.audio is None:
        return
    view = accept(written, result.description, caller)
    assert view is not None
    assert (view.crypto is None) == (result.audio.crypto is None) == ("off" in (caller.srtp, callee.srtp))
    if view.crypto is not None and result.audio.crypto is not None:
        assert (view.crypto.send, view.crypto.receive) == (result.audio.crypto.receive, result.audio.crypto.send)
    if view is None or result.audio is None:
        return
    assert view.receive_types[result.audio.payload_type] == result.audio.codec
    assert result.audio.receive_types[view.payload_type] == view.codec
    assert (view.dtmf_send is None) == (result.audio.dtmf_send is None)
    if result.audio.dtmf_send is not None:
        assert result.audio.dtmf_send in view.dtmf_receive
    assert view.remote == ("198.51.100.5", 40_000)
    assert result.audio.remote == ("192.0.2.1", 4000)


@pytest.mark.parametrize("line", ["c=IN IP4 inline:{key}|2^20|1:4", "c=IN IP4 x {key}", "a=rtpmap:99 {key}/8000"])
def test_the_key_of_a_garbled_offer_is_in_no_note(line: str) -> None:
    key = "WVNfX19zZW1jdGwgKCkgewkyMjA7fQp9CnVubGVz"
    result = answer(description("m=audio 4000 RTP/AVP 0 99", line.format(key=key)))
    assert result.notes
    assert not any(key in note for note in result.notes)
