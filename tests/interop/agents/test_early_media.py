"""Sound before the answer, as a phone of plain sockets hears it: tones, and the numbers of every packet."""

import array
import asyncio
import math
from collections.abc import Iterator

import pytest
from tests.support.agent import agent_on
from tests.support.gateway import Gateway, ports, running_gateway
from tests.support.one_stream import assert_one_stream
from tests.support.plain_phone import PhoneCall, PlainPhone
from tests.support.tone import has_tone, tone
from tests.support.undisturbed import undisturbed

pytestmark = pytest.mark.interop

PORT = ports(2)
RINGBACK, AGENT = "+14155550120", "+14155550121"
TOML = f"""
[[trunk]]
name = "acme"
allow = ["127.0.0.1"]

[[route]]
name = "ringback"
to = "{RINGBACK}"
destination = "ws://127.0.0.1:{PORT}/"
early_media = "ringback:FR"

[[route]]
name = "agent"
to = "{AGENT}"
destination = "ws://127.0.0.1:{PORT}/"
early_media = "agent"
"""
FRENCH_HZ, EARLY_HZ, GREETING_HZ = 440, 700, 900


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    with running_gateway(tmp_path_factory.mktemp("early"), TOML) as running:
        yield running


def places(call: PhoneCall, hz: float) -> list[int]:
    return [at for at, packet in enumerate(call.packets) if has_tone(packet.payload, hz)]


@pytest.mark.rfc(3960, "3.2")
@undisturbed
async def test_a_ringing_tone_until_the_answer_and_then_the_agent(gateway: Gateway) -> None:
    async with agent_on(PORT, "offhook") as agent, PlainPhone.open() as phone:
        call = phone.dial(gateway.udp, RINGBACK, talk=False)
        bot = await agent.call()
        await bot.text("ringing")
        await call.hears(FRENCH_HZ, frames=20)
        await call.responds(100, 183)
        await bot.say(type="ready", audio={"encoding": "pcmu", "rate": 8000})
        await bot.play(tone(GREETING_HZ, 0.4))
        await call.answered()
        await call.hears(GREETING_HZ, frames=20)
        assert bot.of("ringing")[0].body["early_media"] is False
        call.hang_up()
        await bot.over()
    assert max(places(call, FRENCH_HZ)) < min(places(call, GREETING_HZ))
    assert len(places(call, GREETING_HZ)) == 20, "the greeting is whole"
    assert_one_stream(call.packets)
    early, answer = (next(h for h in call.heard if h.status == status) for status in (183, 200))
    assert early.body == answer.body


@undisturbed
async def test_an_agent_speaks_before_it_takes_the_call_and_hears_nothing_until_then(gateway: Gateway) -> None:
    async with agent_on(PORT, "offhook") as agent, PlainPhone.open() as phone:
        call = phone.dial(gateway.udp, AGENT, talk=False)
        bot = await agent.call()
        ringing = await bot.text("ringing")
        assert ringing["early_media"] is True
        rate = ringing["audio"]["rate"]
        await bot.play([_pcm16(EARLY_HZ, 0.4, rate)])
        await call.hears(EARLY_HZ, frames=15)
        await call.responds(100, 180, 183)
        call.start_talking()
        await asyncio.sleep(0.2)
        assert not bot.audio
        await bot.say(type="ready")
        await call.answered()
        await bot.text("start")
        await bot.hears(rate // 10)
        await bot.play([_pcm16(GREETING_HZ, 0.4, rate)])
        await call.hears(GREETING_HZ, frames=15)
        call.hang_up()
        await bot.over()
    assert [kind for kind in bot.kinds() if kind in ("ringing", "start")] == ["ringing", "start"]
    assert_one_stream(call.packets)


def _pcm16(hz: float, seconds: float, rate: int) -> bytes:
    samples = (round(8000 * math.sin(2 * math.pi * hz * n / rate)) for n in range(round(seconds * rate)))
    return array.array("h", samples).tobytes()
