"""Bots for Twilio Media Streams, written with `websockets`, called by a phone of plain text."""

import asyncio
import json
import os
from collections.abc import Iterator

import pytest
from tests.support.agent import agent_on
from tests.support.gateway import Gateway, ports, running_gateway
from tests.support.plain_phone import PlainPhone
from tests.support.tone import has_tone, lasting, tone
from tests.support.undisturbed import undisturbed

pytestmark = pytest.mark.interop

PROVE = os.environ.get("OFFHOOK_PROVE") == "1"
PLAIN = "+14155550123"
SAVED = "+14155550124"
PORT = ports(2)
TOML = f"""
[[trunk]]
name = "acme"
allow = ["127.0.0.1"]

[[route]]
name = "plain"
to = "{PLAIN}"
destination = "twilio+ws://127.0.0.1:{PORT}/ws"

[[route]]
name = "saved"
to = "{SAVED}"
destination = "agent:bot"
fallback = [{{ on = ["lost"], to = "echo:" }}]

[[agent]]
name = "bot"
kind = "twilio"
url = "ws://127.0.0.1:{PORT}/bots/front?room=1"
token = "s3cret"
headers = {{ X-Tenant = "ada" }}
origin = "https://pbx.example"
"""


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    with running_gateway(tmp_path_factory.mktemp("twilio"), TOML) as running:
        yield running


async def test_a_conversation_both_ways_with_keys(gateway: Gateway) -> None:
    """pipecat-ai/pipecat#4436: digits did not reach the agent by another transport."""
    async with agent_on(PORT, "twilio") as agent, PlainPhone.open() as phone:
        call = phone.dial(gateway.udp, PLAIN, caller="+14155550100", headers=["X-Account: 77", "Subject: not told"])
        bot = await agent.call()
        start = (await bot.text("start"))["start"]
        assert [message.body["event"] for message in bot.messages[:2]] == ["connected", "start"]
        assert bot.messages[0].body == {"event": "connected", "protocol": "Call", "version": "1.0.0"}
        assert bot.messages[1].body["sequenceNumber"] == "1"
        assert start["streamSid"] == bot.messages[1].body["streamSid"]
        assert [start[name][:2] for name in ("streamSid", "callSid", "accountSid")] == ["MZ", "CA", "AC"]
        assert start["mediaFormat"] == {"encoding": "audio/x-mulaw", "sampleRate": 8000, "channels": 1}
        custom = start["customParameters"]
        assert (custom["from_number"], custom["to_number"]) == ("+14155550100", PLAIN)
        assert custom["X-Account"] == "77"
        assert "Subject" not in custom
        await call.answered()

        call.say(tone(600, 2.0))
        await bot.until(lambda: sum(has_tone(frame, 600) for frame in chunks(bot.audio)) >= 20, what="600 Hz")
        media = [message.body for message in bot.of("media")]
        assert all(len(body["media"]["payload"]) == 216 for body in media), "20 ms in base64"
        assert [body["media"]["chunk"] for body in media[:3]] == ["1", "2", "3"]
        assert [body["media"]["timestamp"] for body in media[:3]] == ["0", "20", "40"]
        assert {body["media"]["track"] for body in media} == {"inbound"}

        await bot.play(tone(900, 0.5))
        assert len(await call.hears(900, frames=24)) >= 24

        call.press("1#")
        await bot.message("dtmf", 2)
        assert [message.body["dtmf"]["digit"] for message in bot.of("dtmf")] == ["1", "#"]

        call.hang_up()
        assert await bot.over() == (1000, "caller_hung_up")
        assert bot.kinds() == ["connected", "start", "dtmf", "dtmf", "stop"]
        numbers = [int(message.body["sequenceNumber"]) for message in bot.messages[1:]]
        assert numbers == list(range(1, len(numbers) + 1))
    record = gateway.record(call.call_id)
    assert (record["end_reason"], record["fault"]) == ("caller_hung_up", "none")
    assert record["destination"] == f"twilio+ws://127.0.0.1:{PORT}/ws"
    assert record["media"]["received_digits"] == 2
    assert record["media"]["playout_underruns"] == 0


@undisturbed
async def test_a_mark_comes_back_when_the_sound_before_it_has_left(gateway: Gateway) -> None:
    async with agent_on(PORT, "twilio") as agent, PlainPhone.open() as phone:
        call = phone.dial(gateway.udp, PLAIN)
        bot = await agent.call()
        await bot.text("start")
        await bot.mark("before anything")
        await call.answered()
        await bot.play(tone(900, 0.6))
        await bot.mark("said")
        await bot.play(tone(500, 0.4))
        await bot.mark("all")
        assert (await bot.text("mark"))["mark"]["name"] == "before anything"
        await bot.message("mark", 2)
        first = len([packet for packet in call.packets if has_tone(packet.payload, 900)])
        assert 27 <= first <= 30, "the whole first sound has left"
        behind = len([packet for packet in call.packets if has_tone(packet.payload, 500)])
        assert behind <= 15, "of 20: its mark did not wait for more"
        await bot.message("mark", 3)
        assert [message.body["mark"]["name"] for message in bot.of("mark")] == ["before anything", "said", "all"]
        await call.hears(500, frames=19)


