"""baresip is transferred by REFER to another baresip: it hears whoever it is handed to, and we are out of it."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.interop.baresip.phone import Baresip, tone
from tests.support.gateway import Gateway, running_gateway
from tests.support.transferring import TransferringAgent

pytestmark = pytest.mark.interop

_TOML = """
[[trunk]]
name = "phones"
allow = ["127.0.0.1"]
transfer_to = "*"

[[route]]
name = "desk"
to = "desk"
destination = "ws://127.0.0.1:{port}/"
"""


@pytest.fixture(scope="module")
def agent() -> Iterator[TransferringAgent]:
    agent = TransferringAgent(after=0.5)
    yield agent
    agent.close()


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory, agent: TransferringAgent) -> Iterator[Gateway]:
    with running_gateway(tmp_path_factory.mktemp("gateway"), _TOML.format(port=agent.port)) as gateway:
        yield gateway


def test_it_is_handed_over_and_hears_the_other(gateway: Gateway, agent: TransferringAgent, tmp_path: Path) -> None:
    with (
        Baresip(tmp_path / "other", tone(660, 30), answers=True) as other,
        Baresip(tmp_path / "caller", tone(440, 30)) as caller,
    ):
        agent.target = f"sip:phone@127.0.0.1:{other.port}"
        call_id = caller.dial("desk", gateway.udp)
        other.wait_for("CALL_ESTABLISHED")
        record = gateway.record(call_id)
        # Each hears the other, and not us.
        caller.hears(660)
        other.hears(440)
        caller.command("hangup")
        other.wait_for("CALL_CLOSED")
    assert record["end_reason"] == "transferred"
    assert (record["transfer"]["outcome"], record["transfer"]["status"]) == ("completed", 200)
    assert record["transfer"]["confirmed"]
    assert agent.end(call_id)["reason"] == "transferred"


def test_it_comes_back_where_nobody_is_known_by_that_name(
    gateway: Gateway, agent: TransferringAgent, tmp_path: Path
) -> None:
    with Baresip(tmp_path / "caller", tone(440, 30)) as caller:
        # The gateway itself is who says 404 to baresip's call.
        agent.target = f"sip:nobody@127.0.0.1:{gateway.udp[1]}"
        call_id = caller.dial("desk", gateway.udp)
        [result] = agent.transfers(call_id)
        assert (result["outcome"], result["status"]) == ("refused", 404)
        [call] = [call for call in gateway.calls() if call["sip_call_id"] == call_id]
        assert call["end_reason"] is None, "the caller is back"
        caller.command("hangup")
        assert gateway.record(call_id)["end_reason"] == "caller_hung_up"
