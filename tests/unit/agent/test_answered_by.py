"""Who has answered, as an agent of the SDK hears of it."""

import asyncio
import json

import pytest
from tests.support.clock import in_virtual_time

from offhook.agent import Agent, AnsweredBy, Call, GreetingOver
from offhook.agent.protocol import Kind, Record
from offhook.agent.rehearsal import rehearse
from offhook.agent.wire_line import WireLine

pytestmark = pytest.mark.unit


def an_agent(told: list[AnsweredBy]) -> Agent:
    agent = Agent("caller", greeting="Hello, this is Acme.", turn_detector=None)

    @agent.on_answered_by
    async def answered_by(call: Call, who: AnsweredBy) -> None:
        told.append(who)
        assert call.answered_by == who
        if who.who == "machine":
            await call.leave_message("Please call us back.")

    return agent


@in_virtual_time
async def test_a_message_is_said_after_the_beep_and_the_agent_hangs_up() -> None:
    told: list[AnsweredBy] = []
    async with rehearse(an_agent(told)) as caller:
        assert await caller.hears() == "Hello, this is Acme."
        assert caller.call.answered_by is None
        await caller.answers_as("machine", evidence="speech that goes on for 4.6 s")
        await asyncio.sleep(10)
        assert not caller.is_over, "nothing is said while the machine greets"
        await caller.beeps()
        assert await caller.hears() == "Please call us back."
        await caller.is_hung_up_on()
    assert [(one.who, one.is_machine) for one in told] == [("machine", True)]


@in_virtual_time
async def test_a_person_is_talked_to() -> None:
    told: list[AnsweredBy] = []
    async with rehearse(an_agent(told)) as caller:
        assert await caller.hears() == "Hello, this is Acme."
        await caller.answers_as("human")
        assert not caller.is_over
    assert [(one.who, one.is_machine) for one in told] == [("human", False)]


class _Told:
    def __init__(self) -> None:
        self.events: list[object] = []
        self.line = WireLine(5, {"type": "ringing", "call_id": "c"}, 8_000, lambda written: None)
        self.line.listener = self

    def receive(self, event: object) -> None:
        self.events.append(event)

    def hear(self, pcm: bytes) -> None:
        """Nothing is said."""

    def told(self, **message: object) -> None:
        self.line.receive(Record(Kind.CONTROL, 5, 0, json.dumps(message).encode()))


@in_virtual_time
async def test_the_words_of_the_wire() -> None:
    told = _Told()
    told.told(type="answered_by", who="machine", confidence=0.85, after_ms=5100, evidence="it goes on")
    told.told(type="answered_by", who="of a later version", confidence="x", after_ms=None)
    told.told(type="greeting_over", beep=True, after_ms=8000)
    assert told.events == [
        AnsweredBy("machine", 0.85, 5100, "it goes on"),
        AnsweredBy("unknown", 0.0, 0, ""),
        GreetingOver(True, 8000),
    ]
