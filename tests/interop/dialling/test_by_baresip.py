"""Calls out to baresip: whoever picks up hears the agent, and the agent hears whoever picked up."""

import json
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass

import pytest
from tests.interop.baresip.phone import Baresip, tone
from tests.support.dialled_agent import TOML as BOT
from tests.support.dialled_agent import DialledAgent
from tests.support.gateway import Gateway, running_gateway
from tests.support.tone import decode, purest
from tests.support.undisturbed import undisturbed

pytestmark = pytest.mark.interop

NUMBER = "+14155550142"
_TRUNK = """
[[trunk]]
name = "{name}"
host = "127.0.0.1"
port = {port}
transport = "{transport}"
caller_id = "+14155550100"
dial_to = "+1415*"
srtp = "{srtp}"
"""
WAYS = {"udp": ("udp", "off", ""), "tcp": ("tcp", "off", ""), "srtp": ("udp", "required", "srtp-mand")}
"""Transport, what the trunk wants, and what the phone does about it."""
SAYS = 1.5


@dataclass(frozen=True, slots=True)
class Line:
    """A gateway with a trunk to each of the phones; by the trunk `strict` it wants encryption of one that has none."""

    gateway: Gateway
    agent: DialledAgent
    phones: dict[str, Baresip]


@pytest.fixture(scope="module")
def line(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Line]:
    directory = tmp_path_factory.mktemp("dialling")
    agent = DialledAgent()
    try:
        with ExitStack() as stack:
            phones, trunks = {}, ""
            for name, (transport, srtp, encryption) in WAYS.items():
                options = {"transport": transport, "encryption": encryption}
                phone = Baresip(directory / name, tone(700, 60.0), answers=True, user=NUMBER, **options)
                phones[name] = stack.enter_context(phone)
                trunks += _TRUNK.format(name=name, port=phone.port, transport=transport, srtp=srtp)
            trunks += _TRUNK.format(name="strict", port=phones["udp"].port, transport="udp", srtp="required")
            gateway = running_gateway(directory / "gateway", trunks + BOT.format(agent=agent.port))
            yield Line(stack.enter_context(gateway), agent, phones)
    finally:
        agent.close()


@pytest.mark.parametrize("way", WAYS)
@undisturbed
def test_both_are_heard_from_the_answer_on(way: str, line: Line) -> None:
    transport, srtp, _ = WAYS[way]
    phone = line.phones[way]
    wishes = ("--data", f"says={SAYS}", "--data", "hangs_up_after=0")
    call = json.loads(line.gateway.run("dial", NUMBER, "--agent", "bot", "--trunk", way, "--json", *wishes))
    phone.wait_for("CALL_ESTABLISHED")
    phone.wait_for("CALL_CLOSED")
    assert call["outcome"]["kind"] == "answered"
    talk = line.agent.of(call["call_id"])
    record = line.gateway.record(talk.ringing["sip_call_id"])
    heard = phone.heard()
    assert purest(heard, 440) > 0.92
    # The agent's first word is not cut off.
    loud = sum(1 for at in range(0, len(heard) - 160, 160) if max(map(abs, heard[at : at + 160])) > 1000)
    assert 0.02 * loud == pytest.approx(SAYS, abs=0.2)
    assert purest(decode(bytes(talk.heard)), 700) > 0.92
    assert (record["direction"], record["end_reason"], record["transport"]) == ("outbound", "agent_hung_up", transport)
    assert (record["encryption"] != "none") == (srtp == "required")
    assert "baresip" in record["user_agent"]


def test_a_phone_without_encryption_is_not_spoken_with_where_it_is_required(line: Line) -> None:
    call = json.loads(line.gateway.run("dial", NUMBER, "--agent", "bot", "--trunk", "strict", "--json", code=1))
    record = line.gateway.record(line.agent.of(call["call_id"]).ringing["sip_call_id"])
    assert call["outcome"]["kind"] == "failed"
    assert (record["answer_at"], record["media"]["sent_packets"]) == (None, 0)
