"""`call.transfer`: what it asks for, what it waits for, and what does not disturb it."""

import asyncio
import json
from typing import Any

import pytest
from tests.support.agent_line import calling
from tests.support.clock import in_virtual_time
from tests.support.speech_engines import ToldEars, ToneVoice

from offhook import Agent, Call, Turn
from offhook.agent import Transferred
from offhook.agent.protocol import Kind, Record, unpack
from offhook.agent.rehearsal import rehearse
from offhook.agent.wire_line import WireLine

pytestmark = pytest.mark.unit

TARGET = "tel:+14155550142"


def transferring(**options: Any) -> tuple[Agent, ToldEars, list[Transferred]]:
    """An agent that transfers on its first turn, and says what came of it."""
    ears, results = ToldEars(), list[Transferred]()
    agent = Agent("front", stt=ears, tts=ToneVoice())

    @agent.on_turn
    async def reply(call: Call, turn: Turn) -> None:
        if results:
            await call.say(f"You said: {turn.text}")
            return
        await call.say("One moment.")
        results.append(await call.transfer(TARGET, **options))
        await call.say("You are back.")

    return agent, ears, results


@in_virtual_time
async def test_it_is_asked_for_once_what_was_said_has_been_played_and_answered_by_one_outcome() -> None:
    agent, ears, results = transferring(headers={"X-A": "1"}, timeout=20)
    async with calling(agent, ears) as caller:
        await asyncio.sleep(0.1)
        await caller.says("A human, please.")
        await caller.until(lambda: caller.line.said and caller.line.said[-1][0] == "transfer")
        assert caller.line.said[-1] == ("transfer", TARGET, {"X-A": "1"}, 20)
        assert caller.line.utterance is None
        await asyncio.sleep(10)
        assert results == []
        caller.line.transferred("busy", status=486, reason="486 Busy Here")
        await caller.until(lambda: results)
        assert (results[0].completed, results[0].status) == (False, 486)
        await caller.until(lambda: caller.line.utterance)


@in_virtual_time
async def test_what_the_caller_says_meanwhile_does_not_cancel_who_waits() -> None:
    agent, ears, results = transferring()
    async with calling(agent, ears) as caller:
        await asyncio.sleep(0.1)
        await caller.says("A human, please.")
        await caller.until(lambda: caller.line.said and caller.line.said[-1][0] == "transfer")
        await caller.says("Thank you very much.")
        await asyncio.sleep(3)
        assert results == []
        caller.line.transferred("no_answer")
        await caller.until(lambda: results)
        await asyncio.sleep(5)
        await caller.says("And now?")
        await asyncio.sleep(5)
        assert [line.text for line in caller.call.history] == [
            "A human, please.", "One moment.", "Thank you very much.", "You are back.", "And now?",
            "You said: And now?",
        ]  # fmt: skip


@in_virtual_time
async def test_a_call_that_ends_meanwhile_is_an_outcome_too() -> None:
    agent, results = Agent("front", tts=ToneVoice()), list[Transferred]()

    @agent.on_hangup
    async def over(call: Call) -> None:
        results.append(await call.transfer(TARGET))

    @agent.on_call
    async def on_call(call: Call) -> None:
        try:
            results.append(await call.transfer(TARGET))
        finally:
            await call.wait_until_over()

    async with calling(agent) as caller:
        await caller.until(lambda: caller.line.said and caller.line.said[-1][0] == "transfer")
        caller.line.end()
        await caller.until(lambda: caller.task.done())
    assert {result.outcome for result in results} == {"caller_gone"}


@in_virtual_time
async def test_one_at_a_time_and_no_nonsense() -> None:
    agent, wrong = Agent("front", tts=ToneVoice()), list[str]()

    @agent.on_call
    async def on_call(call: Call) -> None:
        for options in (
            {"target": ""},
            {"target": "x" * 300},
            {"target": 7},
            {"target": TARGET, "timeout": 0},
            {"target": TARGET, "timeout": 601},
            {"target": TARGET, "headers": {"X-A": 1}},
            {"target": TARGET, "headers": {f"X-{n}": "" for n in range(33)}},
        ):
            try:
                await call.transfer(**options)  # type: ignore[arg-type]
            except ValueError as error:
                wrong.append(str(error))
        call.create_task(call.transfer(TARGET))
        await asyncio.sleep(1)
        try:
            await call.transfer(TARGET)
        except ValueError as error:
            wrong.append(str(error))
        await call.wait_until_over()

    async with calling(agent) as caller:
        await caller.until(lambda: len(wrong) == 8)
        assert wrong[-1] == "a transfer is being tried: one at a time"
        assert [said[0] for said in caller.line.said].count("transfer") == 1
        caller.line.end()


@in_virtual_time
async def test_a_gateway_that_knows_no_transfer_is_not_waited_for_without_end() -> None:
    agent, ears, results = transferring(timeout=20)
    async with calling(agent, ears) as caller:
        await asyncio.sleep(0.1)
        await caller.says("A human, please.")
        await asyncio.sleep(60)
        assert [result.outcome for result in results] == ["timed_out"]


@in_virtual_time
async def test_the_messages() -> None:
    written: list[bytes] = []
    told: list[Any] = []

    class Listener:
        def receive(self, event: Any) -> None:
            told.append(event)

        def hear(self, pcm: bytes) -> None: ...

    line = WireLine(5, {"type": "ringing", "call_id": "c"}, 8_000, written.append)
    line.listener = Listener()
    line.transfer(TARGET, {}, None)
    line.transfer("2001", {"X-A": "1"}, 12.5)
    said = [json.loads(record.payload) for message in written for record in unpack(message)]
    assert said == [
        {"type": "transfer", "target": TARGET},
        {"type": "transfer", "target": "2001", "headers": {"X-A": "1"}, "timeout_ms": 12500},
    ]
    for message in (
        {"outcome": "completed", "status": None, "reason": "so", "hint": "", "confirmed": False},
        {"outcome": "shaken", "status": "x"},
    ):
        payload = json.dumps({"type": "transferred"} | message).encode()
        line.receive(Record(Kind.CONTROL, 5, 0, payload))
    assert told == [Transferred("completed", None, "so", "", False), Transferred("refused")]


async def test_a_rehearsed_caller_is_transferred_or_not() -> None:
    agent = Agent("front", greeting="Hello.")

    @agent.on_turn
    async def reply(call: Call, turn: Turn) -> None:
        result = await call.transfer(turn.text)
        await call.say(f"{result.outcome} {result.status}")

    async with rehearse(agent, patience=0.5) as caller:
        await caller.hears()
        await caller.says("2001")
        assert await caller.is_transferred("busy", status=486) == "2001"
        assert await caller.hears() == "busy 486"
        with pytest.raises(AssertionError, match="does not transfer"):
            await caller.is_transferred()
        await caller.says("2002")
        assert await caller.is_transferred() == "2002"
        assert caller.is_over
        assert caller.call.end_reason == "transferred"
