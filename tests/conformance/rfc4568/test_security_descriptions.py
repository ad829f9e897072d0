"""RFC 4568: reading `a=crypto`, choosing one line, answering it, changing the keys of a running session."""

import base64

import pytest

from offhook.sdp.crypto import RANDOM_BYTES, Encrypted, FreshKeys, Judgement, Plain, Refused, accepted, judge, offered
from offhook.sdp.description import Attribute, MediaDescription, SessionDescription

pytestmark = pytest.mark.conformance

FRESH = FreshKeys(bytes(range(RANDOM_BYTES)))
LATER = FreshKeys(bytes(reversed(range(RANDOM_BYTES))))
KEY = "PS1uQCVeeCFCanVmcjkpPywjNWhcYD0mXXtxaVBR"
LONG = "d0RmdmcmVCspeEc3QGZiNWpVLFJhQX1cfHAwJSoj"


def audio(*crypto: str, protocol: str = "RTP/SAVP") -> MediaDescription:
    lines = [f"m=audio 49170 {protocol} 0", *(f"a=crypto:{line}" for line in crypto)]
    head = ["v=0", "o=- 7 3 IN IP4 192.0.2.1", "s=-", "c=IN IP4 192.0.2.1", "t=0 0"]
    return SessionDescription.parse("\r\n".join([*head, *lines, ""]).encode()).media[0]


def encrypted(found: Judgement) -> Encrypted:
    assert isinstance(found, Encrypted)
    return found


@pytest.mark.rfc(4568, "5.1.2")
def test_one_line_is_accepted_and_answered_under_its_tag() -> None:
    found = encrypted(
        judge(
            audio(f"7 AES_CM_128_HMAC_SHA1_32 inline:{KEY}", f"8 AES_CM_128_HMAC_SHA1_80 inline:{LONG}"),
            "required",
            FRESH,
        )
    )
    assert found.keys.receive == base64.b64decode(LONG)
    assert str(found.attribute).startswith("crypto:8 AES_CM_128_HMAC_SHA1_80 inline:")


@pytest.mark.rfc(4568, "5.1.2")
def test_without_a_line_that_can_be_used_the_media_line_is_refused() -> None:
    found = judge(audio(f"1 F8_128_HMAC_SHA1_80 inline:{KEY}"), "optional", FRESH)
    assert isinstance(found, Refused)


@pytest.mark.rfc(4568, "5.1.3")
def test_the_answer_is_found_by_its_tag() -> None:
    protocol, lines = offered("required", FRESH)
    ours = MediaDescription("audio", 40_000, protocol, ("0",), attributes=lines)
    tags = {line.split()[1]: line.split()[0].partition(":")[2] for line in map(str, lines)}
    answer = audio(f"{tags['AES_CM_128_HMAC_SHA1_32']} AES_CM_128_HMAC_SHA1_32 inline:{KEY}")
    found = encrypted(accepted(ours, answer, "required"))
    assert (found.keys.suite, found.keys.receive) == ("AES_CM_128_HMAC_SHA1_32", base64.b64decode(KEY))
    assert found.keys.send == FRESH.of("AES_CM_128_HMAC_SHA1_32")


@pytest.mark.rfc(4568, "6.1")
def test_key_and_salt_have_the_length_of_the_suite() -> None:
    for length in (1, 16, 29, 31, 46):
        text = base64.b64encode(bytes(length)).decode()
        assert isinstance(judge(audio(f"1 AES_CM_128_HMAC_SHA1_80 inline:{text}"), "required", FRESH), Refused)


@pytest.mark.rfc(4568, "6.1")
def test_lifetimes_are_read_and_keys_with_an_identifier_are_not_taken() -> None:
    line = f"1 AES_CM_128_HMAC_SHA1_80 inline:{KEY}"
    for good in ("", "|2^20", "|2^48", "|1000000"):
        encrypted(judge(audio(line + good), "required", FRESH))
    for bad in ("|2^49", "|1:4", "|2^20|1:4"):
        assert isinstance(judge(audio(line + bad), "required", FRESH), Refused)


@pytest.mark.rfc(4568, "6.3")
@pytest.mark.parametrize(
    "parameter", ["KDR=24", "UNENCRYPTED_SRTP", "UNENCRYPTED_SRTCP", "UNAUTHENTICATED_SRTP", "NEW=1"]
)
def test_a_session_parameter_that_is_not_done_makes_a_line_unusable(parameter: str) -> None:
    bad = f"1 AES_CM_128_HMAC_SHA1_80 inline:{KEY}|2^20 {parameter}"
    assert isinstance(judge(audio(bad), "required", FRESH), Refused)
    good = encrypted(judge(audio(bad, f"2 AES_CM_128_HMAC_SHA1_32 inline:{LONG}"), "required", FRESH))
    assert good.keys.suite == "AES_CM_128_HMAC_SHA1_32"


@pytest.mark.rfc(4568, "6.3.7")
def test_a_parameter_that_may_be_ignored_is_ignored() -> None:
    encrypted(judge(audio(f"1 AES_CM_128_HMAC_SHA1_80 inline:{KEY} -NEW=1 WSH=1024"), "required", FRESH))


@pytest.mark.rfc(4568, "7.1.4")
def test_the_keys_change_only_when_the_offer_changes_them() -> None:
    line = f"1 AES_CM_128_HMAC_SHA1_80 inline:{KEY}"
    first = encrypted(judge(audio(line), "required", FRESH)).keys
    assert encrypted(judge(audio(line), "required", LATER, first)).keys == first
    changed = encrypted(judge(audio(f"1 AES_CM_128_HMAC_SHA1_80 inline:{LONG}"), "required", LATER, first)).keys
    assert changed.send != first.send
    assert changed.receive == base64.b64decode(LONG)
    assert encrypted(judge(audio(line), "required", LATER, first, moved=True)).keys.send != first.send


@pytest.mark.rfc(8643, "3.1")
def test_keys_on_a_plain_line_are_taken_and_answered_in_kind() -> None:
    line = audio(f"1 AES_CM_128_HMAC_SHA1_80 inline:{KEY}", protocol="RTP/AVP")
    encrypted(judge(line, "optional", FRESH))
    assert isinstance(judge(line, "off", FRESH), Plain)
    assert offered("optional", FRESH)[0] == "RTP/AVP"


@pytest.mark.rfc(8643, "3.1")
def test_an_answer_without_keys_leaves_an_optional_offer_plain() -> None:
    protocol, lines = offered("optional", FRESH)
    ours = MediaDescription("audio", 40_000, protocol, ("0",), attributes=(*lines, Attribute("sendrecv")))
    assert isinstance(accepted(ours, audio(protocol="RTP/AVP"), "optional"), Plain)
    assert isinstance(accepted(ours, audio(protocol="RTP/AVP"), "required"), Refused)
