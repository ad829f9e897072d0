"""Ringing that is acknowledged: reliable 183, lost PRACK, our offer in the 183, CANCEL meanwhile (RFC 3262)."""

import pytest
from tests.interop.sipp.scenario import OFFER, Check, Player, Scenario
from tests.support.gateway import Gateway
from tests.support.undisturbed import undisturbed

pytestmark = pytest.mark.interop

SUPPORTS = ("Supported: 100rel",)
SDP = Check("m=audio [1-9][0-9]+ RTP/AVP")


def lines(shown: dict[str, object]) -> str:
    return str(shown["timeline"])


@pytest.mark.parametrize(("transport", "lost_ms"), [("udp", 700), ("tcp", 0)])
@undisturbed
def test_a_183_is_repeated_until_its_prack_and_the_call_answered_after_it(
    gateway: Gateway, sipp: Player, transport: str, lost_ms: int
) -> None:
    sipp.gateway = gateway.udp if transport == "udp" else gateway.tcp
    flow = (
        Scenario(f"prack-{transport}", "ringing")
        .invite(headers=SUPPORTS)
        .expect(100, optional=True)
        .expect_reliable(183, SDP)
        # As if the first PRACK were lost: long enough for one repetition.
        .pause(lost_ms)
        .prack()
        .expect(200, Check("PRACK", "CSeq"))
        .expect(200, SDP, Check("INVITE", "CSeq"))
        .ack()
        .pause(100)
        .tear_down(cseq=3)
    )
    played = sipp.play(flow, transport=transport)
    repeated = played.received("SIP/2.0 183")
    assert len(repeated) == (2 if lost_ms else 1)
    assert len({line for _, text in repeated for line in text.splitlines() if line.startswith("RSeq:")}) == 1
    shown = gateway.explained(played.call_id)
    assert shown["call"]["end_reason"] == "caller_hung_up"
    assert "sound before the answer: ringback GB" in lines(shown)
    assert shown["call"]["media"]["sent_packets"] > 25, "it rings for a second"


@undisturbed
def test_an_invite_that_requires_100rel_is_served(gateway: Gateway, sipp: Player) -> None:
    flow = (
        Scenario("require-100rel", "slow")
        .invite(headers=("Require: 100rel",))
        .expect(100, optional=True)
        .expect_reliable(180)
        .prack()
        .expect(200, Check("PRACK", "CSeq"))
        .cancel()
        .expect(200, Check("CANCEL", "CSeq"))
        .expect(487)
        .ack_refusal()
    )
    assert gateway.record(sipp.play(flow).call_id)["end_reason"] == "caller_cancelled"


@undisturbed
def test_our_offer_in_the_183_is_answered_in_the_prack(gateway: Gateway, sipp: Player) -> None:
    flow = (
        Scenario("prack-offerless", "ringing")
        .invite(None, headers=SUPPORTS)
        .expect(100, optional=True)
        .expect_reliable(183, SDP, Check("a=rtpmap:0 PCMU/8000"))
        .prack(OFFER)
        .expect(200, Check("PRACK", "CSeq"))
        .expect(200, Check("INVITE", "CSeq"), Check("m=audio", absent=True))
        .ack()
        .pause(100)
        .tear_down(cseq=3)
    )
    shown = gateway.explained(sipp.play(flow).call_id)
    assert shown["call"]["end_reason"] == "caller_hung_up"
    assert shown["call"]["media"]["sent_packets"] > 25, "it rings for a second"


@undisturbed
def test_an_invite_without_an_offer_and_without_100rel_rings_silently(gateway: Gateway, sipp: Player) -> None:
    flow = (
        Scenario("offerless-plain", "ringing")
        .invite(None)
        .expect(100, optional=True)
        .expect(180, Check("m=audio", absent=True))
        .expect(200, SDP)
        .ack(OFFER)
        .pause(100)
        .tear_down()
    )
    assert "takes no PRACK" in lines(gateway.explained(sipp.play(flow).call_id))


@undisturbed
def test_a_prack_that_matches_nothing_is_481_and_the_call_goes_on(gateway: Gateway, sipp: Player) -> None:
    flow = (
        Scenario("prack-wrong", "ringing")
        .invite(headers=SUPPORTS)
        .expect(100, optional=True)
        .expect_reliable(183)
        .prack(rack="[$rseq] 7 INVITE")
        .expect(481)
        .prack(cseq=3)
        .expect(200, Check("PRACK", "CSeq"))
        .expect(200, Check("INVITE", "CSeq"))
        .ack()
        .tear_down(cseq=4)
    )
    assert gateway.record(sipp.play(flow).call_id)["end_reason"] == "caller_hung_up"


@undisturbed
def test_a_caller_who_gives_up_before_its_prack(gateway: Gateway, sipp: Player) -> None:
    flow = (
        Scenario("prack-cancel", "ringing")
        .invite(headers=SUPPORTS)
        .expect(100, optional=True)
        .expect_reliable(183)
        .cancel()
        .expect(200, Check("CANCEL", "CSeq"))
        .expect(487)
        .ack_refusal()
    )
    assert gateway.record(sipp.play(flow).call_id)["end_reason"] == "caller_cancelled"
