"""Calls out over TLS, to another gateway: by a name that it has to prove, with encrypted sound or none."""

import json
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass

import pytest
from tests.support.certificates import authority
from tests.support.dialled_agent import TOML as BOT
from tests.support.dialled_agent import DialledAgent
from tests.support.gateway import Gateway, running_gateway, wait_until
from tests.support.tone import has_tone

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
srtp = "required"
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
FAR = {"good": ("localhost", "required"), "plain": ("localhost", "off"), "stranger": ("sip.example.net", "required")}
"""Far ends: whom their certificates are of, and whether they speak encrypted."""


@dataclass(frozen=True, slots=True)
class Ends:
    """A gateway with a trunk to each of the far ends."""

    near: Gateway
    agent: DialledAgent
    far: dict[str, Gateway]


@pytest.fixture(scope="module")
def ends(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ends]:
    directory = tmp_path_factory.mktemp("tls")
    ca = directory / "ca.pem"
    ca.write_bytes(authority().pem)
    agent = DialledAgent()
    try:
        with ExitStack() as stack:
            far, trunks = {}, ""
            for name, (domain, srtp) in FAR.items():
                certificate, key = authority().issue(domain).write(directory, name)
                sip = f'listen = ["tls://127.0.0.1:0"]\ntls_certificate = "{certificate}"\ntls_key = "{key}"'
                end = running_gateway(directory / f"far-{name}", _IN.format(srtp=srtp), sip=sip)
                far[name] = stack.enter_context(end)
                trunks += _TRUNK.format(name=name, port=far[name].tls[1])
            sip = f'listen = ["udp://127.0.0.1:0"]\ntls_ca = "{ca}"'
            near = running_gateway(directory / "near", trunks + BOT.format(agent=agent.port), sip=sip)
            yield Ends(stack.enter_context(near), agent, far)
    finally:
        agent.close()


@pytest.mark.parametrize("name", FAR)
def test_the_way_and_the_sound_are_encrypted_or_there_is_no_call(name: str, ends: Ends) -> None:
    wishes = ("--data", "says=1", "--data", "hangs_up_after=1")
    code = 0 if name == "good" else 1
    said = ends.near.run("dial", NUMBER, "--agent", "bot", "--trunk", name, "--json", "--wait", *wishes, code=code)
    call = json.loads(said)
    talk = ends.agent.of(call["call_id"])
    record = ends.near.record(talk.ringing["sip_call_id"])
    outcome = call["outcome"]
    if name == "good":
        assert outcome["kind"] == "answered", outcome
        assert record["transport"] == "tls"
        assert record["encryption"].startswith("A")
        frames = [bytes(talk.heard[at : at + 160]) for at in range(0, len(talk.heard) - 159, 160)]
        # The agent's own tone comes back; where a frame is late its phase jumps.
        assert sum(has_tone(frame, 440) for frame in frames) > 25
        [theirs] = wait_until(ends.far[name].calls, 30, "no call")
        assert theirs["to_number"] == NUMBER
        return
    assert outcome["kind"] == "failed", outcome
    if name == "plain":
        assert outcome["end_reason"] == "srtp_refused"
        assert record["answer_at"] is None
    else:
        assert outcome["end_reason"] == "trunk_unreachable"
        assert "certificate" in outcome["detail"]
        assert ends.far[name].calls() == []
