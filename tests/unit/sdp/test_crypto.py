"""Keys in SDP: what is taken of an offer, what is refused and by which name, and that no key is ever shown."""

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from offhook.errors import LocalProtocolError
from offhook.sdp.crypto import (
    MAX_LINES,
    RANDOM_BYTES,
    SUITES,
    CryptoKeys,
    Encrypted,
    FreshKeys,
    Plain,
    Policy,
    Refused,
    accepted,
    judge,
    offered,
)
from offhook.sdp.description import Attribute, MediaDescription

pytestmark = pytest.mark.unit

FRESH = FreshKeys(bytes(range(RANDOM_BYTES)))
OTHER = FreshKeys(bytes(reversed(range(RANDOM_BYTES))))
POLICIES: tuple[Policy, ...] = ("off", "optional", "required")


def material(suite: str, fill: int = 7) -> bytes:
    return bytes([fill] * SUITES[suite])


def key(suite: str, fill: int = 7) -> str:
    return base64.b64encode(material(suite, fill)).decode()


def crypto(tag: int | str, suite: str, more: str = "", fill: int = 7) -> str:
    return f"{tag} {suite} inline:{key(suite, fill)}{more}"


def audio(*lines: str, protocol: str = "RTP/SAVP") -> MediaDescription:
    return MediaDescription("audio", 4000, protocol, ("0",), attributes=tuple(Attribute("crypto", x) for x in lines))


def test_an_offer_is_answered_with_its_tag_and_a_key_of_ours() -> None:
    found = judge(audio(crypto(3, "AES_CM_128_HMAC_SHA1_80")), "required", FRESH)
    assert isinstance(found, Encrypted)
    ours = FRESH.of("AES_CM_128_HMAC_SHA1_80")
    assert found.keys == CryptoKeys("AES_CM_128_HMAC_SHA1_80", send=ours, receive=material("AES_CM_128_HMAC_SHA1_80"))
    text = base64.b64encode(ours).decode()
    assert str(found.attribute) == f"crypto:3 AES_CM_128_HMAC_SHA1_80 inline:{text}"


def test_each_suite_has_a_key_of_its_own() -> None:
    keys = [FRESH.of(suite) for suite in SUITES]
    assert [len(key) for key in keys] == list(SUITES.values())
    assert b"".join(keys) == FRESH.random
    for length in (0, RANDOM_BYTES - 1, RANDOM_BYTES + 1):
        with pytest.raises(LocalProtocolError):
            FreshKeys(bytes(length))


def test_our_order_of_suites_holds() -> None:
    lines = [crypto(tag, suite) for tag, suite in enumerate(reversed(SUITES), start=1)]
    while lines:
        found = judge(audio(*lines), "optional", FRESH)
        assert isinstance(found, Encrypted)
        assert found.keys.suite == list(SUITES)[-len(lines)]
        assert str(found.attribute).startswith(f"crypto:{len(lines)} ")
        lines.pop()


@pytest.mark.parametrize("policy", ["optional", "required"])
@pytest.mark.parametrize("protocol", ["RTP/AVP", "RTP/AVPF", "RTP/SAVP", "RTP/SAVPF"])
def test_keys_are_taken_on_either_protocol(policy: Policy, protocol: str) -> None:
    found = judge(audio(crypto(1, "AEAD_AES_128_GCM"), protocol=protocol), policy, FRESH)
    assert isinstance(found, Encrypted)


@pytest.mark.parametrize(
    ("policy", "protocol", "line", "refusal"),
    [
        ("off", "RTP/AVP", None, None),
        ("off", "RTP/AVP", crypto(1, "AEAD_AES_128_GCM"), None),
        ("off", "RTP/SAVP", crypto(1, "AEAD_AES_128_GCM"), "srtp_not_supported"),
        ("off", "UDP/TLS/RTP/SAVP", None, "srtp_not_supported"),
        ("optional", "RTP/AVP", None, None),
        ("optional", "RTP/AVP", "1 F8_128_HMAC_SHA1_80 inline:AAAA", None),
        ("optional", "RTP/SAVP", "1 F8_128_HMAC_SHA1_80 inline:AAAA", "no_common_crypto"),
        ("optional", "RTP/SAVP", None, "no_common_crypto"),
        ("optional", "UDP/TLS/RTP/SAVP", None, "no_common_crypto"),
        ("required", "RTP/AVP", None, "srtp_required"),
        ("required", "RTP/AVPF", "1 F8_128_HMAC_SHA1_80 inline:AAAA", "srtp_required"),
        ("required", "RTP/SAVP", None, "no_common_crypto"),
        ("required", "UDP/TLS/RTP/SAVPF", None, "no_common_crypto"),
    ],
)
def test_what_a_trunk_makes_of_an_offer(policy: Policy, protocol: str, line: str | None, refusal: str | None) -> None:
    found = judge(audio(*([line] if line else []), protocol=protocol), policy, FRESH)
    if refusal is None:
        assert isinstance(found, Plain)
    else:
        assert isinstance(found, Refused)
        assert found.refusal == refusal


