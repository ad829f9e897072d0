"""Agents that speak offhook.v1, written with `websockets` from the protocol's page, called by a phone of plain text."""

import asyncio
import math
import struct
import time
import wave
from collections.abc import Iterator, Sequence
from itertools import pairwise
from pathlib import Path

import pytest
from tests.support.agent import AgentCall, agent_on
from tests.support.gateway import Gateway, ports, running_gateway
from tests.support.one_stream import assert_one_stream
from tests.support.plain_phone import EVENT_PAYLOAD_TYPE, PhoneCall, PlainPhone
from tests.support.tone import SILENT_FRAME, decode, frames, has_tone, is_silent, level, share, tone
from tests.support.undisturbed import undisturbed

pytestmark = pytest.mark.interop

PORT = ports(2)
SENTENCE = Path(__file__).parents[3] / "python/offhook/phone/sounds/sentence.wav"
TOML = f"""
[[trunk]]
name = "acme"
allow = ["127.0.0.1"]

[[route]]
name = "front"
destination = "ws://127.0.0.1:{PORT}/agent"
fallback = [{{ to = "echo:" }}]
"""
FORMATS = [("pcm16", 8000), ("pcm16", 16000), ("pcm16", 24000), ("pcm16", 48000), ("pcmu", 8000)]


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    with running_gateway(tmp_path_factory.mktemp("offhook"), TOML) as running:
        yield running


async def take(agent_call: AgentCall, encoding: str = "pcmu", rate: int = 8000) -> None:
    """Take the call in a format; µ-law at 8 kHz is the line's own, so that frames can be counted."""
    await agent_call.text("ringing")
    await agent_call.say(type="ready", audio={"encoding": encoding, "rate": rate})


async def test_the_call_rings_until_the_agent_is_ready_and_its_facts_are_told(gateway: Gateway) -> None:
    async with agent_on(PORT, "offhook") as agent, PlainPhone.open() as phone:
        call = phone.dial(gateway.udp, caller="+14155550100", name="Ada L", headers=["X-Account: 77"])
        bot = await agent.call()
        ringing = await bot.text("ringing")
        assert bot.socket.subprotocol == "offhook.v1"
        assert (ringing["from_number"], ringing["to_number"]) == ("+14155550100", "+14155550123")
        assert (ringing["trunk"], ringing["route"], ringing["display_name"]) == ("acme", "front", "Ada L")
        assert ringing["sip_call_id"] == call.call_id
        assert ringing["headers"] == {"X-Account": "77"}
        assert ringing["audio"] == {"encoding": "pcm16", "rate": 16000, "frame_ms": 20}
        assert 10_000 <= ringing["ready_within_ms"] <= 20_000
        await call.responds(100, 180)
        await asyncio.sleep(0.3)
        assert call.statuses() == [100, 180], "nobody has taken the call"
        await bot.say(type="ready")
        await call.answered()
        assert call.statuses() == [100, 180, 200]
        assert (await bot.text("start"))["audio"] == {"encoding": "pcm16", "rate": 16000, "frame_ms": 20}
        await bot.hears(6400)
        call.hang_up()
        end = await bot.text("end")
        assert end["reason"] == "caller_hung_up"
        assert await bot.over() == (1000, "caller_hung_up")
    record = gateway.record(call.call_id)
    assert record["call_id"] == ringing["call_id"]
    assert record["intervals"]["agent_ready"] >= 290, "the time that the agent took is seen as its own"
    assert record["intervals"]["own"] < record["intervals"]["answer"] - 290


@pytest.mark.parametrize(("encoding", "rate"), FORMATS)
async def test_a_tone_is_the_same_tone_on_the_other_side(gateway: Gateway, encoding: str, rate: int) -> None:
    async with agent_on(PORT, "offhook") as agent, PlainPhone.open() as phone:
        call = phone.dial(gateway.udp)
        bot = await agent.call()
        await take(bot, encoding, rate)
        await call.answered()
        call.say(tone(600, 2.0))
        frame = rate // 50 * (2 if encoding == "pcm16" else 1)
        found: list[bool] = []

        def heard(hz: float) -> int:
            for at in range(len(found) * frame, len(bot.audio) - frame + 1, frame):
                samples = linear(bytes(bot.audio[at : at + frame]), encoding)
                found.append(max(map(abs, samples)) > 1000 and share(samples, hz, rate) > 0.9)
            return sum(found)

        await bot.until(lambda: heard(600) >= 36, what="600 Hz")
        assert len(bot.audio) % frame == 0, "whole frames of 20 ms"
        await bot.socket.send(sine(900, 0.8, encoding, rate))
        await call.hears(900, frames=36)
        call.hang_up()
        await bot.over()


