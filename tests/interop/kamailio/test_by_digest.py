"""Calls out to a Kamailio that has them prove a password, by 401 and 407, over UDP and TLS, and of what goes wrong."""

import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from tests.interop.kamailio.proxy import HOST, Digest, Kamailio
from tests.support.certificates import authority
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
transport = "{transport}"
caller_id = "{caller}"
dial_to = "+1415*"
username = "acme"
password = "{password}"
"""
_BEHIND = f"""
[[trunk]]
name = "edge"
allow = ["{HOST}"]
media_allow = ["127.0.0.1"]

[[route]]
name = "all"
destination = "echo:"
"""
# By whose number it is seen at Kamailio which trunk a call came by.
CALLERS = {"udp": "+14155550101", "tls": "+14155550102", "wrong": "+14155550103", "sha": "+14155550104"}


def test_a_password_is_proven_by_each_call_and_its_end_or_the_call_says_that_it_is_wrong(tmp_path: Path) -> None:
    (tmp_path / "ca.pem").write_bytes(authority().pem)
    certificate, key = authority().issue("edge.example", addresses=[HOST]).write(tmp_path, "edge")
    secure = ports(1)
    profile = [
        "method = TLSv1.2+",
        f"certificate = {certificate}",
        f"private_key = {key}",
        "verify_certificate = no",
        "require_certificate = no",
    ]
    first = Digest("proxy", "s3cret", late=CALLERS["tls"])
    second = Digest("www", "s3cret", algorithm="SHA-256")
    agent = DialledAgent()
    try:
        with (
            running_gateway(tmp_path / "behind", _BEHIND) as behind,
            Kamailio(tmp_path / "md5", behind.udp, "udp", tls={secure: profile}, digest=first) as md5,
            Kamailio(tmp_path / "sha", behind.udp, "udp", digest=second) as sha,
        ):
            ways = {
                "udp": (md5.address[1], "udp", "s3cret"),
                "tls": (secure, "tls", "s3cret"),
                "wrong": (md5.address[1], "udp", "s3kret"),
                "sha": (sha.address[1], "udp", "s3cret"),
            }
            trunks = [
                _TRUNK.format(
                    name=name, host=HOST, port=port, transport=transport, password=password, caller=CALLERS[name]
                )
                for name, (port, transport, password) in ways.items()
            ]
            toml = "".join(trunks) + BOT.format(agent=agent.port)
            sip = f'listen = ["udp://127.0.0.1:0"]\ntls_ca = "{tmp_path}/ca.pem"'
            with running_gateway(tmp_path / "near", toml, sip=sip) as near:
                with ThreadPoolExecutor() as pool:
                    outcomes = dict(zip(ways, pool.map(lambda name: _dial(near, name), ways), strict=True))
                records = {call["trunk"]: call for call in _ended(near)}
            reached = _ended(behind)
            asked = {name: [line for line in (sha if name == "sha" else md5).proven() if who in line]
                     for name, who in CALLERS.items()}  # fmt: skip
    finally:
        agent.close()
    kinds = {name: outcome["kind"] for name, outcome in outcomes.items()}
    assert kinds == {"udp": "answered", "tls": "answered", "wrong": "failed", "sha": "answered"}, outcomes
    for name, algorithm in (("udp", "MD5"), ("tls", "MD5"), ("sha", "SHA-256")):
        told = [line.replace(f" by {ways[name][1]} from {CALLERS[name]}", "") for line in asked[name]]
        proven = f"proven by {algorithm}"
        # A password is right that comes with a nonce which has expired: it is proven once more, with the next one.
        stale = ["INVITE challenged as stale"] if name == "tls" else []
        invite = ["INVITE challenged", *stale, f"INVITE {proven}"]
        assert told == [*invite, "BYE challenged", f"BYE {proven}"], told
        assert records[name]["end_reason"] == "agent_hung_up"
    # It is tried once with the password, and no more.
    assert len(asked["wrong"]) == 2, asked["wrong"]
    assert (outcomes["wrong"]["end_reason"], outcomes["wrong"]["status"]) == ("trunk_auth_failed", 407)
    assert "password" in outcomes["wrong"]["hint"] + outcomes["wrong"]["detail"], outcomes["wrong"]
    assert sorted(call["end_reason"] for call in reached) == ["caller_hung_up"] * 3


def _dial(near: Gateway, name: str) -> dict[str, object]:
    said = near.run(
        "dial", NUMBER, "--agent", "bot", "--trunk", name, "--json", "--wait",
        "--data", "hangs_up_after=0.2", code=1 if name == "wrong" else 0,
    )  # fmt: skip
    outcome: dict[str, object] = json.loads(said)["outcome"]
    return outcome


def _ended(gateway: Gateway) -> list[dict[str, Any]]:
    """Its records, once none is of a call that goes on."""

    def found() -> list[dict[str, Any]] | None:
        calls = gateway.calls()
        return calls if all(call["end_reason"] for call in calls) else None

    return wait_until(found, 30, "a call goes on")