@pytest.mark.parametrize(
    ("line", "complaint"),
    [
        (crypto(1, "AES_CM_128_HMAC_SHA1_80", "|2^20|1:4"), "master key identifier"),
        (crypto(1, "AES_CM_128_HMAC_SHA1_80", "|1:4"), "master key identifier"),
        (crypto(1, "AES_CM_128_HMAC_SHA1_80", f";inline:{key('AES_CM_128_HMAC_SHA1_80')}"), "more than one key"),
        (crypto(1, "AES_CM_128_HMAC_SHA1_80", "|2^49"), "lifetime"),
        (crypto(1, "AES_CM_128_HMAC_SHA1_80", "|0"), "lifetime"),
        (crypto(1, "AES_CM_128_HMAC_SHA1_80", "|281474976710657"), "lifetime"),
        (crypto(1, "AES_CM_128_HMAC_SHA1_80", "|^20"), "lifetime"),
        (crypto(1, "AES_CM_128_HMAC_SHA1_80", " KDR=1"), "KDR"),
        (crypto(1, "AES_CM_128_HMAC_SHA1_80", " UNENCRYPTED_SRTP"), "UNENCRYPTED_SRTP"),
        (crypto(1, "AES_CM_128_HMAC_SHA1_80", " UNENCRYPTED_SRTCP"), "UNENCRYPTED_SRTCP"),
        (crypto(1, "AES_CM_128_HMAC_SHA1_80", " WSH=64 UNAUTHENTICATED_SRTP"), "UNAUTHENTICATED_SRTP"),
        (crypto(1, "AES_CM_128_HMAC_SHA1_80", " FEC_ORDER=FEC_SRTP"), "FEC_ORDER"),
        (crypto(1, "AES_CM_128_HMAC_SHA1_80", " WSH=many"), "WSH"),
        (crypto(1, "AES_CM_128_HMAC_SHA1_80", " SOMETHING=1"), "a session parameter"),
        ("1 AES_CM_128_HMAC_SHA1_80 inline:AAAA", "30 bytes"),
        (f"1 AES_CM_128_HMAC_SHA1_80 inline:{key('AEAD_AES_256_GCM')}", "30 bytes"),
        ("1 AES_CM_128_HMAC_SHA1_80 inline:!!!!", "can't be read"),
        ("1 AES_CM_128_HMAC_SHA1_80 inline:", "can't be read"),
        ("1 AES_CM_128_HMAC_SHA1_80 http://192.0.2.1/key", "can't be read"),
        ("1 AES_CM_128_HMAC_SHA1_80", "can't be read"),
        ("one AES_CM_128_HMAC_SHA1_80 inline:AAAA", "can't be read"),
        ("1234567890 AES_CM_128_HMAC_SHA1_80 inline:AAAA", "can't be read"),
        ("", "can't be read"),
        ("1 AES_CM_128_HMAC_SHA1_80 inline:\x01", "can't be read"),
        ("1 ÄES inline:AAAA", "can't be read"),
    ],
)
def test_what_is_not_done_is_refused_by_name(line: str, complaint: str) -> None:
    found = judge(audio(line), "required", FRESH)
    assert isinstance(found, Refused)
    assert complaint in found.note
    # Beside a line that is good, it is only passed over.
    assert isinstance(judge(audio(line, crypto(2, "AEAD_AES_128_GCM")), "required", FRESH), Encrypted)


@pytest.mark.parametrize("more", ["|2^48", "|2^31", "|1048576", " WSH=128", " KDR=0", " -later=1", "\tWSH=64"])
def test_what_changes_nothing_is_read_past(more: str) -> None:
    found = judge(audio(crypto(1, "AES_CM_128_HMAC_SHA1_80", more)), "required", FRESH)
    assert isinstance(found, Encrypted)
    assert len(str(found.attribute).split()) == 3, "and not repeated"


@pytest.mark.parametrize("suite", list(SUITES))
def test_padding_of_a_key_may_be_left_out(suite: str) -> None:
    found = judge(audio(f"1 {suite} inline:{key(suite).rstrip('=')}"), "required", FRESH)
    assert isinstance(found, Encrypted)
    assert found.keys.receive == material(suite)


def test_the_same_keys_go_on_whatever_stands_beside_them() -> None:
    first = judge(audio(crypto(2, "AES_CM_128_HMAC_SHA1_80")), "required", FRESH)
    assert isinstance(first, Encrypted)
    again = audio(crypto(1, "AEAD_AES_256_GCM"), crypto(9, "AES_CM_128_HMAC_SHA1_80"))
    found = judge(again, "required", OTHER, first.keys)
    assert isinstance(found, Encrypted)
    assert found.keys == first.keys
    assert str(found.attribute) == str(first.attribute).replace("crypto:2", "crypto:9")


