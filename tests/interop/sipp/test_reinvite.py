"""Offers within a call: hold in each of its forms, resume, another address, a video line, and what is refused."""

import pytest
from tests.interop.sipp.scenario import OFFER, Check, Player, Scenario
from tests.support.gateway import Gateway

pytestmark = pytest.mark.interop

HELD = {
    "sendonly": (OFFER + "a=sendonly\n", "a=recvonly"),
    "inactive": (OFFER + "a=inactive\n", "a=inactive"),
    "zero-address": (OFFER.replace("c=IN IP[media_ip_type] [media_ip]", "c=IN IP4 0.0.0.0"), "a=recvonly"),
    "port-zero": (OFFER.replace("m=audio [media_port]", "m=audio 0"), "m=audio 0 RTP"),
}


@pytest.mark.parametrize("form", HELD)
@pytest.mark.parametrize("transport", ["udp", "tcp"])
def test_hold_and_resume(gateway: Gateway, sipp: Player, form: str, transport: str) -> None:
    sipp.gateway = gateway.udp if transport == "udp" else gateway.tcp
    offer, answered = HELD[form]
    flow = (
        Scenario(f"hold-{form}-{transport}")
        .set_up(Check("a=sendrecv"))
        .invite(offer, cseq=2, branch="hold", within=True)
        .expect(100, optional=True)
        .expect(200, Check(answered), Check("o=offhook [0-9]+ 2 IN"), Check("sip:", "Contact"))
        .ack(cseq=2)
        .pause(100)
        .invite(cseq=3, branch="resume", within=True)
        .expect(100, optional=True)
        .expect(200, Check("a=sendrecv"), Check("o=offhook [0-9]+ 3 IN"))
        .ack(cseq=3)
        .pause(100)
        .tear_down(cseq=4)
    )
    shown = gateway.explained(sipp.play(flow, transport=transport).call_id)
    assert shown["call"]["end_reason"] == "caller_hung_up"
    assert "sendrecv" in str(shown["timeline"])


def test_a_video_line_is_refused_and_the_call_goes_on(gateway: Gateway, sipp: Player) -> None:
    flow = (
        Scenario("add-video")
        .set_up()
        .invite(OFFER + "m=video 7000 RTP/AVP 31\n", cseq=2, branch="video", within=True)
        .expect(100, optional=True)
        .expect(200, Check("m=audio [1-9][0-9]+ RTP/AVP 0 101"), Check("m=video 0 RTP/AVP 31"))
        .ack(cseq=2)
        .tear_down(cseq=3)
    )
    assert gateway.record(sipp.play(flow).call_id)["end_reason"] == "caller_hung_up"


def test_an_offer_without_our_codecs_leaves_the_call_as_it_was(gateway: Gateway, sipp: Player) -> None:
    only_g729 = OFFER.replace("RTP/AVP 0 8 101", "RTP/AVP 18").split("a=rtpmap:0")[0]
    flow = (
        Scenario("reinvite-488")
        .set_up()
        .invite(only_g729, cseq=2, branch="g729", within=True)
        .expect(100, optional=True)
        .expect(488)
        .request("ACK", cseq=2, branch="g729")
        .pause(300)
        .tear_down(cseq=3)
    )
    record = gateway.record(sipp.play(flow).call_id)
    assert record["end_reason"] == "caller_hung_up"
    assert record["media"]["sent_packets"] >= 5


def test_a_reinvite_without_offer_gets_ours(gateway: Gateway, sipp: Player) -> None:
    flow = (
        Scenario("reinvite-offerless")
        .set_up()
        .invite(None, cseq=2, branch="ask", within=True)
        .expect(100, optional=True)
        .expect(200, Check("m=audio [1-9][0-9]+ RTP/AVP"), Check("a=rtpmap:0 PCMU/8000"))
        .ack(OFFER, cseq=2)
        .pause(200)
        .tear_down(cseq=3)
    )
    assert gateway.record(sipp.play(flow).call_id)["end_reason"] == "caller_hung_up"


def test_a_new_address_takes_the_sound_along(gateway: Gateway, sipp: Player) -> None:
    moved = OFFER.replace("[media_port]", "7000").replace("c=IN IP[media_ip_type] [media_ip]", "c=IN IP4 127.0.0.9")
    flow = (
        Scenario("moved")
        .set_up()
        .invite(moved, cseq=2, branch="moved", within=True)
        .expect(100, optional=True)
        .expect(200)
        .ack(cseq=2)
        .pause(200)
        .tear_down(cseq=3)
    )
    assert gateway.record(sipp.play(flow).call_id)["remote_media"] == "127.0.0.9:7000"


