"""Real phones register with the gateway, are called by `offhook dial`, and call its agents."""

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.interop.baresip.phone import Baresip, tone, write_wav
from tests.interop.linphone.phone import Linphone
from tests.interop.twinkle.phone import Twinkle
from tests.support.dialled_agent import DialledAgent
from tests.support.gateway import Gateway, running_gateway, wait_until
from tests.support.nothing_left import PROVE
from tests.support.tone import decode, purest

pytestmark = pytest.mark.interop

_TOML = """
[[trunk]]
name = "desk"
caller_id = "100"
codecs = ["opus", "PCMU", "PCMA"]
phones = [
  {{ username = "alice", password = "alices-secret" }},
  {{ username = "linus", password = "linus-secret" }},
  {{ username = "terry", password = "terrys-secret" }},
  {{ username = "forked", password = "forked-secret" }},
  {{ username = "bob", password = "correct-horse-battery" }},
]

[[route]]
name = "all"
destination = "echo:"

[[agent]]
name = "bot"
kind = "offhook"
url = "ws://127.0.0.1:{agent}/"
"""


@pytest.fixture(scope="module")
def agent() -> Iterator[DialledAgent]:
    running = DialledAgent()
    yield running
    running.close()


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory, agent: DialledAgent) -> Iterator[Gateway]:
    with running_gateway(tmp_path_factory.mktemp("gateway"), _TOML.format(agent=agent.port)) as running:
        yield running


def contacts(gateway: Gateway, user: str) -> list[dict[str, Any]]:
    """Where a phone is, as `offhook phones` has it."""
    [found] = [phone for phone in json.loads(gateway.run("phones", "--json")) if phone["phone"] == user]
    return list(found["contacts"])


def registered(gateway: Gateway, user: str, places: int = 1) -> list[dict[str, Any]]:
    """Wait until a phone is registered."""
    return wait_until(
        lambda: found if len(found := contacts(gateway, user)) == places else None, 30, lambda: gateway.said()[-4000:]
    )


def dial(gateway: Gateway, user: str, seconds: float = 2) -> dict[str, Any]:
    """Have the agent call a phone and hang up so long after the answer."""
    data = f"hangs_up_after={seconds}"
    said = gateway.run("dial", user, "--trunk", "desk", "--agent", "bot", "--json", "--data", data)
    return dict(json.loads(said))


@pytest.mark.parametrize("transport", ["udp", "tcp"] if PROVE else ["tcp"])
def test_baresip_registers_and_is_called(gateway: Gateway, agent: DialledAgent, transport: str, tmp_path: Path) -> None:
    where = f"127.0.0.1:{(gateway.udp if transport == 'udp' else gateway.tcp)[1]}"
    with Baresip(
        tmp_path / "phone", tone(700, 20.0), transport=transport, answers=True, user="alice",
        registers=f"{where} alices-secret",
    ) as phone:  # fmt: skip
        [contact] = registered(gateway, "alice")
        assert contact["address"].startswith(f"{transport}:127.0.0.1:")
        assert "baresip" in contact["user_agent"]
        call = dial(gateway, "alice")
        assert call["outcome"]["kind"] == "answered"
        phone.wait_for("CALL_CLOSED")
        talk = agent.of(call["call_id"])
        record = gateway.record(talk.ringing["sip_call_id"])
    assert (record["trunk"], record["to_number"], record["transport"]) == ("desk", "alice", transport)
    assert purest(decode(bytes(talk.heard)), 700) > 0.92
    # It takes its contact out as it goes.
    wait_until(lambda: not contacts(gateway, "alice"), 30)


def test_two_phones_of_one_user_ring_and_one_has_the_call(
    gateway: Gateway, agent: DialledAgent, tmp_path: Path
) -> None:
    where = f"127.0.0.1:{gateway.udp[1]} forked-secret"
    with (
        Baresip(tmp_path / "one", tone(700, 20.0), user="forked", registers=where) as silent,
        Baresip(tmp_path / "two", tone(900, 20.0), user="forked", answers=True, registers=where) as quick,
    ):
        registered(gateway, "forked", 2)
        call = dial(gateway, "forked")
        assert call["outcome"]["kind"] == "answered"
        quick.wait_for("CALL_ESTABLISHED")
        # The other stops to ring.
        silent.wait_for("CALL_CLOSED")
        talk = agent.of(call["call_id"])
        gateway.record(talk.ringing["sip_call_id"])
    assert purest(decode(bytes(talk.heard)), 900) > 0.92