def test_a_new_key_of_the_peer_or_a_port_of_ours_that_moved_brings_a_new_key_of_ours() -> None:
    line = crypto(2, "AES_CM_128_HMAC_SHA1_80")
    first = judge(audio(line), "required", FRESH)
    assert isinstance(first, Encrypted)
    changed = judge(audio(crypto(2, "AES_CM_128_HMAC_SHA1_80", fill=8)), "required", OTHER, first.keys)
    moved = judge(audio(line), "required", OTHER, first.keys, moved=True)
    for found in (changed, moved):
        assert isinstance(found, Encrypted)
        assert found.keys.send == OTHER.of("AES_CM_128_HMAC_SHA1_80") != first.keys.send


def test_only_so_many_lines_are_read() -> None:
    bad = [crypto(tag, "AES_CM_128_HMAC_SHA1_80", "|1:4") for tag in range(1, MAX_LINES)]
    good = crypto(1000, "AES_CM_128_HMAC_SHA1_80")
    assert isinstance(judge(audio(*bad, good), "required", FRESH), Encrypted)
    found = judge(audio(*bad, bad[0], good), "required", FRESH)
    assert isinstance(found, Refused)
    assert "and 60 more" in found.note
    assert len(found.note) < 600


def test_a_tag_that_comes_twice_names_the_first() -> None:
    found = judge(audio(crypto(1, "AES_CM_128_HMAC_SHA1_32"), crypto(1, "AEAD_AES_256_GCM")), "required", FRESH)
    assert isinstance(found, Encrypted)
    assert found.keys.suite == "AES_CM_128_HMAC_SHA1_32"


def test_what_we_offer() -> None:
    assert offered("off", FRESH) == ("RTP/AVP", ())
    for policy, protocol in (("optional", "RTP/AVP"), ("required", "RTP/SAVP")):
        found, lines = offered("optional" if policy == "optional" else "required", FRESH)
        assert found == protocol
        assert [str(line).split()[1] for line in lines] == list(SUITES)
        assert len({str(line).split()[2] for line in lines}) == len(SUITES)
    assert offered("optional", FRESH, "RTP/SAVP")[0] == "RTP/SAVP", "what stands is not made weaker"


def offer(policy: Policy, protocol: str = "RTP/SAVP") -> MediaDescription:
    said, lines = offered(policy, FRESH, protocol)
    return MediaDescription("audio", 40_000, said, ("0",), attributes=lines)


def test_an_answer_to_our_offer() -> None:
    found = accepted(offer("required"), audio(crypto(4, "AES_CM_128_HMAC_SHA1_80")), "required")
    assert isinstance(found, Encrypted)
    suite = "AES_CM_128_HMAC_SHA1_80"
    assert found.keys == CryptoKeys(suite, send=FRESH.of(suite), receive=material(suite))


@pytest.mark.parametrize(
    "line",
    [
        crypto(3, "AES_CM_128_HMAC_SHA1_80"),
        crypto(77, "AES_CM_128_HMAC_SHA1_80"),
        f"4 AES_CM_128_HMAC_SHA1_80 inline:{base64.b64encode(FRESH.of('AES_CM_128_HMAC_SHA1_80')).decode()}",
    ],
)
def test_an_answer_that_fits_no_line_of_ours_or_gives_our_key_back(line: str) -> None:
    found = accepted(offer("required"), audio(line), "required")
    assert isinstance(found, Refused)
    assert found.refusal == "no_common_crypto"


def test_a_plain_answer_to_our_offer() -> None:
    plain = audio(protocol="RTP/AVP")
    assert isinstance(accepted(offer("optional", "RTP/AVP"), plain, "optional"), Plain)
    found = accepted(offer("required", "RTP/AVP"), plain, "required")
    assert isinstance(found, Refused)
    assert found.refusal == "srtp_required"
    found = accepted(offer("optional"), audio(), "optional")
    assert isinstance(found, Refused)


@pytest.mark.parametrize("policy", POLICIES)
def test_no_key_is_shown(policy: Policy) -> None:
    suite = "AES_CM_128_HMAC_SHA1_80"
    secret = key(suite)
    lines = [
        crypto(1, suite),
        f"2 {suite} inline:{secret[:9]} {secret[9:]}",
        f"3 inline:{secret} x",
        f"4 {secret} inline:AAAA",
        f"5 {suite} {secret}",
        f"6 {suite} inline:{secret}|1:4",
    ]
    shown = ""
    for line in (audio(*lines), audio(*lines[1:]), *(audio(text) for text in lines)):
        found = judge(line, policy, FRESH)
        shown += repr(found) + repr(line) + repr(FRESH) + getattr(found, "note", "")
    ours = base64.b64encode(FRESH.of(suite)).decode()
    for part in (secret, secret[9:], secret[:20], ours, repr(FRESH.of(suite)), repr(material(suite))):
        assert part not in shown


@given(st.lists(st.text(alphabet=st.characters(exclude_characters="\r\n\x00"), max_size=80), max_size=5))
def test_any_text_is_judged(texts: list[str]) -> None:
    lines = [f"1 AES_CM_128_HMAC_SHA1_80 inline:{text}" for text in texts] + texts
    for policy in POLICIES:
        assert isinstance(judge(audio(*lines), policy, FRESH), Encrypted | Refused)
        assert not isinstance(judge(audio(*lines, protocol="RTP/AVP"), policy, FRESH), Encrypted)
