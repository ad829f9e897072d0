"""Calls out over mutual TLS: each trunk is shown the certificate that is its own, on connections of its own."""

import json
from pathlib import Path

import pytest
from tests.support.certificates import authority, stranger
from tests.support.dialled_agent import TOML as BOT
from tests.support.dialled_agent import DialledAgent
from tests.support.gateway import running_gateway, wait_until

pytestmark = pytest.mark.interop

NUMBER = "+14155550142"
_TRUNK = """
[[trunk]]
name = "{name}"
host = "localhost"
port = {port}
transport = "tls"
caller_id = "+14155550100"
dial_to = "+1415*"
{shown}
"""
_IN = """
[[trunk]]
name = "bank"
tls_name = "bank.example"

[[trunk]]
name = "shop"
tls_name = "shop.example"

[[route]]
name = "all"
destination = "echo:"
"""


def test_each_trunk_is_known_by_its_own_certificate(tmp_path: Path) -> None:
    """The far end tells its trunks apart by what they prove alone; all of them are at one address and port."""
    ca = tmp_path / "ca.pem"
    ca.write_bytes(authority().pem)
    edge, edge_key = authority().issue("localhost").write(tmp_path, "edge")
    far_sip = (
        f'listen = ["tls://127.0.0.1:0"]\ntls_certificate = "{edge}"\ntls_key = "{edge_key}"\n'
        f'tls_ca = "{ca}"\ntls_client_certificate = "required"'
    )
    shown = {"nobody": ""}
    for name, issuer in (("bank", authority()), ("shop", authority()), ("forger", stranger())):
        domain = "bank.example" if name == "forger" else f"{name}.example"
        certificate, key = issuer.issue(domain).write(tmp_path, name)
        shown[name] = f'tls_client_certificate = "{certificate.name}"\ntls_client_key = "{key.name}"'
    agent = DialledAgent()
    try:
        with running_gateway(tmp_path / "far", _IN, sip=far_sip) as far:
            trunks = [_TRUNK.format(name=name, port=far.tls[1], shown=lines) for name, lines in shown.items()]
            for name in shown:
                for end in ("pem", "key"):
                    file = tmp_path / f"{name}.{end}"
                    if file.exists():
                        (tmp_path / "near").mkdir(exist_ok=True)
                        (tmp_path / "near" / file.name).write_bytes(file.read_bytes())
            near_sip = f'listen = ["udp://127.0.0.1:0"]\ntls_ca = "{ca}"'
            with running_gateway(
                tmp_path / "near", "".join(trunks) + BOT.format(agent=agent.port), sip=near_sip
            ) as near:
                outcomes = {}
                for name in ("bank", "shop", "bank", "nobody", "forger"):
                    answered = name in ("bank", "shop")
                    said = near.run(
                        "dial", NUMBER, "--agent", "bot", "--trunk", name, "--json", "--wait",
                        "--data", "hangs_up_after=0.1", "--data", "says=0", code=0 if answered else 1,
                    )  # fmt: skip
                    outcomes[name] = json.loads(said)["outcome"]
            # Who calls is told first.
            admitted = wait_until(lambda: found if len(found := far.calls()) >= 3 else None, 30, "a call is missing")
    finally:
        agent.close()
    assert sorted(call["trunk"] for call in admitted) == ["bank", "bank", "shop"]
    assert outcomes["bank"]["kind"] == outcomes["shop"]["kind"] == "answered"
    for name in ("nobody", "forger"):
        assert outcomes[name]["kind"] == "failed", outcomes[name]
        assert outcomes[name]["end_reason"] == "trunk_unreachable"
        assert "certificate" in outcomes[name]["detail"], outcomes[name]
