"""Offers with and without keys, at the start and within a call, by the policy of the trunk."""

import base64

import pytest
from tests.interop.sipp.scenario import OFFER, Check, Player, Scenario
from tests.support.gateway import Gateway

pytestmark = pytest.mark.interop

OPTIONAL, REQUIRED = "127.0.0.6", "127.0.0.7"


def crypto(fill: int = 7, tag: int = 1) -> str:
    return f"a=crypto:{tag} AES_CM_128_HMAC_SHA1_80 inline:{base64.b64encode(bytes([fill] * 30)).decode()}\n"


SAVP = OFFER.replace("RTP/AVP", "RTP/SAVP")
SECURE = SAVP + crypto()
KEY = Check("a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:[A-Za-z0-9+/=]+")


@pytest.mark.parametrize("source", [OPTIONAL, REQUIRED])
@pytest.mark.parametrize("protocol", ["RTP/AVP", "RTP/SAVP"])
def test_keys_are_answered_in_kind(gateway: Gateway, sipp: Player, source: str, protocol: str) -> None:
    sipp.source = source
    offer = OFFER.replace("RTP/AVP", protocol) + crypto()
    flow = Scenario("keys").set_up(KEY, Check(f"m=audio [1-9][0-9]+ {protocol} 0"), body=offer).pause(100).tear_down()
    assert gateway.record(sipp.play(flow).call_id)["encryption"] == "AES_CM_128_HMAC_SHA1_80"


def test_a_plain_call_where_encryption_is_optional(gateway: Gateway, sipp: Player) -> None:
    sipp.source = OPTIONAL
    flow = Scenario("plain").set_up(Check("crypto", absent=True)).pause(100).tear_down()
    assert gateway.record(sipp.play(flow).call_id)["encryption"] == "none"


@pytest.mark.parametrize(
    ("name", "body", "reason"),
    [
        ("plain", OFFER, "srtp_required"),
        ("no-key", SAVP, "no_common_crypto"),
        ("mki", SAVP + crypto().rstrip("\n") + "|2^20|1:4\n", "no_common_crypto"),
        ("dtls", OFFER.replace("RTP/AVP", "UDP/TLS/RTP/SAVP"), "no_common_crypto"),
    ],
)
def test_what_would_be_plain_is_refused_where_encryption_is_required(
    gateway: Gateway, sipp: Player, name: str, body: str, reason: str
) -> None:
    sipp.source = REQUIRED
    flow = Scenario(f"required-{name}").invite(body).expect(100, optional=True).expect(488).ack_refusal()
    record = gateway.record(sipp.play(flow).call_id)
    assert (record["end_reason"], record["fault"]) == (reason, "operator")


def test_a_secure_call_can_not_be_made_plain(gateway: Gateway, sipp: Player) -> None:
    sipp.source = REQUIRED
    flow = Scenario("downgrade").set_up(KEY, body=SECURE)

    def offer(cseq: int, body: str) -> Scenario:
        return flow.invite(body, cseq=cseq, branch=f"offer{cseq}", within=True).expect(100, optional=True)

    def is_refused(cseq: int, body: str) -> None:
        offer(cseq, body).expect(488).request("ACK", cseq=cseq, branch=f"offer{cseq}")

    is_refused(2, OFFER)
    is_refused(3, SAVP)
    # Taken out, and back without keys: the way round is none either.
    offer(4, SECURE.replace("[media_port]", "0")).expect(200, Check("m=audio 0 RTP/SAVP")).ack(cseq=4)
    is_refused(5, OFFER)
    back = offer(6, SAVP + crypto(fill=8)).expect(200, KEY, Check("m=audio [1-9][0-9]+ RTP/SAVP 0"))
    back.ack(cseq=6).pause(200).tear_down(cseq=7)
    shown = gateway.explained(sipp.play(flow).call_id)
    assert (shown["call"]["end_reason"], shown["call"]["encryption"]) == ("caller_hung_up", "AES_CM_128_HMAC_SHA1_80")
    for fill in (7, 8):
        assert crypto(fill).split("inline:")[1].strip() not in str(shown)
    assert "inline:***" in str(shown["timeline"])


def test_without_an_offer_ours_asks_for_encryption_and_a_plain_answer_ends_the_call(
    gateway: Gateway, sipp: Player
) -> None:
    sipp.source = REQUIRED
    flow = (
        Scenario("late-offer")
        .invite(None)
        .expect(100, optional=True)
        .expect(180, optional=True)
        .expect(200, Check("RTP/SAVP 0"), Check("a=crypto:1 AEAD_AES_256_GCM inline:"))
        .ack(OFFER)
        .expect_request("BYE")
        .answer()
    )
    record = gateway.record(sipp.play(flow).call_id)
    assert record["end_reason"] in ("srtp_required", "no_offer_answer")
    assert record["media"]["sent_packets"] == 0
