"""sipp has called us, and refers us by REFER to another sipp, by the same trunk: what that one answers is reported."""

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.interop.sipp.scenario import OFFER, Check, Player, Scenario
from tests.support.dialled_agent import DialledAgent
from tests.support.gateway import Gateway, ports, running_gateway, wait_until

pytestmark = pytest.mark.interop

TARGET = "+14155550142"
_TOML = """
[[trunk]]
name = "pbx"
allow = ["127.0.0.1"]
host = "127.0.0.1"
port = {port}
caller_id = "+14155550100"
max_duration = 3
refer = "accept"
refer_to = "+1415*"

[[route]]
name = "all"
destination = "agent:bot"

[[agent]]
name = "bot"
kind = "offhook"
url = "ws://127.0.0.1:{agent}/"
"""


@pytest.fixture(scope="module")
def port() -> int:
    return ports(1)


@pytest.fixture(scope="module")
def agent() -> Iterator[DialledAgent]:
    running = DialledAgent()
    yield running
    running.close()


@pytest.fixture(scope="module")
def referred(tmp_path_factory: pytest.TempPathFactory, port: int, agent: DialledAgent) -> Iterator[Gateway]:
    toml = _TOML.format(port=port, agent=agent.port)
    with running_gateway(tmp_path_factory.mktemp("referred"), toml) as running:
        yield running


def refers(name: str, *reports: tuple[str, str]) -> Scenario:
    """A call that is answered, its REFER, the 202 and the reports with their states, each answered."""
    call = (
        Scenario(name)
        .set_up(Check("REFER", "Allow"), Check("refer", "Allow-Events"))
        .pause(200)
        .request(
            "REFER",
            cseq=2,
            branch="refer",
            headers=(
                f"Refer-To: <sip:{TARGET}@127.0.0.1>",
                "Referred-By: <sip:desk@127.0.0.1>",
                "Contact: <sip:sipp@[local_ip]:[local_port]>",
            ),
        )
        .expect(202)
    )
    for status, state in reports:
        call.expect_request(
            "NOTIFY",
            Check(f"SIP/2.0 {status}"),
            Check(state, "Subscription-State"),
            Check("message/sipfrag", "Content-Type"),
        ).answer()
    return call


def play(
    gateway: Gateway, directory: Path, port: int, caller: Scenario, callee: Scenario
) -> tuple[dict[str, object], dict[str, object]]:
    """Both flows to their ends; the records of the first call and of the call out."""
    sipp = Player(directory, gateway.udp)
    process, where = sipp.start(callee, own_port=port, limit=20)
    try:
        first = sipp.play(caller, limit=20)
        out, _ = process.communicate(timeout=25)
    except (subprocess.TimeoutExpired, AssertionError):
        process.kill()
        process.communicate()
        raise
    second = sipp.judge(process.returncode, out, where)
    return gateway.record(first.call_id), gateway.record(second.call_id)


def test_the_target_answers(referred: Gateway, tmp_path: Path, port: int, agent: DialledAgent) -> None:
    caller = refers("refers", ("100", "active"), ("180", "active"), ("200", "terminated")).tear_down(cseq=3)
    callee = (
        Scenario("target")
        .expect_request("INVITE", Check("<sip:desk@127.0.0.1>", "Referred-By"))
        .answer("180 Ringing", tag="target")
    )
    callee = callee.pause(200).answer("200 OK", OFFER, tag="target")
    callee = callee.expect_request("ACK").expect_request("BYE").answer("200 OK")
    first, second = play(referred, tmp_path, port, caller, callee)
    assert first["end_reason"] == "referred"
    assert first["transfer"]["outcome"] == "completed"  # type: ignore[index]
    assert first["transfer"]["call_id"] == second["call_id"]  # type: ignore[index]
    end = wait_until(lambda: agent.of(str(first["call_id"])).end, 30, "the agent is not told of the end")
    assert end is not None
    assert end["reason"] == "referred"
    assert second["end_reason"] == "max_duration"
    assert "start" in agent.of(str(second["call_id"])).at


def test_the_target_is_busy(referred: Gateway, tmp_path: Path, port: int) -> None:
    caller = refers("refers-busy", ("100", "active"), ("486", "terminated")).pause(300).tear_down(cseq=3)
    callee = Scenario("busy").expect_request("INVITE").answer("486 Busy Here", tag="busy").expect_request("ACK")
    first, second = play(referred, tmp_path, port, caller, callee)
    assert first["end_reason"] == "caller_hung_up"
    assert first["transfer"]["outcome"] == "busy"  # type: ignore[index]
    assert second["end_reason"] == "callee_busy"