def test_linphone_registers_is_called_in_opus_and_calls(gateway: Gateway, agent: DialledAgent, tmp_path: Path) -> None:
    host, port = gateway.udp
    with Linphone(tmp_path / "linphone", "register_only_when_network_is_up=0") as phone:
        write_wav(tmp_path / "his.wav", tone(700, 20.0))
        phone.use_files(tmp_path / "his.wav")
        phone.register("linus", "linus-secret", f"{host}:{port}")
        registered(gateway, "linus")
        phone.type("autoanswer enable")
        call = dial(gateway, "linus", 2.5)
        assert call["outcome"]["kind"] == "answered"
        talk = agent.of(call["call_id"])
        assert gateway.record(talk.ringing["sip_call_id"])["codec"] == "opus"
        assert purest(decode(bytes(talk.heard)), 700) > 0.9
        heard, rate = phone.heard_so_far()
        assert purest(heard, 440, rate) > 0.9
        before = len(phone.said())
        phone.type(f"call sip:100@{host}:{port}")
        phone.says("Call answered|connected", since=before)
        phone.type("terminate")
        record = wait_until(lambda: newest(gateway, "linus"), 30)
    assert (record["direction"], record["from_number"], record["trunk"]) == ("inbound", "linus", "desk")


def newest(gateway: Gateway, caller: str) -> dict[str, Any] | None:
    """The last call from a phone that is over."""
    calls = [call for call in gateway.calls() if call["from_number"] == caller and call["end_at"]]
    return calls[0] if calls else None


@pytest.mark.skipif(not PROVE, reason="Twinkle registers and is called in test_handed_on.py: the full count")
def test_twinkle_registers_is_called_and_calls(gateway: Gateway, agent: DialledAgent, tmp_path: Path) -> None:
    host, port = gateway.udp
    with Twinkle(tmp_path / "twinkle", 700.0, account=("terry", "terrys-secret", f"{host}:{port}")) as phone:
        phone.says("registration succeeded")
        [contact] = registered(gateway, "terry")
        assert "Twinkle" in contact["user_agent"]
        phone.type("auto_answer -a on")
        call = dial(gateway, "terry")
        assert call["outcome"]["kind"] == "answered"
        gateway.record(agent.of(call["call_id"]).ringing["sip_call_id"])
        phone.type(f"call sip:100@{host}:{port}")
        phone.says("answered call")
        phone.type("bye")
        record = wait_until(lambda: newest(gateway, "terry"), 30)
    assert (record["direction"], record["from_number"], record["trunk"]) == ("inbound", "terry", "desk")


def test_sipvicious_learns_nothing(gateway: Gateway, tmp_path: Path) -> None:
    """Who tries names finds none other than the rest; who tries passwords finds none, not even the right one."""
    host, port = gateway.udp
    names = tmp_path / "names"
    names.write_text("alice\nnobody\nbob\n100\n911\nadmin\n")
    for method in ("REGISTER", "INVITE", "OPTIONS") if PROVE else ("REGISTER",):
        found = run(tmp_path, "svwar", "-m", method, "-d", str(names), "-p", str(port), host)
        listed = {line.split("|")[1].strip() for line in found.splitlines() if line.count("|") == 3}
        assert not listed & {"alice", "bob"} or listed >= {"alice", "bob", "nobody", "911"}, found
    words = tmp_path / "words"
    words.write_text("".join(f"wrong-{number}\n" for number in range(40 if PROVE else 12)) + "correct-horse-battery\n")
    found = run(tmp_path, "svcrack", "-u", "bob", "-d", str(words), "-p", str(port), host)
    assert "correct-horse-battery" not in found, found
    assert contacts(gateway, "bob") == []


def run(directory: Path, *command: str) -> str:
    done = subprocess.run(
        command, capture_output=True, text=True, timeout=120, check=False, cwd=directory, env={"HOME": str(directory),
        "PATH": "/usr/bin:/bin"},
    )  # fmt: skip
    return done.stdout + done.stderr
