"""Whole calls of sipp: over UDP and TCP, IPv4 and IPv6, ended by either side."""

import pytest
from tests.interop.sipp.scenario import OFFER, Check, Player, Scenario
from tests.support.gateway import Gateway, wait_until

pytestmark = pytest.mark.interop

LOOPBACK_6 = "::1"


@pytest.mark.parametrize("transport", ["udp", "tcp"])
@pytest.mark.parametrize("source", ["127.0.0.1", LOOPBACK_6])
def test_a_call_from_invite_to_bye(gateway: Gateway, sipp: Player, source: str, transport: str) -> None:
    addresses = {(kind, ":" in host): (host, port) for kind, host, port in gateway.addresses}
    sipp.source, sipp.gateway = source, addresses[transport, ":" in source]
    family = "6" if ":" in source else "4"
    flow = (
        Scenario(f"call-{transport}-{family}")
        .invite()
        .expect(100)
        .expect(180, Check("tag=", "To"), Check("sip:", "Contact"))
        .expect(
            200,
            Check("tag=", "To"),
            Check("INVITE, ACK, CANCEL, BYE, OPTIONS", "Allow"),
            Check(f"c=IN IP{family} {source}"),
            Check("m=audio [1-9][0-9]+ RTP/AVP 0 101"),
        )
        .ack()
        .pause(300)
        .tear_down()
    )
    played = sipp.play(flow, transport=transport)
    record = gateway.record(played.call_id)
    assert (record["end_reason"], record["sip_status"], record["fault"]) == ("caller_hung_up", 200, "none")
    assert record["transport"] == transport
    assert record["codec"] == "PCMU"
    assert record["setup_at"] <= record["ring_at"] <= record["answer_at"] <= record["end_at"]
    # RTP flowed from the 200 on, at its own pace, though sipp sends none.
    assert 5 <= record["media"]["sent_packets"] <= 2 * (record["end_at"] - record["answer_at"]) // 20 + 10
    ladder = gateway.run("calls", "show", record["call_id"])
    for word in ("INVITE", "100 Trying", "180 Ringing", "200 OK", "ACK", "BYE"):
        assert word in ladder, ladder


@pytest.mark.parametrize("transport", ["udp", "tcp"])
def test_the_gateway_hangs_up(gateway: Gateway, sipp: Player, transport: str) -> None:
    sipp.source = "127.0.0.4"
    if transport == "tcp":
        sipp.gateway = gateway.tcp
    flow = Scenario(f"hung-up-{transport}").set_up().expect_request("BYE", Check("Q.850", "Reason")).answer()
    record = gateway.record(sipp.play(flow, transport=transport).call_id)
    assert (record["end_reason"], record["fault"]) == ("max_duration", "operator")


def test_a_call_that_is_told_where_to_go_by_the_acknowledgement(gateway: Gateway, sipp: Player) -> None:
    flow = (
        Scenario("offerless")
        .invite(None)
        .expect(100, optional=True)
        .expect(180, optional=True)
        .expect(200, Check("m=audio [1-9][0-9]+ RTP/AVP 0 8 101"))
        .ack(OFFER.replace("RTP/AVP 0 8 101", "RTP/AVP 8 101"))
        .pause(300)
        .tear_down()
    )
    record = gateway.record(sipp.play(flow).call_id)
    assert (record["end_reason"], record["codec"]) == ("caller_hung_up", "PCMA")
    assert record["remote_media"].startswith("127.0.0.1:")
    assert record["media"]["sent_packets"] >= 5


def test_an_acknowledgement_without_the_answer_ends_the_call(gateway: Gateway, sipp: Player) -> None:
    flow = (
        Scenario("offerless-unanswered")
        .invite(None)
        .expect(100, optional=True)
        .expect(180, optional=True)
        .expect(200)
        .ack()
        .expect_request("BYE", Check("answer", "Reason"))
        .answer()
    )
    record = gateway.record(sipp.play(flow).call_id)
    assert (record["end_reason"], record["fault"]) == ("no_offer_answer", "carrier")


def test_one_hundred_calls_one_after_the_other(gateway: Gateway, sipp: Player) -> None:
    flow = Scenario("hundred").set_up().tear_down()
    played = sipp.play(flow, calls=100, rate=50)
    assert len(played.call_ids) == 100
    gateway.record(played.call_ids[-1])
    reasons: dict[str, str | None] = {}

    def are_over() -> bool:
        reasons.update({call["sip_call_id"]: call["end_reason"] for call in gateway.calls()})
        return {reasons.get(call_id) for call_id in played.call_ids} == {"caller_hung_up"}

    wait_until(are_over, 60, lambda: str([call_id for call_id in played.call_ids if not reasons.get(call_id)]))


def test_several_media_lines_one_of_which_is_ours(gateway: Gateway, sipp: Player) -> None:
    offer = OFFER.replace(
        "m=audio",
        "m=video 7000 RTP/AVP 31\nm=audio 7002 RTP/SAVP 0\na=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:AA==\nm=audio",
        1,
    )
    flow = (
        Scenario("several-lines")
        .set_up(
            Check("m=video 0 RTP/AVP 31"),
            Check("m=audio 0 RTP/SAVP 0"),
            Check("m=audio [1-9][0-9]+ RTP/AVP 0 101"),
            body=offer,
        )
        .tear_down()
    )
    assert gateway.record(sipp.play(flow).call_id)["end_reason"] == "caller_hung_up"


@pytest.mark.parametrize(
    ("kind", "body", "digit"),
    [("application/dtmf-relay", "Signal=7\nDuration=200\n", "7"), ("application/dtmf", "#\n", "#")],
)
def test_digits_by_info(gateway: Gateway, sipp: Player, kind: str, body: str, digit: str) -> None:
    name = "info-" + kind.rpartition("/")[2]
    flow = (
        Scenario(name)
        .set_up()
        .request("INFO", body, cseq=2, branch="info", kind=kind)
        .expect(200)
        .request("INFO", "<a/>\n", cseq=3, branch="other", kind="application/media_control+xml")
        .expect(415, Check("application/dtmf-relay", "Accept"))
        # A key goes by way of the media core, and nobody is left to be told of it when the call is over.
        .pause(200)
        .tear_down(cseq=4)
    )
    shown = gateway.explained(sipp.play(flow).call_id)
    assert shown["call"]["end_reason"] == "caller_hung_up"
    pressed = [entry for entry in shown["timeline"]["entries"] if entry.get("note") == "DTMF digit by INFO"]
    assert [entry["digit"] for entry in pressed] == [digit]