@undisturbed
async def test_clear_silences_the_line_within_a_frame_and_echoes_the_marks(gateway: Gateway) -> None:
    async with agent_on(PORT, "twilio") as agent, PlainPhone.open() as phone:
        call = phone.dial(gateway.udp, PLAIN)
        bot = await agent.call()
        await bot.text("start")
        await call.answered()
        await bot.play(tone(900, 3.0))
        await bot.mark("never heard")
        await call.hears(900, frames=20)
        await bot.clear()
        await bot.text("mark")
        at_clear = len(call.audible())
        await bot.play(tone(500, 0.3))
        await call.hears(500, frames=14)
        after = [packet for packet in call.audible()[at_clear:] if has_tone(packet.payload, 900)]
        assert len(after) <= 2, "what was in flight, no more"
        assert len(call.audible()) < 100, "most of the three seconds, 150 frames, was dropped"


async def test_a_normal_close_plays_what_was_said_last_then_hangs_up(gateway: Gateway) -> None:
    async with agent_on(PORT, "twilio") as agent, PlainPhone.open() as phone:
        call = phone.dial(gateway.udp, PLAIN)
        bot = await agent.call()
        await bot.text("start")
        await call.answered()
        await bot.play(tone(900, 1.0))
        await bot.socket.close(1000)
        bye = await call.hung_up()
        assert 'text="agent_hung_up"' in bye.headers["reason"]
        assert len([packet for packet in call.packets if has_tone(packet.payload, 900)]) == 50, "nothing is cut off"
        assert not call.is_up
    record = gateway.record(call.call_id)
    assert (record["end_reason"], record["fault"]) == ("agent_hung_up", "none")
    assert "closed with 1000" in record["end_detail"]


@pytest.mark.parametrize("code", [1006, 1011, 1001, 1012][: 4 if PROVE else 2])
async def test_an_agent_that_breaks_off_leaves_the_caller_to_the_fallback(gateway: Gateway, code: int) -> None:
    async with agent_on(PORT, "twilio") as agent, PlainPhone.open() as phone:
        call = phone.dial(gateway.udp, SAVED)
        bot = await agent.call()
        await bot.text("start")
        await call.answered()
        await bot.play(tone(900, 5.0))
        await call.hears(900)
        if code == 1006:
            bot.socket.transport.abort()
        else:
            await bot.socket.close(code, "restarting")
        call.say(lasting(600))
        await call.hears(600, frames=15)
        assert call.is_up
        assert len([packet for packet in call.packets if has_tone(packet.payload, 900)]) < 200, (
            "its last words are void"
        )
        call.hang_up()
        await asyncio.sleep(0)
    explained = gateway.explained(call.call_id)
    assert (explained["call"]["end_reason"], explained["call"]["destination"]) == ("caller_hung_up", "echo:")
    failed = [entry["note"] for entry in entries(explained) if "failed (lost)" in entry.get("note", "")]
    assert len(failed) == 1
    assert f"closed with {code}" in failed[0]


async def test_an_agent_that_breaks_off_without_fallback_ends_the_call(gateway: Gateway) -> None:
    async with agent_on(PORT, "twilio") as agent, PlainPhone.open() as phone:
        call = phone.dial(gateway.udp, PLAIN)
        bot = await agent.call()
        await bot.text("start")
        await call.answered()
        await bot.socket.close(1011, "out of memory")
        bye = await call.hung_up()
        assert 'text="agent_lost"' in bye.headers["reason"]
    record = gateway.record(call.call_id)
    assert (record["end_reason"], record["fault"]) == ("agent_lost", "agent")
    assert "1011" in record["end_detail"]
    assert "out of memory" in record["end_detail"]


async def test_an_agent_of_the_configuration_gets_its_token_headers_and_origin(gateway: Gateway) -> None:
    async with agent_on(PORT, "twilio") as agent, PlainPhone.open() as phone:
        call = phone.dial(gateway.udp, SAVED)
        await agent.call()
        await call.answered()
        request = agent.requests[0]
        assert request.path == "/bots/front?room=1"
        assert request.headers["Authorization"] == "Bearer s3cret"
        assert request.headers["X-Tenant"] == "ada"
        assert request.headers["Origin"] == "https://pbx.example"
        call.hang_up()
    assert "s3cret" not in json.dumps(await asyncio.to_thread(gateway.explained, call.call_id))
    assert "s3cret" not in gateway.said()


def chunks(audio: bytearray) -> list[bytes]:
    """Audio as frames of 20 ms."""
    return [bytes(audio[at : at + 160]) for at in range(0, len(audio) - 159, 160)]


def entries(explained: dict[str, object]) -> list[dict[str, str]]:
    """The entries of a call's timeline."""
    timeline = explained["timeline"]
    assert isinstance(timeline, dict)
    found: list[dict[str, str]] = timeline["entries"]
    return found
