"""When the caller is answered, when sound begins, and what the record says about it."""

import asyncio
import time
from collections.abc import Iterator

import pytest
from tests.support.agent import AgentCall, agent_on
from tests.support.gateway import Gateway, ports, running_gateway
from tests.support.plain_phone import PhoneCall, PlainPhone
from tests.support.tone import has_tone, lasting, tone
from tests.support.undisturbed import undisturbed

pytestmark = pytest.mark.interop

PORT = ports(2)
READY, AT_ONCE, FIRST_AUDIO, NO_AUDIO = "+14155550120", "+14155550121", "+14155550122", "+14155550123"
TOML = f"""
[[trunk]]
name = "acme"
allow = ["127.0.0.1"]

[[route]]
name = "ready"
to = "{READY}"
destination = "ws://127.0.0.1:{PORT}/"

[[route]]
name = "at-once"
to = "{AT_ONCE}"
destination = "ws://127.0.0.1:{PORT}/"
answer = "at-once"
fallback = [{{ to = "echo:" }}]

[[route]]
name = "first-audio"
to = "{FIRST_AUDIO}"
destination = "ws://127.0.0.1:{PORT}/"
answer = "first-audio"

[[route]]
name = "no-audio"
to = "{NO_AUDIO}"
destination = "ws://127.0.0.1:{PORT}/"
answer = "first-audio"
ring_timeout = 2
"""
GREETING_HZ = 900
HELD = 0.3
"""Seconds that a greeting waits for the ACK or for RTP. It begins within a frame of either on a quiet machine."""


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    with running_gateway(tmp_path_factory.mktemp("answering"), TOML) as running:
        yield running


async def greet(bot: AgentCall) -> None:
    """Take the call and greet at once, before it has been answered."""
    await bot.text("ringing")
    await bot.say(type="ready", audio={"encoding": "pcmu", "rate": 8000})
    await bot.play(tone(GREETING_HZ, 0.6))


def greeting(call: PhoneCall) -> int:
    """Frames of the greeting that were heard."""
    return sum(has_tone(packet.payload, GREETING_HZ) for packet in call.packets)


def first_heard(call: PhoneCall) -> float:
    """Monotonic seconds at which the first frame of the greeting came; packets carry the kernel's wall clock."""
    first = next(packet for packet in call.packets if has_tone(packet.payload, GREETING_HZ))
    return first.at - time.time() + time.monotonic()


@undisturbed
async def test_the_greeting_is_whole_and_begins_with_the_ack(gateway: Gateway) -> None:
    async with agent_on(PORT, "offhook") as agent, PlainPhone.open() as phone:
        call = phone.dial(gateway.udp, READY, talk=False)
        bot = await agent.call()
        await greet(bot)
        answer = await call.answered()
        await call.hears(GREETING_HZ, frames=30)
        assert greeting(call) == 30
        assert first_heard(call) - answer.at < 0.9 * HELD, "the ACK came at once, so it need not wait"
        call.hang_up()
        await bot.over()
    intervals = gateway.record(call.call_id)["intervals"]
    assert intervals.keys() >= {
        "trying", "routing", "ringing", "agent_dial", "agent_ready", "answer", "ack", "greeting", "own",
    }  # fmt: skip
    assert 0 <= intervals["own"] <= intervals["answer"]
    assert intervals["trying"] <= intervals["answer"]


@undisturbed
async def test_without_ack_and_rtp_the_greeting_waits_300_ms_and_silence_flows(gateway: Gateway) -> None:
    async with agent_on(PORT, "offhook") as agent, PlainPhone.open() as phone:
        call = phone.dial(gateway.udp, READY, talk=False, acknowledge=False)
        bot = await agent.call()
        await greet(bot)
        answer = await call.answered()
        await call.hears(GREETING_HZ, frames=30)
        assert greeting(call) == 30, "it was held, not lost"
        assert 0.5 * HELD < first_heard(call) - answer.at < 10
        silent = next(at for at, packet in enumerate(call.packets) if has_tone(packet.payload, GREETING_HZ))
        assert silent >= 5, "RTP flows from the 200 on"
        call.ack()
        call.hang_up()
        await bot.over()