SAME = "o=offhook [0-9]+ 1 IN"
"""Our description as it was in the first 200: the version has not gone up."""


def test_a_refresh_changes_nothing(gateway: Gateway, sipp: Player) -> None:
    """By UPDATE without SDP, by an UPDATE and by a re-INVITE that offer the same again."""
    flow = (
        Scenario("refresh")
        .set_up(Check(SAME))
        .request("UPDATE", cseq=2, branch="empty")
        .expect(200, Check("sip:", "Contact"), Check("m=audio", absent=True))
        .request("UPDATE", OFFER, cseq=3, branch="same")
        .expect(200, Check(SAME), Check("UPDATE", "Allow"))
        .invite(cseq=4, branch="again", within=True)
        .expect(100, optional=True)
        .expect(200, Check(SAME))
        .ack(cseq=4)
        .tear_down(cseq=5)
    )
    record = gateway.record(sipp.play(flow).call_id)
    assert record["end_reason"] == "caller_hung_up"


def test_hold_and_resume_by_update(gateway: Gateway, sipp: Player) -> None:
    flow = (
        Scenario("hold-by-update")
        .set_up()
        .request("UPDATE", OFFER + "a=sendonly\n", cseq=2, branch="hold")
        .expect(200, Check("a=recvonly"))
        .pause(100)
        .request("UPDATE", OFFER, cseq=3, branch="resume")
        .expect(200, Check("a=sendrecv"))
        .pause(100)
        .request("UPDATE", OFFER.replace("RTP/AVP 0 8 101", "RTP/AVP 18").split("a=rtpmap:0")[0], cseq=4, branch="g729")
        .expect(488)
        .pause(100)
        .tear_down(cseq=5)
    )
    assert gateway.record(sipp.play(flow).call_id)["end_reason"] == "caller_hung_up"


def test_an_update_before_the_answer(gateway: Gateway, sipp: Player) -> None:
    """Without SDP it is a refresh; what the INVITE has offered has no answer yet, so that another offer has to wait."""
    flow = (
        Scenario("early-update", to="slow")
        .invite()
        .expect(100)
        .expect(180)
        .request("UPDATE", cseq=2, branch="empty")
        .expect(200)
        .request("UPDATE", OFFER, cseq=3, branch="offer")
        .expect(500, Check("[0-9]", "Retry-After"))
        .cancel()
        .expect(200, Check("CANCEL", "CSeq"))
        .expect(487)
        .ack_refusal()
    )
    assert gateway.record(sipp.play(flow).call_id)["end_reason"] == "caller_cancelled"


def test_a_second_invite_before_the_first_has_its_answer(gateway: Gateway, sipp: Player) -> None:
    """RFC 3261 section 14.2: 500, and when to come again."""
    flow = (
        Scenario("two-open", to="slow")
        .invite()
        .expect(100)
        .expect(180)
        .invite(cseq=2, branch="second", within=True)
        .expect(100, optional=True)
        .expect(500, Check("^ *(10|[0-9])[^0-9]*$", "Retry-After"), Check("2 INVITE", "CSeq"), routes=False)
        .request("ACK", cseq=2, branch="second")
        .cancel()
        .expect(200, Check("CANCEL", "CSeq"))
        .expect(487)
        .ack_refusal()
    )
    assert gateway.record(sipp.play(flow).call_id)["end_reason"] == "caller_cancelled"


def test_an_offer_while_ours_has_no_answer(gateway: Gateway, sipp: Player) -> None:
    """RFC 3311 section 5.2: our 200 to an empty re-INVITE has an offer, which its ACK answers; until then 491."""
    flow = (
        Scenario("offer-against-offer")
        .set_up()
        .invite(None, cseq=2, branch="ask", within=True)
        .expect(100, optional=True)
        .expect(200, Check("m=audio"))
        .request("UPDATE", OFFER, cseq=3, branch="update")
        .expect(491, routes=False)
        .ack(OFFER, cseq=2)
        .request("UPDATE", OFFER, cseq=4, branch="later")
        .expect(200, Check("m=audio"), routes=False)
        .tear_down(cseq=5)
    )
    assert gateway.record(sipp.play(flow).call_id)["end_reason"] == "caller_hung_up"
