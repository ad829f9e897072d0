"""Calls out to baresip: whoever picks up hears the agent, and the agent hears whoever picked up."""

import json
from pathlib import Path

import pytest
from tests.interop.baresip.phone import Baresip, tone
from tests.support.dialled_agent import DialledAgent
from tests.support.gateway import running_gateway
from tests.support.tone import decode, share

pytestmark = pytest.mark.interop

NUMBER = "+14155550142"
_TOML = """
[[trunk]]
name = "acme"
host = "127.0.0.1"
port = {port}
transport = "{transport}"
caller_id = "+14155550100"
dial_to = "+1415*"
srtp = "{srtp}"

[[route]]
name = "all"
destination = "echo:"

[[agent]]
name = "bot"
kind = "offhook"
url = "ws://127.0.0.1:{agent}/"
"""


@pytest.mark.parametrize(
    ("transport", "srtp", "encryption"), [("udp", "off", ""), ("tcp", "off", ""), ("udp", "required", "srtp-mand")]
)
def test_both_are_heard_from_the_answer_on(transport: str, srtp: str, encryption: str, tmp_path: Path) -> None:
    agent = DialledAgent()
    try:
        with Baresip(
            tmp_path / "phone", tone(700, 20.0), transport=transport, answers=True, user=NUMBER, encryption=encryption
        ) as phone:
            toml = _TOML.format(port=phone.port, transport=transport, srtp=srtp, agent=agent.port)
            with running_gateway(tmp_path / "gateway", toml) as gateway:
                said = gateway.run("dial", NUMBER, "--agent", "bot", "--json", "--data", "hangs_up_after=2")
                call = json.loads(said)
                phone.wait_for("CALL_ESTABLISHED")
                phone.wait_for("CALL_CLOSED")
                assert call["outcome"]["kind"] == "answered"
                talk = agent.of(call["call_id"])
                record = gateway.record(talk.ringing["sip_call_id"])
            heard = phone.heard()
    finally:
        agent.close()
    assert share(heard[8000:16000], 440) > 0.9
    # The agent's first word is not cut off: its tone lasts 3 s.
    loud = sum(1 for at in range(0, len(heard) - 160, 160) if max(map(abs, heard[at : at + 160])) > 1000)
    assert 140 <= loud <= 155
    assert share(decode(bytes(talk.heard[8000:16000])), 700) > 0.9
    assert (record["direction"], record["end_reason"], record["transport"]) == ("outbound", "agent_hung_up", transport)
    assert (record["encryption"] != "none") == (srtp == "required")
    assert "baresip" in record["user_agent"]


def test_a_phone_without_encryption_is_not_spoken_with_where_it_is_required(tmp_path: Path) -> None:
    agent = DialledAgent()
    try:
        with Baresip(tmp_path / "phone", tone(700, 20.0), answers=True, user=NUMBER) as phone:
            toml = _TOML.format(port=phone.port, transport="udp", srtp="required", agent=agent.port)
            with running_gateway(tmp_path / "gateway", toml) as gateway:
                call = json.loads(gateway.run("dial", NUMBER, "--agent", "bot", "--json", code=1))
                record = gateway.record(agent.talks[-1].ringing["sip_call_id"])
    finally:
        agent.close()
    assert call["outcome"]["kind"] == "failed"
    assert (record["answer_at"], record["media"]["sent_packets"]) == (None, 0)