@undisturbed
async def test_rtp_of_the_caller_releases_the_greeting_before_its_ack(gateway: Gateway) -> None:
    async with agent_on(PORT, "offhook") as agent, PlainPhone.open() as phone:
        call = phone.dial(gateway.udp, READY, acknowledge=False)
        bot = await agent.call()
        await greet(bot)
        answer = await call.answered()
        await call.hears(GREETING_HZ, frames=30)
        assert greeting(call) == 30
        assert first_heard(call) - answer.at < 0.9 * HELD
        call.ack()
        call.hang_up()
        await bot.over()


async def test_at_once_answers_before_the_agent_is_there(gateway: Gateway) -> None:
    async with agent_on(PORT, "offhook") as agent, PlainPhone.open() as phone:
        call = phone.dial(gateway.udp, AT_ONCE)
        bot = await agent.call()
        await call.answered()
        await bot.text("ringing")
        await call.rtp.until(lambda peer: len(peer.packets) >= 10)
        assert not bot.of("start")
        assert not bot.audio, "nothing is told to an agent that has not taken the call"
        await greet(bot)
        await bot.text("start")
        await call.hears(GREETING_HZ, frames=30)
        assert greeting(call) == 30
        assert not any(has_tone(packet.payload, GREETING_HZ) for packet in call.packets[:10])
        call.hang_up()
        await bot.over()
    record = gateway.record(call.call_id)
    assert record["intervals"]["answer"] < record["intervals"]["agent_dial"] + record["intervals"]["agent_ready"]


async def test_at_once_and_the_agent_says_no_the_answered_caller_goes_to_the_fallback(gateway: Gateway) -> None:
    async with PlainPhone.open() as phone:
        call = phone.dial(gateway.udp, AT_ONCE)
        await call.answered()
        call.say(lasting(600))
        await call.hears(600, frames=10)
        call.hang_up()
    record = gateway.record(call.call_id)
    assert (record["end_reason"], record["destination"]) == ("caller_hung_up", "echo:")


async def test_first_audio_rings_until_the_agent_speaks(gateway: Gateway) -> None:
    async with agent_on(PORT, "offhook") as agent, PlainPhone.open() as phone:
        call = phone.dial(gateway.udp, FIRST_AUDIO)
        bot = await agent.call()
        await bot.text("ringing")
        await bot.say(type="ready", audio={"encoding": "pcmu", "rate": 8000})
        await call.responds(100, 180)
        await asyncio.sleep(0.3)
        assert call.statuses() == [100, 180]
        await bot.play(tone(GREETING_HZ, 0.6))
        await call.answered()
        await call.hears(GREETING_HZ, frames=30)
        assert greeting(call) == 30, "and what it said first is not lost"
        call.hang_up()
        await bot.over()


async def test_first_audio_that_never_comes_is_late(gateway: Gateway) -> None:
    async with agent_on(PORT, "offhook") as agent, PlainPhone.open() as phone:
        call = phone.dial(gateway.udp, NO_AUDIO)
        bot = await agent.call()
        await bot.text("ringing")
        await bot.say(type="ready")
        assert (await call.final()).status == 480
    record = gateway.record(call.call_id)
    assert (record["end_reason"], record["fault"]) == ("agent_late", "agent")
    assert "first audio" in record["end_detail"]


async def test_a_caller_that_never_acknowledges_a_call_ended_by_its_agent_is_told_bye(gateway: Gateway) -> None:
    async with agent_on(PORT, "offhook") as agent, PlainPhone.open() as phone:
        call = phone.dial(gateway.udp, READY, talk=False, acknowledge=False)
        bot = await agent.call()
        await greet(bot)
        await call.answered()
        await bot.say(type="hangup", now=True)
        await bot.over()
        call.ack()
        await call.hung_up()
    assert gateway.record(call.call_id)["end_reason"] == "agent_hung_up"
