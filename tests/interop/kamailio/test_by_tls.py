"""Calls out to Kamailio as a carrier's edge over TLS: with our certificate where it asks for one, or not at all."""

import json
from pathlib import Path
from typing import Any

import pytest
from tests.interop.kamailio.proxy import HOST, Kamailio
from tests.support.certificates import Issued, authority, stranger
from tests.support.dialled_agent import TOML as BOT
from tests.support.dialled_agent import DialledAgent
from tests.support.gateway import Gateway, ports, running_gateway, wait_until

pytestmark = pytest.mark.interop

NUMBER = "+14155550142"
_TRUNK = """
[[trunk]]
name = "{name}"
host = "{host}"
port = {port}
transport = "tls"
caller_id = "+14155550100"
dial_to = "+1415*"
srtp = "required"
{shown}
"""
_BEHIND = f"""
[[trunk]]
name = "edge"
allow = ["{HOST}"]
media_allow = ["127.0.0.1"]
srtp = "required"

[[route]]
name = "all"
destination = "echo:"
"""


def _profile(issued: Issued, directory: Path, name: str, *, asks: bool) -> list[str]:
    certificate, key = issued.write(directory, name)
    lines = [
        "method = TLSv1.2+",
        f"certificate = {certificate}",
        f"private_key = {key}",
        f"ca_list = {directory}/ca.pem",
    ]
    wants = "yes" if asks else "no"
    return [*lines, f"verify_certificate = {wants}", f"require_certificate = {wants}"]


def ended(gateway: Gateway, count: int) -> list[dict[str, Any]]:
    """The records of so many calls, when all have ended."""

    def found() -> list[dict[str, Any]] | None:
        calls = gateway.calls()
        return calls if len(calls) == count and all(call["end_at"] for call in calls) else None

    return wait_until(found, 30, lambda: f"not {count} calls that have ended: {gateway.calls()}")


def test_it_is_reached_with_the_certificate_that_it_asks_for_or_the_call_says_why_not(tmp_path: Path) -> None:
    (tmp_path / "ca.pem").write_bytes(authority().pem)
    near_home = tmp_path / "near"
    near_home.mkdir()
    first = ports(3)
    open_to_all, asking, forged = first, first + 1, first + 2
    edge = authority().issue("edge.example", addresses=[HOST])
    profiles = {
        open_to_all: _profile(edge, tmp_path, "edge", asks=False),
        asking: _profile(edge, tmp_path, "edge", asks=True),
        forged: _profile(stranger().issue("edge.example", addresses=[HOST]), tmp_path, "forged", asks=False),
    }
    shown = {}
    for name, issuer in (("bank", authority()), ("unknown", stranger())):
        certificate, key = issuer.issue(f"{name}.example", common_name=f"{name}.example").write(near_home, name)
        shown[name] = f'tls_client_certificate = "{certificate.name}"\ntls_client_key = "{key.name}"'
    trunks = [
        _TRUNK.format(name=name, host=HOST, port=port, shown=shown.get(name, ""))
        for name, port in (
            ("plain", open_to_all),
            ("bank", asking),
            ("nobody", asking),
            ("unknown", asking),
            ("forged", forged),
        )
    ]
    agent = DialledAgent()
    outcomes = {}
    try:
        with (
            running_gateway(tmp_path / "behind", _BEHIND) as behind,
            Kamailio(tmp_path / "kamailio", behind.udp, "udp", tls=profiles) as kamailio,
            running_gateway(
                near_home,
                "".join(trunks) + BOT.format(agent=agent.port),
                sip=f'listen = ["udp://127.0.0.1:0"]\ntls_ca = "{tmp_path}/ca.pem"',
            ) as near,
        ):
            for name in ("plain", "bank", "nobody", "unknown", "forged"):
                said = near.run(
                    "dial", NUMBER, "--agent", "bot", "--trunk", name, "--json", "--wait",
                    "--data", "hangs_up_after=0.1", "--data", "says=0", code=0 if name in ("plain", "bank") else 1,
                )  # fmt: skip
                outcomes[name] = json.loads(said)["outcome"]
            byes = wait_until(lambda: found if len(found := kamailio.relayed("BYE")) == 2 else None, 30, kamailio.said)
            records = {call["trunk"]: call for call in ended(near, len(outcomes))}
            came, reached = kamailio.came(), ended(behind, 2)
    finally:
        agent.close()
    assert {name: outcome["kind"] for name, outcome in outcomes.items()} == {
        "plain": "answered", "bank": "answered", "nobody": "failed", "unknown": "failed", "forged": "failed",
    }, outcomes  # fmt: skip
    assert came == [f"INVITE to {open_to_all} by tls from <<null>>", f"INVITE to {asking} by tls from <bank.example>"]
    assert len(reached) == len(byes) == 2, "the BYE goes through it, on the connection of its call"
    assert {records[name]["encryption"] for name in ("plain", "bank")} == {reached[0]["encryption"]}
    causes = {"nobody": "our_certificate_missing", "unknown": "our_certificate_refused", "forged": "unknown_issuer"}
    for name, cause in causes.items():
        assert outcomes[name]["end_reason"] == "trunk_unreachable", outcomes[name]
        assert cause in outcomes[name]["detail"], outcomes[name]
