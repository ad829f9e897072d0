"""An agent calls a registered phone, talks, and hands whoever is there to another registered phone.

By REFER where the phone takes it; where it refuses, the gateway calls the other phone itself and joins the two.
"""

import asyncio
import json
from array import array
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from tests.interop.baresip.phone import RATE, Baresip, tone, write_wav
from tests.interop.linphone.phone import Linphone
from tests.interop.twinkle.phone import Twinkle
from tests.support.gateway import Gateway, running_gateway, wait_until
from tests.support.sdk_worker import agent_table, working
from tests.support.speech_engines import ToneVoice
from tests.support.tone import share

from offhook.agent import Agent, Call, Transferred

pytestmark = pytest.mark.interop

HERS, HIS = 440, 880
TOML = f"""
[[trunk]]
name = "desk"
caller_id = "100"
transfer_to = "linus"
phones = [
  {{ username = "alice", password = "alices-secret" }},
  {{ username = "linus", password = "linus-secret" }},
]

[[route]]
name = "between-phones"
trunk = "desk"
to = "linus"
destination = "sip:linus@desk"
{agent_table("helper")}"""


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    with running_gateway(tmp_path_factory.mktemp("gateway"), TOML) as running:
        yield running


@pytest.fixture
def linus(gateway: Gateway, tmp_path: Path) -> Iterator[Linphone]:
    """Registered as linus, it takes every call and says a tone."""
    with Linphone(tmp_path / "linus", "register_only_when_network_is_up=0") as phone:
        write_wav(tmp_path / "his.wav", tone(HIS, 20))
        phone.use_files(tmp_path / "his.wav")
        phone.register("linus", "linus-secret", f"127.0.0.1:{gateway.udp[1]}")
        phone.type("autoanswer enable")
        is_registered(gateway, "linus")
        yield phone


def is_registered(gateway: Gateway, user: str) -> None:
    """Wait until that phone is."""

    def found() -> bool:
        return any(
            phone["phone"] == user and phone["contacts"] for phone in json.loads(gateway.run("phones", "--json"))
        )

    wait_until(found, 30, f"{user} is not registered")


async def handed_on(gateway: Gateway) -> Transferred:
    """What the agent was told of the transfer of the call that it made."""
    agent = Agent("helper", greeting="Hello Alice. I put you through.", tts=ToneVoice())
    told: list[Transferred] = []
    is_told = asyncio.Event()

    @agent.on_call
    async def on_call(call: Call) -> None:
        told.append(await call.transfer("linus"))
        is_told.set()

    async with working(agent, gateway, "helper"):
        dial = partial(gateway.run, "dial", "alice", "--trunk", "desk", "--agent", "helper", "--json")
        assert json.loads(await asyncio.to_thread(dial))["outcome"]["kind"] == "answered"
        async with asyncio.timeout(60):
            await is_told.wait()
    return told[0]


def speak_with_each_other(hears: Callable[[], list[int]], linus: Linphone) -> None:
    """Wait until each of the two hears the other's tone for a quarter of a second; a busy machine may lose some."""
    quarter = RATE // 4
    wait_until(lambda: share(hears()[-quarter:], HIS) > 0.8, 30, "alice does not hear him")
    wait_until(lambda: share(linus.heard_so_far()[0][-quarter:], HERS) > 0.8, 30, "he does not hear alice")


async def test_by_refer(gateway: Gateway, linus: Linphone, tmp_path: Path) -> None:
    """baresip calls him by the gateway, as it is asked to; the agent's call is over by then."""
    before = {call["call_id"] for call in gateway.calls()}
    where = f"127.0.0.1:{gateway.udp[1]} alices-secret"
    with Baresip(tmp_path / "alice", tone(HERS, 30), user="alice", answers=True, registers=where) as alice:
        is_registered(gateway, "alice")
        told = await handed_on(gateway)
        speak_with_each_other(lambda: samples(alice.heard_so_far()), linus)
        linus.type("terminate")
        alice.wait_for("CALL_CLOSED")
        records = wait_until(lambda: over_since(gateway, before, 3), 30, lambda: gateway.said()[-3000:])
    assert (told.outcome, told.status, told.way) == ("completed", 200, "refer")
    [hers] = [record for record in records if record["to_number"] == "alice"]
    assert (hers["end_reason"], hers["transfer"]["way"]) == ("transferred", "refer")
    [to_him] = [record for record in records if record["direction"] == "inbound"]
    [his] = [record for record in records if record["direction"] == "outbound" and record["to_number"] == "linus"]
    assert (to_him["from_number"], to_him["to_number"]) == ("alice", "linus")
    assert (to_him["bridged_to"], his["bridged_from"]) == (his["call_id"], to_him["call_id"])
    assert (to_him["end_reason"], his["end_reason"]) == ("partner_hung_up", "callee_hung_up")


async def test_by_a_bridge_where_refer_is_refused(gateway: Gateway, linus: Linphone, tmp_path: Path) -> None:
    """Twinkle may be set to refuse. Then the gateway calls him, and her call goes on."""
    before = {call["call_id"] for call in gateway.calls()}
    account = ("alice", "alices-secret", f"127.0.0.1:{gateway.udp[1]}")
    with Twinkle(tmp_path / "alice", HERS, account=account, refers=False) as alice:
        is_registered(gateway, "alice")
        alice.type("auto_answer -a on")
        told = await handed_on(gateway)
        speak_with_each_other(alice.card.heard, linus)
        linus.type("terminate")
        records = wait_until(lambda: over_since(gateway, before, 2), 30, lambda: gateway.said()[-3000:])
    assert (told.outcome, told.way) == ("completed", "bridge")
    hers, his = sorted(records, key=lambda record: str(record["to_number"]))
    assert (hers["to_number"], his["to_number"]) == ("alice", "linus")
    assert (hers["bridged_to"], his["bridged_from"]) == (his["call_id"], hers["call_id"])
    assert (hers["transfer"]["outcome"], hers["transfer"]["way"]) == ("completed", "bridge")
    assert (hers["end_reason"], his["end_reason"]) == ("partner_hung_up", "callee_hung_up")


def over_since(gateway: Gateway, before: set[str], count: int) -> list[dict[str, Any]] | None:
    """The records of so many calls that came after those, once all are over."""
    new = [call for call in gateway.calls() if call["call_id"] not in before and call["end_at"]]
    return new if len(new) == count else None


def samples(pcm: bytes) -> list[int]:
    """PCM16 as numbers."""
    return array("h", pcm[: len(pcm) // 2 * 2]).tolist()
