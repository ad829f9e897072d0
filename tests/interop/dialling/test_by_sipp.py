"""Calls out to sipp as the carrier: what it answers, and what `offhook dial` makes of that."""

import json
import subprocess
from pathlib import Path

import pytest
from tests.interop.dialling.conftest import Carrier
from tests.interop.sipp.scenario import OFFER, Check, Player, Scenario
from tests.support.dialled_agent import DialledAgent
from tests.support.gateway import Gateway, is_bound, wait_until

pytestmark = pytest.mark.interop

NUMBER = "+14155550142"
_HERE = Path(__file__).parent


def callee(name: str) -> Scenario:
    """An INVITE has come."""
    return Scenario(name).expect_request("INVITE")


def again(scenario: Scenario, status: str, tag: str, *, body: str = "", headers: tuple[str, ...] = ()) -> Scenario:
    """Another response to the INVITE, after its CANCEL or others."""
    content = ("Content-Type: application/sdp",) if body else ()
    contact = (f"Contact: {scenario.contact}",) if body else ()
    return scenario.text(
        f"SIP/2.0 {status}",
        "[last_Via:]",
        "[last_From:]",
        f"To: <sip:{NUMBER}@127.0.0.1>;tag={tag}",
        "Call-ID: [call_id]",
        "CSeq: 1 INVITE",
        *contact,
        *headers,
        *content,
        "Content-Length: [len]",
        "",
        *body.rstrip("\n").split("\n"),
    )


class Dialled:
    """`offhook dial` against a flow of sipp."""

    def __init__(self, gateway: Gateway, sipp: Player, carrier: Carrier) -> None:
        self._gateway, self._sipp, self._carrier = gateway, sipp, carrier

    def __call__(
        self, scenario: Scenario, *arguments: str, code: int, trunk: str = "udp", to: str = NUMBER
    ) -> dict[str, object]:
        """The record of the call; sipp's flow and the command's exit code are checked."""
        port = self._carrier.udp if trunk == "udp" else self._carrier.tcp
        process, where = self._sipp.start(scenario, transport=trunk, own_port=port)
        try:
            said = self._gateway.run("dial", to, "--agent", "bot", "--trunk", trunk, "--json", *arguments, code=code)
            out, _ = process.communicate(timeout=40)
        except (subprocess.TimeoutExpired, AssertionError):
            process.kill()
            out, _ = process.communicate()
            raise
        self.call = json.loads(said)
        self._sipp.judge(process.returncode, out, where)
        number = self.call["call_id"]

        def ended() -> dict[str, object] | None:
            records = self._gateway.calls()
            return next((call for call in records if call["call_id"] == number and call["end_at"] is not None), None)

        return wait_until(ended, 30, f"no record of {number} that has ended")


@pytest.fixture
def dialled(gateway: Gateway, sipp: Player, carrier: Carrier) -> Dialled:
    return Dialled(gateway, sipp, carrier)


@pytest.mark.parametrize(
    ("status", "code", "kind", "ending"),
    [
        ("486 Busy Here", 3, "busy", "callee_busy"),
        ("603 Decline", 4, "refused", "callee_refused"),
        ("404 Not Found", 4, "refused", "callee_unknown"),
        ("480 Temporarily Unavailable", 5, "no_answer", "no_answer"),
        ("503 Service Unavailable", 1, "failed", "trunk_failed"),
    ],
)
def test_what_the_carrier_says_is_the_outcome(status: str, code: int, kind: str, ending: str, dialled: Dialled) -> None:
    flow = (
        callee(f"refuses-{status[:3]}")
        .answer(status, tag="callee", headers=('Reason: Q.850;cause=34;text="no circuit"',))
        .expect_request("ACK")
    )
    record = dialled(flow, code=code)
    outcome = dialled.call["outcome"]
    assert (outcome["kind"], outcome["status"], outcome["q850"]) == (kind, int(status[:3]), 34)
    assert (record["direction"], record["end_reason"], record["q850"]) == ("outbound", ending, 34)
    assert (record["from_number"], record["to_number"]) == ("+14155550100", NUMBER)


def test_who_we_are_is_what_the_trunk_wants(dialled: Dialled) -> None:
    flow = (
        Scenario("identity")
        .expect_request(
            "INVITE",
            Check(rf"INVITE sip:\{NUMBER}@127.0.0.1:[0-9]+ SIP/2.0"),
            Check(r"<sip:\+14155550101@127.0.0.1>;tag=", "From"),
            Check(r"<sip:\+14155550101@127.0.0.1>", "P-Asserted-Identity"),
            Check(r"m=audio [0-9]+ RTP/AVP 0 8 101"),
        )
        .answer("486 Busy Here", tag="callee")
        .expect_request("ACK")
    )
    dialled(flow, "--caller-id", "4155550101", code=3, to="(415) 555-0142")


def test_it_rings_and_nobody_answers(dialled: Dialled) -> None:
    flow = callee("no-answer").answer("180 Ringing", tag="callee")
    flow = flow.expect_request("CANCEL", Check("Q.850;cause=19")).answer("200 OK", tag="callee")
    flow = again(flow, "487 Request Terminated", "callee").expect_request("ACK")
    record = dialled(flow, "--ring-timeout", "2", code=5)
    assert (record["end_reason"], record["sip_status"]) == ("no_answer", 487)
    assert record["end_detail"] == "it rang, and nobody answered within 2 s"


