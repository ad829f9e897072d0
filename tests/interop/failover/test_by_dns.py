"""Where DNS leads: an SRV zone whose first target is dead, and a Kamailio, or another gateway by TLS, behind it."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from tests.interop.failover.targets import SippTarget
from tests.interop.failover.zone import Zone, free_port, host, naptr, srv
from tests.interop.kamailio.proxy import HOST as EDGE
from tests.interop.kamailio.proxy import Kamailio
from tests.support.certificates import authority
from tests.support.dialled_agent import TOML as BOT
from tests.support.dialled_agent import DialledAgent
from tests.support.gateway import Gateway, running_gateway, wait_until

pytestmark = pytest.mark.interop

NUMBER = "+14155550142"

_TRUNK = """
[[trunk]]
name = "{name}"
host = "{host}"
transport = "{transport}"
caller_id = "+14155550100"
dial_to = "+1415*"
target_timeout = 3
"""
_FAR = """
[[trunk]]
name = "us"
allow = ["127.0.0.1"]
tls = "required"

[[route]]
name = "all"
destination = "echo:"
"""


@dataclass(frozen=True, slots=True)
class Carrier:
    """The gateway that calls, and the port of the edge that works, plain and by TLS."""

    gateway: Gateway
    edge: int
    tls: int


@pytest.fixture(scope="module")
def carrier(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Carrier]:
    directory = tmp_path_factory.mktemp("dns")
    ca = directory / "ca.pem"
    ca.write_bytes(authority().pem)
    right = authority().issue("carrier.test").write(directory, "right")
    wrong = authority().issue("stranger.test").write(directory, "wrong")

    def far(name: str, pair: tuple[Path, Path]) -> "Iterator[Gateway]":
        sip = f'listen = ["tls://127.0.0.1:0"]\ntls_certificate = "{pair[0]}"\ntls_key = "{pair[1]}"'
        return running_gateway(directory / name, _FAR, sip=sip)  # type: ignore[return-value]

    agent = DialledAgent()
    try:
        with (
            SippTarget(directory, "callee") as callee,
            Kamailio(directory / "kamailio", ("127.0.0.1", callee.port), "udp") as edge,
            far("stranger", wrong) as stranger,  # type: ignore[attr-defined]
            far("far", right) as good,  # type: ignore[attr-defined]
        ):
            dead, port = free_port(), edge.address[1]
            records = [
                host("dead.test", "127.0.0.1"), host("edge.test", EDGE), host("tls.test", "127.0.0.1"),
                srv("_sip._udp.carrier.test", "dead.test", dead, 10),
                srv("_sip._udp.carrier.test", "edge.test", port, 20),
                srv("_sip._tcp.carrier.test", "dead.test", dead, 10),
                srv("_sip._tcp.carrier.test", "edge.test", port, 20),
                # The first of these answers, and proves to be somebody else.
                srv("_sips._tcp.carrier.test", "tls.test", stranger.tls[1], 10),
                srv("_sips._tcp.carrier.test", "tls.test", good.tls[1], 20),
                # TCP is preferred, and nobody is there: then UDP, with another Via and Contact.
                naptr("chosen.test", 10, "SIP+D2T", "_sip._tcp.chosen.test"),
                naptr("chosen.test", 20, "SIP+D2U", "_sip._udp.carrier.test"),
                srv("_sip._tcp.chosen.test", "dead.test", dead, 10),
            ]  # fmt: skip
            with Zone(directory / "zone", *records) as zone:
                trunks = [
                    ("udp", "carrier.test"),
                    ("tcp", "carrier.test"),
                    ("tls", "carrier.test"),
                    ("auto", "chosen.test"),
                ]
                toml = "".join(_TRUNK.format(name=f"by-{by}", host=name, transport=by) for by, name in trunks)
                sip = (
                    f'listen = ["udp://127.0.0.1:0", "tcp://127.0.0.1:0"]\nname_servers = ["{zone.address}"]\n'
                    f'tls_ca = "{ca}"'
                )
                toml += BOT.format(agent=agent.port)
                with running_gateway(directory / "gateway", toml, sip=sip) as gateway:
                    yield Carrier(gateway, port, good.tls[1])
    finally:
        agent.close()


@pytest.mark.parametrize(
    ("by", "transport", "why"),
    [("udp", "udp", "nothing listens"), ("tcp", "tcp", "refused"), ("tls", "tls", "name"), ("auto", "udp", "refused")],
)
def test_the_target_that_works_gets_the_call(by: str, transport: str, why: str, carrier: Carrier) -> None:
    gateway = carrier.gateway
    placed = gateway.run(
        "dial",
        NUMBER,
        "--agent",
        "bot",
        "--trunk",
        f"by-{by}",
        "--json",
        "--data",
        "says=0",
        "--data",
        "hangs_up_after=0",
    )
    call = json.loads(placed)
    assert call["outcome"]["kind"] == "answered"
    shown = wait_until(
        lambda: found if (found := gateway.show(call["call_id"]))["call"]["end_at"] else None,
        30.0,
        "the call does not end",
    )
    port = carrier.tls if by == "tls" else carrier.edge
    record = shown["call"]
    assert (record["transport"], record["remote_signalling"].rpartition(":")[2]) == (transport, str(port))
    assert record["end_reason"] == "agent_hung_up"
    tried = [entry["note"] for entry in shown["timeline"]["entries"] if entry.get("note", "").startswith("tried ")]
    # By NAPTR a dead TCP is tried first, then the dead target of UDP.
    assert len(tried) == (2 if by == "auto" else 1)
    assert why in tried[0]
