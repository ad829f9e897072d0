"""A proxy takes a codec out of the next offer of a phone: from then on both ends are heard in the other one."""

import asyncio
import re
from pathlib import Path

import pytest
from tests.interop.kamailio.proxy import Kamailio
from tests.interop.mid_call import line, phones
from tests.interop.mid_call.line import sdp_notes, talking
from tests.interop.mid_call.phones import PHONES
from tests.support.agent import Agent
from tests.support.gateway import Gateway
from tests.support.undisturbed import undisturbed

pytestmark = pytest.mark.interop


# baresip offers nothing but the codec in use once the call is up.
@pytest.mark.parametrize("name", ["linphone", "twinkle"])
@undisturbed
async def test_the_codec_changes_with_a_reinvite(gateway: Gateway, agent: Agent, tmp_path: Path, name: str) -> None:
    with (
        Kamailio(tmp_path / "kamailio", gateway.udp, "udp", removed="PCMU") as proxy,
        PHONES[name](tmp_path / name) as phone,
    ):
        dialled = asyncio.create_task(asyncio.to_thread(phone.dial, "agent", proxy.address))
        async with talking(agent) as agents_end:
            await dialled
            await asyncio.to_thread(phone.hears, line.HZ)
            await agents_end.hears(phones.HZ)
            await asyncio.to_thread(phone.hold)
            await asyncio.to_thread(phone.resume)
            await asyncio.to_thread(phone.hears, line.HZ)
            await agents_end.hears(phones.HZ)
            await asyncio.to_thread(phone.hang_up)
            sip_call_id = agents_end.call.of("ringing")[0].body["sip_call_id"]
        assert len(proxy.relayed("INVITE")) == 2
    codecs = re.findall(r"PCM[UA]", "\n".join(re.findall(r".*, to .*", sdp_notes(gateway, sip_call_id))))
    assert codecs == ["PCMU", "PCMA", "PCMA"]
    record = gateway.record(sip_call_id)
    assert (record["codec"], record["end_reason"]) == ("PCMA", "caller_hung_up")
