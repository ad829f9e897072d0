"""Phones that are transferred by the agent: they reach the new party, or are back with the agent, who is told which."""

import asyncio
from pathlib import Path

import pytest
from tests.interop.mid_call import line, phones
from tests.interop.mid_call.line import talking
from tests.interop.mid_call.phones import PHONES
from tests.support.agent import Agent
from tests.support.gateway import Gateway
from tests.support.plain_callee import callee, sdp
from tests.support.rtp_peer import RtpPeer
from tests.support.tone import decode, share, tone
from tests.support.undisturbed import undisturbed

pytestmark = pytest.mark.interop

ELSEWHERE = 1500.0
"""What the new party says."""


def is_heard(rtp: RtpPeer, hz: float) -> bool:
    """Whether the last quarter of a second that came is this tone."""
    last = b"".join(rtp.audio[-12:])
    return len(last) >= 12 * 160 and share(decode(last), hz) > 0.9


@pytest.mark.parametrize("name", PHONES)
@undisturbed
async def test_a_transfer_that_is_taken(gateway: Gateway, agent: Agent, tmp_path: Path, name: str) -> None:
    async with callee("there") as there:
        with PHONES[name](tmp_path / name) as phone, RtpPeer() as rtp:
            dialled = asyncio.create_task(asyncio.to_thread(phone.dial, "agent", gateway.udp))
            async with talking(agent) as agents_end:
                await dialled
                await asyncio.to_thread(phone.hears, line.HZ)
                await agents_end.hears(phones.HZ)
                await agents_end.call.say(type="transfer", target=f"sip:there@127.0.0.1:{there.port}")
                invite = await there.gets("INVITE")
                there.answer(invite, "180 Ringing")
                there.answer(invite, "200 OK", sdp=sdp(rtp.address[1], formats="0"))
                await there.gets("ACK")
                told = await agents_end.call.text("transferred")
                await agents_end.call.over()
                sip_call_id = agents_end.call.of("ringing")[0].body["sip_call_id"]
            rtp.target = ("127.0.0.1", int(invite.body.split("m=audio ")[1].split()[0]))
            await asyncio.gather(asyncio.to_thread(phone.hears, ELSEWHERE), rtp.talk(tone(ELSEWHERE, 1.5)))
            assert is_heard(rtp, phones.HZ)
            # While the callee can still answer it.
            await asyncio.to_thread(phone.hang_up)
    # Twinkle ends the call first and then says that it succeeded.
    assert told["outcome"] == "completed"
    assert gateway.record(sip_call_id)["end_reason"] == "transferred"


@pytest.mark.parametrize("name", PHONES)
@undisturbed
async def test_a_transfer_that_is_refused(gateway: Gateway, agent: Agent, tmp_path: Path, name: str) -> None:
    async with callee("there") as there:
        with PHONES[name](tmp_path / name) as phone:
            dialled = asyncio.create_task(asyncio.to_thread(phone.dial, "agent", gateway.udp))
            async with talking(agent) as agents_end:
                await dialled
                await asyncio.to_thread(phone.hears, line.HZ)
                await agents_end.call.say(type="transfer", target=f"sip:there@127.0.0.1:{there.port}")
                invite = await there.gets("INVITE")
                there.answer(invite, "486 Busy Here")
                told = await agents_end.call.text("transferred")
                assert told["outcome"] == "busy"
                await asyncio.to_thread(phone.hears, line.HZ)
                await agents_end.hears(phones.HZ)
                await asyncio.to_thread(phone.hang_up)
                sip_call_id = agents_end.call.of("ringing")[0].body["sip_call_id"]
    assert gateway.record(sip_call_id)["end_reason"] == "caller_hung_up"
