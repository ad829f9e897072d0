"""Phones that hold and are held: by tones on both sides before, meanwhile and after, and what is recorded of it."""

import asyncio
import re
import wave
from array import array
from pathlib import Path
from typing import Any

import pytest
from tests.interop.mid_call import line, phones
from tests.interop.mid_call.line import BEFORE, WAITING, Talking, heard_in_turn, sdp_notes, talking
from tests.interop.mid_call.phones import PHONES, Phone
from tests.support.agent import Agent
from tests.support.gateway import Gateway, wait_until
from tests.support.undisturbed import undisturbed

pytestmark = pytest.mark.interop


async def both_are_heard(phone: Phone, agents_end: Talking) -> None:
    await asyncio.gather(asyncio.to_thread(phone.hears, line.HZ), agents_end.hears(phones.HZ))


async def agent_holds(agents_end: Talking) -> None:
    count = len(agents_end.call.of("held")) + 1
    await agents_end.call.say(type="hold")
    assert (await agents_end.call.text("held", count))["by"] == "agent"


async def agent_resumes(agents_end: Talking) -> None:
    count = len(agents_end.call.of("resumed")) + 1
    await agents_end.call.say(type="resume")
    await agents_end.call.text("resumed", count)


@pytest.mark.parametrize("name", PHONES)
@undisturbed
async def test_both_ends_hold_and_resume(gateway: Gateway, agent: Agent, tmp_path: Path, name: str) -> None:
    """A tone of a file before the answer and on hold; nothing to who holds, and nothing of who is held."""
    with PHONES[name](tmp_path / name) as phone:
        dialled = asyncio.create_task(asyncio.to_thread(phone.dial, "sounds", gateway.udp))
        async with talking(agent, ready=lambda: asyncio.to_thread(phone.hears, BEFORE, 30.0)) as agents_end:
            await dialled
            await both_are_heard(phone, agents_end)
            await asyncio.to_thread(phone.hold)
            await asyncio.gather(asyncio.to_thread(phone.hears_nothing), agents_end.hears_nothing())
            await asyncio.to_thread(phone.resume)
            await both_are_heard(phone, agents_end)
            await agent_holds(agents_end)
            await asyncio.gather(asyncio.to_thread(phone.hears_on_hold, WAITING), agents_end.hears_nothing())
            await agent_resumes(agents_end)
            await both_are_heard(phone, agents_end)
            await asyncio.to_thread(phone.hang_up)
            sip_call_id = agents_end.call.of("ringing")[0].body["sip_call_id"]
    directions = re.findall(r"(\w+), to ", sdp_notes(gateway, sip_call_id))
    assert directions == ["sendrecv", "recvonly", "sendrecv", "sendonly", "sendrecv"]
    record = gateway.record(sip_call_id)
    assert (record["end_reason"], record["media"]["holds"]) == ("caller_hung_up", 2)
    assert_recorded(gateway, record)


@pytest.mark.parametrize("name", PHONES)
@undisturbed
async def test_held_with_silence_and_with_the_gateways_music(
    gateway: Gateway, agent: Agent, tmp_path: Path, name: str
) -> None:
    with PHONES[name](tmp_path / name) as phone:
        for user, meanwhile in (("silence", phone.hears_nothing), ("melody", phone.hears_music)):
            dialled = asyncio.create_task(asyncio.to_thread(phone.dial, user, gateway.udp))
            async with talking(agent) as agents_end:
                await dialled
                await both_are_heard(phone, agents_end)
                await agent_holds(agents_end)
                await asyncio.gather(asyncio.to_thread(meanwhile), agents_end.hears_nothing())
                await agent_resumes(agents_end)
                await both_are_heard(phone, agents_end)
                await asyncio.to_thread(phone.hang_up)
                await agents_end.call.over()


def assert_recorded(gateway: Gateway, record: dict[str, Any]) -> None:
    """The caller's side has the phone's tone and silence on hold; the agent's has its tone, and the music on hold."""
    path = gateway.directory / "data" / "recordings" / record["recording"]["file"]
    wait_until(path.exists, 30, "no recording")
    with wave.open(str(path)) as sound:
        samples = array("h", sound.readframes(sound.getnframes()))
    assert heard_in_turn(samples[::2], phones.HZ) == [phones.HZ, 0, phones.HZ, 0, phones.HZ]
    assert heard_in_turn(samples[1::2], line.HZ, WAITING) == [line.HZ, 0, line.HZ, WAITING, line.HZ]