async def test_reject_gives_the_caller_the_status_that_the_agent_chose(gateway: Gateway) -> None:
    async with agent_on(PORT, "offhook") as agent, PlainPhone.open() as phone:
        for status, expected in ((486, 486), (None, 603)):
            call = phone.dial(gateway.udp)
            bot = await agent.call()
            await bot.text("ringing")
            await bot.say(type="reject", reason="closed on Sundays", **({"status": status} if status else {}))
            assert (await call.final()).status == expected
            await bot.over()
            explained = gateway.explained(call.call_id)
            record = explained["call"]
            assert (record["end_reason"], record["sip_status"]) == ("agent_rejected", expected)
            assert "closed on Sundays" in record["end_detail"]
            assert record["answer_at"] is None
            assert record["destination"].startswith("ws://"), "a call that was rejected needs no fallback"


@undisturbed
async def test_a_mark_comes_when_its_sound_has_left_the_gateway(gateway: Gateway) -> None:
    async with agent_on(PORT, "offhook") as agent, PlainPhone.open() as phone:
        call = phone.dial(gateway.udp)
        bot = await agent.call()
        await take(bot)
        await call.answered()
        await bot.play(tone(900, 0.6))
        await bot.mark("said")
        await bot.play(tone(500, 0.4))
        mark = await bot.message("mark")
        assert mark.body == {"type": "mark", "name": "said"}
        await call.hears(500, frames=19)
        last = [packet for packet in call.packets if has_tone(packet.payload, 900)][-1]
        # Packets carry the kernel's wall clock, messages the monotonic one.
        left = last.at - time.time() + time.monotonic()
        assert -0.02 <= mark.at - left <= 0.3, "not before its sound, nor with that behind it, 0.4 s later"


@undisturbed
async def test_clear_says_to_the_millisecond_what_was_heard(gateway: Gateway) -> None:
    async with agent_on(PORT, "offhook") as agent, PlainPhone.open() as phone:
        call = phone.dial(gateway.udp)
        bot = await agent.call()
        await take(bot)
        await call.answered()
        await bot.play(tone(900, 0.2))
        await bot.mark("first")
        await bot.play(tone(900, 2.8))
        await bot.mark("second")
        await bot.mark("third")
        await call.hears(900, frames=30)
        await bot.clear()
        asked_at = time.time()
        cleared = await bot.text("cleared")
        await bot.play(tone(500, 0.3))
        await call.hears(500, frames=14)
        beeps = [packet for packet in call.packets if has_tone(packet.payload, 900)]
        heard = len(beeps)
        assert abs(cleared["played_ms"] - 20 * heard) <= 20
        assert cleared["played_ms"] + cleared["dropped_ms"] == 3000
        assert cleared["marks"] == ["second", "third"]
        assert [message.body["name"] for message in bot.of("mark")] == ["first"]
        assert beeps[-1].at - asked_at < 1.0, "the line was silent at once, not 2.4 s later"
        silent = [packet for packet in call.packets if is_silent(packet.payload)]
        assert silent, "and stayed alive"


async def test_keys_both_ways(gateway: Gateway) -> None:
    """pipecat-ai/pipecat#4436: digits did not reach the agent by another transport."""
    async with agent_on(PORT, "offhook") as agent, PlainPhone.open() as phone:
        call = phone.dial(gateway.udp)
        bot = await agent.call()
        await take(bot)
        await call.answered()
        await bot.hears(160)
        call.press("7*")
        await bot.message("dtmf", 2)
        first, second = (message.body for message in bot.of("dtmf"))
        assert (first["digit"], second["digit"]) == ("7", "*")
        assert first["duration_ms"] == second["duration_ms"] == 100
        assert first["at_ms"] < second["at_ms"]
        await bot.say(type="dtmf", digits="58#")
        events = await events_of(call, 3)
        assert events == [5, 8, 11]
        await bot.say(type="dtmf", digits="5x")
        assert (await bot.text("error"))["code"] == "bad_digits"
        assert call.is_up, "a mistake of the agent is told, and the call goes on"


