"""What the network plays before the answer, by plain sockets: the agent hears it on wish, and nobody the agent."""

import asyncio
import hashlib
import re
from pathlib import Path

import pytest
from tests.interop.dialling.conftest import KEY
from tests.support.dialled_agent import DialledAgent
from tests.support.gateway import running_gateway
from tests.support.plain_callee import callee, sdp
from tests.support.rtp_peer import RtpPeer
from tests.support.tone import decode, share, tone

from offhook import Gateway

pytestmark = pytest.mark.interop

NUMBER = "+14155550142"
_TOML = """
[[trunk]]
name = "acme"
host = "127.0.0.1"
port = {port}
caller_id = "+14155550100"
dial_to = "+1415*"

[[route]]
name = "all"
destination = "echo:"

[[agent]]
name = "bot"
kind = "offhook"
url = "ws://127.0.0.1:{agent}/"

[[key]]
name = "crm"
sha256 = "{sha256}"
"""


@pytest.mark.parametrize("wished", [True, False])
async def test_it_is_heard_on_wish_and_the_agent_by_who_picks_up_alone(wished: bool, tmp_path: Path) -> None:

    agent = DialledAgent()
    try:
        async with callee("callee") as phone:
            toml = _TOML.format(port=phone.port, agent=agent.port, sha256=hashlib.sha256(KEY.encode()).hexdigest())
            with running_gateway(tmp_path, toml) as gateway, RtpPeer() as rtp:
                call = await Gateway(gateway.http, key=KEY).dial(NUMBER, agent="bot", early_media=wished)
                invite = await phone.gets("INVITE")
                port = re.search(r"m=audio (\d+) ", invite.body)
                assert port is not None
                rtp.target = ("127.0.0.1", int(port[1]))
                phone.answer(invite, "183 Session Progress", sdp=sdp(rtp.address[1]))
                await asyncio.sleep(0.1)
                await rtp.talk(tone(425, 1.5))
                talk = agent.of(call.id)
                assert rtp.audio == []
                heard_early = bytes(talk.heard)
                phone.answer(invite, "200 OK", sdp=sdp(rtp.address[1]))
                await phone.gets("ACK")
                assert (await call.outcome()).answered
                await rtp.talk(tone(700, 1.5))
                await call.hang_up()
                await phone.gets("BYE")
    finally:
        agent.close()
    if wished:
        assert share(decode(heard_early[2000:10_000]), 425) > 0.9
    else:
        assert heard_early == b""
    assert share(decode(bytes(talk.heard[-9000:-1000])), 700) > 0.9
    said = b"".join(rtp.audio)
    assert share(decode(said[:8000]), 440) > 0.9
