"""What an agent tells of the words in its call: lines that grow, until they are final."""

import asyncio
import json

import pytest
from tests.support.agent_line import calling
from tests.support.clock import in_virtual_time
from tests.support.speech_engines import WORD_MS, ToldEars, ToneVoice

from offhook.agent import Agent, Call, Turn
from offhook.agent.protocol import Kind, unpack
from offhook.agent.wire_line import WireLine

pytestmark = pytest.mark.unit


@in_virtual_time
async def test_what_the_agent_says_is_told_by_the_sentence_and_at_the_end_what_was_heard_of_it() -> None:
    agent = Agent("front", stt=ToldEars(), tts=ToneVoice(), greeting="One two. Three four.")
    async with calling(agent) as caller:
        await caller.until(lambda: caller.line.transcripts and caller.line.transcripts[-1][3])
        assert caller.line.transcripts == [
            ("agent", "u1", "One two.", False, False),
            ("agent", "u1", "One two. Three four.", False, False),
            ("agent", "u1", "One two. Three four.", True, False),
        ]


@in_virtual_time
async def test_of_what_is_cut_off_only_the_words_that_were_heard_are_final() -> None:
    agent = Agent("front", stt=ToldEars(), tts=ToneVoice())

    @agent.on_call
    async def on_call(call: Call) -> None:
        speaking = call.create_task(call.say("one two three four five six."))
        await asyncio.sleep(2.2 * WORD_MS / 1000)
        await call.clear()
        await speaking

    async with calling(agent) as caller:
        await caller.until(lambda: caller.line.transcripts and caller.line.transcripts[-1][3])
        assert caller.line.transcripts[-1] == ("agent", "u1", "one two", True, True)


@in_virtual_time
async def test_what_the_caller_says_is_a_line_a_turn() -> None:
    ears = ToldEars()
    agent = Agent("front", stt=ears, tts=ToneVoice())

    @agent.on_turn
    async def on_turn(call: Call, turn: Turn) -> None:
        pass

    async with calling(agent, ears) as caller:
        await asyncio.sleep(0.1)
        await caller.says("What time is it?")
        await caller.says("And where is it?")
        await caller.until(lambda: sum(line[3] for line in caller.line.transcripts) == 2)
        lines = [line for line in caller.line.transcripts if line[0] == "caller"]
        assert [line for line in lines if line[3]] == [
            ("caller", "c1", "What time is it?", True, False),
            ("caller", "c2", "And where is it?", True, False),
        ]
        assert {line[1] for line in lines} == {"c1", "c2"}


def test_on_the_wire_a_long_line_is_cut_at_a_whole_character() -> None:
    written: list[bytes] = []
    line = WireLine(5, {"type": "ringing"}, 8_000, written.append)
    line.transcript("agent", "u1", "ü" * 4_000, final=True, interrupted=True, at_ms=(20, 1_540))
    [record] = [record for message in written for record in unpack(message)]
    assert record.kind == Kind.CONTROL
    assert json.loads(record.payload) == {
        "type": "transcript", "who": "agent", "id": "u1", "text": "ü" * 2_048, "final": True, "interrupted": True,
        "start_ms": 20, "end_ms": 1_540,
    }  # fmt: skip
