"""Who is let in, and where answers go: digest, NAT, Via (RFC 3261 18.2.2, RFC 3581), OPTIONS."""

import pytest
from tests.interop.sipp.scenario import OFFER, Check, Player, Scenario
from tests.support.gateway import Gateway

pytestmark = pytest.mark.interop

INSIDE = "SIP/2.0/UDP 10.11.12.13:5999"
INSIDE_CONTACT = "<sip:phone@10.11.12.13:5999>"


@pytest.mark.parametrize("transport", ["udp", "tcp"])
def test_options(gateway: Gateway, sipp: Player, transport: str) -> None:
    sipp.gateway = gateway.udp if transport == "udp" else gateway.tcp
    flow = (
        Scenario(f"options-{transport}")
        .request("OPTIONS", cseq=1, branch="only", within=False)
        .expect(200, Check("INVITE", "Allow"), Check("application/sdp", "Accept"), Check("tag=", "To"))
    )
    sipp.play(flow, transport=transport)


def challenged(name: str, password: str, *checks: Check) -> Scenario:
    flow = Scenario(name)
    return flow.invite().expect_challenge(*checks).ack_refusal().invite(
        cseq=2, branch="proved", headers=(flow.authenticate("acme", password),)
    )  # fmt: skip


def test_a_password_that_is_proved(gateway: Gateway, sipp: Player) -> None:
    sipp.source = "127.0.0.5"
    flow = challenged("digest", "open-sesame", Check('algorithm="?MD5', "WWW-Authenticate"))
    flow.expect(100, optional=True).expect(180, optional=True).expect(200).ack(cseq=2).pause(100)
    # Whoever comes from the address of the dialog is not asked again.
    record = gateway.record(sipp.play(flow.tear_down(cseq=3)).call_id)
    assert (record["trunk"], record["end_reason"]) == ("old-password", "caller_hung_up")


def test_a_wrong_password(gateway: Gateway, sipp: Player) -> None:
    sipp.source = "127.0.0.5"
    flow = challenged("digest-wrong", "open-barley").expect_challenge().ack_refusal(branch="proved", cseq=2)
    played = sipp.play(flow)
    assert not [call for call in gateway.calls() if call["sip_call_id"] == played.call_id and call["answer_at"]]


def test_the_best_algorithm_is_offered_first(gateway: Gateway, sipp: Player) -> None:
    sipp.source = "127.0.0.3"
    flow = Scenario("digest-order").invite().expect(401, Check("SHA-256.*MD5")).ack_refusal()
    sipp.play(flow)


def test_a_peer_behind_nat_is_answered_where_it_comes_from(gateway: Gateway, sipp: Player) -> None:
    """Its Via and Contact name an address that leads nowhere; the trunk says `nat = true`, so the BYE finds it too."""
    sipp.source = "127.0.0.2"
    flow = Scenario("nat", via=INSIDE, contact=INSIDE_CONTACT)
    flow.set_up(Check("received=127.0.0.2", "Via")).expect_request("BYE").answer()
    assert gateway.record(sipp.play(flow).call_id)["end_reason"] == "max_duration"


def test_rport_is_honoured_without_nat(gateway: Gateway, sipp: Player) -> None:
    flow = Scenario("rport", via=INSIDE + ";rport", contact=INSIDE_CONTACT)
    flow.set_up(Check("received=127.0.0.1", "Via"), Check("rport=[0-9]+", "Via")).tear_down()
    assert gateway.record(sipp.play(flow).call_id)["end_reason"] == "caller_hung_up"


def test_the_record_of_a_call_names_its_addresses(gateway: Gateway, sipp: Player) -> None:
    flow = Scenario("addresses").set_up(body=OFFER).tear_down()
    record = gateway.record(sipp.play(flow).call_id)
    assert record["remote_signalling"].startswith("127.0.0.1:")
    assert record["local_signalling"] == f"{gateway.udp[0]}:{gateway.udp[1]}"
    assert record["remote_media"].startswith("127.0.0.1:")
    assert record["local_media"].startswith("127.0.0.1:")
