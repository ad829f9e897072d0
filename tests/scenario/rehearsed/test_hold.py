"""Hold in calls by the pytest plugin: the real media core cuts off, waits and is silent."""

import pytest
from tests.support.desk import STORY, desk

from offhook import Agent, Call, Turn
from offhook.agent import HoldFailed, Said
from offhook.testing import CallerFor

pytestmark = pytest.mark.scenario


async def test_who_is_put_on_hold_falls_silent_and_goes_on_when_the_caller_is_back(caller_for: CallerFor) -> None:
    async with caller_for(desk()) as caller:
        await caller.hears()
        await caller.says("Tell me a story")
        await caller.waits(4)
        assert caller.is_agent_speaking
        await caller.holds()
        await caller.waits(1)
        first = await caller.hears()
        assert STORY.startswith(first.text)
        await caller.hears_nothing(120)
        await caller.resumes()
        rest = await caller.hears()
        assert STORY.endswith(rest.text)
        # A word that was cut in two is said again.
        words, said = STORY.split(), first.text.split() + rest.text.split()
        assert 0 <= len(said) - len(words) <= 1, f"{first} | {rest}"
        assert [line.interrupted for line in caller.call.history if line.role == "agent"] == [False, True, False]


async def test_what_a_caller_says_on_hold_is_not_heard(caller_for: CallerFor) -> None:
    async with caller_for(desk()) as caller:
        await caller.hears()
        await caller.holds()
        await caller.says("This is for somebody else")
        await caller.waits(3)
        await caller.resumes()
        await caller.says("A table for two, please")
        await caller.hears("very well")
        assert [line.text for line in caller.call.history if line.role == "caller"] == ["A table for two, please"]


async def test_an_agent_holds_the_caller_who_hears_nothing_of_it(caller_for: CallerFor) -> None:
    agent, said = Agent("desk", greeting="Hello."), list[Said]()

    @agent.on_turn
    async def reply(call: Call, turn: Turn) -> None:
        await call.say("One moment.")
        await call.hold()
        said.append(await call.say("The caller must not hear this."))
        await call.create_task(_look_up(call))
        await call.resume()
        await call.say("Here I am again.")

    async def _look_up(call: Call) -> None:
        await caller.waits(20)

    async with caller_for(agent) as caller:
        await caller.hears("hello")
        await caller.says("Is my order ready?")
        await caller.hears("one moment")
        await caller.waits(5)
        assert caller.is_held
        assert await caller.hears("here I am again", within=60)
        assert not caller.is_held
    assert [(one.interrupted, one.held, one.played_ms) for one in said] == [(True, True, 0)]


async def test_a_telephone_that_refuses_to_be_held(caller_for: CallerFor) -> None:
    agent = Agent("desk", greeting="Hello.")

    @agent.on_turn
    async def reply(call: Call, turn: Turn) -> None:
        try:
            await call.hold()
        except HoldFailed as error:
            await call.say(f"That was {error.reason}.")

    async with caller_for(agent) as caller:
        await caller.hears("hello")
        caller.refuses_hold()
        await caller.says("Is my order ready?")
        await caller.hears("that was refused")
        assert not caller.is_held
