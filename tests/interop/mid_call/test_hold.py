"""Phones that hold and resume their call: nothing is sent to who holds, and afterwards both are heard as before."""

import asyncio
import re
from pathlib import Path

import pytest
from tests.interop.mid_call import line, phones
from tests.interop.mid_call.line import sdp_notes, talking
from tests.interop.mid_call.phones import PHONES
from tests.support.agent import Agent
from tests.support.gateway import Gateway

pytestmark = pytest.mark.interop


@pytest.mark.parametrize("name", PHONES)
async def test_hold_and_resume(gateway: Gateway, agent: Agent, tmp_path: Path, name: str) -> None:
    with PHONES[name](tmp_path / name) as phone:
        dialled = asyncio.create_task(asyncio.to_thread(phone.dial, "agent", gateway.udp))
        async with talking(agent) as agents_end:
            await dialled
            await asyncio.to_thread(phone.hears, line.HZ)
            await agents_end.hears(phones.HZ)
            await asyncio.to_thread(phone.hold)
            await asyncio.sleep(0.5)
            await asyncio.to_thread(phone.resume)
            await asyncio.to_thread(phone.hears, line.HZ)
            await agents_end.hears(phones.HZ)
            await asyncio.to_thread(phone.hang_up)
            sip_call_id = agents_end.call.of("ringing")[0].body["sip_call_id"]
    assert re.findall(r"(\w+), to ", sdp_notes(gateway, sip_call_id)) == ["sendrecv", "recvonly", "sendrecv"]
    record = gateway.record(sip_call_id)
    assert record["end_reason"] == "caller_hung_up"


@pytest.mark.parametrize("name", PHONES)
async def test_the_agent_holds_and_resumes(gateway: Gateway, agent: Agent, tmp_path: Path, name: str) -> None:
    with PHONES[name](tmp_path / name) as phone:
        dialled = asyncio.create_task(asyncio.to_thread(phone.dial, "agent", gateway.udp))
        async with talking(agent) as agents_end:
            await dialled
            await asyncio.to_thread(phone.hears, line.HZ)
            await agents_end.hears(phones.HZ)
            await agents_end.call.say(type="hold")
            assert (await agents_end.call.text("held"))["by"] == "agent"
            await agents_end.call.say(type="resume")
            await agents_end.call.text("resumed")
            await asyncio.to_thread(phone.hears, line.HZ)
            await agents_end.hears(phones.HZ)
            await asyncio.to_thread(phone.hang_up)
            sip_call_id = agents_end.call.of("ringing")[0].body["sip_call_id"]
    record = gateway.record(sip_call_id)
    assert record["end_reason"] == "caller_hung_up"
