"""Calls at an agent by the pytest plugin: the real media core and protocol, in virtual time."""

import asyncio
import gc
import os
import time
import wave
from pathlib import Path

import pytest
from tests.support.desk import STORY, desk

from offhook import Agent, Call, Turn
from offhook.agent import Claim, Diversion, Identity, UserToUser
from offhook.agent.agent import APOLOGY
from offhook.testing import LINES, Caller, CallerFor
from offhook.testing.exchange import KeyWay
from offhook.testing.stand_in_voice import speech_of

pytestmark = pytest.mark.scenario

GREETING = "Hello, how can I help you today?"


async def test_a_conversation_from_the_greeting_to_the_goodbye(caller_for: CallerFor) -> None:
    async with caller_for(desk()) as caller:
        greeting = await caller.hears()
        assert greeting.text == GREETING
        assert greeting.latency_ms is not None
        assert greeting.latency_ms < 500
        await caller.says("A table for two, please")
        answer = await caller.hears("very well")
        assert "at what time" in answer
        # The pause that shows that the caller has finished, twice the line, and what is made of it.
        assert answer.latency_ms is not None
        assert 500 < answer.latency_ms < 1_500
        await caller.says("Goodbye")
        assert "thank you" in await caller.hears()
        await caller.is_hung_up_on()
        assert caller.end_reason == "agent_hung_up"
        assert str(caller.call.history).splitlines() == [
            f"agent: {GREETING}",
            "caller: A table for two, please",
            "agent: A table for two, very well.",
            "agent: At what time would you like to come?",
            "caller: Goodbye",
            "agent: Goodbye, and thank you for calling.",
        ]


async def test_what_is_said_while_it_rings_is_heard_where_the_route_lets_it(caller_for: CallerFor) -> None:
    agent = Agent("early")

    @agent.on_ringing
    async def ringing(call: Call) -> None:
        if call.early_media:
            said = await call.say("One moment, please")
            assert said.heard == "One moment, please"
        await call.ring(1)

    @agent.on_call
    async def answered(call: Call) -> None:
        await call.say("Hello, how can I help you today?")

    async with caller_for(agent, early_media=True) as caller:
        assert (await caller.hears()).text == "One moment, please"
        assert (await caller.hears()).text == GREETING
    async with caller_for(agent) as caller:
        assert (await caller.hears()).text == GREETING


async def test_who_is_interrupted_falls_silent_and_knows_what_was_heard(caller_for: CallerFor) -> None:
    async with caller_for(desk()) as caller:
        await caller.hears()
        await caller.says("Tell me a story")
        cut = await caller.interrupts("Wait a moment, please", after=2)
        assert cut.silent_after_ms < 1_000
        assert STORY.startswith(cut.heard)
        assert 2 <= len(cut.heard.split()) < 20
        assert await caller.hears() is not None
        assert [line.text for line in caller.call.history if line.interrupted] == [cut.remembered]
        # Agent, gateway and caller agree to a word.
        assert cut.words_off <= 1
        assert abs(len(cut.told.split()) - len(cut.heard.split())) <= 1


async def test_who_may_not_be_interrupted_remembers_all_of_it(caller_for: CallerFor) -> None:
    async with caller_for(desk(), barge_in="off") as caller:
        cut = await caller.interrupts("Wait a moment, please", after=0.5)
        assert (cut.heard, cut.told, cut.remembered, cut.words_off) == (GREETING, "", GREETING, 0)


@pytest.mark.parametrize("line", ["clean", "mobile", "satellite"])
async def test_what_was_heard_is_known_to_a_word_whenever_it_is_cut_off(caller_for: CallerFor, line: str) -> None:
    for after in (0.4, 1.1, 2.6, 6):
        async with caller_for(desk(), line=line) as caller:
            await caller.hears()
            await caller.says("Tell me a story")
            cut = await caller.interrupts("Wait a moment, please", after=after)
            # What is on its way is still heard, and so much more by a slow line.
            assert cut.words_off <= 1, (after, cut)
            assert (await caller.hears()).text == "You said: Wait a moment, please"


