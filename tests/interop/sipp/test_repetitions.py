"""What comes twice: one call all the same, and one verdict."""

import pytest
from tests.interop.sipp.conftest import RefusingAgent
from tests.interop.sipp.scenario import Check, Played, Player, Scenario
from tests.support.gateway import RECORD_LIMIT, Gateway, wait_until

pytestmark = pytest.mark.interop


def records(gateway: Gateway, played: Played) -> list[str]:
    """The reasons of all records of this Call-ID, once each call that it made has ended."""

    def ended() -> list[str] | None:
        found = [call["end_reason"] for call in gateway.calls() if call["sip_call_id"] == played.call_id]
        return found if None not in found else None

    gateway.record(played.call_id)
    return wait_until(ended, RECORD_LIMIT)


def test_an_invite_of_one_branch_is_one_call(gateway: Gateway, sipp: Player) -> None:
    flow = Scenario("same-invite", to="slow", talks_over=True)
    for _ in range(20):
        flow.invite()
    # The last copy brings the last provisional response again (RFC 3261 17.2.1).
    flow.expect(180).cancel().expect(200, Check("CANCEL", "CSeq")).expect(487).ack_refusal()
    played = sipp.play(flow)
    assert records(gateway, played) == ["caller_cancelled"]


def test_an_invite_after_its_200_starts_nothing(gateway: Gateway, sipp: Player) -> None:
    flow = (
        Scenario("late-invite")
        .invite()
        .expect(100, optional=True)
        .expect(180, optional=True)
        .expect(200)
        .invite()
        .ack()
        .pause(200)
        .invite()
        .pause(200)
        .tear_down()
    )
    assert records(gateway, sipp.play(flow)) == ["caller_hung_up"]


def test_a_copy_by_another_way_is_merged_while_the_first_rings(gateway: Gateway, sipp: Player) -> None:
    flow = (
        Scenario("merged", to="slow")
        .invite()
        .expect(100)
        .expect(180)
        .invite(branch="copy")
        .expect(482)
        .ack_refusal(branch="copy")
        .cancel()
        .expect(200, Check("CANCEL", "CSeq"))
        .expect(487)
        .ack_refusal()
    )
    found = records(gateway, sipp.play(flow))
    assert "caller_cancelled" in found
    assert set(found) <= {"caller_cancelled", "merged_request"}


def test_a_retry_after_a_refusal_gets_the_same_verdict_and_no_second_agent(
    gateway: Gateway, sipp: Player, refusing_agent: RefusingAgent
) -> None:
    before = refusing_agent.asked
    flow = (
        Scenario("retry", to="refused")
        .invite()
        .expect(100)
        .expect(180, optional=True)
        .expect(480, Check("agent", "Reason"))
        .ack_refusal()
        .invite(branch="second")
        .expect(480, Check("agent", "Reason"))
        .ack_refusal(branch="second")
        .invite(branch="third")
        .expect(480)
        .ack_refusal(branch="third")
    )
    played = sipp.play(flow)
    assert refusing_agent.asked == before + 1
    assert "agent_rejected" in records(gateway, played) or "agent_refused" in records(gateway, played)
    # A higher CSeq is a new attempt.
    again = Scenario("new-try", to="refused").invite().expect(100).expect(180, optional=True).expect(480).ack_refusal()
    again.invite(cseq=2, branch="second").expect(100).expect(180, optional=True).expect(480)
    sipp.play(again.ack_refusal(branch="second", cseq=2))
    assert refusing_agent.asked == before + 3
