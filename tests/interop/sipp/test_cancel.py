"""CANCEL at every moment: RFC 3261 section 9, and what the record says of it."""

import pytest
from tests.interop.sipp.scenario import Check, Player, Scenario
from tests.support.gateway import Gateway

pytestmark = pytest.mark.interop


@pytest.mark.parametrize("transport", ["udp", "tcp"])
def test_while_it_rings(gateway: Gateway, sipp: Player, transport: str) -> None:
    sipp.gateway = gateway.udp if transport == "udp" else gateway.tcp
    flow = (
        Scenario(f"cancel-ringing-{transport}", to="slow")
        .invite()
        .expect(100)
        .expect(180)
        .cancel(headers=('Reason: SIP;cause=200;text="Call completed elsewhere"',))
        .expect(200, Check("CANCEL", "CSeq"))
        .expect(487, Check("INVITE", "CSeq"))
        .ack_refusal()
    )
    record = gateway.record(sipp.play(flow, transport=transport).call_id)
    assert (record["end_reason"], record["sip_status"], record["fault"]) == ("caller_cancelled", 487, "caller")
    assert record["answer_at"] is None


def test_before_any_answer_came(gateway: Gateway, sipp: Player) -> None:
    flow = (
        Scenario("cancel-early", to="slow", talks_over=True)
        .invite()
        .cancel()
        .expect(100, optional=True)
        .expect(180, optional=True)
        .expect(200, Check("CANCEL", "CSeq"))
        .expect(487)
        .ack_refusal()
    )
    assert gateway.record(sipp.play(flow).call_id)["end_reason"] == "caller_cancelled"


def test_after_the_200_it_changes_nothing(gateway: Gateway, sipp: Player) -> None:
    flow = (
        Scenario("cancel-late")
        .invite()
        .expect(100, optional=True)
        .expect(180, optional=True)
        .expect(200, Check("INVITE", "CSeq"))
        .cancel()
        .expect(200, Check("CANCEL", "CSeq"))
        .ack()
        .pause(200)
        .tear_down()
    )
    record = gateway.record(sipp.play(flow).call_id)
    assert record["end_reason"] == "caller_hung_up"
    assert record["answer_at"] is not None


def test_twice(gateway: Gateway, sipp: Player) -> None:
    flow = (
        Scenario("cancel-twice", to="slow")
        .invite()
        .expect(100)
        .expect(180)
        .cancel()
        .expect(200, Check("CANCEL", "CSeq"))
        .expect(487)
        .cancel()
        .expect(200, Check("CANCEL", "CSeq"))
        .ack_refusal()
    )
    assert gateway.record(sipp.play(flow).call_id)["end_reason"] == "caller_cancelled"


def test_of_another_branch_is_unknown_and_the_call_rings_on(gateway: Gateway, sipp: Player) -> None:
    flow = (
        Scenario("cancel-wrong-branch", to="slow")
        .invite()
        .expect(100)
        .expect(180)
        .cancel(branch="other")
        .expect(481, Check("CANCEL", "CSeq"))
        .cancel()
        .expect(200, Check("CANCEL", "CSeq"))
        .expect(487)
        .ack_refusal()
    )
    assert gateway.record(sipp.play(flow).call_id)["end_reason"] == "caller_cancelled"


def test_of_a_call_that_is_gone(gateway: Gateway, sipp: Player) -> None:
    sipp.play(Scenario("cancel-nothing").cancel().expect(481))


def test_hanging_up_while_it_rings(gateway: Gateway, sipp: Player) -> None:
    flow = (
        Scenario("bye-early", to="slow")
        .invite()
        .expect(100)
        .expect(180)
        .bye()
        .expect(200, Check("BYE", "CSeq"))
        .expect(487, Check("INVITE", "CSeq"))
        .ack_refusal()
    )
    record = gateway.record(sipp.play(flow).call_id)
    assert record["end_reason"] in ("caller_cancelled", "caller_hung_up")
    assert record["answer_at"] is None