def test_cancel_and_answer_cross(dialled: Dialled) -> None:
    flow = callee("crossing").answer("180 Ringing", tag="callee")
    flow = flow.expect_request("CANCEL").answer("200 OK", tag="callee")
    flow = again(flow, "200 OK", "callee", body=OFFER).expect_request("ACK").expect_request("BYE").answer("200 OK")
    record = dialled(flow, "--ring-timeout", "1", code=5)
    assert (record["end_reason"], record["answer_at"]) == ("no_answer", None)


def test_two_phones_ring_and_both_pick_up(dialled: Dialled) -> None:
    """The second answer came too late: it is acknowledged and hung up, and the first goes on (RFC 3261 13.2.2.4)."""
    flow = Scenario("forks").expect_request("INVITE", keep=True)
    flow = flow.answer("180 Ringing", tag="desk", keep=True).answer("180 Ringing", tag="mobile", keep=True).pause(200)
    flow = flow.answer("200 OK", OFFER, tag="mobile", keep=True).expect_request("ACK", Check("tag=mobile", "To"))
    flow = flow.answer("200 OK", OFFER, tag="desk").expect_request("ACK", Check("tag=desk", "To"))
    flow = flow.expect_request("BYE", Check("tag=desk", "To")).answer("200 OK")
    flow = flow.expect_request("BYE", Check("tag=mobile", "To")).answer("200 OK")
    record = dialled(flow, "--data", "hangs_up_after=1.5", "--data", "says=0", code=0)
    assert (record["end_reason"], record["sip_status"]) == ("agent_hung_up", 200)


@pytest.mark.parametrize("trunk", ["udp", "tcp"])
def test_a_whole_call_that_the_agent_ends(trunk: str, dialled: Dialled, agent: DialledAgent) -> None:
    flow = callee(f"whole-{trunk}").answer("180 Ringing", tag="callee").pause(300)
    flow = again(flow, "200 OK", "callee", body=OFFER).expect_request("ACK")
    flow = flow.expect_request("BYE").answer("200 OK")
    wishes = ("--data", "hangs_up_after=0.3", "--data", "says=0.2", "--data", "order=4711")
    record = dialled(flow, *wishes, code=0, trunk=trunk)
    assert (record["end_reason"], record["transport"]) == ("agent_hung_up", trunk)
    talk = agent.of(str(record["call_id"]))
    assert (talk.ringing["direction"], talk.ringing["data"]["order"]) == ("outbound", "4711")
    assert talk.at["start"] - talk.at["ringing"] > 0.25


def test_credentials_are_checked_by_sipp(gateway: Gateway, sipp: Player, carrier: Carrier, tmp_path: Path) -> None:
    script = _HERE.parent / "sipp" / "uas_challenges.xml"
    command = [
        "sipp", "-sf", str(script), "-i", "127.0.0.1", "-p", str(carrier.udp), "-m", "1", "-nostdin", "-timeout", "20",
        "-timeout_error",
    ]  # fmt: skip
    process = subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    wait_until(lambda: process.poll() is not None or is_bound(carrier.udp), 30, "sipp does not start")
    wishes = ("--data", "hangs_up_after=0.5", "--data", "says=0")
    said = gateway.run("dial", NUMBER, "--agent", "bot", "--trunk", "udp", *wishes)
    out, _ = process.communicate(timeout=30)
    assert process.returncode == 0, out.decode(errors="replace")[-2000:]
    assert "the agent is on the line" in said


def test_a_proxy_that_wants_credentials_gets_them_or_says_no(dialled: Dialled) -> None:
    challenge = 'Proxy-Authenticate: Digest realm="carrier", nonce="abc", algorithm=MD5, qop="auth"'
    flow = callee("proxy").answer("407 Proxy Authentication Required", tag="proxy", headers=(challenge,))
    flow = flow.expect_request("ACK").expect_request(
        "INVITE", Check('username="joe"', "Proxy-Authorization"), Check("response=", "Proxy-Authorization")
    )
    flow = flow.answer("407 Proxy Authentication Required", tag="proxy2", headers=(challenge.replace("abc", "def"),))
    flow = flow.expect_request("ACK")
    record = dialled(flow, code=1)
    assert (record["end_reason"], record["sip_status"]) == ("trunk_auth_failed", 407)


def test_a_trunk_that_is_not_there(gateway: Gateway) -> None:
    call = json.loads(gateway.run("dial", "+442079460018", "--agent", "bot", "--trunk", "tcp", "--json", code=1))
    assert call["outcome"]["end_reason"] == "trunk_unreachable"


@pytest.mark.parametrize(("number", "rule"), [("+442079460018", "dial_not_listed"), ("911", "dial_not_listed")])
def test_what_may_not_be_dialled_is_said_and_written_down(number: str, rule: str, gateway: Gateway) -> None:
    refused = json.loads(gateway.run("dial", number, "--agent", "bot", "--trunk", "udp", "--json", code=1))
    assert refused["code"] == rule
    call_id = refused["call_id"]
    record = wait_until(
        lambda: next((call for call in gateway.calls() if call["call_id"] == call_id), None), 30, "no record"
    )
    assert (record["direction"], record["end_reason"], record["to_number"]) == ("outbound", "dial_refused", number)


def test_neither_an_agent_nor_a_number_of_ours_is_made_up(gateway: Gateway) -> None:
    gateway.run("dial", NUMBER, "--agent", "nobody", code=2)
    said = gateway.run("dial", NUMBER, "--agent", "bot", "--caller-id", "+12025550123", "--json", code=1)
    assert json.loads(said)["code"] == "dial_caller_id"
