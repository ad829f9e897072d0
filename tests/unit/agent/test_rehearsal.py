"""A rehearsal: how users test their agents."""

import pytest

from offhook import Agent, Call, Turn
from offhook.agent.rehearsal import rehearse

pytestmark = pytest.mark.unit


def front_desk() -> Agent:
    agent = Agent("front", greeting="Hello.")

    @agent.on_ringing
    async def ringing(call: Call) -> None:
        if call.headers.get("X-Blocked"):
            await call.reject(486)

    @agent.on_turn
    async def reply(call: Call, turn: Turn) -> None:
        if "bye" in turn.text:
            await call.say("Goodbye.")
            await call.hang_up()
        await call.say(f"You said: {turn.text}")

    @agent.on_dtmf
    async def key(call: Call, digit: str) -> None:
        await call.send_dtmf(digit)
        await call.say(f"Key {digit}.")

    return agent


async def test_a_conversation_in_text() -> None:
    async with rehearse(front_desk()) as caller:
        assert await caller.hears() == "Hello."
        await caller.says("one")
        assert await caller.hears() == "You said: one"
        await caller.presses("5")
        assert await caller.hears() == "Key 5."
        assert caller.digits == "5"
        await caller.says("bye")
        assert await caller.hears() == "Goodbye."
        await caller.is_hung_up_on()
        assert caller.call.end_reason == "agent_hung_up"
        assert [line.text for line in caller.call.history][-2:] == ["bye", "Goodbye."]


async def test_a_rejected_call() -> None:
    async with rehearse(front_desk(), headers={"X-Blocked": "1"}) as caller:
        await caller.is_hung_up_on()
        assert caller.status == 486


async def test_what_does_not_come_fails_and_says_what_was_said() -> None:
    async with rehearse(front_desk(), patience=0.1) as caller:
        await caller.hears()
        with pytest.raises(AssertionError, match=r"the agent says nothing, for 0.1 s; so far:\nagent: Hello\."):
            await caller.hears()
        caller.hangs_up()
        with pytest.raises(AssertionError, match="caller_hung_up"):
            await caller.hears()


async def test_an_agent_that_does_not_listen() -> None:
    async with rehearse(Agent("front", greeting="Hello."), patience=0.1) as caller:
        with pytest.raises(AssertionError, match="nobody listens"):
            await caller.says("hello")


async def test_what_is_said_before_the_answer_is_heard() -> None:
    agent = Agent("early", stt=None, tts=None)

    @agent.on_ringing
    async def ringing(call: Call) -> None:
        if call.early_media:
            await call.say("One moment, please.")
            await call.reject(486)

    async with rehearse(agent, early_media=True) as caller:
        assert await caller.hears() == "One moment, please."
        await caller.is_hung_up_on()
        assert caller.status == 486
