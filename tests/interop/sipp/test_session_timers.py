"""Session timers (RFC 4028) of some seconds against sipp: refreshed by either side, refused, forgotten and missed."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.interop.sipp.scenario import OFFER, Check, Player, Scenario
from tests.support import short_timers
from tests.support.gateway import RECORD_LIMIT, Gateway, running_gateway, wait_until
from tests.support.undisturbed import undisturbed

pytestmark = pytest.mark.interop

TOML = """
[[trunk]]
name = "carrier"
allow = ["127.0.0.1"]

[[route]]
name = "all"
destination = "echo:"
"""

KNOWS = "Supported: timer"
TAKES_UPDATE = "Allow: INVITE, ACK, BYE, CANCEL, UPDATE"
OURS, THEIRS = "Session-Expires: 4;refresher=uas", "Session-Expires: 4;refresher=uac"
# Q.850 first: some peers read no more than the first line.
EXPIRED = Check("Q.850;cause=102;text=.session timer expired", "Reason")
CONTACT = "Contact: <sip:sipp@[local_ip]:[local_port];transport=[transport]>"


def reply(flow: Scenario, *headers: str, status: str = "200 OK", body: str = "") -> Scenario:
    """Answer the request that came last."""
    copied = "[last_Via:]", "[last_From:]", "[last_To:]", "[last_Call-ID:]", "[last_CSeq:]"
    content = ("Content-Type: application/sdp",) if body else ()
    tail = ("Content-Length: [len]", "", *body.rstrip("\n").split("\n"))
    return flow.text(f"SIP/2.0 {status}", *copied, CONTACT, *headers, *content, *tail)


def refreshed_by_update() -> Scenario:
    flow = Scenario("by-update").set_up(
        Check("4;refresher=uas", "Session-Expires"), Check("timer", "Require"), headers=(KNOWS, TAKES_UPDATE, OURS)
    )
    for _ in range(2):
        flow.expect_request("UPDATE", Check("4;refresher=uac", "Session-Expires"), Check("m=audio", absent=True))
        reply(flow, "Session-Expires: 4;refresher=uac", "Require: timer")
    return flow.pause(200).tear_down()


def refreshed_by_reinvite() -> Scenario:
    """The same description, with the same version."""
    flow = Scenario("by-reinvite").set_up(Check("o=offhook [0-9]+ 1 IN"), headers=(KNOWS, OURS))
    flow.expect_request("INVITE", Check("o=offhook [0-9]+ 1 IN"), Check("4;refresher=uac", "Session-Expires"))
    reply(flow, "Session-Expires: 4;refresher=uac", "Require: timer", body=OFFER)
    return flow.expect_request("ACK").pause(200).tear_down()


def refreshed_by_the_caller() -> Scenario:
    """By UPDATE and by re-INVITE, each in time: longer in all than the interval."""
    flow = Scenario("by-caller").set_up(Check("4;refresher=uac", "Session-Expires"), headers=(KNOWS, THEIRS))
    flow.pause(1600).request("UPDATE", cseq=2, branch="update", headers=(KNOWS, THEIRS))
    flow.expect(200, Check("4;refresher=uac", "Session-Expires")).pause(1600)
    flow.invite(cseq=3, branch="again", headers=(KNOWS, THEIRS), within=True).expect(100, optional=True)
    return flow.expect(200, Check("4;refresher=uac", "Session-Expires")).ack(cseq=3).pause(1600).tear_down(cseq=4)


def missed() -> Scenario:
    """The caller promises to refresh, and neither does nor answers ours."""
    flow = Scenario("missed", talks_over=True).set_up(headers=(KNOWS, TAKES_UPDATE, THEIRS))
    return reply(flow.expect_request("BYE", EXPIRED))


def forgotten() -> Scenario:
    """The caller no longer knows the call."""
    flow = Scenario("forgotten").set_up(headers=(KNOWS, TAKES_UPDATE, OURS)).expect_request("UPDATE")
    reply(flow, status="481 Call/Transaction Does Not Exist")
    return reply(flow.expect_request("BYE"), status="481 Call/Transaction Does Not Exist")


def refused() -> Scenario:
    """No UPDATE after all, and no re-INVITE either."""
    flow = Scenario("refused", talks_over=True).set_up(headers=(KNOWS, TAKES_UPDATE, OURS)).expect_request("UPDATE")
    reply(flow, status="405 Method Not Allowed").expect_request("INVITE", Check("m=audio"))
    reply(flow, status="488 Not Acceptable Here").expect_request("ACK")
    return reply(flow.expect_request("BYE", EXPIRED))


def too_small() -> Scenario:
    flow = Scenario("too-small").invite(headers=(KNOWS, "Session-Expires: 3"))
    flow.expect(422, Check("4", "Min-SE")).ack_refusal()
    flow.invite(cseq=2, branch="second", headers=(KNOWS, "x: 4;refresher=uac", "Min-SE: 4")).expect(100, optional=True)
    flow.expect(180, optional=True).expect(200, Check("4;refresher=uac", "Session-Expires")).ack(cseq=2)
    return flow.tear_down(cseq=3)


FLOWS = {
    refreshed_by_update: ("caller_hung_up", "", 2),
    refreshed_by_reinvite: ("caller_hung_up", "", 1),
    refreshed_by_the_caller: ("caller_hung_up", "", 2),
    missed: ("session_expired", "none of the peer came, and ours was not answered", 0),
    forgotten: ("session_expired", "the peer answered our refresh with 481", 0),
    refused: ("session_expired", "no refresh within the 4 s agreed: ours ", 0),
}


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    directory = tmp_path_factory.mktemp("short-timers")
    with running_gateway(directory, TOML, program=(short_timers.__file__,)) as gateway:
        yield gateway


@undisturbed
def test_session_timers_of_seconds(gateway: Gateway, tmp_path: Path) -> None:
    """All flows at once: each mostly waits."""
    sipp = Player(tmp_path, gateway.udp)
    running = {flow: sipp.start(flow()) for flow in FLOWS}
    played = {}
    for flow, (process, where) in running.items():
        out, _ = process.communicate(timeout=40)
        played[flow] = sipp.judge(process.returncode, out, where).call_id

    def ended() -> dict[str, dict[str, Any]] | None:
        records = {call["sip_call_id"]: call for call in gateway.calls() if call["end_reason"]}
        return records if records.keys() >= set(played.values()) else None

    records = wait_until(ended, RECORD_LIMIT, "records are missing")
    for flow, (reason, detail, refreshes) in FLOWS.items():
        record = records[played[flow]]
        assert (record["end_reason"], record["session_refreshes"]) == (reason, refreshes), flow.__name__
        assert detail in record["end_detail"]
        assert record["session_interval"] == 4
        if reason == "session_expired":
            # In time: a third before the interval is over, or at once where the peer says that it is of no use.
            assert 1000 < record["end_at"] - record["answer_at"] < 3900


def test_an_interval_below_the_least_gets_422_and_the_next_invite_is_answered(gateway: Gateway, tmp_path: Path) -> None:
    played = Player(tmp_path, gateway.udp).play(too_small())
    assert len(played.received("SIP/2.0 422")) == 1
