"""An agent puts baresip on hold: it answers as it should, is sent music, and is heard again."""

import asyncio
import re
from pathlib import Path

import pytest
from tests.interop.baresip.phone import Baresip, tone
from tests.support.agent import agent_on
from tests.support.gateway import ports, running_gateway
from tests.support.tone import decode, is_silent, share
from tests.support.tone import tone as frames

pytestmark = pytest.mark.interop

_TOML = """
[[trunk]]
name = "phones"
allow = ["127.0.0.1"]

[[route]]
name = "agent"
destination = "ws://127.0.0.1:{agent}/"
"""


async def test_baresip_is_held_with_music_and_had_back(tmp_path: Path) -> None:
    port = ports(1)
    with running_gateway(tmp_path / "gateway", _TOML.format(agent=port)) as gateway:
        with Baresip(tmp_path / "phone", tone(440, 30)) as phone:
            async with agent_on(port, "offhook") as agents:
                dialling = asyncio.create_task(asyncio.to_thread(phone.dial, "agent", gateway.udp))
                agent = await agents.call()
                await agent.text("ringing")
                await agent.say(type="ready", audio={"encoding": "pcmu", "rate": 8000})
                call_id = await dialling
                await agent.text("start")
                await agent.say(type="hold")
                assert (await agent.text("held"))["by"] == "agent"
                held_from = len(agent.audio)
                await asyncio.sleep(1.2)
                held_to = len(agent.audio)
                await agent.say(type="resume")
                assert (await agent.text("resumed"))["held_ms"] > 1_000
                await agent.play(frames(700, 0.8))
                await asyncio.sleep(1.0)
                heard = bytes(agent.audio)
                await asyncio.to_thread(phone.command, "hangup")
                await asyncio.to_thread(phone.wait_for, "CALL_CLOSED")
        shown = gateway.explained(call_id)
    assert is_silent(heard[held_from + 2400 : held_to]), "who is on hold is not heard"
    assert share(decode(heard[-4000:]), 440) > 0.9, "and is afterwards"
    assert shown["call"]["media"]["holds"] == 1
    assert shown["call"]["media"]["sent_music_packets"] > 50
    # What baresip hears then is in no recording of its own: that stops with a re-INVITE of the other side (1.0.0).
    decided = [str(entry["note"]) for entry in shown["timeline"]["entries"] if entry["kind"] == "sdp"]
    assert [way for note in decided for way in re.findall(r"(\w+), to ", note)] == ["sendrecv", "sendonly", "sendrecv"]
