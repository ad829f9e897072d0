"""What the network plays before the answer, by plain sockets: the agent hears it on wish, and nobody the agent."""

import hashlib
import re
from pathlib import Path

import pytest
from tests.interop.dialling.conftest import KEY
from tests.support.dialled_agent import DialledAgent
from tests.support.gateway import Gateway as Running
from tests.support.gateway import running_gateway
from tests.support.plain_callee import PlainCallee, callee, sdp
from tests.support.rtp_peer import RtpPeer
from tests.support.tone import decode, purest, tone
from tests.support.undisturbed import undisturbed

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


@undisturbed
async def test_it_is_heard_on_wish_and_the_agent_by_who_picks_up_alone(tmp_path: Path) -> None:
    agent = DialledAgent()
    try:
        async with callee("callee") as phone:
            toml = _TOML.format(port=phone.port, agent=agent.port, sha256=hashlib.sha256(KEY.encode()).hexdigest())
            with running_gateway(tmp_path, toml) as gateway:
                for number, wished in enumerate((True, False), 1):
                    await _called(gateway, agent, phone, number, wished)
    finally:
        agent.close()


async def _called(running: Running, agent: DialledAgent, phone: PlainCallee, number: int, wished: bool) -> None:
    with RtpPeer() as rtp:
        call = await Gateway(running.http, key=KEY).dial(NUMBER, agent="bot", early_media=wished)
        invite = await phone.gets("INVITE", number)
        media = re.search(r"m=audio (\d+) ", invite.body)
        assert media is not None
        rtp.target = ("127.0.0.1", int(media[1]))
        phone.answer(invite, "183 Session Progress", sdp=sdp(rtp.address[1]))
        talk = agent.of(call.id)
        for _ in range(60 if wished else 3):
            await rtp.talk(tone(425, 0.2))
            if purest(decode(bytes(talk.heard)), 425) > 0.9:
                break
        assert (purest(decode(bytes(talk.heard)), 425) > 0.9) == wished
        assert bool(talk.heard) == wished
        assert rtp.audio == []
        phone.answer(invite, "200 OK", sdp=sdp(rtp.address[1]))
        await phone.gets("ACK", number)
        assert (await call.outcome()).answered
        for _ in range(60):
            await rtp.talk(tone(700, 0.2))
            said = decode(b"".join(rtp.audio))
            if purest(decode(bytes(talk.heard)), 700) > 0.9 and purest(said, 440) > 0.9:
                break
        else:
            raise AssertionError("the two don't hear each other")
        await call.hang_up()
        await phone.gets("BYE", number)