@pytest.mark.parametrize("keys", ["rfc4733", "info", "inband"])
async def test_keys_go_both_ways(caller_for: CallerFor, keys: KeyWay) -> None:
    async with caller_for(desk(), keys=keys, codec="G722" if keys == "inband" else "PCMU") as caller:
        await caller.hears()
        await caller.says("The menu, please")
        await caller.hears("enter your number")
        await caller.presses("4711#")
        await caller.hears("You entered")
        await caller.is_sent("4711")


async def test_a_test_sees_what_an_agent_masks_and_a_withheld_key_is_none(caller_for: CallerFor) -> None:
    agent, keys = Agent("secretive"), list[str]()

    @agent.on_dtmf
    async def on_dtmf(call: Call, digit: str) -> None:
        keys.append(digit)

    @agent.on_call
    async def on_call(call: Call) -> None:
        async with call.masked_digits(withhold=True):
            await asyncio.sleep(3)
        async with call.masked_digits():
            await asyncio.sleep(3)
        await call.wait_until_over()

    async with caller_for(agent, keys="inband") as caller:
        seen = []
        await caller.waits(0.5)
        for digit in "159":
            await caller.presses(digit)
            seen.append(caller.masked_digits)
            await caller.waits(3)
        assert (seen, keys) == (["withheld", "masked", "shown"], ["?", "5", "9"])


async def test_an_agent_may_reject_the_call(caller_for: CallerFor) -> None:
    async with caller_for(desk(), headers={"X-Blocked": "yes"}) as caller:
        assert caller.is_over
        assert caller.status == 486
        with pytest.raises(AssertionError, match="the call is over"):
            await caller.says("Hello?")


async def test_an_agent_that_fails_apologises_and_the_picture_says_why(caller_for: CallerFor) -> None:
    async with caller_for(desk()) as caller:
        await caller.hears()
        await caller.says("Please fail")
        assert (await caller.hears()).text == APOLOGY
        await caller.is_hung_up_on()
        assert caller.end_reason == "agent_failed"
        assert "KeyError" in caller.timeline


@pytest.mark.parametrize("line", [*LINES, "3%-loss"])
async def test_it_works_on_every_line(caller_for: CallerFor, line: str) -> None:
    async with caller_for(desk(), line=line) as caller:
        await caller.hears("help you")
        await caller.says("A table for two, please")
        await caller.hears("at what time")
        if line != "clean":
            assert sum(caller.lost_packets) > 0 or line == "dsl"


@pytest.mark.parametrize("codec", ["PCMA", "G722"])
async def test_it_works_in_every_codec(caller_for: CallerFor, codec: str) -> None:
    async with caller_for(desk(rate=8_000 if codec == "PCMA" else 24_000), codec=codec) as caller:
        await caller.hears("help you")
        await caller.says("A table for two, please")
        await caller.hears("at what time")


async def test_ten_minutes_take_seconds(caller_for: CallerFor) -> None:
    begun = time.monotonic()
    minutes = 10 if os.environ.get("OFFHOOK_PROVE") else 2
    async with caller_for(desk()) as caller:
        await caller.hears()
        while caller.now < minutes * 60:
            await caller.says("What a day")
            await caller.hears("What a day")
            await caller.waits(10)
    # Even a busy machine is several times faster than time.
    assert time.monotonic() - begun < minutes * 60 / 3


async def test_a_call_is_the_same_each_time(caller_for: CallerFor) -> None:
    async def call() -> str:
        async with caller_for(desk(), line="bad-wifi", seed=5) as caller:
            await caller.hears()
            await caller.says("A table for two, please")
            await caller.hears("at what time")
            return f"{caller.timeline}\n{caller.lost_packets}"

    assert await call() == await call()


async def test_silence_is_checked_too(caller_for: CallerFor) -> None:
    async with caller_for(desk()) as caller:
        await caller.hears()
        await caller.hears_nothing(20)
        await caller.says("Tell me a story")
        with pytest.raises(AssertionError, match="was to be silent for 5 s, and speaks"):
            await caller.hears_nothing(5)


async def test_a_failure_says_what_was_heard_and_when(caller_for: CallerFor) -> None:
    async with caller_for(desk()) as caller:
        with pytest.raises(AssertionError) as failure:
            await caller.hears("a table for three")
        said = str(failure.value)
        assert said.startswith("the agent was to say 'a table for three', and says nothing for 10 s")
        assert f"it said '{GREETING}'" in said
        assert f"agent: {GREETING}" in said
        assert "█" in said


