"""What comes twice, and what never comes: one call all the same, one verdict, and an end."""

import itertools
import re

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


@pytest.fixture(scope="session")
def never_acknowledged(gateway: Gateway, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Played]:
    """Flows that last 64*T1 = 32 s, since T1 is no setting; all at once."""
    sipp = Player(tmp_path_factory.mktemp("slow"), gateway.udp)
    answered = (
        Scenario("lost-ack")
        .invite()
        .expect(100, optional=True)
        .expect(180, optional=True)
        .expect(200)
        .expect_request("BYE", Check("ACK", "Reason"), within_ms=40_000)
        .answer()
    )
    refused = Scenario("lost-ack-of-404", to="nobody").invite().expect(100, optional=True).expect(404).pause(33_000)
    unanswered_bye = Scenario("unanswered-bye").set_up().expect_request("BYE").pause(33_000)
    other = Player(tmp_path_factory.mktemp("slow-bye"), gateway.udp, source="127.0.0.4")
    runs = {
        "answered": (sipp, *sipp.start(answered, limit=45)),
        "refused": (sipp, *sipp.start(refused, limit=45)),
        "bye": (other, *other.start(unanswered_bye, limit=45)),
    }
    found = {}
    for name, (player, process, where) in runs.items():
        out, _ = process.communicate(timeout=50)
        found[name] = player.judge(process.returncode, out, where)
    return found


def gaps(played: Played, first_line: str) -> list[float]:
    times = [at for at, _ in played.received(first_line)]
    return [later - earlier for earlier, later in itertools.pairwise(times)]


def test_a_200_that_is_never_acknowledged(gateway: Gateway, never_acknowledged: dict[str, Played]) -> None:
    played = never_acknowledged["answered"]
    # RFC 3261 13.3.1.4: T1 doubling to T2.
    assert gaps(played, "SIP/2.0 200 OK") == pytest.approx([0.5, 1, 2, 4, 4, 4, 4, 4, 4, 4], abs=0.3)
    (answer, *_), (bye, *_) = played.received("SIP/2.0 200 OK"), played.received("BYE ")
    assert bye[0] - answer[0] == pytest.approx(32, abs=0.5)
    record = gateway.record(played.call_id)
    assert (record["end_reason"], record["fault"]) == ("no_ack", "carrier")


def test_a_refusal_that_is_never_acknowledged(gateway: Gateway, never_acknowledged: dict[str, Played]) -> None:
    played = never_acknowledged["refused"]
    # RFC 3261 17.2.1, timers G and H.
    assert gaps(played, "SIP/2.0 404") == pytest.approx([0.5, 1, 2, 4, 4, 4, 4, 4, 4, 4], abs=0.3)
    assert gateway.record(played.call_id)["end_reason"] == "no_route"


def test_a_bye_that_is_never_answered(gateway: Gateway, never_acknowledged: dict[str, Played]) -> None:
    played = never_acknowledged["bye"]
    # RFC 3261 17.1.2.2, timers E and F.
    assert gaps(played, "BYE ") == pytest.approx([0.5, 1, 2, 4, 4, 4, 4, 4, 4, 4], abs=0.3)
    assert len({re.search(r"branch=(\S+)", text)[1] for _, text in played.received("BYE ")}) == 1  # type: ignore[index]
    assert gateway.record(played.call_id)["end_reason"] == "max_duration"