@undisturbed
async def test_the_agent_is_told_who_speaks_where_in_the_audio_and_of_no_tone(gateway: Gateway) -> None:
    async with agent_on(PORT, "offhook") as agent, PlainPhone.open() as phone:
        call = phone.dial(gateway.udp)
        bot = await agent.call()
        await take(bot)
        await call.answered()
        await bot.hears(8_000)
        call.say([*tone(425, 0.5), *[SILENT_FRAME] * 50, *frames(sentence()), *[SILENT_FRAME] * 25])
        ended = await bot.message("speech_ended")
        started = bot.of("speech_started")[0]
        for message in (started, ended):
            assert message.audio_before == 8 * message.body["at_ms"], "in its place in the audio"
            assert message.body["since_ms"] < message.body["at_ms"]
        begin, end = 8 * started.body["since_ms"], 8 * ended.body["since_ms"]
        levels = [level(bytes(bot.audio[at : at + 160])) for at in range(0, len(bot.audio) - 159, 160)]
        loud = [at for at, found in enumerate(levels) if found > 300]
        # Where a busy machine was late, what was filled in is won back from the second of silence.
        first = next(after for before, after in pairwise(loud) if after - before > 25)
        assert abs(begin - 160 * first) <= 160 * 5, "where the sentence begins, not where it was sure of it"
        assert max(levels[begin // 160 : end // 160]) > 2_000
        call.hang_up()
        await bot.over()
    record = gateway.record(call.call_id)
    assert record["media"]["speech_ms"] >= ended.body["since_ms"] - started.body["since_ms"] - 20
    assert record["media"]["noise_level"] > 40


async def test_hang_up_plays_everything_first_and_now_means_now(gateway: Gateway) -> None:
    async with agent_on(PORT, "offhook") as agent, PlainPhone.open() as phone:
        call = phone.dial(gateway.udp)
        bot = await agent.call()
        await take(bot)
        await call.answered()
        await bot.play(tone(900, 1.0))
        await bot.say(type="hangup", reason="all said")
        bye = await call.hung_up()
        assert 'text="agent_hung_up"' in bye.headers["reason"]
        assert len([packet for packet in call.packets if has_tone(packet.payload, 900)]) == 50
        assert (await bot.text("end"))["reason"] == "agent_hung_up"
        assert await bot.over() == (1000, "agent_hung_up")
        assert gateway.record(call.call_id)["end_reason"] == "agent_hung_up"

        call = phone.dial(gateway.udp)
        bot = await agent.call()
        await take(bot)
        await call.answered()
        await bot.play(tone(900, 10.0))
        await call.hears(900)
        asked = time.monotonic()
        await bot.say(type="hangup", now=True)
        assert (await call.hung_up()).at - asked < 7.0, "not after ten seconds"
        assert gateway.record(call.call_id)["end_reason"] == "agent_hung_up"


async def test_a_caller_who_gives_up_is_told_to_the_agent(gateway: Gateway) -> None:
    async with agent_on(PORT, "offhook") as agent, PlainPhone.open() as phone:
        call = phone.dial(gateway.udp)
        bot = await agent.call()
        await bot.text("ringing")
        call.cancel()
        assert (await bot.text("end"))["reason"] == "caller_cancelled"
        assert (await call.final()).status == 487
        assert bot.kinds() == ["ringing", "end"]
    assert gateway.record(call.call_id)["end_reason"] == "caller_cancelled"


@undisturbed
async def test_what_the_caller_gets_has_no_holes(gateway: Gateway) -> None:
    async with agent_on(PORT, "offhook") as agent, PlainPhone.open() as phone:
        call = phone.dial(gateway.udp)
        bot = await agent.call()
        await take(bot)
        await call.answered()
        await call.rtp.until(lambda peer: len(peer.packets) >= 60)
        assert_one_stream(call.packets)


async def events_of(call: PhoneCall, count: int) -> list[int]:
    """The telephone events of so many RFC 4733 presses on the line, one for each timestamp."""

    def found() -> dict[int, int]:
        events: dict[int, int] = {}
        for packet in call.packets:
            if packet.payload_type == EVENT_PAYLOAD_TYPE and packet.payload[1] & 0x80:
                events.setdefault(packet.timestamp, packet.payload[0])
        return events

    await call.rtp.until(lambda _: len(found()) >= count)
    return list(found().values())


def sentence() -> Sequence[int]:
    """What the test phone says: a synthetic voice, PCM16 at 8 kHz."""
    with wave.open(str(SENTENCE)) as recording:
        return struct.unpack(f"<{recording.getnframes()}h", recording.readframes(recording.getnframes()))


def linear(sound: bytes, encoding: str) -> Sequence[int]:
    """An agent's audio as PCM16 values."""
    return decode(sound) if encoding == "pcmu" else struct.unpack(f"<{len(sound) // 2}h", sound)


def sine(hz: float, seconds: float, encoding: str, rate: int) -> bytes:
    """A tone in an agent's format, in one piece."""
    if encoding == "pcmu":
        return b"".join(tone(hz, seconds))
    count = round(rate * seconds)
    return struct.pack(f"<{count}h", *(round(8000 * math.sin(2 * math.pi * hz * n / rate)) for n in range(count)))


@undisturbed
async def test_a_caller_who_speaks_over_an_utterance_cuts_it_off_and_the_agent_knows_what_was_heard(
    gateway: Gateway,
) -> None:
    async with agent_on(PORT, "offhook") as agent, PlainPhone.open() as phone:
        call = phone.dial(gateway.udp)
        bot = await agent.call()
        await take(bot)
        await call.answered()
        await bot.say(type="utterance", id="u1", text="one two three four five six seven eight nine ten")
        await bot.play(tone(900, 10.0))
        await bot.say(type="utterance", id="u2", text="never heard")
        await bot.play(tone(900, 1.0))
        await call.hears(900)
        call.say([*[SILENT_FRAME] * 50, *frames(sentence())])
        cut = await bot.text("interrupted")
        assert (cut["utterance"], cut["by"], cut["unheard"]) == ("u1", "caller", ["u2"])
        words = ["one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten"]
        heard = cut["text_heard"].split()
        assert heard == words[: len(heard)]
        assert abs(len(heard) - cut["played_ms"] / 1000) <= 1.5, "a word a second"
        assert cut["played_ms"] + cut["dropped_ms"] == 11_000
        cleared = bot.of("cleared")[0].body
        assert cleared["dropped_ms"] == cut["dropped_ms"]
        assert 300 <= cut["at_ms"] - cut["since_ms"] <= 900, "it takes 400 ms of speech to be no word in passing"
        # What still comes of it isn't played; the next utterance is.
        await bot.play(tone(900, 0.5))
        await bot.say(type="utterance", id="u3", text="new", barge_in="off")
        await bot.play(tone(1_300, 0.3))
        await call.hears(1_300)
        call.hang_up()
        await bot.over()
    record = gateway.record(call.call_id)
    assert (record["media"]["interruptions"], record["media"]["barge_in_by_gate"]) == (1, 0)
    assert 480 <= record["media"]["stale_ms"] <= 510


@undisturbed
async def test_a_word_in_passing_lowers_the_voice_and_stops_nothing(gateway: Gateway) -> None:
    async with agent_on(PORT, "offhook") as agent, PlainPhone.open() as phone:
        call = phone.dial(gateway.udp)
        bot = await agent.call()
        await take(bot)
        await call.answered()
        await bot.say(type="utterance", id="u1")
        await bot.play(tone(900, 4.0))
        await bot.say(type="mark", name="all said")
        await call.hears(900)
        begin = len(call.packets)
        call.say([*[SILENT_FRAME] * 25, *frames(sentence())[30:44], *[SILENT_FRAME] * 100])
        assert (await bot.text("mark"))["name"] == "all said"
        assert bot.of("interrupted") == bot.of("cleared") == []
        levels = [level(packet.payload) for packet in call.packets[begin:] if has_tone(packet.payload, 900)]
        loud = max(levels)
        assert min(levels[5:-5]) < loud / 5, "lowered by 15 dB"
        assert levels[-10] > loud * 0.8, "and loud again"
        call.hang_up()
        await bot.over()
    media = gateway.record(call.call_id)["media"]
    assert (media["ducks"] >= 1, media["interruptions"]) == (True, 0)
