"""Calls out over TLS, to another gateway: by a name that it has to prove, with encrypted sound or none."""

import json
from pathlib import Path

import pytest
from tests.support.certificates import authority
from tests.support.dialled_agent import DialledAgent
from tests.support.gateway import running_gateway
from tests.support.tone import has_tone

pytestmark = pytest.mark.interop

NUMBER = "+14155550142"
_OUT = """
[[trunk]]
name = "acme"
host = "localhost"
port = {port}
transport = "tls"
caller_id = "+14155550100"
dial_to = "+1415*"
srtp = "required"

[[route]]
name = "all"
destination = "echo:"

[[agent]]
name = "bot"
kind = "offhook"
url = "ws://127.0.0.1:{agent}/"
"""
_IN = """
[[trunk]]
name = "us"
allow = ["127.0.0.1"]
tls = "required"
srtp = "{srtp}"

[[route]]
name = "all"
destination = "echo:"
"""


@pytest.mark.parametrize(
    ("name", "srtp", "kind"),
    [("localhost", "required", "answered"), ("localhost", "off", "failed"), ("sip.example.net", "required", "failed")],
)
def test_the_way_and_the_sound_are_encrypted_or_there_is_no_call(
    name: str, srtp: str, kind: str, tmp_path: Path
) -> None:
    ca = tmp_path / "ca.pem"
    ca.write_bytes(authority().pem)
    certificate, key = authority().issue(name).write(tmp_path, "edge")
    far_sip = f'listen = ["tls://127.0.0.1:0"]\ntls_certificate = "{certificate}"\ntls_key = "{key}"'
    near_sip = f'listen = ["udp://127.0.0.1:0"]\ntls_ca = "{ca}"'
    agent = DialledAgent()
    try:
        with running_gateway(tmp_path / "far", _IN.format(srtp=srtp), sip=far_sip) as far:
            toml = _OUT.format(port=far.tls[1], agent=agent.port)
            with running_gateway(tmp_path / "near", toml, sip=near_sip) as near:
                said = near.run(
                    "dial", NUMBER, "--agent", "bot", "--json", "--wait", "--data", "hangs_up_after=2",
                    code=0 if kind == "answered" else 1,
                )  # fmt: skip
                talk = agent.talks[-1]
                record = near.record(talk.ringing["sip_call_id"])
                theirs = far.calls()
    finally:
        agent.close()
    outcome = json.loads(said)["outcome"]
    assert outcome["kind"] == kind, outcome
    if kind == "answered":
        assert record["transport"] == "tls"
        assert record["encryption"].startswith("A")
        frames = [bytes(talk.heard[at : at + 160]) for at in range(0, len(talk.heard) - 159, 160)]
        # 3 s of the agent's own tone come back; where a frame is late its phase jumps.
        assert sum(has_tone(frame, 440) for frame in frames) > 100
        assert theirs[0]["to_number"] == NUMBER
    elif srtp == "off":
        assert outcome["end_reason"] == "no_common_codec"
        assert record["answer_at"] is None
    else:
        assert outcome["end_reason"] == "trunk_unreachable"
        assert "certificate" in outcome["detail"]
        assert theirs == []