async def test_a_caller_of_wav_files(caller_for: CallerFor, tmp_path: Path) -> None:
    path = tmp_path / "caller.wav"
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(16_000)
        file.writeframes(speech_of("A table for two, please", 16_000).pcm)
    async with caller_for(desk()) as caller:
        await caller.hears()
        await caller.says(path, text="A table for two, please")
        await caller.hears("at what time")
        caller.save(tmp_path / "call.wav")
        with wave.open(str(tmp_path / "call.wav"), "rb") as file:
            assert file.getnchannels() == 2
            assert file.getnframes() / file.getframerate() == pytest.approx(caller.now, abs=0.5)


async def test_sound_that_is_no_speech_is_heard_as_sound(caller_for: CallerFor) -> None:
    agent = Agent("music")

    @agent.on_call
    async def on_call(call: Call) -> None:
        await call.play(speech_of("These words were never spoken here", 16_000).pcm, rate=16_000)
        await call.wait_until_over()

    async def called(caller: Caller) -> None:
        assert (await caller.hears_sound()).text == ""
        assert caller.now < 10

    async with caller_for(agent) as caller:
        await called(caller)
    async with caller_for(agent) as caller:
        with pytest.raises(AssertionError, match="none of what the agent said"):
            await caller.hears()


async def test_nothing_is_left_behind(caller_for: CallerFor) -> None:
    async def call() -> int:
        async with caller_for(desk()) as caller:
            await caller.hears()
        gc.collect()
        return len(os.listdir("/dev/fd"))

    # What others have left is none of this.
    await call()
    assert await call() == await call()


async def test_a_caller_is_handed_over_or_comes_back(caller_for: CallerFor) -> None:
    agent = Agent("front", greeting="Hello, how can I help you today?")

    @agent.on_turn
    async def reply(call: Call, turn: Turn) -> None:
        await call.say("A table for two, very well.")
        if not (await call.transfer("tel:+14155550142", timeout=30)).completed:
            await call.say("At what time would you like to come?")

    async with caller_for(agent) as caller:
        await caller.hears()
        await caller.says("A table for two, please")
        await caller.hears("very well")
        assert await caller.is_transferred("no_answer", status=480) == "tel:+14155550142"
        assert "at what time" in await caller.hears()
        await caller.says("A table for two, please")
        await caller.hears("very well")
        await caller.is_transferred()
        assert caller.end_reason == "transferred"
        assert "the transfer to tel:+14155550142: no answer" in caller.timeline


async def test_a_caller_brings_headers_and_sees_what_the_agent_sets(caller_for: CallerFor) -> None:
    """Over the worker protocol both ways, checked by the gateway's own code."""
    agent = Agent("desk", greeting=GREETING)

    @agent.on_ringing
    async def ringing(call: Call) -> None:
        assert call.identity == Identity("asserted", True, claims=(Claim("P-Asserted-Identity", "+14155550142"),))
        assert (call.first_dialled, call.user_to_user[0].text) == ("+14155550143", "ticket")
        call.answer_headers["X-Agent"] = call.headers["X-Queue"]
        with pytest.raises(ValueError, match="agent_headers"):
            call.headers_out["Subject"] = "not among X-* and User-to-User"

    @agent.on_call
    async def talk(call: Call) -> None:
        call.bye_headers["X-Result"] = "booked"
        call.send_user_to_user("done")

    async with caller_for(
        agent,
        headers={"X-Queue": "sales"},
        identity=Identity("asserted", True, claims=(Claim("P-Asserted-Identity", "+14155550142"),)),
        diversions=[Diversion("+14155550143", reason="user-busy", header="Diversion")],
        user_to_user=[UserToUser.of_text("ticket")],
    ) as caller:
        assert caller.answer_headers == {"X-Agent": "sales"}
        await caller.hears("how can I help")
        await caller.is_hung_up_on()
    assert caller.bye_headers == {"X-Result": "booked", "User-to-User": "646f6e65;encoding=hex"}
