"""A timeline keeps the beginning and the end, forgets secrets, and comes back from the disk as it was."""

import json
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from offhook.errors import OffhookError
from offhook.ids import CallId
from offhook.report.timeline import KINDS, Timeline, mask

pytestmark = pytest.mark.unit

CALL = CallId("01cafe")
INVITE = (
    b"INVITE sip:100@gw.example SIP/2.0\r\nVia: SIP/2.0/UDP 192.0.2.1;branch=z9hG4bKa\r\nCSeq: 1 INVITE\r\n"
    b"Content-Length: 0\r\n\r\n"
)


def test_a_header_that_is_secret_by_name_is_masked_whole() -> None:
    message = "BYE sip:a@b SIP/2.0\r\nX-Offhook-Token: 5ec4e7\r\n 5ec4e8\r\nx-api-key:5ec4e9\r\nX-Ticket: 4711\r\n\r\n"
    assert mask(message) == "BYE sip:a@b SIP/2.0\r\nX-Offhook-Token: ***\r\nx-api-key:***\r\nX-Ticket: 4711\r\n\r\n"


def test_times_are_milliseconds_since_the_first_entry() -> None:
    timeline = Timeline(CALL)
    timeline.add("state", 100.0, state="new")
    timeline.add("agent", 100.0215, event="connected")
    assert [(entry.at_ms, entry.kind) for entry in timeline.entries] == [(0.0, "state"), (21.5, "agent")]


def test_the_middle_is_dropped_and_counted() -> None:
    timeline = Timeline(CALL, limit=8)
    for number in range(20):
        timeline.add("note", number, number=number)
    assert [entry.fields["number"] for entry in timeline.entries] == [0, 1, 2, 3, 4, 5, 18, 19]
    assert timeline.dropped == 12


def test_a_retransmission_is_counted_where_it_first_stands() -> None:
    timeline = Timeline(CALL)
    for at in (0.0, 0.5, 1.5):
        timeline.add_sip(at, "in", INVITE, transport="udp", remote="192.0.2.1:5060")
    timeline.add_sip(1.6, "in", INVITE, transport="udp", remote="192.0.2.2:5060")
    first, second = timeline.entries
    assert (first.repeats, first.repeated_ms) == (2, 1500.0)
    assert first.fields["first_line"] == "INVITE sip:100@gw.example SIP/2.0"
    assert first.fields["cseq"] == "1 INVITE"
    assert second.repeats == 0


@pytest.mark.parametrize(
    "header",
    [
        'Authorization: Digest username="bob", response="5ec4e7"',
        'PROXY-AUTHORIZATION : Digest username="bob",\r\n response="5ec4e7"',
        'Authorization:\r\n Digest username="bob",\r\n\tresponse="5ec4e7"',
        "Authorization: Basic 5ec4e7",
        "X-Next: 1\r\n\r\nv=0\r\na=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:5ec4e7|2^20",
        "X: 1\r\n\r\na=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:AAAA;inline:5ec4e7|2^20|1:4 FEC_KEY=inline:5ec4e7",
        "X: 1\r\n\r\na=crypto:1 AES_CM_128_HMAC_SHA1_80 inline: 5ec4e7 5ec4e7",
        "X: 1\r\n\r\n a= Crypto :1 5ec4e7 inline:AAAA",
        "X: 1\n\nv=0\ra=CRYPTO:5ec4e7 INLINE:5ec4e7",
        "X: 1\r\n\r\nk=base64:5ec4e7\r\na=x:***",
        "X: 1\r\n\r\nK=clear:5ec4e7",
        "X: 1\rk=clear:5ec4e7",
        # To who does not mind case a Kelvin sign is a k, and a long s an s.
        "X: 1\r\n\r\n\u212a=clear:5ec4e7",
        "X: 1\r\n\r\na=x:\u0131nline:5ec4e7",
    ],
)
def test_secrets_never_enter(header: str) -> None:
    message = f"INVITE sip:a@b SIP/2.0\r\nTo: <sip:a@b>\r\n{header}\r\nCall-ID: kept\r\n\r\n"
    masked = mask(message)
    assert "5ec4e7" not in masked
    assert "***" in masked
    assert "Call-ID: kept" in masked


@given(st.lists(st.sampled_from(["k", "K", "=", "a", "=crypto:", "inline:", "5ec4e7", "\r", "\n", " ", "\u212a", "|"])))
def test_a_message_that_looks_harmless_is(pieces: list[str]) -> None:
    # The patterns alone, behind a header that is always one for them.
    secret = "Authorization: Basic x\r\n"
    message = "".join(pieces)
    assert mask(secret + "\n" + message) == "Authorization: Basic ***\r\n" + mask("\n" + message)


def test_of_an_encrypted_offer_all_but_the_key_is_kept() -> None:
    line = "a=crypto:12 AEAD_AES_128_GCM inline:5ec4e7+/5ec4e7==|2^48|1:4 KDR=0"
    assert mask(f"v=0\r\n{line}\r\na=sendrecv\r\n") == (
        "v=0\r\na=crypto:12 AEAD_AES_128_GCM inline:***|2^48|1:4 KDR=0\r\na=sendrecv\r\n"
    )


def test_a_huge_message_is_cut() -> None:
    timeline = Timeline(CALL)
    timeline.add_sip(0.0, "in", b"OPTIONS sip:a SIP/2.0\r\n" + b"X: y\r\n" * 20_000, transport="tcp", remote="r")
    assert len(timeline.entries[0].fields["text"]) == 8_192


def test_odd_bytes_give_valid_json() -> None:
    timeline = Timeline(CALL)
    timeline.add_sip(0.0, "in", b"OPTIONS sip:\xff SIP/2.0\r\n\r\n", transport="udp", remote="r")
    timeline.add("note", 1.0, text="a\udcffb", nested={"list": [1, object]})
    text = json.dumps(timeline.as_dict())
    text.encode("utf-8")
    assert "\\\\xff" in text
    assert "\\udc" not in text


@pytest.mark.parametrize("data", [b"", b"junk", zlib.compress(b"[]"), zlib.compress(b'{"entries":[{}],"call_id":1}')])
def test_a_damaged_timeline_is_one_kind_of_error(data: bytes) -> None:
    with pytest.raises(OffhookError) as caught:
        Timeline.decode(data)
    assert caught.value.code == "timeline_damaged"


@given(
    st.lists(
        st.tuples(
            st.sampled_from(KINDS),
            st.floats(0, 7200),
            st.dictionaries(
                st.text(max_size=8).filter(
                    lambda name: name not in ("at_ms", "kind", "repeats", "repeated_ms", "at", "self")
                ),
                st.one_of(st.none(), st.booleans(), st.integers(-(2**40), 2**40), st.text(max_size=30)),
                max_size=4,
            ),
        ),
        max_size=30,
    )
)
def test_what_was_stored_comes_back(items: list[tuple[str, float, dict[str, object]]]) -> None:
    timeline = Timeline(CALL, limit=16)
    for kind, at, fields in items:
        timeline.add(kind, at, **fields)  # type: ignore[arg-type]
    again = Timeline.decode(timeline.encode())
    assert again.as_dict() == timeline.as_dict()
    assert len(again.entries) <= 16
