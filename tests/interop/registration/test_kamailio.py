"""Kamailio as the registrar that we register with, and as a phone system that registers with us."""

import json
from pathlib import Path
from typing import Any

import pytest
from tests.interop.kamailio.registrar import KamailioRegistrant, KamailioRegistrar
from tests.interop.sipp.scenario import Player, Scenario
from tests.support.dialled_agent import DialledAgent
from tests.support.gateway import Gateway, running_gateway, wait_until
from tests.support.nothing_left import PROVE

pytestmark = pytest.mark.interop

_LINE = """
[[trunk]]
name = "line"
host = "{host}"
port = {port}
transport = "{transport}"
register = true
register_expires = 30
username = "alice"
password = "{password}"
from_domain = "acme.example"

[[route]]
name = "all"
destination = "echo:"
"""

_DESK = """
[[trunk]]
name = "desk"
caller_id = "100"
phones = [{{ username = "pbx", password = "pbxs-secret" }}]

[[route]]
name = "all"
destination = "echo:"

[[agent]]
name = "bot"
kind = "offhook"
url = "ws://127.0.0.1:{agent}/"
"""


def registration(gateway: Gateway) -> dict[str, Any]:
    [trunk] = json.loads(gateway.run("trunks", "list", "--json"))
    return dict(trunk["registration"])


@pytest.mark.parametrize("transport", ["udp", "tcp"] if PROVE else ["udp"])
def test_we_register_with_kamailio_and_are_called(transport: str, tmp_path: Path) -> None:
    """By digest, for as long as it wants (423); a call to its user comes to our Contact; taken out at the end."""
    with KamailioRegistrar(tmp_path / "kamailio", "127.0.0.31", least=31, most=40) as registrar:
        host, port = registrar.address
        toml = _LINE.format(host=host, port=port, transport=transport, password="s3cret")
        with running_gateway(tmp_path / "gateway", toml) as gateway:
            state = wait_until(
                lambda: found if (found := registration(gateway))["registered"] else None, 30, registrar.said
            )
            assert state["registrar"] == f"{transport}:{host}:{port}"
            assert state["address"] == "sip:alice@acme.example"
            assert 31 <= state["granted"] <= 40
            call = Scenario("called", "alice").set_up().pause(200).tear_down()
            record = gateway.record(Player(tmp_path, registrar.address).play(call).call_id)
            assert (record["direction"], record["trunk"]) == ("inbound", "line")
            assert record["end_reason"] == "caller_hung_up"
            assert record["remote_signalling"].startswith(f"{host}:")
        # Without its proof, too brief, and as it wants; and the goodbye.
        wait_until(lambda: any("expires 0" in line for line in registrar.got("REGISTER")), 30, registrar.said)
        asked = [line.rsplit(" ", 1)[1] for line in registrar.got("REGISTER")]
        assert asked[0] == "30"
        assert "31" in asked
        assert asked[-1] == "0"


def test_a_wrong_password_is_told_and_not_tried_again_at_once(tmp_path: Path) -> None:
    with KamailioRegistrar(tmp_path / "kamailio", "127.0.0.32", least=30, most=60) as registrar:
        host, port = registrar.address
        toml = _LINE.format(host=host, port=port, transport="udp", password="other")
        with running_gateway(tmp_path / "gateway", toml) as gateway:
            problem = wait_until(lambda: registration(gateway)["problem"], 30, registrar.said)
            assert problem["code"] == "wrong_password"
            assert len(registrar.got("REGISTER")) == 2
            shown = gateway.run("trunks", "list")
    assert "not registered as sip:alice@acme.example" in shown
    assert "`password`" in shown


def test_kamailio_registers_with_us_and_is_called(tmp_path: Path) -> None:
    agent = DialledAgent()
    try:
        with (
            running_gateway(tmp_path / "gateway", _DESK.format(agent=agent.port)) as gateway,
            KamailioRegistrant(tmp_path / "kamailio", "127.0.0.33", gateway.udp, "pbx", "pbxs-secret") as registrant,
        ):

            def contacts() -> list[dict[str, Any]]:
                [phone] = json.loads(gateway.run("phones", "--json"))
                return list(phone["contacts"])

            [contact] = wait_until(contacts, 30, lambda: registrant.said() + gateway.said()[-3000:])
            assert contact["address"] == f"udp:127.0.0.33:{registrant.address[1]}"
            dial = "dial", "pbx", "--trunk", "desk", "--agent", "bot", "--json"
            outcome = json.loads(gateway.run(*dial, code=3))["outcome"]
            assert (outcome["kind"], outcome["status"]) == ("busy", 486)
            assert len(registrant.got("INVITE")) == 1
    finally:
        agent.close()
